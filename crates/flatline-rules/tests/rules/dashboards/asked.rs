//! A Prometheus that holds the replayed incidents, and asking it as Grafana would: for tests and for the preview.

use flatline_lab::Prometheus;
use flatline_rules::scenes::{self, MINUTES, START, Scene, WORST};
use flatline_rules::{Config, signals};
use serde_json::Value;

/// What Grafana puts in for its variables: what is chosen, else everything; and a minute.
fn sent(expr: &str, chosen: &[(&str, &str)]) -> String {
    let all = ["$job", "$instance", "$vm", "$cgroup"].map(|variable| (variable, ".+"));
    let values = chosen.iter().copied().chain(all);
    values.fold(expr.replace("$__rate_interval", "1m"), |expr, (variable, value)| expr.replace(variable, value))
}

/// An expression with what is chosen for its variables.
pub(crate) struct Query<'a> {
    pub(crate) expr: &'a str,
    pub(crate) chosen: &'a [(&'a str, &'a str)],
    pub(crate) instant: bool,
}

/// A Prometheus with the incidents and what Flatline would have said.
pub(crate) fn prometheus(config: &Config, scene: &Scene) -> Result<Prometheus, String> {
    let told = |error: flatline_lab::Error| error.to_string();
    let alone = Prometheus::builder().history(scene.openmetrics()).start().map_err(told)?;
    let alerts = scenes::alerts(&signals::all(config), config, |expr| {
        let range = [("query", expr), ("start", &START.to_string()), ("end", &end().to_string()), ("step", "15")];
        alone.api("query_range", &range).map(|data| data["result"].clone()).map_err(told)
    })?;
    Prometheus::builder().history(scene.openmetrics()).history(alerts).start().map_err(told)
}

pub(crate) const fn end() -> i64 {
    START + MINUTES as i64 * 60
}

pub(crate) const fn worst() -> i64 {
    START + WORST as i64 * 60
}

/// The series that a query gives from the start of the afternoon to `until`, or at that moment.
pub(crate) fn answer(prometheus: &Prometheus, query: &Query<'_>, until: i64) -> Result<Vec<Value>, String> {
    let (start, until) = (START.to_string(), until.to_string());
    let expr = sent(query.expr, query.chosen);
    let data = if query.instant {
        prometheus.api("query", &[("query", &expr), ("time", &until)])
    } else {
        prometheus.api("query_range", &[("query", &expr), ("start", &start), ("end", &until), ("step", "30")])
    };
    let data = data.map_err(|error| format!("{expr}: {error}"))?;
    Ok(data["result"].as_array().cloned().unwrap_or_default())
}
