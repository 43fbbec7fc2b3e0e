//! What the host runs on, and what of it changed with the last boot.

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::exposition::{Emitter, Reading};
use crate::kept::{Kept, boot_id};
use flatline_catalog::host_facts as catalog;
use flatline_sources::host_facts::{Facts, Kind, read};
use flatline_sources::{Roots, SourceError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "host_facts",
    help: "Versions of kernel, drivers, firmware and microcode, and what of them changed with the last boot.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags: Vec::new,
    init,
};

const SNAPSHOT: &str = "host_facts";
/// Facts change with a boot, or when a module is loaded.
const READ_EVERY: Duration = Duration::from_secs(60);

fn init(environment: &Environment) -> Init {
    let mut kept = Kept::new(environment.state.as_ref(), SNAPSHOT);
    let memory: Memory = kept.load();
    let roots = environment.roots.clone();
    // A boot without a name can't be told from others, so nothing is compared.
    let boot = environment.state.as_ref().and_then(|_| boot_id(&roots).ok());
    Init::On(Box::new(HostFacts { roots, boot, memory, kept, found: None }))
}

struct HostFacts {
    roots: Roots,
    boot: Option<String>,
    memory: Memory,
    kept: Kept<Memory>,
    found: Option<(Instant, Arc<Found>)>,
}

impl Collector for HostFacts {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let known = self.found.take().filter(|(read, _)| read.elapsed() < READ_EVERY);
        let (read, found) = known.unwrap_or_else(|| (Instant::now(), Arc::new(self.find(faults))));
        self.found = Some((read, Arc::clone(&found)));
        if self.boot.is_some() && self.kept.is_due() {
            self.kept.save(self.memory.clone());
        }
        Ok(found)
    }
}

impl HostFacts {
    fn find(&mut self, faults: &mut Faults) -> Found {
        let facts = read(&self.roots, &mut |error| faults.report(error));
        let compared = self.boot.as_ref().map(|boot| {
            self.memory.learn(boot, &facts);
            self.memory.clone()
        });
        Found { facts, compared }
    }
}

/// Of each kind; a host that has had more drivers than that over the years does not remember the last ones.
const MAX_REMEMBERED: usize = 512;

/// Values by kind and name.
type Values = BTreeMap<String, BTreeMap<String, String>>;

/// What was, over boots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    boot: String,
    /// The facts of this boot, each as it was last seen.
    now: Values,
    /// Those of the boot before; `None` when Flatline was not there.
    before: Option<Values>,
    /// How often a fact of each kind has changed.
    changes: BTreeMap<String, u64>,
}

/// A fact that is other than it was.
struct Change<'a> {
    kind: &'a str,
    name: &'a str,
    value: &'a str,
    before: &'a str,
}

impl Memory {
    fn learn(&mut self, boot: &str, facts: &Facts) {
        if self.boot != boot {
            let earlier = std::mem::take(&mut self.now);
            self.before = (!self.boot.is_empty()).then_some(earlier.clone());
            boot.clone_into(&mut self.boot);
            // What is not there this time is remembered: its driver may be loaded later.
            self.now = earlier;
        }
        for (kind, name, value) in facts.iter() {
            let known = self.now.entry(kind.label().to_owned()).or_default();
            if known.len() >= MAX_REMEMBERED && !known.contains_key(name) {
                continue;
            }
            match known.insert(name.to_owned(), value.to_owned()) {
                Some(old) if old != value => *self.changes.entry(kind.label().to_owned()).or_default() += 1,
                _ => {}
            }
        }
    }

    /// What was known in the boot before and is other now. What is new, or gone, is no change: a driver may be loaded
    /// at any time.
    fn changed(&self) -> impl Iterator<Item = Change<'_>> {
        let before = self.before.iter().flatten();
        before.flat_map(move |(kind, names)| {
            names.iter().filter_map(move |(name, before)| {
                let value = self.now.get(kind)?.get(name)?;
                (value != before).then_some(Change { kind, name, value, before })
            })
        })
    }
}

