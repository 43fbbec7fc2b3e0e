//! The series Prometheus makes itself, from scrapes and from recording rules, declared like the exporter's so that rules can name them.

use flatline_catalog::vm::{DISK, VM};
use flatline_catalog::{Family, Kind, Label, Unit};

/// Whether the last scrape of a target worked.
pub static UP: Family = gauge("up", &[], "1 when the last scrape of the target worked, 0 when it did not.");
/// How long the last scrape took.
pub static SCRAPE_DURATION_SECONDS: Family =
    gauge("scrape_duration_seconds", &[], "How long the last scrape of the target took.");
/// How many samples the last scrape gave.
pub static SCRAPE_SAMPLES_SCRAPED: Family =
    gauge("scrape_samples_scraped", &[], "How many samples the last scrape of the target gave.");
/// Alerts that are pending or firing. They carry the labels of their expression too, of which these are named here.
pub static ALERTS: Family =
    gauge("ALERTS", &[ALERTNAME, ALERTSTATE, SEVERITY, VM, DISK], "1 while an alert is pending or firing.");
/// Recorded: how often a disk writes.
pub static VM_DISK_WRITES: Family = gauge(
    "flatline:vm_disk_writes:rate",
    &[VM, DISK],
    "Writes completed per second over the window of VmDiskWriteZero; absent unless that was watched throughout.",
);
/// Recorded: how often a disk writes at the least, usually.
pub static VM_DISK_WRITES_USUAL: Family = gauge(
    "flatline:vm_disk_writes:usual",
    &[VM, DISK],
    "Writes per second that the disk has rarely fallen below during the baseline of VmDiskWriteZero.",
);

/// The alert's name.
pub const ALERTNAME: Label = Label { name: "alertname", bound: "one per alert" };
/// Pending or firing.
pub const ALERTSTATE: Label = Label { name: "alertstate", bound: "pending, firing" };
/// The alert's severity.
pub const SEVERITY: Label = Label { name: "severity", bound: "page, warning, info" };

/// Every family of this module.
pub const FAMILIES: &[&Family] =
    &[&UP, &SCRAPE_DURATION_SECONDS, &SCRAPE_SAMPLES_SCRAPED, &ALERTS, &VM_DISK_WRITES, &VM_DISK_WRITES_USUAL];

/// Finds a family of the catalogue or of Prometheus itself.
#[must_use]
pub fn find(name: &str) -> Option<&'static Family> {
    flatline_catalog::find(name).or_else(|| FAMILIES.iter().copied().find(|family| family.name == name))
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit: Unit::None, help, labels }
}
