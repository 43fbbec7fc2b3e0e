//! The main job, end to end: a real Prometheus scrapes the real exporter in both formats, the shipped rules fire
//! when it dies and resolve when it is back.

mod common;

use common::{Exporter, command, fixtures, rules};
use flatline_catalog::{Family, Kind};
use flatline_lab::{AlertState, Prometheus, Relay, Scrape};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
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
    let (in_text, in_open) = (recorded("text"), recorded("open"));
    assert!(in_text.len() > 60, "{} series", in_text.len());
    assert_eq!(in_text, in_open);
    assert_eq!(in_text, recorded("direct"));
    let livelock = prometheus
        .query("flatline_memcg_local_events_total{job=\"direct\",cgroup=\"/work.slice/app.service\",event=\"high\"}");
    assert_eq!(livelock.expect("query")[0].value, 3412.0);

    for job in ["text", "open"] {
        let metadata = prometheus.metadata(job).expect("metadata");
        assert!(metadata.len() > 40, "{job}: {} families", metadata.len());
        for family in &metadata {
            assert!(!family.help.is_empty() && family.kind != "unknown", "{job}: {family:?}");
        }
    }
}

/// The exposition itself: every family has HELP and TYPE before its samples, UNIT where it has one, stands in one
/// piece, and is declared in the catalogue.
#[test]
fn every_family_is_described_contiguous_and_declared() {
    let exporter = exporter();
    exporter.scrape();
    let open =
        common::request(exporter.address(), "GET", "/metrics", &[("Accept", "application/openmetrics-text")]).body;
    let text = exporter.get("/metrics").body;
    let mut seen = Vec::new();
    for (exposition, name) in [(&open, Family::base_name as fn(&Family) -> &'static str), (&text, |family| family.name)]
    {
        seen.clear();
        let mut lines = exposition.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(described) = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) else {
                assert_eq!(line, "# EOF", "a sample without HELP before it");
                continue;
            };
            let family = flatline_catalog::all().find(|family| name(family) == described);
            let family = family.unwrap_or_else(|| panic!("{described} is not in the catalogue"));
            assert!(!seen.contains(&described), "{described} is torn apart");
            seen.push(described);
            let kind = lines.next().unwrap_or_default();
            assert!(kind.starts_with(&format!("# TYPE {described} ")), "{kind}");
            if std::ptr::eq(exposition, &open) {
                let unit = lines.next_if(|line| line.starts_with("# UNIT "));
                let expected = family.unit.as_str().map(|unit| format!("# UNIT {described} {unit}"));
                assert_eq!(unit, expected.as_deref());
            }
            let mut samples = 0;
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                let series = sample.split(['{', ' ']).next().unwrap_or_default();
                assert_eq!(series, family.name);
                assert!(family.kind != Kind::Info || sample.ends_with(" 1"));
                samples += 1;
            }
            assert!(samples > 0, "{described} has no samples");
        }
    }
    let missing: Vec<_> =
        flatline_catalog::all().map(|family| family.name).filter(|name| !seen.contains(name)).collect();
    // A v2 host without a work cgroup, a fault or a web configuration: everything else must be there.
    let expected = [
        "flatline_memcg_uncapped",
        "flatline_memcg_v1_usage_bytes",
        "flatline_memcg_v1_limit_bytes",
        "flatline_memcg_v1_limit_hits_total",
        "flatline_memcg_v1_oom_kills_total",
        "flatline_collector_source_faults_total",
        "flatline_web_config_last_reload_successful",
    ];
    assert_eq!(missing, expected);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let exporter = exporter();
    exporter.scrape();
    let mut promtool = command("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (apt-get install prometheus)");
    promtool.stdin.take().expect("piped").write_all(exporter.get("/metrics").body.as_bytes()).expect("takes it");
    let output = promtool.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success());
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
