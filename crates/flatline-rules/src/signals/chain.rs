//! The chain from the scrape to the message itself: if it breaks anywhere, no alert is heard, and nobody is told.

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::promql::by;
use crate::span::Span;

/// The alert that fires as long as all is well.
pub const DEAD_MANS_SWITCH: &str = "FlatlineDeadMansSwitch";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "chain",
        records: Vec::new(),
        alerts: vec![dead_mans_switch(config)],
        cases: cases(config),
        test_stride: 1,
        columns: Vec::new(),
        graphs: Vec::new(),
    }
}

/// Not `vector(1)`: DevvmAbsent and ExporterAbsent forget a target after their lookback. A Prometheus that has lost all
/// of them is as blind as one that is dead, and only this alert can tell for as long as it lasts.
fn dead_mans_switch(config: &Config) -> Alert {
    let targets = |job: &str| by("count", &[], targets::up(job));
    let (devvms, exporters) = (targets(&config.devvm.job), targets(&config.exporter.job));
    let expr = if config.exporters_are_devvms() { devvms } else { devvms.or(exporters) };
    Alert {
        name: DEAD_MANS_SWITCH,
        severity: Severity::Info,
        expr: expr.note("as long as Prometheus has any target of ours, answering or not"),
        hold: Span::ZERO,
        summary: "All is well: Prometheus has targets, evaluates rules and reaches Alertmanager",
        meaning: "This alert always fires. Alertmanager passes it on to a dead man's switch outside, which calls when it is not told for a while: then Prometheus, Alertmanager or the way out is dead, or Prometheus has lost all its targets, and no other alert would be heard.",
        first: "nothing, as long as it fires. When it ends, look whether Prometheus answers, has targets and evaluates its rules, then whether Alertmanager answers.",
        incident: "devvm QEMU I/O stall, 2026-06-11: dead for 90 minutes, and no alert that could have been heard",
    }
}

fn cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let end = step * 12;
    let case = |name| Case::new(config, DEAD_MANS_SWITCH, name);
    let (devvm, exporter) = ((config.devvm.job.as_str(), "devvm:9100"), (config.exporter.job.as_str(), "hemma:10120"));
    let always = || Samples::flat(1.0, 13);
    let firing: &[&[(&str, &str)]] = &[&[]];
    vec![
        case("a machine answers").up(devvm, always()).fires(step, firing).fires(end, firing),
        case("an exporter answers").up(exporter, always()).fires(step, firing).fires(end, firing),
        case("both are targets and neither answers: others tell that")
            .up(devvm, Samples::flat(0.0, 13))
            .up(exporter, Samples::flat(0.0, 13))
            .fires(end, firing),
        case("Prometheus loses all its targets")
            .up(devvm, Samples::flat(1.0, 4).gone())
            .up(exporter, Samples::flat(1.0, 4).gone())
            .fires(step, firing)
            .quiet(end),
        case("Prometheus has only targets of others").up(("web", "devvm:80"), always()).never_until(end),
    ]
}
