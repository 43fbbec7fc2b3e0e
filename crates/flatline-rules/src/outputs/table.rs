//! The table of alerts in `docs/alerts.md`.

use std::fmt::Write as _;

use super::{ORIGIN, runbook_link};
use crate::config::Config;
use crate::model::{Signal, fill};

/// One row per alert.
#[must_use]
pub fn to_markdown(signals: &[Signal], config: &Config) -> String {
    let mut page = format!(
        "<!-- {ORIGIN} -->\n\n# Alerts\n\n`page` wakes somebody, `warning` is for today, `info` is worth knowing. \
         Windows and thresholds are those of the configuration the files were generated from. \
         `WatchdogWrongOwner` is there where `watchdog.expected_owners` is configured, `GpuPowerHigh` where `gpu.ppt_watts` is.\n\n\
         | alert | severity | for | what it says | where it comes from |\n|---|---|---|---|---|\n"
    );
    for alert in signals.iter().flat_map(|signal| &signal.alerts) {
        let _ = writeln!(
            page,
            "| {link} | {severity} | {hold} | {summary} | {incident} |",
            link = runbook_link(alert.name),
            severity = alert.severity(config),
            hold = alert.hold,
            summary = fill(alert.summary, |label| format!("*{label}*")),
            incident = alert.incident,
        );
    }
    page
}
