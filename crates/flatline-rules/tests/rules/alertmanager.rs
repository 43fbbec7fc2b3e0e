//! Alertmanager's files: accepted by amtool, and true to what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flatline_rules::outputs::alertmanager::{ALERTING, CONFIGURATION, TEMPLATE};
use flatline_rules::response::{DONTS, dont, inhibitions};
use flatline_rules::span::Span;
use flatline_rules::{Config, check, generate, signals};
use serde_json::Value;

use super::support::{amtool, promtool, said};

/// The defaults; a test bench; machines that may be away for long and hosts told apart by a label; one job for all.
const CONFIGURATIONS: [&str; 4] = [
    "",
    "{scrape_interval: 1s, evaluation_interval: 1s, devvm: {down_for: 5s, flapping_changes: 2}}",
    "{evaluation_interval: 30s, devvm: {down_for: 20m}, target_labels: [cluster], labels: {team: lab},
      alerts: {DevvmFlapping: {severity: page}, DevvmAbsent: {enabled: false}},
      alertmanager: {dead_mans_switch_url: 'https://hc.example/x', channels: {page: '@me'}}}",
    "exporter: {job: devvm}",
];

fn parsed(text: &str) -> Config {
    Config::parse("c.yml", text).unwrap()
}

fn file(config: &Config, path: &str) -> String {
    generate(config).unwrap().into_iter().find(|file| file.path == Path::new(path)).unwrap().content
}

fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn alertmanager(config: &Config) -> Value {
    read(&file(config, CONFIGURATION))
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}

/// How long each alert's `for` is, as the rule file says.
fn holds(config: &Config) -> BTreeMap<String, Span> {
    let rules = read(&file(config, "rules/flatline.rules.yml"));
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap()).filter(|rule| rule["alert"].is_string());
    rules
        .map(|rule| {
            let hold = rule["for"].as_str().map_or(Span::ZERO, |hold| hold.parse().unwrap());
            (rule["alert"].as_str().unwrap().to_owned(), hold)
        })
        .collect()
}

/// Walks the routes as Alertmanager does: the first child that matches, as deep as possible. What it leaves out is as
/// above it.
fn routed<'a>(route: &'a Value, setting: &str, labels: &BTreeMap<&str, &str>) -> Option<&'a Value> {
    let matches = |route: &&Value| {
        list(&route["matchers"]).iter().all(|matcher| {
            let (label, value) = matcher.split_once('=').unwrap();
            labels.get(label) == Some(&value.trim_matches('"'))
        })
    };
    let child = route["routes"].as_array().into_iter().flatten().find(matches);
    child.and_then(|child| routed(child, setting, labels)).or_else(|| route.get(setting))
}

#[test]
fn amtool_and_promtool_accept_what_is_generated() {
    for text in CONFIGURATIONS {
        let config = parsed(text);
        let directory = tempfile::tempdir().unwrap();
        for (path, name) in
            [(CONFIGURATION, "alertmanager.yml"), (TEMPLATE, "flatline.tmpl"), (ALERTING, "prometheus.yml")]
        {
            std::fs::write(directory.path().join(name), file(&config, path)).unwrap();
        }
        let written = directory.path().join("alertmanager.yml");
        let checked = amtool(&["check-config", written.to_str().unwrap()]);
        assert!(checked.status.success() && said(&checked).contains("1 templates"), "{}", said(&checked));
        let prometheus = directory.path().join("prometheus.yml");
        let checked = promtool(&["check", "config"], &[prometheus]);
        assert!(checked.status.success(), "{}", said(&checked));
    }
}

#[test]
fn amtool_routes_each_alert_to_the_channel_of_its_severity() {
    for text in CONFIGURATIONS {
        let config = parsed(text);
        let directory = tempfile::tempdir().unwrap();
        let routes = alertmanager(&config);
        let written = directory.path().join("alertmanager.yml");
        std::fs::write(&written, routes.to_string()).unwrap();
        let option = format!("--config.file={}", written.display());
        let route = |labels: &[&str]| {
            let routed = amtool(&[&["config", "routes", "test", &option], labels].concat());
            assert!(routed.status.success(), "{routed:?}");
            // Where Debian sets an address of Alertmanager, amtool warns on standard error.
            String::from_utf8(routed.stdout).unwrap().trim().to_owned()
        };
        for severity in ["page", "warning", "info"] {
            let severity_label = format!("severity={severity}");
            assert_eq!(route(&["alertname=Any", &severity_label, "host=a"]), format!("slack-{severity}"));
        }
        assert_eq!(route(&["alertname=SomebodyElses"]), "slack-warning");
        assert_eq!(route(&["alertname=FlatlineDeadMansSwitch", "severity=info"]), "dead-mans-switch");
        for alert in signals::all(&config).iter().flat_map(|signal| &signal.alerts) {
            let severity = alert.severity(&config);
            let expected = match alert.name {
                "FlatlineDeadMansSwitch" => "dead-mans-switch".to_owned(),
                _ => format!("slack-{severity}"),
            };
            let receiver = routed(
                &routes["route"],
                "receiver",
                &[("alertname", alert.name), ("severity", &severity.to_string())].into(),
            )
            .and_then(Value::as_str)
            .map(str::to_owned);
            assert_eq!(receiver, Some(expected), "{}", alert.name);
        }
        // And our walk is amtool's, where it is not as simple as that.
        let flapping = parsed(text).alerts.contains_key("DevvmFlapping");
        let (severity, receiver) = if flapping { ("page", "slack-page") } else { ("warning", "slack-warning") };
        assert_eq!(route(&["alertname=DevvmFlapping", &format!("severity={severity}")]), receiver);
    }
}

