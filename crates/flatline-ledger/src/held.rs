//! The lock on the state directory.

use crate::error::StateError;
use crate::files::{Directory, read_at_start, write_at};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const LOCK: &str = "lock";
/// A process id and a line feed.
const LOCK_BYTES: usize = 16;

/// The directory is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) directory: Directory,
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
        Ok(Self { directory, _lock: lock })
    }
}

fn holder(lock: &OwnedFd) -> Option<u32> {
    let content = read_at_start(lock, LOCK_BYTES).ok()?;
    std::str::from_utf8(&content).ok()?.trim().parse().ok()
}
