//! Memory cgroups whose tasks are parked for ever by their own throttle limit.
//!
//! Incident: on 2026-07-02 a hog settled between `memory.high` and `memory.max` with nothing to swap. Nothing could be
//! reclaimed, nothing was killed, and a server in the same cgroup was dead for an hour while its unit was active.

use flatline_catalog::memcg;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Samples, Signal};
use crate::promql::{Expr, Matching, Range, increase, rate, select, without};
use crate::span::Span;

const INCIDENT: &str = "devvm memcg livelock, 2026-07-02: a server dead for 53 minutes inside MemoryHigh..MemoryMax";

pub(super) fn signal(config: &Config) -> Signal {
    Signal { name: "memcg", alerts: vec![livelock(config), band(config)], cases: cases(config) }
}

/// How often the cgroup itself is throttled, per second. Its parents repeat its events in `memory.events`, so this
/// looks at `memory.events.local`.
#[must_use]
pub fn throttled(window: Range) -> Expr {
    let high = select(&memcg::LOCAL_EVENTS).with(&memcg::EVENT, "high");
    without("sum", &[&memcg::EVENT], rate(high, window))
}

/// The share of time in which somebody in the cgroup waits for memory (PSI `some`: `full` is 0 as soon as one task
/// burns CPU, though everybody else is parked).
#[must_use]
pub fn waiting(window: Range) -> Expr {
    let memory = select(&memcg::WAITING_SECONDS).with(&memcg::RESOURCE, "memory");
    without("sum", &[&memcg::RESOURCE], rate(memory, window))
}

/// The livelock, measured: the exonerating clauses are `unless`, so that a missing series can't blind the alert.
#[must_use]
pub fn livelocked(config: &Config) -> Expr {
    let thresholds = &config.memcg;
    let window = thresholds.window();
    let kills = select(&memcg::EVENTS).with(&memcg::EVENT, "oom_kill");
    let reclaimed = rate(select(&memcg::RECLAIM_RECLAIMED_PAGES), window);
    throttled(window)
        .above(thresholds.livelock_high_per_second)
        .note("the cgroup itself is throttled at memory.high, again and again")
        .and(
            Matching::All,
            waiting(window).above(thresholds.livelock_waiting_share).note("somebody in it waits for memory most of the time"),
        )
        .unless(
            Matching::ignoring(&[&memcg::EVENT]),
            increase(kills, window).above(0.0).note("no OOM kill ends it, not in its children either"),
        )
        .unless(
            Matching::All,
            reclaimed
                .at_least(Expr::from(thresholds.livelock_pages_per_high).times(throttled(window)))
                .note("and waiting is in vain: throttling frees next to nothing (page cache work frees hundreds of pages each time)"),
        )
}

fn livelock(config: &Config) -> Alert {
    Alert {
        name: "MemcgLivelock",
        severity: Severity::Page,
        expr: livelocked(config),
        hold: config.memcg.livelock_for,
        summary: "Everything in {cgroup} on {instance} stands still: memory livelock",
        meaning: "The cgroup is above memory.high, nothing in it can be reclaimed and nothing is killed, so the kernel parks every task of it that allocates, for as long as the hog lives. Services in it look active and answer nothing.",
        first: "find the biggest process of the cgroup and note it, then `kill -9` it or write `max` to the cgroup's memory.high: either frees everybody within seconds. Don't restart the service, it is the victim.",
        incident: INCIDENT,
    }
}

fn band(config: &Config) -> Alert {
    Alert {
        name: "MemcgLivelockBandConfigured",
        severity: Severity::Info,
        expr: Expr::from(select(&memcg::LIVELOCK_BAND)).equals(1.0).unless(
            Matching::All,
            Expr::from(select(&memcg::POPULATED)).equals(0.0).note("an empty cgroup endangers nobody"),
        ),
        hold: config.memcg.band_for,
        summary: "{cgroup} on {instance} is configured so that it can livelock",
        meaning: "memory.high is below memory.max and nothing can be swapped. A process that settles between the two is neither reclaimed nor killed, and everything that shares the cgroup stalls with it.",
        first: "set MemoryHigh=infinity on the unit or slice and keep MemoryMax, so that a runaway is killed instead of everybody being throttled.",
        incident: INCIDENT,
    }
}

