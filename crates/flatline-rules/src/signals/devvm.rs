//! The machines that must answer, and the ways in which they only seem to.
//!
//! Incident: on 2026-06-11 the devvm was dead for 90 minutes before a person noticed, because no alert looked at
//! `up`.

use flatline_catalog::{exporter, pressure};

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::prometheus::UP;
use crate::promql::{Expr, Matching, Range, call, changes, select};
use crate::span::Span;

const INCIDENT: &str = "devvm QEMU I/O stall, 2026-06-11: dead for 90 minutes before a person noticed";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "devvm",
        alerts: vec![down(config), absent(config), flapping(config), frozen(config)],
        cases: cases(config),
    }
}

fn down(config: &Config) -> Alert {
    Alert {
        name: "DevvmDown",
        severity: Severity::Page,
        expr: Expr::from(targets::up(&config.devvm.job)).equals(0.0),
        hold: config.devvm.down_for,
        summary: "{instance} is dead: it does not answer Prometheus",
        meaning: "Every scrape of {instance} (job {job}) fails. Either the machine hangs, its disk or network is dead, or only its exporter is.",
        first: "look at it from outside (ping, ssh, the hypervisor's view of its CPU and disk). If it hangs, capture before you kill: a reset destroys the only evidence.",
        incident: INCIDENT,
    }
}

fn absent(config: &Config) -> Alert {
    let devvm = &config.devvm;
    Alert {
        name: "DevvmAbsent",
        severity: Severity::Page,
        expr: targets::gone(config, &devvm.job, devvm.absent_lookback),
        hold: devvm.absent_for,
        summary: "{instance} vanished: Prometheus no longer even tries to scrape it",
        meaning: "{instance} (job {job}) was a target a short while ago and is none now, so DevvmDown can't see it die. Service discovery lost it, or somebody took it out. This alert ends by itself when the lookback is over; the machine may be dead all the same.",
        first: "check whether the machine answers ping and ssh, then why service discovery dropped it.",
        incident: INCIDENT,
    }
}

fn flapping(config: &Config) -> Alert {
    let devvm = &config.devvm;
    let window = Range::Fixed(devvm.flapping_window);
    Alert {
        name: "DevvmFlapping",
        severity: Severity::Warning,
        expr: changes(targets::up(&devvm.job), window).above(f64::from(devvm.flapping_changes)),
        hold: Span::ZERO,
        summary: "{instance} comes and goes: each outage too short for DevvmDown",
        meaning: "{instance} (job {job}) went down and came back several times in a short while. It reboots in circles, drowns in load, or its network fails.",
        first: "look at its uptime: a few minutes means it crashes and reboots, days means load or network.",
        incident: "hemma's short boots, 2026-01-05 and 2026-01-06: crash windows found by hand afterwards",
    }
}

fn frozen(config: &Config) -> Alert {
    let devvm = &config.devvm;
    let window = Range::Fixed(devvm.frozen_window);
    let same_target = || Matching::On(config.identity());
    let cpu = select(&exporter::PROCESS_CPU_SECONDS).job(&devvm.job);
    let answered = call("min_over_time", targets::up(&devvm.job).over(window)).equals(1.0);
    let moved = |family| changes(select(family).job(&devvm.job), window).above(0.0);
    Alert {
        name: "DevvmFrozen",
        severity: Severity::Page,
        expr: Expr::from(cpu.clone())
            .equals(cpu.ago(devvm.frozen_window))
            .note("its exporter has used no CPU time since then (and existed then, so it is not fresh)")
            .and(same_target(), answered.note("though it answered every scrape"))
            .unless(
                same_target(),
                moved(&exporter::HTTP_REQUESTS).note("unless it counts the scrapes: then it is only idle"),
            )
            .unless(same_target(), moved(&pressure::WAITING_SECONDS).note("or the kernel's pressure clock moves")),
        hold: Span::ZERO,
        summary: "{instance} answers, but with frozen data: what you see of it is old",
        meaning: "{instance} (job {job}) answers every scrape with the same counters, also those that must move at every scrape. Something answers in its place (a cache, a proxy, a gateway), or its exporter serves a dead copy. Nothing else you see of this machine can be trusted.",
        first: "ask the machine itself over ssh, and fetch its /metrics twice, directly, without a proxy.",
        incident: INCIDENT,
    }
}

const A: &str = "devvm-a:10120";
const B: &str = "devvm-b:10120";

fn cases(config: &Config) -> Vec<Case> {
    [down_cases(config), absent_cases(config), flapping_cases(config), frozen_cases(config)].concat()
}

fn down_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let hold = config.devvm.down_for;
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, "DevvmDown", name);
    let up = |case: Case, job: &str, instance: &str, samples| case.series(&UP, (job, instance), &[], samples);
    vec![
        up(
            up(
                case("dies: pages after the promised time, resolves when it answers"),
                job,
                A,
                Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4),
            ),
            job,
            B,
            Samples::flat(1.0, long + 8),
        )
        .fires_from(step * 4 + hold, &[&[("job", job), ("instance", A)]])
        .quiet(step * (4 + long)),
        up(
            case("an outage that ends in time"),
            job,
            A,
            Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, long),
        )
        .never_until(step * (long * 2)),
        up(case("another job's target is down"), "web", "web-1:80", Samples::flat(0.0, long * 2))
            .never_until(step * (long * 2)),
        up(
            case("one failed scrape now and then"),
            job,
            A,
            Samples::flat(1.0, 4).then(0.0, 1).then(1.0, 4).then(0.0, 1).then(1.0, long),
        )
        .never_until(step * (long + 8)),
        up(case("healthy from the first scrape on"), job, A, Samples::flat(1.0, long)).never_until(step * long),
        up(case("Prometheus itself was away"), job, A, Samples::flat(1.0, 4).gap(long).then(1.0, 4))
            .never_until(step * (long + 8)),
    ]
}

