//! Small values that outlive the process: totals, so that counters survive a restart, and the position up to which a
//! log was counted, so that no line is counted twice.

use crate::boot::BootId;
use crate::error::StateError;
use crate::held::Held;
use crate::sealed::{seal, unseal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// A snapshot is small.
const MAX_BYTES: usize = 1024 * 1024;
/// Names a [`Totals`] holds: more are refused.
pub const MAX_TOTALS: usize = 4096;
/// Of a longer name nothing is counted.
pub const MAX_NAME_BYTES: usize = 128;

/// One value of one collector, in `NAME.json` of the state directory: a checksum and JSON, on one line.
#[derive(Debug)]
pub struct Snapshot<T> {
    held: Arc<Held>,
    file: String,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Snapshot<T> {
    pub(crate) fn new(held: Arc<Held>, name: &'static str) -> Self {
        Self { held, file: format!("{name}.json"), value: PhantomData }
    }

    /// Says that it will not be stored any more: the state directory does not keep everything then.
    pub fn give_up(&self) {
        self.held.give_up(&self.file);
    }

    fn corrupt(&self, detail: String) -> StateError {
        StateError::Corrupt { path: self.held.directory.path().join(&self.file), detail }
    }
}

impl<T: Serialize + DeserializeOwned> Snapshot<T> {
    /// Reads it; `None` when it was never stored.
    ///
    /// # Errors
    /// When it can't be read, or is not what was stored: the caller starts anew then, and says so.
    pub fn load(&self) -> Result<Option<T>, StateError> {
        match self.held.directory.read(&self.file, MAX_BYTES)? {
            Some(content) => unseal(&content).map(Some).map_err(|detail| self.corrupt(detail)),
            None => Ok(None),
        }
    }

    /// Replaces it, atomically and through to the disk.
    ///
    /// # Errors
    /// When it is over 1 MiB, has no JSON form or can't be written. The old one is intact then.
    pub fn store(&self, value: &T) -> Result<(), StateError> {
        self.held.note(&self.file, self.replace(value))
    }

    fn replace(&self, value: &T) -> Result<(), StateError> {
        let mut content = Vec::new();
        seal(value, &mut content).map_err(|error| self.corrupt(error.to_string()))?;
        if content.len() > MAX_BYTES {
            return Err(StateError::TooLarge { path: self.held.directory.path().join(&self.file), limit: MAX_BYTES });
        }
        self.held.directory.replace(&self.file, &content)
    }
}

/// Up to where a log was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// In which boot: sequence numbers begin anew with each.
    pub boot: BootId,
    /// The last record that was counted.
    pub sequence: u64,
}

/// Counters by name, and how far the log behind them was read. Stored together, so that they always agree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How far; `None` before the first record.
    pub position: Option<Position>,
    counts: BTreeMap<String, u64>,
}

impl Totals {
    /// Adds to a counter; `false` when it is new and there is no room for it ([`MAX_TOTALS`], [`MAX_NAME_BYTES`]).
    pub fn add(&mut self, name: &str, count: u64) -> bool {
        if let Some(total) = self.counts.get_mut(name) {
            *total = total.saturating_add(count);
            return true;
        }
        let room = self.counts.len() < MAX_TOTALS && name.len() <= MAX_NAME_BYTES;
        if room {
            self.counts.insert(name.to_owned(), count);
        }
        room
    }

    /// A counter; `None` when nothing was ever added to it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.counts.get(name).copied()
    }

    /// Every counter, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_bounded() {
        let mut totals = Totals::default();
        for number in 0..MAX_TOTALS {
            assert!(totals.add(&format!("kind-{number}"), 1));
        }
        assert!(!totals.add("one-more", 1));
        assert!(totals.add("kind-0", u64::MAX), "known ones go on");
        assert_eq!((totals.get("kind-0"), totals.get("one-more")), (Some(u64::MAX), None));
        assert!(!Totals::default().add(&"x".repeat(MAX_NAME_BYTES + 1), 1));
    }
}
