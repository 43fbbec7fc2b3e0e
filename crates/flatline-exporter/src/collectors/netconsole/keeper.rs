//! The files with the last words: `<state directory>/netconsole/<sender>.log`, and `.log.1` before it.
//!
//! They are written by a thread of their own that may hang with the disk; what does not fit into its queue is counted.

use super::Sender;
use flatline_sources::{Fault, SourceError};
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait for the disk, of all senders together; each is at most 16 KiB, and most are 100 bytes.
const QUEUE: usize = 1024;
const STACK_BYTES: usize = 128 * 1024;
/// The size of files nobody has looked at yet.
const UNKNOWN: u64 = u64::MAX;

struct Kept {
    sender: usize,
    /// Since 1970.
    at: Duration,
    text: String,
}

/// The way to the files.
pub(super) struct Keeper {
    queue: SyncSender<Kept>,
    files: Arc<Files>,
}

/// What is known of the files.
struct Files {
    directory: PathBuf,
    senders: Vec<Known>,
    error: Mutex<Option<SourceError>>,
}

struct Known {
    name: String,
    bytes: AtomicU64,
    unkept: AtomicU64,
}

impl Keeper {
    pub(super) fn start(directory: PathBuf, senders: &[Sender], max_bytes: u64) -> std::io::Result<Self> {
        let known = |sender: &Sender| Known {
            name: sender.name.clone(),
            bytes: AtomicU64::new(UNKNOWN),
            unkept: AtomicU64::new(0),
        };
        let senders = senders.iter().map(known).collect();
        let files = Arc::new(Files { directory, senders, error: Mutex::new(None) });
        let (queue, waiting) = sync_channel(QUEUE);
        let written = Arc::clone(&files);
        let thread = thread::Builder::new().name("fl-netcon-file".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || written.write(&waiting, max_bytes))?;
        Ok(Self { queue, files })
    }

    /// Hands a line over; never waits.
    pub(super) fn keep(&self, sender: usize, at: Duration, text: &str) {
        if self.queue.try_send(Kept { sender, at, text: text.to_owned() }).is_err() {
            self.files.senders[sender].unkept.fetch_add(1, Relaxed);
        }
    }

