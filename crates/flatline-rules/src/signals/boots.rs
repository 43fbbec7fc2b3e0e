//! Boots that ended without a shutdown, and the heartbeat that can't reach its disk.
//!
//! Incident: hemma's nine crash windows of January 2026 were put together by hand from `journalctl --list-boots`.

use flatline_catalog::{Family, boots, exporter};

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, Range, by, call, changes, select, since};
use crate::span::Span;

const UNCLEAN: &str = "HostRebootedUncleanly";
const LOOPING: &str = "HostCrashLooping";
const STALLED: &str = "HeartbeatStalled";
const NOT_KEPT: &str = "StateNotKept";
const INCIDENT: &str = "hemma, 2026-01-04 to 2026-01-06: nine crashes, pieced together by hand afterwards";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "boots",
        records: Vec::new(),
        alerts: vec![unclean(config), looping(config), stalled(config), not_kept(config)],
        cases: [unclean_cases(config), looping_cases(config), stalled_cases(config), not_kept_cases(config)].concat(),
        test_stride: 1,
        columns: vec![Column {
            title: "Shutdown",
            expr: by("min", &["instance"], select(&boots::PREVIOUS_CLEAN).chosen()),
            scale: Scale::State { good: "clean", bad: "crash" },
        }],
        graphs: vec![
            Graph {
                title: "The heartbeat waits for the disk",
                description: "How long the heartbeat in flight has waited for the disk of the state directory. Spikes of seconds are a busy disk; a straight line upwards is a dead one.",
                expr: select(&boots::HEARTBEAT_STALLED).chosen().into(),
                legend: "{instance}",
                scale: Scale::Seconds(config.boots.heartbeat_stalled_over.as_seconds()),
            },
            Graph {
                title: "Since the last boot",
                description: "How long each host has been up. A saw-tooth of minutes or hours is a host that crashes in circles.",
                expr: since(select(&boots::BOOT_TIME).chosen()),
                legend: "{instance}",
                scale: Scale::Duration,
            },
        ],
    }
}

/// Hosts that have been up for longer than a boot is news. Where that is not known, this exonerates nobody.
pub(super) fn up_for_long(config: &Config) -> Expr {
    since(select(&boots::BOOT_TIME))
        .at_least(config.boots.recent.as_seconds())
        .note("unless that boot is no news any more")
}

fn unclean(config: &Config) -> Alert {
    Alert {
        name: UNCLEAN,
        severity: Severity::Warning,
        expr: Expr::from(select(&boots::PREVIOUS_CLEAN))
            .equals(0.0)
            .note("the boot before this one ended without a shutdown")
            .unless(Matching::All, up_for_long(config)),
        hold: Span::ZERO,
        summary: "{instance} came back from a crash: it was not shut down",
        meaning: "The boot before this one ended without a shutdown: a crash, a hang that ended in a reset, the watchdog, or a loss of power. Everything looks fine now, and the cause is still there.",
        first: "secure the evidence while it is fresh: `flatline-exporter boots` for the crash window and the captures around it, pstore, /var/crash, and the end of the journal (`journalctl -b -1 -e`).",
        incident: INCIDENT,
    }
}

/// How many more there are than at the least within the window. Unlike `increase()` it is exact, and a ledger that is
/// lost counts for nothing.
fn more(family: &'static Family, window: Span) -> Expr {
    Expr::from(select(family)).minus(call("min_over_time", select(family).over(Range::Fixed(window))))
}

fn looping(config: &Config) -> Alert {
    let settings = &config.boots;
    let window = settings.crash_loop_window;
    Alert {
        name: LOOPING,
        severity: Severity::Page,
        expr: more(&boots::UNCLEAN_BOOTS, window)
            .at_least(f64::from(settings.crash_loop_unclean))
            .note("it crashes again and again")
            .or(more(&boots::SHORT_BOOTS, window)
                .at_least(f64::from(settings.crash_loop_short))
                .note("or soon after it has started")),
        hold: Span::ZERO,
        summary: "{instance} crashes in circles",
        meaning: "Within hours several boots ended without a shutdown, or several of them shortly after they began. Each crash may damage what is on its disks, and scrapes in between make it look alive.",
        first: "take the load off (keep its services from starting) and secure what the crashes left: `flatline-exporter boots`, pstore, /var/crash, what it said over netconsole.",
        incident: INCIDENT,
    }
}

