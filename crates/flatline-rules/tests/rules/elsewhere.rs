//! The same alerts for the Prometheus Operator, Mimir and Grafana: nothing lost, and nothing that is not in the formats.
//!
//! The types name every field that the formats have and refuse any other, so that a slip of the pen is found. They are
//! written from the API reference of `monitoring.coreos.com/v1`, from Prometheus' documentation of rule files (which
//! Mimir's and Cortex's namespaces hold), and from Grafana's documentation of file provisioning. Neither `mimirtool` nor
//! Grafana itself has read these files here.

use std::collections::{BTreeMap, BTreeSet};

use flatline_rules::model::Expectation;
use flatline_rules::{Config, generate, signals};
use serde::Deserialize;
use serde_yaml::from_str;

use super::support::{promtool, said};

type Texts = BTreeMap<String, String>;

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    query_offset: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    alert: Option<String>,
    #[serde(default)]
    record: Option<String>,
    expr: String,
    #[serde(default, rename = "for")]
    hold: Option<String>,
    #[serde(default)]
    labels: Texts,
    #[serde(default)]
    annotations: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PrometheusRule {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: RuleFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    labels: Option<Texts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Namespace {
    namespace: String,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provisioned {
    api_version: u32,
    groups: Vec<ProvisionedGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProvisionedGroup {
    org_id: u64,
    name: String,
    folder: String,
    interval: String,
    rules: Vec<ProvisionedRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProvisionedRule {
    uid: String,
    title: String,
    condition: String,
    data: Vec<Node>,
    no_data_state: String,
    exec_err_state: String,
    #[serde(rename = "for")]
    hold: String,
    #[serde(rename = "missing_series_evals_to_resolve")]
    missing_series_evals_to_resolve: u32,
    labels: Texts,
    annotations: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Node {
    ref_id: String,
    relative_time_range: BTreeMap<String, u32>,
    datasource_uid: String,
    model: Model,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Model {
    ref_id: String,
    datasource: Texts,
    r#type: Option<String>,
    editor_mode: Option<String>,
    expr: Option<String>,
    instant: Option<bool>,
    range: Option<bool>,
    interval_ms: Option<u32>,
    max_data_points: Option<u32>,
    expression: Option<String>,
    conditions: Option<Vec<BTreeMap<String, Evaluator>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluator {
    r#type: String,
    params: Vec<f64>,
}

const PLACES: &str = "
outputs:
  operator: {name: flatline, namespace: monitoring, labels: {release: prom}}
  mimir: {query_offset: 1m}
  grafana: {datasource_uid: mine, folder: Machines, org_id: 2}
labels: {price: $5}
watchdog: {expected_owners: {'hemma:.*': wd_keepalive}}
gpu: {ppt_watts: 300}
";

fn config() -> Config {
    Config::parse("c.yml", PLACES).unwrap()
}

fn content(path: &str) -> String {
    let files = generate(&config()).unwrap();
    files.into_iter().find(|file| file.path == std::path::Path::new(path)).unwrap().content
}

fn prometheus() -> Vec<Group> {
    from_str::<RuleFile>(&content("rules/flatline.rules.yml")).unwrap().groups
}

#[test]
fn the_operator_and_the_ruler_get_the_same_groups() {
    let rule: PrometheusRule = from_str(&content("rules/operator/flatline.prometheusrule.yml")).unwrap();
    assert_eq!((rule.api_version.as_str(), rule.kind.as_str()), ("monitoring.coreos.com/v1", "PrometheusRule"));
    assert_eq!((rule.metadata.name.as_str(), rule.metadata.namespace.as_deref()), ("flatline", Some("monitoring")));
    assert_eq!(rule.metadata.labels.unwrap().get("release").map(String::as_str), Some("prom"));
    assert_eq!(rule.spec.groups, prometheus());

    let mut ruler: Namespace = from_str(&content("rules/mimir/flatline.namespace.yml")).unwrap();
    assert_eq!(ruler.namespace, "flatline");
    for group in &mut ruler.groups {
        assert_eq!(group.query_offset.take().as_deref(), Some("1m"));
    }
    assert_eq!(ruler.groups, prometheus());
}

#[test]
fn grafana_gets_every_alert() {
    let text = content("rules/grafana/flatline-alerts.yml");
    assert!(!text.contains("${"), "Grafana would take it for a variable of its environment");
    let provisioned: Provisioned = from_str(&text).unwrap();
    assert_eq!(provisioned.api_version, 1);
    let mut uids = BTreeSet::new();
    let mut found = Vec::new();
    for group in &provisioned.groups {
        assert_eq!((group.org_id, group.folder.as_str(), group.interval.as_str()), (2, "Machines", "20s"));
        for rule in &group.rules {
            assert!(rule.uid.len() <= 40 && uids.insert(&rule.uid), "{}", rule.uid);
            assert_eq!((rule.no_data_state.as_str(), rule.exec_err_state.as_str()), ("OK", "Error"));
            assert_eq!(rule.missing_series_evals_to_resolve, 1);
            found.push((
                group.name.clone(),
                rule.title.clone(),
                query(rule),
                rule.hold.clone(),
                rule.annotations.clone(),
            ));
            assert_eq!(rule.labels["price"], "$$5", "as Grafana escapes a dollar");
        }
    }
    let wanted: Vec<_> = prometheus()
        .into_iter()
        .flat_map(|group| group.rules.into_iter().map(move |rule| (group.name.clone(), rule)))
        .filter_map(|(group, rule)| {
            let hold = rule.hold.unwrap_or_else(|| "0s".to_owned());
            Some((group, rule.alert?, rule.expr, hold, rule.annotations))
        })
        .collect();
    assert!(wanted.len() > 50);
    assert_eq!(found, wanted);
}

/// The PromQL of a rule whose three nodes lead from it to its condition.
fn query(rule: &ProvisionedRule) -> String {
    let [query, math, threshold] = rule.data.as_slice() else { panic!("{}: not three nodes", rule.title) };
    for node in &rule.data {
        assert_eq!(node.ref_id, node.model.ref_id);
        assert_eq!(node.model.datasource["uid"], node.datasource_uid);
        assert_eq!((node.relative_time_range["from"], node.relative_time_range["to"]), (600, 0));
    }
    assert_eq!((query.datasource_uid.as_str(), query.model.datasource["type"].as_str()), ("mine", "prometheus"));
    assert_eq!((query.model.instant, query.model.range), (Some(true), Some(false)));
    assert_eq!(query.model.editor_mode.as_deref(), Some("code"));
    assert!(query.model.interval_ms.is_some() && query.model.max_data_points.is_some());
    assert_eq!((math.datasource_uid.as_str(), math.model.r#type.as_deref()), ("__expr__", Some("math")));
    assert!(math.model.expression.as_ref().unwrap().contains(&format!("is_number(${})", query.ref_id)));
    assert_eq!(threshold.model.r#type.as_deref(), Some("threshold"));
    assert_eq!(threshold.model.expression.as_ref(), Some(&math.ref_id));
    assert_eq!(rule.condition, threshold.ref_id);
    let above = &threshold.model.conditions.as_ref().unwrap()[0]["evaluator"];
    assert_eq!((above.r#type.as_str(), above.params.as_slice()), ("gt", [0.0].as_slice()));
    query.model.expr.clone().unwrap()
}

#[test]
fn what_grafanas_alerts_need_is_recorded() {
    let records: RuleFile = from_str(&content("rules/grafana/flatline-records.rules.yml")).unwrap();
    let rules: Vec<_> = records.groups.iter().flat_map(|group| &group.rules).collect();
    let remembered: Vec<_> = rules
        .iter()
        .filter(|rule| rule.record.as_deref() == Some("ALERTS"))
        .map(|rule| rule.labels["alertname"].as_str())
        .collect();
    let all = prometheus();
    let uses = |name: &str| {
        let memory = format!("ALERTS{{alertname=\"{name}\"");
        all.iter().flat_map(|group| &group.rules).any(|rule| rule.expr.contains(&memory))
    };
    let names = all.iter().flat_map(|group| &group.rules).filter_map(|rule| rule.alert.as_deref());
    assert_eq!(remembered, names.filter(|name| uses(name)).collect::<Vec<_>>());
    assert!(!remembered.is_empty());
    let recorded = |rules: &[&Rule]| rules.iter().filter_map(|rule| rule.record.clone()).collect::<BTreeSet<_>>();
    let mut wanted = recorded(&all.iter().flat_map(|group| &group.rules).collect::<Vec<_>>());
    wanted.insert("ALERTS".to_owned());
    assert_eq!(recorded(&rules), wanted);
}

/// The unit tests of the alerts that remember themselves, asked of the recorded series instead.
#[test]
fn the_recorded_memory_is_what_prometheus_would_have_made() {
    let config = Config::default();
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("records.yml");
    let file = generate(&config).unwrap().into_iter().find(|file| file.path.ends_with("flatline-records.rules.yml"));
    std::fs::write(&records, file.unwrap().content).unwrap();
    let mut asked = 0;
    let mut tests = String::new();
    for case in
        signals::all(&config).iter().flat_map(|signal| &signal.cases).filter(|case| case.alert == "VmDiskStalled")
    {
        tests += &format!("  - interval: {}\n    input_series:\n", case.step);
        for series in &case.series {
            tests += &format!("      - {{series: {:?}, values: {:?}}}\n", series.selector(), series.samples.as_str());
        }
        tests += "    promql_expr_test:\n";
        for expectation in &case.expectations {
            let fired = format!("ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}", case.alert);
            let (at, alerts, expr) = match expectation {
                Expectation::Firing(at, alerts) => (at, alerts.clone(), fired),
                Expectation::NeverUntil(end) if end.is_zero() => continue,
                Expectation::NeverUntil(end) => (end, Vec::new(), format!("count_over_time({fired}[{end}])")),
            };
            asked += alerts.len();
            tests += &format!("      - expr: '{expr}'\n        eval_time: {at}\n        exp_samples:\n");
            if alerts.is_empty() {
                tests.truncate(tests.len() - 1);
                tests += " []\n";
            }
            for labels in alerts {
                let own = [("alertname", case.alert), ("alertstate", "firing"), ("severity", "page")];
                let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own);
                let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
                tests +=
                    &format!("          - {{labels: {:?}, value: 1}}\n", format!("ALERTS{{{}}}", labels.join(",")));
            }
        }
    }
    assert!(asked > 3);
    let path = directory.path().join("memory.test.yml");
    std::fs::write(&path, format!("rule_files: [records.yml]\nevaluation_interval: 15s\ntests:\n{tests}")).unwrap();
    let tested = promtool(&["test", "rules"], &[path]);
    assert!(tested.status.success(), "{}", said(&tested));
}
