//! Every boot the host is known to have had, oldest first. Pure: bytes in, ledger out, and back.
//!
//! The file `boots` holds one sealed line with the totals and one per boot. It is written whole, to a new file that
//! takes the old one's name, and only when the set of boots changes. A line that can't be read is skipped and reported;
//! the totals don't fall with it.

use crate::boot::{Boot, BootId, Ending, Identity, MAX_BOOTS, Source};
use crate::error::Problem;
use crate::farewell::Farewell;
use crate::journal::JournalBoot;
use crate::moment::Moment;
use crate::sealed::{seal, unseal};
use crate::slots::Beat;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a ledger of [`MAX_BOOTS`] boots can take, twice over.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Of a kernel's release so much is kept; the kernel itself allows 64.
const KERNEL_CHARS: usize = 128;
/// A boot that crashed sooner is a short one, unless configured otherwise. The field's short boots lasted 2m32s and 16m0s,
/// the shortest of its others 1h26m.
pub const SHORT_BOOT: Duration = Duration::from_secs(30 * 60);

/// How many boots there have been, the forgotten ones included. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTotals {
    /// Boots, the running one included.
    pub boots: u64,
    /// Boots that ended uncleanly.
    pub unclean: u64,
    /// Boots that ended sooner than a boot should, and not because they were shut down, as far as is known.
    pub short: u64,
}

impl BootTotals {
    fn add(&mut self, boots: usize, unclean: usize, short: usize) {
        self.boots = self.boots.saturating_add(boots as u64);
        self.unclean = self.unclean.saturating_add(unclean as u64);
        self.short = self.short.saturating_add(short as u64);
    }
}

/// The first line of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    totals: BootTotals,
    /// Whether the journal was asked already.
    seeded: bool,
}

/// The boots, with what the heartbeat file and the last farewell add to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    header: Header,
    boots: Vec<Boot>,
    farewell: Option<Farewell>,
    /// Boots that are in the totals and whose lines could not be read.
    unread: usize,
}

/// Whether this boot was known already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// The exporter was restarted within the boot.
    Again,
    /// The first time in this boot.
    New,
}

/// The figures behind the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Counters.
    pub totals: BootTotals,
    /// When the running boot began.
    pub start: Option<Timestamp>,
    /// The boot before.
    pub previous: Option<Previous>,
}

/// The boot before the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// When it began.
    pub start: Timestamp,
    /// Its last sign of life.
    pub end: Timestamp,
    /// Whether it ended cleanly; absent when nobody knows.
    pub clean: Option<bool>,
    /// From its end to the start of the running boot; absent when a wall clock was wrong.
    pub gap: Option<Duration>,
    /// Whether the kernel's release is another one now; absent when it was not recorded.
    pub kernel_changed: Option<bool>,
}

impl Ledger {
    /// Parses the file `boots`. Lines that can't be read are skipped and reported.
    #[must_use]
    pub fn parse(content: &[u8]) -> (Self, Vec<Problem>) {
        let mut ledger = Self::default();
        let mut problems = Vec::new();
        let lines = content.split_inclusive(|byte| *byte == b'\n').take(MAX_BOOTS + 1).zip(1..);
        for (bytes, line) in lines {
            let read = if line == 1 {
                unseal(bytes).map(|header| ledger.header = header)
            } else {
                unseal(bytes).map(|boot| ledger.add(boot))
            };
            if let Err(detail) = read {
                ledger.unread += usize::from(line > 1);
                problems.push(Problem { line, detail });
            }
        }
        ledger.raise_totals();
        (ledger, problems)
    }

    /// A later line about a boot replaces an earlier one.
    fn add(&mut self, boot: Boot) {
        self.boots.retain(|known| known.boot != boot.boot);
        self.boots.push(boot);
    }

    /// Totals that were lost with their line are at least what the boots say.
    fn raise_totals(&mut self) {
        let unclean = self.boots.iter().filter(|boot| boot.ended == Ending::Unclean).count() as u64;
        let totals = &mut self.header.totals;
        totals.boots = totals.boots.max(self.boots.len() as u64);
        totals.unclean = totals.unclean.max(unclean);
    }

