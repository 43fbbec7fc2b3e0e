//! How long each blocked task has been seen without a context switch.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Beyond so many blocked tasks no further ages are kept: a host that bad has nothing left to rank.
const MAX_TASKS: usize = 16_384;

/// A task for good: its id and when it started.
pub(super) type Identity = (u32, u64);

/// The blocked tasks of this sweep and the one before.
#[derive(Debug, Default)]
pub(super) struct Ages {
    known: HashMap<Identity, Sleep>,
    sweep: u64,
}

/// One uninterrupted sleep.
#[derive(Debug)]
struct Sleep {
    since: Instant,
    switches: u64,
    sweep: u64,
}

impl Ages {
    /// How long the task has been seen in this sleep, 0 the first time; `None` when there are too many to remember.
    pub(super) fn observe(&mut self, task: Identity, switches: u64, now: Instant) -> Option<Duration> {
        let Self { known, sweep } = self;
        if known.len() >= MAX_TASKS && !known.contains_key(&task) {
            return None;
        }
        let sleep = known.entry(task).or_insert(Sleep { since: now, switches, sweep: *sweep });
        if sleep.switches != switches {
            (sleep.since, sleep.switches) = (now, switches);
        }
        sleep.sweep = *sweep;
        Some(now.saturating_duration_since(sleep.since))
    }

    /// Ends a sweep: who was not seen blocked in it is forgotten.
    pub(super) fn end_sweep(&mut self) {
        let sweep = self.sweep;
        self.known.retain(|_, sleep| sleep.sweep == sweep);
        self.sweep += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_switch_and_a_reused_id_begin_anew() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        assert_eq!(ages.observe((7, 100), 5, start), Some(Duration::ZERO));
        ages.end_sweep();
        assert_eq!(ages.observe((7, 100), 5, start + SECOND), Some(SECOND));
        ages.end_sweep();
        assert_eq!(ages.observe((7, 100), 6, start + 2 * SECOND), Some(Duration::ZERO));
        assert_eq!(ages.observe((7, 900), 5, start + 2 * SECOND), Some(Duration::ZERO));
    }

    #[test]
    fn who_was_not_blocked_for_a_sweep_begins_anew() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        ages.observe((7, 100), 5, start);
        ages.end_sweep();
        ages.end_sweep();
        assert_eq!(ages.observe((7, 100), 5, start + SECOND), Some(Duration::ZERO));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        let known = (0..).take(MAX_TASKS).filter(|tid| ages.observe((*tid, 0), 0, start).is_some());
        assert_eq!(known.count(), MAX_TASKS);
        assert_eq!(ages.observe((u32::MAX, 0), 0, start), None);
        assert_eq!(ages.observe((0, 0), 0, start + SECOND), Some(SECOND));
        ages.end_sweep();
        ages.end_sweep();
        assert_eq!(ages.observe((u32::MAX, 0), 0, start), Some(Duration::ZERO));
    }
}
