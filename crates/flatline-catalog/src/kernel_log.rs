//! What the kernel said: `/dev/kmsg`, classified (kernel documentation: `Documentation/ABI/testing/dev-kmsg`).

use crate::{Family, Label, Unit};

/// What a line tells, as `flatline-exporter classify` names it.
pub const KIND: Label = Label::new("kind", "the kernel kinds of the classifier, about 45; every one is always present");
/// Which part of a story the line is, or how bad it is.
pub const PHASE: Label = Label::new(
    "phase",
    "a few per kind: begin, notice ..., the severity (PCIe AER: Corrected, Uncorrected (Fatal) ...) or the type (EDAC: CE, UE); left out where a kind has none",
);
/// Which device, as the kernel names it.
pub const DEVICE: Label = Label::new(
    "device",
    "PCI address, disk, interface, array or port named in the line; at most 256 series in all, then other",
);

/// Lines by kind.
pub static EVENTS: Family = Family::counter(
    "flatline_kernel_events_total",
    Unit::None,
    &[KIND],
    "Kernel messages that tell of trouble, by what they tell. Survives restarts of the exporter; a report of many lines counts once.",
);
/// Lines by kind and device.
pub static DEVICE_EVENTS: Family = Family::counter(
    "flatline_kernel_device_events_total",
    Unit::None,
    &[KIND, PHASE, DEVICE],
    "The same by device and phase, for the messages that name one. Never sum phases: they tell one story.",
);
/// When it was last said.
pub static LAST_TIMESTAMP: Family = Family::gauge(
    "flatline_kernel_event_last_timestamp_seconds",
    Unit::Seconds,
    &[KIND],
    "When the kernel last said so (Unix time). Absent when it never has.",
);
/// Records read.
pub static RECORDS: Family = Family::counter(
    "flatline_kernel_log_records_total",
    Unit::None,
    &[],
    "Records read from the kernel's log, whatever they say.",
);
/// Records missed.
pub static LOST_RECORDS: Family = Family::counter(
    "flatline_kernel_log_lost_records_total",
    Unit::None,
    &[],
    "Records the kernel overwrote before they were read. What they said was not counted; a flood hides what came with it.",
);
/// Messages a rate limit held back.
pub static SUPPRESSED: Family = Family::counter(
    "flatline_kernel_log_suppressed_messages_total",
    Unit::None,
    &[],
    "Messages the kernel's own rate limits held back (callbacks suppressed). The kernel says so late, or never.",
);
/// Records that are none.
pub static UNREADABLE: Family = Family::counter(
    "flatline_kernel_log_unreadable_records_total",
    Unit::None,
    &[],
    "Records that could not be read or understood.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] =
    &[&EVENTS, &DEVICE_EVENTS, &LAST_TIMESTAMP, &RECORDS, &LOST_RECORDS, &SUPPRESSED, &UNREADABLE];
