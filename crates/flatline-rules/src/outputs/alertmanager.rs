//! Alertmanager's configuration, the text of its messages, and how Prometheus reaches it.
//!
//! For Alertmanager 0.25 and newer (`api_url_file` is of 0.22; a webhook's `url_file` is of 0.26, and not used).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::{ORIGIN, yaml};
use crate::config::{Config, Severity};
use crate::model::{Alert, Signal};
use crate::notify::SEVERITIES;
use crate::response::{self, Inhibition};
use crate::span::Span;

/// The configuration's path below the output directory.
pub const CONFIGURATION: &str = "deploy/alertmanager/alertmanager.yml";
/// The path of the text of its messages.
pub const TEMPLATE: &str = "deploy/alertmanager/flatline.tmpl";
/// The path of Prometheus's side.
pub const ALERTING: &str = "deploy/prometheus/alerting.yml";

const HEARTBEAT: &str = "dead-mans-switch";
const DASHBOARD: &str = "flatline-overview";

#[derive(Serialize)]
struct Configuration {
    templates: [&'static str; 1],
    route: Route,
    inhibit_rules: Vec<InhibitRule>,
    receivers: Vec<Receiver>,
}

/// What a route leaves out, it has from the route around it.
#[derive(Default, Serialize)]
struct Route {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    group_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_wait: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_interval: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_interval: Option<Span>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Self>,
}

#[derive(Serialize)]
struct InhibitRule {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    equal: Vec<String>,
}

#[derive(Default, Serialize)]
struct Receiver {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slack_configs: Vec<Slack>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook_configs: Vec<Webhook>,
}

#[derive(Serialize)]
struct Slack {
    api_url_file: String,
    channel: String,
    send_resolved: bool,
    color: String,
    title: &'static str,
    title_link: &'static str,
    fallback: &'static str,
    text: &'static str,
    actions: Vec<Button>,
}

#[derive(Serialize)]
struct Button {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'static str,
    url: &'static str,
}

#[derive(Serialize)]
struct Webhook {
    url: String,
    send_resolved: bool,
    max_alerts: u32,
}

#[derive(Serialize)]
struct Prometheus {
    alerting: Alerting,
}

#[derive(Serialize)]
struct Alerting {
    alert_relabel_configs: [Relabel; 1],
    alertmanagers: [Peers; 1],
}

#[derive(Serialize)]
struct Relabel {
    source_labels: [&'static str; 2],
    regex: &'static str,
    target_label: &'static str,
}

#[derive(Serialize)]
struct Peers {
    static_configs: [Targets; 1],
}

#[derive(Serialize)]
struct Targets {
    targets: [String; 1],
}

/// `alertmanager.yml`.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn configuration(signals: &[Signal], config: &Config) -> Result<String, String> {
    let heartbeat = if config.alertmanager.dead_mans_switch_url.is_some() {
        ""
    } else {
        "# NOBODY hears the dead man's switch: set alertmanager.dead_mans_switch_url.\n"
    };
    let header = format!(
        "# Alertmanager's configuration for Flatline's alerts; flatline.tmpl beside it is part of it. {ORIGIN}\n\
         # Grouping and silencing need the label `host`, which Prometheus adds: deploy/prometheus/alerting.yml.\n\
         {heartbeat}\n"
    );
    let known = Known::of(signals);
    yaml(
        &header,
        &Configuration {
            templates: ["flatline.tmpl"],
            route: root(&known, config),
            inhibit_rules: inhibit_rules(&known, config),
            receivers: SEVERITIES
                .iter()
                .map(|&severity| slack(severity, config))
                .chain([dead_mans_switch(config)])
                .collect(),
        },
    )
}

/// Prometheus's side: where Alertmanager is, and the label `host`.
///
/// # Errors
/// When the YAML writer refuses a value.
pub fn alerting(config: &Config) -> Result<String, String> {
    let header = format!(
        "# A part of prometheus.yml: where alerts go, and the label `host` on them. {ORIGIN}\n\
         # `host` is the instance without its port, so that all exporters on a machine speak of the same one; a label\n\
         # of that name that is there already is kept. Without it Alertmanager silences nothing by host.\n\n"
    );
    let host = Relabel { source_labels: ["host", "instance"], regex: ";(.+?)(:[0-9]+)?", target_label: "host" };
    let targets = Targets { targets: [config.alertmanager.target.clone()] };
    let peers = Peers { static_configs: [targets] };
    yaml(&header, &Prometheus { alerting: Alerting { alert_relabel_configs: [host], alertmanagers: [peers] } })
}

/// The alerts that are generated, by name.
struct Known<'a>(BTreeMap<&'static str, &'a Alert>);

impl<'a> Known<'a> {
    fn of(signals: &'a [Signal]) -> Self {
        Self(signals.iter().flat_map(|signal| &signal.alerts).map(|alert| (alert.name, alert)).collect())
    }

