//! One error for the whole lab, written for the person who reads a failed test.

use std::path::PathBuf;
use std::time::Duration;

/// What the lab returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the lab could not do what it was asked.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program of the host is not there.
    #[error("`{tool}` is not installed: install Debian's package `{package}` (scripts/install-test-deps.sh does)")]
    MissingTool {
        /// The program looked for.
        tool: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A file could not be read, written, made or found.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program that should have succeeded failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A guest did not come up.
    #[error("the guest did not boot: {reason}\n--- end of its console and of QEMU's messages:\n{console}")]
    Boot {
        /// Why it is given up.
        reason: String,
        /// The end of the console.
        console: String,
    },
    /// Something awaited did not happen in time.
    #[error("{what}: not within {deadline:?}{}", if seen.is_empty() { String::new() } else { format!("; seen:\n{seen}") })]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long.
        deadline: Duration,
        /// What was there instead.
        seen: String,
    },
    /// A peer (QMP, agent, HTTP API) refused or answered something that makes no sense.
    #[error("{peer}: {message}")]
    Peer {
        /// Who.
        peer: String,
        /// What is wrong.
        message: String,
    },
}

/// Tests print errors by `unwrap`: readable there, too.
impl std::fmt::Debug for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl Error {
    /// Attaches the path to an I/O error: `.map_err(Error::file(path))`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }

    /// Names the peer of a failed conversation: `.map_err(Error::peer("QMP"))`.
    pub(crate) fn peer<E: std::fmt::Display>(peer: impl Into<String>) -> impl FnOnce(E) -> Self {
        let peer = peer.into();
        move |error| Self::Peer { peer, message: error.to_string() }
    }
}
