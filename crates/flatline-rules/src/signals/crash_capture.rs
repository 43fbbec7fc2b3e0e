//! Whether the next crash would leave evidence, and what the last one left.
//!
//! Incident: nearly every one of hemma's nine crashes left nothing behind.

use flatline_catalog::crash_capture as capture;

use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Column, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, Range, by, call, select, since};
use crate::span::Span;

const EVIDENCE: &str = "CrashEvidenceWaiting";
const NOT_ARMED: &str = "CrashCaptureNotArmed";
const STALE: &str = "IncidentCaptureStale";
const EMPTY: &str = "IncidentCaptureEmpty";
const INCIDENT: &str = "hemma, January 2026: nine crashes, and nearly every one left nothing behind";
/// Reasons that only a channel can have that somebody has set up. The others (no backend, no memory reserved, no target)
/// are those of a host that never wanted it.
const SET_UP: &str = "not_loaded|target_disabled|no_remote|interface_missing|interface_down";

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "crash_capture",
        records: Vec::new(),
        alerts: vec![evidence(config), not_armed(config), stale(config), empty(config)],
        cases: [evidence_cases(config), not_armed_cases(config), stale_cases(config), empty_cases(config)].concat(),
        test_stride: 1,
        columns: vec![Column {
            title: "Crash leaves",
            expr: by("max", &["instance"], select(&capture::READY).chosen()),
            scale: Scale::State { good: "evidence", bad: "nothing" },
        }],
        graphs: vec![Graph {
            title: "Ways to record a crash",
            description: "Whether each way in which a crash can leave evidence would work. One that works is enough; flatline_crash_capture_reason_info says why one does not.",
            expr: select(&capture::READY).chosen().into(),
            legend: "{instance} {channel}",
            scale: Scale::State { good: "evidence", bad: "nothing" },
        }],
    }
}

fn evidence(config: &Config) -> Alert {
    let dump = since(select(&capture::DUMP_NEWEST)).below(config.crash_capture.dump_within.as_seconds());
    Alert {
        name: EVIDENCE,
        severity: Severity::Warning,
        expr: Expr::from(select(&capture::PSTORE_RECORDS))
            .above(0.0)
            .note("a dying kernel left records in pstore")
            .or(dump.note("or a dump was written lately")),
        hold: Span::ZERO,
        summary: "{instance} has crashed, and left evidence that nobody has fetched",
        meaning: "There are records of a crash in pstore, or a new crash dump in one of the dump directories. They say what killed the host, and pstore has room for one or two crashes only.",
        first: "copy /sys/fs/pstore, /var/lib/systemd/pstore and the dump off the host, read the last lines, then remove the pstore records to make room for the next.",
        incident: INCIDENT,
    }
}

fn not_armed(config: &Config) -> Alert {
    let settings = &config.crash_capture;
    let wanted = Expr::from(select(&capture::REASON_INFO).like(&capture::REASON, SET_UP))
        .note("somebody has set it up, and it does not work")
        .or(call("max_over_time", select(&capture::READY).over(Range::Fixed(settings.was_armed_within)))
            .equals(1.0)
            .note("or it was ready not long ago"));
    let channel = [config.identity(), vec![capture::CHANNEL.name.to_owned()]].concat();
    Alert {
        name: NOT_ARMED,
        severity: Severity::Warning,
        expr: Expr::from(select(&capture::READY)).equals(0.0).and(Matching::On(channel), wanted),
        hold: settings.not_armed_for,
        summary: "{channel} on {instance} is set up and would catch nothing: the next crash leaves no trace there",
        meaning: "Everything looks set up, but a crash now would leave nothing through {channel}: no crash kernel is loaded, or netconsole's target or interface is down. flatline_crash_capture_reason_info says which. Hosts that never had it are not named here.",
        first: "kdump: `kdump-config status` or `systemctl status kdump`, and load it. netconsole: its target's `enabled`, and the link of its interface. pstore: was the backend's module loaded at this boot?",
        incident: INCIDENT,
    }
}

fn stale(config: &Config) -> Alert {
    let settings = &config.crash_capture;
    Alert {
        name: STALE,
        severity: Severity::Warning,
        expr: since(select(&capture::CAPTURE_NEWEST))
            .above(settings.stale_after.as_seconds())
            .note("the newest is old")
            .or(Expr::from(select(&capture::CAPTURES)).equals(0.0).note("or there is none, or none any more")),
        hold: settings.stale_for,
        summary: "Nothing is captured any more on {instance} ({capture})",
        meaning: "The newest incident capture is too old, or there is none. The next incident will find a capture of long ago, which says nothing about it.",
        first: "`systemctl list-timers` for the capture's timer, and the journal of its service. Is its directory full or read-only?",
        incident: "hemma, 2026-01-04 17:23: the last capture before the crash was an hour and 44 minutes old",
    }
}

