//! Memory cgroups whose tasks are parked for ever by their own throttle limit.
//!
//! Incident: on 2026-07-02 a hog settled between `memory.high` and `memory.max` with nothing to swap. Nothing could be
//! reclaimed, nothing was killed, and a server in the same cgroup was dead for an hour while its unit was active.

use std::iter;

use flatline_catalog::{Family, Label, memcg};

use super::targets::{self, count, off_the_grid};
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Choose, Expr, Matching, Range, Select, changes, increase, rate, select, without};
use crate::span::Span;

const CAPS: &str = "MemcgCapsExceedRam";
const BARE: &str = "WorkloadUncapped";
const INCIDENT: &str = "devvm memcg livelock, 2026-07-02: a server dead for 53 minutes inside MemoryHigh..MemoryMax";

pub(super) fn signal(config: &Config) -> Signal {
    let window = Range::Panel;
    Signal {
        name: "memcg",
        records: Vec::new(),
        alerts: vec![livelock(config), band(config), caps(config), uncapped(config)],
        cases: cases(config),
        test_stride: 1,
        columns: vec![Column {
            title: "Livelocks",
            expr: targets::count_by_instance(livelocked(config, Select::chosen)),
            scale: Scale::Count(1.0),
        }],
        graphs: vec![
            Graph {
                title: "Cgroups throttled at memory.high",
                description: "How often per second the kernel throttled a cgroup at its own memory.high. Dozens a second are healthy while pages come free, and a livelock while none do.",
                expr: throttled(window, Select::chosen).above(0.0),
                legend: "{instance} {cgroup}",
                scale: Scale::PerSecond,
            },
            Graph {
                title: "Cgroups waiting for memory",
                description: "Share of time in which somebody in the cgroup waited for memory, of cgroups that wait noticeably. Near 100 % together with throttling and no reclaim is the livelock.",
                expr: waiting(window, Select::chosen).above(0.05),
                legend: "{instance} {cgroup}",
                scale: Scale::Share(0.2, config.memcg.livelock_waiting_share),
            },
            Graph {
                title: "Pages freed per throttling",
                description: "What a throttling was good for: page cache work frees more than a hundred pages each time, a livelock none.",
                expr: rate(select(&memcg::RECLAIM_RECLAIMED_PAGES).chosen(), window)
                    .over(throttled(window, Select::chosen).above(0.0)),
                legend: "{instance} {cgroup}",
                scale: Scale::Amount,
            },
        ],
    }
}

/// How often the cgroup itself was throttled. Its parents repeat its events in `memory.events`, so this looks at
/// `memory.events.local`.
fn high(choose: Choose) -> Select {
    choose(select(&memcg::LOCAL_EVENTS)).with(&memcg::EVENT, "high")
}

/// The same per second.
fn throttled(window: Range, choose: Choose) -> Expr {
    without("sum", &[&memcg::EVENT], rate(high(choose), window))
}

/// The share of time in which somebody in the cgroup waits for memory (PSI `some`: `full` is 0 as soon as one task
/// burns CPU, though everybody else is parked).
fn waiting(window: Range, choose: Choose) -> Expr {
    let memory = choose(select(&memcg::WAITING_SECONDS)).with(&memcg::RESOURCE, "memory");
    without("sum", &[&memcg::RESOURCE], rate(memory, window))
}

/// Cgroups that were not throttled between nearly all looks of two windows. Bursts of seconds pass for a livelock
/// where nobody tells how long anybody waits; what lasts does not pause.
fn now_and_then(config: &Config, choose: Choose) -> Expr {
    let window = config.memcg.livelock_window * 2;
    let looks = window.steps(config.scrape_interval);
    without("sum", &[&memcg::EVENT], changes(high(choose), off_the_grid(config, window)))
        .below(count(looks - looks / 5))
}

