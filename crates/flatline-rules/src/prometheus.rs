//! The series Prometheus makes itself, declared like the exporter's so that rules can name them.

use flatline_catalog::{Family, Kind, Label, Unit};

/// Whether the last scrape of a target worked.
pub static UP: Family = gauge("up", &[], "1 when the last scrape of the target worked, 0 when it did not.");
/// How long the last scrape took.
pub static SCRAPE_DURATION_SECONDS: Family =
    gauge("scrape_duration_seconds", &[], "How long the last scrape of the target took.");
/// How many samples the last scrape gave.
pub static SCRAPE_SAMPLES_SCRAPED: Family =
    gauge("scrape_samples_scraped", &[], "How many samples the last scrape of the target gave.");
/// Alerts that are pending or firing.
pub static ALERTS: Family =
    gauge("ALERTS", &[ALERTNAME, ALERTSTATE, SEVERITY], "1 while an alert is pending or firing.");

/// The alert's name.
pub const ALERTNAME: Label = Label { name: "alertname", bound: "one per alert" };
/// Pending or firing.
pub const ALERTSTATE: Label = Label { name: "alertstate", bound: "pending, firing" };
/// The alert's severity.
pub const SEVERITY: Label = Label { name: "severity", bound: "page, warning, info" };

/// Every family of this module.
pub const FAMILIES: &[&Family] = &[&UP, &SCRAPE_DURATION_SECONDS, &SCRAPE_SAMPLES_SCRAPED, &ALERTS];

/// Finds a family of the catalogue or of Prometheus itself.
#[must_use]
pub fn find(name: &str) -> Option<&'static Family> {
    flatline_catalog::find(name).or_else(|| FAMILIES.iter().copied().find(|family| family.name == name))
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit: Unit::None, help, labels }
}