#[test]
fn a_cause_always_comes_before_its_symptom_is_sent() {
    for text in CONFIGURATIONS {
        let config = parsed(text);
        let (written, holds) = (alertmanager(&config), holds(&config));
        let signals = signals::all(&config);
        let severity = |name: &str| {
            let alert = signals.iter().flat_map(|signal| &signal.alerts).find(|alert| alert.name == name).unwrap();
            alert.severity(&config).to_string()
        };
        let evaluation = config.evaluation_interval.unwrap_or(Span::minutes(1));
        let mut proved = 0;
        for pair in inhibitions(&config) {
            let (Some(&cause_for), Some(&symptom_for)) = (holds.get(pair.cause), holds.get(pair.symptom)) else {
                continue;
            };
            let severity = severity(pair.symptom);
            let labels = [("alertname", pair.symptom), ("severity", severity.as_str())].into();
            let setting = |setting| routed(&written["route"], setting, &labels).unwrap();
            let group_wait: Span = setting("group_wait").as_str().unwrap().parse().unwrap();
            let latest = pair.cause_after + cause_for + config.scrape_interval * 2 + evaluation * 2;
            let earliest = symptom_for + group_wait;
            assert!(latest <= earliest, "{} comes after {latest}, {} after {earliest}", pair.cause, pair.symptom);
            // Nobody joins a group that has been sent: who does is not told to wait.
            let group_by = list(setting("group_by"));
            let alone = pair.same.iter().all(|label| group_by.contains(label)) && group_by.contains(&"alertname");
            assert!(alone, "{}: {group_by:?}", pair.symptom);
            proved += 1;
        }
        assert!(proved >= 5, "{proved}");
    }
}

#[test]
fn what_is_declared_is_what_is_silenced_and_nothing_else() {
    for text in CONFIGURATIONS {
        let (config, mut silenced) = (parsed(text), BTreeSet::new());
        let there = holds(&config);
        let written = alertmanager(&config);
        for rule in written["inhibit_rules"].as_array().unwrap() {
            let source = list(&rule["source_matchers"]);
            let target = list(&rule["target_matchers"]);
            let cause = source[0].strip_prefix("alertname=\"").unwrap().trim_end_matches('"');
            let equal = list(&rule["equal"]);
            // A label that is missing on both sides counts as equal: a host without a name would silence them all.
            let present: Vec<String> = equal.iter().map(|label| format!("{label}=~\".+\"")).collect();
            assert_eq!(source[1..], present);
            assert!(config.target_labels.iter().all(|label| equal.contains(&label.as_str())));
            assert_eq!(target.len(), 1);
            let symptoms = target[0].strip_prefix("alertname=~\"").unwrap().trim_end_matches('"');
            for symptom in symptoms.split('|') {
                assert!(silenced.insert((cause.to_owned(), symptom.to_owned())), "{cause}, {symptom} twice");
            }
        }
        let declared: BTreeSet<_> = inhibitions(&config)
            .into_iter()
            .filter(|pair| there.contains_key(pair.cause) && there.contains_key(pair.symptom))
            .map(|pair| (pair.cause.to_owned(), pair.symptom.to_owned()))
            .collect();
        assert_eq!(silenced, declared);
        // A symptom of a symptom would have to wait for two.
        assert!(declared.iter().all(|(cause, _)| declared.iter().all(|(_, symptom)| cause != symptom)));
        let blind = ["ExporterDown", "ExporterAbsent", "FlatlineCollectorStuck", "JournalNotFollowed", "DevvmFrozen"];
        assert!(declared.iter().all(|(cause, _)| !blind.contains(&cause.as_str())), "who is blind vouches for nothing");
        assert!(declared.contains(&("DevvmDown".to_owned(), "DevvmFlapping".to_owned())));
    }
}

