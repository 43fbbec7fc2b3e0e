//! Tasks (processes and their threads) that the kernel keeps in uninterruptible sleep, and where they wait.
//!
//! Only `stat`, `status` and `wchan` are read: they never wait for the task. `cmdline`, `environ`, `maps`, `smaps`
//! and `exe` take its memory lock, and `stack` and `syscall` the lock of its `exec`, either of which a stuck task
//! may hold for ever.
//!
//! A process with a sleeping main thread may have a worker thread that is stuck, and nothing short of looking at the
//! worker tells, so every thread is looked at. That costs 12 to 14 µs each: a host with tens of thousands is gone
//! through in several reads, each within [`Options::max_duration`], and the numbers are those of the last complete
//! sweep.

mod ages;
mod look;
mod reader;
mod stat;
mod status;
mod tally;
mod walk;
mod wchan;

pub use crate::vm::State;
pub use reader::Reader;
pub use stat::{Stat, parse as parse_stat};
pub use status::{Status, parse as parse_status};
pub use wchan::parse as parse_wchan;

use std::sync::Arc;
use std::time::Duration;

/// The name of the channel that stands for all the kernel does not tell.
pub const UNREADABLE: &str = "unreadable";
/// The name of the channel that stands for all beyond [`Options::max_wchans`].
pub const OTHER: &str = "other";

/// Bounds for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Tasks looked at in one sweep; the rest is counted only.
    pub max_tasks: usize,
    /// Wait channels shown by name, those with most tasks first; the rest goes into [`OTHER`].
    pub max_wchans: usize,
    /// How long one read looks at tasks before it leaves the rest of the sweep to the next.
    pub max_duration: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_tasks: 50_000, max_wchans: 20, max_duration: Duration::from_millis(200) }
    }
}

/// The tasks that wait in one function of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The function without the compiler's suffixes, [`UNREADABLE`] or [`OTHER`].
    pub wchan: Arc<str>,
    /// How many tasks wait there uninterruptibly.
    pub tasks: u64,
    /// The longest time one of them has been seen there without a context switch; `None` when no time is known.
    pub oldest: Option<Duration>,
}

/// What the last complete sweep found. Reuse it: its memory is kept.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// How long before the end of the read the sweep began; `None` until a sweep is complete, and nothing below
    /// means anything then.
    pub age: Option<Duration>,
    /// Tasks by state, in the order of [`State::ALL`].
    pub states: [u64; State::ALL.len()],
    /// Tasks looked at.
    pub scanned: u64,
    /// Tasks beyond [`Options::max_tasks`]; threads of processes that were not looked at are not counted.
    pub beyond_bound: u64,
    /// Tasks the kernel refused to show.
    pub unreadable: u64,
    /// Where tasks are blocked, most tasks first.
    pub channels: Vec<Channel>,
    /// Whether the kernel tells in which function tasks wait; `None` when there was no task to tell by.
    pub wchan_readable: Option<bool>,
    /// Whether process 1 can be seen; if not, the processes of others are hidden (`hidepid`).
    pub processes_visible: bool,
}

impl Reading {
    /// Tasks by state.
    pub fn states(&self) -> impl Iterator<Item = (State, u64)> {
        State::ALL.into_iter().zip(self.states)
    }
}