fn empty(config: &Config) -> Alert {
    let settings = &config.crash_capture;
    let fewest = call("min_over_time", select(&capture::CAPTURES_EMPTY).over(Range::Fixed(settings.empty_within)));
    Alert {
        name: EMPTY,
        severity: Severity::Warning,
        expr: Expr::from(select(&capture::CAPTURE_NEWEST_BYTES)).equals(0.0).note("the newest holds nothing").or(
            Expr::from(select(&capture::CAPTURES_EMPTY)).above(fewest).note("or there are more empty ones than before"),
        ),
        hold: settings.empty_for,
        summary: "A capture on {instance} is empty ({capture}): the host was hanging when it was taken",
        meaning: "An incident capture of 0 bytes was left behind. Its process died while it wrote or could not write, as a rule because the disk or the whole host hung at that moment. Its time is the time of the incident.",
        first: "take its time from `ls -l --time-style=full-iso`, and look at that minute everywhere else: `flatline-exporter boots`, the overview, the last words over netconsole.",
        incident: "hemma, 2026-01-05 06:58:19: a capture of 0 bytes, one second before the host was gone",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");
const JOB: (&str, &str) = ("job", TARGET.0);
const INSTANCE: (&str, &str) = ("instance", TARGET.1);

fn evidence_cases(config: &Config) -> Vec<Case> {
    let (step, within) = (config.scrape_interval, config.crash_capture.dump_within.as_seconds());
    let case = |name| Case::new(config, EVIDENCE, name);
    let flat = |value| Samples::flat(value, 8);
    let records = |case: Case, samples| case.series(&capture::PSTORE_RECORDS, TARGET, &[], samples);
    let crash = (&capture::DIRECTORY, "/var/crash");
    let dump = |case: Case, age: f64| case.series(&capture::DUMP_NEWEST, TARGET, &[crash], flat(-age));
    let dumped: &[(&str, &str)] = &[JOB, INSTANCE, ("directory", "/var/crash")];
    let never = |case: Case| case.never_until(step * 7);
    vec![
        dump(records(case("records and a dump"), flat(2.0)), within / 2.0).fires(step, &[&[JOB, INSTANCE], dumped]),
        records(case("records, found and taken away"), flat(1.0).then(0.0, 8))
            .fires(Span::ZERO, &[&[JOB, INSTANCE]])
            .quiet(step * 8),
        dump(records(case("a dump of some hours ago"), flat(0.0)), within * 0.7).fires(step, &[dumped]),
        never(dump(records(case("an old dump"), flat(0.0)), within * 1.5)),
        never(records(case("nothing"), flat(0.0))),
        never(case("pstore may not be looked at").up(TARGET, flat(1.0))),
    ]
}

fn not_armed_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.crash_capture.not_armed_for);
    let long = hold.steps(step) + 16;
    let case = |name| Case::new(config, NOT_ARMED, name);
    let on = |case: Case, target, channel, samples| {
        case.series(&capture::READY, target, &[(&capture::CHANNEL, channel)], samples)
    };
    let ready = |case: Case, channel, samples| on(case, TARGET, channel, samples);
    let reason = |case: Case, channel, reason| {
        let labels = [(&capture::CHANNEL, channel), (&capture::REASON, reason)];
        case.series(&capture::REASON_INFO, TARGET, &labels, Samples::flat(1.0, long))
    };
    let never_ready = || Samples::flat(0.0, long);
    let kdump: &[&[(&str, &str)]] = &[&[JOB, INSTANCE, ("channel", "kdump")]];
    let netconsole: &[&[(&str, &str)]] = &[&[JOB, INSTANCE, ("channel", "netconsole")]];
    let never = |case: Case| case.never_until(step * long);
    vec![
        reason(
            ready(case("memory is reserved, no crash kernel loaded"), "kdump", never_ready()),
            "kdump",
            "not_loaded",
        )
        .fires_from(hold, kdump),
        reason(ready(case("netconsole's link is down"), "netconsole", never_ready()), "netconsole", "interface_down")
            .fires(hold, netconsole),
        reason(
            ready(
                case("it was ready, now no memory is reserved"),
                "kdump",
                Samples::flat(1.0, 4).gap(2).then(0.0, long),
            ),
            "kdump",
            "no_memory_reserved",
        )
        .fires_from(step * 6 + hold, kdump),
        ready(case("it was ready, now it is not, why is not known"), "kdump", Samples::flat(1.0, 4).then(0.0, long))
            .fires(step * 4 + hold, kdump),
        never(reason(
            ready(case("a host that never had kdump"), "kdump", never_ready()),
            "kdump",
            "no_memory_reserved",
        )),
        never(reason(
            ready(case("a host without a place for pstore"), "pstore", never_ready()),
            "pstore",
            "no_backend",
        )),
        never(ready(case("ready"), "kdump", Samples::flat(1.0, long))),
        never(reason(case("nobody can tell"), "pstore", "not_readable")),
        never(ready(
            case("loaded again in time, as after an update of the kernel"),
            "kdump",
            Samples::flat(1.0, 4).then(0.0, hold.steps(step)).then(1.0, 12),
        )),
        never(on(
            on(
                ready(
                    ready(case("another channel, host and job have it"), "kdump", never_ready()),
                    "pstore",
                    Samples::flat(1.0, long),
                ),
                (TARGET.0, "other:10120"),
                "kdump",
                Samples::flat(1.0, long),
            ),
            ("lab", TARGET.1),
            "kdump",
            Samples::flat(1.0, long),
        )),
    ]
}

