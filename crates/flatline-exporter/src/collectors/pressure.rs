//! Pressure of the host: how long tasks wait for CPU, I/O, interrupts and memory, and how much is swapped.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use flatline_catalog::pressure as catalog;
use flatline_sources::SourceError;
use flatline_sources::pressure as source;
use std::fmt;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "pressure",
    help: "How long tasks of the host wait for CPU, I/O, interrupts and memory (PSI), and how much it swaps.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags: Vec::new,
    init,
};

fn init(environment: &Environment) -> Init {
    source::Reader::probe(&environment.roots).map(|reader| Pressure { reader, readings: Recycler::default() }).into()
}

struct Pressure {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
}

impl Collector for Pressure {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.reader.read(reading, &mut |fault| faults.report(fault)))
    }
}

impl Reading for source::Reading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let present = || self.resources().filter_map(|(resource, psi)| Some((resource.label(), psi?)));
        out.family(&catalog::WAITING_SECONDS, |samples| {
            present().try_for_each(|(resource, psi)| samples.push_some(&[resource], psi.waiting_seconds()))
        })?;
        out.family(&catalog::STALLED_SECONDS, |samples| {
            present().try_for_each(|(resource, psi)| samples.push_some(&[resource], psi.stalled_seconds()))
        })?;
        out.family(&catalog::SWAP_BYTES, |samples| {
            let bytes = |pages: u64| pages.saturating_mul(rustix::param::page_size() as u64);
            self.swapped().map_or(Ok(()), |swapped| {
                samples.push(&["in"], bytes(swapped.in_pages))?;
                samples.push(&["out"], bytes(swapped.out_pages))
            })
        })
    }
}
