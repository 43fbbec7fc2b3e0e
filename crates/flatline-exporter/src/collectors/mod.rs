//! The collectors, one file per signal.

mod crash_capture;
mod kernel_faults;
mod memcg;
mod pressure;
mod tasks;
mod vm;
mod watchdog;

use crate::collector::Descriptor;

/// Every collector compiled in. Adding a signal adds its file and its line here.
pub const ALL: &[&Descriptor] = &[
    &crash_capture::COLLECTOR,
    &kernel_faults::COLLECTOR,
    &memcg::COLLECTOR,
    &pressure::COLLECTOR,
    &tasks::COLLECTOR,
    &vm::COLLECTOR,
    &watchdog::COLLECTOR,
];
