//! Watchdog devices that would not reset a hanging host, are about to reset a living one, or have reset it.
//!
//! Incident: hemma survived its hangs only by a health-gated hardware watchdog, which protects as long as it is armed.

use flatline_catalog::watchdog;

use super::boots;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Choose, Expr, Matching, Select, by, select};
use crate::span::Span;

const UNOWNED: &str = "WatchdogUnowned";
const WRONG_OWNER: &str = "WatchdogWrongOwner";
const RESET: &str = "WatchdogResetTheHost";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "watchdog",
        records: Vec::new(),
        alerts: [not_armed(config), unowned(config), reset(config)].into_iter().chain(wrong_owner(config)).collect(),
        cases: [cases(config), unowned_cases(config), reset_cases(config), wrong_owner_cases(config)].concat(),
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

fn unowned(config: &Config) -> Alert {
    Alert {
        name: UNOWNED,
        severity: Severity::Page,
        expr: Expr::from(select(&watchdog::ACTIVE))
            .equals(1.0)
            .note("it counts down")
            .and(Matching::All, Expr::from(select(&watchdog::OWNED)).equals(0.0).note("and certainly nobody holds it")),
        hold: config.watchdog.unowned_for,
        summary: "{instance} is about to be reset: {device} counts down and nobody holds it",
        meaning: "The process that gave the watchdog its signs of life is gone and the device counts on. When its timeout is over it resets the host, however healthy that is.",
        first: "start the owner again at once (systemd's RuntimeWatchdogSec=, or the health-gated service): whoever opens the device and writes to it stops the countdown. Was it killed? Then the kernel log and the journal say by whom.",
        incident: "hemma, January 2026: a reset by the watchdog and a crash look the same afterwards",
    }
}

/// Only where the configuration says who the owner must be.
fn wrong_owner(config: &Config) -> Option<Alert> {
    let wrong = |(instance, comm): (&String, &String)| {
        Expr::from(select(&watchdog::OWNER_INFO).unlike(&watchdog::COMM, comm).instance_like(instance))
    };
    let expr = config.watchdog.expected_owners.iter().map(wrong).reduce(Expr::or)?;
    Some(Alert {
        name: WRONG_OWNER,
        severity: Severity::Warning,
        expr,
        hold: config.watchdog.not_armed_for,
        summary: "{comm} holds {device} of {instance}, which somebody else should hold",
        meaning: "Only one process can hold a watchdog. This one gives signs of life without the health checks that the right one makes, so that a host that is sick in just that way is never reset.",
        first: "take it from the wrong owner (systemd: RuntimeWatchdogSec=0, then daemon-reexec) and start the right one, which must come first at boot. Between the two the device may count down: be quick.",
        incident: "hemma's health-gated watchdog: PID 1 must not own it, or a host that only answers itself lives for ever",
    })
}

