//! Which boots' wall clocks can be believed.
//!
//! Boots follow one another, so each must begin after the one before has ended. Where two contradict each other one of
//! the clocks was wrong: the largest set of boots that agree is believed, and of sets alike the one that ran longer,
//! as a clock that is wrong is mostly found right after the start, before NTP. What is not believed gets no gap and no
//! lag across boots, so a clock that is a year off makes no window of a year. Its uptime is right all the same: it
//! comes from the boot clock.

use crate::boot::{Boot, Source};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A clock that is earlier was never set: without a battery they begin at 1970, 2000 or the like (2015-01-01).
const FLOOR: i64 = 1_420_070_400;
/// A boot may seem to begin this much before the one before has ended: clocks drift while a host is down.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// For each boot, whether its start and end can be compared with other boots'.
pub(crate) fn trusted(boots: &[Boot]) -> Vec<bool> {
    // For each boot, the best chain that starts with it: how many boots, how long they ran, which one is next.
    let mut best: Vec<Option<(usize, Duration, usize)>> = vec![None; boots.len()];
    for at in (0..boots.len()).rev().filter(|at| plausible(&boots[*at])) {
        let follows = |next: &usize| starts_after(&boots[*next], &boots[at]);
        let rest = (at + 1..boots.len())
            .filter(follows)
            .filter_map(|next| best[next].map(|(count, lasted, _)| (count, lasted, next)))
            .max();
        let (count, lasted, next) = rest.unwrap_or((0, Duration::ZERO, boots.len()));
        best[at] = Some((count + 1, lasted.saturating_add(boots[at].uptime), next));
    }
    let mut trusted = vec![false; boots.len()];
    let first = (0..boots.len()).filter_map(|at| best[at].map(|(count, lasted, _)| (count, lasted, at))).max();
    let mut at = first.map_or(boots.len(), |(_, _, at)| at);
    while let Some((_, _, next)) = best.get(at).copied().flatten() {
        trusted[at] = true;
        at = next;
    }
    trusted
}

/// How long a boot lasted; unknown when only a journal knows it, whose clock was set meanwhile.
pub(crate) fn duration(boot: &Boot) -> Option<Duration> {
    (boot.source == Source::Own || plausible(boot)).then_some(boot.uptime)
}

fn plausible(boot: &Boot) -> bool {
    let stepped = boot.source == Source::Journal && boot.clock_steps > 0;
    boot.start.as_second() >= FLOOR && boot.end() < Timestamp::MAX && !stepped
}

fn starts_after(later: &Boot, earlier: &Boot) -> bool {
    later.start.duration_since(earlier.end()) >= -TOLERANCE
}
