//! The end of what a process or a guest's console said, bounded, and awaitable.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// As much of the end of a log as is kept, in bytes.
const KEPT: usize = 1 << 20;

/// Output captured by a thread of its own; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: Mutex<Vec<u8>>,
    grown: Condvar,
}

impl Log {
    /// The kept end (1 MiB), invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    /// The last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until `pick` finds something in the text; `None` when the deadline passes first.
    pub fn wait_for<T>(&self, deadline: Duration, mut pick: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut bytes = self.lock();
        loop {
            if let Some(found) = pick(&String::from_utf8_lossy(&bytes)) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            bytes = self.shared.grown.wait_timeout(bytes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `marker` has been written.
    pub fn wait_for_text(&self, marker: &str, deadline: Duration) -> Result<()> {
        self.wait_for(deadline, |text| text.contains(marker).then_some(())).ok_or_else(|| Error::Deadline {
            what: format!("`{marker}`"),
            deadline,
            seen: self.tail(30),
        })
    }

    /// Reads `source` to its end on a thread of its own, which ends then.
    pub(crate) fn capture(&self, mut source: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count @ 1..) = source.read(&mut chunk) {
                log.append(&chunk[..count]);
            }
        })
    }

    fn append(&self, chunk: &[u8]) {
        let mut bytes = self.lock();
        bytes.extend_from_slice(chunk);
        if bytes.len() > 2 * KEPT {
            let surplus = bytes.len() - KEPT;
            bytes.drain(..surplus);
        }
        self.shared.grown.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.shared.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_only() {
        let log = Log::default();
        for _ in 0..40 {
            log.append(&[b'x'; 100_000]);
        }
        log.append(b"\nlast");
        assert!(log.text().len() <= 2 * KEPT);
        assert_eq!(log.tail(1), "last");
    }

    #[test]
    fn waits_for_what_comes_later_and_says_what_came_instead() {
        let log = Log::default();
        let (reader, mut writer) = std::io::pipe().unwrap();
        log.capture(reader);
        std::io::Write::write_all(&mut writer, b"one two").unwrap();
        log.wait_for_text("two", Duration::from_secs(60)).unwrap();
        let error = log.wait_for_text("three", Duration::from_millis(10)).unwrap_err();
        assert!(error.to_string().contains("one two"), "{error}");
    }
}
