//! Watchdogs: whether a hang of this host would really end in a reset, and who decides that.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading, Value};
use flatline_catalog::{Family, watchdog as catalog};
use flatline_sources::SourceError;
use flatline_sources::boot_status::BootStatus;
use flatline_sources::watchdog::{self as source, Device, Owner};
use std::fmt;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "watchdog",
    help: "Whether a hang of this host would really end in a reset, and which process decides that.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags: Vec::new,
    init,
};

fn init(environment: &Environment) -> Init {
    source::Reader::probe(&environment.roots).map(|reader| Watchdog { reader, readings: Recycler::default() }).into()
}

struct Watchdog {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
}

impl Collector for Watchdog {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        self.readings.fill(|reading| self.reader.read(reading, &mut |fault| faults.report(fault)))
    }
}

/// What a device says and the family that shows it.
type Number = (&'static Family, fn(&Device) -> Option<Value>);

const NUMBERS: [Number; 7] = [
    (&catalog::ACTIVE, |device| device.active.map(Value::from)),
    (&catalog::TIMEOUT_SECONDS, |device| device.timeout_seconds.map(Value::from)),
    (&catalog::PRETIMEOUT_SECONDS, |device| device.pretimeout_seconds.map(Value::from)),
    (&catalog::TIMELEFT_SECONDS, |device| device.timeleft_seconds.map(Value::from)),
    (&catalog::NOWAYOUT, |device| device.nowayout.map(Value::from)),
    (&catalog::OWNED, |device| owned(&device.owner).map(Value::from)),
    (&catalog::PROTECTING, |device| device.protecting.map(Value::from)),
];

fn owned(owner: &Owner) -> Option<bool> {
    match owner {
        Owner::Held { .. } => Some(true),
        Owner::Nobody => Some(false),
        Owner::Unknown => None,
    }
}

impl Reading for source::Reading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::INFO, |samples| {
            self.devices
                .iter()
                .try_for_each(|device| samples.push(&[&device.name, &device.identity, &device.governor], true))
        })?;
        for (family, value) in NUMBERS {
            out.family(family, |samples| {
                self.devices.iter().try_for_each(|device| samples.push_some(&[&device.name], value(device)))
            })?;
        }
        out.family(&catalog::BOOT_STATUS, |samples| {
            for device in &self.devices {
                for (status, set) in device.boot_status.into_iter().flat_map(BootStatus::flags) {
                    samples.push(&[&device.name, status], set)?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::OWNER_INFO, |samples| {
            self.devices.iter().try_for_each(|device| match &device.owner {
                Owner::Held { comm, .. } => samples.push(&[&device.name, comm], true),
                Owner::Nobody | Owner::Unknown => Ok(()),
            })
        })
    }
}