/// The livelock, measured: the exonerating clauses are `unless`, so that a missing series can't blind the alert.
fn livelocked(config: &Config, choose: Choose) -> Expr {
    let thresholds = &config.memcg;
    let window = thresholds.window();
    let kills = choose(select(&memcg::EVENTS)).with(&memcg::EVENT, "oom_kill");
    let reclaimed = rate(choose(select(&memcg::RECLAIM_RECLAIMED_PAGES)), window);
    throttled(window, choose)
        .above(thresholds.livelock_high_per_second)
        .note("the cgroup itself is throttled at memory.high, again and again")
        .unless(
            Matching::All,
            waiting(window, choose)
                .at_most(thresholds.livelock_waiting_share)
                .note("somebody in it waits for memory most of the time"),
        )
        .unless(
            Matching::All,
            now_and_then(config, choose)
                .unless(Matching::All, waiting(window, choose))
                .note("where the kernel does not tell who waits (psi=0, as on RHEL): it is throttled without a pause"),
        )
        .unless(
            Matching::ignoring(&[&memcg::EVENT]),
            increase(kills, window).above(0.0).note("no OOM kill ends it, not in its children either"),
        )
        .unless(
            Matching::All,
            reclaimed
                .at_least(Expr::from(thresholds.livelock_pages_per_high).times(throttled(window, choose)))
                .note("and waiting is in vain: throttling frees next to nothing (page cache work frees hundreds of pages each time)"),
        )
}

fn livelock(config: &Config) -> Alert {
    Alert {
        name: "MemcgLivelock",
        severity: Severity::Page,
        expr: livelocked(config, Select::all),
        hold: config.memcg.livelock_for,
        summary: "Everything in {cgroup} on {instance} stands still: memory livelock",
        meaning: "The cgroup is above memory.high, nothing in it can be reclaimed and nothing is killed, so the kernel parks every task of it that allocates, for as long as the hog lives. Services in it look active and answer nothing.",
        first: "find the biggest process of the cgroup and note it, then `kill -9` it or write `max` to the cgroup's memory.high: either frees everybody within seconds. Don't restart the service, it is the victim.",
        incident: INCIDENT,
    }
}

/// Cgroups that are configured so, and not empty.
fn endangered(so: &'static Family) -> Expr {
    Expr::from(select(so)).equals(1.0).unless(
        Matching::All,
        Expr::from(select(&memcg::POPULATED)).equals(0.0).note("an empty cgroup endangers nobody"),
    )
}

fn band(config: &Config) -> Alert {
    Alert {
        name: "MemcgLivelockBandConfigured",
        severity: Severity::Info,
        expr: endangered(&memcg::LIVELOCK_BAND),
        hold: config.memcg.band_for,
        summary: "{cgroup} on {instance} is configured so that it can livelock",
        meaning: "memory.high is below memory.max and nothing can be swapped. A process that settles between the two is neither reclaimed nor killed, and everything that shares the cgroup stalls with it.",
        first: "set MemoryHigh=infinity on the unit or slice and keep MemoryMax, so that a runaway is killed instead of everybody being throttled.",
        incident: INCIDENT,
    }
}

/// One alert a host: which parent it is says the metric, and parents contain each other.
fn caps(config: &Config) -> Alert {
    Alert {
        name: CAPS,
        severity: Severity::Info,
        expr: without("max", &[&memcg::PARENT], select(&memcg::CHILDREN_MAX_BYTES))
            .above(select(&memcg::HOST_MEMORY_BYTES)),
        hold: config.memcg.caps_for,
        summary: "The memory limits of cgroups on {instance} add up to more than the host has",
        meaning: "Each cgroup stays within its limit and together they still fill the host: then the host swaps, or its own OOM killer chooses, and the limits protect nobody from the neighbours. Nothing is wrong as long as they don't all grow at once.",
        first: "`flatline_memcg_children_max_bytes > on(job, instance) group_left flatline_memcg_host_memory_bytes` tells whose children. Lower their limits, or give the parent one.",
        incident: "devvm, 2026-06-22: three users with 16 GiB each on a machine of 32 GiB; nothing reasoned about the whole box",
    }
}

