//! The host's boots as the ledger in the state directory remembers them, and the heartbeat that writes it.

use crate::{Family, Label, Unit};

/// The running kernel's release.
pub const KERNEL: Label = Label::new("kernel", "one");
/// The previous boot's kernel release.
pub const PREVIOUS_KERNEL: Label = Label::new("previous_kernel", "one; left out when not known");

/// Boots seen.
pub static BOOTS: Family = Family::counter(
    "flatline_boots_total",
    Unit::None,
    &[],
    "Boots of this host in the ledger, this one included. Survives the exporter, reboots and the ledger's own bound.",
);
/// Boots that ended without a shutdown.
pub static UNCLEAN_BOOTS: Family = Family::counter(
    "flatline_unclean_boots_total",
    Unit::None,
    &[],
    "Boots that ended without a shutdown: crash, reset, power loss. Counted when the next boot finds them.",
);
/// Boots that did not last.
pub static SHORT_BOOTS: Family = Family::counter(
    "flatline_short_boots_total",
    Unit::None,
    &[],
    "Boots that ended uncleanly within --collector.boots.short (30 minutes): a host that crashes while it starts. Of boots before the exporter's first start, whose end nobody knows, all that were so short.",
);
/// When this boot began.
pub static BOOT_TIME: Family = Family::gauge(
    "flatline_boot_time_seconds",
    Unit::Seconds,
    &[],
    "When this boot began (Unix time), corrected when the clock is.",
);
/// The kernels.
pub static BOOT_INFO: Family = Family::info(
    "flatline_boot_info",
    &[KERNEL, PREVIOUS_KERNEL],
    "The running kernel and the one of the boot before.",
);
/// Whether the kernel is another one.
pub static KERNEL_CHANGED: Family = Family::gauge(
    "flatline_kernel_changed",
    Unit::None,
    &[],
    "1 when this boot runs another kernel than the one before. Absent when the one before is not known.",
);
/// When the previous boot began.
pub static PREVIOUS_START: Family = Family::gauge(
    "flatline_previous_boot_start_timestamp_seconds",
    Unit::Seconds,
    &[],
    "When the boot before this one began (Unix time). Absent when it is not known.",
);
/// When the previous boot was last seen alive.
pub static PREVIOUS_END: Family = Family::gauge(
    "flatline_previous_boot_end_timestamp_seconds",
    Unit::Seconds,
    &[],
    "When the boot before this one was last seen alive (Unix time): its last heartbeat or journal entry.",
);
/// Whether it was shut down.
pub static PREVIOUS_CLEAN: Family = Family::gauge(
    "flatline_previous_boot_clean",
    Unit::None,
    &[],
    "1 when the boot before this one was shut down, 0 when it crashed, was reset or lost power. Absent when it is not known.",
);
/// How long the host was away.
pub static PREVIOUS_GAP: Family = Family::gauge(
    "flatline_previous_boot_gap_seconds",
    Unit::Seconds,
    &[],
    "Seconds between the last sign of life of the boot before and the start of this one.",
);
/// When the heartbeat last reached the disk.
pub static HEARTBEAT: Family = Family::gauge(
    "flatline_heartbeat_timestamp_seconds",
    Unit::Seconds,
    &[],
    "When the heartbeat last reached the state directory's disk (Unix time).",
);
/// How long it took.
pub static HEARTBEAT_WRITE: Family = Family::histogram(
    "flatline_heartbeat_write_seconds",
    Unit::Seconds,
    &[],
    "How long a heartbeat took to reach the disk (write and fdatasync). The canary of the disk below the state directory.",
);
/// How long it has been on its way.
pub static HEARTBEAT_STALLED: Family = Family::gauge(
    "flatline_heartbeat_stalled_seconds",
    Unit::Seconds,
    &[],
    "Seconds the heartbeat in flight has been waiting for the disk; 0 when none is. Growing means the disk is dead.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &BOOTS,
    &UNCLEAN_BOOTS,
    &SHORT_BOOTS,
    &BOOT_TIME,
    &BOOT_INFO,
    &KERNEL_CHANGED,
    &PREVIOUS_START,
    &PREVIOUS_END,
    &PREVIOUS_CLEAN,
    &PREVIOUS_GAP,
    &HEARTBEAT,
    &HEARTBEAT_WRITE,
    &HEARTBEAT_STALLED,
];
