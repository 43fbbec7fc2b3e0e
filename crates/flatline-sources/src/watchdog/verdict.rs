//! Whether a watchdog protects the host: pure functions.

use super::{Device, Owner};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Timeouts that make a watchdog: 0 is none, and one of more than an hour leaves a dead host dead for an hour.
pub const SANE_TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=3600;

/// What is known of the time left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLeft {
    /// The driver can't tell.
    Untold,
    /// It moves, or nothing says that it does not.
    Moving,
    /// It stands still or shows what it can't show: this device counts nothing down.
    Frozen,
}

/// Whether a hang of this host would end in a reset: the device is active, a process holds it, its timeout is
/// within [`SANE_TIMEOUT_SECONDS`], and its time left is not frozen. `None` when the state or the timeout could not
/// be read, or the owner can't be seen, unless another condition already fails.
#[must_use]
pub fn protecting(device: &Device, time_left: TimeLeft) -> Option<bool> {
    let owned = match device.owner {
        Owner::Held { .. } => Some(true),
        Owner::Nobody => Some(false),
        Owner::Unknown => None,
    };
    let sane = device.timeout_seconds.map(|timeout| SANE_TIMEOUT_SECONDS.contains(&timeout));
    let conditions = [device.active, sane, Some(time_left != TimeLeft::Frozen), owned];
    if conditions.contains(&Some(false)) {
        return Some(false);
    }
    (!conditions.contains(&None)).then_some(true)
}

/// How the time left of one device has moved from read to read.
///
/// Between two reads the owner may have refilled it, so almost any two values can be honest. Frozen is only what
/// can't be: more left than the timeout, or the same value again and again, over ten minutes and four timeouts,
/// at reads that did not come at one fixed interval (at a fixed one the refills may keep step with the reads), and
/// not within two seconds of a full timeout (an owner that refills every second keeps it there).
#[derive(Debug, Clone, Copy, Default)]
pub struct Countdown {
    same: Option<Same>,
}

#[derive(Debug, Clone, Copy)]
struct Same {
    value: u64,
    since: Instant,
    last: Instant,
    shortest: Duration,
    longest: Duration,
    reads: u32,
}

impl Countdown {
    const SHORTEST_WATCH: Duration = Duration::from_secs(600);
    const LEAST_READS: u32 = 10;
    const IRREGULAR: Duration = Duration::from_secs(2);

    /// Takes in one read of the device.
    pub fn observe(&mut self, now: Instant, device: &Device) -> TimeLeft {
        let (Some(left), Some(timeout)) = (device.timeleft_seconds, device.timeout_seconds) else {
            self.same = None;
            return TimeLeft::Untold;
        };
        if device.active != Some(true) {
            self.same = None;
            return TimeLeft::Moving;
        }
        self.take(now, left);
        if left > timeout.saturating_add(1) || self.stands_still(left, timeout) {
            TimeLeft::Frozen
        } else {
            TimeLeft::Moving
        }
    }

    fn take(&mut self, now: Instant, left: u64) {
        match &mut self.same {
            Some(same) if same.value == left => {
                let interval = now.saturating_duration_since(same.last);
                same.shortest = same.shortest.min(interval);
                same.longest = same.longest.max(interval);
                same.last = now;
                same.reads = same.reads.saturating_add(1);
            }
            same => {
                let (shortest, longest) = (Duration::MAX, Duration::ZERO);
                *same = Some(Same { value: left, since: now, last: now, shortest, longest, reads: 1 });
            }
        }
    }

    fn stands_still(&self, left: u64, timeout: u64) -> bool {
        let Some(same) = &self.same else { return false };
        let watched = same.last.saturating_duration_since(same.since);
        left.saturating_add(2) < timeout
            && same.reads >= Self::LEAST_READS
            && watched >= Self::SHORTEST_WATCH.max(Duration::from_secs(timeout.saturating_mul(4)))
            && same.longest.saturating_sub(same.shortest) >= Self::IRREGULAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(timeleft: Option<u64>) -> Device {
        Device {
            active: Some(true),
            timeout_seconds: Some(30),
            timeleft_seconds: timeleft,
            owner: Owner::Held { pid: 1, comm: "systemd".into() },
            ..Device::default()
        }
    }

    #[test]
    fn all_four_conditions_count() {
        assert_eq!(protecting(&armed(None), TimeLeft::Untold), Some(true));
        assert_eq!(protecting(&armed(Some(3)), TimeLeft::Frozen), Some(false));
        let with = |change: fn(&mut Device)| {
            let mut device = armed(None);
            change(&mut device);
            protecting(&device, TimeLeft::Untold)
        };
        assert_eq!(with(|device| device.active = Some(false)), Some(false));
        assert_eq!(with(|device| device.owner = Owner::Nobody), Some(false));
        assert_eq!(with(|device| device.timeout_seconds = Some(0)), Some(false));
        assert_eq!(with(|device| device.timeout_seconds = Some(3601)), Some(false));
    }

    #[test]
    fn unknown_is_not_no_unless_it_does_not_matter() {
        let mut device = armed(None);
        device.owner = Owner::Unknown;
        assert_eq!(protecting(&device, TimeLeft::Untold), None);
        device.active = Some(false);
        assert_eq!(protecting(&device, TimeLeft::Untold), Some(false));
        device.active = None;
        assert_eq!(protecting(&device, TimeLeft::Untold), None);
    }

    fn watch(lefts: impl Iterator<Item = u64>, intervals: &[u64]) -> TimeLeft {
        let (mut now, mut countdown, mut last) = (Instant::now(), Countdown::default(), TimeLeft::Untold);
        for (left, interval) in lefts.zip(intervals.iter().cycle()) {
            last = countdown.observe(now, &armed(Some(left)));
            now += Duration::from_secs(*interval);
        }
        last
    }

    #[test]
    fn a_constant_over_irregular_reads_is_frozen() {
        assert_eq!(watch(std::iter::repeat_n(12, 60), &[15, 18]), TimeLeft::Frozen);
        assert_eq!(watch(std::iter::repeat_n(12, 30), &[15, 18]), TimeLeft::Moving, "not watched long enough");
    }

    #[test]
    fn refills_in_step_with_the_reads_are_not() {
        assert_eq!(watch(std::iter::repeat_n(12, 500), &[15]), TimeLeft::Moving);
        assert_eq!(watch(std::iter::repeat_n(29, 500), &[15, 18]), TimeLeft::Moving, "refilled every second");
        assert_eq!(watch((0..500).map(|n| 12 + n % 2), &[15, 18]), TimeLeft::Moving);
    }

    #[test]
    fn more_left_than_the_timeout_counts_nothing_down() {
        assert_eq!(watch(std::iter::once(65_535), &[15]), TimeLeft::Frozen);
    }

    #[test]
    fn an_inactive_device_shows_whatever_it_likes() {
        let mut device = armed(Some(65_535));
        device.active = Some(false);
        assert_eq!(Countdown::default().observe(Instant::now(), &device), TimeLeft::Moving);
    }
}
