//! Watchdog devices that would not reset a hanging host.
//!
//! Incident: hemma survived its hangs only by a health-gated hardware watchdog, which protects as long as it is armed.

use flatline_catalog::watchdog;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Choose, Expr, Matching, Select, by, select};

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "watchdog",
        records: Vec::new(),
        alerts: vec![not_armed(config)],
        cases: cases(config),
        test_stride: 1,
        columns: vec![Column {
            title: "Watchdog",
            expr: by("max", &["instance"], armed(Select::chosen)),
            scale: Scale::State { good: "armed", bad: "not armed" },
        }],
        graphs: vec![
            Graph {
                title: "Watchdogs",
                description: "Whether each device would reset its host in a hang. Where the owner can't be seen: whether it counts down.",
                expr: armed(Select::chosen),
                legend: "{instance} {device}",
                scale: Scale::State { good: "armed", bad: "not armed" },
            },
            Graph {
                title: "Seconds to the reset",
                description: "What is left until the watchdog resets the host unless somebody gives a sign of life. A saw-tooth is healthy; a line that only falls ends in a reset. Only some drivers can tell.",
                expr: select(&watchdog::TIMELEFT_SECONDS).chosen().into(),
                legend: "{instance} {device}",
                scale: Scale::Duration,
            },
        ],
    }
}

/// Whether a device protects its host: the exporter's verdict where it can see the owner, else whether it counts down.
fn armed(choose: Choose) -> Expr {
    Expr::from(choose(select(&watchdog::PROTECTING))).or(choose(select(&watchdog::ACTIVE)))
}

fn not_armed(config: &Config) -> Alert {
    let armed = || armed(Select::all);
    Alert {
        name: "WatchdogNotArmed",
        severity: Severity::Warning,
        expr: armed()
            .note("a device of the host: does it protect? (where its owner can't be seen: does it count down?)")
            .unless(Matching::On(config.identity()), armed().equals(1.0).note("no alert if one of them does")),
        hold: config.watchdog.not_armed_for,
        summary: "{device} on {instance} is not armed: if the host hangs, it stays hung",
        meaning: "The host has a watchdog and none of its devices protects it: not started, without an owner, or with a timeout that can't work. A hang will last until a person comes.",
        first: "see who should hold the device (systemd's RuntimeWatchdogSec=, or the health-gated service) and why it does not. Never open /dev/watchdog to look: opening arms it.",
        incident: "hemma, 2026-01: hard hangs that only a power cycle ended, until the watchdog was armed and gated on health",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.watchdog.not_armed_for);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, "WatchdogNotArmed", name);
    let flat = |value| Samples::flat(value, long);
    let active =
        |case: Case, device, samples| case.series(&watchdog::ACTIVE, TARGET, &[(&watchdog::DEVICE, device)], samples);
    let protecting = |case: Case, device, samples| {
        case.series(&watchdog::PROTECTING, TARGET, &[(&watchdog::DEVICE, device)], samples)
    };
    let firing: &[&[(&str, &str)]] = &[&[("job", TARGET.0), ("instance", TARGET.1), ("device", "watchdog0")]];
    let never = |case: Case| case.never_until(step * long);
    vec![
        protecting(active(case("never started"), "watchdog0", flat(0.0)), "watchdog0", flat(0.0))
            .fires_from(hold, firing),
        active(case("never started, owner not to be seen"), "watchdog0", flat(0.0)).fires(hold, firing),
        protecting(
            active(case("it counts down, but its owner is dead"), "watchdog0", flat(1.0)),
            "watchdog0",
            flat(0.0),
        )
        .fires(hold, firing),
        protecting(case("its state can't be read, the verdict is clear"), "watchdog0", flat(0.0)).fires(hold, firing),
        never(active(case("armed, owner not to be seen"), "watchdog0", flat(1.0))),
        never(protecting(active(case("armed and owned"), "watchdog0", flat(1.0)), "watchdog0", flat(1.0))),
        never(case("no watchdog at all")),
        never(protecting(
            active(
                protecting(
                    active(case("a second device, unused, beside one that protects"), "watchdog0", flat(0.0)),
                    "watchdog0",
                    flat(0.0),
                ),
                "watchdog1",
                flat(1.0),
            ),
            "watchdog1",
            flat(1.0),
        )),
        active(case("another host's watchdog protects nobody here"), "watchdog0", flat(0.0))
            .series(&watchdog::ACTIVE, (TARGET.0, "other:10120"), &[(&watchdog::DEVICE, "watchdog0")], flat(1.0))
            .series(&watchdog::ACTIVE, ("lab", TARGET.1), &[(&watchdog::DEVICE, "watchdog0")], flat(1.0))
            .fires(hold, firing),
        never(protecting(
            case("its owner restarts"),
            "watchdog0",
            Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 8),
        )),
    ]
}
