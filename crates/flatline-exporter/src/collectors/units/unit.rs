//! What is known of a unit, apart from how it was asked.

use std::time::Duration;

/// What a unit does (`ActiveState`, org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Reloading,
    Inactive,
    Failed,
    Activating,
    Deactivating,
    Maintenance,
    Refreshing,
}

impl State {
    pub(super) const ALL: [Self; 8] = [
        Self::Active,
        Self::Reloading,
        Self::Inactive,
        Self::Failed,
        Self::Activating,
        Self::Deactivating,
        Self::Maintenance,
        Self::Refreshing,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Maintenance => "maintenance",
            Self::Refreshing => "refreshing",
        }
    }

    /// systemd's word; `None` for one that is new.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == word)
    }
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) load_state: String,
    pub(super) state: Option<State>,
    pub(super) sub_state: String,
    /// A service's `Result`.
    pub(super) result: Option<String>,
    /// A service's `NRestarts`.
    pub(super) restarts: Option<u32>,
    pub(super) timer: Option<Timer>,
}

/// What only timers have, as times since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) last_trigger: Option<Duration>,
    pub(super) due: Option<Duration>,
    /// Whether it has another turn after this one, for which it waits until what it started has ended.
    pub(super) recurs: bool,
}

/// A timer's properties as systemd has them, in microseconds; 0 and the largest number mean never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TimerProperties {
    pub(super) last_trigger: u64,
    pub(super) next_realtime: u64,
    /// By the clock that begins at boot and stands still in sleep.
    pub(super) next_monotonic: u64,
    pub(super) accuracy: u64,
    /// Whether it is to trigger more than once: by a calendar, or a while after its unit.
    pub(super) recurs: bool,
}

impl TimerProperties {
    /// `now` is the time since 1970 and that of the clock that begins at boot, read together.
    pub(super) fn at(self, (realtime, monotonic): (Duration, Duration)) -> Timer {
        let time = |micros: u64| (micros != 0 && micros != u64::MAX).then(|| Duration::from_micros(micros));
        let by_monotonic = time(self.next_monotonic).and_then(|next| (realtime + next).checked_sub(monotonic));
        // Whichever comes first.
        let next = [time(self.next_realtime), by_monotonic].into_iter().flatten().min();
        let accuracy = time(self.accuracy).unwrap_or_default();
        Timer {
            last_trigger: time(self.last_trigger),
            due: next.and_then(|next| next.checked_add(accuracy)),
            recurs: self.recurs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: (Duration, Duration) = (Duration::from_secs(1_700_000_000), Duration::from_secs(1_000));

    fn seconds(count: u64) -> u64 {
        count * 1_000_000
    }

    #[test]
    fn a_timer_is_due_at_its_next_time_and_its_accuracy() {
        let daily = TimerProperties {
            last_trigger: seconds(1_699_990_000),
            next_realtime: seconds(1_700_010_000),
            next_monotonic: 0,
            accuracy: seconds(60),
            recurs: true,
        };
        let timer = daily.at(NOW);
        assert!(timer.recurs);
        assert_eq!(timer.last_trigger, Some(Duration::from_secs(1_699_990_000)));
        assert_eq!(timer.due, Some(Duration::from_secs(1_700_010_060)));
    }

    #[test]
    fn times_since_boot_become_times_of_day_and_the_first_counts() {
        let both = TimerProperties {
            next_realtime: seconds(1_700_010_000),
            next_monotonic: seconds(1_500),
            ..TimerProperties::default()
        };
        assert_eq!(both.at(NOW).due, Some(Duration::from_secs(1_700_000_500)));
        let late = TimerProperties { next_monotonic: seconds(400), ..TimerProperties::default() };
        assert_eq!(late.at(NOW).due, Some(Duration::from_secs(1_699_999_400)), "it should have been ten minutes ago");
    }

    #[test]
    fn never_is_not_a_time() {
        assert_eq!(TimerProperties::default().at(NOW), Timer::default());
        let never = TimerProperties::default();
        let never = TimerProperties { next_realtime: u64::MAX, next_monotonic: u64::MAX, accuracy: u64::MAX, ..never };
        assert_eq!(never.at(NOW), Timer::default());
        let far = TimerProperties { next_monotonic: u64::MAX - 1, ..TimerProperties::default() };
        assert!(far.at(NOW).due.is_some());
    }

    #[test]
    fn states_are_systemds_words() {
        assert_eq!(State::parse("failed"), Some(State::Failed));
        assert_eq!(State::parse("sleeping"), None);
    }
}
