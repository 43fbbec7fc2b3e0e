//! Whether the next crash would leave evidence, and what earlier ones left: pstore, kdump and netconsole, the
//! kernel's panic settings, taints, dumps, and incident captures of the operator's own (kernel documentation:
//! `Documentation/ABI/testing/pstore`, `Documentation/admin-guide/kdump/kdump.rst`,
//! `Documentation/networking/netconsole.rst`).

use crate::{Family, Label, Unit};

/// A way in which a dying kernel leaves evidence.
pub const CHANNEL: Label = Label::new("channel", "pstore, kdump, netconsole");
/// Why a channel is not ready, or why that can't be known.
pub const REASON: Label = Label::new(
    "reason",
    "no_backend, not_supported, no_memory_reserved, not_loaded, no_target, target_disabled, no_remote, interface_missing, interface_down, not_visible, not_readable",
);
/// Who keeps pstore's records.
pub const BACKEND: Label = Label::new("backend", "one: efi_pstore, erst, ramoops, nvme or whatever the kernel has");
/// A netconsole target's name.
pub const TARGET: Label = Label::new("target", "one per directory in configfs' netconsole, at most 32");
/// The network interface a target sends through.
pub const DEVICE: Label = Label::new("device", "one per target");
/// A setting of the kernel.
pub const SETTING: Label = Label::new(
    "setting",
    "panic, panic_on_oops, panic_on_warn, softlockup_panic, hardlockup_panic, hung_task_panic, hung_task_timeout_secs, sysrq, crash_kexec_post_notifiers",
);
/// A kernel command-line argument the operator asks for.
pub const ARGUMENT: Label = Label::new("argument", "one per --collector.crash_capture.required-arguments, at most 64");
/// A reason why the kernel counts as tainted.
pub const TAINT: Label =
    Label::new("taint", "the bits of Documentation/admin-guide/tainted-kernels.rst, and other for later ones");
/// A directory crash dumps are written to.
pub const DIRECTORY: Label = Label::new("directory", "one per --collector.crash_capture.dump-dirs, at most 64");
/// The operator's name for a kind of incident capture.
pub const CAPTURE: Label = Label::new("capture", "one per --collector.crash_capture.captures, at most 64");