fn stalled(config: &Config) -> Alert {
    Alert {
        name: STALLED,
        severity: Severity::Page,
        expr: Expr::from(select(&boots::HEARTBEAT_STALLED)).above(config.boots.heartbeat_stalled_over.as_seconds()),
        hold: Span::ZERO,
        summary: "The disk of {instance} is dead: a heartbeat has waited for it too long",
        meaning: "A few bytes to the disk of the exporter's state directory have not arrived. Whatever writes there hangs too: services, logins, the journal. The exporter still answers because it is in memory.",
        first: "is it a virtual machine? Then look at its disk from the hypervisor before anything else. If not: kernel log (`dmesg`, not journalctl), and SMART data if the disk still answers.",
        incident: "devvm QEMU I/O stall, 2026-06-11: no write reached the disk for 87 minutes",
    }
}

/// After so long a heartbeat is missing: one waits no longer than [`STALLED`] says, and a scrape may be that old.
fn late(config: &Config) -> Span {
    config.boots.heartbeat_stalled_over + config.scrape_interval
}

fn not_kept(config: &Config) -> Alert {
    let stalled = || select(&boots::HEARTBEAT_STALLED);
    // Not by its age, which is wrong where the host's clock is: what is young or seldom scraped is over before `for` is.
    let failing = changes(select(&boots::HEARTBEAT), targets::off_the_grid(config, late(config)))
        .equals(0.0)
        .note("heartbeats fail")
        .or(Expr::from(stalled())
            .unless(Matching::All, select(&boots::HEARTBEAT))
            .note("or not one has succeeded since the exporter was started"))
        .unless(
            Matching::All,
            Expr::from(stalled())
                .above(config.boots.heartbeat_stalled_over.as_seconds())
                .note("unless they wait for a dead disk, which is HeartbeatStalled"),
        );
    Alert {
        name: NOT_KEPT,
        severity: Severity::Warning,
        expr: Expr::from(select(&exporter::STATE_AVAILABLE))
            .equals(0.0)
            .note("the directory can't be used, or does not take everything")
            .or(failing),
        hold: config.boots.state_not_kept_for,
        summary: "Flatline on {instance} can't keep its state: it will not know how this boot ended",
        meaning: "The exporter's state directory is full, read-only or not usable. Counters begin anew with every start, the ledger of boots has a hole, and lines of the kernel's log may be counted twice. If other programs write to the same disk, they fail too.",
        first: "read the exporter's log (`journalctl -u flatline-exporter`): it names the file and the error. Then `df -h` and `findmnt -T /var/lib/flatline`.",
        incident: "the class of faults in which a machine answers and can't keep anything",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const FIRING: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1)]];

/// When a boot began that is this share of the time old, in test time, for which it is news.
pub(super) fn booted(config: &Config, share: f64) -> f64 {
    0.0 - config.boots.recent.as_seconds() * share
}

fn unclean_cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let news = config.boots.recent.steps(step);
    let case = |name| Case::new(config, UNCLEAN, name);
    let clean = |case: Case, value| case.series(&boots::PREVIOUS_CLEAN, TARGET, &[], Samples::flat(value, news + 8));
    let booted =
        |case: Case, share| case.series(&boots::BOOT_TIME, TARGET, &[], Samples::flat(booted(config, share), news + 8));
    vec![
        booted(clean(case("it crashed a while ago"), 0.0), 0.9)
            .fires(Span::ZERO, FIRING)
            .quiet(step * news.div_ceil(10)),
        booted(clean(case("it has just come back"), 0.0), 0.0).fires(step * (news - 1), FIRING).quiet(step * news),
        clean(case("it crashed, when it booted is not known"), 0.0).fires(step * 4, FIRING),
        booted(clean(case("it was shut down"), 1.0), 0.0).never_until(step * 8),
        booted(clean(case("fresh: it crashed, but not lately"), 0.0), 1.5).never_until(step * 8),
        booted(case("nothing is known of the boot before"), 0.0).never_until(step * 8),
    ]
}

