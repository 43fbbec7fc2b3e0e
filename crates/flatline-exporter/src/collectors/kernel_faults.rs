//! The kernel's own counters of its faults: oopses, warnings, stalls, lockups, hung tasks, OOM kills.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use flatline_catalog::kernel_faults as catalog;
use flatline_sources::SourceError;
use flatline_sources::kernel_faults as source;
use std::fmt;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "kernel_faults",
    help: "Oopses, warnings, stalls, lockups, hung tasks and OOM kills, as the kernel itself counts them.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags: Vec::new,
    init,
};

fn init(environment: &Environment) -> Init {
    source::Reader::probe(&environment.roots)
        .map(|reader| KernelFaults { reader, readings: Recycler::default() })
        .into()
}

struct KernelFaults {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
}

impl Collector for KernelFaults {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.reader.read(reading, &mut |fault| faults.report(fault)))
    }
}

impl Reading for source::Reading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::FAULTS, |samples| {
            self.counts().try_for_each(|(kind, count)| samples.push_some(&[kind.label()], count))
        })
    }
}
