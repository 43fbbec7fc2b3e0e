//! What the kernel says of its own trouble, one alert per first thing to do.
//!
//! There is no alert for a panic here: a kernel that panics answers nobody. What it said arrives over netconsole
//! ([`super::netconsole`]) or is found after the reboot ([`super::crash_capture`], [`super::boots`]).
//!
//! Incidents: all five. On hemma and on the desktop the kernel had said for days or minutes what would kill them.

use flatline_catalog::kernel_log;

use super::told::Log;
use crate::config::{Config, Severity};
use crate::model::{Alert, Case, Graph, Samples, Scale, Signal};
use crate::promql::{Expr, Matching, Range, call, increase, select, since};
use crate::span::Span;

const LOG: Log = Log { events: &kernel_log::EVENTS, last: &kernel_log::LAST_TIMESTAMP, kind: &kernel_log::KIND };
const LOST: &str = "KernelLogLost";
const FATAL: &str = "KernelFatalHardwareError";
/// Kinds that name the device and say how bad it is.
const GRADED: &str = "pcie_aer_error|edac_error";
/// After an outage of so long it is still known how often a device had failed before: the totals outlive boots.
const OUTAGE: Span = Span::hours(24 * 30);
/// What they call fatal: PCIe AER, memory errors that nothing could correct.
const FATAL_PHASES: &str = "Uncorrect[a-z]+ .Fatal.|UE";
const CIFS: &str = "desktop CIFS deadlock, 2025-08-11";
const HEMMA: &str = "hemma, January 2026: nine crashes in two days";

/// An alert about some kinds of messages.
struct Trouble {
    name: &'static str,
    severity: Severity,
    kinds: &'static [&'static str],
    /// A kind of another alert that one could mix up with these.
    other: &'static str,
    summary: &'static str,
    meaning: &'static str,
    first: &'static str,
    incident: &'static str,
}

