//! The main job, end to end: a real Prometheus scrapes the real exporter in both formats, the shipped rules fire
//! when it dies and resolve when it is back.

mod common;

use common::{Exporter, fixtures, rules};
use flatline_lab::{AlertState, Prometheus, Relay, Scrape, wait_for};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// An exporter on the recorded host, with a collector stuck at nothing: all families there are.
fn exporter() -> Exporter {
    let host = fixtures().join("host");
    Exporter::start(&[
        format!("--path.procfs={}", host.join("proc").display()),
        format!("--path.sysfs={}", host.join("sys").display()),
    ])
}

#[test]
fn both_formats_are_scraped_by_a_real_prometheus() {
    let exporter = exporter();
    let text = Relay::start(exporter.address(), Some("text/plain;version=0.0.4")).expect("relay");
    let open = Relay::start(exporter.address(), Some("application/openmetrics-text;version=1.0.0")).expect("relay");
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("direct", exporter.address()))
        .scrape(Scrape::new("text", text.address()))
        .scrape(Scrape::new("open", open.address()))
        .start()
        .expect("Prometheus starts");
    for job in ["direct", "text", "open"] {
        prometheus
            .wait_until(&format!("up{{job=\"{job}\"}} == 1"), SOON)
            .unwrap_or_else(|error| panic!("{job}: {error}"));
    }
    assert_eq!(text.exchanges()[0].content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(open.exchanges()[0].content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");

    // What one format says, the other says too: same series, and the recorded values are the same.
    let recorded = |job: &str| -> BTreeMap<String, f64> {
        let samples = prometheus
            .query(&format!("{{__name__=~\"flatline_(memcg|watchdog|pressure|kernel_faults).*\",job=\"{job}\"}}"));
        let series = |labels: &flatline_lab::Labels| {
            labels
                .iter()
                .filter(|(name, _)| !["job", "instance"].contains(&name.as_str()))
                .map(|(name, value)| format!("{name}={value},"))
                .collect()
        };
        samples.expect("query").into_iter().map(|sample| (series(&sample.labels), sample.value)).collect()
    };
    // On a busy machine a collector may be late for one of them.
    let compared = wait_for("the same series in every format", SOON, || {
        let [text, open, direct] = ["text", "open", "direct"].map(recorded);
        Ok((text.len() > 60 && text == open && text == direct).then_some(()))
    });
    compared.unwrap_or_else(|error| panic!("{error}\n{:#?}", ["text", "open", "direct"].map(recorded)));
    let livelock =
        "flatline_memcg_local_events_total{job=\"direct\",cgroup=\"/work.slice/app.service\",event=\"high\"}";
    assert_eq!(prometheus.wait_until(livelock, SOON).expect("recorded")[0].value, 3412.0);

    for job in ["text", "open"] {
        let metadata = prometheus.metadata(job).expect("metadata");
        assert!(metadata.len() > 40, "{job}: {} families", metadata.len());
        for family in &metadata {
            assert!(!family.help.is_empty() && family.kind != "unknown", "{job}: {family:?}");
        }
    }
}

#[test]
fn devvm_down_fires_when_the_exporter_is_stopped_and_resolves_when_it_is_back() {
    let rules = rules("scrape_interval: 1s\ndevvm:\n  down_for: 3s\n");
    let exporter = exporter();
    let address = exporter.address();
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("devvm", address))
        .rule_file(rules.path().join("rules/flatline.rules.yml"))
        .start()
        .expect("Prometheus starts");
    prometheus.wait_until("up{job=\"devvm\"} == 1", SOON).expect("up");
    prometheus.wait_for_no_alert("DevvmDown", SOON).expect("quiet while it lives");

    assert_eq!(exporter.terminate(), Some(0));
    let alert = prometheus.wait_for_alert("DevvmDown", AlertState::Firing, SOON).expect("fires");
    assert_eq!(alert.labels["instance"], address.to_string());
    assert_eq!(alert.labels["severity"], "page");
    assert!(alert.annotations["summary"].contains(&address.to_string()), "{:?}", alert.annotations);
    assert!(alert.annotations["runbook_url"].ends_with("/DevvmDown.md"));

    let _back =
        Exporter::start(&["--collector.disable-defaults".to_owned(), format!("--web.listen-address={address}")]);
    prometheus.wait_for_no_alert("DevvmDown", SOON).expect("resolves");
}

#[test]
fn a_stuck_collector_is_named_by_its_alert() {
    let directory = tempfile::tempdir().expect("directory");
    common::copy_tree(&fixtures().join("host"), directory.path());
    common::plant_fifo(&directory.path().join("sys/class/watchdog/watchdog0/timeleft"));
    let exporter = Exporter::start(&[
        format!("--path.procfs={}", directory.path().join("proc").display()),
        format!("--path.sysfs={}", directory.path().join("sys").display()),
        "--scrape.deadline=200ms".to_owned(),
        // It can't start without a boot id, which this tree has not, and is told of as well.
        "--no-collector.kernel_log".to_owned(),
    ]);
    let rules = rules("scrape_interval: 1s\ncollector:\n  stuck_over: 2s\n  stuck_for: 2s\n");
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("flatline", exporter.address()))
        .rule_file(rules.path().join("rules/flatline.rules.yml"))
        .start()
        .expect("Prometheus starts");
    let alert = prometheus.wait_for_alert("FlatlineCollectorStuck", AlertState::Firing, SOON).expect("fires");
    assert_eq!(alert.labels["collector"], "watchdog");
}
