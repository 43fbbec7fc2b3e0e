//! What the exporter, or the shutdown unit, says last: so that a silence afterwards is no crash.

use crate::boot::{Boot, BootId, Ending};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A shutdown may take so long: longer signs of life mean that it did not happen.
const SHUTDOWN: Duration = Duration::from_secs(300);
/// Reasons are a few words.
const REASON_CHARS: usize = 120;

/// Who leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// The whole system: the boot ends cleanly.
    System,
    /// The exporter alone, for a restart or for good: nobody watches how the boot ends.
    Exporter,
}

/// A last word in a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// In which boot.
    pub boot: BootId,
    /// When.
    pub at: Moment,
    /// Who leaves.
    pub leaving: Leaving,
    /// How that is known, in words.
    pub reason: String,
}

impl Farewell {
    /// A last word; of the reason, the first 120 characters are kept.
    #[must_use]
    pub fn new(boot: BootId, at: Moment, leaving: Leaving, reason: &str) -> Self {
        Self { boot, at, leaving, reason: reason.chars().take(REASON_CHARS).collect() }
    }

    /// Whether it still holds for `boot`: its signs of life ceased soon after.
    pub(crate) fn holds_for(&self, boot: &Boot) -> bool {
        let patience = match self.leaving {
            Leaving::System => SHUTDOWN,
            Leaving::Exporter => Duration::ZERO,
        };
        boot.boot == self.boot && boot.uptime <= self.at.boottime.saturating_add(patience)
    }

    /// Whether it says more than `later`: the exporter, stopped by a shutdown, may not know that it is one.
    pub(crate) fn outranks(&self, later: &Self) -> bool {
        let expires = self.at.boottime.saturating_add(SHUTDOWN);
        self.boot == later.boot
            && (self.leaving, later.leaving) == (Leaving::System, Leaving::Exporter)
            && later.at.boottime <= expires
    }

    /// What it says about how the boot ended.
    pub(crate) const fn ending(&self) -> Ending {
        match self.leaving {
            Leaving::System => Ending::Clean,
            Leaving::Exporter => Ending::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn said(leaving: Leaving, seconds: u64) -> Farewell {
        let at = Moment { wall: Timestamp::UNIX_EPOCH, boottime: Duration::from_secs(seconds) };
        Farewell::new(BootId(1), at, leaving, "a test")
    }

    #[test]
    fn the_shutdown_unit_is_not_contradicted_by_the_exporter_it_stops() {
        let unit = said(Leaving::System, 100);
        assert!(unit.outranks(&said(Leaving::Exporter, 190)));
        assert!(!unit.outranks(&said(Leaving::Exporter, 1000)), "that shutdown was called off");
        assert!(!unit.outranks(&said(Leaving::System, 190)));
        assert!(!said(Leaving::Exporter, 100).outranks(&unit));
    }

    #[test]
    fn a_reason_is_bounded() {
        let moment = Moment { wall: Timestamp::UNIX_EPOCH, boottime: Duration::ZERO };
        let farewell = Farewell::new(BootId(1), moment, Leaving::System, &"ä".repeat(5000));
        assert_eq!(farewell.reason.chars().count(), 120);
    }
}
