//! What the process asks of the host at start-up: file descriptors, and memory that is never paged out.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// Left to sockets, logs, libraries and the like when the collectors' share is cut.
const RESERVED_FDS: u64 = 256;

/// Raises the soft limit on file descriptors to the hard one and returns how many the collectors may hold.
#[must_use]
pub fn raise_fd_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit on open files can't be raised");
        }
    }
    fd_budget(getrlimit(Resource::Nofile).current)
}

/// The collectors' share: all but the reserve, but never more than half of a small limit.
fn fd_budget(limit: Option<u64>) -> usize {
    let limit = limit.unwrap_or(u64::MAX);
    let share = limit.saturating_sub(RESERVED_FDS).max(limit / 2);
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// Locks what is mapped now (the program text above all: with a dead disk it could not be paged in again)
/// and everything mapped later as soon as it is touched, so that untouched stacks cost nothing.
///
/// Call it before any thread starts: a stack that is there already would be locked whole.
///
/// # Errors
/// Why it is not locked. Without the privilege a finite `RLIMIT_MEMLOCK` (8 MiB on most hosts) would make later
/// allocations fail, so it is not even tried then.
pub fn lock_memory() -> Result<(), String> {
    let privileged = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if !privileged && getrlimit(Resource::Memlock).current.is_some() {
        return Err("needs CAP_IPC_LOCK or LimitMEMLOCK=infinity".to_owned());
    }
    mlockall(MlockAllFlags::CURRENT)
        .and_then(|()| mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::fd_budget;

    #[test]
    fn small_limits_leave_room_for_sockets() {
        assert_eq!(fd_budget(Some(64)), 32);
        assert_eq!(fd_budget(Some(1024)), 768);
        assert_eq!(fd_budget(Some(1_048_576)), 1_048_320);
    }
}
