//! Host pressure stall information, from `/proc/pressure/*`
//! (kernel documentation: `Documentation/accounting/psi.rst`), and what goes to swap and comes back, from `/proc/vmstat`.

use crate::{Family, Label, Unit};

/// The resource that is short.
pub const RESOURCE: Label = Label::new("resource", "cpu, io, irq, memory");

/// PSI `some`, as a counter of seconds.
pub static WAITING_SECONDS: Family = Family::counter(
    "flatline_pressure_waiting_seconds_total",
    Unit::Seconds,
    &[RESOURCE],
    "Time in which at least one task of the host waited for the resource (PSI some). A rate of 1 means somebody was always waiting.",
);

/// PSI `full`, as a counter of seconds.
pub static STALLED_SECONDS: Family = Family::counter(
    "flatline_pressure_stalled_seconds_total",
    Unit::Seconds,
    &[RESOURCE],
    "Time in which every non-idle task of the host waited for the resource at once (PSI full). A rate near 1 means the host does no work.",
);

/// Which way pages go.
pub const DIRECTION: Label = Label::new("direction", "in, out");

/// `pswpin` and `pswpout` of vmstat, in bytes.
pub static SWAP_BYTES: Family = Family::counter(
    "flatline_swap_bytes_total",
    Unit::Bytes,
    &[DIRECTION],
    "Memory that was read back from swap (in) and written to it (out) since boot. Much that comes back while everybody waits for I/O is a host that thrashes. Absent on kernels without swap.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[&WAITING_SECONDS, &STALLED_SECONDS, &SWAP_BYTES];
