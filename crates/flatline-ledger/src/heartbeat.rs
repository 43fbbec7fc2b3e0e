//! The heartbeat: the last moment this boot is known to have lived, and the canary of the disk under it.

use crate::boot::BootId;
use crate::error::StateError;
use crate::files::{read_at_start, write_at};
use crate::held::Held;
use crate::moment::Moment;
use crate::slots::{self, Beat, Slot};
use rustix::fd::OwnedFd;
use rustix::fs::fdatasync;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Writes heartbeats to a file that is held open and never grows. On a thread of its own: a beat takes as long as the
/// disk does, for ever if it must.
#[derive(Debug)]
pub struct Heartbeat {
    held: Arc<Held>,
    file: OwnedFd,
    boot: BootId,
    sequence: u64,
    /// The slot to write next: not the one with the newest heartbeat.
    slot: usize,
    previous: Option<Beat>,
}

impl Heartbeat {
    pub(crate) fn new(
        held: Arc<Held>,
        file: OwnedFd,
        boot: BootId,
        error: impl FnOnce(Errno) -> StateError,
    ) -> Result<Self, StateError> {
        let slots = slots::parse(&read_at_start(&file, slots::FILE).map_err(error)?);
        let sequence = slots.iter().flatten().map(|slot| slot.sequence).max().unwrap_or(0);
        let newest = slots.iter().position(|slot| slot.is_some_and(|slot| slot.sequence == sequence));
        let previous = slots::beats(slots).into_iter().rfind(|beat| beat.boot != boot);
        Ok(Self { held, file, boot, sequence, slot: newest.map_or(0, |newest| 1 - newest), previous })
    }

    /// Writes one heartbeat through to the disk and returns how long that took.
    ///
    /// # Errors
    /// When the disk refuses. The next beat writes the same slot, so that the last good one is kept.
    pub fn beat(&mut self, now: Moment) -> Result<Duration, StateError> {
        let path = || self.held.directory.path().join("heartbeat");
        let slot = Slot {
            sequence: self.sequence.saturating_add(1),
            beat: Beat { boot: self.boot, at: now },
            previous: self.previous,
        };
        let bytes = slot.to_bytes().ok_or_else(|| StateError::TooLarge { path: path(), limit: slots::LENGTH })?;
        let started = Instant::now();
        write_at(&self.file, &bytes, (self.slot * slots::PITCH) as u64)
            .and_then(|()| fdatasync(&self.file))
            .map_err(|errno| StateError::Os { path: path(), action: "write it", errno })?;
        self.sequence = slot.sequence;
        self.slot = 1 - self.slot;
        Ok(started.elapsed())
    }
}