/// One alert a host: on many hosts nobody has a limit.
fn uncapped(config: &Config) -> Alert {
    Alert {
        name: BARE,
        severity: Severity::Info,
        expr: without("count", &[&memcg::CGROUP], endangered(&memcg::UNCAPPED)),
        hold: config.memcg.caps_for,
        summary: "Work on {instance} runs without a memory limit: one runaway takes the host along",
        meaning: "A user's slice, a container, a pod or a machine has no memory.max, nor has any cgroup above it. What grows there grows until the host swaps to a standstill or kills by its own choice.",
        first: "`flatline_memcg_uncapped == 1` tells which. Give each a `MemoryMax=` (or `docker run --memory`), without MemoryHigh where nothing can be swapped.",
        incident: "devvm, 2026-06-22: users' slices without a limit, 13.9 of 14 GiB swap in use, and load 60",
    }
}

const TARGET: (&str, &str) = ("flatline", "devvm-a:10120");
const CGROUP: &str = "/user.slice/user-1000.slice";

fn cases(config: &Config) -> Vec<Case> {
    [livelock_cases(config), band_cases(config), caps_cases(config), uncapped_cases(config)].concat()
}

/// What one cgroup does, per second of the time in which something happens.
#[derive(Clone, Copy, Default)]
struct Load {
    high: f64,
    high_below: f64,
    max: f64,
    waiting: f64,
    waiting_for_io: f64,
    oom_kills: f64,
    oom_kills_below: f64,
    scanned: f64,
    reclaimed: f64,
}

/// Dozens of throttlings a second, everybody waiting, nothing reclaimed: as recorded, where nothing was even scanned.
const LIVELOCK: Load = Load {
    high: 20.0,
    high_below: 0.0,
    max: 0.0,
    waiting: 0.99,
    waiting_for_io: 0.0,
    oom_kills: 0.0,
    oom_kills_below: 0.0,
    scanned: 20_000.0,
    reclaimed: 0.0,
};

/// Page cache work over `memory.high`, as recorded.
const PAGE_CACHE: Load = Load { high: 90.0, waiting: 0.13, scanned: 13_000.0, reclaimed: 13_000.0, ..LIVELOCK };

type LoadSeries<'a> = (&'static Family, Option<(&'static Label, &'a str)>, f64);

impl Load {
    /// The series the cgroup shows: the witnesses, and their neighbours that must not be taken for them.
    fn series(&self) -> [LoadSeries<'static>; 10] {
        [
            (&memcg::LOCAL_EVENTS, Some((&memcg::EVENT, "high")), self.high),
            (&memcg::LOCAL_EVENTS, Some((&memcg::EVENT, "max")), self.max),
            (&memcg::LOCAL_EVENTS, Some((&memcg::EVENT, "oom_kill")), self.oom_kills),
            (&memcg::EVENTS, Some((&memcg::EVENT, "high")), self.high + self.high_below),
            (&memcg::EVENTS, Some((&memcg::EVENT, "oom_kill")), self.oom_kills + self.oom_kills_below),
            (&memcg::WAITING_SECONDS, Some((&memcg::RESOURCE, "memory")), self.waiting),
            (&memcg::WAITING_SECONDS, Some((&memcg::RESOURCE, "io")), self.waiting_for_io),
            // One task burns CPU: `full` stays near 0, as recorded.
            (&memcg::STALLED_SECONDS, Some((&memcg::RESOURCE, "memory")), 0.01),
            (&memcg::RECLAIM_SCANNED_PAGES, None, self.scanned),
            (&memcg::RECLAIM_RECLAIMED_PAGES, None, self.reclaimed),
        ]
    }
}

/// Idle samples first, then so many under load, then as many idle again.
struct Scene<'a> {
    config: &'a Config,
    busy: u64,
}

const IDLE: u64 = 4;

