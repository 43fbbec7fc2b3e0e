//! What a visit to a monitor has brought.

use crate::lenient::cut;
use crate::reply::{Block, BlockStats, Greeting, Iothread, QueueStatus, Status, VirtioDevice};
use std::collections::BTreeMap;
use std::path::Path;

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// There is no socket.
    Absent,
    /// There is one and nobody listens: its QEMU has ended.
    Refused,
    /// We may not connect.
    PermissionDenied,
    /// Connected, and no greeting came: another client is being served, or QEMU is stopped or hangs.
    NoGreeting,
    /// A greeting came, and then not the answers: QEMU's main loop is blocked.
    NoReply,
    /// Others wait to be served already; the caller may know the same of a [`State::NoGreeting`].
    Busy,
    /// What came is not QMP, or the connection broke.
    Error,
    /// It answers.
    Up,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Absent,
        Self::Refused,
        Self::PermissionDenied,
        Self::NoGreeting,
        Self::NoReply,
        Self::Busy,
        Self::Error,
        Self::Up,
    ];

    /// The word for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::PermissionDenied => "permission_denied",
            Self::NoGreeting => "no_greeting",
            Self::NoReply => "no_reply",
            Self::Busy => "busy",
            Self::Error => "error",
            Self::Up => "up",
        }
    }
}

/// What a visit has brought. What was not answered, or not understood, is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// How it ended: up when [`crate::Query::Status`] and [`crate::Query::BlockStats`] were answered.
    pub state: State,
    /// Why it is not up, with the socket's path.
    pub error: Option<String>,
    /// The process that listens, as the kernel remembers it.
    pub peer_pid: Option<u32>,
    /// QEMU's greeting.
    pub greeting: Option<Greeting>,
    /// How long the answer to [`crate::Query::Status`] took, in seconds.
    pub reply_seconds: Option<f64>,
    /// Answer to [`crate::Query::Status`].
    pub status: Option<Status>,
    /// Answer to [`crate::Query::Name`].
    pub name: Option<String>,
    /// Answer to [`crate::Query::BlockStats`].
    pub block_stats: Option<Vec<BlockStats>>,
    /// Answer to [`crate::Query::Block`].
    pub blocks: Option<Vec<Block>>,
    /// Answer to [`crate::Query::Iothreads`].
    pub iothreads: Option<Vec<Iothread>>,
    /// Answer to [`crate::Query::Virtio`].
    pub virtio: Option<Vec<VirtioDevice>>,
    /// The request queues of each block and SCSI device all of whose queues answered, by path.
    pub queues: BTreeMap<String, Vec<QueueStatus>>,
    /// What was answered and brought no value. A command this QEMU does not know is reported once, at the visit that
    /// found out, and not sent again.
    pub failed: Vec<CommandError>,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            state: State::Error,
            error: None,
            peer_pid: None,
            greeting: None,
            reply_seconds: None,
            status: None,
            name: None,
            block_stats: None,
            blocks: None,
            iothreads: None,
            virtio: None,
            queues: BTreeMap::new(),
            failed: Vec::new(),
        }
    }
}

impl Poll {
    pub(crate) fn fail(&mut self, socket: &Path, state: State, reason: &str) {
        self.state = state;
        self.error = Some(format!("{}: {}", socket.display(), cut(reason)));
    }
}

/// Why a command brought no value, though it was answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// QEMU refused.
    #[error("{command}: {class}: {description}")]
    Refused {
        /// The command.
        command: &'static str,
        /// QEMU's class of errors (`CommandNotFound`, `GenericError`).
        class: String,
        /// QEMU's words.
        description: String,
    },
    /// The answer is of no use.
    #[error("{command}: {reason}")]
    Unreadable {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl CommandError {
    /// Whether this QEMU does not have the command.
    #[must_use]
    pub fn is_unknown_command(&self) -> bool {
        matches!(self, Self::Refused { class, .. } if class == "CommandNotFound")
    }
}
