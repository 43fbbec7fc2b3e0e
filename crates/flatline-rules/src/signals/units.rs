//! Units that failed, and timers that have stopped to trigger.

use flatline_catalog::units;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, select, since};
use crate::span::Span;

const FAILED: &str = "UnitFailed";
const STALE: &str = "TimerStale";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "units",
        records: Vec::new(),
        alerts: vec![failed(config), stale(config)],
        cases: [failed_cases(config), stale_cases(config)].concat(),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Failed units",
            description: "1 while systemd counts the unit as failed: it ended badly and stays down until somebody looks after it.",
            expr: Expr::from(select(&units::STATE_OF_UNIT).with(&units::STATE, "failed").chosen()).above(0.0),
            legend: "{instance} {unit}",
            scale: Scale::Amount,
        }],
    }
}

fn failed(config: &Config) -> Alert {
    Alert {
        name: FAILED,
        severity: Severity::Warning,
        expr: Expr::from(select(&units::STATE_OF_UNIT).with(&units::STATE, "failed")).equals(1.0),
        hold: config.units.failed_for,
        summary: "{unit} on {instance} has failed",
        meaning: "The unit ended badly and systemd has given up on it, or was not told to start it again: what it did is not done any more. flatline_unit_info says how it ended (result), flatline_unit_restarts_total how often it was started again before.",
        first: "`systemctl status {unit}` and `journalctl -u {unit} -e`: what did it say last? Don't restart it before you have read that.",
        incident: "hemma: services that depend on the GPU failed at boot, and nobody looked",
    }
}

fn stale(config: &Config) -> Alert {
    let runs = Expr::from(select(&units::RUNNING)).equals(1.0);
    Alert {
        name: STALE,
        severity: Severity::Warning,
        expr: since(select(&units::DUE))
            .above(config.units.timer_late_for.as_seconds())
            .note("its time came, and nothing happened")
            .or(since(select(&units::LAST_TRIGGER))
                .above(config.units.timer_running_for.as_seconds())
                .and(Matching::All, runs)
                .note("or what it started has not ended since")),
        hold: Span::ZERO,
        summary: "{timer} on {instance} does not trigger any more",
        meaning: "The timer's time has passed and systemd has not started its unit, or the unit it started long ago is still running: a job that hangs keeps its timer from triggering for ever, without any error. Backups, renewals and clean-ups stop in silence that way.",
        first: "`systemctl list-timers {timer}` and the status of the unit it starts. If that runs: what does it wait for (`cat /proc/PID/wchan`)? A hanging mount or lock is the usual answer.",
        incident: "every backup that turned out to be months old because one run had hung",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const UNIT: &str = "llama-server.service";
const TIMER: &str = "backup.timer";
const FAILS: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("unit", UNIT), ("state", "failed")]];
const LATE: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("timer", TIMER)]];

fn failed_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.units.failed_for);
    let (steps, long) = (hold.steps(step), hold.steps(step) + 12);
    let case = |name| Case::new(config, FAILED, name);
    let state = |case: Case, state, samples| {
        case.series(&units::STATE_OF_UNIT, TARGET, &[(&units::UNIT, UNIT), (&units::STATE, state)], samples)
    };
    let never = |case: Case| case.never_until(step * long);
    vec![
        state(
            state(
                case("it fails, and somebody mends it"),
                "failed",
                Samples::flat(0.0, 4).then(1.0, long).then(0.0, 4),
            ),
            "active",
            Samples::flat(1.0, 4).then(0.0, long).then(1.0, 4),
        )
        .fires_from(step * 4 + hold, FAILS)
        .quiet(step * (long + 4)),
        never(state(
            case("it is started again in time"),
            "failed",
            Samples::flat(0.0, 4).then(1.0, steps).then(0.0, 12),
        )),
        never(state(state(case("it runs"), "failed", Samples::flat(0.0, long)), "active", Samples::flat(1.0, long))),
        never(case("no systemd").up(TARGET, Samples::flat(1.0, long))),
    ]
}

fn stale_cases(config: &Config) -> Vec<Case> {
    let (step, late, running) = (config.scrape_interval, config.units.timer_late_for, config.units.timer_running_for);
    let case = |name| Case::new(config, STALE, name);
    let timer = |case: Case, family, samples| case.series(family, TARGET, &[(&units::TIMER, TIMER)], samples);
    let (due, last, runs) = (&units::DUE, &units::LAST_TRIGGER, &units::RUNNING);
    let long = late.steps(step) + 12;
    // Test time begins at 0.
    let ago = |span: Span, share: f64| 0.0 - span.as_seconds() * share;
    let flat = |value| Samples::flat(value, long);
    let never = |case: Case| case.never_until(step * (long - 1));
    let waits = |case| timer(case, runs, flat(0.0));
    vec![
        waits(timer(case("its time passes"), due, flat((step * 2).as_seconds())))
            .quiet(step * 2 + late)
            .fires_from(step * 3 + late, LATE),
        waits(timer(case("its time has passed a while ago"), due, flat(ago(late, 0.7)))).fires(step * (long - 1), LATE),
        never(waits(timer(case("it will be time, much later"), due, flat(late.as_seconds() * 40.0)))),
        timer(timer(case("its job hangs"), runs, flat(1.0)), last, flat(ago(running, 1.5))).fires(step * 4, LATE),
        timer(
            timer(case("its job hangs since just then"), runs, flat(1.0)),
            last,
            flat((step * 2).as_seconds() - running.as_seconds()),
        )
        .quiet(step * 2)
        .fires(step * 3, LATE),
        never(timer(
            timer(case("its job takes long, but not that long"), runs, flat(1.0)),
            last,
            flat(ago(running, 0.7)),
        )),
        never(waits(timer(
            timer(case("it triggers once a month"), last, flat(ago(running, 60.0))),
            due,
            flat(running.as_seconds() * 60.0),
        ))),
        never(waits(timer(
            case("it has no other turn, and the daemon it started runs on"),
            last,
            flat(ago(running, 3.0)),
        ))),
        never(timer(case("it has triggered long ago, and is stopped"), last, flat(ago(running, 3.0)))),
        never(case("no timers").up(TARGET, flat(1.0))),
    ]
}
