//! The kernel's own counters of its faults: `/sys/kernel/*_count`, `/proc/sys/kernel/hung_task_detect_count`
//! and `oom_kill` of `/proc/vmstat`.

use crate::{Family, Label, Unit};

/// The fault that is counted.
pub const KIND: Label = Label::new("kind", "oops, warn, rcu_stall, softlockup, hardlockup, hung_task, oom_kill");

/// One counter per fault the running kernel counts.
pub static FAULTS: Family = Family::counter(
    "flatline_kernel_faults_total",
    Unit::None,
    &[KIND],
    "Faults the kernel counted itself since boot. A kind is absent when this kernel has no counter for it, which is not the same as 0.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[&FAULTS];
