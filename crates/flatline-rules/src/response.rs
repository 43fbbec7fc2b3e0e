//! What alerts mean to each other, and to who is woken: which go without saying while another fires, and what must
//! not be done about them.

use crate::config::Config;
use crate::model::Alert;
use crate::span::Span;

/// While one alert fires, another about the same thing goes without saying.
///
/// An alert may only silence what it vouches for: what is bound to be true, or can't be known, because the cause is.
/// So an exporter that is dead silences nothing: the host behind it may have any trouble. Nor does a machine that does
/// not answer silence what its hypervisor, its VMs or its watchdog say: those are causes, or evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inhibition {
    /// The alert that is sent.
    pub cause: &'static str,
    /// The alert that is not.
    pub symptom: &'static str,
    /// The labels that make them speak of the same thing; `host` is `instance` without its port.
    pub same: &'static [&'static str],
    /// How long after their common onset the cause's expression is true at the latest, once it is scraped. The
    /// symptom's may be true at once.
    pub cause_after: Span,
    /// Why the cause vouches for the symptom.
    pub why: &'static str,
}

impl Inhibition {
    /// For how long the symptom must wait before it is sent, so that the cause is always there before.
    ///
    /// The cause is late by its `for`, by two scrapes (one until the onset is seen, one until a window is full) and by
    /// two evaluations (one that begins its `for` and one that ends it). Of the symptom nothing is assumed but its `for`.
    #[must_use]
    pub fn wait(&self, cause: &Alert, symptom: &Alert, config: &Config) -> Span {
        // Prometheus's own default, where the configuration leaves it to Prometheus.
        let evaluation = config.evaluation_interval.unwrap_or(Span::minutes(1));
        self.cause_after + cause.hold + config.scrape_interval * 2 + evaluation * 2 - symptom.hold
    }
}

/// Every inhibition, by cause.
#[must_use]
pub fn inhibitions(config: &Config) -> Vec<Inhibition> {
    let dead = |cause, symptom, why| Inhibition { cause, symptom, same: &["host"], cause_after: Span::ZERO, why };
    let told = |cause, symptom, cause_after, why| Inhibition { cause, symptom, same: &["instance"], cause_after, why };
    vec![
        dead("DevvmDown", "DevvmFlapping", "it came and went, and now it is gone"),
        dead("DevvmDown", "ExporterDown", "nothing answers on a dead machine, its exporter included"),
        dead("DevvmDown", "ExporterAbsent", "nothing answers on a dead machine, its exporter included"),
        dead("DevvmAbsent", "DevvmFlapping", "it came and went, and now nobody asks it any more"),
        dead("DevvmAbsent", "ExporterDown", "who vanished from discovery takes its exporter along"),
        dead("DevvmAbsent", "ExporterAbsent", "who vanished from discovery takes its exporter along"),
        Inhibition {
            cause: "VmDiskStalled",
            symptom: "VmDiskWriteZero",
            same: &["instance", "vm", "disk"],
            cause_after: config.vm.stalled_window,
            why: "a disk that completes nothing writes nothing",
        },
        told(
            "MemcgLivelock",
            "MemoryPressureSustained",
            config.memcg.livelock_window,
            "a livelock that holds everybody is the pressure that is measured",
        ),
        told(
            "TasksStuckInKernel",
            "KernelHungTask",
            config.tasks.stuck_over,
            "the kernel says in its log what was measured: a task that does not move",
        ),
        told(
            "HostCrashLooping",
            "HostRebootedUncleanly",
            Span::ZERO,
            "a host that crashes in circles reboots uncleanly each time",
        ),
    ]
}

const HANGS: &str = "reset, kill or restart it before the runbook's capture is taken: autopsy before shooting. The only evidence is in memory, and dies with it.";
const VM: &str = "reset, stop or migrate the VM, nor kill its QEMU, before the runbook's capture is taken: autopsy before shooting. No `stop` over QMP either, it waits for the very I/O that is stuck.";
const MOUNT: &str = "touch the mount with ls, df or find: your shell hangs next. No reset before the runbook's capture is taken: autopsy before shooting.";
const WATCHDOG: &str = "open /dev/watchdog to look at it, not even with cat: that arms it, and it resets the host when nobody feeds it. /sys/class/watchdog tells the same without.";
const EVIDENCE: &str = "reboot the host again, nor clear pstore or the dumps, before the evidence is copied elsewhere: the next boot may overwrite it.";
const DISK: &str = "remount it writable, run fsck or restart what writes there before its data and the kernel's log are copied elsewhere.";
const MEMORY: &str = "restart what was killed before you know who took the memory, or it is killed again; and don't reboot, the kernel's log names the culprit.";
const GPU: &str =
    "reset the GPU, reload its driver or reboot before the kernel's log is copied elsewhere: autopsy before shooting.";
const CGROUP: &str = "kill anything before memory.stat, memory.pressure and the hog's command line are copied (seconds): autopsy before shooting. No shell inside the cgroup, it is throttled as well.";
const BLIND: &str = "take silence for health: while this fires, nothing else can be told about it.";

/// What not to do, and about which alerts. Alerts that nothing can make worse are not named.
pub const DONTS: [(&str, &[&str]); 10] = [
    (
        HANGS,
        &[
            "DevvmDown",
            "DevvmAbsent",
            "DevvmFrozen",
            "HeartbeatStalled",
            "TasksStuckInKernel",
            "KernelHungTask",
            "KernelLockup",
            "KernelOops",
            "KernelFatalHardwareError",
            "JournaldWatchdogKilled",
            "RemoteKernelTrouble",
            "AcceptQueueRotting",
            "HealthGateFailing",
        ],
    ),
    (VM, &["VmDiskStalled", "VmDiskWriteZero", "VmQmpUnresponsive", "VmIoError"]),
    (MOUNT, &["NetworkMountHung", "NetworkMountLost", "NetworkMountNotResponding"]),
    (WATCHDOG, &["WatchdogNotArmed", "WatchdogUnowned", "WatchdogWrongOwner"]),
    (
        EVIDENCE,
        &[
            "CrashEvidenceWaiting",
            "HostRebootedUncleanly",
            "HostCrashLooping",
            "WatchdogResetTheHost",
            "KernelMachineCheck",
            "DevvmFlapping",
        ],
    ),
    (DISK, &["KernelFilesystemReadOnly", "KernelFilesystemError", "KernelBlockIoError", "DriveFailing"]),
    (MEMORY, &["OomKilled", "UnitOomKilled", "EarlyoomKilled"]),
    (GPU, &["GpuStuck", "GpuMissing", "GpuKernelTrouble", "GpuReset"]),
    (CGROUP, &["MemcgLivelock"]),
    (
        BLIND,
        &[
            "ExporterDown",
            "ExporterAbsent",
            "FlatlineCollectorStuck",
            "JournalNotFollowed",
            "KernelLogLost",
            "VmMonitorUnreadable",
        ],
    ),
];

/// What not to do about an alert.
#[must_use]
pub fn dont(alert: &str) -> Option<&'static str> {
    DONTS.iter().find(|(_, alerts)| alerts.contains(&alert)).map(|(text, _)| *text)
}
