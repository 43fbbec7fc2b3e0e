//! Virtual machines that are dead inside a QEMU that lives.
//!
//! Incident: on 2026-06-11 the devvm's disk stalled inside QEMU. It completed no write for 87 minutes while QMP answered
//! `running`, and the guest could not log a line about it.

mod cases;

use flatline_catalog::{Label, vm};

use super::targets::{self, count, off_the_grid};
use crate::config::{Config, Severity};
use crate::model::{Alert, Column, Graph, Record, Scale, Signal};
use crate::prometheus::{ALERTNAME, ALERTS, ALERTSTATE, SEVERITY, VM_DISK_WRITES, VM_DISK_WRITES_USUAL};
use crate::promql::{
    Choose, Expr, Grouping, Matching, Range, Select, by, call, increase, quantile, rate, select, without,
};
use crate::span::Span;

const INCIDENT: &str = "devvm QEMU I/O stall, 2026-06-11: not one write for 87 minutes while QMP answered";

const STALLED: &str = "VmDiskStalled";
const WRITE_ZERO: &str = "VmDiskWriteZero";
const UNRESPONSIVE: &str = "VmQmpUnresponsive";
const UNREADABLE: &str = "VmMonitorUnreadable";
const IO_ERROR: &str = "VmIoError";
const LEGACY: &str = "VmLegacyDiskController";
const REWRITTEN: &str = "VmThrottleRewritten";

/// What asking a QEMU that does not live ends in.
const UNRESPONSIVE_STATES: &str = "no_greeting|no_reply|refused|error";
/// What asking a QEMU ends in that may live as well as not.
const UNREADABLE_STATES: &str = "permission_denied|busy";
/// There is no QEMU behind the socket.
const GONE_STATES: &str = "absent|refused";
/// Error states QEMU keeps per disk.
const IO_STATUSES: &str = "failed|nospace";
/// Controllers whose hardware QEMU imitates register by register, on its main loop: `hw/scsi` and `hw/ide` of QEMU less
/// virtio. NVMe is left out: no reset of a shared bus, and in use for its speed.
const LEGACY_CONTROLLERS: &str = "lsi.*|am53c974|dc390|esp|mptsas.*|megasas.*|pvscsi|.*ide|.*ahci";
/// How much later than another a completion must be, in seconds. QEMU tells how long ago the last one was, so that an
/// exporter that starts anew reckons the same moment a few milliseconds off.
const LATER: f64 = 0.5;

pub(super) fn signal(config: &Config) -> Signal {
    Signal {
        name: "vm",
        records: Vec::new(),
        alerts: vec![
            stalled(config),
            unresponsive(config),
            unreadable(config),
            io_error(config),
            legacy_controller(config),
            throttle_rewritten(config),
        ],
        cases: cases::all(config),
        test_stride: 1,
        columns: vec![
            Column {
                title: "VM trouble",
                expr: targets::count_by_instance(by("max", &["instance", vm::VM.name], in_trouble(config))),
                scale: Scale::Count(1.0),
            },
            Column { title: "VMs", expr: by("max", &["instance"], select(&vm::FOUND).chosen()), scale: Scale::Amount },
        ],
        graphs: graphs(),
    }
}

/// Disks that don't tell what is in flight, by what they usually write.
pub(super) fn writes(config: &Config) -> Signal {
    Signal {
        name: "vm_writes",
        records: vec![written(config), usually_written(config)],
        alerts: vec![write_zero(config)],
        cases: cases::writes(config),
        test_stride: cases::stride(config),
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Writes of VM disks",
            description: "Writes each guest completes per second. Near zero on a machine that always wrote is what a dead disk looks like where nothing can be told about requests in flight.",
            expr: rate(select(&vm::WRITES_COMPLETED).chosen(), Range::Panel),
            legend: DISK_LEGEND,
            scale: Scale::PerSecond,
        }],
    }
}

const DISK_LEGEND: &str = "{instance} {vm} {disk}";