impl Scene<'_> {
    fn ramp(&self, per_second: f64) -> Samples {
        Samples::flat(100.0, IDLE)
            .climb(per_second * self.config.scrape_interval.as_seconds(), self.busy)
            .hold(self.busy)
    }

    fn end(&self) -> Span {
        self.config.scrape_interval * (IDLE + self.busy * 2)
    }

    fn case(&self, name: &str) -> Case {
        Case::new(self.config, "MemcgLivelock", name)
    }

    fn cgroup(&self, case: Case, cgroup: &str, load: Load) -> Case {
        self.cgroup_without(case, cgroup, load, &[])
    }

    fn cgroup_without(&self, case: Case, cgroup: &str, load: Load, missing: &[&Family]) -> Case {
        let series = load.series().into_iter().filter(|(family, ..)| !missing.contains(family));
        series.fold(case, |case, series| self.one(case, cgroup, series))
    }

    fn one(&self, case: Case, cgroup: &str, (family, label, per_second): LoadSeries<'_>) -> Case {
        let labels: Vec<(&Label, &str)> = iter::once((&memcg::CGROUP, cgroup)).chain(label).collect();
        case.series(family, TARGET, &labels, self.ramp(per_second))
    }
}

fn livelock_cases(config: &Config) -> Vec<Case> {
    [firing_cases(config), silent_cases(config), interrupted_cases(config), untold_cases(config)].concat()
}

fn scene(config: &Config) -> Scene<'_> {
    Scene { config, busy: (config.memcg.livelock_window + config.memcg.livelock_for).steps(config.scrape_interval) + 4 }
}

fn firing_cases(config: &Config) -> Vec<Case> {
    let (memcg, step) = (&config.memcg, config.scrape_interval);
    let scene = &scene(config);
    let onset = step * IDLE;
    // Full speed for a whole window, and `for`: by then it must have fired.
    let seen = onset + memcg.livelock_window + memcg.livelock_for;
    let alone: &[(&str, &str)] = &[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", CGROUP)];
    let fires = |case: Case| case.quiet(onset).fires(seen, &[alone]).quiet(scene.end() - step);
    let load = |name: &str, load| scene.cgroup(scene.case(name), CGROUP, load);
    let missing = |name: &str, family| scene.cgroup_without(scene.case(name), CGROUP, LIVELOCK, &[family]);

    // The parent waits with its child and repeats its events, but is not the one that is throttled.
    let parent = Load { high: 0.0, high_below: LIVELOCK.high, ..LIVELOCK };
    let barely = Load {
        high: memcg.livelock_high_per_second * 1.5,
        waiting: memcg.livelock_waiting_share.midpoint(1.0),
        reclaimed: memcg.livelock_high_per_second * 1.5 * memcg.livelock_pages_per_high * 0.7,
        ..LIVELOCK
    };
    let other_host = (TARGET.0, "devvm-b:10120");
    vec![
        fires(load("the livelock, with one task that burns CPU", LIVELOCK)),
        fires(load("barely over every threshold", barely)),
        fires(load(
            "a few pages come free each time",
            Load { reclaimed: LIVELOCK.high * memcg.livelock_pages_per_high * 0.7, ..LIVELOCK },
        )),
        fires(scene.cgroup_without(
            load("below a parent that waits with it and repeats its events", LIVELOCK),
            "/user.slice",
            parent,
            &[&memcg::RECLAIM_RECLAIMED_PAGES],
        )),
        fires(scene.cgroup(
            load("beside a healthy neighbour", LIVELOCK),
            "/docker",
            Load { oom_kills: 0.1, ..PAGE_CACHE },
        )),
        fires(load("an OOM kill in the cgroup of that name on another host", LIVELOCK).series(
            &memcg::EVENTS,
            other_host,
            &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "oom_kill")],
            scene.ramp(1.0),
        )),
        fires(missing("kills are not exported", &memcg::EVENTS)),
        fires(missing("reclaim is not exported", &memcg::RECLAIM_RECLAIMED_PAGES)),
    ]
}

