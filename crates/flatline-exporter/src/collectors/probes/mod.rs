//! Probes: HTTP, HTTPS and TCP targets of the configuration file, each asked on its own schedule.
//!
//! A thread with a runtime of its own asks between scrapes; a scrape only copies what is known. Nothing that a target
//! does can therefore delay a scrape, and nobody who may scrape can choose whom this host connects to.

mod ask;
mod blocking;
mod lookup;
mod runner;
#[cfg(test)]
mod tests;
mod trust;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init, Recycler};
use crate::exposition::{Emitter, Reading};
use crate::flags::value;
use clap::{Arg, ArgAction};
use flatline_catalog::probes as catalog;
use flatline_sources::SourceError;
use flatline_sources::probes::{Failure, Target};
use runner::{Runner, Seen};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "probes",
    help: "HTTP, HTTPS and TCP targets of the configuration file: whether they answer, how fast, and with what.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

/// Settable in the configuration file only.
pub(crate) const TARGETS: &str = "collector.probes.targets";
/// More than this is a job for a machine of its own.
const MAX_PROBES: usize = 64;

fn flags() -> Vec<Arg> {
    vec![
        value(TARGETS, "NAME=TARGET", "What to probe, by name; only in the file given with --config.file")
            .action(ArgAction::Append)
            .value_parser(str::parse::<Target>),
    ]
}

fn init(environment: &Environment) -> Init {
    let targets: Vec<Target> = environment.flags.get_many(TARGETS).into_iter().flatten().cloned().collect();
    if targets.is_empty() {
        return Init::Off(format!("nothing to probe: list targets at {TARGETS} in the configuration file"));
    }
    match check(&targets).and_then(|()| start(targets)) {
        Ok(probes) => Init::On(Box::new(probes)),
        Err(reason) => Init::Failed(reason),
    }
}

fn check(targets: &[Target]) -> Result<(), String> {
    let mut names = HashSet::new();
    if let Some(twice) = targets.iter().find(|target| !names.insert(&target.name)) {
        return Err(format!("{TARGETS}: {} is there twice", twice.name));
    }
    if targets.len() > MAX_PROBES { Err(format!("{TARGETS}: more than {MAX_PROBES}")) } else { Ok(()) }
}

fn start(targets: Vec<Target>) -> Result<Probes, String> {
    let label = |target: &Target| Label { probe: target.name.clone(), target: target.place.to_string() };
    let labels = targets.iter().map(label).collect();
    let runner = Runner::start(targets).map_err(|error| format!("{TARGETS}: {error}"))?;
    Ok(Probes { runner, labels: Arc::new(labels), readings: Recycler::default() })
}

struct Probes {
    runner: Runner,
    labels: Arc<Vec<Label>>,
    readings: Recycler<Found>,
}

#[derive(Debug)]
struct Label {
    probe: String,
    target: String,
}

/// What is known of each probe, in the order of the targets.
#[derive(Debug, Default)]
struct Found {
    labels: Arc<Vec<Label>>,
    seen: Vec<Seen>,
}

impl Collector for Probes {
    fn collect(&mut self, _: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let Self { runner, labels, readings } = self;
        readings.fill(|found| {
            found.labels = Arc::clone(labels);
            runner.copy(&mut found.seen)
        })
    }
}

impl Found {
    fn each(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.labels.iter().map(|label| label.probe.as_str()).zip(&self.seen)
    }
}

impl Reading for Found {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::INFO, |samples| {
            self.labels.iter().try_for_each(|label| samples.push(&[&label.probe, &label.target], true))
        })?;
        out.family(&catalog::SUCCESS, |samples| {
            self.each().try_for_each(|(probe, seen)| {
                samples.push_some(&[probe], seen.last.as_ref().map(|last| last.failure.is_none()))
            })
        })?;
        out.family(&catalog::FAILURES, |samples| {
            for (probe, seen) in self.each() {
                for (reason, count) in Failure::ALL.iter().zip(seen.failures) {
                    samples.push(&[probe, reason.label()], count)?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::DURATION, |samples| {
            self.each().try_for_each(|(probe, seen)| samples.push_histogram_of(&[probe], &seen.durations))
        })?;
        out.family(&catalog::LAST, |samples| {
            self.each().try_for_each(|(probe, seen)| samples.push_some(&[probe], seen.ended))
        })?;
        self.emit_answers(out)
    }
}

impl Found {
    fn emit_answers(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::STATUS, |samples| {
            self.each().try_for_each(|(probe, seen)| {
                let status = seen.last.as_ref().and_then(|last| last.status);
                samples.push_some(&[probe], status.map(u64::from))
            })
        })?;
        out.family(&catalog::MATCHED, |samples| {
            self.each().try_for_each(|(probe, seen)| {
                samples.push_some(&[probe], seen.last.as_ref().and_then(|last| last.matched))
            })
        })?;
        out.family(&catalog::CAPTURE, |samples| {
            for (probe, seen) in self.each() {
                if let Some(capture) = seen.last.as_ref().and_then(|last| last.capture.as_deref()) {
                    samples.push(&[probe, capture], true)?;
                }
            }
            Ok(())
        })?;
        out.family(&catalog::EXPIRY, |samples| {
            // No certificate lasts so long that it is not exact.
            self.each().try_for_each(|(probe, seen)| samples.push_some(&[probe], seen.expiry.map(|at| at as f64)))
        })
    }
}
