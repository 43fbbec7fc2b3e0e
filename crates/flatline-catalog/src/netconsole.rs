//! The last words of other hosts' kernels, received over UDP (kernel documentation: `networking/netconsole`).

use crate::{Family, Label, Unit};

/// The sending host.
pub const SENDER: Label = Label::new("sender", "one per allowed sender, by its configured name");
/// What a line tells.
pub const KIND: Label = Label::new("kind", "the kernel kinds of the classifier; those a sender has sent");
/// Why a packet was not taken.
pub const REASON: Label = Label::new("reason", "unknown_sender, rate_limited, too_long, malformed");

/// Messages.
pub static MESSAGES: Family = Family::counter(
    "flatline_netconsole_messages_total",
    Unit::None,
    &[SENDER],
    "Kernel messages received from another host over netconsole.",
);
/// Messages that tell of trouble.
pub static EVENTS: Family = Family::counter(
    "flatline_netconsole_events_total",
    Unit::None,
    &[SENDER, KIND],
    "Kernel messages of another host that tell of trouble, by what they tell.",
);
/// When it was last told.
pub static EVENT_LAST_TIMESTAMP: Family = Family::gauge(
    "flatline_netconsole_event_last_timestamp_seconds",
    Unit::Seconds,
    &[SENDER, KIND],
    "When the other host last said so (Unix time, by this host's clock). Absent when it never has.",
);
/// The last message.
pub static LAST_TIMESTAMP: Family = Family::gauge(
    "flatline_netconsole_last_message_timestamp_seconds",
    Unit::Seconds,
    &[SENDER],
    "When the host last sent a kernel message (Unix time, by this host's clock). Absent when it never has.",
);
/// Messages missed.
pub static LOST: Family = Family::counter(
    "flatline_netconsole_lost_messages_total",
    Unit::None,
    &[SENDER],
    "Messages missing in the sender's sequence (extended format only): lost on the way or held back there.",
);
/// Packets refused.
pub static REJECTED: Family = Family::counter(
    "flatline_netconsole_rejected_packets_total",
    Unit::None,
    &[REASON],
    "Packets that were not taken: from an unknown sender, over the rate limit, too long, or no kernel message.",
);
/// Packets that nobody saw.
pub static DROPPED: Family = Family::counter(
    "flatline_netconsole_dropped_packets_total",
    Unit::None,
    &[],
    "Packets of any sender the kernel threw away before this exporter saw them: damaged, or more at once than its receive buffer holds (net.core.rmem_max).",
);
/// Bytes kept.
pub static KEPT_BYTES: Family = Family::gauge(
    "flatline_netconsole_kept_bytes",
    Unit::Bytes,
    &[SENDER],
    "Size of the files with the host's last words in the state directory.",
);
/// Messages that are in no file.
pub static UNKEPT: Family = Family::counter(
    "flatline_netconsole_unkept_messages_total",
    Unit::None,
    &[SENDER],
    "Messages that were counted but not written to the sender's file: no state directory, or its disk is too slow or full.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] =
    &[&MESSAGES, &EVENTS, &EVENT_LAST_TIMESTAMP, &LAST_TIMESTAMP, &LOST, &REJECTED, &DROPPED, &KEPT_BYTES, &UNKEPT];
