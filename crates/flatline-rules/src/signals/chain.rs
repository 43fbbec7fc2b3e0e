//! The chain from the scrape to the message itself: if it breaks anywhere, no alert is heard, and nobody is told.

use super::targets::{self, count};
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::promql::{Range, Select, by, call};
use crate::span::Span;

/// The alert that fires as long as all is well.
pub const DEAD_MANS_SWITCH: &str = "FlatlineDeadMansSwitch";
const SELDOM: &str = "FlatlineScrapedTooSeldom";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "chain",
        records: Vec::new(),
        alerts: vec![dead_mans_switch(config), seldom(config)],
        cases: [cases(config), seldom_cases(config)].concat(),
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

/// The windows of all rules are made for `scrape_interval`: where Prometheus scrapes more seldom than that, some never
/// hold enough samples, and nothing tells.
fn seldom(config: &Config) -> Alert {
    let settings = &config.chain;
    let window = settings.seldom_window;
    // Half a scrape shorter, so that it never holds one more than it promises.
    let range = Range::Fixed(window - config.scrape_interval.half());
    let least = count(window.steps(config.scrape_interval)) * settings.seldom_share;
    let scrapes = |up: Select| call("count_over_time", up.over(range)).below(least);
    Alert {
        name: SELDOM,
        severity: Severity::Warning,
        // A target that is new or has gone, and a Prometheus that was restarted, are over before `for` is.
        expr: if config.exporters_are_devvms() {
            scrapes(targets::up(&config.exporter.job))
        } else {
            scrapes(targets::up(&config.devvm.job)).or(scrapes(targets::up(&config.exporter.job)))
        },
        hold: settings.seldom_for,
        summary: "{instance} is scraped more seldom than its alerts were made for: some of them can't fire",
        meaning: "Prometheus scrapes {instance} (job {job}) more seldom than scrape_interval in the configuration of the rules says. Windows then hold too few samples: alerts come late or, like those about virtual machines, never, and nothing else says so.",
        first: "compare the scrape_interval of job {job} in prometheus.yml with the one in flatline-rules.yml, and make them the same: generate the rules anew, or scrape as often as they expect.",
        incident: "the rules themselves, tried on targets that were scraped every 30 and every 60 seconds: up to a third of them was blind",
    }
}

fn seldom_cases(config: &Config) -> Vec<Case> {
    let (step, settings) = (config.scrape_interval, &config.chain);
    let (window, hold) = (settings.seldom_window.steps(step), settings.seldom_for.steps(step));
    let long = window * 3 + hold;
    let case = |name| Case::new(config, SELDOM, name);
    let job = (config.exporter.job.as_str(), "hemma:10120");
    let firing: &[&[(&str, &str)]] = &[&[("job", job.0), ("instance", job.1)]];
    // One scrape of so many is missing.
    let missing = |every: u64, value| {
        (0..long / every).fold(Samples::default(), |samples, _| samples.then(value, every - 1).gap(1))
    };
    let devvm = (config.devvm.job.as_str(), "devvm:9100");
    let both: &[&[(&str, &str)]] = if config.exporters_are_devvms() {
        firing
    } else {
        &[&[("job", devvm.0), ("instance", devvm.1)], &[("job", job.0), ("instance", job.1)]]
    };
    let never = |case: Case| case.never_until(step * long);
    vec![
        case("scraped half as often, and one of them does not even answer")
            .up(devvm, missing(2, 0.0))
            .up(job, missing(2, 1.0))
            .fires_from(settings.seldom_for, both),
        case("as often as promised, then half as often, then again")
            .up(job, Samples::flat(1.0, window * 2).gap(window / 2).hold(window * 2 + hold))
            .never_until(step * (window * 4 + hold)),
        never(case("as often as promised").up(devvm, Samples::flat(1.0, long)).up(job, Samples::flat(1.0, long))),
        never(case("nine of ten").up(job, missing(10, 1.0))),
        never(case("it is new").up(job, Samples::default().gap(window).then(1.0, long))),
        never(case("it is down").up(job, Samples::flat(1.0, 4).then(0.0, long))),
        never(case("it is no target any more").up(job, Samples::flat(1.0, window * 2).gone())),
        never(case("Prometheus is restarted").up(job, Samples::flat(1.0, window * 2).gap(window).then(1.0, long))),
        never(case("another job is scraped more seldom").up(("web", job.1), missing(2, 1.0))),
    ]
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
