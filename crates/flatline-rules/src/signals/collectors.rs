//! Collectors that no longer bring anything, while the exporter answers.

use flatline_catalog::exporter;

use super::targets;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Choose, Expr, Matching, Select, select};

pub(super) fn signal(config: &Config) -> Signal {
    let stuck_over = config.collector.stuck_over.as_seconds();
    Signal {
        name: "collectors",
        records: Vec::new(),
        alerts: vec![stuck(config)],
        cases: cases(config),
        test_stride: 1,
        columns: vec![Column {
            title: "Blind",
            expr: targets::count_by_instance(blind(config, Select::chosen)),
            scale: Scale::Count(1.0),
        }],
        graphs: vec![
            Graph {
                title: "Reads that hang",
                description: "How long a collector's read has been overdue. Anything that grows is a read the kernel does not let return.",
                expr: select(&exporter::COLLECTOR_STUCK_SECONDS).chosen().into(),
                legend: "{instance} {collector}",
                scale: Scale::Seconds(stuck_over),
            },
            Graph {
                title: "Time to collect",
                description: "How long each collector's last finished collection took. A slow rise often comes before a read that hangs.",
                expr: select(&exporter::COLLECTOR_DURATION_SECONDS).chosen().into(),
                legend: "{instance} {collector}",
                scale: Scale::Duration,
            },
        ],
    }
}

/// What a collector is where there is something to read: one whose start failed has as little to say as one that hangs.
const MEANT_TO_WORK: &str = "on|failed";

/// Collectors that hang or fail.
fn blind(config: &Config, choose: Choose) -> Expr {
    let hangs =
        Expr::from(choose(select(&exporter::COLLECTOR_STUCK_SECONDS))).above(config.collector.stuck_over.as_seconds());
    let fails = Expr::from(choose(select(&exporter::COLLECTOR_SUCCESS))).equals(0.0).and(
        Matching::On([config.identity(), vec![exporter::COLLECTOR.name.to_owned()]].concat()),
        Expr::from(choose(select(&exporter::COLLECTOR_STATE)).like(&exporter::STATE, MEANT_TO_WORK))
            .equals(1.0)
            .note("it is meant to work here, though it may not even have started"),
    );
    hangs.note("its read hangs in the kernel").or(fails.note("or it is late or fails at every scrape"))
}

fn stuck(config: &Config) -> Alert {
    Alert {
        name: "FlatlineCollectorStuck",
        severity: Severity::Warning,
        expr: blind(config, Select::all),
        hold: config.collector.stuck_for,
        summary: "Flatline sees nothing of {collector} on {instance}: its reads hang or fail",
        meaning: "The exporter answers, but the collector {collector} does not, or could not start: its metrics are absent and its alerts are blind. A read that hangs for minutes is itself a symptom: the kernel does not let it return.",
        first: "look at the exporter's landing page, or flatline_collector_state, for the reason, and for a hang at the thread's wait channel under /proc. Don't restart the exporter before you have it; the evidence goes with the thread.",
        incident: "desktop CIFS deadlock, 2025-08-11, and hemma's GPU: reads that never came back",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn cases(config: &Config) -> Vec<Case> {
    let (step, hold, limit) =
        (config.scrape_interval, config.collector.stuck_for, config.collector.stuck_over.as_seconds());
    let long = hold.steps(step) + 8;
    let flat = |value| Samples::flat(value, long);
    let case = |name| Case::new(config, "FlatlineCollectorStuck", name);
    let collector = (&exporter::COLLECTOR, "memcg");
    let hangs = |case: Case, samples| case.series(&exporter::COLLECTOR_STUCK_SECONDS, TARGET, &[collector], samples);
    let success = |case: Case, samples| case.series(&exporter::COLLECTOR_SUCCESS, TARGET, &[collector], samples);
    let on = [collector, (&exporter::STATE, "on")];
    let state = |case: Case, on: f64| {
        let off = [collector, (&exporter::STATE, "off"), (&exporter::REASON, "no cgroup filesystem")];
        case.series(&exporter::COLLECTOR_STATE, TARGET, &[collector, (&exporter::STATE, "on")], flat(on)).series(
            &exporter::COLLECTOR_STATE,
            TARGET,
            if on == 0.0 { &off } else { &off[..2] },
            flat(1.0 - on),
        )
    };
    let failed = |case: Case, reason| {
        let failed = [collector, (&exporter::STATE, "failed"), (&exporter::REASON, reason)];
        case.series(&exporter::COLLECTOR_STATE, TARGET, &failed, flat(1.0))
    };
    let firing: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("collector", "memcg")]];
    let never = |case: Case| case.never_until(step * long);
    vec![
        state(
            hangs(success(case("its read hangs"), flat(0.0)), Samples::rising(limit + 1.0, step.as_seconds(), long)),
            1.0,
        )
        .fires_from(hold, firing),
        hangs(case("its read hangs, nothing else is known"), Samples::rising(limit * 1.5, step.as_seconds(), long))
            .fires(hold, firing),
        state(hangs(success(case("it fails at every scrape, at once"), flat(0.0)), flat(0.0)), 1.0).fires(hold, firing),
        failed(hangs(success(case("its start fails, again and again"), flat(0.0)), flat(0.0)), "permission denied")
            .fires_from(hold, firing),
        state(success(case("it fails, and stuck time is not exported"), flat(0.0)), 1.0).fires(hold, firing),
        state(success(case("it fails, another collector is off"), flat(0.0)), 1.0)
            .series(
                &exporter::COLLECTOR_STATE,
                TARGET,
                &[(&exporter::COLLECTOR, "watchdog"), (&exporter::STATE, "on")],
                flat(0.0),
            )
            .series(&exporter::COLLECTOR_SUCCESS, TARGET, &[(&exporter::COLLECTOR, "watchdog")], flat(0.0))
            .fires(hold, firing),
        never(state(hangs(success(case("works"), flat(1.0)), flat(0.0)), 1.0)),
        never(
            state(hangs(success(case("off here, on elsewhere: nothing to read here"), flat(0.0)), flat(0.0)), 0.0)
                .series(&exporter::COLLECTOR_STATE, (TARGET.0, "other:10120"), &on, flat(1.0))
                .series(&exporter::COLLECTOR_STATE, ("lab", TARGET.1), &on, flat(1.0)),
        ),
        never(state(hangs(success(case("a little late at every scrape"), flat(1.0)), flat(limit * 0.7)), 1.0)),
        never(state(
            success(case("late for a while"), Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 8)),
            1.0,
        )),
    ]
}