const TROUBLE: [Trouble; 12] = [
    Trouble {
        name: "KernelOops",
        severity: Severity::Page,
        kinds: &["kernel_bug_or_oops", "bad_page_state"],
        other: "kernel_warning",
        summary: "The kernel of {instance} is damaged ({kind}): reboot it before it dies on its own",
        meaning: "The kernel crashed one of its threads or found its memory management corrupt. It runs on with locks that nobody will release and data nobody can trust; a deadlock often follows within minutes.",
        first: "save the kernel log off the host at once (dmesg over ssh), then move the work away and reboot in order while that still works.",
        incident: "desktop CIFS deadlock, 2025-08-11: `Bad page state` one minute before the deadlock, unnoticed",
    },
    Trouble {
        name: "KernelLockup",
        severity: Severity::Page,
        kinds: &["soft_lockup", "hard_lockup", "rcu_stall", "workqueue_lockup"],
        other: "hung_task",
        summary: "A CPU of {instance} is stuck in the kernel ({kind}): a hang is near",
        meaning: "A processor, or the kernel's own workers, make no progress. Everything that needs them, or waits for all processors at once, stops; the host may still answer ping and scrapes. In a virtual machine the hypervisor may just not have let it run.",
        first: "save the kernel log off the host: its backtrace names the culprit. In a virtual machine look at the hypervisor's load first. If it goes on, capture a crash dump rather than press reset.",
        incident: "desktop CIFS deadlock, 2025-08-11: an RCU stall three minutes before everything hung",
    },
    Trouble {
        name: "KernelHungTask",
        severity: Severity::Warning,
        kinds: &["hung_task"],
        other: "soft_lockup",
        summary: "A task on {instance} was blocked for minutes: its disk or a network mount does not answer",
        meaning: "The kernel found a task that had not moved for two minutes in uninterruptible sleep. After ten such reports it says no more, so silence later is no recovery; TasksStuckInKernel tells whether it is still so.",
        first: "read the backtrace below the line in the kernel log: it names the file system or driver the task waits for.",
        incident: "desktop CIFS deadlock, 2025-08-11: NetworkManager and tailscaled blocked behind a dead mount",
    },
    Trouble {
        name: "KernelMachineCheck",
        severity: Severity::Warning,
        kinds: &["mce_hardware_error", "edac_error", "iommu_invalid_device_request", "iommu_fault"],
        other: "pcie_aer_error",
        summary: "The hardware of {instance} reports errors ({kind})",
        meaning: "The processor, a memory module or the IOMMU reported an error. Corrected errors harm nothing yet but seldom stay alone. Right after a reboot it is the reason for the crash that the hardware kept.",
        first: "decode it (rasdaemon, mcelog, or the bank and status in the kernel log) and note which processor, module or device it is.",
        incident: "hemma, 2026-01-06 06:27: machine checks in the first second after a crash, and the only hard evidence of nine",
    },
    Trouble {
        name: "KernelFilesystemError",
        severity: Severity::Warning,
        kinds: &["filesystem_error"],
        other: "filesystem_readonly",
        summary: "A file system on {instance} is damaged",
        meaning: "The kernel found metadata, a journal or a checksum of a file system wrong. It goes on for now; every write may make it worse.",
        first: "find out which (kernel log), check that its backup is good, look at the disk below it, and plan a repair offline.",
        incident: "the class of faults in which a machine answers and can't keep anything",
    },
    Trouble {
        name: "KernelFilesystemReadOnly",
        severity: Severity::Page,
        kinds: &["filesystem_readonly"],
        other: "filesystem_error",
        summary: "A file system on {instance} went read-only after an error: nothing is saved there any more",
        meaning: "The kernel protects what is left. Services on it go on from memory, look alive and lose everything they are given; the host's own log may be on it.",
        first: "find out which (`findmnt -O ro`), stop what writes there, look at the disk below it, repair offline. Don't remount it read-write to see what happens.",
        incident: "the class of faults in which a machine answers and can't keep anything",
    },
    Trouble {
        name: "KernelBlockIoError",
        severity: Severity::Warning,
        kinds: &["block_io_error", "ata_error", "nvme_timeout_or_reset", "scsi_error_or_abort", "md_raid_failure"],
        other: "filesystem_error",
        summary: "A disk of {instance} fails or its link does ({kind})",
        meaning: "Requests to a disk failed, timed out or had to be sent again, or an array lost a member. The next step is often a read-only file system or a hang.",
        first: "see which disk (flatline_kernel_device_events_total, kernel log) and read its SMART data. Check that the backup is good before anything else.",
        incident: "the class of faults in which a machine answers and can't keep anything",
    },
    Trouble {
        name: "GpuKernelTrouble",
        severity: Severity::Warning,
        kinds: &[
            "amdgpu_ring_timeout",
            "amdgpu_init_failure",
            "amdgpu_fence_or_job_hang",
            "amdgpu_reg_wait_timeout",
            "nvidia_xid",
            "i915_gpu_hang",
        ],
        other: "amdgpu_smu_mismatch",
        summary: "The GPU of {instance} hangs or is unusable ({kind})",
        meaning: "The driver waited in vain for the GPU, or gave up on it. Jobs on it fail or hang, and on some boards the whole host follows.",
        first: "read the driver's lines in the kernel log, stop the GPU's jobs, and see whether the card still answers. Save the log first: a hang of the host may follow.",
        incident: HEMMA,
    },
    Trouble {
        name: "GpuReset",
        severity: Severity::Warning,
        kinds: &["amdgpu_gpu_reset"],
        other: "amdgpu_ring_timeout",
        summary: "The driver has reset a GPU of {instance}: what ran on it is lost",
        meaning: "A job hung and the driver reset the card, or tried to. Every job on the card failed, also those that had done nothing wrong; some programs notice only when they are used again. A reset that failed leaves the card unusable.",
        first: "see which card it was and whether it succeeded (flatline_kernel_device_events_total, by device and phase), and start what used it again. Resets that repeat are a fault of the driver, the firmware, the power supply or the card.",
        incident: HEMMA,
    },
    Trouble {
        name: "GpuDriverMismatch",
        severity: Severity::Info,
        kinds: &["amdgpu_smu_mismatch"],
        other: "amdgpu_init_failure",
        summary: "The GPU driver of {instance} was made for another version of the card's firmware",
        meaning: "amdgpu says that the power management firmware (SMU) speaks another version of their interface than the driver was built for. It goes on and usually works; sensors and limits may be off. Said once at each start of the driver.",
        first: "note the driver, kernel and firmware (flatline_gpu_info, flatline_gpu_firmware_info, `uname -r`). Nothing needs to be done while the card works; if it does not, bring all three to one release.",
        incident: "hemma, January 2026: said at every boot, on kernels that worked and on the one that did not",
    },
    Trouble {
        name: "NetworkMountNotResponding",
        severity: Severity::Warning,
        kinds: &["cifs_not_responding", "cifs_reconnect_failed", "nfs_not_responding"],
        other: "nfs_ok",
        summary: "A network mount of {instance} does not answer ({kind}): whoever touches it hangs",
        meaning: "The server of an SMB or NFS mount is silent. Tasks that touch it sleep in the kernel and can't be killed, and what waits for them hangs next, up to the whole desktop or host.",
        first: "see whether the server answers. If it will not soon, stop what uses the mount and `umount -l` it before the tasks pile up.",
        incident: CIFS,
    },
    Trouble {
        name: "OomKilled",
        severity: Severity::Warning,
        kinds: &["oom_kill_global", "oom_kill_memcg"],
        other: "oom_invoked",
        summary: "The kernel killed a process on {instance} for want of memory ({kind})",
        meaning: "oom_kill_global: the host itself was out of memory, and everything on it stood still before the kill. oom_kill_memcg: a cgroup reached its limit, which may be what the limit is for.",
        first: "read the report in the kernel log: who was killed, who held the memory, and which cgroup. Then give it a limit, or more room.",
        incident: "hemma, 2026-01-04 20:56: a shell of 30 GB killed, three and a half hours before a crash",
    },
];

