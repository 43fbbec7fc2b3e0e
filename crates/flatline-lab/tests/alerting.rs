//! The far end: a real Prometheus scrapes, a rule fires and resolves, and Slack hears of both.

use std::time::Duration;

use flatline_lab::{AlertState, Alertmanager, Prometheus, Relay, Scrape, SlackReceiver, StaticServer, TargetHealth};

const SOON: Duration = Duration::from_secs(30);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn exposition(value: u32) -> String {
    format!("# HELP lab_level How high it is.\n# TYPE lab_level gauge\nlab_level{{tank=\"a b\"}} {value}\n")
}

const RULES: &str = r"
groups:
  - name: lab
    rules:
      - alert: LabHigh
        expr: lab_level > 5
        labels: {severity: critical}
        annotations: {summary: 'tank {{ $labels.tank }} is at {{ $value }}'}
";

#[test]
fn from_a_scraped_value_to_a_slack_message_and_back() {
    let metrics = StaticServer::start(TEXT, &exposition(1)).unwrap();
    let slack = SlackReceiver::start().unwrap();
    let alertmanager = Alertmanager::start(&Alertmanager::slack_configuration(&slack.url())).unwrap();
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("lab", metrics.address()))
        .rules(RULES)
        .alertmanager(alertmanager.address())
        .start()
        .unwrap();

    let samples = prometheus.wait_until("lab_level", SOON).unwrap();
    assert_eq!((samples[0].value, &*samples[0].labels["tank"], &*samples[0].labels["job"]), (1.0, "a b", "lab"));
    assert_eq!(prometheus.query("1 + 1").unwrap()[0].value, 2.0);
    assert!(prometheus.query("lab_level > 5").unwrap().is_empty());
    assert!(prometheus.query("no (").unwrap_err().to_string().contains("parse error"));
    let metadata = prometheus.metadata("lab").unwrap();
    let level = metadata.iter().find(|family| family.metric == "lab_level").unwrap();
    assert_eq!((&*level.kind, &*level.help, &*level.unit), ("gauge", "How high it is.", ""));
    assert!(prometheus.alerts().unwrap().is_empty());

    metrics.set(&exposition(9));
    let alert = prometheus.wait_for_alert("LabHigh", AlertState::Firing, SOON).unwrap();
    assert_eq!(alert.labels["severity"], "critical");
    assert_eq!(alert.annotations["summary"], "tank a b is at 9");
    assert_eq!(alertmanager.wait_for_alert("LabHigh", SOON).unwrap().state, "active");
    let message = slack.wait_for("[FIRING:1] LabHigh", SOON).unwrap();
    assert_eq!(message.payload["channel"], "#flatline");

    metrics.set(&exposition(1));
    prometheus.wait_for_no_alert("LabHigh", SOON).unwrap();
    slack.wait_for("[RESOLVED] LabHigh", SOON).unwrap();
}

#[test]
fn a_failing_target_says_why_and_a_deadline_says_what_was_there() {
    let metrics = StaticServer::start(TEXT, "this is no exposition\n").unwrap();
    let prometheus = Prometheus::builder().scrape(Scrape::new("broken", metrics.address())).start().unwrap();
    prometheus.wait_until("up{job=\"broken\"} == 0", SOON).unwrap();
    let target = &prometheus.targets().unwrap()[0];
    assert_eq!(target.health, TargetHealth::Down);
    assert!(!target.last_error.is_empty());
    let error = prometheus.wait_until("up == 1", Duration::from_millis(200)).unwrap_err().to_string();
    assert!(error.contains("up == 1") && error.contains(&target.last_error), "{error}");
}

#[test]
fn negotiation_is_observed_and_forced() {
    let metrics = StaticServer::start(TEXT, &exposition(1)).unwrap();
    let free = Relay::start(metrics.address(), None).unwrap();
    let forced = Relay::start(metrics.address(), Some("text/plain;version=0.0.4")).unwrap();
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("free", free.address()))
        .scrape(Scrape::new("forced", forced.address()).parameter("collect[]", &["memcg", "pressure"]))
        .start()
        .unwrap();
    prometheus.wait_until("count(up == 1) == 2", SOON).unwrap();
    let exchange = &free.exchanges()[0];
    assert!(exchange.accept.contains("application/openmetrics-text"), "{exchange:?}");
    assert_eq!((exchange.content_type.as_str(), exchange.status), (TEXT, 200));
    assert_eq!(forced.exchanges()[0].path, "/metrics?collect%5B%5D=memcg&collect%5B%5D=pressure");
}

#[test]
fn a_wrong_configuration_is_reported_with_its_reason() {
    let error =
        Prometheus::builder().rules("groups: [{name: x, rules: [{alert: A}]}]").start().unwrap_err().to_string();
    assert!(error.contains("rule"), "{error}");
    let error = Alertmanager::start("nonsense: true").unwrap_err().to_string();
    assert!(error.contains("nonsense"), "{error}");
}
