//! Whatever journalctl writes, and whatever an operator takes for a pattern: no panic.

#![no_main]

use flatline_events::journal::{Entry, Pattern, Patterns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (spec, line) = input;
    let patterns: Vec<Pattern> = spec.parse().into_iter().collect();
    let Ok(mut patterns) = Patterns::new(patterns) else { return };
    if let Ok(entry) = Entry::parse(line) {
        assert!(!entry.cursor.is_empty());
        assert!(entry.line().is_none_or(|_| !entry.is_kernel()));
        assert!(patterns.matches(&entry).all(|found| found.value.chars().count() <= 64));
    }
});
