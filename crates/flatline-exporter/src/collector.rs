//! The contract between a collector and the framework.
//!
//! A collector file declares one [`Descriptor`]. The framework gives it a thread, a deadline and
//! the metrics about itself (state, success, duration, stuck time, age, dropped series, faults);
//! the collector reads its source and nothing else.

use crate::exposition::Reading;
use clap::{Arg, ArgMatches};
use flatline_catalog::Family;
use flatline_ledger::StateDirectory;
use flatline_sources::{Fault, Roots, SourceError};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything the framework needs to know of a collector before it runs.
#[derive(Debug)]
pub struct Descriptor {
    /// The name in flags, labels and `collect[]`.
    pub name: &'static str,
    /// One line for `--help` and the landing page: what it sees.
    pub help: &'static str,
    /// Whether it runs when no flag says so.
    pub activation: Activation,
    /// The families it may emit; a test holds the golden exposition against them.
    pub families: &'static [&'static Family],
    /// Flags of its own, named `collector.<name>.<option>`.
    pub flags: fn() -> Vec<Arg>,
    /// Looks for the source. Runs on the collector's own thread, so it may hang without harm.
    pub init: fn(&Environment) -> Init,
}

/// Whether a collector runs when no flag says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// On where its source exists, off with a reason elsewhere.
    Auto,
    /// Off unless asked for.
    Off,
}

/// What a collector may look at while it starts.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Where the host's file systems are.
    pub roots: Roots,
    /// The parsed flags, for the collector's own.
    pub flags: ArgMatches,
    /// File descriptors all collectors together may hold open between scrapes.
    pub fd_budget: usize,
    /// What outlives the process, if the host has room for it. Reading and writing may hang with the disk.
    pub state: Option<StateDirectory>,
}

/// The three outcomes of a collector's start.
pub enum Init {
    /// It reads its source from now on.
    On(Box<dyn Collector>),
    /// There is nothing to read on this host; not an error.
    Off(String),
    /// There should be something to read, but it can't be.
    Failed(String),
}

impl<C: Collector + 'static> From<flatline_sources::Probe<C>> for Init {
    fn from(probe: flatline_sources::Probe<C>) -> Self {
        match probe {
            flatline_sources::Probe::Present(collector) => Self::On(Box::new(collector)),
            flatline_sources::Probe::Absent(reason) => Self::Off(reason),
            flatline_sources::Probe::Broken(error) => Self::Failed(error.to_string()),
        }
    }
}

/// A started collector; lives on one thread for good.
pub trait Collector: Send {
    /// Reads the source once.
    ///
    /// # Errors
    /// Only when nothing at all could be read. A part that can't be read goes to `faults`
    /// and is absent from the reading.
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError>;
}

/// Hands out readings to fill and takes them back once no scrape looks at them any more, so that a
/// collector inside a throttled cgroup allocates nothing once it has warmed up.
#[derive(Debug)]
pub struct Recycler<R> {
    kept: Vec<Arc<R>>,
}

impl<R> Default for Recycler<R> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

impl<R: Default + Reading + 'static> Recycler<R> {
    /// The worker keeps the newest reading and a slow scrape may hold one more; a third is free.
    const KEPT: usize = 3;

    /// Fills a free reading and returns it.
    ///
    /// # Errors
    /// What `fill` returns.
    pub fn fill<E>(&mut self, fill: impl FnOnce(&mut R) -> Result<(), E>) -> Result<Arc<dyn Reading>, E> {
        let mut reading = self
            .kept
            .iter()
            .position(|kept| Arc::strong_count(kept) == 1)
            .map_or_else(Arc::default, |free| self.kept.swap_remove(free));
        // Unshared by construction: fresh, or with a strong count of one and no weak pointers anywhere.
        if let Some(reading) = Arc::get_mut(&mut reading) {
            fill(reading)?;
        }
        if self.kept.len() < Self::KEPT {
            self.kept.push(Arc::clone(&reading));
        }
        Ok(reading)
    }
}

/// Counts what a collector could not read and logs each file once.
#[derive(Debug)]
pub struct Faults {
    collector: &'static str,
    counts: [u64; Fault::ALL.len()],
    logged: HashSet<(PathBuf, Fault)>,
}

impl Faults {
    /// Past this many distinct files a collector's faults are counted only.
    const MAX_LOGGED: usize = 256;

    pub(crate) fn new(collector: &'static str) -> Self {
        Self { collector, counts: [0; Fault::ALL.len()], logged: HashSet::new() }
    }

    /// Counts the fault; logs it when this file has not failed this way before.
    pub fn report(&mut self, error: &SourceError) {
        if let Some(index) = Fault::ALL.iter().position(|fault| *fault == error.fault) {
            self.counts[index] += 1;
        }
        if self.logged.len() >= Self::MAX_LOGGED {
            return;
        }
        if self.logged.insert((error.path.to_path_buf(), error.fault)) {
            tracing::warn!(collector = self.collector, fault = error.fault.label(), error = %error, "source can't be read");
            if self.logged.len() == Self::MAX_LOGGED {
                tracing::warn!(collector = self.collector, "too many different faults; further ones are only counted");
            }
        }
    }

    /// The counts so far, in the order of `Fault::ALL`.
    pub(crate) fn counts(&self) -> [u64; Fault::ALL.len()] {
        self.counts
    }
}
