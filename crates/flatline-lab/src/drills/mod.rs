//! The scenarios, run end to end: a real machine is broken, the real chain from exporter to Slack watches, and what came
//! of it is judged.
//!
//! A [`Drill`] is one of them; [`ALL`] lists them. [`Drill::run`] gives it a [`Session`], in which it sets up its machines
//! ([`crate::scenarios`]), has them watched by a [`crate::Chain`], and breaks them.

mod gpu;
mod healthy;
mod host;
mod memcg;
mod mounts;
mod outcome;
mod session;
mod stage;
mod vm;

pub use outcome::{Event, EventKind, Message, OtherAlert, OthersSaid, Outcome, Plotted, Scrapes, Series};
pub use session::Session;
pub use stage::{Pace, Watched};

use std::time::Duration;

use crate::{Others, Result};

/// How long a guest may take to boot. They are emulated, on a busy machine: generous.
const BOOT: Duration = Duration::from_secs(180);
/// Longer than any alert here takes.
const SOON: Duration = Duration::from_secs(360);

/// One scenario.
#[derive(Debug)]
pub struct Drill {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is broken, in a sentence.
    pub breaks: &'static str,
    /// How often is scraped and evaluated, and how long the windows are.
    pub pace: Pace,
    /// The alerts that must reach Slack; none: nothing may.
    pub expects: &'static [&'static str],
    /// Alerts that may fire as well. Any other that pages or warns makes the drill fail.
    pub tolerates: &'static [&'static str],
    /// What is drawn of it.
    pub plots: &'static [Plot],
    play: fn(&mut Session<'_>) -> Result<()>,
}

/// A signal to be drawn.
#[derive(Debug)]
pub struct Plot {
    /// What it is, with its unit.
    pub title: &'static str,
    /// The expression.
    pub query: &'static str,
}

impl Drill {
    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|drill| drill.name == name)
    }

    /// Whether nothing may be told: a healthy machine that looks like a dead one.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.expects.is_empty()
    }

    /// Runs it on these terms. `say` hears what happens as it happens.
    ///
    /// # Errors
    /// When a machine or a program of the chain can't be started or asked. That an alert does not come is no error, it is
    /// in the outcome.
    pub fn run(&'static self, terms: &Terms, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
        let mut session = Session::new(self, terms, say);
        (self.play)(&mut session)?;
        session.finish()
    }
}

/// How a scenario is run.
#[derive(Debug, Default)]
pub struct Terms {
    /// At another pace than its own.
    pub pace: Option<Pace>,
    /// The rules that are evaluated beside ours.
    pub others: Vec<Others>,
    /// How long after the break it is repaired at the earliest: rules of others may ask for a quarter of an hour.
    pub hold: Duration,
}

/// All scenarios, in the order of the report.
pub const ALL: &[&Drill] = &[
    &vm::STALL,
    &vm::THROTTLED,
    &vm::STALL_LSI,
    &vm::QEMU_STOPPED,
    &memcg::LIVELOCK,
    &memcg::EXPORTER_INSIDE,
    &host::KILLED,
    &host::PANICKED,
    &host::WATCHDOG_RESET,
    &host::FROZEN_FILESYSTEM,
    &host::SOFT_LOCKUP,
    &host::GLOBAL_OOM,
    &host::MEMCG_OOM,
    &host::SWAP_THRASH,
    &gpu::HANGS,
    &mounts::NFS_HANGS,
    &healthy::IDLE_GUEST,
    &healthy::PAUSED_GUEST,
    &healthy::SLOW_DISK,
    &healthy::BACKUP_FREEZE,
    &healthy::PAGE_CACHE,
    &healthy::MEMCG_BURSTS,
    &healthy::CPU_BURN,
    &healthy::CLEAN_REBOOT,
    &healthy::EXPORTER_RESTART,
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;

    #[test]
    fn what_is_drawn_is_exported() {
        let target = ["job", "instance"].map(str::to_owned);
        for plot in ALL.iter().flat_map(|drill| drill.plots) {
            if let Err(refusal) = flatline_rules::check::check(plot.query, &target, &[]) {
                panic!("{}: {refusal}", plot.query);
            }
        }
    }

    #[test]
    fn names_are_unique_and_alerts_exist() {
        let names: BTreeSet<_> = ALL.iter().map(|drill| drill.name).collect();
        assert_eq!(names.len(), ALL.len());
        let signals = flatline_rules::signals::all(&flatline_rules::Config::default());
        let known: BTreeSet<_> = signals.iter().flat_map(|signal| &signal.alerts).map(|alert| alert.name).collect();
        for drill in ALL {
            for alert in drill.expects.iter().chain(drill.tolerates) {
                assert!(known.contains(alert), "{}: there is no alert {alert}", drill.name);
            }
        }
    }
}
