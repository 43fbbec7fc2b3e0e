//! The reference of metrics in `docs/metrics.md`, from the catalogue.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flatline_catalog::{Family, Kind, SIGNALS};

use super::{ORIGIN, runbook_link};
use crate::model::Signal;

/// One table per signal: every family with its type, labels, meaning and the alerts that look at it; then the labels.
#[must_use]
pub fn to_markdown(signals: &[Signal]) -> String {
    let mut page = format!(
        "<!-- {ORIGIN} -->\n\n# Metrics\n\nWhat flatline-exporter serves. Times are in seconds, sizes in bytes. What can't be read is absent, never 0; \
         `flatline_collector_state` and the log say why. Histograms are `_bucket`, `_sum` and `_count`.\n"
    );
    let alerts = alerts(signals);
    for (signal, families) in SIGNALS {
        let _ = writeln!(page, "\n## {signal}\n\n| metric | type | labels | meaning | alerts |\n|---|---|---|---|---|");
        for family in *families {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{}`", label.name)).collect();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} |",
                family.name,
                kind(family.kind),
                labels.join(", "),
                cell(family.help),
                looking(&alerts, family).join(", "),
            );
        }
    }
    page + &labels()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Info => "info",
        Kind::Histogram => "histogram",
    }
}

/// What a Markdown table takes for text: no column ends within, and no tag begins.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Every alert with the expressions it has.
fn alerts(signals: &[Signal]) -> Vec<(&'static str, Vec<String>)> {
    let all = signals.iter().flat_map(|signal| signal.alerts.iter().map(move |alert| (signal, alert)));
    all.map(|(signal, alert)| (alert.name, signal.expressions_of(alert).map(ToString::to_string).collect())).collect()
}

/// Links to those that look at the family.
fn looking(alerts: &[(&'static str, Vec<String>)], family: &Family) -> Vec<String> {
    let looking = alerts.iter().filter(|(_, exprs)| exprs.iter().any(|expr| names(expr, family.name)));
    looking.map(|(alert, _)| runbook_link(alert)).collect()
}

/// Whether the expression has this name, and not only one that begins like it.
fn names(expr: &str, name: &str) -> bool {
    expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| word.strip_prefix(name).is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count")))
}

/// What bounds each label, by metric where they differ.
fn labels() -> String {
    let mut bounds: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (signal, families) in SIGNALS {
        for label in families.iter().flat_map(|family| family.labels) {
            let signals = bounds.entry((label.name, label.bound)).or_default();
            if !signals.contains(signal) {
                signals.push(signal);
            }
        }
    }
    let mut text = "\n## Labels, and what bounds them\n\n| label | of | bound |\n|---|---|---|\n".to_owned();
    for ((name, bound), signals) in bounds {
        let _ = writeln!(text, "| `{name}` | {} | {} |", signals.join(", "), cell(bound));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_is_not_the_beginning_of_another() {
        assert!(names("rate(flatline_x_total[5m]) > 0", "flatline_x_total"));
        assert!(names("flatline_x_seconds_count", "flatline_x_seconds"));
        assert!(!names("flatline_x_total_more", "flatline_x_total"));
        assert!(!names("up == 1", "flatline_up"));
    }
}