fn graphs() -> Vec<Graph> {
    vec![
        Graph {
            title: "Requests in flight in VM disks",
            description: "How many requests each guest waits for. Some are normal; a line that stays above 0 while the disk completes nothing is a stall. Only virtio disks can tell.",
            expr: Expr::from(select(&vm::INFLIGHT).chosen()).above(0.0),
            legend: DISK_LEGEND,
            scale: Scale::Amount,
        },
        Graph {
            title: "Since VM disks last completed a request",
            description: "Seconds since each disk last completed anything, by QEMU's own clock. A straight line upwards is a disk that is idle or dead: requests in flight tell the two apart.",
            expr: select(&vm::IDLE_SECONDS).chosen().into(),
            legend: DISK_LEGEND,
            scale: Scale::Duration,
        },
        Graph {
            title: "Time until QMP answers",
            description: "How long each QEMU took to answer. A gap is a QEMU that did not answer within the deadline.",
            expr: select(&vm::QMP_REPLY_SECONDS).chosen().into(),
            legend: "{instance} {vm}",
            scale: Scale::Seconds(0.5),
        },
    ]
}

/// Machines of which something is wrong right now: the alerts' proofs without their memory.
fn in_trouble(config: &Config) -> Expr {
    let silent = Expr::from(select(&vm::QMP_STATE).like(&vm::STATE, UNRESPONSIVE_STATES).chosen()).equals(1.0);
    let failed = Expr::from(select(&vm::VM_STATUS).with(&vm::STATUS, "io-error").chosen()).equals(1.0);
    exonerated(config, stuck(config, Select::chosen), Select::chosen).or(silent).or(failed)
}

/// The series of an alert that fires, with the labels of its expression: what an alert that must not end by itself
/// remembers itself by.
fn firing(config: &Config, alert: &str) -> Expr {
    let own = [ALERTNAME, ALERTSTATE, SEVERITY].map(|label| label.name.to_owned());
    let labels = own.into_iter().chain(config.labels_of(alert).into_keys()).collect();
    let select = select(&ALERTS).with(&ALERTNAME, alert).with(&ALERTSTATE, "firing");
    Expr::Aggregate { op: "max", grouping: Grouping::Without(labels), of: Box::new(select.into()) }
}

/// What [`firing`] remembers, less disks that are no more: their QEMU answers and does not name them (unplugged, or
/// renamed by a cold start). Nothing else would ever end it.
fn remembered(config: &Config, alert: &str, note: &str) -> Expr {
    let up = Expr::from(select(&vm::QMP_STATE).with(&vm::STATE, "up")).equals(1.0);
    firing(config, alert)
        .note(note)
        .unless(Matching::ignoring(&[&vm::DISK, &vm::STATE]), up.note("while QEMU does not answer"))
        .or(firing(config, alert).and(Matching::All, select(&vm::WRITES_COMPLETED)).note("or still has that disk"))
}

/// What has been true for `hold` in all, within a time a third longer. Unlike `for`, one good answer or a few failed
/// scrapes don't start it anew, and neither does a restart of Prometheus.
fn mostly(config: &Config, op: &'static str, ignored: &[&Label], select: Select, hold: Span) -> Expr {
    let scrapes = hold.steps(config.scrape_interval);
    // Half a scrape shorter, so that its ends fall on no sample, and it never holds one more.
    let window = config.scrape_interval * (scrapes + scrapes.div_ceil(3)) - config.scrape_interval.half();
    without(op, ignored, call("sum_over_time", select.over(Range::Fixed(window)))).at_least(count(scrapes))
}

/// How many samples a window must hold so that nothing is concluded from a glance: three of four.
fn watched(config: &Config, window: Span) -> f64 {
    let scrapes = window.steps(config.scrape_interval);
    count(scrapes - scrapes / 4)
}

/// Series of disks on machines that QEMU has called anything but running within the window.
fn unless_not_running(expr: Expr, window: Range, choose: Choose) -> Expr {
    let other = choose(select(&vm::VM_STATUS)).other_than(&vm::STATUS, "running");
    expr.unless(
        Matching::ignoring(&[&vm::DISK, &vm::STATUS]),
        call("max_over_time", other.over(window))
            .above(0.0)
            .note("QEMU itself does not let it run: paused, migrating, stopped by an I/O error"),
    )
}

