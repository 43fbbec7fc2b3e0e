//! The two clocks a heartbeat needs, read together.
//!
//! The wall clock can be wrong by years and jump at any time: a dead battery clock, NTP that comes late, a hand at
//! `date -s`. `CLOCK_BOOTTIME` counts since the boot, through suspend, and never jumps. So durations always come from
//! the boot clock, and the start of a boot is what the wall clock says *now* less the time since the boot: both clocks
//! are slewed alike, so that difference moves only when somebody sets the wall clock.
//!
//! A clock that is ahead from the boot on can't be told from a host that was off for so long, until somebody sets it:
//! then the start moves back. One that is behind contradicts the boot before and is not believed (`chronology`).
//!
//! A paused or restored virtual machine looks like a clock set forward: its start then moves forward by the pause, its
//! duration is the time it ran, and the end, which the crash windows are about, stays right.

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A boot's start is moved only when the wall clock was set by more than this; less is the time between two readings.
pub(crate) const STEP: SignedDuration = SignedDuration::from_secs(1);

/// Both clocks at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What the wall clock says.
    pub wall: Timestamp,
    /// Time since the boot, suspend included (`CLOCK_BOOTTIME`).
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub boottime: Duration,
}

impl Moment {
    /// Reads both clocks. Touches no file.
    #[must_use]
    pub fn now() -> Self {
        let boottime = since_zero(clock_gettime(ClockId::Boottime));
        let wall = clock_gettime(ClockId::Realtime);
        let nanoseconds = i32::try_from(wall.tv_nsec).unwrap_or(0);
        Self { wall: Timestamp::new(wall.tv_sec, nanoseconds).unwrap_or(Timestamp::MAX), boottime }
    }

    /// When the boot began, as far as the wall clock is right now.
    #[must_use]
    pub fn boot_start(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.boottime).unwrap_or(SignedDuration::MAX);
        self.wall.checked_sub(since).unwrap_or(Timestamp::MIN)
    }
}

fn since_zero(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// `start` plus `uptime`, within what a timestamp can hold.
pub(crate) fn after(start: Timestamp, uptime: Duration) -> Timestamp {
    let uptime = SignedDuration::try_from(uptime).unwrap_or(SignedDuration::MAX);
    start.checked_add(uptime).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn now_agrees_with_the_kernel() {
        let stat = std::fs::read_to_string("/proc/stat").expect("every Linux has it");
        let btime = stat.lines().find_map(|line| line.strip_prefix("btime ")).expect("a boot time");
        let btime: i64 = btime.parse().expect("seconds");
        let mine = Moment::now().boot_start().as_second();
        assert!((mine - btime).abs() <= 2, "{mine} against {btime}");
    }

    proptest! {
        #[test]
        fn start_and_end_are_inverse(wall in -4_000_000_000_i64..16_000_000_000, up in 0_u64..3_000_000_000) {
            let wall = Timestamp::from_second(wall).expect("in range");
            let moment = Moment { wall, boottime: Duration::from_secs(up) };
            prop_assert_eq!(after(moment.boot_start(), moment.boottime), wall);
        }

        #[test]
        fn survives_any_uptime(seconds in any::<u64>()) {
            let moment = Moment { wall: Timestamp::UNIX_EPOCH, boottime: Duration::from_secs(seconds) };
            prop_assert!(moment.boot_start() <= moment.wall);
            prop_assert!(after(moment.wall, moment.boottime) >= moment.wall);
        }
    }
}
