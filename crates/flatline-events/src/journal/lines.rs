//! Lines of bounded length out of a stream of bytes.

/// Longer lines are skipped: `journalctl` shows fields up to 4 KiB, and JSON writes a byte in up to six.
pub const MAX_LINE_BYTES: usize = 128 * 1024;

/// The line that is being received.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    skipping: bool,
}

/// What a stream holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line of more than [`MAX_LINE_BYTES`], which is skipped.
    TooLong,
}

impl Lines {
    /// Takes what was received and hands over each line that has ended, without its end.
    pub fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(Found<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end]);
            found(if self.skipping { Found::TooLong } else { Found::Line(&self.partial) });
            self.partial.clear();
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.skipping |= self.partial.len() + bytes.len() > MAX_LINE_BYTES;
        if self.skipping {
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Lines, MAX_LINE_BYTES};
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |found| match found {
                Found::Line(line) => all.push(Some(line.to_vec())),
                Found::TooLong => all.push(None),
            });
            assert!(lines.partial.len() <= MAX_LINE_BYTES);
        }
        all
    }

    #[test]
    fn a_line_too_long_is_skipped_whole_and_the_next_is_read() {
        let long = vec![b'x'; MAX_LINE_BYTES / 2 + 1];
        let longest = vec![b'y'; MAX_LINE_BYTES];
        let found = lines(&[b"a\n", &long, &long, &long, b"x\nb\n", &longest, b"\n"]);
        assert_eq!(found, [Some(b"a".to_vec()), None, Some(b"b".to_vec()), Some(longest)]);
    }

    proptest! {
        #[test]
        fn how_the_bytes_come_makes_no_difference(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300), size in 1usize..20) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut expected: Vec<Option<Vec<u8>>> = bytes.split(|byte| *byte == b'\n').map(|line| Some(line.to_vec())).collect();
            expected.pop();
            prop_assert_eq!(lines(&chunks), expected);
        }
    }
}