pub(super) fn signal(config: &Config) -> Signal {
    let window = config.kernel_log.said_within;
    let cases = TROUBLE.iter().flat_map(|t| LOG.cases(config, t.name, t.kinds, t.other, window));
    Signal {
        name: "kernel_log",
        records: Vec::new(),
        alerts: TROUBLE.iter().map(|trouble| alert(trouble, window)).chain([fatal(config), lost(window)]).collect(),
        cases: cases.chain(fatal_cases(config)).chain(lost_cases(config)).collect(),
        // Many tests, in which everything happens at every fourth scrape.
        test_stride: if window.steps(config.scrape_interval).is_multiple_of(4) { 4 } else { 1 },
        columns: Vec::new(),
        graphs: vec![Graph {
            title: "Trouble in the kernel's log",
            description: "How often the kernel said so within the hour before, by what it said. A kind that was never there before is worth a look at the log of that minute.",
            expr: increase(select(&kernel_log::EVENTS).chosen(), Range::Fixed(Span::hours(1))).above(0.0),
            legend: "{instance} {kind}",
            scale: Scale::Amount,
        }],
    }
}

fn alert(trouble: &Trouble, window: Span) -> Alert {
    let &Trouble { name, severity, kinds, summary, meaning, first, incident, .. } = trouble;
    Alert { name, severity, expr: LOG.told(kinds, window), hold: Span::ZERO, summary, meaning, first, incident }
}