fn silent_cases(config: &Config) -> Vec<Case> {
    let memcg = &config.memcg;
    let scene = &scene(config);
    let burst = Scene { config, busy: memcg.livelock_window.steps(config.scrape_interval).div_ceil(4).max(1) };
    let pages = memcg.livelock_pages_per_high;
    let share = memcg.livelock_waiting_share;
    let never = |name: &str, load| scene.cgroup(scene.case(name), CGROUP, load).never_until(scene.end());
    vec![
        never("idle", Load::default()),
        never("rarely throttled", Load { high: memcg.livelock_high_per_second * 0.7, ..LIVELOCK }),
        never("not throttled, it waits for memory below its limit", Load { high: 0.0, ..LIVELOCK }),
        scene
            .cgroup_without(
                scene.case("at memory.max, not at memory.high; reclaim is not exported"),
                CGROUP,
                Load { high: 0.0, max: 20.0, ..LIVELOCK },
                &[&memcg::RECLAIM_RECLAIMED_PAGES],
            )
            .never_until(scene.end()),
        never("throttled, but waiting little", Load { waiting: share * 0.7, ..LIVELOCK }),
        never("it waits for its disk, not for memory", Load { waiting: share * 0.2, waiting_for_io: 0.99, ..LIVELOCK }),
        never("pages come free", Load { reclaimed: LIVELOCK.high * pages * 1.5, ..LIVELOCK }),
        never(
            "pages come free, its children are throttled too and it touches memory.max",
            Load { high_below: 90.0, max: 90.0, reclaimed: LIVELOCK.high * pages * 1.5, ..LIVELOCK },
        ),
        never("page cache work over memory.high", PAGE_CACHE),
        never("page cache work over memory.high on a slow disk", Load { waiting: 0.95, ..PAGE_CACHE }),
        never("the kernel kills in the cgroup itself", Load { oom_kills: 0.05, ..LIVELOCK }),
        never("the kernel kills in a child that is removed at once", Load { oom_kills_below: 0.05, ..LIVELOCK }),
        burst.cgroup(burst.case("a burst of a quarter of the window"), CGROUP, LIVELOCK).never_until(burst.end()),
    ]
}

/// Counters that jump because somebody looked away, not because something happened.
fn interrupted_cases(config: &Config) -> Vec<Case> {
    let scene = &scene(config);
    let high = [(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "high")];
    let waiting = [(&memcg::CGROUP, CGROUP), (&memcg::RESOURCE, "memory")];
    let case = |name: &str, samples: &dyn Fn(f64) -> Samples| {
        scene
            .case(name)
            .series(&memcg::LOCAL_EVENTS, TARGET, &high, samples(5000.0))
            .series(&memcg::WAITING_SECONDS, TARGET, &waiting, samples(500.0))
            .never_until(scene.end())
    };
    vec![
        case("fresh: large counters appear at once and stand still", &|value| {
            Samples::default().gap(IDLE).then(value, scene.busy * 2)
        }),
        case("the cgroup is removed and made anew", &|value| {
            Samples::flat(value, IDLE).gone().gap(1).then(0.0, scene.busy)
        }),
        case("the exporter was away for a while", &|value| Samples::flat(value, IDLE).gap(3).then(value, scene.busy)),
        case("a one-off burst while the exporter was away", &|value| {
            let share = value * config.memcg.livelock_waiting_share / 1000.0;
            Samples::flat(value, IDLE)
                .gap(3)
                .then(value + share * config.memcg.livelock_window.as_seconds(), scene.busy)
        }),
    ]
}

