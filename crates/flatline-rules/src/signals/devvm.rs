//! The machines that must answer, and the ways in which they only seem to.
//!
//! Incident: on 2026-06-11 the devvm was dead for 90 minutes before a person noticed, because no alert looked at
//! `up`.

use flatline_catalog::{exporter, pressure};

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::promql::{Expr, Range, call, changes, select};
use crate::span::Span;

const INCIDENT: &str = "devvm QEMU I/O stall, 2026-06-11: dead for 90 minutes before a person noticed";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "devvm",
        records: Vec::new(),
        alerts: vec![down(config), absent(config), flapping(config), frozen(config)],
        cases: cases(config),
        test_stride: 1,
        columns: Vec::new(),
        graphs: Vec::new(),
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
    let same_target = || targets::same_target(config);
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
const OTHER_JOB: &str = "web";
/// Scrapes a test may last for.
const LONGEST: u64 = 600;

fn cases(config: &Config) -> Vec<Case> {
    [down_cases(config), absent_cases(config), flapping_cases(config), frozen_cases(config)].concat()
}

fn down_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let hold = config.devvm.down_for;
    let long = hold.steps(step) + 8;
    let end = step * long;
    let case = |name| Case::new(config, "DevvmDown", name);
    vec![
        case("dies: pages after the promised time, resolves when it answers")
            .up((job, A), Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4))
            .up((job, B), Samples::flat(1.0, long + 8))
            .fires_from(step * 4 + hold, &[&[("job", job), ("instance", A)]])
            .quiet(step * (4 + long)),
        case("an outage that ends in time")
            .up((job, A), Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, long))
            .never_until(end * 2),
        case("another job's target is down").up((OTHER_JOB, A), Samples::flat(0.0, long)).never_until(end),
        case("one failed scrape now and then")
            .up((job, A), Samples::flat(1.0, 4).then(0.0, 1).then(1.0, 4).then(0.0, 1).then(1.0, long))
            .never_until(end),
        case("healthy from the first scrape on").up((job, A), Samples::flat(1.0, long)).never_until(end),
        case("Prometheus itself was away")
            .up((job, A), Samples::flat(1.0, 4).gap(long).then(1.0, 4))
            .never_until(end + step * 8),
    ]
}

fn absent_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let hold = config.devvm.absent_for;
    let lookback = config.devvm.absent_lookback.steps(step);
    let long = hold.steps(step) + 8;
    let end = step * long;
    let case = |name| Case::new(config, "DevvmAbsent", name);
    let gone = || Samples::flat(1.0, 4).gone();
    let firing: &[&[(&str, &str)]] = &[&[("job", job), ("instance", A)]];
    let leaves = |name, others| {
        let case = case(name).up((job, A), gone()).up((job, B), Samples::flat(1.0, others));
        case.fires_from(step * 4 + hold, firing)
    };
    // To wait for the end of a day takes promtool minutes; the shorter lookback of a test bench ends the same way.
    let first = if lookback > LONGEST {
        leaves("one of two leaves discovery", long)
    } else {
        leaves("one of two leaves discovery, then the lookback ends", lookback + long).quiet(step * (4 + lookback))
    };
    vec![
        first,
        case("another job still scrapes that address")
            .up((job, A), gone())
            .up((OTHER_JOB, A), Samples::flat(1.0, long))
            .fires(step * 4 + hold, firing),
        case("it was down, then it leaves discovery")
            .up((job, A), Samples::flat(0.0, 4).gone())
            .fires(step * 4 + hold, firing),
        case("it comes back in time")
            .up((job, A), gone().gap(hold.steps(step) - 1).then(1.0, long))
            .never_until(end * 2),
        case("down, but still a target").up((job, A), Samples::flat(1.0, 4).then(0.0, long)).never_until(end),
        case("another job's target is gone").up((OTHER_JOB, A), gone()).never_until(end),
        case("fresh").up((job, A), Samples::default().gap(long).then(1.0, long)).never_until(end * 2),
        case("no machine of the job was ever there").never_until(end),
    ]
}