    /// The content of the file `boots`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Text, numbers and times always have a JSON form.
        let _ = seal(&self.header, &mut bytes);
        for boot in &self.boots {
            let _ = seal(boot, &mut bytes);
        }
        bytes
    }

    /// Every boot that is known, oldest first.
    #[must_use]
    pub fn boots(&self) -> &[Boot] {
        &self.boots
    }

    /// How many boots there have been.
    #[must_use]
    pub const fn totals(&self) -> BootTotals {
        self.header.totals
    }

    /// Whether the journal was asked already: it is asked once, at the first start.
    #[must_use]
    pub const fn seeded(&self) -> bool {
        self.header.seeded
    }

    /// Takes over the boots of the journal that are not known yet, as older than all that are, and without the running
    /// one. Nothing the second time.
    pub fn seed(&mut self, journal: &[JournalBoot], running: BootId, short_boot: Duration) {
        if self.seeded() {
            return;
        }
        self.header.seeded = true;
        let mut boots: Vec<Boot> = Vec::new();
        for found in journal.iter().filter(|found| found.boot != running && self.find(found.boot).is_none()) {
            // Journals merged from several files can list a boot twice.
            if boots.iter().all(|boot| boot.boot != found.boot) {
                boots.push(found.to_boot());
            }
        }
        let short = boots.iter().filter(|boot| is_short(boot, short_boot)).count();
        self.header.totals.add(boots.len(), 0, short);
        boots.append(&mut self.boots);
        self.boots = boots;
        self.forget();
    }

    /// What the heartbeat file knows: later signs of life, and boots whose line was lost or never written.
    pub(crate) fn apply_beats(&mut self, beats: &[Beat]) {
        for beat in beats {
            match self.boots.iter_mut().find(|boot| boot.boot == beat.boot) {
                Some(boot) => boot.alive_at(beat.at),
                None if self.unread > 0 => self.restore(started(beat.boot, beat.at)),
                None => {
                    self.boots.push(started(beat.boot, beat.at));
                    self.header.totals.add(1, 0, 0);
                }
            }
        }
        self.forget();
    }

    /// Puts a boot whose line could not be read back in its place. It was counted when the line was written, and so was
    /// its end, if it had ended: how is not known any more.
    fn restore(&mut self, boot: Boot) {
        self.unread -= 1;
        let at = self.boots.iter().rposition(|known| known.start <= boot.start).map_or(0, |before| before + 1);
        self.boots.insert(at, Boot { ended: Ending::Unknown, ..boot });
    }

    /// What was said last; it counts once the boot is known to be over.
    pub(crate) fn apply_farewell(&mut self, farewell: Option<Farewell>) {
        self.farewell = farewell;
    }

    #[cfg(test)]
    pub(crate) fn farewell_for_test(&self) -> Option<Farewell> {
        self.farewell.clone()
    }

    /// The running boot: closes all others and opens its own line, or finds it again.
    pub fn enter(&mut self, identity: &Identity, now: Moment, short_boot: Duration) -> Entered {
        let known = self.find(identity.boot).map(|at| self.boots.remove(at));
        self.close(short_boot);
        let (entered, mut boot) = match known {
            Some(boot) if boot.source == Source::Own => (Entered::Again, boot),
            known => {
                self.header.totals.add(usize::from(known.is_none()), 0, 0);
                (Entered::New, started(identity.boot, now))
            }
        };
        boot.alive_at(now);
        boot.ended = Ending::Running;
        boot.reason = None;
        boot.kernel = Some(identity.kernel.chars().take(KERNEL_CHARS).collect());
        boot.command_line = Some(identity.command_line.clone());
        self.boots.push(boot);
        self.forget();
        entered
    }

    /// A heartbeat of the running boot.
    pub fn beat(&mut self, now: Moment) {
        if let Some(boot) = self.boots.last_mut().filter(|boot| boot.ended == Ending::Running) {
            boot.alive_at(now);
        }
    }

    /// Every boot that was running has ended: another one runs.
    fn close(&mut self, short_boot: Duration) {
        let farewell = self.farewell.take();
        for boot in self.boots.iter_mut().filter(|boot| boot.ended == Ending::Running) {
            match farewell.as_ref().filter(|farewell| farewell.holds_for(boot)) {
                Some(farewell) => {
                    boot.alive_at(farewell.at);
                    boot.ended = farewell.ending();
                    boot.reason = Some(farewell.reason.clone());
                }
                None => boot.ended = Ending::Unclean,
            }
            let unclean = usize::from(boot.ended == Ending::Unclean);
            self.header.totals.add(0, unclean, usize::from(is_short(boot, short_boot)));
        }
    }

    fn find(&self, id: BootId) -> Option<usize> {
        self.boots.iter().position(|boot| boot.boot == id)
    }

    fn forget(&mut self) {
        let excess = self.boots.len().saturating_sub(MAX_BOOTS);
        self.boots.drain(..excess);
    }

    /// The figures behind the metrics.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (running, past) = match self.boots.split_last() {
            Some((last, past)) if last.ended == Ending::Running => (Some(last), past),
            _ => (None, self.boots.as_slice()),
        };
        let trusted = crate::chronology::trusted(&self.boots);
        let previous = past.last().map(|boot| Previous {
            start: boot.start,
            end: boot.end(),
            clean: clean(boot.ended),
            gap: running.filter(|_| trusted.ends_with(&[true, true])).map(|running| gap(boot, running)),
            kernel_changed: running.and_then(|running| kernel_changed(boot, running)),
        });
        Figures { totals: self.totals(), start: running.map(|boot| boot.start), previous }
    }
}

fn started(boot: BootId, now: Moment) -> Boot {
    Boot {
        boot,
        source: Source::Own,
        ended: Ending::Running,
        reason: None,
        start: now.boot_start(),
        uptime: now.boottime,
        first_seen: Some(now.wall),
        kernel: None,
        command_line: None,
        clock_steps: 0,
    }
}

const fn clean(ended: Ending) -> Option<bool> {
    match ended {
        Ending::Clean => Some(true),
        Ending::Unclean => Some(false),
        Ending::Running | Ending::Unknown => None,
    }
}

/// How long the host was down between two boots.
pub(crate) fn gap(earlier: &Boot, later: &Boot) -> Duration {
    later.start.duration_since(earlier.end()).try_into().unwrap_or(Duration::ZERO)
}

pub(crate) fn kernel_changed(earlier: &Boot, later: &Boot) -> Option<bool> {
    earlier.kernel.as_ref().zip(later.kernel.as_ref()).map(|(before, after)| before != after)
}

/// Whether the boot has ended sooner than a boot should. What was shut down is not short, nor what lasted nobody knows how
/// long: the host may have lived on for weeks without the exporter. What only the journal knows lasted as long as its lines.
pub(crate) fn is_short(boot: &Boot, limit: Duration) -> bool {
    let ended = match boot.ended {
        Ending::Unclean => true,
        Ending::Unknown => boot.source == Source::Journal,
        Ending::Running | Ending::Clean => false,
    };
    ended && crate::chronology::duration(boot).is_some_and(|lasted| lasted < limit)
}
