//! Bytes from QEMU, cut into lines and bounded. Pure.

use memchr::memchr;
use std::ops::Range;

/// Bounds on what is read in one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line, in bytes.
    pub line: usize,
    /// All lines, in bytes.
    pub bytes: usize,
    /// Events; they come between the answers.
    pub events: usize,
}

impl Default for Limits {
    /// `query-block` of a machine with hundreds of disks in long snapshot chains takes 2 MiB.
    fn default() -> Self {
        Self { line: 4 << 20, bytes: 8 << 20, events: 10_000 }
    }
}

/// What comes in, up to where it has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the first line that was not handed out begins.
    start: usize,
    /// Up to where there is no line break.
    searched: usize,
    received: usize,
}

impl Lines {
    /// So much room there is for each read, at least.
    const ROOM: usize = 16 << 10;

    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Where the next bytes are to be appended; what has been looked at makes room for them.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.received += self.start;
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.reserve(Self::ROOM);
        &mut self.buffer
    }

    /// The next whole line, without its line break.
    ///
    /// # Errors
    /// When a line, or all together, are too long.
    pub(crate) fn next(&mut self) -> Result<Option<Range<usize>>, String> {
        let Limits { line: longest, bytes: most, .. } = self.limits;
        if self.received + self.buffer.len() > most {
            return Err(format!("more than {most} bytes"));
        }
        let found = memchr(b'\n', &self.buffer[self.searched..]).map(|length| self.searched + length);
        let end = found.unwrap_or(self.buffer.len());
        if end - self.start > longest {
            return Err(format!("a line of more than {longest} bytes"));
        }
        let line = self.start..end;
        self.searched = found.map_or(end, |end| end + 1);
        self.start = found.map_or(self.start, |end| end + 1);
        Ok(found.map(|_| line))
    }

    pub(crate) fn get(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Lines};
    use proptest::prelude::*;

    fn lines(chunks: &[Vec<u8>], limits: Limits) -> Result<Vec<Vec<u8>>, String> {
        let mut lines = Lines::new(limits);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.room().extend_from_slice(chunk);
            while let Some(line) = lines.next()? {
                found.push(lines.get(line).to_vec());
            }
        }
        Ok(found)
    }

    #[test]
    fn the_bounds_are_exact() {
        let limits = Limits { line: 3, bytes: 9, events: 0 };
        let read = |text: &str| lines(&[text.as_bytes().to_vec()], limits).map(|lines| lines.len());
        assert_eq!(read("abc\nabc\nd"), Ok(2));
        assert_eq!(read("abcd"), Err("a line of more than 3 bytes".to_owned()));
        assert_eq!(read("abcd\n"), Err("a line of more than 3 bytes".to_owned()));
        assert_eq!(read("abc\nabc\nd\n"), Err("more than 9 bytes".to_owned()));
    }

    #[test]
    fn a_line_without_end_takes_no_more_room_than_a_line_may() {
        let limits = Limits::default();
        let mut lines = Lines::new(limits);
        let chunk = vec![b'x'; Lines::ROOM];
        let refused = (0..100 << 20).step_by(chunk.len()).any(|_| {
            lines.room().extend_from_slice(&chunk);
            lines.next().is_err()
        });
        assert!(refused);
        assert!(lines.buffer.capacity() <= 2 * limits.line + 2 * Lines::ROOM, "{}", lines.buffer.capacity());
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(bytes in "[a-c\n]{0,60}", cuts in proptest::collection::vec(1usize..9, 60)) {
            let (mut rest, mut chunks) = (bytes.as_bytes(), Vec::new());
            for cut in cuts {
                let (chunk, behind) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = behind;
            }
            let mut expected: Vec<Vec<u8>> = bytes.split('\n').map(|line| line.as_bytes().to_vec()).collect();
            expected.pop();
            prop_assert_eq!(lines(&chunks, Limits::default()), Ok(expected));
        }
    }
}
