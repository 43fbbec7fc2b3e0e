//! What programs say in the journal, and a journal that nobody reads.

use flatline_catalog::journal;

use super::told::Log;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Range, increase, select};
use crate::span::Span;

const LOG: Log = Log { events: &journal::EVENTS, last: &journal::LAST_TIMESTAMP, kind: &journal::KIND };
const JOURNALD: &str = "JournaldWatchdogKilled";
const EARLYOOM: &str = "EarlyoomKilled";
const UNIT: &str = "UnitOomKilled";
const NOT_FOLLOWED: &str = "JournalNotFollowed";
/// What each alert tells of, and what it must not be mixed up with.
const KINDS: [(&str, &[&str], &str); 3] = [
    (JOURNALD, &["journald_watchdog_killed"], "systemd_unit_failed"),
    (EARLYOOM, &["earlyoom_kill", "systemd_oomd_kill"], "systemd_unit_oom"),
    (UNIT, &["systemd_unit_oom"], "systemd_unit_failed"),
];

pub(super) fn signal(config: &Config) -> Signal {
    let window = config.journal.said_within;
    let told = KINDS.iter().flat_map(|(alert, kinds, other)| LOG.cases(config, alert, kinds, other, window));
    Signal {
        name: "journal",
        records: Vec::new(),
        alerts: vec![journald(window), earlyoom(window), unit(window), not_followed(config)],
        cases: told.chain(not_followed_cases(config)).collect(),
        test_stride: 1,
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "What services said",
            description: "How often the journal told of each kind of trouble within the hour before: services that failed, were killed for memory, or by their watchdog.",
            expr: increase(select(&journal::EVENTS).chosen(), Range::Fixed(Span::hours(1))).above(0.0),
            legend: "{instance} {kind}",
            scale: Scale::Amount,
        }],
    }
}

fn told(alert: &str, window: Span) -> Expr {
    let kinds = KINDS.iter().find(|(name, ..)| *name == alert).map_or(&[][..], |(_, kinds, _)| kinds);
    LOG.told(kinds, window)
}

fn journald(window: Span) -> Alert {
    Alert {
        name: JOURNALD,
        severity: Severity::Page,
        expr: told(JOURNALD, window),
        hold: Span::ZERO,
        summary: "journald on {instance} hung until it was killed: the host stands still, and its log has a hole",
        meaning: "systemd got no sign of life from journald for minutes and killed it. Its disk does not answer or the host is out of memory; journald is only the first that shows it. What was logged meanwhile is lost.",
        first: "look at the pressure of memory and disk on the overview, and at the heartbeat's age; then at the kernel log, which does not go through journald (`dmesg`).",
        incident: "hemma, 2026-01-04 20:56: journald flushing under memory pressure while the host stood still",
    }
}

fn earlyoom(window: Span) -> Alert {
    Alert {
        name: EARLYOOM,
        severity: Severity::Warning,
        expr: told(EARLYOOM, window),
        hold: Span::ZERO,
        summary: "Memory on {instance} ran short and something was killed before the kernel had to ({kind})",
        meaning: "earlyoom or systemd-oomd did what they are for. The host was saved from standing still, one program paid for it, and the same may happen again.",
        first: "read who was killed and why in the journal of that unit, find who held the memory, and give it a limit.",
        incident: "hemma, 2026-01-04: memory pressure and kills hours before a crash, found by hand two days later",
    }
}

fn unit(window: Span) -> Alert {
    Alert {
        name: UNIT,
        severity: Severity::Warning,
        expr: told(UNIT, window),
        hold: Span::ZERO,
        summary: "A service on {instance} lost a process to the OOM killer and failed",
        meaning: "systemd stopped a unit because the kernel had killed one of its processes for want of memory. The service is down, or half of it is, unless systemd starts it again.",
        first: "`systemctl list-units --failed`, and `journalctl -b -g oom-kill` for which one; then MemoryMax= against what it needs.",
        incident: "hemma, 2026-01-04 20:56: a shell of 30 GB killed within a service",
    }
}

fn not_followed(config: &Config) -> Alert {
    Alert {
        name: NOT_FOLLOWED,
        severity: Severity::Warning,
        expr: Expr::from(select(&journal::FOLLOWING)).equals(0.0),
        hold: config.journal.not_followed_for,
        summary: "Flatline is blind for the journal of {instance}",
        meaning: "The host has a journal and the exporter can't follow it, so that no alert about what programs say can fire; silence means nothing now.",
        first: "look at the exporter's log for the reason: usually the group systemd-journal is missing, or journalctl hangs because the disk under the journal does.",
        incident: "every log watcher that died silently with the log it watched",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn not_followed_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.journal.not_followed_for);
    let long = hold.steps(step) + 8;
    let case = |name| Case::new(config, NOT_FOLLOWED, name);
    let following = |case: Case, samples| case.series(&journal::FOLLOWING, TARGET, &[], samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        following(case("nobody reads it"), Samples::flat(1.0, 4).then(0.0, long))
            .fires_from(step * 4 + hold, &[&[("job", TARGET.0), ("instance", TARGET.1)]]),
        never(following(case("it is read"), Samples::flat(1.0, long))),
        never(following(
            case("its reader starts anew in time"),
            Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 8),
        )),
        never(case("a host without a journal").up(TARGET, Samples::flat(1.0, long))),
    ]
}
