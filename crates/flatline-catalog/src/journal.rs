//! What user space said in the journal: the classifier's own kinds, and patterns of the operator's.

use crate::{Family, Label, Unit};

/// What a line tells.
pub const KIND: Label =
    Label::new("kind", "the journal kinds of the classifier, about 10; every one is always present");
/// The operator's pattern.
pub const PATTERN: Label = Label::new("pattern", "one per configured pattern");
/// What the pattern captured.
pub const VALUE: Label =
    Label::new("value", "at most the pattern's own bound (32 by default), then other; left out without a capture");

/// Lines by kind.
pub static EVENTS: Family = Family::counter(
    "flatline_journal_events_total",
    Unit::None,
    &[KIND],
    "Journal messages of user space that tell of trouble, by what they tell. Survives restarts of the exporter.",
);
/// When it was last said.
pub static LAST_TIMESTAMP: Family = Family::gauge(
    "flatline_journal_event_last_timestamp_seconds",
    Unit::Seconds,
    &[KIND],
    "When it was last said (Unix time). Absent when it never was.",
);
/// Lines by the operator's patterns.
pub static PATTERN_MATCHES: Family = Family::counter(
    "flatline_log_pattern_matches_total",
    Unit::None,
    &[PATTERN, VALUE],
    "Journal messages that matched a pattern of the configuration (collector.journal.patterns).",
);
/// When a pattern last matched.
pub static PATTERN_LAST: Family = Family::gauge(
    "flatline_log_pattern_last_timestamp_seconds",
    Unit::Seconds,
    &[PATTERN],
    "When the pattern last matched (Unix time). Absent when it never did.",
);
/// Entries read.
pub static ENTRIES: Family =
    Family::counter("flatline_journal_entries_total", Unit::None, &[], "Journal entries read, whatever they say.");
/// Entries that are none.
pub static UNREADABLE: Family = Family::counter(
    "flatline_journal_unreadable_entries_total",
    Unit::None,
    &[],
    "Journal entries that could not be understood or were too long.",
);
/// Whether the journal is being followed.
pub static FOLLOWING: Family = Family::gauge(
    "flatline_journal_following",
    Unit::None,
    &[],
    "1 while the journal is being followed, 0 while it can't be: then nothing is counted here.",
);
/// How often following began anew.
pub static RESTARTS: Family = Family::counter(
    "flatline_journal_restarts_total",
    Unit::None,
    &[],
    "How often the journal's reader ended and was started again, from where it was.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] =
    &[&EVENTS, &LAST_TIMESTAMP, &PATTERN_MATCHES, &PATTERN_LAST, &ENTRIES, &UNREADABLE, &FOLLOWING, &RESTARTS];
