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

/// A group as Prometheus, its operator and Mimir write it.
#[derive(Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<Span>,
    /// How far behind the clock its expressions look; Prometheus 2.42 does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query_offset: Option<Span>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule {
    Record(RecordRule),
    Alert(AlertRule),
}

#[derive(Serialize)]
pub(super) struct RecordRule {
    pub(super) record: &'static str,
    pub(super) expr: LitString,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct AlertRule {
    alert: &'static str,
    expr: LitString,
    #[serde(rename = "for", skip_serializing_if = "Span::is_zero")]
    hold: Span,
    #[serde(skip_serializing_if = "Span::is_zero")]
    keep_firing_for: Span,
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Serialize)]
pub(super) struct Annotations {
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
    yaml(&header, &RuleFile { groups: groups(signals, config) })
}

/// The groups of all signals that have alerts, in order.
pub(super) fn groups(signals: &[Signal], config: &Config) -> Vec<Group> {
    signals
        .iter()
        .filter(|signal| !signal.alerts.is_empty())
        .map(|signal| Group {
            name: group_name(signal),
            interval: config.evaluation_interval,
            query_offset: None,
            rules: rules(signal, config),
        })
        .collect()
}

pub(super) fn group_name(signal: &Signal) -> String {
    format!("flatline-{}", signal.name)
}

/// Every record stands before the alert that needs it: a group is evaluated in order.
fn rules(signal: &Signal, config: &Config) -> Vec<Rule> {
    let rules_of = |alert| {
        let records = records_of(signal, alert).map(Rule::Record);
        records.chain([Rule::Alert(alert_rule(alert, config))])
    };
    signal.alerts.iter().flat_map(rules_of).collect()
}

/// What the alert has computed beforehand.
pub(super) fn records_of<'a>(signal: &'a Signal, alert: &'a Alert) -> impl Iterator<Item = RecordRule> + use<'a> {
    signal.records_of(alert).map(|Record { family, expr, .. }| RecordRule {
        record: family.name,
        expr: LitString(format!("{expr}\n")),
        labels: BTreeMap::new(),
    })
}

fn alert_rule(alert: &Alert, config: &Config) -> AlertRule {
    AlertRule {
        alert: alert.name,
        expr: LitString(format!("{}\n", alert.expr)),
        hold: alert.hold,
        keep_firing_for: alert.keep_firing_for(config),
        labels: static_labels(alert, config),
        annotations: annotations(alert, config),
    }
}

pub(super) fn annotations(alert: &Alert, config: &Config) -> Annotations {
    let template = |text: &str| fill(text, |label| format!("{{{{ $labels.{label} }}}}"));
    Annotations {
        summary: template(alert.summary),
        description: template(&alert.description()),
        runbook_url: alert.runbook_url(config),
    }
}
