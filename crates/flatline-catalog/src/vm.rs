//! Virtual machines as QEMU's own monitor sees them (QMP: `qapi/block-core.json`, `qapi/run-state.json`,
//! `qapi/virtio.json` of QEMU), and QEMU's process as the host's kernel sees it.

use crate::{Family, Label, Unit};

/// The machine's name.
pub const VM: Label = Label::new(
    "vm",
    "one per VM found: the configured name, else QEMU's own (query-name), else the socket file's stem; never shared by two",
);
/// The disk's name within its machine.
pub const DISK: Label = Label::new("disk", "one per disk of the VM, named as the device: scsi0, virtio0");
/// How the machine was found.
pub const SOURCE: Label = Label::new("source", "proxmox, config or glob");
/// The monitor's socket.
pub const SOCKET: Label = Label::new("socket", "one path per VM");
/// QEMU's version.
pub const QEMU_VERSION: Label = Label::new("qemu_version", "one per VM, major.minor.micro");
/// What became of the attempt to ask.
pub const STATE: Label = Label::new(
    "state",
    "absent, refused, permission_denied, no_greeting, no_reply, busy, error, up for the monitor; the kernel's ten process states for the process",
);
/// QEMU's run state.
pub const STATUS: Label = Label::new("status", "the values of RunState in QEMU's qapi/run-state.json, and other");
/// The emulated controller.
pub const CONTROLLER: Label =
    Label::new("controller", "QEMU's device models: virtio-blk-pci, virtio-scsi-pci, lsi53c895a ...; one per disk");
/// The disk's I/O thread.
pub const IOTHREAD: Label =
    Label::new("iothread", "one per disk: the I/O thread's id, none, or left out when not known");
/// How QEMU does I/O.
pub const AIO: Label = Label::new("aio", "threads, native, io_uring, or left out when not known");
/// The image format.
pub const FORMAT: Label = Label::new("format", "QEMU's block drivers: raw, qcow2 ...; one per disk");
/// What QEMU remembers of the disk's last error.
pub const IO_STATUS: Label = Label::new("io_status", "ok, failed, nospace, or left out when QEMU has none");
/// What a limit applies to.
pub const DIRECTION: Label = Label::new("direction", "read, write or total");
/// The host's side of a guest's network card.
pub const DEVICE: Label = Label::new("device", "one per network card of the VM, the tap device's name");

/// Who the machine is.
pub static INFO: Family = Family::info(
    "flatline_vm_info",
    &[VM, SOURCE, SOCKET, QEMU_VERSION],
    "A virtual machine whose monitor is watched: how it was found, its QMP socket, and its QEMU once that has answered.",
);
/// Machines found.
pub static FOUND: Family =
    Family::gauge("flatline_vms", Unit::None, &[], "Virtual machines found on this host, answering or not.");
