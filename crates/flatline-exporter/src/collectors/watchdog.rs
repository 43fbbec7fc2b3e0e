//! Watchdogs: whether a hang of this host would really end in a reset, and who decides that.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading, Value};
use crate::kept::{Kept, boot_id};
use flatline_catalog::{Family, watchdog as catalog};
use flatline_sources::SourceError;
use flatline_sources::boot_status::BootStatus;
use flatline_sources::watchdog::{self as source, Device, Owner};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// The name of the file in the state directory.
const SNAPSHOT: &str = "watchdog";

fn init(environment: &Environment) -> Init {
    let watchdog = |reader| {
        let boot_id = boot_id(&environment.roots).ok();
        let mut kept = Kept::new(environment.state.as_ref().filter(|_| boot_id.is_some()), SNAPSHOT);
        let boot_id = boot_id.unwrap_or_default();
        let memory: Memory = kept.load();
        let memory = if memory.boot_id == boot_id { memory } else { Memory { boot_id, ..Memory::default() } };
        Watchdog { reader, readings: Recycler::default(), memory, kept }
    };
    source::Reader::probe(&environment.roots).map(watchdog).into()
}

struct Watchdog {
    reader: source::Reader,
    readings: Recycler<source::Reading>,
    memory: Memory,
    kept: Kept<Memory>,
}

impl Collector for Watchdog {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let Self { reader, readings, memory, kept } = self;
        let reading = readings.fill(|reading| {
            reader.read(reading, &mut |fault| faults.report(fault))?;
            memory.complete(&mut reading.devices);
            Ok(())
        });
        if kept.is_due() {
            kept.save(memory.clone());
        }
        reading
    }
}

/// What the drivers have said of the last boot. One that is loaded anew has forgotten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// The boot in which they said so.
    boot_id: String,
    /// Flags by the driver's identity: numbers change when drivers are loaded in another order.
    flags: BTreeMap<String, u64>,
}

impl Memory {
    /// Remembers what the devices say now, and puts back what they said earlier in this boot.
    fn complete(&mut self, devices: &mut [Device]) {
        for device in devices {
            let Some(BootStatus(now)) = device.boot_status else { continue };
            let known = self.flags.get(&device.identity).copied().unwrap_or_default();
            let flags = known | now;
            device.boot_status = Some(BootStatus(flags));
            if flags != known && self.flags.len() < source::MAX_DEVICES {
                self.flags.insert(device.identity.clone(), flags);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::{BootStatus, Device, Memory};

    fn said(memory: &mut Memory, identity: &str, flags: Option<u64>) -> Option<u64> {
        let device = Device { identity: identity.to_owned(), boot_status: flags.map(BootStatus), ..Device::default() };
        let mut devices = [device];
        memory.complete(&mut devices);
        devices[0].boot_status.map(|status| status.0)
    }

    #[test]
    fn a_driver_that_was_loaded_anew_is_reminded_of_what_it_said() {
        let mut memory = Memory::default();
        assert_eq!(said(&mut memory, "SP5100 TCO timer", Some(32)), Some(32));
        assert_eq!(said(&mut memory, "SP5100 TCO timer", Some(0)), Some(32));
        assert_eq!(said(&mut memory, "Software Watchdog", Some(0)), Some(0));
        assert_eq!(said(&mut memory, "SP5100 TCO timer", None), None, "what can't be read is not known");
    }
}
