//! The kernel's log: read as it is written, classified, and counted for good.
//!
//! The ring holds a few seconds of a flood and scrapes come every fifteen, so a thread of its own follows it. Under a
//! flood it reads for a fifth of the time at most; what the kernel overwrites meanwhile is counted as lost.

mod follower;
mod tally;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use flatline_catalog::kernel_log as catalog;
use flatline_events::Classifier;
use flatline_sources::kernel_ring::Ring;
use flatline_sources::{Probe, SourceError};
use follower::Follower;
use std::fmt;
use std::sync::Arc;
use tally::Tally;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "kernel_log",
    help: "What the kernel says in its log, by what it tells: oopses, lockups, OOM kills, dying disks and GPUs.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags: Vec::new,
    init,
};

fn init(environment: &Environment) -> Init {
    let ring = match Ring::probe(&environment.roots) {
        Probe::Present(ring) => ring,
        Probe::Absent(reason) => return Init::Off(reason),
        Probe::Broken(error) => return Init::Failed(error.to_string()),
    };
    let started = Classifier::new()
        .map_err(|error| error.to_string())
        .and_then(|classifier| Follower::start(ring, classifier, environment));
    match started {
        Ok(follower) => Init::On(Box::new(KernelLog { follower, readings: Recycler::default() })),
        Err(reason) => Init::Failed(reason),
    }
}

struct KernelLog {
    follower: Follower,
    readings: Recycler<Tally>,
}

impl Collector for KernelLog {
    fn collect(&mut self, _: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.follower.tally(reading))
    }
}

impl Reading for Tally {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::EVENTS, |samples| {
            self.kinds().try_for_each(|(kind, count)| samples.push(&[kind], count.count))
        })?;
        out.family(&catalog::DEVICE_EVENTS, |samples| {
            for (kind, phases) in &self.devices {
                for (phase, devices) in phases {
                    devices.iter().try_for_each(|(device, count)| samples.push(&[kind, phase, device], *count))?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::LAST_TIMESTAMP, |samples| {
            let seen = self.kinds().filter(|(_, count)| count.count > 0);
            seen.into_iter().try_for_each(|(kind, count)| samples.push(&[kind], count.last))
        })?;
        out.single(&catalog::RECORDS, self.records)?;
        out.single(&catalog::LOST_RECORDS, self.lost)?;
        out.single(&catalog::SUPPRESSED, self.suppressed)?;
        out.single(&catalog::UNREADABLE, self.unreadable)
    }
}
