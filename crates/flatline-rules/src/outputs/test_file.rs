//! Unit tests for `promtool test rules`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_yaml::LitString;

use super::{ORIGIN, static_labels, yaml};
use crate::config::Config;
use crate::model::{Alert, Case, Expectation, Signal, fill};
use crate::span::Span;

#[derive(Serialize)]
struct TestFile {
    rule_files: [&'static str; 1],
    evaluation_interval: Span,
    tests: Vec<Test>,
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
    exp_samples: [(); 0],
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

fn test(case: &Case, alert: &Alert, config: &Config) -> Test {
    let mut test = Test {
        name: format!("{}: {}", case.alert, case.name),
        interval: case.step,
        input_series: case
            .series
            .iter()
            .map(|series| Input { series: series.selector(), values: series.samples.as_str().to_owned() })
            .collect(),
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
                exp_samples: [],
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
