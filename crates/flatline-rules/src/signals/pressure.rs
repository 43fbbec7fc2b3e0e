//! The host's pressure stall information, and its swapping.

use flatline_catalog::pressure;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Matching, Range, Select, by, rate, select};

const THRASH: &str = "SwapThrash";
const SUSTAINED: &str = "MemoryPressureSustained";

pub(super) fn signal(config: &Config) -> Signal {
    let waiting = || select(&pressure::WAITING_SECONDS).chosen();
    let column = |title, resource| Column {
        title,
        expr: by("max", &["instance"], rate(Select::with(waiting(), &pressure::RESOURCE, resource), Range::Panel)),
        scale: Scale::Share(0.2, 0.6),
    };
    let graph = |title, description, family| Graph {
        title,
        description,
        expr: rate(select(family).chosen(), Range::Panel),
        legend: "{instance} {resource}",
        scale: Scale::Share(0.2, 0.6),
    };
    Signal {
        name: "pressure",
        records: Vec::new(),
        alerts: vec![thrash(config), sustained(config)],
        cases: [cases(config), sustained_cases(config)].concat(),
        test_stride: 1,
        columns: vec![column("Mem. wait", "memory"), column("Disk wait", "io")],
        graphs: vec![
            graph(
                "Somebody waits",
                "Share of time in which at least one task of the host waited for the resource (PSI some). Some waiting is normal; near 100 % somebody always waits.",
                &pressure::WAITING_SECONDS,
            ),
            graph(
                "Everybody waits",
                "Share of time in which all tasks with something to do waited at once (PSI full). Near 100 % the host does no work at all, however alive it looks.",
                &pressure::STALLED_SECONDS,
            ),
            Graph {
                title: "Swapping",
                description: "Bytes a second that are written to swap (out) and read back (in). What goes out once is only tidied away; what comes back again and again does not fit into memory.",
                expr: rate(select(&pressure::SWAP_BYTES).chosen(), Range::Panel),
                legend: "{instance} {direction}",
                scale: Scale::Count(config.pressure.thrash_bytes_per_second),
            },
        ],
    }
}

fn thrash(config: &Config) -> Alert {
    let Config { pressure: limits, .. } = config;
    let window = Range::Fixed(limits.thrash_window);
    let stalled = select(&pressure::STALLED_SECONDS).with(&pressure::RESOURCE, "io");
    let read_back = select(&pressure::SWAP_BYTES).with(&pressure::DIRECTION, "in");
    Alert {
        name: THRASH,
        severity: Severity::Warning,
        // Memory pressure hardly shows it: who waits for its page to come back waits for the disk. Measured on a disk of
        // 100 and of 200 requests a second in an emulated guest, whose processor is slow: io 0.74 and 0.62, memory
        // 0.04 and 0.07, 6 MB/s come back. Where the processor is not emulated io was 0.86 to 0.90.
        expr: rate(stalled, window).above(limits.thrash_stalled_share).note("everybody waits for a disk at once").and(
            Matching::ignoring(&[&pressure::RESOURCE, &pressure::DIRECTION]),
            rate(read_back, window).above(limits.thrash_bytes_per_second).note("and it is the swap that they wait for"),
        ),
        hold: limits.thrash_for,
        summary: "{instance} thrashes: it does nothing but bring back from swap what it needs next",
        meaning: "More memory is in use than there is, so each page that is needed was swapped out to make room for another. The processors are idle, nobody is killed, and everything is a hundred times slower. Memory pressure may look harmless: what they wait for is the disk.",
        first: "find who has grown (`systemd-cgtop -m`, or flatline_memcg_current_bytes by cgroup), and stop or limit it. Logging in takes minutes: use a session that is open.",
        incident: "devvm, June 2026: agent storms swapped the machine to a crawl; journald was killed by its watchdog three times",
    }
}

fn sustained(config: &Config) -> Alert {
    let limits = &config.pressure;
    let stalled = select(&pressure::STALLED_SECONDS).with(&pressure::RESOURCE, "memory");
    Alert {
        name: SUSTAINED,
        severity: Severity::Warning,
        // Recorded over two minutes: jobs over memory.high that make progress 0.1, bursts of 8 of 45 seconds 0.2, a busy
        // processor 0. A livelock reaches 0.95 when it holds everybody, and has its own alert, which silences this one.
        expr: rate(stalled, Range::Fixed(limits.sustained_window)).above(limits.sustained_stalled_share),
        hold: limits.sustained_for,
        summary: "{instance} hardly does anything but wait for memory",
        meaning: "For minutes everybody who had something to do waited for memory at once, most of the time: the kernel takes pages away that are needed again at once (programs read from disk over and over, without or beside swap), squeezes them into zram, or holds everybody back at a cgroup's limit. Nobody is killed as long as a page still comes free now and then.",
        first: "find who has grown (`systemd-cgtop -m`, or flatline_memcg_current_bytes by cgroup), and stop or limit it. flatline_memcg_waiting_seconds_total tells whether it is one cgroup or the whole host.",
        incident: "devvm, 2026-06-22: load 60, tasks blocked everywhere, and no alert on the pressure that said so",
    }
}

