//! One file per signal. Adding one is a file here, a line in [`all`], and a runbook page per alert.

mod boots;
pub mod chain;
mod collectors;
mod crash_capture;
mod devvm;
mod drives;
mod exporter;
mod gpu;
mod host_facts;
mod journal;
mod kernel_faults;
mod kernel_log;
mod memcg;
mod mounts;
mod netconsole;
mod pressure;
mod probes;
mod reachability;
pub mod targets;
mod tasks;
mod told;
mod units;
mod vm;
mod watchdog;

use crate::config::Config;
use crate::model::Signal;

/// Every signal, in the order of the outputs, with each alert's `for` as the configuration has it.
#[must_use]
pub fn all(config: &Config) -> Vec<Signal> {
    let mut signals = declared(config);
    for alert in signals.iter_mut().flat_map(|signal| &mut signal.alerts) {
        if let Some(hold) = config.alerts.get(alert.name).and_then(|changed| changed.hold) {
            alert.hold = hold;
        }
    }
    signals
}

fn declared(config: &Config) -> Vec<Signal> {
    vec![
        devvm::signal(config),
        exporter::signal(config),
        collectors::signal(config),
        pressure::signal(config),
        memcg::signal(config),
        vm::signal(config),
        vm::writes(config),
        watchdog::signal(config),
        tasks::signal(config),
        mounts::signal(config),
        gpu::signal(config),
        boots::signal(config),
        host_facts::signal(config),
        kernel_log::signal(config),
        kernel_faults::signal(),
        journal::signal(config),
        netconsole::signal(config),
        crash_capture::signal(config),
        drives::signal(config),
        probes::signal(config),
        reachability::signal(config),
        units::signal(config),
        chain::signal(config),
    ]
}