fn reset(config: &Config) -> Alert {
    let status = select(&watchdog::BOOT_STATUS).with(&watchdog::STATUS, "card_reset");
    Alert {
        name: RESET,
        severity: Severity::Warning,
        expr: Expr::from(status)
            .equals(1.0)
            .note("the device remembers that it reset the host")
            .unless(Matching::ignoring(&[&watchdog::DEVICE, &watchdog::STATUS]), boots::up_for_long(config)),
        hold: Span::ZERO,
        summary: "{instance} was reset by its watchdog {device}: it had hung",
        meaning: "The hardware remembers that the watchdog ended the last boot. This is proof of a hang, or of an owner that died. The host works again and the cause is still there.",
        first: "find the crash window (`flatline-exporter boots`) and what was captured around it. Did the owner's health check fail before, or did everything stop at once?",
        incident: "hemma, January 2026: which of nine crashes were resets by the watchdog was never known",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const DEVICE: (&str, &str) = ("device", "watchdog0");
const JOB: (&str, &str) = ("job", TARGET.0);
const INSTANCE: (&str, &str) = ("instance", TARGET.1);

fn unowned_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.watchdog.unowned_for);
    let steps = hold.steps(step);
    let case = |name| Case::new(config, UNOWNED, name);
    let device = (&watchdog::DEVICE, DEVICE.1);
    let active = |case: Case, samples| case.series(&watchdog::ACTIVE, TARGET, &[device], samples);
    let owned = |case: Case, samples| case.series(&watchdog::OWNED, TARGET, &[device], samples);
    let dies = || Samples::flat(1.0, 4).then(0.0, steps + 8);
    let long = || Samples::flat(1.0, steps + 12);
    let never = |case: Case| case.never_until(step * (steps + 12));
    vec![
        owned(active(case("its owner dies"), long()), dies())
            .fires_from(step * (4 + steps), &[&[JOB, INSTANCE, DEVICE]]),
        never(owned(active(case("its owner stops it before it goes"), dies()), dies())),
        never(owned(active(case("armed and owned"), long()), long())),
        never(active(case("who holds it can't be seen"), long())),
        never(owned(case("whether it counts down can't be read"), dies())),
        never(owned(active(case("its owner restarts"), long()), Samples::flat(1.0, 4).then(0.0, steps).then(1.0, 8))),
    ]
}

fn wrong_owner_cases(config: &Config) -> Vec<Case> {
    if config.watchdog.expected_owners.is_empty() {
        return Vec::new();
    }
    let (step, hold) = (config.scrape_interval, config.watchdog.not_armed_for);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, WRONG_OWNER, name);
    let owner = |case: Case, instance, comm: &str, samples| {
        let labels = [(&watchdog::DEVICE, DEVICE.1), (&watchdog::COMM, comm)];
        case.series(&watchdog::OWNER_INFO, (TARGET.0, instance), &labels, samples)
    };
    let always = || Samples::flat(1.0, long);
    let never = |case: Case| case.never_until(step * long);
    vec![
        owner(case("PID 1 has it"), TARGET.1, "systemd", always())
            .fires_from(hold, &[&[JOB, INSTANCE, DEVICE, ("comm", "systemd")]]),
        never(owner(case("the right one has it"), TARGET.1, "wd_keepalive", always())),
        never(owner(case("PID 1 has that of another host, as it should"), "other:10120", "systemd", always())),
        never(owner(
            owner(
                case("PID 1 hands it over in time"),
                TARGET.1,
                "systemd",
                Samples::flat(1.0, hold.steps(step)).gone(),
            ),
            TARGET.1,
            "wd_keepalive",
            Samples::default().gap(hold.steps(step)).then(1.0, 8),
        )),
    ]
}

fn reset_cases(config: &Config) -> Vec<Case> {
    let step = config.scrape_interval;
    let case = |name| Case::new(config, RESET, name);
    let status = |case: Case, status, value| {
        let labels = [(&watchdog::DEVICE, DEVICE.1), (&watchdog::STATUS, status)];
        case.series(&watchdog::BOOT_STATUS, TARGET, &labels, Samples::flat(value, 8))
    };
    let booted = |case: Case, share| {
        case.series(&flatline_catalog::boots::BOOT_TIME, TARGET, &[], Samples::flat(boots::booted(config, share), 8))
    };
    let firing: &[&[(&str, &str)]] = &[&[JOB, INSTANCE, DEVICE, ("status", "card_reset")]];
    let never = |case: Case| case.never_until(step * 7);
    vec![
        booted(status(case("it reset the host a while ago"), "card_reset", 1.0), 0.9).fires(Span::ZERO, firing),
        status(case("it reset the host, when it booted is not known"), "card_reset", 1.0).fires(step, firing),
        never(booted(status(case("it reset the host, which is no news"), "card_reset", 1.0), 1.5)),
        never(booted(status(case("it did not, or the driver was loaded anew"), "card_reset", 0.0), 0.0)),
        never(booted(status(case("it remembers something else"), "overheat", 1.0), 0.0)),
    ]
}

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
