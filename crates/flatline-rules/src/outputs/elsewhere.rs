//! The same rules for other places: Prometheus Operator, Mimir and Cortex, Grafana.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_yaml::LitString;

use super::rule_file::{Annotations, Group, RecordRule, annotations, group_name, groups, records_of};
use super::{ORIGIN, static_labels, yaml};
use crate::config::Config;
use crate::model::{Alert, Signal};
use crate::prometheus::{ALERTNAME, ALERTS, ALERTSTATE};
use crate::span::Span;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrometheusRule<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Spec {
    groups: Vec<Group>,
}

/// A `PrometheusRule` of the Prometheus Operator (API reference of `monitoring.coreos.com/v1`).
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn prometheus_rule(signals: &[Signal], config: &Config) -> Result<String, String> {
    let operator = &config.outputs.operator;
    let header = format!(
        "# Flatline's alerts for the Prometheus Operator. {ORIGIN}\n\
         # The same groups as in rules/flatline.rules.yml. Its labels must match the ruleSelector of your Prometheus.\n\n"
    );
    let metadata =
        Metadata { name: &operator.name, namespace: operator.namespace.as_deref(), labels: &operator.labels };
    let spec = Spec { groups: groups(signals, config) };
    yaml(&header, &PrometheusRule { api_version: "monitoring.coreos.com/v1", kind: "PrometheusRule", metadata, spec })
}

#[derive(Serialize)]
struct Namespace<'a> {
    namespace: &'a str,
    groups: Vec<Group>,
}

/// A namespace of Mimir's or Cortex's ruler, as `mimirtool rules load` and `cortextool rules load` read it.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn ruler_namespace(signals: &[Signal], config: &Config) -> Result<String, String> {
    let mimir = &config.outputs.mimir;
    let header = format!(
        "# Flatline's alerts for Mimir's or Cortex's ruler. {ORIGIN}\n\
         # Load it by `mimirtool rules load FILE`. docs/outputs.md says what to know about query offsets.\n\n"
    );
    let mut groups = groups(signals, config);
    for group in &mut groups {
        group.query_offset = mimir.query_offset;
    }
    yaml(&header, &Namespace { namespace: &mimir.namespace, groups })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provisioned<'a> {
    api_version: u32,
    groups: Vec<ProvisionedGroup<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProvisionedGroup<'a> {
    org_id: u64,
    name: String,
    folder: &'a str,
    interval: Span,
    rules: Vec<ProvisionedRule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProvisionedRule {
    uid: String,
    title: &'static str,
    condition: &'static str,
    data: [Node; 3],
    no_data_state: &'static str,
    exec_err_state: &'static str,
    #[serde(rename = "for")]
    hold: Span,
    /// Since Grafana 12; older ones ignore it.
    #[serde(skip_serializing_if = "Span::is_zero")]
    keep_firing_for: Span,
    /// As in Prometheus, an alert ends when its series does.
    #[serde(rename = "missing_series_evals_to_resolve")]
    missing_series_evals_to_resolve: u32,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    ref_id: &'static str,
    relative_time_range: TimeRange,
    datasource_uid: String,
    model: Model,
}

#[derive(Serialize)]
struct TimeRange {
    from: u32,
    to: u32,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Model {
    Query {
        ref_id: &'static str,
        datasource: Datasource,
        editor_mode: &'static str,
        expr: LitString,
        instant: bool,
        range: bool,
        interval_ms: u32,
        max_data_points: u32,
    },
    Math {
        ref_id: &'static str,
        datasource: Datasource,
        r#type: &'static str,
        expression: &'static str,
    },
    Threshold {
        ref_id: &'static str,
        datasource: Datasource,
        r#type: &'static str,
        expression: &'static str,
        conditions: [Condition; 1],
    },
}

#[derive(Serialize)]
struct Datasource {
    r#type: &'static str,
    uid: String,
}

#[derive(Serialize)]
struct Condition {
    evaluator: Evaluator,
}

#[derive(Serialize)]
struct Evaluator {
    r#type: &'static str,
    params: [u32; 1],
}

/// The data source that computes and asks nobody.
const EXPRESSION: &str = "__expr__";

/// Grafana-managed alerts, as its file provisioning reads them (apiVersion 1).
///
/// To Prometheus, whatever an expression returns is an alert, also a 0 (`up == 0`). Grafana looks at the value, so
/// the middle node makes a 1 of every number; Grafana's own import of Prometheus rules does the same.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn grafana_alerts(signals: &[Signal], config: &Config) -> Result<String, String> {
    let grafana = &config.outputs.grafana;
    let header = format!(
        "# Flatline's alerts, managed by Grafana. {ORIGIN}\n\
         # Put it into /etc/grafana/provisioning/alerting. Instead of the alerts of rules/flatline.rules.yml, not beside\n\
         # them: Prometheus then needs the series of flatline-records.rules.yml only.\n\n"
    );
    let groups = signals
        .iter()
        .filter(|signal| !signal.alerts.is_empty())
        .map(|signal| ProvisionedGroup {
            org_id: grafana.org_id,
            name: group_name(signal),
            folder: &grafana.folder,
            interval: grafana_interval(config),
            rules: signal.alerts.iter().map(|alert| provisioned(alert, config)).collect(),
        })
        .collect();
    yaml(&header, &Provisioned { api_version: 1, groups })
}