#[derive(Debug)]
struct Found {
    facts: Facts,
    /// `None` where there is nothing to compare with.
    compared: Option<Memory>,
}

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let fact = |kind, name| self.facts.get(kind, name).unwrap_or_default();
        out.family(&catalog::KERNEL, |samples| {
            let of = [fact(Kind::Kernel, "release"), fact(Kind::Kernel, "build")];
            samples.push_some(&of, (of != ["", ""]).then_some(1_u64))
        })?;
        out.family(&catalog::DRIVER_INFO, |samples| {
            let mut drivers = self.facts.iter().filter(|(kind, ..)| *kind == Kind::Driver);
            drivers.try_for_each(|(_, name, version)| samples.push(&[name, version], 1_u64))
        })?;
        out.family(&catalog::FIRMWARE, |samples| {
            let of = ["vendor", "version", "date", "product", "board"].map(|name| fact(Kind::Firmware, name));
            samples.push_some(&of, of.iter().any(|field| !field.is_empty()).then_some(1_u64))
        })?;
        out.family(&catalog::MICROCODE, |samples| {
            samples.push_some(
                &[fact(Kind::Microcode, "revision")],
                self.facts.get(Kind::Microcode, "revision").map(|_| 1_u64),
            )
        })?;
        self.compared.as_ref().map_or(Ok(()), |memory| memory.emit(out))
    }
}

impl Memory {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::CHANGES, |samples| {
            Kind::ALL.iter().try_for_each(|kind| {
                samples.push(&[kind.label()], self.changes.get(kind.label()).copied().unwrap_or_default())
            })
        })?;
        if self.before.is_none() {
            return Ok(());
        }
        out.family(&catalog::CHANGED, |samples| {
            Kind::ALL.iter().try_for_each(|kind| {
                let changed = self.changed().filter(|change| change.kind == kind.label()).count();
                samples.push(&[kind.label()], changed)
            })
        })?;
        out.family(&catalog::CHANGE, |samples| {
            self.changed()
                .try_for_each(|change| samples.push(&[change.kind, change.name, change.value, change.before], 1_u64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn facts(tree: &Path, release: &str, driver: Option<&str>) -> Facts {
        let write = |path: &str, content: &str| {
            let path = tree.join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            std::fs::write(path, content).expect("written");
        };
        let _ = std::fs::remove_dir_all(tree.join("sys"));
        write("proc/sys/kernel/osrelease", release);
        driver.iter().for_each(|version| write("sys/module/nvidia/version", version));
        read(&Roots::under(tree), &mut |error| panic!("{error}"))
    }

    fn changed(memory: &Memory) -> Vec<(&str, &str, &str)> {
        memory.changed().map(|change| (change.name, change.before, change.value)).collect()
    }

    #[test]
    fn what_is_other_than_in_the_boot_before_has_changed() {
        let tree = tempfile::tempdir().expect("directory");
        let mut memory = Memory::default();
        memory.learn("a", &facts(tree.path(), "6.14", Some("570")));
        assert!(memory.before.is_none() && changed(&memory).is_empty(), "the first boot Flatline sees");
        memory.learn("b", &facts(tree.path(), "6.8", None));
        assert_eq!(changed(&memory), [("release", "6.14", "6.8")], "the driver may still come");
        memory.learn("b", &facts(tree.path(), "6.8", Some("575")));
        assert_eq!(changed(&memory), [("nvidia", "570", "575"), ("release", "6.14", "6.8")]);
        memory.learn("c", &facts(tree.path(), "6.8", Some("575")));
        assert!(memory.before.is_some() && changed(&memory).is_empty());
        assert_eq!(memory.changes, BTreeMap::from([("kernel".to_owned(), 1), ("driver".to_owned(), 1)]));
    }

    #[test]
    fn a_driver_that_was_away_for_a_boot_is_compared_with_what_it_was() {
        let tree = tempfile::tempdir().expect("directory");
        let mut memory = Memory::default();
        for (boot, driver) in [("a", Some("570")), ("b", None), ("c", Some("575"))] {
            memory.learn(boot, &facts(tree.path(), "6.8", driver));
        }
        assert_eq!(changed(&memory), [("nvidia", "570", "575")]);
    }
}