const TARGET: (&str, &str) = ("flatline", "devvm-a:10120");
const CGROUP: &str = "/user.slice/user-1000.slice";

fn cases(config: &Config) -> Vec<Case> {
    [livelock_cases(config), band_cases(config)].concat()
}

/// What one cgroup does, per second of the time in which something happens.
#[derive(Clone, Copy)]
struct Load {
    high: f64,
    waiting: f64,
    oom_kills: f64,
    reclaimed: f64,
}

/// As recorded from a real livelock: dozens of throttlings a second, everybody waiting, nothing reclaimed.
const LIVELOCK: Load = Load { high: 20.0, waiting: 0.99, oom_kills: 0.0, reclaimed: 0.0 };

struct Scene<'a> {
    config: &'a Config,
    /// Idle samples first, then this many under load, then as many idle again.
    busy: u64,
}

const IDLE: u64 = 4;

impl Scene<'_> {
    fn ramp(&self, start: f64, per_second: f64) -> Samples {
        let by = per_second * self.config.scrape_interval.as_seconds();
        Samples::flat(start, IDLE).climb(by, self.busy).hold(self.busy)
    }

    fn end(&self) -> Span {
        self.config.scrape_interval * (IDLE + self.busy * 2)
    }

    fn case(&self, name: &str) -> Case {
        Case::new(self.config, "MemcgLivelock", name)
    }

    /// The four witnesses, and their neighbours that must not be taken for them.
    fn cgroup(&self, case: Case, cgroup: &str, load: Load) -> Case {
        self.witnesses(case, cgroup, load, [true; 4])
    }

    fn witnesses(&self, case: Case, cgroup: &str, load: Load, [high, waiting, kills, reclaim]: [bool; 4]) -> Case {
        let mut case = case;
        let mut add = |present: bool, family, labels: &[_], per_second: f64| {
            if present {
                let labels = [&[(&memcg::CGROUP, cgroup)], labels].concat();
                case = std::mem::replace(&mut case, Case::new(self.config, "", "")).series(
                    family,
                    TARGET,
                    &labels,
                    self.ramp(100.0, per_second),
                );
            }
        };
        add(high, &memcg::LOCAL_EVENTS, &[(&memcg::EVENT, "high")], load.high);
        add(high, &memcg::LOCAL_EVENTS, &[(&memcg::EVENT, "max")], 0.0);
        add(high, &memcg::EVENTS, &[(&memcg::EVENT, "high")], load.high);
        add(kills, &memcg::EVENTS, &[(&memcg::EVENT, "oom_kill")], load.oom_kills);
        add(waiting, &memcg::WAITING_SECONDS, &[(&memcg::RESOURCE, "memory")], load.waiting);
        add(waiting, &memcg::WAITING_SECONDS, &[(&memcg::RESOURCE, "cpu")], 0.01);
        // One task burns CPU: `full` stays 0, as measured.
        add(waiting, &memcg::STALLED_SECONDS, &[(&memcg::RESOURCE, "memory")], 0.01);
        add(reclaim, &memcg::RECLAIM_RECLAIMED_PAGES, &[], load.reclaimed);
        add(reclaim, &memcg::RECLAIM_SCANNED_PAGES, &[], load.reclaimed);
        case
    }
}

