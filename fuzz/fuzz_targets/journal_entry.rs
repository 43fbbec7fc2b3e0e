//! Whatever journalctl writes, and whatever an operator takes for a pattern: no panic.

#![no_main]

use flatline_events::journal::{Entry, Found, Lines, Pattern, Patterns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u8, &[u8])| {
    let (spec, size, written) = input;
    let patterns: Vec<Pattern> = spec.parse().into_iter().collect();
    let Ok(mut patterns) = Patterns::new(patterns) else { return };
    let (mut lines, mut ended) = (Lines::default(), 0);
    for received in written.chunks(usize::from(size).max(1)) {
        lines.push(received, |found| {
            ended += 1;
            if let Found::Line(line) = found {
                take(line, &mut patterns);
            }
        });
    }
    assert_eq!(ended, written.iter().filter(|byte| **byte == b'\n').count());
});

fn take(line: &[u8], patterns: &mut Patterns) {
    let Ok(entry) = Entry::parse(line) else { return };
    assert!(!entry.cursor.is_empty());
    assert!(entry.line().is_none_or(|_| !entry.is_kernel()));
    assert!(patterns.matches(&entry).all(|found| found.value.chars().count() <= 64));
}
