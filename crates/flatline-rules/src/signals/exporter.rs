//! The exporter itself: a host whose exporter is dead looks quiet, not ill.

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::prometheus::UP;
use crate::promql::{Expr, by, select};

const INCIDENT: &str = "devvm QEMU I/O stall, 2026-06-11: nothing said that the machine's own data had stopped";

/// Where exporters are scraped by the devvm job itself, `DevvmDown` and its companions say it all, and these alerts
/// are left out.
pub(super) fn signal(config: &Config) -> Signal {
    let (alerts, cases) = if config.exporters_are_devvms() {
        (Vec::new(), Vec::new())
    } else {
        (vec![down(config), absent(config)], cases(config))
    };
    let up = || select(&UP).chosen();
    let answers = Scale::State { good: "answers", bad: "dead" };
    Signal {
        name: "exporter",
        records: Vec::new(),
        alerts,
        cases,
        test_stride: 1,
        columns: vec![Column { title: "Scrape", expr: by("min", &["instance"], up()), scale: answers }],
        graphs: vec![Graph {
            title: "Who answers",
            description: "Whether each target answers Prometheus. A gap means that it was no target at that time.",
            expr: by("min", &["instance"], up()),
            legend: "{instance}",
            scale: answers,
        }],
    }
}

/// Keeps what is not explained by the whole machine being dead, which the devvm alerts report.
fn unless_devvm_is_dead(config: &Config, expr: Expr) -> Expr {
    let dead = targets::not_answering(config, &config.devvm.job, config.devvm.absent_lookback);
    targets::with_host(expr).unless(
        targets::same_host(config),
        targets::with_host(dead).note("unless the whole machine is dead: the devvm alerts say so"),
    )
}

fn down(config: &Config) -> Alert {
    let exporter = &config.exporter;
    Alert {
        name: "ExporterDown",
        severity: Severity::Warning,
        expr: unless_devvm_is_dead(config, Expr::from(targets::up(&exporter.job)).equals(0.0)),
        hold: exporter.down_for,
        summary: "Flatline is blind on {host}: its exporter does not answer",
        meaning: "Every scrape of {instance} (job {job}) fails. No other Flatline alert can fire for this host until it answers again; silence means nothing now.",
        first: "check that the host itself answers. If it does, look at the exporter's unit and its log.",
        incident: INCIDENT,
    }
}

fn absent(config: &Config) -> Alert {
    let exporter = &config.exporter;
    Alert {
        name: "ExporterAbsent",
        severity: Severity::Warning,
        expr: unless_devvm_is_dead(config, targets::gone(config, &exporter.job, exporter.absent_lookback)),
        hold: exporter.absent_for,
        summary: "Flatline is blind on {host}: its exporter is no scrape target any more",
        meaning: "{instance} (job {job}) was a target a short while ago and is none now, so ExporterDown can't see it. This alert ends by itself when the lookback is over.",
        first: "check that the host answers, then why service discovery dropped it.",
        incident: INCIDENT,
    }
}

fn cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let exporter = (config.exporter.job.as_str(), "hemma:10120");
    // What else runs on that machine, and on another.
    let machine = (config.devvm.job.as_str(), "hemma:9100");
    let other = (config.devvm.job.as_str(), "other:9100");
    let firing: &[&[(&str, &str)]] = &[&[("job", exporter.0), ("instance", exporter.1), ("host", "hemma")]];

    let hold = config.exporter.down_for;
    let long = hold.steps(step) + 8;
    let (fires_at, end) = (step * 4 + hold, step * long);
    let case = |name| Case::new(config, "ExporterDown", name);
    let healthy = || Samples::flat(1.0, long);
    let dies = || Samples::flat(1.0, 4).then(0.0, long);
    let gone = || Samples::flat(1.0, 4).gone();
    let mut cases = vec![
        case("the exporter dies").up(exporter, dies()).fires_from(fires_at, firing),
        case("the exporter dies on a machine that answers")
            .up(exporter, dies())
            .up(machine, healthy())
            .fires(fires_at, firing),
        case("the exporter dies, and another machine").up(exporter, dies()).up(other, dies()).fires(fires_at, firing),
        case("the whole machine dies: DevvmDown says so")
            .up(exporter, dies())
            .up(machine, dies())
            .up(other, healthy())
            .up(("web", machine.1), healthy())
            .never_until(end),
        case("the whole machine leaves discovery").up(exporter, dies()).up(machine, gone()).never_until(end),
        case("restarted in time")
            .up(exporter, Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 8))
            .never_until(end),
        case("another job's target is down").up(("web", exporter.1), dies()).never_until(end),
    ];

    let hold = config.exporter.absent_for;
    let long = hold.steps(step) + 8;
    let (fires_at, end) = (step * 4 + hold, step * long);
    let case = |name| Case::new(config, "ExporterAbsent", name);
    let healthy = || Samples::flat(1.0, long);
    let dies = || Samples::flat(1.0, 4).then(0.0, long);
    cases.extend([
        case("the exporter leaves discovery, others don't")
            .up(exporter, gone())
            .up((exporter.0, "other:10120"), healthy())
            .up(("web", exporter.1), healthy())
            .fires_from(fires_at, firing),
        case("the exporter leaves discovery, the machine answers")
            .up(exporter, gone())
            .up(machine, healthy())
            .fires(fires_at, firing),
        case("another machine leaves too").up(exporter, gone()).up(other, gone()).fires(fires_at, firing),
        case("the whole machine leaves discovery: DevvmAbsent says so")
            .up(exporter, gone())
            .up(machine, gone())
            .up(other, healthy())
            .up(("web", machine.1), healthy())
            .never_until(end),
        case("the machine is dead, and its exporter leaves discovery")
            .up(exporter, gone())
            .up(machine, dies())
            .never_until(end),
        case("down, but still a target").up(exporter, dies()).never_until(end),
        case("comes back in time").up(exporter, gone().gap(hold.steps(step) - 1).then(1.0, 8)).never_until(end),
        case("another job's target is gone").up(("web", exporter.1), gone()).never_until(end),
    ]);
    cases
}