fn fatal(config: &Config) -> Alert {
    let window = config.kernel_log.said_within;
    let events = || select(&kernel_log::DEVICE_EVENTS);
    let said = || events().like(&kernel_log::KIND, GRADED).like(&kernel_log::PHASE, FATAL_PHASES);
    let before = || call("max_over_time", events().over(Range::Fixed(window)).ago(window));
    let known = call("last_over_time", said().over(Range::Fixed(OUTAGE)).ago(window));
    let again = Expr::from(events()).equals(known).note("unless it is as often as before an outage");
    let kind = [config.identity(), vec![kernel_log::KIND.name.to_owned()]].concat();
    Alert {
        name: FATAL,
        severity: Severity::Page,
        expr: Expr::from(said())
            .above(before())
            .note("more often than before the window")
            .or(Expr::from(said())
                .unless(Matching::All, before())
                .note("or for the first time")
                .unless(Matching::All, again))
            .and(
                Matching::On(kind),
                since(select(&kernel_log::LAST_TIMESTAMP))
                    .below(window.as_seconds())
                    .note("and just now, so that it is not only Prometheus that is new"),
            ),
        hold: Span::ZERO,
        summary: "{device} of {instance} failed beyond repair ({kind}, {phase}): expect a hang or a reset",
        meaning: "A PCIe device or a memory controller reported an error that nothing could correct. What it was doing is lost; the driver may reset it, the kernel may panic, or the machine may reset itself without a word.",
        first: "save the kernel log off the host now (dmesg over ssh). Then see what {device} is (`lspci -s`, or the memory module by its controller), and take the load off it.",
        incident: HEMMA,
    }
}

fn fatal_cases(config: &Config) -> Vec<Case> {
    let (step, window) = (config.scrape_interval, config.kernel_log.said_within);
    let long = window.steps(step) + 12;
    let (onset, end) = (step * 4, step * long);
    let case = |name| Case::new(config, FATAL, name);
    let said = |case: Case, kind, phase, samples| {
        let labels = [(&kernel_log::KIND, kind), (&kernel_log::PHASE, phase), (&kernel_log::DEVICE, "0000:03:00.0")];
        case.series(&kernel_log::DEVICE_EVENTS, TARGET, &labels, samples)
    };
    let last_of = |case: Case, target, kind, samples| {
        case.series(&kernel_log::LAST_TIMESTAMP, target, &[(&kernel_log::KIND, kind)], samples)
    };
    let last = |case: Case, kind, samples| last_of(case, TARGET, kind, samples);
    let told = |kind, phase| {
        [("job", TARGET.0), ("instance", TARGET.1), ("kind", kind), ("phase", phase), ("device", "0000:03:00.0")]
    };
    let (aer, edac, dead) = ("pcie_aer_error", "edac_error", "Uncorrected (Fatal)");
    let from = |value| Samples::default().gap(4).then(value, long);
    let now = || from(onset.as_seconds());
    let long_ago = || Samples::flat(-1e7, long + 8);
    let more = || Samples::flat(1.0, long).then(2.0, long);
    let late = || Samples::flat(-1e7, long).then(end.as_seconds(), long);
    let forgotten = |before, after| Samples::flat(before, long).gap(2).then(after, 8);
    // Both totals are kept, and one is old.
    let away = |value| Samples::flat(value, 4).gap(long * 2);
    let never = |case: Case| case.never_until(end);
    let new = |name| last(said(case(name), aer, dead, from(1.0)), aer, long_ago());
    vec![
        last(said(case("for the first time"), aer, dead, from(1.0)), aer, now())
            .fires_from(onset, &[&told(aer, dead)])
            .fires(onset + window - step, &[&told(aer, dead)])
            .quiet(onset + window),
        last(said(case("once more"), edac, "UE", more()), edac, late())
            .fires_from(end, &[&told(edac, "UE")])
            .quiet(end + window),
        last(
            said(case("while the host booted"), aer, dead, Samples::default().gap(8).then(1.0, long)),
            aer,
            Samples::default().gap(8).then(onset.as_seconds(), long),
        )
        .fires_from(step * 8, &[&told(aer, dead)])
        .quiet(onset + window),
        last(
            said(case("fatal long ago, corrected after an outage"), aer, dead, away(1.0).then(1.0, 8)),
            aer,
            away(-1e7).then((step * (long * 2 + 4)).as_seconds(), 8),
        )
        .never_until(step * (long * 2 + 11)),
        last(
            said(case("fatal before an outage, and once more after it"), aer, dead, away(1.0).then(2.0, 8)),
            aer,
            away(-1e7).then((step * (long * 2 + 4)).as_seconds(), 8),
        )
        .fires(step * (long * 2 + 4), &[&told(aer, dead)]),
        last(
            said(case("fatal long ago, the exporter forgets; corrected now"), aer, dead, forgotten(5.0, 3.0)),
            aer,
            forgotten(-1e7, (step * (long + 2)).as_seconds()),
        )
        .never_until(step * (long + 9)),
        never(last(said(case("corrected"), aer, "Corrected", from(1.0)), aer, now())),
        never(last(said(case("not fatal"), aer, "Uncorrected (Non-Fatal)", from(1.0)), aer, now())),
        never(last(said(case("another kind"), "nvidia_xid", "UE", from(1.0)), "nvidia_xid", now())),
        last(
            last(said(said(case("more of others"), aer, "Corrected", more()), "nvidia_xid", "UE", more()), aer, late()),
            "nvidia_xid",
            late(),
        )
        .never_until(end + window),
        never(new("fatal long ago; Prometheus is new")),
        never(last(new("fatal long ago; something else now"), edac, now())),
        never(last_of(new("fatal long ago; another host now"), (TARGET.0, "devvm:10120"), aer, now())),
        never(last_of(new("fatal long ago; another job now"), ("flatline-lab", TARGET.1), aer, now())),
        last(
            said(case("fatal long ago, corrected now"), aer, dead, Samples::flat(1.0, long * 2)),
            aer,
            Samples::default().gap(long).then((step * long).as_seconds(), long),
        )
        .never_until(step * (long * 2 - 1)),
    ]
}