    /// Size of a sender's files; nothing before the disk has told.
    pub(super) fn bytes(&self, sender: usize) -> Option<u64> {
        Some(self.files.senders[sender].bytes.load(Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }

    /// Lines of a sender that are in no file.
    pub(super) fn unkept(&self, sender: usize) -> u64 {
        self.files.senders[sender].unkept.load(Acquire)
    }

    /// Why the newest line could not be written.
    pub(super) fn error(&self) -> Option<SourceError> {
        self.files.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Files {
    fn write(&self, waiting: &Receiver<Kept>, max_bytes: u64) {
        let mut logs: Vec<Log> =
            self.senders.iter().map(|sender| Log::new(&self.directory, &sender.name, max_bytes)).collect();
        for (log, sender) in logs.iter().zip(&self.senders) {
            sender.bytes.store(log.bytes(), Relaxed);
        }
        while let Ok(Kept { sender, at, text }) = waiting.recv() {
            let (log, known) = (&mut logs[sender], &self.senders[sender]);
            let written = log.append(&line(at, &text)).err();
            let failed = written.is_some();
            // The reason first: whoever sees the count finds it.
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = written;
            known.unkept.fetch_add(u64::from(failed), Release);
            known.bytes.store(log.bytes(), Relaxed);
        }
    }
}

/// A line as it is kept: when it came, and what it says with nothing in it a terminal would obey.
fn line(at: Duration, text: &str) -> String {
    let at = humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + at);
    let mut line = String::with_capacity(text.len() + 32);
    let _ = write!(line, "{at} ");
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

/// The files of one sender.
struct Log {
    path: PathBuf,
    before: PathBuf,
    max_bytes: u64,
    open: Option<(File, u64)>,
    bytes_before: u64,
}

impl Log {
    fn new(directory: &Path, name: &str, max_bytes: u64) -> Self {
        let path = directory.join(format!("{name}.log"));
        let before = directory.join(format!("{name}.log.1"));
        let bytes_before = before.metadata().map_or(0, |file| file.len());
        Self { path, before, max_bytes, open: None, bytes_before }
    }

    fn bytes(&self) -> u64 {
        let current = self.open.as_ref().map(|(_, bytes)| *bytes);
        self.bytes_before + current.unwrap_or_else(|| self.path.metadata().map_or(0, |file| file.len()))
    }

    fn append(&mut self, line: &str) -> Result<(), SourceError> {
        let length = line.len() as u64;
        if self.open.as_ref().is_some_and(|(_, bytes)| bytes + length > self.max_bytes) {
            self.rotate()?;
        }
        if self.open.is_none() {
            self.open = Some(self.create().map_err(|error| failed(&self.path, &error))?);
        }
        let Some((file, bytes)) = &mut self.open else { return Ok(()) };
        let written = file.write_all(line.as_bytes());
        // What a full disk has taken of a line counts, too.
        *bytes = if written.is_ok() { *bytes + length } else { file.metadata().map_or(*bytes, |file| file.len()) };
        written.map_err(|error| failed(&self.path, &error))
    }

    fn create(&self) -> std::io::Result<(File, u64)> {
        if let Some(directory) = self.path.parent() {
            let made = DirBuilder::new().mode(0o700).create(directory);
            made.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    fn rotate(&mut self) -> Result<(), SourceError> {
        let bytes = self.open.take().map_or(0, |(_, bytes)| bytes);
        std::fs::rename(&self.path, &self.before).map_err(|error| failed(&self.path, &error))?;
        self.bytes_before = bytes;
        Ok(())
    }
}

fn failed(path: &Path, error: &std::io::Error) -> SourceError {
    let fault = match error.kind() {
        ErrorKind::PermissionDenied => Fault::PermissionDenied,
        ErrorKind::NotFound => Fault::NotFound,
        _ => Fault::IoError,
    };
    SourceError { path: path.into(), fault, detail: format!("the last words are not kept: {error}") }
}

#[cfg(test)]
mod tests {
    use super::{Log, line};
    use std::time::Duration;

    #[test]
    fn nothing_kept_can_pass_for_another_line_or_move_a_cursor() {
        let kept = line(Duration::from_secs(1_000_000_000), "a\n\u{1b}[2Jb\u{9b}ü");
        assert_eq!(kept, "2001-09-09T01:46:40.000Z a\\n\\u{1b}[2Jb\\u{9b}ü\n");
    }

    #[test]
    fn files_stay_below_their_bound_and_are_continued() {
        let directory = tempfile::tempdir().expect("directory");
        let sizes = || {
            let size = |name: &str| directory.path().join("d").join(name).metadata().map_or(0, |file| file.len());
            [size("a.log"), size("a.log.1")]
        };
        let append = |log: &mut Log, times| (0..times).for_each(|_| log.append("0123456789").expect("written"));
        let open = || Log::new(&directory.path().join("d"), "a", 35);
        let mut log = open();
        append(&mut log, 3);
        assert_eq!((sizes(), log.bytes()), ([30, 0], 30));
        append(&mut log, 1);
        assert_eq!((sizes(), log.bytes()), ([10, 30], 40));
        let mut log = open();
        assert_eq!(log.bytes(), 40);
        append(&mut log, 5);
        assert_eq!((sizes(), log.bytes()), ([30, 30], 60));
    }

    #[test]
    fn a_directory_that_can_not_be_made_is_an_error_with_its_path_and_nothing_more() {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("d"), "a file").expect("write");
        let mut log = Log::new(&directory.path().join("d"), "a", 35);
        let error = log.append("x").expect_err("no directory");
        assert!(error.to_string().contains("d/a.log"), "{error}");
        std::fs::remove_file(directory.path().join("d")).expect("remove");
        log.append("x").expect("it is tried again");
    }
}
