//! Errors of the state directory, and lines of a list that make no sense: the file, what was tried, what the kernel said and what to do about it.

use rustix::io::Errno;
use std::path::PathBuf;

/// Why the state directory, or a file in it, can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The kernel refused.
    #[error("{}: cannot {action}: {}{}", path.display(), std::io::Error::from(*errno), remedy(*errno))]
    Os {
        /// The directory or file.
        path: PathBuf,
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// Another process works in this directory.
    #[error("{}: in use by another exporter{}; give each its own --state.directory", path.display(), named(*holder))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it said who it is.
        holder: Option<u32>,
    },
    /// There is a FIFO, a device or a directory where a file belongs.
    #[error("{}: not a regular file; remove it", path.display())]
    NotAFile {
        /// What is there instead of the file.
        path: PathBuf,
    },
    /// It holds, or would hold, more than the bound for such a file.
    #[error("{}: more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bound.
        limit: usize,
    },
    /// The content is not what was written.
    #[error("{}: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// A line that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub detail: String,
}

fn named(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

const fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::ACCESS | Errno::PERM => "; the directory must belong to the exporter's user",
        Errno::ROFS => "; name a writable one with --state.directory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_path_attempt_reason_and_remedy() {
        let error = StateError::Os { path: "/state/boots".into(), action: "write it", errno: Errno::ROFS };
        assert_eq!(
            error.to_string(),
            "/state/boots: cannot write it: Read-only file system (os error 30); name a writable one with \
             --state.directory"
        );
        let error = StateError::InUse { path: "/state".into(), holder: Some(7) };
        assert_eq!(
            error.to_string(),
            "/state: in use by another exporter (process 7); give each its own --state.directory"
        );
    }
}
