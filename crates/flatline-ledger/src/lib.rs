//! What outlives the process: the state directory with the ledger of boots, the heartbeat, and small totals.
//!
//! In the order a caller goes: [`StateDirectory::open`] takes hold of the directory; [`StateDirectory::load_boots`]
//! reads what is known; [`Ledger::seed`] adds what the journal knows, once; [`Ledger::enter`] closes the boots before
//! and opens this one's line; [`StateDirectory::store_boots`] writes that; and every 15 seconds a [`Heartbeat::beat`]
//! says that the host lives. On the way out, [`say_farewell`]. [`windows()`] makes crash windows of it.
//!
//! The ledger, the clocks, the windows and all parsing are pure. Whatever touches the disk may hang with it and belongs
//! on a thread of its own. No metrics, no tokio, no child processes.

mod boot;
mod captures;
mod chronology;
mod error;
mod farewell;
mod files;
mod heartbeat;
mod held;
mod journal;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod moment;
mod render;
mod sealed;
mod slots;
mod snapshot;
mod state;
mod stopping;
mod windows;

pub use boot::{Boot, BootId, Ending, Identity, MAX_BOOTS, NotABootId, Source};
pub use captures::{BadFormat, Capture, Captures, DatedBy, MAX_CAPTURES, NameTime, host_zone, read_captures};
pub use error::{Problem, StateError};
pub use farewell::{Farewell, Leaving};
pub use heartbeat::Heartbeat;
pub use jiff;
pub use journal::{JournalBoot, parse_list_boots};
pub use ledger::{BootTotals, Entered, Figures, Ledger, Previous, SHORT_BOOT};
pub use moment::Moment;
pub use render::{brief, json, table};
#[cfg(fuzzing)]
pub use sealed::fuzz_sealed;
#[cfg(fuzzing)]
pub use slots::fuzz_slots;
pub use snapshot::{MAX_NAME_BYTES, MAX_TOTALS, Position, Snapshot, Totals};
pub use state::{Loaded, StateDirectory, read_boots, say_farewell};
pub use stopping::system_is_stopping;
pub use windows::{Near, Options, Window, windows};
