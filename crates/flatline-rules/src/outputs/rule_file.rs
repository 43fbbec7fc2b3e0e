//! Prometheus rule files.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_yaml::LitString;

use super::{ORIGIN, static_labels, yaml};
use crate::config::Config;
use crate::model::{Alert, Record, Signal, fill};
use crate::span::Span;

#[derive(Serialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Span>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule {
    Record { record: &'static str, expr: LitString },
    Alert(AlertRule),
}

#[derive(Serialize)]
struct AlertRule {
    alert: &'static str,
    expr: LitString,
    #[serde(rename = "for", skip_serializing_if = "Span::is_zero")]
    hold: Span,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Serialize)]
struct Annotations {
    summary: String,
    description: String,
    runbook_url: String,
}

/// One group per signal.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn to_yaml(signals: &[Signal], config: &Config) -> Result<String, String> {
    let header = format!(
        "# Flatline's alerts. {ORIGIN}\n# Every alert has a runbook page of its name, and unit tests in tests/.\n\n"
    );
    let groups = signals
        .iter()
        .filter(|signal| !signal.alerts.is_empty())
        .map(|signal| Group {
            name: format!("flatline-{}", signal.name),
            interval: config.evaluation_interval,
            rules: rules(signal, config),
        })
        .collect();
    yaml(&header, &RuleFile { groups })
}

/// Every record stands before the alert that needs it: a group is evaluated in order.
fn rules(signal: &Signal, config: &Config) -> Vec<Rule> {
    let records_of = |alert: &Alert| {
        let name = alert.name;
        signal.records.iter().filter(move |record| record.alert == name)
    };
    let rules_of = |alert| {
        let records = records_of(alert).map(|Record { family, expr, .. }| Rule::Record {
            record: family.name,
            expr: LitString(format!("{expr}\n")),
        });
        records.chain([Rule::Alert(alert_rule(alert, config))])
    };
    signal.alerts.iter().flat_map(rules_of).collect()
}

fn alert_rule(alert: &Alert, config: &Config) -> AlertRule {
    let template = |text: &str| fill(text, |label| format!("{{{{ $labels.{label} }}}}"));
    AlertRule {
        alert: alert.name,
        expr: LitString(format!("{}\n", alert.expr)),
        hold: alert.hold,
        labels: static_labels(alert, config),
        annotations: Annotations {
            summary: template(alert.summary),
            description: template(&alert.description()),
            runbook_url: alert.runbook_url(config),
        },
    }
}