/// Grafana's scheduler ticks every ten seconds and refuses groups that don't fit.
fn grafana_interval(config: &Config) -> Span {
    const TICK: Span = Span::seconds(10);
    TICK * config.evaluation_interval.unwrap_or(config.scrape_interval).steps(TICK)
}

fn provisioned(alert: &Alert, config: &Config) -> ProvisionedRule {
    let computed = || Datasource { r#type: EXPRESSION, uid: EXPRESSION.to_owned() };
    let uid = &config.outputs.grafana.datasource_uid;
    let node = |ref_id, datasource_uid: &str, model| Node {
        ref_id,
        relative_time_range: TimeRange { from: 600, to: 0 },
        datasource_uid: datasource_uid.to_owned(),
        model,
    };
    let query = Model::Query {
        ref_id: "query",
        datasource: Datasource { r#type: "prometheus", uid: uid.clone() },
        editor_mode: "code",
        expr: LitString(format!("{}\n", alert.expr)),
        instant: true,
        range: false,
        interval_ms: 1_000,
        max_data_points: 43_200,
    };
    let math = Model::Math {
        ref_id: "returned",
        datasource: computed(),
        r#type: "math",
        expression: "is_number($query) || is_nan($query) || is_inf($query)",
    };
    let threshold = Model::Threshold {
        ref_id: "firing",
        datasource: computed(),
        r#type: "threshold",
        expression: "returned",
        conditions: [Condition { evaluator: Evaluator { r#type: "gt", params: [0] } }],
    };
    // Grafana takes `$NAME` in labels for a variable of its environment.
    let escaped = |(name, value): (String, String)| (name, value.replace('$', "$$"));
    ProvisionedRule {
        uid: format!("flatline-{}", alert.name),
        title: alert.name,
        condition: "firing",
        data: [node("query", uid, query), node("returned", EXPRESSION, math), node("firing", EXPRESSION, threshold)],
        no_data_state: "OK",
        exec_err_state: "Error",
        hold: alert.hold,
        keep_firing_for: alert.keep_firing_for(config),
        missing_series_evals_to_resolve: 1,
        labels: static_labels(alert, config).into_iter().map(escaped).collect(),
        annotations: annotations(alert, config),
    }
}

#[derive(Serialize)]
struct Records {
    groups: Vec<RecordGroup>,
}

#[derive(Serialize)]
struct RecordGroup {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Span>,
    rules: Vec<RecordRule>,
}

/// What Prometheus must compute for Grafana's alerts: the recording rules, and the `ALERTS` by which some alerts
/// remember that they fire. Prometheus makes that series for alerts of its own; here it is a recording rule.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn grafana_records(signals: &[Signal], config: &Config) -> Result<String, String> {
    let header = format!(
        "# What Prometheus computes for Flatline's alerts where Grafana manages them. {ORIGIN}\n\
         # Load it instead of rules/flatline.rules.yml, never beside it: that makes the same series.\n\n"
    );
    let group = |signal: &Signal| {
        let of = |alert| records_of(signal, alert).chain(signal.remembers(alert).then(|| memory(alert, config)));
        let rules: Vec<_> = signal.alerts.iter().flat_map(of).collect();
        let name = format!("{}-records", group_name(signal));
        (!rules.is_empty()).then_some(RecordGroup { name, interval: config.evaluation_interval, rules })
    };
    yaml(&header, &Records { groups: signals.iter().filter_map(group).collect() })
}

fn memory(alert: &Alert, config: &Config) -> RecordRule {
    let own = [(ALERTNAME, alert.name), (ALERTSTATE, "firing")]
        .map(|(label, value)| (label.name.to_owned(), value.to_owned()));
    RecordRule {
        record: ALERTS.name,
        expr: LitString(format!("(\n{}\n) ^ 0\n", alert.expr)),
        labels: static_labels(alert, config).into_iter().chain(own).collect(),
    }
}
