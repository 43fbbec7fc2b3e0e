//! Virtual machines whose disk dies, watched from the hypervisor.

use std::time::Duration;

use super::stage::{Watched, node, on_this_host, with_node_exporter};
use super::{BOOT, Drill, Pace, Plot, SOON, Session};
use crate::scenarios::{Controller, DiskVm, VmDisk, vm_disk};
use crate::{Guest, Result, Running};

/// The hypervisor, as it is called in the report.
const HYPERVISOR: &str = "hv-a:10120";

pub(super) const DISK_PLOTS: &[Plot] = &[
    Plot { title: "QMP answers", query: "flatline_vm_qmp_up" },
    Plot { title: "QEMU says running", query: "flatline_vm_status{status=\"running\"}" },
    Plot { title: "writes per second", query: "rate(flatline_vm_disk_writes_completed_total[1m])" },
    Plot { title: "requests in flight", query: "flatline_vm_disk_inflight_requests" },
    Plot { title: "since the last completion (s)", query: "flatline_vm_disk_idle_seconds" },
];

const FAST_PLOTS: &[Plot] = &[
    Plot { title: "QMP answers", query: "flatline_vm_qmp_up" },
    Plot { title: "QEMU says running", query: "flatline_vm_status{status=\"running\"}" },
    Plot { title: "writes per second", query: "rate(flatline_vm_disk_writes_completed_total[5s])" },
];

pub(super) static STALL: Drill = Drill {
    name: "vm-disk-stall",
    breaks: "the storage behind a virtio-scsi disk with an I/O thread stops to answer; QMP goes on",
    pace: Pace::Production,
    expects: &["VmDiskStalled"],
    tolerates: &[],
    plots: DISK_PLOTS,
    play: |session| {
        let freeze: Deed = ("the qemu-nbd that holds the disk is stopped", |vm| vm.freeze(0));
        break_and_repair(session, "VmDiskStalled", freeze, ("it goes on", |vm| vm.thaw(0)))
    },
};

pub(super) static THROTTLED: Drill = Drill {
    name: "vm-disk-throttled",
    breaks: "a limit of one byte a second is written into a running disk",
    pace: Pace::Production,
    expects: &["VmDiskStalled"],
    tolerates: &[],
    plots: DISK_PLOTS,
    play: |session| {
        let throttle: Deed = ("block_set_io_throttle to 1 byte/s", |vm| vm.throttle(0, 1));
        break_and_repair(session, "VmDiskStalled", throttle, ("the limit is taken back", |vm| vm.throttle(0, 0)))
    },
};

/// On LSI nothing tells what is in flight. What the disk used to write must have been seen for hours, here for minutes.
pub(super) static STALL_LSI: Drill = Drill {
    name: "vm-disk-stall-lsi",
    breaks: "the same behind lsi53c895a, which tells nothing of requests in flight, until QEMU itself hangs",
    pace: Pace::Seconds,
    expects: &["VmDiskWriteZero", "VmQmpUnresponsive"],
    tolerates: &[],
    plots: FAST_PLOTS,
    play: |session| {
        let (vm, _exporter) = watched(session, &VmDisk { controller: Controller::Lsi, ..VmDisk::default() })?;
        session.step("three minutes, in which it becomes known what the disk usually writes");
        session.look_on(Duration::from_secs(180))?;
        vm.freeze(0)?;
        session.onset("the qemu-nbd that holds the disk is stopped");
        session.until_told(SOON)?;
        vm.thaw(0)?;
        session.relief("it goes on");
        session.until_over("VmQmpUnresponsive", SOON)
    },
};

pub(super) static QEMU_STOPPED: Drill = Drill {
    name: "vm-qemu-stopped",
    breaks: "QEMU itself stands still (SIGSTOP): the kernel accepts for it, nobody greets",
    pace: Pace::Production,
    expects: &["VmQmpUnresponsive"],
    tolerates: &[],
    plots: &[
        Plot { title: "QMP answers", query: "flatline_vm_qmp_up" },
        Plot { title: "the monitor's state", query: "flatline_vm_qmp_state == 1" },
    ],
    play: |session| {
        break_and_repair(
            session,
            "VmQmpUnresponsive",
            ("QEMU is stopped", DiskVm::stop_process),
            ("it goes on", DiskVm::continue_process),
        )
    },
};

/// Something that is done to a machine, in words and in deed.
type Deed = (&'static str, fn(&DiskVm) -> Result<()>);

/// A machine that writes to its disk is broken until Slack is told, and repaired until the alert is over.
fn break_and_repair(session: &mut Session<'_>, alert: &str, broken: Deed, repaired: Deed) -> Result<()> {
    let (vm, _exporter) = watched(session, &VmDisk::default())?;
    session.settle()?;
    (broken.1)(&vm)?;
    session.onset(broken.0);
    session.until_told(SOON)?;
    (repaired.1)(&vm)?;
    session.relief(repaired.0);
    session.until_over(alert, SOON)
}

/// The machine, and an exporter on this host that asks it over QMP. In the machine runs node_exporter.
pub(super) fn watched(session: &mut Session<'_>, vm: &VmDisk) -> Result<(DiskVm, Running)> {
    let guest = Guest::builder().memory_mib(256).boot_deadline(BOOT);
    let vm = vm_disk(with_node_exporter(guest)?, vm)?;
    session.machine(vm.guest());
    let socket = format!("--collector.vm.sockets={}", vm.socket().display());
    let (exporter, address) = on_this_host(&["--collector.vm".to_owned(), socket])?;
    let ours = Watched { job: "flatline", instance: HYPERVISOR, address };
    session.watch(&[ours, node(vm.guest())?])?;
    Ok((vm, exporter))
}