fn lost(window: Span) -> Alert {
    Alert {
        name: LOST,
        severity: Severity::Warning,
        expr: increase(select(&kernel_log::LOST_RECORDS), Range::Fixed(window)).above(0.0),
        hold: Span::ZERO,
        summary: "Flatline missed part of what the kernel of {instance} said",
        meaning: "The kernel wrote faster than its log was read, or before the exporter was there, and overwrote the rest. A flood hides what came with it: silence of the other kernel alerts means less now.",
        first: "look for the flood in the journal (`journalctl -k`), which may have more of it, and enlarge the ring (log_buf_len=4M) if it happens at boot.",
        incident: "every reader of the kernel's log that skipped what was overwritten and told nobody",
    }
}

const TARGET: (&str, &str) = ("flatline", "hemma:10120");

fn lost_cases(config: &Config) -> Vec<Case> {
    let (step, window) = (config.scrape_interval, config.kernel_log.said_within);
    let long = window.steps(step) + 8;
    let case = |name| Case::new(config, LOST, name);
    let lost = |case: Case, samples| case.series(&kernel_log::LOST_RECORDS, TARGET, &[], samples);
    let never = |case: Case| case.never_until(step * long);
    vec![
        lost(case("a flood"), Samples::flat(3.0, 4).then(900.0, long))
            .fires_from(step * 4, &[&[("job", TARGET.0), ("instance", TARGET.1)]])
            .quiet(step * 4 + window),
        never(lost(case("fresh: lost before anybody looked"), Samples::default().gap(4).then(900.0, long))),
        never(lost(case("the exporter restarts and forgets"), Samples::flat(900.0, 4).gap(2).then(0.0, long))),
        never(lost(case("nothing is lost"), Samples::flat(0.0, long))),
    ]
}
