//! Crash windows: from when to when each boot lived, how it ended, and which captures are nearest to its end.

use crate::boot::{Boot, BootId, Ending, Source};
use crate::captures::{Capture, DatedBy};
use crate::chronology::{duration, trusted};
use crate::ledger::{Ledger, SHORT_BOOT, gap, is_short, kernel_changed};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use std::time::Duration;

/// How windows are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A boot that lasted less is a short one, unless it was shut down.
    pub short_boot: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { short_boot: SHORT_BOOT }
    }
}

/// One boot's window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Which boot.
    pub boot: BootId,
    /// Where it is known from.
    pub source: Source,
    /// When it began.
    pub start: Timestamp,
    /// Its last sign of life.
    pub end: Timestamp,
    /// From start to end; absent when the clock was set meanwhile and only the journal knows the boot.
    #[serde(rename = "duration_seconds", serialize_with = "optional_seconds")]
    pub duration: Option<Duration>,
    /// How it ended.
    pub ended: Ending,
    /// How that is known, in words.
    pub reason: Option<String>,
    /// It ended sooner than a boot should, and not because it was shut down.
    pub short: bool,
    /// Whether its wall clock agrees with the other boots'. If not, the start and the end may be years off.
    pub clock_trusted: bool,
    /// From the end to the next boot's start; absent when there is none, or a clock is not trusted.
    #[serde(rename = "down_seconds", serialize_with = "optional_seconds")]
    pub down: Option<Duration>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Whether that is another one than in the boot before; absent when one of the two was not recorded.
    pub kernel_changed: Option<bool>,
    /// The last capture up to the end, for boots that did not end cleanly.
    pub before: Option<Near>,
    /// The first capture after the end, likewise.
    pub after: Option<Near>,
}

/// A capture near a boot's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its file.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// When it was taken.
    pub time: Timestamp,
    /// Where that is known from.
    pub dated_by: DatedBy,
    /// From the end of the boot to the capture; negative before it.
    #[serde(rename = "lag_seconds", serialize_with = "signed_seconds")]
    pub lag: SignedDuration,
    /// It has no content.
    pub empty: bool,
}

/// The window of every boot in the ledger, oldest first. The captures may come in any order.
#[must_use]
pub fn windows(ledger: &Ledger, captures: &[Capture], options: Options) -> Vec<Window> {
    let boots = ledger.boots();
    let trusted = trusted(boots);
    let mut captures: Vec<&Capture> = captures.iter().collect();
    captures.sort_by_key(|capture| capture.time);
    let window = |(at, boot): (usize, &Boot)| {
        let (before, after) = if matches!(boot.ended, Ending::Running | Ending::Clean) {
            (None, None)
        } else {
            nearest(boot, &captures, trusted[at])
        };
        Window {
            boot: boot.boot,
            source: boot.source,
            start: boot.start,
            end: boot.end(),
            duration: duration(boot),
            ended: boot.ended,
            reason: boot.reason.clone(),
            short: is_short(boot, options.short_boot),
            clock_trusted: trusted[at],
            down: boots.get(at + 1).filter(|_| trusted[at] && trusted[at + 1]).map(|next| gap(boot, next)),
            kernel: boot.kernel.clone(),
            kernel_changed: at.checked_sub(1).and_then(|before| kernel_changed(&boots[before], boot)),
            before,
            after,
        }
    };
    boots.iter().enumerate().map(window).collect()
}

/// The captures around the end. One of the very second of the end counts as before: it was taken in that boot. A clock
/// that is not trusted dates its own boot's captures only.
fn nearest(boot: &Boot, captures: &[&Capture], trusted: bool) -> (Option<Near>, Option<Near>) {
    let end = boot.end();
    let split = captures.partition_point(|capture| capture.time <= end);
    let near = |capture: &&Capture| Near {
        path: capture.path.clone(),
        time: capture.time,
        dated_by: capture.dated_by,
        lag: capture.time.duration_since(end),
        empty: capture.bytes == 0,
    };
    let before = captures[..split].last().filter(|capture| trusted || capture.time >= boot.start);
    let after = captures.get(split).filter(|_| trusted);
    (before.map(near), after.map(near))
}

#[expect(clippy::ref_option, reason = "the shape serde asks for")]
fn optional_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

fn signed_seconds<S: Serializer>(duration: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    duration.as_secs_f64().serialize(serializer)
}

/// Any name has a JSON form, if it must with replacement characters.
fn lossy<S: Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}