/// Series of disks on machines that have still been there of late, whether or not their QEMU answered.
fn while_there(config: &Config, expr: Expr) -> Expr {
    let there = select(&vm::QMP_STATE).unlike(&vm::STATE, GONE_STATES).over(Range::Fixed(config.vm.gone_after));
    expr.and(
        Matching::ignoring(&[&vm::DISK, &vm::STATE]),
        call("max_over_time", there).above(0.0).note("its QEMU is still there, answering or not"),
    )
}

/// The window in which a disk must not move.
fn still(config: &Config) -> Range {
    off_the_grid(config, config.vm.stalled_window)
}

/// Disks that had requests in flight whenever they were looked at.
fn stuck(config: &Config, choose: Choose) -> Expr {
    let inflight = || choose(select(&vm::INFLIGHT)).over(still(config));
    call("min_over_time", inflight()).above(0.0).note("the guest has waited for the disk at every look").and(
        Matching::All,
        call("count_over_time", inflight()).at_least(watched(config, config.vm.stalled_window)).note("not just once"),
    )
}

/// Those of them that completed nothing meanwhile and were let run.
fn exonerated(config: &Config, stuck: Expr, choose: Choose) -> Expr {
    let progress = call("delta", choose(select(&vm::LAST_PROGRESS)).over(still(config)));
    let stalled = stuck.unless(
        Matching::All,
        progress
            .above(LATER)
            .note("no request of any kind was completed (a slow disk keeps some in flight, but moves)"),
    );
    unless_not_running(stalled, still(config), choose)
}

fn stalled(config: &Config) -> Alert {
    let all: Choose = Select::all;
    let remembered = remembered(
        config,
        STALLED,
        "or it was so, and nothing has been seen since that ends it: QMP may be dead by now, the exporter restarted",
    );
    let idle = Expr::from(select(&vm::INFLIGHT)).equals(0.0).note("nothing is in flight any more");
    Alert {
        name: STALLED,
        severity: Severity::Page,
        expr: exonerated(config, stuck(config, all).or(while_there(config, remembered)), all)
            .unless(Matching::All, idle),
        hold: Span::ZERO,
        summary: "{vm} on {instance} is dead: its disk {disk} completes nothing while requests wait",
        meaning: "Requests of the guest are in flight in disk {disk} of {vm} and QEMU completes none of them, though it says that the machine runs. The guest hangs as soon as it needs the disk and can't log why. This is proof, not a guess.",
        first: "autopsy before shooting: take what the runbook lists (QMP queries, a backtrace of QEMU's threads) before anything is killed. Never send stop, system_reset or anything else that drains: it blocks QEMU's main loop as well.",
        incident: INCIDENT,
    }
}

fn written(config: &Config) -> Record {
    let window = config.vm.write_zero_window;
    let writes = || select(&vm::WRITES_COMPLETED);
    let range = off_the_grid(config, window);
    let looks = call("count_over_time", writes().over(range));
    Record {
        family: &VM_DISK_WRITES,
        expr: rate(writes(), range)
            .and(Matching::All, looks.at_least(watched(config, window)).note("QMP answered nearly throughout")),
        alert: WRITE_ZERO,
    }
}

/// The baseline, frozen while the alert fires: a baseline over past hours would come to call death usual.
fn usually_written(config: &Config) -> Record {
    /// Five in a hundred windows may be silent and it still counts as a disk that never is.
    const RARELY: f64 = 0.05;
    let baseline = Range::Fixed(config.vm.write_zero_baseline);
    let known = call("count_over_time", select(&vm::WRITES_COMPLETED).over(baseline))
        .at_least(count(config.vm.write_zero_baseline.steps(config.scrape_interval) / 2))
        .note("it was watched for half of that time at least");
    let fresh = quantile(RARELY, select(&VM_DISK_WRITES), baseline)
        .note("what it rarely falls below")
        .and(Matching::All, known);
    Record {
        family: &VM_DISK_WRITES_USUAL,
        expr: Expr::from(select(&VM_DISK_WRITES_USUAL))
            .note("frozen while the alert fires, or being dead would become usual")
            .and(Matching::All, firing(config, WRITE_ZERO))
            .or(fresh),
        alert: WRITE_ZERO,
    }
}

