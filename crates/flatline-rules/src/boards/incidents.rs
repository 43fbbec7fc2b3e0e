//! A dashboard per class of incident, laid out as the reader of a post-mortem needs it: everything on one time axis,
//! from what was believed (the alerts, the status) down to what was so.

use flatline_catalog::{
    Family, boots, crash_capture, gpu, kernel_faults, kernel_log, memcg, mounts, netconsole, pressure, tasks, vm,
    watchdog,
};

use super::{Board, CGROUP, Layout, Moment, Picture, TIMELINE, VM, firing};
use crate::config::Config;
use crate::model::{Scale, Signal};
use crate::prometheus::UP;
use crate::promql::{Expr, Range, Select, by, increase, rate, select, since};

pub(super) fn all(signals: &[Signal], config: &Config) -> Vec<Board> {
    let enabled = Enabled(signals.iter().flat_map(|signal| &signal.alerts).map(|alert| alert.name).collect());
    boards(config).map(|board| enabled.board(board)).into()
}

fn boards(config: &Config) -> [Board; 5] {
    [vm_disk(config), livelock(config), gpu(config), mount(config), crashes(config)]
}

/// The alerts that are switched on.
struct Enabled(Vec<&'static str>);

impl Enabled {
    /// The alerts that belong to the incident on top, and none of those that are switched off anywhere.
    fn board(&self, mut board: Board) -> Board {
        for picture in &mut board.pictures {
            picture.alerts.retain(|alert| self.0.contains(alert));
        }
        let alerts =
            firing("What Flatline said", "The alerts that fire, in the order of the pictures below.", &board.alerts());
        board.pictures.splice(0..0, alerts);
        board
    }
}

fn incident(uid: &'static str, title: &'static str, description: &'static str, pictures: Vec<Picture>) -> Board {
    Board {
        uid,
        title,
        description,
        choices: Vec::new(),
        columns: Vec::new(),
        pictures,
        layout: Layout::Stack,
        moments: Vec::new(),
    }
}

fn picture(title: &'static str, description: &'static str, scale: Scale) -> Picture {
    Picture { title, description, lines: Vec::new(), scale, alerts: Vec::new() }
}

impl Picture {
    fn line(mut self, expr: impl Into<Expr>, legend: &'static str) -> Self {
        self.lines.push((expr.into(), legend));
        self
    }

    fn told_by(mut self, alerts: &[&'static str]) -> Self {
        self.alerts = alerts.to_vec();
        self
    }
}

/// In seconds.
const A_DAY: f64 = 86_400.0;

fn of(family: &'static Family) -> Select {
    select(family).chosen()
}

fn per_second(select: Select) -> Expr {
    rate(select, Range::Panel)
}

fn counted(select: Select) -> Expr {
    increase(select, Range::Panel)
}

fn answering() -> Picture {
    picture(
        "Who answers",
        "Whether each target answers Prometheus. The machine that died may go on answering for a while, and the others always do.",
        Scale::State { good: "answers", bad: "dead" },
    )
    .line(by("min", &["instance"], of(&UP)), "{instance}")
}

fn kernel_says() -> Picture {
    picture(
        "What the kernel said",
        "Lines of trouble in the kernel's log, by what they mean. Silence proves nothing: a kernel whose disk is dead can't say so.",
        Scale::Events,
    )
    .line(counted(of(&kernel_log::EVENTS)).above(0.0), "{instance} {kind}")
}

fn longest_blocked(config: &Config) -> Picture {
    picture(
        "Tasks blocked in the kernel",
        "How long the longest of the tasks in each kernel function has not moved. Straight lines upwards are tasks that nothing wakes; the function's name says what they wait for.",
        Scale::Seconds(config.tasks.stuck_over.as_seconds()),
    )
    .line(of(&tasks::BLOCKED_OLDEST_SECONDS), "{instance} {wchan}")
    .told_by(&["TasksStuckInKernel"])
}

/// The devvm's disk stall of 2026-06-11: status, completions, in-flight, CPU ramp, QMP.
fn vm_disk(config: &Config) -> Board {
    const DISK: &str = "{vm} {disk}";
    let window = config.vm.stalled_window.as_seconds();
    let pictures = vec![
        picture(
            "What QEMU says of the guest",
            "The run state QEMU reports. In a stall inside QEMU it says running throughout: that is the lie this dashboard is about.",
            Scale::Fact("yes"),
        )
        .line(Expr::from(of(&vm::VM_STATUS)).equals(1.0), "{vm} {status}")
        .told_by(&["VmIoError"]),
        picture(
            "Requests completed",
            "Reads, writes and flushes the guest's disks complete per second. All of them at zero at once, on a machine that is never silent, is the stall.",
            Scale::PerSecond,
        )
        .line(per_second(of(&vm::WRITES_COMPLETED)), "{vm} {disk} writes")
        .line(per_second(of(&vm::READS_COMPLETED)), "{vm} {disk} reads")
        .line(per_second(of(&vm::FLUSHES_COMPLETED)), "{vm} {disk} flushes")
        .told_by(&["VmDiskWriteZero"]),
        picture(
            "Requests in flight",
            "What the guest waits for. A line that stays above 0 while nothing is completed is the proof. Only virtio disks can tell; on others look at the completions alone.",
            Scale::Amount,
        )
        .line(of(&vm::INFLIGHT), DISK)
        .told_by(&["VmDiskStalled"]),
        picture(
            "Since a request was last completed",
            "By QEMU's own clock. A straight line upwards is an idle disk or a dead one; the requests in flight tell which.",
            Scale::Seconds(window),
        )
        .line(of(&vm::IDLE_SECONDS), DISK),
        picture(
            "Processors QEMU keeps busy",
            "Guest included. A slow ramp after the disk has stopped is work that piles up behind it and spins; a kernel that panicked stops or spins at once.",
            Scale::Processors,
        )
        .line(per_second(of(&vm::PROCESS_CPU_SECONDS)), "{vm}"),
        picture(
            "Whether QEMU's monitor answers",
            "How asking QMP ends: up, no_reply, refused and so on. A monitor that answers proves that QEMU's main loop lives, not that the disk does.",
            Scale::Fact("yes"),
        )
        .line(Expr::from(of(&vm::QMP_STATE)).equals(1.0), "{vm} {state}")
        .told_by(&["VmQmpUnresponsive", "VmMonitorUnreadable"]),
        picture(
            "Time until QMP answers",
            "Usually below a millisecond. A gap is a QEMU that did not answer in time.",
            Scale::Seconds(0.5),
        )
        .line(of(&vm::QMP_REPLY_SECONDS), "{vm}"),
        picture(
            "Rewrites of the disk's limits",
            "Times the throttle of a running disk was set anew. On 2026-06-11 a job did so every hour, twenty minutes before the stall the last time.",
            Scale::Events,
        )
        .line(counted(of(&vm::THROTTLE_CHANGES)), DISK)
        .told_by(&["VmThrottleRewritten"]),
        answering().told_by(&["DevvmDown", "DevvmAbsent"]),
    ];
    Board {
        choices: vec![VM],
        ..incident(
            "flatline-incident-vm-disk",
            "Flatline incident: a virtual machine's disk stalls",
            "The guest hangs behind a disk that completes nothing while QEMU says that all is well. Choose the VM; read from top to bottom. From the devvm's stall on 2026-06-11.",
            pictures,
        )
    }
}

/// The memcg livelock of 2026-07-02.
fn livelock(config: &Config) -> Board {
    const CGROUP_LEGEND: &str = "{instance} {cgroup}";
    let memory = |family| Select::with(of(family), &memcg::RESOURCE, "memory");
    let pictures = vec![
        picture(
            "Memory and its limits",
            "What the cgroup uses, where throttling begins (memory.high) and where killing begins (memory.max). A plateau between the two is the band in which nothing is killed and nothing moves.",
            Scale::Bytes,
        )
        .line(of(&memcg::CURRENT_BYTES), "{cgroup} used")
        .line(of(&memcg::HIGH_BYTES), "{cgroup} high")
        .line(of(&memcg::MAX_BYTES), "{cgroup} max")
        .told_by(&["MemcgLivelockBandConfigured"]),
        picture(
            "Throttled at memory.high",
            "How often per second the kernel throttled the cgroup. Dozens are healthy while pages come free.",
            Scale::PerSecond,
        )
        .line(per_second(of(&memcg::LOCAL_EVENTS).with(&memcg::EVENT, "high")), CGROUP_LEGEND)
        .told_by(&["MemcgLivelock"]),
        picture(
            "Waiting for memory",
            "Share of time in which somebody (some) or everybody (full) in the cgroup waited for memory. Full near 100 % means that the cgroup does no work at all.",
            Scale::Share(0.2, config.memcg.livelock_waiting_share),
        )
        .line(per_second(memory(&memcg::WAITING_SECONDS)), "{cgroup} some")
        .line(per_second(memory(&memcg::STALLED_SECONDS)), "{cgroup} full"),
        picture(
            "Pages looked at and pages freed",
            "What throttling was good for. Many looked at and none freed: there is nothing to reclaim (anonymous memory without swap).",
            Scale::PerSecond,
        )
        .line(per_second(of(&memcg::RECLAIM_SCANNED_PAGES)), "{cgroup} scanned")
        .line(per_second(of(&memcg::RECLAIM_RECLAIMED_PAGES)), "{cgroup} freed"),
        picture(
            "Killed for memory",
            "Processes the kernel killed in the cgroup. In a livelock: none, and that is the trouble.",
            Scale::Events,
        )
        .line(counted(of(&memcg::EVENTS).with(&memcg::EVENT, "oom_kill")), CGROUP_LEGEND)
        .told_by(&["OomKilled", "EarlyoomKilled"]),
        picture(
            "Processes",
            "Tasks in the cgroup. A rise after the livelock began is work that arrives and never gets done.",
            Scale::Amount,
        )
        .line(of(&memcg::PIDS), CGROUP_LEGEND),
        picture(
            "The host beside it",
            "Share of time in which somebody on the host waited for memory or disk. It can look fine while one cgroup is dead.",
            Scale::Share(0.2, 0.6),
        )
        .line(per_second(of(&pressure::WAITING_SECONDS)), "{instance} {resource}"),
        longest_blocked(config),
    ];
    Board {
        choices: vec![CGROUP],
        ..incident(
            "flatline-incident-livelock",
            "Flatline incident: a cgroup livelocks at memory.high",
            "Everything in a cgroup stands still, throttled by the kernel, and nothing is killed. Choose the cgroup; read from top to bottom. From the terminal server's outage on 2026-07-02.",
            pictures,
        )
    }
}

/// hemma's crashes of January 2026: the GPU, the kernel's log, the end.
fn gpu(config: &Config) -> Board {
    const CARD: &str = "{instance} {gpu}";
    let pictures = vec![
        picture(
            "GPUs on the bus",
            "Whether each GPU is there and has a driver.",
            Scale::State { good: "there", bad: "missing" },
        )
        .line(of(&gpu::PRESENT), CARD)
        .told_by(&["GpuMissing", "GpuDriverMismatch"]),
        kernel_says().told_by(&["GpuKernelTrouble", "GpuReset", "KernelMachineCheck", "KernelFatalHardwareError"]),
        picture(
            "Questions to the GPU that hang",
            "How long a read of the card's sensors has had no answer. A straight line upwards is a driver that is stuck, with everybody who touches the card.",
            Scale::Seconds(config.gpu.stuck_over.as_seconds()),
        )
        .line(of(&gpu::STUCK_SECONDS), CARD)
        .told_by(&["GpuStuck"]),
        picture(
            "GPU power",
            "Watts. Peaks before a crash point to the power supply; a flat line up to it points elsewhere.",
            Scale::Watts,
        )
        .line(of(&gpu::POWER), CARD)
        .told_by(&["GpuPowerHigh"]),
        picture(
            "Temperatures",
            "Degrees Celsius by sensor, of GPUs and of the processors' packages.",
            Scale::Celsius(config.gpu.edge_celsius),
        )
        .line(of(&gpu::TEMPERATURE), "{instance} {gpu} {sensor}")
        .line(of(&gpu::CPU_TEMPERATURE), "{instance} {chip} {sensor}")
        .told_by(&["GpuTemperatureHigh", "CpuTemperatureHigh"]),
        picture(
            "How busy the GPU is",
            "Share of time in which each engine worked. 100 % without an end and without power is a hung job.",
            Scale::Share(1.0, 1.0),
        )
        .line(of(&gpu::UTILIZATION), "{instance} {gpu} {engine}"),
        longest_blocked(config),
        picture(
            "Since the last boot",
            "How long hosts have been up that booted within a day. The gap before a line begins is how long the host was dead.",
            Scale::Duration,
        )
        .line(since(of(&boots::BOOT_TIME)).below(A_DAY), "{instance}")
        .told_by(&["HostRebootedUncleanly", "HostCrashLooping"]),
        answering().told_by(&["ExporterDown"]),
    ];
    Board {
        moments: moments(),
        ..incident(
            "flatline-incident-gpu",
            "Flatline incident: a GPU takes its host down",
            "From the first complaint of the driver to the boot after the crash. Vertical marks are boots and last signs of life. From hemma's crashes, January 2026.",
            pictures,
        )
    }
}

/// The desktop's CIFS deadlock of 2025-08-11.
fn mount(config: &Config) -> Board {
    let pictures = vec![
        picture(
            "Whether mounts answer",
            "Whether a look at each mount comes back.",
            Scale::State { good: "answers", bad: "hangs" },
        )
        .line(of(&mounts::RESPONDING), "{instance} {mountpoint}")
        .told_by(&["NetworkMountHung", "NetworkMountLost"]),
        picture(
            "For how long everybody waits",
            "Seconds since a mount last let anybody through.",
            Scale::Seconds(config.mounts.hung_over.as_seconds()),
        )
        .line(of(&mounts::STUCK_SECONDS), "{instance} {mountpoint}"),
        picture(
            "Reconnections to SMB servers",
            "The kernel's SMB client lost its server and tried again.",
            Scale::Events,
        )
        .line(counted(of(&mounts::CIFS_SESSION_RECONNECTS)), "{instance} sessions")
        .line(counted(of(&mounts::CIFS_SHARE_RECONNECTS)), "{instance} shares"),
        picture(
            "Requests in flight to SMB servers",
            "What waits for an answer. A line that never comes down is the deadlock.",
            Scale::Amount,
        )
        .line(of(&mounts::CIFS_REQUESTS_IN_FLIGHT), "{instance}"),
        kernel_says().told_by(&["NetworkMountNotResponding", "KernelHungTask", "KernelOops"]),
        longest_blocked(config),
        picture(
            "Tasks by state",
            "How many tasks sleep uninterruptibly: the crowd that gathers behind the mount.",
            Scale::Amount,
        )
        .line(Select::with(of(&tasks::TASKS), &tasks::STATE, "disk_sleep"), "{instance}"),
        answering().told_by(&["ExporterDown"]),
    ];
    incident(
        "flatline-incident-mount",
        "Flatline incident: a network mount hangs",
        "A file server goes away and everybody who touches its mount hangs in the kernel, in the end the desktop too. From the CIFS deadlock of 2025-08-11.",
        pictures,
    )
}

/// When hosts crashed and booted, and what would have been left of it.
fn crashes(config: &Config) -> Board {
    let pictures = vec![
        answering().told_by(&["DevvmDown", "ExporterDown"]),
        picture(
            "Since the last boot",
            "How long hosts have been up that booted within a day. A saw-tooth of minutes or hours is a host that crashes in circles.",
            Scale::Duration,
        )
        .line(since(of(&boots::BOOT_TIME)).below(A_DAY), "{instance}")
        .told_by(&["HostCrashLooping", "KernelOrDriverChanged"]),
        picture(
            "How the boot before ended",
            "Shut down, or crashed, reset, without power.",
            Scale::State { good: "clean", bad: "crash" },
        )
        .line(of(&boots::PREVIOUS_CLEAN), "{instance}")
        .told_by(&["HostRebootedUncleanly"]),
        picture(
            "For how long it was dead",
            "Seconds between the last sign of life of the boot before and the start of this one.",
            Scale::Duration,
        )
        .line(of(&boots::PREVIOUS_GAP), "{instance}"),
        picture(
            "The heartbeat waits for the disk",
            "How long the heartbeat in flight has waited. A straight line upwards up to the crash: the disk died first.",
            Scale::Seconds(config.boots.heartbeat_stalled_over.as_seconds()),
        )
        .line(of(&boots::HEARTBEAT_STALLED), "{instance}")
        .told_by(&["HeartbeatStalled"]),
        picture(
            "Faults the kernel counted",
            "Oopses, warnings, stalls, lockups, hung tasks, OOM kills.",
            Scale::Events,
        )
        .line(counted(of(&kernel_faults::FAULTS)).above(0.0), "{instance} {kind}"),
        kernel_says().told_by(&["KernelOops", "KernelLockup"]),
        picture(
            "Since other hosts' kernels last spoke",
            "How long ago each host last sent a kernel message over netconsole: its last words, as another host kept them.",
            Scale::Duration,
        )
        .line(since(of(&netconsole::LAST_TIMESTAMP)), "{sender} to {instance}")
        .told_by(&["RemoteKernelTrouble"]),
        picture(
            "Whether a crash would leave evidence",
            "Whether at least one way to record a crash (pstore, kdump, netconsole) would work.",
            Scale::State { good: "evidence", bad: "nothing" },
        )
        .line(by("max", &["instance"], of(&crash_capture::READY)), "{instance}")
        .told_by(&["CrashCaptureNotArmed", "CrashEvidenceWaiting"]),
        picture(
            "Whether a hang would end by itself",
            "Whether each watchdog would reset its host.",
            Scale::State { good: "armed", bad: "not armed" },
        )
        .line(of(&watchdog::PROTECTING), "{instance} {device}")
        .told_by(&["WatchdogNotArmed", "WatchdogResetTheHost"]),
    ];
    Board {
        moments: moments(),
        ..incident(
            TIMELINE,
            "Flatline: boots and crashes",
            "When hosts died and when they came back. Vertical marks are boots, last signs of life, and alerts.",
            pictures,
        )
    }
}

fn moments() -> Vec<Moment> {
    // Grafana takes the values themselves as times where `useValueForTime` is set, in milliseconds.
    let at = |family| Expr::from(of(family)).times(1000.0);
    vec![
        Moment { name: "Boots", expr: at(&boots::BOOT_TIME), text: "{{instance}} boots" },
        Moment { name: "Last signs of life", expr: at(&boots::PREVIOUS_END), text: "{{instance}}: last sign of life" },
    ]
}

#[cfg(test)]
mod tests {
    use super::boards;
    use crate::config::Config;
    use crate::signals;

    #[test]
    fn pictures_are_told_by_alerts_that_exist() {
        let all = "{watchdog: {expected_owners: {'hemma:.*': wd_keepalive}}, gpu: {ppt_watts: 300}}";
        let config = Config::parse("all.yml", all).unwrap();
        let signals = signals::all(&config);
        let known: Vec<&str> = signals.iter().flat_map(|signal| &signal.alerts).map(|alert| alert.name).collect();
        for name in boards(&config).iter().flat_map(super::Board::alerts) {
            assert!(known.contains(&name), "there is no alert {name}");
        }
    }
}
