//! The exporter itself: a host whose exporter is dead looks quiet, not ill.

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::prometheus::UP;
use crate::promql::{Expr, Matching};

const INCIDENT: &str = "devvm QEMU I/O stall, 2026-06-11: nothing said that the machine's own data had stopped";

/// Where exporters are scraped by the devvm job itself, `DevvmDown` and its companions say it all, and these alerts
/// are left out.
pub(super) fn signal(config: &Config) -> Signal {
    let (alerts, cases) = if config.exporters_are_devvms() {
        (Vec::new(), Vec::new())
    } else {
        (vec![down(config), absent(config)], cases(config))
    };
    Signal { name: "exporter", alerts, cases }
}

/// Keeps what is not explained by the whole machine being dead, which the devvm alerts report.
fn unless_devvm_is_dead(config: &Config, expr: Expr) -> Expr {
    let dead = targets::not_answering(config, &config.devvm.job, config.devvm.absent_lookback);
    targets::with_host(expr).unless(
        Matching::On(targets::host_identity(config)),
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

const A: &str = "hemma:10120";

fn cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let (job, devvm) = (config.exporter.job.as_str(), config.devvm.job.as_str());
    let labels: &[&[(&str, &str)]] = &[&[("job", job), ("instance", A), ("host", "hemma")]];
    let up = |case: Case, job: &str, instance: &str, samples| case.series(&UP, (job, instance), &[], samples);
    let mut cases = Vec::new();

    let hold = config.exporter.down_for;
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, "ExporterDown", name);
    let dies = || Samples::flat(1.0, 4).then(0.0, long);
    cases.extend([
        up(case("the exporter dies"), job, A, dies()).fires_from(step * 4 + hold, labels),
        up(
            up(case("the exporter dies on a machine that answers"), job, A, dies()),
            devvm,
            "hemma:9100",
            Samples::flat(1.0, long + 4),
        )
        .fires(step * 4 + hold, labels),
        up(up(case("the exporter dies, and another machine"), job, A, dies()), devvm, "other:9100", dies())
            .fires(step * 4 + hold, labels),
        up(up(case("the whole machine dies: DevvmDown says so"), job, A, dies()), devvm, "hemma:9100", dies())
            .never_until(step * long),
        up(
            up(case("the whole machine leaves discovery"), job, A, dies()),
            devvm,
            "hemma:9100",
            Samples::flat(1.0, 4).gone(),
        )
        .never_until(step * long),
        up(case("restarted in time"), job, A, Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 8))
            .never_until(step * (long + 4)),
        up(case("another job's target is down"), "web", A, dies()).never_until(step * long),
    ]);

    let hold = config.exporter.absent_for;
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, "ExporterAbsent", name);
    let gone = || Samples::flat(1.0, 4).gone();
    cases.extend([
        up(case("the exporter leaves discovery"), job, A, gone()).fires_from(step * 4 + hold, labels),
        up(
            up(case("the exporter leaves discovery, the machine answers"), job, A, gone()),
            devvm,
            "hemma:9100",
            Samples::flat(1.0, long + 4),
        )
        .fires(step * 4 + hold, labels),
        up(up(case("another machine leaves too"), job, A, gone()), devvm, "other:9100", gone())
            .fires(step * 4 + hold, labels),
        up(
            up(case("the whole machine leaves discovery: DevvmAbsent says so"), job, A, gone()),
            devvm,
            "hemma:9100",
            gone(),
        )
        .never_until(step * long),
        up(case("down, but still a target"), job, A, Samples::flat(1.0, 4).then(0.0, long)).never_until(step * long),
        up(case("comes back in time"), job, A, gone().gap(hold.steps(step) - 1).then(1.0, 8))
            .never_until(step * (long + 4)),
        up(case("another job's target is gone"), "web", A, gone()).never_until(step * long),
    ]);
    cases
}
