//! The state directory: `--state.directory`, held by one exporter at a time.
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked (`flock`) while an exporter runs; holds its process id |
//! | `boots` | the ledger: a line of totals, a line per boot |
//! | `heartbeat` | two slots, written in turn, in place |
//! | `farewell` | what was said last, written in place |
//! | `NAME.json` | a collector's snapshot |
//! | `NAME.new` | a file that is being written and takes `NAME`'s place when it is complete |
//!
//! Everything here may hang with the disk: call it on a thread that nobody waits for.

use crate::boot::BootId;
use crate::error::{Problem, StateError};
use crate::farewell::Farewell;
use crate::files::{Directory, read_at_start, write_at};
use crate::heartbeat::Heartbeat;
use crate::held::Held;
use crate::ledger::{self, Ledger};
use crate::sealed::{seal, unseal};
use crate::slots;
use crate::snapshot::Snapshot;
use rustix::fs::{FlockOperation, fdatasync, flock};
use std::path::Path;
use std::sync::Arc;

const BOOTS: &str = "boots";
const HEARTBEAT: &str = "heartbeat";
const FAREWELL: &str = "farewell";
/// A farewell with the longest reason there is.
const FAREWELL_BYTES: usize = 2048;

/// What was found of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The boots, with what the heartbeats add to them.
    pub ledger: Ledger,
    /// Lines of `boots` that were skipped. The next [`StateDirectory::store_boots`] drops them.
    pub problems: Vec<Problem>,
}

/// A state directory that this process holds. Clones hold it together.
#[derive(Debug, Clone)]
pub struct StateDirectory {
    held: Arc<Held>,
}

impl StateDirectory {
    /// Takes hold of a directory, and makes it (mode 0700) if it is missing. Does not wait for another holder.
    ///
    /// # Errors
    /// When another exporter holds it, or it can't be made, opened or written.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let held = Held::take(path)?;
        // Room for the last word, while there is room.
        held.directory.preallocated(FAREWELL, FAREWELL_BYTES)?;
        Ok(Self { held: Arc::new(held) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.held.directory.path()
    }

    /// Reads the ledger; an empty one when there is none yet.
    ///
    /// # Errors
    /// When `boots` exists but can't be read at all, or something else is in its place.
    pub fn load_boots(&self) -> Result<Loaded, StateError> {
        self.held.note(BOOTS, load(&self.held.directory))
    }

    /// Writes the ledger, atomically. To be called when the set of boots has changed; heartbeats go on their own.
    ///
    /// # Errors
    /// When it can't be written; the old one is intact then.
    pub fn store_boots(&self, ledger: &Ledger) -> Result<(), StateError> {
        self.held.note(BOOTS, self.held.directory.replace(BOOTS, &ledger.to_bytes()))
    }

    /// Whether everything that was to be kept is, as far as it was tried: the ledger of boots and the snapshots. A full disk
    /// stops these and not the heartbeat, whose room is reserved. Never waits for the disk.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.held.keeps_everything()
    }

    /// The heartbeat of the running boot. Load and enter the ledger first.
    ///
    /// # Errors
    /// When the file can't be made, or there is no room for it.
    pub fn heartbeat(&self, boot: BootId) -> Result<Heartbeat, StateError> {
        let file = self.held.directory.preallocated(HEARTBEAT, slots::FILE)?;
        Heartbeat::new(Arc::clone(&self.held), file, boot, self.held.directory.error(HEARTBEAT, "read it"))
    }

    /// A small value that outlives the process, in `NAME.json`. `name` is one of this program's own.
    #[must_use]
    pub fn snapshot<T>(&self, name: &'static str) -> Snapshot<T> {
        Snapshot::new(Arc::clone(&self.held), name)
    }
}

fn load(directory: &Directory) -> Result<Loaded, StateError> {
    let content = directory.read(BOOTS, ledger::MAX_BYTES)?.unwrap_or_default();
    let (mut ledger, problems) =
        if content.is_empty() { (Ledger::default(), Vec::new()) } else { Ledger::parse(&content) };
    let heartbeat = directory.read(HEARTBEAT, slots::FILE)?.unwrap_or_default();
    ledger.apply_beats(&slots::beats(slots::parse(&heartbeat)));
    let farewell = directory.read(FAREWELL, FAREWELL_BYTES)?.unwrap_or_default();
    ledger.apply_farewell(unseal(&farewell).ok());
    Ok(Loaded { ledger, problems })
}

/// Reads the ledger of a directory that an exporter may hold, without disturbing it.
///
/// # Errors
/// When there is no such directory or the files can't be read.
pub fn read_boots(path: &Path) -> Result<Loaded, StateError> {
    load(&Directory::open(path)?)
}

/// Says the last word of this boot: the exporter on `SIGTERM`, or a shutdown unit on its own (`boots --mark-clean`).
/// Needs no lock on the directory, and no room on the disk once an exporter has run. The exporter's word that it alone
/// is leaving does not replace a shutdown unit's of the last minutes; returns whether it was written.
///
/// # Errors
/// When the file can't be written, or another process is writing it now.
pub fn say_farewell(path: &Path, farewell: &Farewell) -> Result<bool, StateError> {
    let directory = Directory::open(path)?;
    let file = directory.preallocated(FAREWELL, FAREWELL_BYTES)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(directory.error(FAREWELL, "lock it"))?;
    let content = read_at_start(&file, FAREWELL_BYTES).map_err(directory.error(FAREWELL, "read it"))?;
    if unseal::<Farewell>(&content).is_ok_and(|earlier| earlier.outranks(farewell)) {
        return Ok(false);
    }
    let mut content = Vec::with_capacity(FAREWELL_BYTES);
    seal(farewell, &mut content)
        .map_err(|error| StateError::Corrupt { path: directory.path().join(FAREWELL), detail: error.to_string() })?;
    content.resize(FAREWELL_BYTES, b' ');
    write_at(&file, &content, 0).and_then(|()| fdatasync(&file)).map_err(directory.error(FAREWELL, "write it"))?;
    Ok(true)
}