fn absent_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let hold = config.devvm.absent_for;
    let lookback = config.devvm.absent_lookback.steps(step);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, "DevvmAbsent", name);
    let up = |case: Case, job: &str, instance: &str, samples| case.series(&UP, (job, instance), &[], samples);
    let gone = || Samples::flat(1.0, 4).gone();
    vec![
        up(up(case("one of two leaves discovery"), job, A, gone()), job, B, Samples::flat(1.0, lookback + long))
            .fires_from(step * 4 + hold, &[&[("job", job), ("instance", A)]])
            .quiet(step * (4 + lookback)),
        up(case("it was down, then it leaves discovery"), job, A, Samples::flat(0.0, 4).gone())
            .fires(step * 4 + hold, &[&[("job", job), ("instance", A)]]),
        up(case("it comes back in time"), job, A, gone().gap(hold.steps(step) - 1).then(1.0, long))
            .never_until(step * (long * 2)),
        up(case("down, but still a target"), job, A, Samples::flat(1.0, 4).then(0.0, long)).never_until(step * long),
        up(case("another job's target is gone"), "web", "web-1:80", gone()).never_until(step * long),
        up(case("fresh"), job, A, Samples::default().gap(long).then(1.0, long)).never_until(step * (long * 2)),
        case("no machine of the job was ever there").never_until(step * long),
    ]
}

fn flapping_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let allowed = u64::from(config.devvm.flapping_changes);
    let window = config.devvm.flapping_window.steps(step);
    let case = |name| Case::new(config, "DevvmFlapping", name);
    let up = |case: Case, job: &str, samples| case.series(&UP, (job, A), &[], samples);
    // One change per sample: up, down, up, down ...
    let flaps = |changes: u64| {
        (1..=changes).fold(Samples::flat(1.0, 1), |samples, i| samples.then(if i % 2 == 0 { 1.0 } else { 0.0 }, 1))
    };
    vec![
        up(case("one change too many"), job, flaps(allowed + 1).hold(window))
            .fires_from(step * (allowed + 1), &[&[("job", job), ("instance", A)]])
            .quiet(step * (allowed + 1 + window)),
        up(case("just as often as is tolerated"), job, flaps(allowed).hold(window))
            .never_until(step * (allowed + window)),
        up(case("one clean reboot"), job, Samples::flat(1.0, 8).then(0.0, 4).then(1.0, 20)).never_until(step * 32),
        up(case("another job flaps"), "web", flaps(allowed + 9)).never_until(step * (allowed + 9)),
    ]
}

fn frozen_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let window = config.devvm.frozen_window.steps(step);
    let long = window * 2 + 8;
    let end = step * long;
    let target = (job, A);
    let answering = |name| Case::new(config, "DevvmFrozen", name).series(&UP, target, &[], Samples::flat(1.0, long));
    let cpu = |case: Case, samples| case.series(&exporter::PROCESS_CPU_SECONDS, target, &[], samples);
    let requests =
        |case: Case, samples| case.series(&exporter::HTTP_REQUESTS, target, &[(&exporter::CODE, "200")], samples);
    let waiting =
        |case: Case, samples| case.series(&pressure::WAITING_SECONDS, target, &[(&pressure::RESOURCE, "cpu")], samples);
    let still = || Samples::rising(5.0, 1.0, 4).hold(long);
    let moving = || Samples::rising(0.0, 1.0, long);
    let firing: &[&[(&str, &str)]] = &[&[("job", job), ("instance", A)]];
    vec![
        waiting(requests(cpu(answering("every counter stands still"), still()), still()), still())
            .fires_from(step * (3 + window), firing),
        cpu(answering("an exporter that is not ours stands still"), still()).fires(end - step, firing),
        waiting(cpu(answering("without a count of requests"), still()), still()).fires(end - step, firing),
        requests(cpu(answering("an idle exporter still counts the scrapes"), still()), moving()).never_until(end),
        waiting(requests(cpu(answering("pressure still moves"), still()), still()), moving()).never_until(end),
        cpu(answering("healthy"), moving()).never_until(end),
        cpu(answering("fresh: too young to judge"), Samples::default().gap(long - window + 2).then(0.01, window - 2))
            .never_until(end),
        cpu(
            Case::new(config, "DevvmFrozen", "it was down in between").series(
                &UP,
                target,
                &[],
                Samples::flat(1.0, window).then(0.0, 2).then(1.0, window - 4),
            ),
            Samples::flat(7.0, window).gap(2).then(7.0, window - 4),
        )
        .never_until(step * (window * 2 - 3)),
        cpu(answering("restarted: the counter starts anew"), moving().then(0.0, 1).climb(1.0, long)).never_until(end),
        Case::new(config, "DevvmFrozen", "another job stands still")
            .series(&UP, ("web", A), &[], Samples::flat(1.0, long))
            .series(&exporter::PROCESS_CPU_SECONDS, ("web", A), &[], still())
            .never_until(end),
    ]
}
