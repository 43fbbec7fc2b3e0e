//! What one look at all virtual machines has found, and how it is shown.

use super::disks::{Disk, Limits, seconds};
use crate::exposition::{Emitter, Reading};
use flatline_catalog::{Family, vm as catalog};
use flatline_qmp::State;
use flatline_sources::vm::{Process, State as ProcessState, Tap};
use std::fmt;

/// QEMU's run states (`RunState` in `qapi/run-state.json`, up to QEMU 11).
const STATUSES: [&str; 16] = [
    "debug",
    "finish-migrate",
    "guest-panicked",
    "inmigrate",
    "internal-error",
    "io-error",
    "colo",
    "paused",
    "postmigrate",
    "prelaunch",
    "restore-vm",
    "running",
    "save-vm",
    "shutdown",
    "suspended",
    "watchdog",
];
/// A run state newer than this list.
const OTHER: &str = "other";

/// All machines.
#[derive(Debug, Default)]
pub(super) struct Vms {
    pub(super) vms: Vec<Vm>,
    pub(super) left_out: usize,
    pub(super) conflicts: usize,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Vm {
    pub(super) label: String,
    pub(super) source: &'static str,
    pub(super) socket: String,
    pub(super) qemu_version: String,
    pub(super) state: State,
    pub(super) reply_seconds: Option<f64>,
    pub(super) status: Option<String>,
    pub(super) process: Option<Process>,
    pub(super) disks: Vec<Disk>,
    pub(super) disks_left_out: usize,
    pub(super) taps: Vec<Tap>,
}

impl Reading for Vms {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.single(&catalog::FOUND, self.vms.len())?;
        out.single(&catalog::LEFT_OUT, self.left_out)?;
        out.single(&catalog::NAME_CONFLICTS, self.conflicts)?;
        self.emit_monitors(out)?;
        self.emit_processes(out)?;
        for (family, value) in COUNTS {
            self.emit_disks(family, value, out)?;
        }
        for (family, value) in SECONDS {
            self.emit_disks(family, value, out)?;
        }
        self.emit_disk_infos(out)?;
        self.emit_limits(&catalog::THROTTLE_BYTES, |limits| limits.bytes, out)?;
        self.emit_limits(&catalog::THROTTLE_OPERATIONS, |limits| limits.operations, out)?;
        self.emit_disks(&catalog::THROTTLE_CHANGES, |disk| Some(disk.throttle_changes), out)?;
        self.emit_taps(&catalog::NETWORK_RECEIVE_BYTES, |tap| tap.guest_received, out)?;
        self.emit_taps(&catalog::NETWORK_TRANSMIT_BYTES, |tap| tap.guest_sent, out)
    }

    fn series_dropped(&self) -> u64 {
        // Not exact: how many series a disk has depends on what its QEMU can tell.
        const PER_DISK: usize = 18;
        let disks: usize = self.vms.iter().map(|vm| vm.disks_left_out).sum();
        (disks * PER_DISK) as u64
    }
}

