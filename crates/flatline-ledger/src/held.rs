//! The lock on the state directory.

use crate::error::StateError;
use crate::files::{Directory, read_at_start, write_at};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const LOCK: &str = "lock";
/// A process id and a line feed.
const LOCK_BYTES: usize = 16;

/// The directory is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) directory: Directory,
    /// Files whose newest content is not on the disk, or whose old one could not be read.
    unkept: Mutex<BTreeSet<String>>,
    _lock: OwnedFd,
}

impl Held {
    /// Makes the directory (mode 0700) if it is missing, and locks it. Does not wait for another holder.
    pub(crate) fn take(path: &Path) -> Result<Self, StateError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| StateError::Os {
            path: path.to_path_buf(),
            action: "create it",
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let directory = Directory::open(path)?;
        let lock = directory.preallocated(LOCK, LOCK_BYTES)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StateError::InUse { path: path.to_path_buf(), holder: holder(&lock) });
            }
            Err(errno) => return Err(directory.error(LOCK, "lock it")(errno)),
        }
        let pid = format!("{:<1$}\n", std::process::id(), LOCK_BYTES - 1);
        write_at(&lock, pid.as_bytes(), 0).map_err(directory.error(LOCK, "write it"))?;
        Ok(Self { directory, unkept: Mutex::default(), _lock: lock })
    }

    /// Remembers whether what belongs in this file is there; hands the outcome on.
    pub(crate) fn note<T>(&self, file: &str, outcome: Result<T, StateError>) -> Result<T, StateError> {
        if outcome.is_ok() {
            self.unkept().remove(file);
        } else {
            self.give_up(file);
        }
        outcome
    }

    /// From now on this file is not kept.
    pub(crate) fn give_up(&self, file: &str) {
        self.unkept().insert(file.to_owned());
    }

    pub(crate) fn keeps_everything(&self) -> bool {
        self.unkept().is_empty()
    }

    /// Never held while the disk is waited for.
    fn unkept(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holder(lock: &OwnedFd) -> Option<u32> {
    let content = read_at_start(lock, LOCK_BYTES).ok()?;
    std::str::from_utf8(&content).ok()?.trim().parse().ok()
}
