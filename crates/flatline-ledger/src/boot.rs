//! One boot: which, when, on what, and how it ended.

use crate::moment::{Moment, STEP, after};
use flatline_sources::read::{SMALL_FILE, STATISTICS_FILE, read_bounded};
use flatline_sources::{Roots, SourceError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Boots that are kept; the oldest are forgotten, but stay in the totals.
pub const MAX_BOOTS: usize = 1000;

/// The kernel's random name for a boot (`/proc/sys/kernel/random/boot_id`): 128 bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BootId(pub u128);

/// Text that is not a boot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits")]
pub struct NotABootId;

impl FromStr for BootId {
    type Err = NotABootId;

    /// Accepts the kernel's form with hyphens and the journal's without.
    fn from_str(text: &str) -> Result<Self, NotABootId> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotABootId);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_| NotABootId)
    }
}

impl TryFrom<String> for BootId {
    type Error = NotABootId;

    fn try_from(text: String) -> Result<Self, NotABootId> {
        text.parse()
    }
}

impl From<BootId> for String {
    fn from(id: BootId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the running kernel says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The boot.
    pub boot: BootId,
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// A digest of the kernel's command line, to see that it changed without keeping what is in it.
    pub command_line: String,
}

impl Identity {
    /// Reads `boot_id` and `osrelease` below `/proc/sys/kernel`, and `/proc/cmdline`.
    ///
    /// # Errors
    /// When one of them can't be read, is far larger than it should be, or the id is none.
    pub fn read(roots: &Roots) -> Result<Self, SourceError> {
        let mut content = Vec::new();
        let path = roots.procfs.join("sys/kernel/random/boot_id");
        read_bounded(&path, SMALL_FILE, &mut content)?;
        let boot = String::from_utf8_lossy(&content).trim().parse();
        let boot = boot.map_err(|error: NotABootId| SourceError::invalid(&path, error.to_string()))?;
        read_bounded(&roots.procfs.join("sys/kernel/osrelease"), SMALL_FILE, &mut content)?;
        let kernel = String::from_utf8_lossy(&content).trim().to_owned();
        read_bounded(&roots.procfs.join("cmdline"), STATISTICS_FILE, &mut content)?;
        Ok(Self { boot, kernel, command_line: digest(&content) })
    }
}

/// CRC-32: nobody gains by forging it, and 32 bits tell a changed command line from the same one.
fn digest(command_line: &[u8]) -> String {
    format!("crc32:{:08x}", crc32fast::hash(command_line.trim_ascii_end()))
}

/// Where a boot is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The exporter ran in it.
    Own,
    /// The journal has entries of it.
    Journal,
}

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It has not.
    Running,
    /// The system was being shut down.
    Clean,
    /// The heartbeats ceased and nobody said why: a crash, a hang, a power cut.
    Unclean,
    /// Nobody watched: known from the journal only, or the exporter had been stopped before.
    Unknown,
}

/// One boot of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Which.
    pub boot: BootId,
    /// Where it is known from.
    pub source: Source,
    /// How it ended.
    pub ended: Ending,
    /// Why it is held for ended so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began, by the wall clock as it was last known in this boot; from the journal, its first entry.
    pub start: Timestamp,
    /// From the start to the last sign of life: heartbeat or journal entry.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub uptime: Duration,
    /// When the exporter first ran in it; absent for boots from the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// The kernel's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The digest of the kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// How often the wall clock was set by more than a second, as far as that was seen.
    #[serde(default)]
    pub clock_steps: u32,
}

impl Boot {
    /// The last sign of life.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        after(self.start, self.uptime)
    }

    /// A later sign of life: the uptime grows, and the start moves when the wall clock was set meanwhile.
    pub(crate) fn alive_at(&mut self, now: Moment) {
        if now.boottime < self.uptime {
            return;
        }
        self.uptime = now.boottime;
        if now.boot_start().duration_since(self.start).abs() > STEP {
            self.start = now.boot_start();
            self.clock_steps = self.clock_steps.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_an_id() {
        let kernel: BootId = "6fa20105-ff10-42e9-bf2e-0d2f2a5ca6b1".parse().expect("the kernel's form");
        assert_eq!("6fa20105ff1042e9bf2e0d2f2a5ca6b1".parse(), Ok(kernel));
        assert_eq!(kernel.to_string(), "6fa20105ff1042e9bf2e0d2f2a5ca6b1");
        for text in ["", "6fa2", "+fa20105ff1042e9bf2e0d2f2a5ca6b1", "6fa20105ff1042e9bf2e0d2f2a5ca6bé"] {
            assert_eq!(text.parse::<BootId>(), Err(NotABootId), "{text}");
        }
    }

    #[test]
    fn reads_the_running_kernel() {
        let identity = Identity::read(&Roots::default()).expect("this kernel");
        assert_ne!(identity.boot, BootId(0));
        assert!(identity.command_line.starts_with("crc32:"), "{identity:?}");
        assert!(!identity.kernel.is_empty());
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = Identity::read(&Roots::under("/nowhere".as_ref())).expect_err("nothing there");
        assert!(error.to_string().starts_with("/nowhere/proc/sys/kernel/random/boot_id: "), "{error}");
    }

    proptest! {
        #[test]
        fn ids_survive_a_round_trip(id in any::<u128>()) {
            prop_assert_eq!(BootId(id).to_string().parse(), Ok(BootId(id)));
        }

        #[test]
        fn survives_any_text(text in any::<String>()) {
            if let Ok(id) = text.parse::<BootId>() {
                prop_assert_eq!(id.to_string(), text.replace('-', "").to_lowercase());
            }
        }
    }
}
