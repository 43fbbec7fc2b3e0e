//! Asks QEMU's monitor (QMP, `docs/interop/qmp-spec.rst` in QEMU), and can do nothing but ask.
//!
//! The commands are a closed type, [`Query`], of which every one begins with `query-` or `x-query-`: what changes a
//! machine, or drains its I/O as `stop` does and so can hang a sick one's main loop, can't be expressed.
//!
//! A monitor serves one client at a time, so [`poll()`] connects, asks everything in one go, reads the answers and
//! leaves; it is never on a socket longer than its deadline. What QEMU says is bounded in length and number, and
//! everything it may not say (old versions, devices without a field) is optional. Nothing here logs or counts.
//!
//! | module | what it does |
//! |---|---|
//! | [`query`] | the commands, to bytes |
//! | [`message`] | a line from QEMU to a message |
//! | [`reply`] | a message's content to values |
//! | [`outcome`] | what a visit has brought |
//! | [`conversation`] | a whole visit without I/O: bytes in, bytes and values out |
//! | [`poll`](mod@poll) | the same over a socket |

mod lenient;
mod lines;
mod memory;

pub mod conversation;
pub mod message;
pub mod outcome;
pub mod poll;
pub mod query;
pub mod reply;
#[cfg(feature = "synthetic")]
pub mod synthetic;

pub use conversation::Conversation;
pub use lines::Limits;
pub use memory::Memory;
pub use outcome::{CommandError, Poll, State};
pub use poll::{poll, poll_all};
pub use query::Query;
pub use reply::{Block, BlockStats, Greeting, Inserted, Iothread, QueueStatus, Stats, Status, Version, VirtioDevice};