fn sustained_cases(config: &Config) -> Vec<Case> {
    let (limits, step) = (&config.pressure, config.scrape_interval);
    let seen = limits.sustained_window + limits.sustained_for;
    let busy = seen.steps(step) + 4;
    let waits = |case: Case, resource, per_second: f64, busy: u64| {
        let samples = Samples::flat(100.0, IDLE).climb(per_second * step.as_seconds(), busy).hold(busy);
        case.series(&pressure::STALLED_SECONDS, TARGET, &[(&pressure::RESOURCE, resource)], samples)
    };
    let stalled = |name: &str, memory, io| {
        let case = waits(Case::new(config, SUSTAINED, name), "memory", memory, busy);
        waits(case, "io", io, busy)
    };
    let (onset, end) = (step * IDLE, step * (IDLE + busy * 2));
    let labels: &[(&str, &str)] = &[("job", TARGET.0), ("instance", TARGET.1), ("resource", "memory")];
    let share = limits.sustained_stalled_share;
    vec![
        stalled("programs are read from disk again and again", 0.95, 0.3)
            .quiet(onset + limits.sustained_for)
            .fires(onset + seen, &[labels])
            .quiet(end - step),
        stalled("barely over the limit", share * 1.1, 0.0).fires(onset + seen, &[labels]),
        stalled("barely below the limit", share * 0.9, 0.0).never_until(end),
        stalled("jobs over their memory.high that make progress", 0.1, 0.1).never_until(end),
        stalled("swap: SwapThrash says so", 0.05, 0.9).never_until(end),
        waits(
            Case::new(config, SUSTAINED, "a burst, shorter than is tolerated"),
            "memory",
            0.95,
            limits.sustained_for.steps(step),
        )
        .never_until(end),
    ]
}

const TARGET: (&str, &str) = ("devvm", "devvm-a:10120");
const IDLE: u64 = 4;

/// What the host does a second.
#[derive(Clone, Copy)]
struct Load {
    stalled_for_io: f64,
    stalled_for_memory: f64,
    read_back: f64,
    written: f64,
}

/// As measured in a guest whose working set is larger than its memory.
const THRASHING: Load =
    Load { stalled_for_io: 0.87, stalled_for_memory: 0.05, read_back: 20_000_000.0, written: 20_000_000.0 };

fn cases(config: &Config) -> Vec<Case> {
    let (limits, step) = (&config.pressure, config.scrape_interval);
    let seen = limits.thrash_window + limits.thrash_for;
    let busy = seen.steps(step) + 4;
    let ramp =
        |per_second: f64, busy: u64| Samples::flat(100.0, IDLE).climb(per_second * step.as_seconds(), busy).hold(busy);
    let loaded = |name: &str, load: Load, busy: u64| {
        let stalled = |case: Case, resource, per_second| {
            let labels = [(&pressure::RESOURCE, resource)];
            case.series(&pressure::STALLED_SECONDS, TARGET, &labels, ramp(per_second, busy))
        };
        let swapped = |case: Case, direction, per_second| {
            let labels = [(&pressure::DIRECTION, direction)];
            case.series(&pressure::SWAP_BYTES, TARGET, &labels, ramp(per_second, busy))
        };
        let case = Case::new(config, THRASH, name);
        let case = stalled(stalled(case, "io", load.stalled_for_io), "memory", load.stalled_for_memory);
        swapped(swapped(case, "in", load.read_back), "out", load.written)
    };
    let (onset, end) = (step * IDLE, step * (IDLE + busy * 2));
    let labels: &[(&str, &str)] = &[("job", TARGET.0), ("instance", TARGET.1), ("resource", "io")];
    let fires = |case: Case| case.quiet(onset).fires(onset + seen, &[labels]).quiet(end - step);
    let never = |name: &str, load: Load| loaded(name, load, busy).never_until(end);
    let Load { read_back, stalled_for_io, .. } = THRASHING;
    vec![
        fires(loaded("more memory is needed than there is", THRASHING, busy)),
        fires(loaded(
            "barely over both limits",
            Load {
                stalled_for_io: limits.thrash_stalled_share * 1.1,
                read_back: limits.thrash_bytes_per_second * 1.1,
                ..THRASHING
            },
            busy,
        )),
        never("a disk that is busy with other things", Load { read_back: 0.0, written: 0.0, ..THRASHING }),
        never(
            "the same, and now and then a page comes back",
            Load { read_back: limits.thrash_bytes_per_second * 0.9, ..THRASHING },
        ),
        never(
            "swap on a disk that is fast enough",
            Load { stalled_for_io: limits.thrash_stalled_share * 0.9, read_back: read_back * 10.0, ..THRASHING },
        ),
        never(
            "memory is short, and the disk idle",
            Load { stalled_for_io: 0.0, stalled_for_memory: stalled_for_io, ..THRASHING },
        ),
        never("what is not needed is swapped out", Load { read_back: 0.0, ..THRASHING }),
        loaded("a burst, shorter than is tolerated", THRASHING, limits.thrash_window.steps(step) * 5 / 8)
            .never_until(end),
        Case::new(config, THRASH, "another host's swap")
            .series(&pressure::STALLED_SECONDS, TARGET, &[(&pressure::RESOURCE, "io")], ramp(stalled_for_io, busy))
            .series(
                &pressure::SWAP_BYTES,
                (TARGET.0, "devvm-b:10120"),
                &[(&pressure::DIRECTION, "in")],
                ramp(read_back, busy),
            )
            .never_until(end),
    ]
}