fn write_zero(config: &Config) -> Alert {
    let settings = &config.vm;
    let window = Range::Fixed(settings.write_zero_window);
    let dead = settings.write_zero_per_second;
    let usual = Expr::from(select(&VM_DISK_WRITES_USUAL)).above(dead);
    let silent = Expr::from(select(&VM_DISK_WRITES)).below(dead).note("it has as good as stopped writing").and(
        Matching::All,
        Expr::from(select(&VM_DISK_WRITES))
            .below(Expr::from(settings.write_zero_share).times(usual))
            .note("which it hardly ever does"),
    );
    let note = "or it had, and nobody can look: QMP is dead or busy, the exporter restarted";
    let unseen = remembered(config, WRITE_ZERO, note).unless(Matching::All, select(&VM_DISK_WRITES));
    let booting = Range::Fixed(settings.write_zero_window * 2);
    let restarted = call("resets", select(&vm::WRITES_COMPLETED).over(booting)).above(0.0);
    let idle = call("min_over_time", select(&vm::INFLIGHT).over(window)).equals(0.0);
    let unexplained = silent
        .or(while_there(config, unseen))
        .unless(Matching::All, idle.note("nothing was in flight: it is idle for sure"))
        .unless(Matching::All, restarted.note("its QEMU was started anew a moment ago"));
    Alert {
        name: WRITE_ZERO,
        severity: Severity::Page,
        expr: unless_not_running(unexplained, window, Select::all),
        hold: Span::ZERO,
        summary: "{vm} on {instance} looks dead: its disk {disk}, never silent before, has stopped writing",
        meaning: "Disk {disk} of {vm} completes next to no writes, though it was almost never silent in the hours before, and QEMU says that the machine runs. A stall inside QEMU looks exactly like this on controllers that don't show their requests. A guest that is frozen for a backup for longer than the window does too.",
        first: "log in to the guest. If that hangs, autopsy before shooting, as the runbook has it: the evidence dies with the QEMU process. Never send stop, system_reset or anything else that drains.",
        incident: INCIDENT,
    }
}

fn unresponsive(config: &Config) -> Alert {
    let silent = select(&vm::QMP_STATE).like(&vm::STATE, UNRESPONSIVE_STATES);
    Alert {
        name: UNRESPONSIVE,
        severity: Severity::Page,
        expr: mostly(config, "sum", &[&vm::STATE], silent, config.vm.qmp_unresponsive_for),
        hold: Span::ZERO,
        summary: "{vm} on {instance}: QEMU does not answer its monitor, the machine hangs or is dead",
        meaning: "For minutes QEMU of {vm} has hardly ever answered QMP. flatline_vm_qmp_state says how: refused is a QEMU that died and left its socket, no_reply a main loop that is blocked (a stalled disk that somebody drains does that), no_greeting one that is blocked or a process that is stopped, error something that does not speak QMP. flatline_vm_process_state says whether the process is stopped or sleeps on a disk of the host.",
        first: "look whether the QEMU process is there and in which state. If it is, autopsy before shooting: a backtrace of all its threads first, and no command to its monitor that could wait too.",
        incident: "devvm QEMU I/O stall, 2026-06-11, and its re-enactment: 40 seconds after the disk the monitor is dead too",
    }
}

fn unreadable(config: &Config) -> Alert {
    let unreadable = select(&vm::QMP_STATE).like(&vm::STATE, UNREADABLE_STATES);
    Alert {
        name: UNREADABLE,
        severity: Severity::Warning,
        expr: mostly(config, "sum", &[&vm::STATE], unreadable, config.vm.unreadable_for),
        hold: Span::ZERO,
        summary: "Flatline is blind for {vm} on {instance}: it can't get at its monitor",
        meaning: "The monitor of {vm} has hardly ever been free or permitted (flatline_vm_qmp_state: busy or permission_denied). No other alert about this machine can fire; silence means nothing now. QEMU serves one client at a time.",
        first: "find who holds the socket (ss -xp), or give the exporter's user access to it. For good, give the machine a second monitor for Flatline alone.",
        incident: "every exporter that shares QMP's single client: a machine nobody can ask looks as quiet as a healthy one",
    }
}