/// Machines left out.
pub static LEFT_OUT: Family = Family::gauge(
    "flatline_vms_left_out",
    Unit::None,
    &[],
    "Sockets found beyond --collector.vm.max-vms and therefore not watched at all. Anything but 0 is a blind spot.",
);
/// Machines whose names collide.
pub static NAME_CONFLICTS: Family = Family::gauge(
    "flatline_vm_name_conflicts",
    Unit::None,
    &[],
    "Virtual machines whose name another one had first; their vm label is name@socket instead. Give each a name of its own.",
);
/// Whether QMP answers.
pub static QMP_UP: Family = Family::gauge(
    "flatline_vm_qmp_up",
    Unit::None,
    &[VM],
    "1 when QEMU's monitor answered within the deadline. 0 says nothing about the guest yet: look at flatline_vm_qmp_state.",
);
/// How asking ended.
pub static QMP_STATE: Family = Family::gauge(
    "flatline_vm_qmp_state",
    Unit::None,
    &[VM, STATE],
    "1 for how asking QEMU's monitor ended: up; absent (no socket); refused (QEMU died); permission_denied; busy (another client is being served); no_greeting (QEMU is stopped or hangs); no_reply (main loop blocked); error (it talks, but no QMP).",
);
/// How long QMP took.
pub static QMP_REPLY_SECONDS: Family = Family::gauge(
    "flatline_vm_qmp_reply_seconds",
    Unit::Seconds,
    &[VM],
    "How long QEMU took to answer query-status. Usually below a millisecond; absent when it did not answer.",
);
/// The run state.
pub static VM_STATUS: Family = Family::gauge(
    "flatline_vm_status",
    Unit::None,
    &[VM, STATUS],
    "1 for the state QEMU says the guest is in (query-status): running, paused, io-error ... Absent when it did not answer.",
);
/// Processor time of QEMU.
pub static PROCESS_CPU_SECONDS: Family = Family::counter(
    "flatline_vm_process_cpu_seconds_total",
    Unit::Seconds,
    &[VM],
    "Processor time used by QEMU's process, guest included.",
);
/// Threads of QEMU.
pub static PROCESS_THREADS: Family = Family::gauge(
    "flatline_vm_process_threads",
    Unit::None,
    &[VM],
    "Threads of QEMU's process. Hundreds are I/O workers piling up behind a disk.",
);
/// The main thread's state.
pub static PROCESS_STATE: Family = Family::gauge(
    "flatline_vm_process_state",
    Unit::None,
    &[VM, STATE],
    "1 for the state of QEMU's main thread: stopped explains a silent monitor, disk_sleep is a stuck host disk.",
);
/// Bytes read.
pub static READ_BYTES: Family = Family::counter(
    "flatline_vm_disk_read_bytes_total",
    Unit::Bytes,
    &[VM, DISK],
    "Bytes the guest has read from the disk, counted when a read completes.",
);
/// Bytes written.
pub static WRITTEN_BYTES: Family = Family::counter(
    "flatline_vm_disk_written_bytes_total",
    Unit::Bytes,
    &[VM, DISK],
    "Bytes the guest has written to the disk, counted when a write completes.",
);
/// Reads.
pub static READS_COMPLETED: Family = Family::counter(
    "flatline_vm_disk_reads_completed_total",
    Unit::None,
    &[VM, DISK],
    "Reads of the guest that completed.",
);
/// Writes.
pub static WRITES_COMPLETED: Family = Family::counter(
    "flatline_vm_disk_writes_completed_total",
    Unit::None,
    &[VM, DISK],
    "Writes of the guest that completed. Standing still on a busy machine is what a dead disk looks like.",
);
/// Flushes.
pub static FLUSHES_COMPLETED: Family = Family::counter(
    "flatline_vm_disk_flushes_completed_total",
    Unit::None,
    &[VM, DISK],
    "Flushes of the guest that completed.",
);
/// Failed reads.
pub static READS_FAILED: Family = Family::counter(
    "flatline_vm_disk_reads_failed_total",
    Unit::None,
    &[VM, DISK],
    "Reads that failed or were invalid.",
);
/// Failed writes.
pub static WRITES_FAILED: Family = Family::counter(
    "flatline_vm_disk_writes_failed_total",
    Unit::None,
    &[VM, DISK],
    "Writes that failed or were invalid.",
);
/// Failed flushes.
pub static FLUSHES_FAILED: Family = Family::counter(
    "flatline_vm_disk_flushes_failed_total",
    Unit::None,
    &[VM, DISK],
    "Flushes that failed or were invalid.",
);
/// Time in reads.
pub static READ_SECONDS: Family = Family::counter(
    "flatline_vm_disk_read_seconds_total",
    Unit::Seconds,
    &[VM, DISK],
    "Time completed reads took, summed. A stalled read is in here only after it has come back.",
);
/// Time in writes.
pub static WRITE_SECONDS: Family = Family::counter(
    "flatline_vm_disk_write_seconds_total",
    Unit::Seconds,
    &[VM, DISK],
    "Time completed writes took, summed. A stalled write is in here only after it has come back.",
);
/// Time in flushes.
pub static FLUSH_SECONDS: Family = Family::counter(
    "flatline_vm_disk_flush_seconds_total",
    Unit::Seconds,
    &[VM, DISK],
    "Time completed flushes took, summed.",
);
/// Time since the last completion.
pub static IDLE_SECONDS: Family = Family::gauge(
    "flatline_vm_disk_idle_seconds",
    Unit::Seconds,
    &[VM, DISK],
    "Seconds since the disk last completed a request, by QEMU's clock. Grows on an idle disk and on a dead one alike.",
);
/// Requests QEMU holds.
pub static INFLIGHT: Family = Family::gauge(
    "flatline_vm_disk_inflight_requests",
    Unit::None,
    &[VM, DISK],
    "Requests the guest waits for, from the device's virtqueues. Absent where QEMU can't tell (no virtio, QEMU before 7.2), is not asked (more than 64 queues, beyond 64 devices), or where it can't be told whose they are (a controller with several disks of which some move).",
);
/// When the disk last did something.
pub static LAST_PROGRESS: Family = Family::gauge(
    "flatline_vm_disk_last_progress_timestamp_seconds",
    Unit::Seconds,
    &[VM, DISK],
    "When the disk last completed a request of any kind (Unix time), or when the exporter first saw it if it never has. Requests in flight and no progress for a minute are a stall.",
);
/// What the disk is.
pub static DISK_INFO: Family = Family::info(
    "flatline_vm_disk_info",
    &[VM, DISK, CONTROLLER, IOTHREAD, AIO, FORMAT, IO_STATUS],
    "A disk of the VM: emulated controller, I/O thread, asynchronous I/O, image format and the error QEMU remembers.",
);
/// Throughput limit.
pub static THROTTLE_BYTES: Family = Family::gauge(
    "flatline_vm_disk_throttle_bytes_per_second",
    Unit::None,
    &[VM, DISK, DIRECTION],
    "Throughput limit in force on the disk inside QEMU. Absent when there is none.",
);
/// Operations limit.
pub static THROTTLE_OPERATIONS: Family = Family::gauge(
    "flatline_vm_disk_throttle_operations_per_second",
    Unit::None,
    &[VM, DISK, DIRECTION],
    "Limit of operations per second in force on the disk inside QEMU. Absent when there is none.",
);
/// Changes of the limits.
pub static THROTTLE_CHANGES: Family = Family::counter(
    "flatline_vm_disk_throttle_changes_total",
    Unit::None,
    &[VM, DISK],
    "How often the disk's limits had changed when the exporter looked, since the exporter first saw the machine. A rewrite to the same value is not visible.",
);
/// Bytes to the guest.
pub static NETWORK_RECEIVE_BYTES: Family = Family::counter(
    "flatline_vm_network_receive_bytes_total",
    Unit::Bytes,
    &[VM, DEVICE],
    "Bytes the guest received through the network card behind this tap device (Proxmox).",
);
/// Bytes from the guest.
pub static NETWORK_TRANSMIT_BYTES: Family = Family::counter(
    "flatline_vm_network_transmit_bytes_total",
    Unit::Bytes,
    &[VM, DEVICE],
    "Bytes the guest sent through the network card behind this tap device (Proxmox).",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &FOUND,
    &LEFT_OUT,
    &NAME_CONFLICTS,
    &INFO,
    &QMP_UP,
    &QMP_STATE,
    &QMP_REPLY_SECONDS,
    &VM_STATUS,
    &PROCESS_CPU_SECONDS,
    &PROCESS_THREADS,
    &PROCESS_STATE,
    &READ_BYTES,
    &WRITTEN_BYTES,
    &READS_COMPLETED,
    &WRITES_COMPLETED,
    &FLUSHES_COMPLETED,
    &READS_FAILED,
    &WRITES_FAILED,
    &FLUSHES_FAILED,
    &READ_SECONDS,
    &WRITE_SECONDS,
    &FLUSH_SECONDS,
    &IDLE_SECONDS,
    &INFLIGHT,
    &LAST_PROGRESS,
    &DISK_INFO,
    &THROTTLE_BYTES,
    &THROTTLE_OPERATIONS,
    &THROTTLE_CHANGES,
    &NETWORK_RECEIVE_BYTES,
    &NETWORK_TRANSMIT_BYTES,
];