#[test]
fn what_silences_and_what_is_silenced_exist_and_carry_the_labels() {
    let config = parsed("");
    let signals = signals::all(&config);
    let labels = |name: &str| {
        let alert = signals.iter().flat_map(|signal| &signal.alerts).find(|alert| alert.name == name);
        let alert = alert.unwrap_or_else(|| panic!("there is no alert {name}"));
        check::check(&alert.expr.to_string(), &config.identity(), &[]).unwrap()
    };
    for pair in inhibitions(&config) {
        for side in [pair.cause, pair.symptom] {
            let carried = labels(side);
            for label in pair.same {
                // Prometheus makes the host from the instance when it sends.
                let needed = if *label == "host" { "instance" } else { label };
                assert!(carried.contains(needed), "{side} has no {needed}: {carried:?}");
            }
        }
        let documented = include_str!("../../../../docs/alertmanager.md")
            .lines()
            .any(|line| line.starts_with(&format!("| {} |", pair.cause)) && line.contains(pair.symptom));
        assert!(documented, "docs/alertmanager.md does not say that {} silences {}", pair.cause, pair.symptom);
    }
    for name in DONTS.iter().flat_map(|(_, alerts)| *alerts).filter(|name| **name != "WatchdogWrongOwner") {
        labels(name);
    }
}

#[test]
fn every_message_can_say_what_to_do_first_and_every_page_what_not_to_do() {
    let config = parsed("");
    let template = file(&config, TEMPLATE);
    for alert in signals::all(&config).iter().flat_map(|signal| &signal.alerts) {
        assert_eq!(alert.description().matches(" First: ").count(), 1, "{}: the message is cut there", alert.name);
        if alert.severity(&config).to_string() == "page" {
            assert!(dont(alert.name).is_some(), "{}: what must not be done?", alert.name);
        }
        assert_eq!(
            template.contains(&format!(" \"{}\"", alert.name)),
            dont(alert.name).is_some() || !alert.hold.is_zero()
        );
    }
    assert!(template.contains("autopsy before shooting"));
}

#[test]
fn the_host_is_the_instance_without_its_port() {
    let alerting = read(&file(&parsed(""), ALERTING));
    let relabel = &alerting["alerting"]["alert_relabel_configs"][0];
    assert_eq!(list(&relabel["source_labels"]), ["host", "instance"]);
    // The same pattern as the rules': `ExporterDown` has its own host.
    assert_eq!(relabel["regex"], ";(.+?)(:[0-9]+)?");
    let rules = file(&parsed(""), "rules/flatline.rules.yml");
    assert!(rules.contains("(.+?)(:[0-9]+)?"));
}

#[test]
fn what_can_not_work_is_refused_with_line_and_reason() {
    for (text, refusal) in [
        ("alertmanager:\n  chanels: {}\n", "c.yml:2: unknown key `chanels`; did you mean `channels`?"),
        ("alertmanager:\n  channels:\n    page: ''\n", "c.yml:3: alertmanager.channels.page: `` is no channel"),
        ("alertmanager:\n  channels:\n    pgae: x\n", "c.yml:3: unknown key `pgae`; did you mean `page`?"),
        ("alertmanager: {channels: {info: 'a b'}}\n", "c.yml:1: alertmanager.channels.info: `a b` is no channel"),
        (
            "alertmanager:\n  slack_api_url_file: https://hooks.slack.com/services/T/B/x\n",
            "c.yml:2: alertmanager.slack_api_url_file: needs the path of a file",
        ),
        ("alertmanager:\n  group_interval: 0s\n", "c.yml:2: alertmanager.group_interval: can't be 0s"),
        (
            "alertmanager:\n  repeat_interval:\n    page: 1m\n",
            "c.yml:3: alertmanager.repeat_interval.page: 1m is shorter than group_interval (5m)",
        ),
        ("alertmanager:\n  group_wait: {page: soon}\n", "c.yml:2: `soon` is no duration"),
        ("alertmanager:\n\n  grafana_url: grafana\n", "c.yml:3: alertmanager.grafana_url: `grafana` is no http"),
        (
            "alertmanager:\n  dead_mans_switch_url: ftp://x\n",
            "c.yml:2: alertmanager.dead_mans_switch_url: `ftp://x` is no http",
        ),
        (
            "alertmanager:\n  dead_mans_switch_interval: 500ms\n",
            "c.yml:2: alertmanager.dead_mans_switch_interval: 500ms is below 1s",
        ),
        ("alertmanager:\n  target: http://a:1/\n", "c.yml:2: alertmanager.target: `http://a:1/` is no host:port"),
    ] {
        let error = Config::parse("c.yml", text).unwrap_err().to_string();
        assert!(error.starts_with(refusal), "{text:?}: {error}");
    }
}