fn io_error(config: &Config) -> Alert {
    let hold = config.vm.io_error_for;
    let stopped = select(&vm::VM_STATUS).with(&vm::STATUS, "io-error");
    let failed = select(&vm::DISK_INFO).like(&vm::IO_STATUS, IO_STATUSES);
    let of_a_disk = [&vm::DISK, &vm::CONTROLLER, &vm::IOTHREAD, &vm::AIO, &vm::FORMAT, &vm::IO_STATUS];
    Alert {
        name: IO_ERROR,
        severity: Severity::Page,
        expr: mostly(config, "max", &[&vm::STATUS], stopped, hold)
            .note("QEMU has stopped the machine")
            .or(mostly(config, "max", &of_a_disk, failed, hold).note("or remembers an error of one of its disks")),
        hold: Span::ZERO,
        summary: "{vm} on {instance} has a disk error: QEMU has stopped it or is about to",
        meaning: "The host could not carry out a read or write of {vm}: its storage is full or failing. By default QEMU stops the machine until somebody resumes it. flatline_vm_disk_info names the disk: io_status is nospace or failed.",
        first: "look at the host's storage: space left in the pool or filesystem, errors in the kernel log. Make room or repair first, then resume the machine; resumed earlier it stops again.",
        incident: "a full thin pool, re-enacted: every counter stands still and only QEMU's status says why",
    }
}

fn legacy_controller(config: &Config) -> Alert {
    let lately = Range::Fixed(config.vm.gone_after);
    let legacy = select(&vm::DISK_INFO).like(&vm::CONTROLLER, LEGACY_CONTROLLERS);
    let changing = [&vm::IOTHREAD, &vm::AIO, &vm::FORMAT, &vm::IO_STATUS];
    Alert {
        name: LEGACY,
        severity: Severity::Info,
        expr: without("max", &changing, call("max_over_time", legacy.over(lately))).and(
            Matching::ignoring(&[&vm::CONTROLLER]),
            call("max_over_time", select(&vm::WRITES_COMPLETED).over(lately)).above(0.0).note("and it is no CD-ROM"),
        ),
        hold: Span::ZERO,
        summary: "{vm} on {instance} has its disk {disk} on an emulated {controller}",
        meaning: "QEMU imitates old hardware for this disk, on the main loop that also serves the monitor. A stall there can't be proved from outside, since nothing tells how many requests are in flight, and the guest's attempt to reset the controller can block the whole QEMU.",
        first: "plan a cold start with virtio-scsi-single and an I/O thread. A reboot inside the guest keeps the old QEMU process.",
        incident: "devvm QEMU I/O stall, 2026-06-11: the only machine of the host on the LSI controller was the one that died",
    }
}

fn throttle_rewritten(config: &Config) -> Alert {
    let settings = &config.vm;
    let changes = increase(select(&vm::THROTTLE_CHANGES), Range::Fixed(settings.throttle_window));
    Alert {
        name: REWRITTEN,
        severity: Severity::Warning,
        // Increases are extrapolated: three changes may read 3.1, but never 4.
        expr: changes.at_least(f64::from(settings.throttle_changes) + 1.0),
        hold: Span::ZERO,
        summary: "Something keeps rewriting the limits of {disk} of {vm} on {instance}",
        meaning: "The throughput limits of the running disk have changed again and again. Each rewrite touches the throttle while requests wait in it. Rewrites to the same value can't be seen from outside, so there may be more.",
        first: "find the reconciler (cron jobs and timers that run qm set or block_set_io_throttle) and compare what it wants with what QEMU reports, in QEMU's own notation.",
        incident: "devvm QEMU I/O stall, 2026-06-11: a job whose comparison never matched rewrote the limits 24 times a day for weeks",
    }
}
