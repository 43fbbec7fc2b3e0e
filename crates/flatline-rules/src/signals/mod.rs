//! One file per signal. Adding one is a file here, a line in [`all`], and a runbook page per alert.

mod collectors;
mod devvm;
mod exporter;
mod kernel_faults;
mod memcg;
mod pressure;
pub mod targets;
mod vm;
mod watchdog;

use crate::config::Config;
use crate::model::Signal;

/// Every signal, in the order of the outputs.
#[must_use]
pub fn all(config: &Config) -> Vec<Signal> {
    vec![
        devvm::signal(config),
        exporter::signal(config),
        collectors::signal(config),
        pressure::signal(),
        memcg::signal(config),
        vm::signal(config),
        vm::writes(config),
        watchdog::signal(config),
        kernel_faults::signal(),
    ]
}
