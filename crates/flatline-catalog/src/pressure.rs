//! Host pressure stall information, from `/proc/pressure/*`
//! (kernel documentation: `Documentation/accounting/psi.rst`).

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

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[&WAITING_SECONDS, &STALLED_SECONDS];
