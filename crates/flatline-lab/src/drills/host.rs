//! Hosts that die, hang or kill, with the exporter inside.

use std::time::Duration;

use serde_json::json;

use super::stage::{Watched, exporter, node, with_node_exporter};
use super::{BOOT, Drill, Pace, Plot, SOON, Session};
use crate::scenarios::workload;
use crate::{Guest, GuestBuilder, Result};

/// Where the exporter answers in a guest.
const EXPORTER: u16 = 10120;
/// The machine, as it is called in the report.
const DEVVM: &str = "devvm:10120";

pub(super) const PLOTS: &[Plot] = &[
    Plot { title: "up", query: "up" },
    Plot { title: "boots known", query: "flatline_boots_total" },
    Plot { title: "of them unclean", query: "flatline_unclean_boots_total" },
    Plot { title: "tasks blocked in the kernel", query: "sum(flatline_tasks_blocked) or vector(0)" },
    Plot { title: "kernel events", query: "flatline_kernel_events_total > 0" },
];

pub(super) static KILLED: Drill = Drill {
    name: "guest-killed",
    breaks: "the machine is gone from one moment to the next: its QEMU is killed",
    pace: Pace::Production,
    expects: &["DevvmDown"],
    tolerates: &[],
    plots: &[Plot { title: "up", query: "up" }],
    play: |session| {
        let guest = watched(session, &host()?)?;
        session.settle()?;
        drop(guest);
        session.onset("QEMU is killed");
        session.until_told(SOON)
    },
};