const NAME: (&str, &str) = ("capture", "incidents");
const CAPTURED: &[&[(&str, &str)]] = &[&[JOB, INSTANCE, NAME]];

fn stale_cases(config: &Config) -> Vec<Case> {
    let (step, after, hold) =
        (config.scrape_interval, config.crash_capture.stale_after.as_seconds(), config.crash_capture.stale_for);
    let long = hold.steps(step) + 16;
    let case = |name| Case::new(config, STALE, name);
    let labels = [(&capture::CAPTURE, NAME.1)];
    let newest = |case: Case, samples| case.series(&capture::CAPTURE_NEWEST, TARGET, &labels, samples);
    let there = |case: Case, samples| case.series(&capture::CAPTURES, TARGET, &labels, samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        there(newest(case("the timer has died"), Samples::flat(-after * 1.5, long)), Samples::flat(9.0, long))
            .fires_from(hold, CAPTURED),
        there(case("a cleanup has removed the last of them"), Samples::flat(1.0, 4).then(0.0, long))
            .fires_from(step * 4 + hold, CAPTURED),
        never(there(newest(case("captured lately"), Samples::flat(-after * 0.7, long)), Samples::flat(9.0, long))),
        never(newest(
            case("old after a long outage, until the next"),
            Samples::flat(-after * 1.5, hold.steps(step)).then(0.0, 16),
        )),
        never(case("the directory can't be read").up(TARGET, Samples::flat(1.0, long))),
    ]
}

fn empty_cases(config: &Config) -> Vec<Case> {
    let (step, hold) = (config.scrape_interval, config.crash_capture.empty_for);
    let steps = hold.steps(step);
    let long = steps + 16;
    let case = |name| Case::new(config, EMPTY, name);
    let labels = [(&capture::CAPTURE, NAME.1)];
    let bytes = |case: Case, samples| case.series(&capture::CAPTURE_NEWEST_BYTES, TARGET, &labels, samples);
    let empty = |case: Case, samples| case.series(&capture::CAPTURES_EMPTY, TARGET, &labels, samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        bytes(empty(case("fresh: the newest is empty"), Samples::flat(3.0, long)), Samples::flat(0.0, long))
            .fires_from(hold, CAPTURED),
        bytes(
            empty(
                case("the host dies while it captures, and captures after the reboot"),
                Samples::flat(0.0, 4).gap(4).then(1.0, long),
            ),
            Samples::flat(70_000.0, 4).gap(4).then(70_000.0, long),
        )
        .fires_from(step * 8 + hold, CAPTURED),
        never(bytes(
            empty(case("one is just being written"), Samples::flat(1.0, 4).then(2.0, steps).then(1.0, 12)),
            Samples::flat(70_000.0, 4).then(0.0, steps).then(70_000.0, 12),
        )),
        never(bytes(
            empty(case("fresh: an empty one of long ago"), Samples::flat(1.0, long)),
            Samples::flat(70_000.0, long),
        )),
        never(bytes(
            empty(case("an empty one is cleaned away"), Samples::flat(2.0, 4).then(1.0, long)),
            Samples::flat(70_000.0, long),
        )),
    ]
}