fn livelock_cases(config: &Config) -> Vec<Case> {
    let (step, window, hold) = (config.scrape_interval, config.memcg.livelock_window, config.memcg.livelock_for);
    let scene = Scene { config, busy: (window + hold).steps(step) + 4 };
    let scene = &scene;
    let onset = step * IDLE;
    // Full speed for a whole window, and `for`: by then it must have fired.
    let seen = onset + window + hold;
    let thresholds = &config.memcg;
    let (high, share, pages) =
        (thresholds.livelock_high_per_second, thresholds.livelock_waiting_share, thresholds.livelock_pages_per_high);
    let alone: &[(&str, &str)] = &[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", CGROUP)];
    let fires = |case: Case| case.quiet(onset).fires(seen, &[alone]).quiet(scene.end() - step);
    let never = |case: Case| case.never_until(scene.end());
    let load = |name: &str, load| scene.cgroup(scene.case(name), CGROUP, load);
    let missing = |name: &str, present| scene.witnesses(scene.case(name), CGROUP, LIVELOCK, present);
    let burst = Scene { config, busy: window.steps(step).div_ceil(4).max(1) };

    // The parent waits with its child and repeats its events, but is not the one that is throttled.
    let parent = {
        let case = load("a livelock below a parent that repeats its events", LIVELOCK);
        let slice = [(&memcg::CGROUP, "/user.slice")];
        case.series(&memcg::EVENTS, TARGET, &[slice[0], (&memcg::EVENT, "high")], scene.ramp(0.0, LIVELOCK.high))
            .series(&memcg::LOCAL_EVENTS, TARGET, &[slice[0], (&memcg::EVENT, "high")], scene.ramp(0.0, 0.0))
            .series(&memcg::EVENTS, TARGET, &[slice[0], (&memcg::EVENT, "oom_kill")], scene.ramp(0.0, 0.0))
            .series(&memcg::WAITING_SECONDS, TARGET, &[slice[0], (&memcg::RESOURCE, "memory")], scene.ramp(0.0, 0.99))
            .series(&memcg::RECLAIM_RECLAIMED_PAGES, TARGET, &slice, scene.ramp(0.0, 0.0))
    };
    // A leaf was killed and removed: only the hierarchical counter keeps the kill.
    let killed_below =
        load("the kernel kills in a child that is removed at once", Load { oom_kills: 0.05, ..LIVELOCK }).series(
            &memcg::LOCAL_EVENTS,
            TARGET,
            &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "oom_kill")],
            scene.ramp(0.0, 0.0),
        );
    // The machine's disk is slow, not its memory.
    let io = load("it waits for its disk, not for memory", Load { waiting: share / 2.0, ..LIVELOCK }).series(
        &memcg::WAITING_SECONDS,
        TARGET,
        &[(&memcg::CGROUP, CGROUP), (&memcg::RESOURCE, "io")],
        scene.ramp(0.0, 0.99),
    );
    // The neighbour's innocence is not the cgroup's.
    let neighbour = scene.cgroup(
        load("a livelock beside a healthy neighbour", LIVELOCK),
        "/docker",
        Load { high: 0.0, waiting: 0.0, oom_kills: 0.1, reclaimed: 9000.0 },
    );
    let other_host = load("a livelock, and an OOM kill in a cgroup of that name on another host", LIVELOCK).series(
        &memcg::EVENTS,
        (TARGET.0, "devvm-b:10120"),
        &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "oom_kill")],
        scene.ramp(0.0, 1.0),
    );
    let everything_at_once = {
        let at = |per_second: f64| Samples::default().gap(IDLE).then(per_second * 5000.0, 1).hold(scene.busy * 2);
        scene
            .case("fresh: large counters appear at once and stand still")
            .series(&memcg::LOCAL_EVENTS, TARGET, &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "high")], at(20.0))
            .series(&memcg::WAITING_SECONDS, TARGET, &[(&memcg::CGROUP, CGROUP), (&memcg::RESOURCE, "memory")], at(1.0))
    };
    let recreated = {
        let again = |busy: f64| Samples::flat(busy, IDLE).gone().gap(1).then(0.0, scene.busy);
        scene
            .case("the cgroup is removed and made anew: all counters start again")
            .series(&memcg::LOCAL_EVENTS, TARGET, &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "high")], again(5000.0))
            .series(
                &memcg::WAITING_SECONDS,
                TARGET,
                &[(&memcg::CGROUP, CGROUP), (&memcg::RESOURCE, "memory")],
                again(500.0),
            )
    };
    let restarted = {
        // The exporter is away for a few scrapes; the kernel's counters go on, as they do in a healthy burst.
        let away = |by: f64| Samples::rising(0.0, by, IDLE).gap(3).climb(by, scene.busy);
        let step = step.as_seconds();
        scene
            .case("the exporter restarts under page cache work")
            .series(
                &memcg::LOCAL_EVENTS,
                TARGET,
                &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "high")],
                away(80.0 * step),
            )
            .series(
                &memcg::WAITING_SECONDS,
                TARGET,
                &[(&memcg::CGROUP, CGROUP), (&memcg::RESOURCE, "memory")],
                away(0.1 * step),
            )
            .series(&memcg::RECLAIM_RECLAIMED_PAGES, TARGET, &[(&memcg::CGROUP, CGROUP)], away(16000.0 * step))
    };

    vec![
        fires(load("the livelock, with one task that burns CPU", LIVELOCK)),
        fires(parent),
        fires(neighbour),
        fires(other_host),
        fires(load(
            "barely over every threshold",
            Load {
                high: high * 1.5,
                waiting: share.midpoint(1.0),
                oom_kills: 0.0,
                reclaimed: high * 1.5 * pages * 0.7,
            },
        )),
        fires(missing("no oom_kill series", [true, true, false, true])),
        fires(missing("no reclaim series", [true, true, true, false])),
        never(load("rarely throttled", Load { high: high * 0.7, ..LIVELOCK })),
        never(load("throttled, but waiting little", Load { waiting: share * 0.7, ..LIVELOCK })),
        never(load("pages come free", Load { reclaimed: LIVELOCK.high * pages * 1.5, ..LIVELOCK })),
        never(load(
            "page cache work over memory.high",
            Load { high: 90.0, waiting: 0.13, oom_kills: 0.0, reclaimed: 13000.0 },
        )),
        never(load(
            "page cache work over memory.high on a slow disk",
            Load { high: 90.0, waiting: 0.95, oom_kills: 0.0, reclaimed: 13000.0 },
        )),
        never(load("the kernel kills in the cgroup itself", Load { oom_kills: 0.05, ..LIVELOCK })),
        never(killed_below),
        never(io),
        never(load("idle", Load { high: 0.0, waiting: 0.0, oom_kills: 0.0, reclaimed: 0.0 })),
        never(load("waits for memory below its limit", Load { high: 0.0, ..LIVELOCK })),
        never(burst.cgroup(burst.case("a burst of a quarter of the window"), CGROUP, LIVELOCK)),
        never(everything_at_once),
        never(recreated),
        never(restarted),
    ]
}

fn band_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.memcg.band_for);
    let long = hold.steps(step) + 8;
    let cgroup = [(&memcg::CGROUP, CGROUP)];
    let case = |name| Case::new(config, "MemcgLivelockBandConfigured", name);
    let band = |case: Case, samples| case.series(&memcg::LIVELOCK_BAND, TARGET, &cgroup, samples);
    let populated = |case: Case, value| case.series(&memcg::POPULATED, TARGET, &cgroup, Samples::flat(value, long));
    let firing: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", CGROUP)]];
    vec![
        populated(band(case("high below max, no swap, processes inside"), Samples::flat(1.0, long)), 1.0)
            .fires_from(hold, firing),
        band(case("whether it is populated is not known"), Samples::flat(1.0, long)).fires(hold, firing),
        populated(band(case("nobody inside"), Samples::flat(1.0, long)), 0.0).never_until(step * long),
        populated(band(case("no band"), Samples::flat(0.0, long)), 1.0).never_until(step * long),
        band(case("repaired in time"), Samples::flat(1.0, hold.steps(step)).then(0.0, 8)).never_until(step * long),
    ]
}