fn flapping_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let allowed = u64::from(config.devvm.flapping_changes);
    let window = config.devvm.flapping_window.steps(step);
    let case = |name| Case::new(config, "DevvmFlapping", name);
    // One change per sample: up, down, up, down ...
    let flaps = |changes: u64| {
        (1..=changes).fold(Samples::flat(1.0, 1), |samples, i| samples.then(if i % 2 == 0 { 1.0 } else { 0.0 }, 1))
    };
    vec![
        case("one change too many")
            .up((job, A), flaps(allowed + 1).hold(window))
            .fires_from(step * (allowed + 1), &[&[("job", job), ("instance", A)]])
            .quiet(step * (allowed + 1 + window)),
        case("just as often as is tolerated")
            .up((job, A), flaps(allowed).hold(window))
            .never_until(step * (allowed + window)),
        case("one clean reboot").up((job, A), Samples::flat(1.0, 8).then(0.0, 4).then(1.0, 20)).never_until(step * 32),
        case("another job flaps").up((OTHER_JOB, A), flaps(allowed + 9)).never_until(step * (allowed + 9)),
    ]
}

/// What a frozen target can show.
struct Target<'a> {
    job: &'a str,
    instance: &'a str,
}

impl Target<'_> {
    fn cpu(&self, case: Case, samples: Samples) -> Case {
        case.series(&exporter::PROCESS_CPU_SECONDS, (self.job, self.instance), &[], samples)
    }

    fn requests(&self, case: Case, samples: Samples) -> Case {
        case.series(&exporter::HTTP_REQUESTS, (self.job, self.instance), &[(&exporter::CODE, "200")], samples)
    }

    fn waiting(&self, case: Case, samples: Samples) -> Case {
        let cpu = [(&pressure::RESOURCE, "cpu")];
        case.series(&pressure::WAITING_SECONDS, (self.job, self.instance), &cpu, samples)
    }

    fn all(&self, case: Case, up: &Samples, samples: &Samples) -> Case {
        let case = self.cpu(case.up((self.job, self.instance), up.clone()), samples.clone());
        self.waiting(self.requests(case, samples.clone()), samples.clone())
    }
}

fn frozen_cases(config: &Config) -> Vec<Case> {
    let (job, step) = (config.devvm.job.as_str(), config.scrape_interval);
    let window = config.devvm.frozen_window.steps(step);
    let long = window * 2 + 8;
    let end = step * long;
    let a = Target { job, instance: A };
    let healthy = [Target { job, instance: B }, Target { job: OTHER_JOB, instance: A }];

    let always = Samples::flat(1.0, long);
    let moving = Samples::rising(0.0, 1.0, long);
    let still = Samples::rising(5.0, 1.0, 4).hold(long);
    let case = |name| Case::new(config, "DevvmFrozen", name);
    let answering = |name| case(name).up((job, A), always.clone());
    let beside_healthy_ones = |case: Case| healthy.iter().fold(case, |case, target| target.all(case, &always, &moving));
    // It stood still before and after an outage: two short looks at a machine that is alive.
    let outage = |samples: Samples, value| samples.then(value, window - 4);
    let up_with_outage = outage(Samples::flat(1.0, window).then(0.0, 2), 1.0);
    let still_with_outage = outage(Samples::flat(7.0, window).gap(2), 7.0);

    let firing: &[&[(&str, &str)]] = &[&[("job", job), ("instance", A)]];
    vec![
        beside_healthy_ones(a.all(case("every counter stands still, beside healthy targets"), &always, &still))
            .fires_from(step * (3 + window), firing),
        a.cpu(answering("an exporter that is not ours stands still"), still.clone()).fires(end - step, firing),
        a.waiting(a.cpu(answering("without a count of requests"), still.clone()), still.clone())
            .fires(end - step, firing),
        a.requests(a.cpu(answering("an idle exporter still counts the scrapes"), still.clone()), moving.clone())
            .never_until(end),
        a.waiting(a.cpu(answering("pressure still moves"), still.clone()), moving.clone()).never_until(end),
        a.cpu(answering("healthy"), moving.clone()).never_until(end),
        a.cpu(answering("fresh: too young to judge"), Samples::default().gap(long - window + 2).then(0.01, window - 2))
            .never_until(end),
        beside_healthy_ones(a.cpu(case("it was down in between").up((job, A), up_with_outage), still_with_outage))
            .never_until(step * (window * 2 - 3)),
        a.cpu(answering("restarted: the counter starts anew"), moving.clone().then(0.0, 1).climb(1.0, long))
            .never_until(end),
        Target { job: OTHER_JOB, instance: A }.all(case("another job stands still"), &always, &still).never_until(end),
    ]
}