/// Kernels that do not tell who waits.
fn untold_cases(config: &Config) -> Vec<Case> {
    let looks = (config.memcg.livelock_window * 2).steps(config.scrape_interval);
    let scene = Scene { config, busy: looks + config.memcg.livelock_for.steps(config.scrape_interval) + 2 };
    let untold = |name, load| scene.cgroup_without(scene.case(name), CGROUP, load, &[&memcg::WAITING_SECONDS]);
    let seen = config.scrape_interval * (IDLE + looks) + config.memcg.livelock_for;
    let alone: &[(&str, &str)] = &[("job", TARGET.0), ("instance", TARGET.1), ("cgroup", CGROUP)];
    // Its children are throttled without a pause, it touches memory.max, and who waits for the disk is told.
    let beside = Load { high: 0.0, high_below: LIVELOCK.high, max: 20.0, ..LIVELOCK };
    let own = [(&memcg::LOCAL_EVENTS, "high"), (&memcg::WAITING_SECONDS, "memory")];
    let others = beside.series().into_iter().filter(|(family, label, _)| {
        *family != &memcg::RECLAIM_RECLAIMED_PAGES && label.is_none_or(|(_, value)| !own.contains(&(family, value)))
    });
    let bursts = (0..looks / 2).fold(Samples::flat(0.0, IDLE), |samples, _| samples.climb(99.0, 2).hold(1));
    let burst = scene.case("who waits is not told (psi=0), bursts").series(
        &memcg::LOCAL_EVENTS,
        TARGET,
        &[(&memcg::CGROUP, CGROUP), (&memcg::EVENT, "high")],
        bursts,
    );
    vec![
        untold("who waits is not told (psi=0)", LIVELOCK).quiet(config.scrape_interval * IDLE).fires(seen, &[alone]),
        untold("who waits is not told (psi=0), page cache work", PAGE_CACHE).never_until(scene.end()),
        others.fold(burst, |case, series| scene.one(case, CGROUP, series)).never_until(scene.end()),
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

const GIB: f64 = 1_073_741_824.0;
const HOST: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1)]];

fn caps_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.memcg.caps_for);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, CAPS, name);
    let flat = |gib: f64| Samples::flat(gib * GIB, long);
    let caps = |case: Case, parent, samples| {
        case.series(&memcg::CHILDREN_MAX_BYTES, TARGET, &[(&memcg::PARENT, parent)], samples)
    };
    let host = |case: Case| case.series(&memcg::HOST_MEMORY_BYTES, TARGET, &[], flat(32.0));
    vec![
        host(caps(caps(case("three users of 16 GiB on 32 GiB"), "/user.slice", flat(48.0)), "/", flat(8.0)))
            .fires_from(hold, HOST),
        host(caps(caps(case("they fit"), "/user.slice", flat(16.0)), "/", flat(31.0))).never_until(step * long),
        host(caps(
            case("a job with a limit of its own for a while"),
            "/user.slice",
            Samples::flat(48.0 * GIB, hold.steps(step)).then(16.0 * GIB, 8),
        ))
        .never_until(step * long),
        caps(case("what the host has is not known"), "/user.slice", flat(48.0)).never_until(step * long),
    ]
}

fn uncapped_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.memcg.caps_for);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, BARE, name);
    let of = |case: Case, family, cgroup, samples| case.series(family, TARGET, &[(&memcg::CGROUP, cgroup)], samples);
    let bare = |case, cgroup, value| of(case, &memcg::UNCAPPED, cgroup, Samples::flat(value, long));
    let populated = |case, cgroup, value| of(case, &memcg::POPULATED, cgroup, Samples::flat(value, long));
    let other = "/user.slice/user-1001.slice";
    let never = |case: Case| case.never_until(step * long);
    vec![
        populated(
            populated(bare(bare(case("two users, one alert"), CGROUP, 1.0), other, 1.0), CGROUP, 1.0),
            other,
            1.0,
        )
        .fires_from(hold, HOST),
        bare(case("whether it is populated is not known"), CGROUP, 1.0).fires(hold, HOST),
        never(populated(bare(case("nobody inside"), CGROUP, 1.0), CGROUP, 0.0)),
        never(populated(bare(case("it has a limit, or its parent has"), CGROUP, 0.0), CGROUP, 1.0)),
        never(of(
            case("given a limit in time"),
            &memcg::UNCAPPED,
            CGROUP,
            Samples::flat(1.0, hold.steps(step)).then(0.0, 8),
        )),
    ]
}
