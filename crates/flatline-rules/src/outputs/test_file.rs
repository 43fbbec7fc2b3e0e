//! Unit tests for `promtool test rules`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_yaml::LitString;

use super::{ORIGIN, static_labels, yaml};
use crate::config::Config;
use crate::incidents::Incident;
use crate::model::{Alert, Case, Expectation, Signal, fill};
use crate::signals::chain::DEAD_MANS_SWITCH;
use crate::span::Span;

#[derive(Serialize)]
struct TestFile {
    rule_files: [&'static str; 1],
    evaluation_interval: Span,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Sample {
    labels: &'static str,
    value: u32,
}

#[derive(Serialize)]
struct Test {
    name: String,
    interval: Span,
    input_series: Vec<Input>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alert_rule_test: Vec<AlertTest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    promql_expr_test: Vec<ExprTest>,
}

#[derive(Serialize)]
struct Input {
    series: String,
    values: String,
}

#[derive(Serialize)]
struct AlertTest {
    eval_time: Span,
    alertname: &'static str,
    exp_alerts: Vec<Expected>,
}

#[derive(Serialize)]
struct Expected {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct ExprTest {
    expr: LitString,
    eval_time: Span,
    exp_samples: Vec<Sample>,
}

/// One test per case of the signal.
///
/// # Errors
/// When the YAML writer refuses a value, or a case is about an alert the signal does not have.
pub fn to_yaml(signal: &Signal, config: &Config) -> Result<String, String> {
    let header = format!("# Unit tests of Flatline's alerts, for `promtool test rules`. {ORIGIN}\n\n");
    let tests = signal
        .cases
        .iter()
        .map(|case| {
            let alert = signal.alerts.iter().find(|alert| alert.name == case.alert);
            let alert = alert.ok_or_else(|| format!("{}: no such alert: {}", case.name, case.alert))?;
            Ok(test(case, alert, config))
        })
        .collect::<Result<_, String>>()?;
    let evaluation_interval =
        config.evaluation_interval.unwrap_or_default().max(config.scrape_interval * signal.test_stride);
    yaml(&header, &TestFile { rule_files: ["../flatline.rules.yml"], evaluation_interval, tests })
}

/// One test per incident, with all rules: when each alert fires, and that no other does.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn incidents_to_yaml(incidents: &[Incident], config: &Config) -> Result<String, String> {
    let header = format!("# When Flatline's alerts would have told of the incidents. {ORIGIN}\n\n");
    let tests = incidents.iter().map(|incident| incident_test(incident, config)).collect();
    let evaluation_interval = config.evaluation_interval.unwrap_or(config.scrape_interval);
    yaml(&header, &TestFile { rule_files: ["flatline.rules.yml"], evaluation_interval, tests })
}

fn incident_test(incident: &Incident, config: &Config) -> Test {
    let ask = |alerts: String, eval_time, count: Option<u32>| ExprTest {
        expr: LitString(format!("count({alerts})\n")),
        eval_time,
        exp_samples: count.map(|value| Sample { labels: "{}", value }).into_iter().collect(),
    };
    let firing = |alert: &str| format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    let told = incident.told.iter().enumerate().flat_map(|(index, (alert, after))| {
        let at = incident.before + *after;
        let before = at - config.scrape_interval;
        let again = incident.told.iter().take(index).any(|(earlier, _)| earlier == alert);
        let not_yet = if again { firing(alert) } else { format!("count_over_time({}[{before}])", firing(alert)) };
        [ask(not_yet, before, None), ask(firing(alert), at, Some(1))]
    });
    let last = incident.before - config.scrape_interval;
    let standing = incident.standing.iter().map(|alert| ask(firing(alert), last, Some(1)));
    let known = incident.told.iter().map(|(alert, _)| *alert).chain(incident.standing.iter().copied());
    let known: Vec<&str> = known.chain([DEAD_MANS_SWITCH]).collect();
    let nothing_else = ExprTest {
        expr: LitString(format!(
            "# nothing else: {}\ncount by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\",alertname!~\"{}\"}}[{}]))\n",
            incident.title,
            known.join("|"),
            incident.length
        )),
        eval_time: incident.length,
        exp_samples: Vec::new(),
    };
    Test {
        name: incident.title.to_owned(),
        interval: incident.case.step,
        input_series: inputs(&incident.case),
        alert_rule_test: Vec::new(),
        promql_expr_test: standing.chain(told).chain([nothing_else]).collect(),
    }
}

fn inputs(case: &Case) -> Vec<Input> {
    let series = case.series.iter();
    series.map(|series| Input { series: series.selector(), values: series.samples.as_str().to_owned() }).collect()
}

fn test(case: &Case, alert: &Alert, config: &Config) -> Test {
    let mut test = Test {
        name: format!("{}: {}", case.alert, case.name),
        interval: case.step,
        input_series: inputs(case),
        alert_rule_test: Vec::new(),
        promql_expr_test: Vec::new(),
    };
    for expectation in &case.expectations {
        match expectation {
            Expectation::Firing(eval_time, alerts) => test.alert_rule_test.push(AlertTest {
                eval_time: *eval_time,
                alertname: alert.name,
                exp_alerts: alerts.iter().map(|labels| expected(alert, labels, config)).collect(),
            }),
            // An alert that fired at any time left samples of ALERTS behind.
            Expectation::NeverUntil(end) if !end.is_zero() => test.promql_expr_test.push(ExprTest {
                // promtool 2.42 does not name the test of an expression that fails, so the expression does.
                expr: LitString(format!(
                    "# never fires: {}\ncount_over_time(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}[{end}])\n",
                    case.name, alert.name
                )),
                eval_time: *end,
                exp_samples: Vec::new(),
            }),
            Expectation::NeverUntil(_) => {}
        }
    }
    test
}

fn expected(alert: &Alert, labels: &[(String, String)], config: &Config) -> Expected {
    let mut all = static_labels(alert, config);
    all.extend(labels.iter().cloned());
    let filled = |text: &str| fill(text, |name| all.get(name).cloned().unwrap_or_default());
    Expected {
        exp_annotations: BTreeMap::from([
            ("summary", filled(alert.summary)),
            ("description", filled(&alert.description())),
            ("runbook_url", alert.runbook_url(config)),
        ]),
        exp_labels: all,
    }
}
