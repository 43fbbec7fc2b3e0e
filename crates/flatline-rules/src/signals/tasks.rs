//! Tasks that wait in the kernel and can't be killed.
//!
//! Incidents: a pile-up of tasks in D with a load of 60 on a machine that looked idle; the desktop's CIFS deadlock.

use flatline_catalog::tasks;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, by, select};
use crate::span::Span;

const STUCK: &str = "TasksStuckInKernel";

pub(super) fn signal(config: &Config) -> Signal {
    let oldest = || select(&tasks::BLOCKED_OLDEST_SECONDS).chosen();
    let limit = config.tasks.stuck_over.as_seconds();
    Signal {
        name: "tasks",
        records: Vec::new(),
        alerts: vec![stuck(config)],
        cases: cases(config),
        test_stride: 1,
        columns: vec![Column {
            title: "Task hang",
            expr: by("max", &["instance"], oldest()),
            scale: Scale::Seconds(limit),
        }],
        graphs: vec![Graph {
            title: "Tasks blocked in the kernel",
            description: "How long the longest of the tasks that wait in a kernel function has not moved. Short spikes are a busy disk; a straight line upwards is a task that nothing will wake.",
            expr: oldest().into(),
            legend: "{instance} {wchan}",
            scale: Scale::Seconds(limit),
        }],
    }
}

fn stuck(config: &Config) -> Alert {
    Alert {
        name: STUCK,
        severity: Severity::Page,
        // The exporter measures how long a task has been there without a single context switch, so that a busy disk,
        // where tasks come and go, never adds up.
        expr: Expr::from(select(&tasks::BLOCKED_OLDEST_SECONDS)).above(config.tasks.stuck_over.as_seconds()),
        hold: Span::ZERO,
        summary: "Tasks on {instance} are stuck in the kernel ({wchan}) and can't be killed",
        meaning: "At least one task has waited in {wchan} for minutes without moving once. Whoever needs what it holds gets stuck behind it, so the number grows; the load rises while the processors are idle. Not even kill -9 ends it.",
        first: "see what they wait for (/proc/PID/stack, as root) and free that: the disk, the NFS or SMB server, the device. Don't touch the same files or mounts with your own shell.",
        incident: "desktop CIFS deadlock, 2025-08-11: everything behind one dead mount, until the reset button",
    }
}

const TARGET: (&str, &str) = ("flatline", "desktop:10120");
const WCHAN: &str = "wait_for_response";

fn cases(config: &Config) -> Vec<Case> {
    let (step, limit) = (config.scrape_interval, config.tasks.stuck_over);
    let steps = limit.steps(step);
    let long = steps * 2 + 8;
    let case = |name| Case::new(config, STUCK, name);
    let oldest = |case: Case, wchan, samples| {
        case.series(&tasks::BLOCKED_OLDEST_SECONDS, TARGET, &[(&tasks::WCHAN, wchan)], samples)
    };
    let blocked = |case: Case, wchan, samples| case.series(&tasks::BLOCKED, TARGET, &[(&tasks::WCHAN, wchan)], samples);
    let waits = |count| Samples::rising(0.0, step.as_seconds(), count);
    let firing = |wchan| -> [(&'static str, &str); 3] { [("job", TARGET.0), ("instance", TARGET.1), ("wchan", wchan)] };
    let busy = (0..4).fold(Samples::default(), |samples, _| samples.then(0.0, 1).climb(step.as_seconds(), steps / 2));
    let never = |case: Case| case.never_until(step * long);
    vec![
        oldest(
            blocked(case("one mount, ever more tasks"), WCHAN, Samples::rising(1.0, 1.0, long)),
            WCHAN,
            waits(long).gone(),
        )
        .fires_from(limit + step, &[&firing(WCHAN)])
        .quiet(step * long),
        oldest(case("where they wait can't be read"), "unreadable", waits(long))
            .fires_from(limit + step, &[&firing("unreadable")]),
        never(oldest(
            blocked(
                case("a busy disk: always somebody waits, nobody for long"),
                "folio_wait_bit_common",
                Samples::flat(40.0, long),
            ),
            "folio_wait_bit_common",
            busy,
        )),
        never(oldest(case("they wait just as long as is tolerated"), WCHAN, waits(steps + 1).then(0.0, long))),
        never(oldest(
            case("the exporter restarts and starts to count anew"),
            WCHAN,
            waits(steps - 1).gap(1).then(0.0, 1).climb(step.as_seconds(), steps - 1).gone(),
        )),
        never(case("nothing is blocked").up(TARGET, Samples::flat(1.0, long))),
    ]
}
