//! Totals and positions that outlive the process. The disk may hang, so nobody waits for it for long.

use crate::errands::Errands;
use flatline_ledger::{Snapshot, StateDirectory, StateError};
use flatline_sources::{Roots, SourceError, read};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the start waits for a slow disk.
const LOAD_PATIENCE: Duration = Duration::from_secs(1);
const SAVE_EVERY: Duration = Duration::from_secs(15);

/// A value in the state directory; nowhere when there is none.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    snapshot: Option<Arc<Snapshot<T>>>,
    /// What is in the file comes back, if it is.
    errands: Errands<&'static str, Result<Option<T>, StateError>>,
    saved: T,
    looked: Option<Instant>,
    failing: bool,
}

/// The kernel's random name for this boot: what was kept about another one may not hold any more.
///
/// # Errors
/// When `/proc/sys/kernel/random/boot_id` can't be read.
pub(crate) fn boot_id(roots: &Roots) -> Result<String, SourceError> {
    let mut content = Vec::new();
    read::read_bounded(&roots.procfs.join("sys/kernel/random/boot_id"), read::SMALL_FILE, &mut content)?;
    Ok(String::from_utf8_lossy(content.trim_ascii()).into_owned())
}

impl<T> Kept<T>
where
    T: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new(state: Option<&StateDirectory>, name: &'static str) -> Self {
        let snapshot = state.map(|state| Arc::new(state.snapshot(name)));
        Self { snapshot, errands: Errands::new("fl-kept"), saved: T::default(), looked: None, failing: false }
    }

    /// What was kept; a new value when there is nothing, or it is spoiled, which is said.
    pub(crate) fn load(&mut self) -> T {
        let Some(snapshot) = self.snapshot.clone() else { return T::default() };
        let asked = Arc::clone(&snapshot);
        let mut loaded = self.errands.run([("load", move || asked.load())], LOAD_PATIENCE);
        match loaded.pop() {
            Some((_, Ok(value))) => self.saved = value.unwrap_or_default(),
            Some((_, Err(error))) => tracing::warn!(%error, "what was counted before is lost; counting begins anew"),
            None => {
                // What is there must not be overwritten with less.
                tracing::warn!("the state directory does not answer; totals are not kept over restarts");
                snapshot.give_up();
                self.snapshot = None;
            }
        }
        self.saved.clone()
    }

    /// Whether it is time to save again.
    pub(crate) fn is_due(&self) -> bool {
        self.snapshot.is_some() && self.looked.is_none_or(|looked| looked.elapsed() >= SAVE_EVERY)
    }

    /// Saves the value if it is not what is in the file, on a thread that nobody waits for. While an earlier one is
    /// still being written, what is newer goes with a later call; so does one that could not be written.
    pub(crate) fn save(&mut self, value: T) {
        self.looked = Some(Instant::now());
        let settled = self.errands.settled();
        self.note(settled);
        let changed = self.snapshot.clone().filter(|_| value != self.saved && self.errands.out() == 0);
        if let Some(snapshot) = changed {
            let save = move || snapshot.store(&value).map(|()| Some(value));
            let outcomes = self.errands.run([("save", save)], Duration::ZERO);
            self.note(outcomes);
        }
    }

    fn note(&mut self, outcomes: Vec<(&'static str, Result<Option<T>, StateError>)>) {
        for (_, outcome) in outcomes {
            let failed = outcome.is_err();
            match outcome {
                Ok(stored) => self.saved = stored.unwrap_or_default(),
                Err(error) if !self.failing => tracing::warn!(%error, "totals are not kept over restarts"),
                Err(_) => {}
            }
            self.failing = failed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use flatline_ledger::StateDirectory;

    fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !condition() {
            assert!(std::time::Instant::now() < deadline, "never: {what}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn the_newest_value_is_there_after_a_restart() {
        let directory = tempfile::tempdir().expect("directory");
        let state = StateDirectory::open(directory.path()).expect("state");
        let mut kept = Kept::<u64>::new(Some(&state), "test");
        assert_eq!(kept.load(), 0);
        assert!(kept.is_due());
        for value in 1..=100 {
            kept.save(value);
        }
        assert!(!kept.is_due());
        // Values that came while one was being written are not forgotten.
        eventually("the newest is saved", || {
            kept.save(100);
            Kept::<u64>::new(Some(&state), "test").load() == 100
        });
    }

    #[test]
    fn without_a_state_directory_nothing_is_kept_and_nothing_fails() {
        let mut kept = Kept::<u64>::new(None, "test");
        assert_eq!(kept.load(), 0);
        assert!(!kept.is_due());
        kept.save(7);
    }

    #[test]
    fn what_could_not_be_written_is_tried_again_though_it_has_not_changed() {
        let directory = tempfile::tempdir().expect("directory");
        let state = StateDirectory::open(directory.path()).expect("state");
        let mut kept = Kept::<u64>::new(Some(&state), "test");
        assert_eq!(kept.load(), 0);
        // No file takes the place of a directory, not even root's.
        let place = directory.path().join("test.json");
        std::fs::create_dir(&place).expect("directory");
        eventually("it is refused", || {
            kept.save(7);
            kept.failing
        });
        assert!(!state.keeps_everything());
        std::fs::remove_dir(&place).expect("empty");
        eventually("it is saved", || {
            kept.save(7);
            Kept::<u64>::new(Some(&state), "test").load() == 7
        });
        eventually("and that is known", || {
            kept.save(7);
            !kept.failing
        });
        assert!(state.keeps_everything());
    }

    #[test]
    fn a_spoiled_value_begins_anew_and_is_replaced() {
        let directory = tempfile::tempdir().expect("directory");
        let state = StateDirectory::open(directory.path()).expect("state");
        std::fs::write(directory.path().join("test.json"), "no such thing").expect("write");
        let mut kept = Kept::<u64>::new(Some(&state), "test");
        assert_eq!(kept.load(), 0);
        kept.save(5);
        eventually("replaced", || Kept::<u64>::new(Some(&state), "test").load() == 5);
    }
}