fn looping_cases(config: &Config) -> Vec<Case> {
    let (step, settings) = (config.scrape_interval, &config.boots);
    let (unclean, short) = (f64::from(settings.crash_loop_unclean), f64::from(settings.crash_loop_short));
    let case = |name| Case::new(config, LOOPING, name);
    let counts = |case: Case, family, samples| case.series(family, TARGET, &[], samples);
    let (crashes, shorts) = (&boots::UNCLEAN_BOOTS, &boots::SHORT_BOOTS);
    // It is away between two boots, and a boot is counted by the one after it.
    let loops_from =
        |value, count: u32| (0..count).fold(Samples::flat(value, 4), |samples, _| samples.gap(3).climb(1.0, 1).hold(2));
    let loops = |count| loops_from(4.0, count);
    let boots = |count: u32| u64::from(count) * 6 + 1;
    let never = |case: Case| case.never_until(step * 60);
    vec![
        counts(
            counts(case("one crash too many"), crashes, loops(settings.crash_loop_unclean)),
            shorts,
            Samples::flat(1.0, 60),
        )
        .fires_from(step * boots(settings.crash_loop_unclean), FIRING),
        counts(
            counts(case("it dies while it starts"), crashes, loops(settings.crash_loop_short)),
            shorts,
            loops_from(1.0, settings.crash_loop_short),
        )
        .fires_from(step * boots(settings.crash_loop_short), FIRING),
        never(counts(
            counts(case("fewer"), crashes, loops(settings.crash_loop_unclean - 1).hold(60)),
            shorts,
            loops(settings.crash_loop_short - 1).hold(60),
        )),
        never(counts(
            counts(case("fresh: many crashes in the past"), crashes, Samples::default().gap(4).then(unclean * 3.0, 60)),
            shorts,
            Samples::default().gap(4).then(short * 3.0, 60),
        )),
        never(counts(
            counts(case("the ledger is lost"), crashes, Samples::flat(unclean * 3.0, 8).then(0.0, 60)),
            shorts,
            Samples::flat(short * 3.0, 8).then(0.0, 60),
        )),
        never(
            counts(counts(case("reboots in order"), crashes, Samples::flat(9.0, 60)), shorts, Samples::flat(2.0, 60))
                .series(&boots::BOOTS, TARGET, &[], Samples::rising(10.0, 1.0, 60)),
        ),
    ]
}

fn stalled_cases(config: &Config) -> Vec<Case> {
    let (step, limit) = (config.scrape_interval, config.boots.heartbeat_stalled_over);
    let steps = limit.steps(step);
    let case = |name| Case::new(config, STALLED, name);
    let stalled = |case: Case, samples| case.series(&boots::HEARTBEAT_STALLED, TARGET, &[], samples);
    let waits = |count| Samples::flat(0.0, 4).climb(step.as_seconds(), count);
    vec![
        stalled(case("the disk dies, and comes back"), waits(steps + 4).then(0.0, 4))
            .fires_from(step * (3 + steps) + step, FIRING)
            .quiet(step * (4 + steps + 4)),
        stalled(case("it waits just as long as is tolerated"), waits(steps).then(0.0, 8))
            .never_until(step * (steps + 12)),
        stalled(case("healthy"), Samples::flat(0.0, steps * 2)).never_until(step * steps * 2),
    ]
}

fn not_kept_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.boots.state_not_kept_for);
    let late = late(config).steps(step);
    let long = late + hold.steps(step) + 12;
    let end = step * long;
    let case = |name| Case::new(config, NOT_KEPT, name);
    let state = |case: Case, samples| case.series(&exporter::STATE_AVAILABLE, TARGET, &[], samples);
    let beaten = |case: Case, samples| case.series(&boots::HEARTBEAT, TARGET, &[], samples);
    let stalled = |case: Case, samples| case.series(&boots::HEARTBEAT_STALLED, TARGET, &[], samples);
    let flat = |value| Samples::flat(value, long);
    let beats = |count| Samples::rising(0.0, step.as_seconds(), count);
    let waits = |share| flat(config.boots.heartbeat_stalled_over.as_seconds() * share);
    let onset = step * (late + 3) + hold;
    // Its clock is an hour behind, or before.
    let fails = |start: f64| Samples::rising(start, step.as_seconds(), 4).hold(long);
    let wrong = |start: f64| Samples::rising(start, step.as_seconds(), long);
    let hour = Span::hours(1).as_seconds();
    vec![
        state(case("no directory"), flat(0.0)).fires_from(hold, FIRING),
        stalled(beaten(state(case("heartbeats fail"), flat(1.0)), fails(0.0)), flat(0.0)).fires_from(onset, FIRING),
        stalled(beaten(state(case("heartbeats fail, its clock is ahead"), flat(1.0)), fails(hour)), flat(0.0))
            .fires_from(onset, FIRING),
        stalled(beaten(state(case("healthy, its clock is behind"), flat(1.0)), wrong(-hour)), flat(0.0))
            .never_until(end),
        beaten(state(case("heartbeats fail, how long they wait is not known"), flat(1.0)), fails(0.0))
            .fires_from(onset, FIRING),
        stalled(beaten(state(case("heartbeats fail, each after a while"), flat(1.0)), fails(0.0)), waits(0.75))
            .fires_from(onset, FIRING),
        stalled(beaten(state(case("each heartbeat waits for long"), flat(1.0)), fails(0.0)), waits(1.5))
            .never_until(end),
        stalled(state(case("not one heartbeat"), flat(1.0)), flat(0.0)).fires_from(hold, FIRING),
        stalled(beaten(state(case("the disk hangs"), flat(1.0)), flat(0.0)), beats(long)).never_until(end),
        stalled(beaten(state(case("healthy"), flat(1.0)), beats(long)), flat(0.0)).never_until(end),
        case("nobody wants a state directory").up(TARGET, flat(1.0)).never_until(end),
    ]
}