pub(super) static PANICKED: Drill = Drill {
    name: "guest-panicked",
    breaks: "the kernel panics and boots again a second later",
    pace: Pace::Production,
    expects: &["HostRebootedUncleanly"],
    tolerates: &[],
    plots: PLOTS,
    play: |session| {
        boots_again(session, &host()?, "sysrq c", "(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
    },
};

pub(super) static WATCHDOG_RESET: Drill = Drill {
    name: "guest-watchdog",
    breaks: "whoever feeds the watchdog stops to, and the watchdog resets the machine",
    pace: Pace::Production,
    expects: &["HostRebootedUncleanly", "WatchdogResetTheHost"],
    tolerates: &["WatchdogUnowned", "WatchdogNotArmed"],
    plots: PLOTS,
    play: |session| {
        let host = host()?
            .module("i6300esb")
            .qemu_arguments(["-device", "i6300esb"])
            .script("[ -e /disk/fed ] || watchdog -T 4 -t 1 /dev/watchdog; touch /disk/fed; sync");
        boots_again(session, &host, "the process that feeds it is stopped", "kill -STOP $(pidof watchdog)")
    },
};

pub(super) static FROZEN_FILESYSTEM: Drill = Drill {
    name: "frozen-filesystem",
    breaks: "a file system answers nobody any more, the exporter's own state on it; whoever writes hangs in the kernel",
    pace: Pace::Production,
    expects: &["HeartbeatStalled"],
    // On a host of which somebody has been told already, a further alert is added to the message after group_interval.
    tolerates: &["TasksStuckInKernel", "KernelHungTask"],
    plots: PLOTS,
    play: |session| {
        let guest = watched(session, &host()?)?;
        session.until_true("flatline_heartbeat_write_seconds_count >= 1", SOON)?;
        session.settle()?;
        guest.sh("fsfreeze --freeze /disk; dd if=/dev/zero of=/disk/stuck bs=512 count=1 >/dev/null 2>&1 &")?;
        session.onset("fsfreeze, and a writer");
        session.until_told(SOON)?;
        session.until_firing("TasksStuckInKernel", SOON)?;
        guest.sh("fsfreeze --unfreeze /disk")?;
        session.relief("it is unfrozen");
        session.until_over("TasksStuckInKernel", SOON)
    },
};

pub(super) static SOFT_LOCKUP: Drill = Drill {
    name: "soft-lockup",
    breaks: "a processor stands still for 8 seconds, as one does whose virtual machine is not run",
    pace: Pace::Production,
    expects: &["KernelLockup"],
    tolerates: &[],
    plots: PLOTS,
    play: |session| {
        let guest = watched(session, &host()?)?;
        session.settle()?;
        guest.sh("echo 1 >/proc/sys/kernel/watchdog_thresh")?;
        session.onset("the machine is not run");
        guest.suspend()?;
        std::thread::sleep(Duration::from_secs(8));
        guest.resume()?;
        session.relief("it runs again");
        session.until_told(SOON)
    },
};

pub(super) static GLOBAL_OOM: Drill = Drill {
    name: "global-oom",
    breaks: "a process takes all the memory there is, and is killed",
    pace: Pace::Production,
    expects: &["OomKilled"],
    tolerates: &[],
    plots: PLOTS,
    play: |session| {
        let guest = watched(session, &host()?)?;
        session.settle()?;
        session.onset("a process without end");
        guest.run("tail /dev/zero", BOOT)?;
        session.until_told(SOON)
    },
};

pub(super) static SWAP_THRASH: Drill = Drill {
    name: "swap-thrash",
    breaks: "a process goes round and round in more memory than there is, with swap on a disk of 100 requests a second",
    pace: Pace::Production,
    expects: &["SwapThrash"],
    // The exporter's pages are locked; those of everybody else come and go.
    tolerates: &["DevvmFlapping"],
    plots: &[
        Plot { title: "up", query: "up" },
        Plot {
            title: "share of time everybody waits (io, memory)",
            query: "rate(flatline_pressure_stalled_seconds_total{resource=~\"io|memory\"}[1m])",
        },
        Plot { title: "MiB per second to and from swap", query: "rate(flatline_swap_bytes_total[1m]) / 2^20" },
        Plot { title: "OOM kills", query: "flatline_kernel_faults_total{kind=\"oom_kill\"}" },
    ],
    play: |session| {
        let machine = Guest::builder().memory_mib(512).swap_mib(1024).binary(workload()?);
        let guest = watched(session, &with_exporters(machine, "--state.directory=")?)?;
        // The disk is a file in this host's memory. As many requests a second as a disk that turns takes.
        let limits = json!({
            "id": "/machine/peripheral/virtio0/virtio-backend",
            "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 100, "iops_rd": 0, "iops_wr": 0,
        });
        guest.qmp()?.execute("block_set_io_throttle", &limits)?;
        session.settle()?;
        guest.sh("guest-workload thrash --mib 700 >/dev/console 2>&1 & echo $! >/run/thrash.pid")?;
        session.onset("700 MiB in a machine with 512");
        session.until_told(SOON)?;
        guest.run("kill -9 $(cat /run/thrash.pid)", BOOT)?;
        session.relief("it is killed");
        session.until_over("SwapThrash", SOON)
    },
};

pub(super) static MEMCG_OOM: Drill = Drill {
    name: "memcg-oom",
    breaks: "a process takes more than the memory.max of its cgroup, and is killed",
    pace: Pace::Production,
    expects: &["OomKilled"],
    tolerates: &[],
    plots: PLOTS,
    play: |session| {
        let guest = watched(session, &host()?)?;
        session.settle()?;
        session.onset("a hog in a cgroup of 16 MiB");
        guest.sh("mkdir /sys/fs/cgroup/hog; echo 16M >/sys/fs/cgroup/hog/memory.max
             (echo 0 >/sys/fs/cgroup/hog/cgroup.procs; exec tail /dev/zero) || true")?;
        session.until_told(SOON)
    },
};

/// A host whose heart has beaten dies by this command and comes back; Slack is told of it.
fn boots_again(session: &mut Session<'_>, builder: &GuestBuilder, what: &str, command: &str) -> Result<()> {
    let guest = watched(session, builder)?;
    session.until_true("flatline_heartbeat_write_seconds_count >= 1", SOON)?;
    session.settle()?;
    session.onset(what);
    guest.boots_again(BOOT, || guest.sh(command).map(drop))?;
    session.step("it has booted again");
    session.until_told(SOON)
}

/// A guest with both exporters, a disk for the state of ours, and a reboot a second after a panic.
pub(super) fn host() -> Result<GuestBuilder> {
    with_exporters(machine(), "--state.directory=/disk/state")
}

/// The machine alone.
pub(super) fn machine() -> GuestBuilder {
    Guest::builder().memory_mib(1024).disk_mib(256).kernel_argument("panic=1")
}

/// Both exporters run in the guest, ours with these flags.
pub(super) fn with_exporters(guest: GuestBuilder, flags: &str) -> Result<GuestBuilder> {
    let guest = guest.binary(exporter()?).forward(EXPORTER).script(&format!("flatline-exporter {flags} &"));
    with_node_exporter(guest.boot_deadline(BOOT))
}

/// Boots the guest and has it watched.
pub(super) fn watched(session: &mut Session<'_>, builder: &GuestBuilder) -> Result<Guest> {
    let guest = builder.boot()?;
    session.machine(&guest);
    session.watch(&targets(&guest)?)?;
    Ok(guest)
}

/// Our exporter in the guest, and node_exporter beside it.
pub(super) fn targets(guest: &Guest) -> Result<[Watched; 2]> {
    let ours = Watched { job: "devvm", instance: DEVVM, address: guest.address(EXPORTER)? };
    Ok([ours, node(guest)?])
}