/// The verdict.
pub static READY: Family = Family::gauge(
    "flatline_crash_capture_ready",
    Unit::None,
    &[CHANNEL],
    "1 when a crash now would leave evidence through this channel, 0 when it would not. Absent when that can't be known; flatline_crash_capture_reason_info says why.",
);
/// Why not.
pub static REASON_INFO: Family = Family::info(
    "flatline_crash_capture_reason_info",
    &[CHANNEL, REASON],
    "Why a channel is not ready, or why nobody can tell (not_visible, not_readable).",
);
/// `/sys/module/pstore/parameters/backend`.
pub static PSTORE_BACKEND_INFO: Family = Family::info(
    "flatline_crash_capture_pstore_backend_info",
    &[BACKEND],
    "Where pstore keeps the last words of a dying kernel. Absent when it has nowhere to keep them.",
);
/// Whether pstore's file system is mounted.
pub static PSTORE_MOUNTED: Family = Family::gauge(
    "flatline_crash_capture_pstore_mounted",
    Unit::None,
    &[],
    "1 when pstore is mounted at /sys/fs/pstore, so that records can be read after the reboot. A crash is recorded either way.",
);
/// Records in pstore.
pub static PSTORE_RECORDS: Family = Family::gauge(
    "flatline_crash_capture_pstore_records",
    Unit::None,
    &[],
    "Crash records waiting in /sys/fs/pstore. 0 never proves a clean shutdown: hangs and power cuts leave none, and systemd-pstore moves them to /var/lib/systemd/pstore. Absent without the right to look (root only).",
);
/// Their size.
pub static PSTORE_BYTES: Family = Family::gauge(
    "flatline_crash_capture_pstore_bytes",
    Unit::Bytes,
    &[],
    "Size of the crash records waiting in /sys/fs/pstore. A store that is full takes no further crash.",
);
/// The newest of them.
pub static PSTORE_NEWEST: Family = Family::gauge(
    "flatline_crash_capture_pstore_newest_timestamp_seconds",
    Unit::Seconds,
    &[],
    "When the newest crash record in /sys/fs/pstore was written. Absent when there is none.",
);
/// `/sys/kernel/kexec_crash_loaded`.
pub static KDUMP_LOADED: Family = Family::gauge(
    "flatline_crash_capture_kdump_loaded",
    Unit::None,
    &[],
    "1 when a crash kernel is loaded (kexec_crash_loaded). Memory reserved but nothing loaded is the silent failure: everything looks set up and no dump is ever taken.",
);
/// `/sys/kernel/kexec_crash_size`.
pub static KDUMP_RESERVED_BYTES: Family = Family::gauge(
    "flatline_crash_capture_kdump_reserved_bytes",
    Unit::Bytes,
    &[],
    "Memory set aside for a crash kernel (kexec_crash_size, crashkernel= on the command line). 0 means kdump can't work.",
);
/// Per target.
pub static NETCONSOLE_TARGET_READY: Family = Family::gauge(
    "flatline_crash_capture_netconsole_target_ready",
    Unit::None,
    &[TARGET, DEVICE],
    "1 when this netconsole target is enabled, has a receiver's address, and its interface is up. The kernel's own enabled flag stays 1 while the link is down. Whether anybody listens can't be seen from here.",
);
/// Kernel settings.
pub static SETTING_VALUE: Family = Family::gauge(
    "flatline_crash_capture_setting",
    Unit::None,
    &[SETTING],
    "A kernel setting that decides what a fault turns into: panic (seconds to the reboot; 0 hangs for ever), panic_on_oops, softlockup_panic, hung_task_panic and so on, as sysctl shows them.",
);
/// Required command-line arguments.
pub static REQUIRED_ARGUMENT: Family = Family::gauge(
    "flatline_crash_capture_required_argument",
    Unit::None,
    &[ARGUMENT],
    "1 when the kernel was started with this argument, 0 when it was not (/proc/cmdline), for each argument asked for.",
);
/// `/proc/sys/kernel/tainted`.
pub static KERNEL_TAINT: Family = Family::gauge(
    "flatline_kernel_taint",
    Unit::None,
    &[TAINT],
    "1 for each reason why the kernel counts as tainted (/proc/sys/kernel/tainted). died, warning, machine_check, bad_page and soft_lockup mean that something has gone wrong since boot.",
);
/// Dumps found.
pub static DUMPS: Family = Family::gauge(
    "flatline_crash_capture_dumps",
    Unit::None,
    &[DIRECTORY],
    "Crash dumps and archived crash records in the directory. Absent when it does not exist or may not be read.",
);
/// The newest dump.
pub static DUMP_NEWEST: Family = Family::gauge(
    "flatline_crash_capture_dump_newest_timestamp_seconds",
    Unit::Seconds,
    &[DIRECTORY],
    "When the newest crash dump in the directory was written. Absent when there is none.",
);
/// Captures found.
pub static CAPTURES: Family = Family::gauge(
    "flatline_crash_capture_captures",
    Unit::None,
    &[CAPTURE],
    "Incident captures of that name there are. Absent when their directory can't be read.",
);
/// Empty captures.
pub static CAPTURES_EMPTY: Family = Family::gauge(
    "flatline_crash_capture_captures_empty",
    Unit::None,
    &[CAPTURE],
    "Incident captures that hold 0 bytes: the capture itself died, as a rule because the host was hanging already.",
);
/// The newest capture's time.
pub static CAPTURE_NEWEST: Family = Family::gauge(
    "flatline_crash_capture_capture_newest_timestamp_seconds",
    Unit::Seconds,
    &[CAPTURE],
    "When the newest incident capture was written. Old means that nothing is captured any more. Absent when there is none.",
);
/// The newest capture's size.
pub static CAPTURE_NEWEST_BYTES: Family = Family::gauge(
    "flatline_crash_capture_capture_newest_bytes",
    Unit::Bytes,
    &[CAPTURE],
    "Size of the newest incident capture. Absent when there is none.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &READY,
    &REASON_INFO,
    &PSTORE_BACKEND_INFO,
    &PSTORE_MOUNTED,
    &PSTORE_RECORDS,
    &PSTORE_BYTES,
    &PSTORE_NEWEST,
    &KDUMP_LOADED,
    &KDUMP_RESERVED_BYTES,
    &NETCONSOLE_TARGET_READY,
    &SETTING_VALUE,
    &REQUIRED_ARGUMENT,
    &KERNEL_TAINT,
    &DUMPS,
    &DUMP_NEWEST,
    &CAPTURES,
    &CAPTURES_EMPTY,
    &CAPTURE_NEWEST,
    &CAPTURE_NEWEST_BYTES,
];
