//! Writes what `make preview` shows: every dashboard with the answers of a real Prometheus that holds the replayed
//! incidents, as a script that sets `window.preview`.

#[path = "../tests/rules/dashboards/asked.rs"]
mod asked;

use flatline_rules::scenes::{START, Scene};
use flatline_rules::{Config, generate};
use serde_json::{Map, Value, json};

fn main() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("usage: preview FILE")?;
    let config = Config::default();
    let prometheus = asked::prometheus(&config, &Scene::incidents(&config))?;
    let files = generate(&config).map_err(|error| error.to_string())?;
    let mut dashboards = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("dashboards")) {
        let dashboard: Value = serde_json::from_str(&file.content).map_err(|error| error.to_string())?;
        // The overview is looked at while it burns, the others afterwards.
        let table = elements(&dashboard["panels"]).any(|panel| panel["type"] == "table");
        let until = if table { asked::worst() } else { asked::end() };
        let ask = |target: &Value| {
            let expr = target["expr"].as_str().unwrap_or_default();
            let instant = target["instant"] == true;
            asked::answer(&prometheus, &asked::Query { expr, chosen: chosen(&dashboard["uid"]), instant }, until)
        };
        let mut answers = Map::new();
        for panel in elements(&dashboard["panels"]) {
            let targets: Result<Vec<_>, String> = elements(&panel["targets"]).map(&ask).collect();
            answers.insert(panel["id"].to_string(), json!(targets?));
        }
        let marks: Result<Vec<_>, String> = elements(&dashboard["annotations"]["list"]).map(ask).collect();
        dashboards.push(json!({
            "dashboard": dashboard, "from": START, "to": until, "answers": answers, "annotations": marks?,
        }));
    }
    let script = format!("window.preview = {};\n", json!(dashboards));
    std::fs::write(&path, script).map_err(|error| format!("{path}: {error}"))
}

/// What a reader would choose on a dashboard: the machine that the incident is about.
fn chosen(uid: &Value) -> &'static [(&'static str, &'static str)] {
    match uid.as_str() {
        Some("flatline-incident-vm-disk") => &[("$instance", "pve:10120|devvm:10120"), ("$vm", "devvm")],
        Some("flatline-incident-livelock") => &[("$instance", "terminal:10120")],
        Some("flatline-incident-gpu") => &[("$instance", "hemma:10120")],
        Some("flatline-incident-mount") => &[("$instance", "desktop:10120")],
        _ => &[],
    }
}

fn elements(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}