    /// The inhibitions whose both alerts are there.
    fn inhibitions(&self, config: &Config) -> Vec<(Inhibition, &'a Alert, &'a Alert)> {
        response::inhibitions(config)
            .into_iter()
            .filter_map(|pair| Some((pair, *self.0.get(pair.cause)?, *self.0.get(pair.symptom)?)))
            .collect()
    }
}

/// What a message is about: one host, or one VM on it.
fn subject(config: &Config) -> Vec<String> {
    ["host", "vm"].map(str::to_owned).into_iter().chain(config.target_labels.iter().cloned()).collect()
}

fn equals(label: &str, value: &str) -> String {
    format!("{label}=\"{value}\"")
}

fn receiver(severity: Severity) -> String {
    format!("slack-{severity}")
}

fn root(known: &Known<'_>, config: &Config) -> Route {
    let own = &config.alertmanager;
    // A repetition is due at every group_interval; one that comes a moment too early waits for the next.
    let beat = own.dead_mans_switch_interval;
    let heartbeat = Route {
        matchers: vec![equals("alertname", crate::signals::chain::DEAD_MANS_SWITCH)],
        receiver: Some(HEARTBEAT.to_owned()),
        group_by: vec!["alertname".to_owned()],
        group_wait: Some(Span::ZERO),
        group_interval: Some(beat),
        repeat_interval: Some(beat),
        ..Route::default()
    };
    let by_severity = SEVERITIES.iter().map(|&severity| Route {
        matchers: vec![equals("severity", &severity.to_string())],
        receiver: Some(receiver(severity)),
        group_wait: Some(*own.group_wait.of(severity)),
        repeat_interval: Some(*own.repeat_interval.of(severity)),
        routes: symptoms(known, severity, config),
        ..Route::default()
    });
    Route {
        receiver: Some(receiver(Severity::Warning)),
        group_by: subject(config),
        group_wait: Some(*own.group_wait.of(Severity::Warning)),
        group_interval: Some(own.group_interval),
        repeat_interval: Some(*own.repeat_interval.of(Severity::Warning)),
        routes: [heartbeat].into_iter().chain(by_severity).collect(),
        ..Route::default()
    }
}

/// A symptom waits for its causes, in a group of its own: one that joins a group that has been sent would not wait.
fn symptoms(known: &Known<'_>, severity: Severity, config: &Config) -> Vec<Route> {
    let mut waits: BTreeMap<&str, (Span, BTreeSet<String>)> = BTreeMap::new();
    for (pair, cause, symptom) in known.inhibitions(config) {
        if symptom.severity(config) == severity {
            let (wait, labels) = waits.entry(pair.symptom).or_default();
            *wait = (*wait).max(pair.wait(cause, symptom, config));
            labels.extend(pair.same.iter().map(|&label| label.to_owned()));
        }
    }
    let least = *config.alertmanager.group_wait.of(severity);
    waits
        .into_iter()
        .map(|(symptom, (wait, labels))| {
            let subject = subject(config);
            let more: Vec<String> = labels.into_iter().filter(|label| !subject.contains(label)).collect();
            Route {
                matchers: vec![equals("alertname", symptom)],
                group_by: [vec!["alertname".to_owned()], subject, more].concat(),
                group_wait: Some(wait.max(least)),
                ..Route::default()
            }
        })
        .collect()
}

/// One rule for each cause and what makes it the same thing. Where a label were missing on both sides, they would be
/// equal, and a dead host would silence all others: so the cause must have each.
fn inhibit_rules(known: &Known<'_>, config: &Config) -> Vec<InhibitRule> {
    let mut rules: Vec<(&str, &[&str], Vec<&str>)> = Vec::new();
    for (pair, ..) in known.inhibitions(config) {
        match rules.iter_mut().find(|(cause, same, _)| *cause == pair.cause && *same == pair.same) {
            Some((_, _, symptoms)) => symptoms.push(pair.symptom),
            None => rules.push((pair.cause, pair.same, vec![pair.symptom])),
        }
    }
    let rule = |(cause, same, symptoms): (&str, &[&str], Vec<&str>)| {
        let equal: Vec<String> =
            same.iter().map(|&label| label.to_owned()).chain(config.target_labels.clone()).collect();
        let present = equal.iter().map(|label| format!("{label}=~\".+\""));
        InhibitRule {
            source_matchers: [equals("alertname", cause)].into_iter().chain(present).collect(),
            target_matchers: vec![format!("alertname=~\"{}\"", symptoms.join("|"))],
            equal,
        }
    };
    rules.into_iter().map(rule).collect()
}

fn slack(severity: Severity, config: &Config) -> Receiver {
    let button = |text, url| Button { kind: "button", text, url };
    let alarm = match severity {
        Severity::Page => "danger",
        Severity::Warning => "warning",
        Severity::Info => "#439FE0",
    };
    let slack = Slack {
        api_url_file: config.alertmanager.slack_api_url_file.clone(),
        channel: config.alertmanager.channels.of(severity).clone(),
        send_resolved: true,
        color: format!("{{{{ if eq .Status \"firing\" }}}}{alarm}{{{{ else }}}}good{{{{ end }}}}"),
        title: "{{ template \"flatline.title\" . }}",
        title_link: "{{ template \"flatline.runbook\" . }}",
        fallback: "{{ template \"flatline.title\" . }}",
        text: "{{ template \"flatline.text\" . }}",
        actions: vec![
            button("Runbook", "{{ template \"flatline.runbook\" . }}"),
            button("Dashboard", "{{ template \"flatline.dashboard\" . }}"),
            button("Silence", "{{ template \"flatline.silence\" . }}"),
        ],
    };
    Receiver { name: receiver(severity), slack_configs: vec![slack], ..Receiver::default() }
}

/// Told that all is well; the end of that is nothing to tell, the silence is.
fn dead_mans_switch(config: &Config) -> Receiver {
    let webhook = |url: &String| Webhook { url: url.clone(), send_resolved: false, max_alerts: 1 };
    Receiver {
        name: HEARTBEAT.to_owned(),
        webhook_configs: config.alertmanager.dead_mans_switch_url.iter().map(webhook).collect(),
        ..Receiver::default()
    }
}

/// The text of the messages. Values of labels come from machines, and are shown as they are.
#[must_use]
pub fn template(signals: &[Signal], config: &Config) -> String {
    let known = Known::of(signals);
    let held = choice(
        known
            .0
            .values()
            .filter(|alert| !alert.hold.is_zero())
            .map(|alert| (alert.name, format!(", after it had been so for {}", alert.hold))),
    );
    let dont = choice(known.0.keys().filter_map(|name| Some((*name, format!("\n*Do not* {}", response::dont(name)?)))));
    let grafana = config.alertmanager.grafana_url.trim_end_matches('/');
    format!(
        r#"{{{{/* Flatline's messages. {ORIGIN} */}}}}

{{{{/* What, how many, where. */}}}}
{{{{ define "flatline.title" -}}}}
[{{{{ .Status | toUpper }}}}{{{{ if eq .Status "firing" }}}}:{{{{ .Alerts.Firing | len }}}}{{{{ end }}}}] {{{{ with .CommonLabels.alertname }}}}{{{{ . }}}}{{{{ else }}}}{{{{ .Alerts | len }}}} alerts{{{{ end }}}}
{{{{- with .GroupLabels.vm }}}} about {{{{ . }}}}{{{{ end }}}}{{{{ with .GroupLabels.host }}}} on {{{{ . }}}}{{{{ end }}}}
{{{{- end }}}}

{{{{/* What is dead, since when, what to do first, what not to do. */}}}}
{{{{ define "flatline.text" -}}}}
{{{{ range .Alerts.Firing -}}}}
*{{{{ with .Annotations.summary }}}}{{{{ . }}}}{{{{ else }}}}{{{{ .Labels.alertname }}}}{{{{ end }}}}*
*Since* {{{{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }}}} UTC{{{{ template "flatline.held" . }}}}
{{{{ with .Annotations.description }}}}{{{{ reReplaceAll "(?s) First: .*" "" . }}}}
{{{{ if match "(?s) First: " . }}}}*First:* {{{{ reReplaceAll "(?s)^.*? First: " "" . }}}}{{{{ end }}}}{{{{ end }}}}{{{{ template "flatline.dont" . }}}}

{{{{ end }}}}
{{{{- range .Alerts.Resolved -}}}}
*Over:* {{{{ with .Annotations.summary }}}}{{{{ . }}}}{{{{ else }}}}{{{{ .Labels.alertname }}}}{{{{ end }}}} ({{{{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }}}} to {{{{ .EndsAt.UTC.Format "2006-01-02 15:04:05" }}}} UTC)
{{{{ end }}}}
{{{{- end }}}}

{{{{/* For how long it was watched before it was told: `for`. */}}}}
{{{{ define "flatline.held" }}}}{held}{{{{ end }}}}

{{{{ define "flatline.dont" }}}}{dont}{{{{ end }}}}

{{{{/* Where the buttons lead: the first alert's runbook, the host on the dashboard, a silence for what all have in common. */}}}}
{{{{ define "flatline.runbook" }}}}{{{{ with index .Alerts 0 }}}}{{{{ .Annotations.runbook_url }}}}{{{{ end }}}}{{{{ end }}}}

{{{{ define "flatline.dashboard" }}}}{grafana}/d/{DASHBOARD}{{{{ with .CommonLabels.instance }}}}?var-instance={{{{ urlquery . }}}}{{{{ end }}}}{{{{ end }}}}

{{{{ define "flatline.silence" }}}}{{{{ .ExternalURL }}}}/#/silences/new?filter=%7B{{{{ range $i, $label := .CommonLabels.SortedPairs }}}}{{{{ if $i }}}}%2C{{{{ end }}}}{{{{ $label.Name }}}}%3D%22{{{{ urlquery $label.Value | reReplaceAll "\\+" "%20" }}}}%22{{{{ end }}}}%7D{{{{ end }}}}
"#
    )
}

/// A text by alert, the alerts that share one together.
fn choice(texts: impl Iterator<Item = (&'static str, String)>) -> String {
    let mut alerts_by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (alert, text) in texts {
        alerts_by_text.entry(text).or_default().push(alert);
    }
    let mut written = String::new();
    for (number, (text, alerts)) in alerts_by_text.iter().enumerate() {
        let or = if number == 0 { "if" } else { "else if" };
        // In words, not as a pattern: `eq` with several values is true if any is.
        let names: String = alerts.iter().map(|name| format!(" \"{name}\"")).collect();
        let _ = write!(written, "\n{{{{- {or} eq .Labels.alertname{names} }}}}{}", quoted(text));
    }
    if !written.is_empty() {
        written.push_str("\n{{- end -}}\n");
    }
    written
}

/// Text that no template action swallows the spaces of.
fn quoted(text: &str) -> String {
    format!("{{{{ {} }}}}", serde_json::Value::from(text))
}
