//! Every query of every panel, asked of a real Prometheus that holds the replayed incidents.

use std::collections::BTreeSet;

use flatline_lab::Prometheus;
use flatline_rules::scenes::Scene;
use flatline_rules::signals;
use serde_json::Value;

use super::super::generated::complete;
use super::asked::{self, Query, end, prometheus, worst};
use super::{generated, list, text};

/// At the worst moment, or over the whole afternoon.
fn answer(prometheus: &Prometheus, expr: &str, instant: bool) -> Vec<Value> {
    asked::answer(prometheus, &Query { expr, chosen: &[], instant }, if instant { worst() } else { end() }).unwrap()
}

#[test]
fn every_panel_has_data() {
    let config = complete();
    let mut scene = Scene::incidents(&config);
    let added = scene.add_cases(&signals::all(&config));
    let prometheus = prometheus(&config, &scene).unwrap();
    let (mut asked, mut empty) = (0, Vec::new());
    for (path, dashboard) in generated() {
        for panel in list(&dashboard, "panels") {
            for target in list(panel, "targets") {
                asked += 1;
                if answer(&prometheus, text(target, "expr"), target["instant"] == true).is_empty() {
                    empty.push(format!("{path}, {}: {}", panel["title"], text(target, "expr")));
                }
            }
        }
        for annotation in list(&dashboard["annotations"], "list") {
            asked += 1;
            if answer(&prometheus, text(annotation, "expr"), false).is_empty() {
                empty.push(format!("{path}, annotation {}", annotation["name"]));
            }
        }
    }
    assert!(asked > 100, "only {asked}");
    assert!(
        empty.is_empty(),
        "no data for these; a new signal's panels take it from its cases ({added:?}), or from scenes.rs:\n{}",
        empty.join("\n")
    );
}

#[test]
fn variables_have_values_and_incidents_their_alerts() {
    let config = complete();
    let scene = Scene::incidents(&config);
    let prometheus = prometheus(&config, &scene).unwrap();
    for (path, dashboard) in generated() {
        for variable in list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query") {
            let query = text(variable, "query").trim_start_matches("label_values(").trim_end_matches(')');
            let (selector, label) = query.rsplit_once(", ").unwrap();
            let series = answer(&prometheus, selector, false);
            assert!(series.iter().any(|series| series["metric"][label].is_string()), "{path}: {label} has no values");
        }
    }
    let fired = answer(&prometheus, "ALERTS{alertstate=\"firing\"}", false);
    let fired: BTreeSet<&str> = fired.iter().map(|series| text(&series["metric"], "alertname")).collect();
    for alert in [
        "VmDiskStalled",
        "MemcgLivelock",
        "GpuStuck",
        "GpuMissing",
        "NetworkMountHung",
        "DevvmDown",
        "ExporterDown",
        "HostRebootedUncleanly",
        "TasksStuckInKernel",
    ] {
        assert!(fired.contains(alert), "{alert} did not fire: {fired:?}");
    }
}

#[test]
fn what_the_overview_shows_at_the_worst_moment() {
    let config = complete();
    let prometheus = prometheus(&config, &Scene::incidents(&config)).unwrap();
    let (_, overview) = generated().into_iter().find(|(path, _)| path.ends_with("overview.json")).unwrap();
    let hosts = list(&overview, "panels").iter().find(|panel| text(panel, "type") == "table").unwrap();
    let mut rows = BTreeSet::new();
    for target in list(hosts, "targets") {
        let cells = answer(&prometheus, text(target, "expr"), true);
        let instances: Vec<&str> = cells.iter().map(|cell| text(&cell["metric"], "instance")).collect();
        let distinct: BTreeSet<&str> = instances.iter().copied().collect();
        // Two cells for one host would be two rows.
        assert_eq!(instances.len(), distinct.len(), "{}", target["expr"]);
        // Whoever does not answer is dead in the one cell, and no 0 stands in for what it can't say; what it said within
        // a day remains.
        let said = target["expr"].as_str().unwrap().contains("[1d]");
        let dead = cells.iter().find(|cell| cell["metric"]["instance"] == "devvm:10120");
        let is_up = text(target, "expr").starts_with("min by (instance) (up{");
        assert!(
            dead.is_none_or(|cell| said || is_up && cell["value"][1] == "0"),
            "{} says {dead:?} of a dead host",
            target["expr"]
        );
        for cell in &cells {
            let labels = cell["metric"].as_object().unwrap();
            assert!(labels.keys().all(|label| label == "instance"), "{labels:?} of {}", target["expr"]);
        }
        rows.extend(distinct.into_iter().map(str::to_owned));
    }
    let all = ["desktop:10120", "devvm:10120", "hemma:10120", "pve:10120", "terminal:10120"].map(str::to_owned);
    assert_eq!(rows, BTreeSet::from(all));
}
