//! The collectors, one file per signal.

mod kernel_faults;
mod memcg;
mod pressure;
mod vm;
mod watchdog;

use crate::collector::Descriptor;

/// Every collector compiled in. Adding a signal adds its file and its line here.
pub const ALL: &[&Descriptor] =
    &[&kernel_faults::COLLECTOR, &memcg::COLLECTOR, &pressure::COLLECTOR, &vm::COLLECTOR, &watchdog::COLLECTOR];
