//! Flat keyed files: one `key value` per line, values decimal
//! (kernel documentation: `Documentation/admin-guide/cgroup-v2.rst`, "Format").
//!
//! `memory.events`, `memory.stat`, `cgroup.events` and `/proc/vmstat` are written so.

use crate::value::number;

/// Iterates over the `key value` lines of a flat keyed file.
///
/// Ends at the first line that is not one; [`Entries::malformed`] then says so, so that a caller tells the
/// end of the file from garbage. Values over `u64` are malformed.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    malformed: bool,
}

/// Starts iterating over a flat keyed file.
#[must_use]
pub const fn entries(content: &[u8]) -> Entries<'_> {
    Entries { rest: content, malformed: false }
}

impl Entries<'_> {
    /// Whether iteration ended at a line that is not `key value`.
    #[must_use]
    pub const fn malformed(&self) -> bool {
        self.malformed
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = split_line(self.rest);
        self.rest = rest;
        let entry = split_entry(line);
        if entry.is_none() {
            self.malformed = true;
            self.rest = &[];
        }
        entry
    }
}

/// The bytes before the first newline and those after it.
pub(crate) fn split_line(content: &[u8]) -> (&[u8], &[u8]) {
    match content.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&content[..end], &content[end + 1..]),
        None => (content, &[]),
    }
}

fn split_entry(line: &[u8]) -> Option<(&[u8], u64)> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let key = &line[..space];
    if key.is_empty() {
        return None;
    }
    number(&line[space + 1..]).map(|value| (key, value))
}

/// The value of one key, `None` when no line has it.
#[must_use]
pub fn find(content: &[u8], key: &[u8]) -> Option<u64> {
    entries(content).find(|(found, _)| *found == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_recorded_events() {
        let content = b"low 0\nhigh 2358\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n";
        assert_eq!(entries(content).count(), 6);
        assert_eq!(find(content, b"high"), Some(2358));
        assert_eq!(find(content, b"hig"), None);
    }

    #[test]
    fn stops_at_garbage_and_says_so() {
        let mut lines = entries(b"low 1\n\xff\xfe\nhigh 2\n");
        assert_eq!(lines.next(), Some((&b"low"[..], 1)));
        assert_eq!(lines.next(), None);
        assert!(lines.malformed());
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_truncated_last_line_is_malformed() {
        for content in [&b"low 1\nhigh "[..], b"low 1\nhigh", b"low 1\n 5"] {
            let mut lines = entries(content);
            assert_eq!(lines.by_ref().count(), 1);
            assert!(lines.malformed(), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut lines = entries(&bytes);
            let seen = lines.by_ref().count();
            prop_assert!(seen <= bytes.len());
            prop_assert_eq!(lines.next(), None);
        }

        #[test]
        fn round_trips(pairs in proptest::collection::vec(("[a-z_]{1,12}", any::<u64>()), 0..40)) {
            let text: String = pairs.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
            let mut lines = entries(text.as_bytes());
            let read: Vec<_> =
                lines.by_ref().map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value)).collect();
            prop_assert!(!lines.malformed());
            prop_assert_eq!(read, pairs);
        }
    }
}
