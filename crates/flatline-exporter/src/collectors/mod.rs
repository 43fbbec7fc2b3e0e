//! The collectors, one file per signal.

mod boots;
mod crash_capture;
mod drives;
mod gpu;
mod host_facts;
mod journal;
mod kernel_faults;
mod kernel_log;
mod memcg;
mod mounts;
mod netconsole;
mod pressure;
pub(crate) mod probes;
mod reachability;
mod tasks;
mod vm;
mod watchdog;

use crate::collector::Descriptor;

/// Every collector compiled in. Adding a signal adds its file and its line here.
pub const ALL: &[&Descriptor] = &[
    &boots::COLLECTOR,
    &crash_capture::COLLECTOR,
    &drives::COLLECTOR,
    &gpu::COLLECTOR,
    &host_facts::COLLECTOR,
    &journal::COLLECTOR,
    &kernel_faults::COLLECTOR,
    &kernel_log::COLLECTOR,
    &memcg::COLLECTOR,
    &mounts::COLLECTOR,
    &netconsole::COLLECTOR,
    &pressure::COLLECTOR,
    &probes::COLLECTOR,
    &reachability::COLLECTOR,
    &tasks::COLLECTOR,
    &vm::COLLECTOR,
    &watchdog::COLLECTOR,
];