/// A number of a disk and the family that shows it.
type Number<V> = (&'static Family, fn(&Disk) -> Option<V>);

const COUNTS: [Number<u64>; 9] = [
    (&catalog::READ_BYTES, |disk| disk.stats.rd_bytes),
    (&catalog::WRITTEN_BYTES, |disk| disk.stats.wr_bytes),
    (&catalog::READS_COMPLETED, |disk| disk.stats.rd_operations),
    (&catalog::WRITES_COMPLETED, |disk| disk.stats.wr_operations),
    (&catalog::FLUSHES_COMPLETED, |disk| disk.stats.flush_operations),
    (&catalog::READS_FAILED, |disk| sum(disk.stats.failed_rd_operations, disk.stats.invalid_rd_operations)),
    (&catalog::WRITES_FAILED, |disk| sum(disk.stats.failed_wr_operations, disk.stats.invalid_wr_operations)),
    (&catalog::FLUSHES_FAILED, |disk| sum(disk.stats.failed_flush_operations, disk.stats.invalid_flush_operations)),
    (&catalog::INFLIGHT, |disk| disk.in_flight),
];

const SECONDS: [Number<f64>; 5] = [
    (&catalog::READ_SECONDS, |disk| disk.stats.rd_total_time_ns.map(seconds)),
    (&catalog::WRITE_SECONDS, |disk| disk.stats.wr_total_time_ns.map(seconds)),
    (&catalog::FLUSH_SECONDS, |disk| disk.stats.flush_total_time_ns.map(seconds)),
    (&catalog::IDLE_SECONDS, |disk| disk.stats.idle_time_ns.map(seconds)),
    (&catalog::LAST_PROGRESS, |disk| Some(disk.last_progress)),
];

/// Failed and invalid requests together; QEMU always has both or neither.
fn sum(failed: Option<u64>, invalid: Option<u64>) -> Option<u64> {
    Some(failed?.saturating_add(invalid.unwrap_or(0)))
}

impl Vms {
    fn emit_monitors(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::INFO, |samples| {
            self.vms.iter().try_for_each(|vm| samples.push(&[&vm.label, vm.source, &vm.socket, &vm.qemu_version], 1u64))
        })?;
        out.family(&catalog::QMP_UP, |samples| {
            self.vms.iter().try_for_each(|vm| samples.push(&[&vm.label], vm.state == State::Up))
        })?;
        out.family(&catalog::QMP_STATE, |samples| {
            self.vms.iter().try_for_each(|vm| {
                State::ALL
                    .into_iter()
                    .try_for_each(|state| samples.push(&[&vm.label, state.label()], vm.state == state))
            })
        })?;
        out.family(&catalog::QMP_REPLY_SECONDS, |samples| {
            self.vms.iter().try_for_each(|vm| samples.push_some(&[&vm.label], vm.reply_seconds))
        })?;
        out.family(&catalog::VM_STATUS, |samples| {
            for vm in &self.vms {
                let Some(status) = vm.status.as_deref() else { continue };
                for known in STATUSES {
                    samples.push(&[&vm.label, known], status == known)?;
                }
                samples.push(&[&vm.label, OTHER], !STATUSES.contains(&status))?;
            }
            Ok(())
        })
    }

    fn emit_processes(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let processes = || self.vms.iter().filter_map(|vm| Some((vm.label.as_str(), vm.process.as_ref()?)));
        out.family(&catalog::PROCESS_CPU_SECONDS, |samples| {
            processes().try_for_each(|(vm, process)| samples.push(&[vm], process.cpu_seconds))
        })?;
        out.family(&catalog::PROCESS_THREADS, |samples| {
            processes().try_for_each(|(vm, process)| samples.push(&[vm], process.threads))
        })?;
        out.family(&catalog::PROCESS_STATE, |samples| {
            processes().try_for_each(|(vm, process)| {
                ProcessState::ALL
                    .into_iter()
                    .try_for_each(|state| samples.push(&[vm, state.label()], process.state == state))
            })
        })
    }

    fn disks(&self) -> impl Iterator<Item = (&str, &Disk)> {
        self.vms.iter().flat_map(|vm| vm.disks.iter().map(|disk| (vm.label.as_str(), disk)))
    }

    fn emit_disks<V: Into<crate::exposition::Value>>(
        &self,
        family: &'static Family,
        value: fn(&Disk) -> Option<V>,
        out: &mut Emitter<'_>,
    ) -> fmt::Result {
        out.family(family, |samples| {
            self.disks().try_for_each(|(vm, disk)| samples.push_some(&[vm, &disk.name], value(disk)))
        })
    }

    fn emit_disk_infos(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::DISK_INFO, |samples| {
            self.disks().try_for_each(|(vm, disk)| {
                let Disk { name, controller, iothread, aio, format, io_status, .. } = disk;
                samples.push(&[vm, name, controller, iothread, aio, format, io_status], 1u64)
            })
        })
    }

    fn emit_limits(
        &self,
        family: &'static Family,
        limits: fn(&Limits) -> [u64; 3],
        out: &mut Emitter<'_>,
    ) -> fmt::Result {
        out.family(family, |samples| {
            for (vm, disk) in self.disks() {
                let Some(limits) = disk.limits.as_ref().map(limits) else { continue };
                for (direction, limit) in ["total", "read", "write"].into_iter().zip(limits) {
                    samples.push_some(&[vm, &disk.name, direction], (limit > 0).then_some(limit))?;
                }
            }
            Ok(())
        })
    }

    fn emit_taps(&self, family: &'static Family, bytes: fn(&Tap) -> Option<u64>, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(family, |samples| {
            self.vms.iter().try_for_each(|vm| {
                vm.taps.iter().try_for_each(|tap| samples.push_some(&[&vm.label, &tap.device], bytes(tap)))
            })
        })
    }
}
