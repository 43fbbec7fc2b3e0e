//! One file per signal. Adding one is a file here, a line in [`all`], and a runbook page per alert.

mod collectors;
mod devvm;
mod exporter;
pub mod memcg;
pub mod targets;
pub mod watchdog;

use crate::config::Config;
use crate::model::Signal;

/// Every signal, in the order of the outputs.
#[must_use]
pub fn all(config: &Config) -> Vec<Signal> {
    vec![
        devvm::signal(config),
        memcg::signal(config),
        watchdog::signal(config),
        exporter::signal(config),
        collectors::signal(config),
    ]
}
