//! The dashboards: valid by Grafana's own schemas, sound by the rules of its linter, and never without data.

mod asked;
mod lint;
mod replay;
mod schema;

use flatline_rules::{Config, generate};
use serde_json::Value;

/// Every dashboard, as it is written to its file.
pub(crate) fn generated() -> Vec<(String, Value)> {
    let files = generate(&super::generated::complete()).unwrap();
    let dashboards: Vec<_> = files
        .iter()
        .filter(|file| file.path.starts_with("dashboards"))
        .map(|file| (file.path.display().to_string(), serde_json::from_str(&file.content).unwrap()))
        .collect();
    assert!(dashboards.len() > 10, "only {} dashboards", dashboards.len());
    dashboards
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every query with the panel or annotation it stands in.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let panels = list(dashboard, "panels").iter();
    let targets = panels.flat_map(|panel| {
        list(panel, "targets").iter().map(move |target| (text(panel, "title"), text(target, "expr")))
    });
    let annotations = list(&dashboard["annotations"], "list").iter();
    targets.chain(annotations.map(|annotation| (text(annotation, "name"), text(annotation, "expr")))).collect()
}

#[test]
fn there_is_one_per_group_and_incident() {
    let names: Vec<String> = generated().into_iter().map(|(path, _)| path).collect();
    for name in [
        "overview",
        "hosts",
        "memory",
        "vms",
        "crashes",
        "logs",
        "hardware",
        "services",
        "timeline",
        "incident-vm-disk",
        "incident-livelock",
        "incident-gpu",
        "incident-mount",
    ] {
        assert!(names.contains(&format!("dashboards/flatline-{name}.json")), "{name} is missing in {names:?}");
    }
}

#[test]
fn every_graph_of_every_signal_is_on_one_dashboard_of_its_group() {
    let dashboards = generated();
    for signal in flatline_rules::signals::all(&super::generated::complete()) {
        for graph in &signal.graphs {
            let uid = flatline_rules::boards::group_of(signal.name);
            let on =
                |dashboard: &Value| list(dashboard, "panels").iter().any(|panel| text(panel, "title") == graph.title);
            let found: Vec<&str> = dashboards
                .iter()
                .map(|(_, dashboard)| dashboard)
                .filter(|dashboard| on(dashboard))
                .map(|dashboard| text(dashboard, "uid"))
                .collect();
            assert!(found.contains(&uid), "{} of {} is not on {uid} but {found:?}", graph.title, signal.name);
        }
    }
}

#[test]
fn an_alert_that_is_off_is_on_no_dashboard() {
    let off = "alerts: {VmDiskStalled: {enabled: false}, GpuStuck: {enabled: false}}";
    for file in generate(&Config::parse("x", off).unwrap()).unwrap() {
        let dashboard = file.path.starts_with("dashboards");
        assert!(!dashboard || !(file.content.contains("VmDiskStalled") || file.content.contains("GpuStuck")));
    }
}
