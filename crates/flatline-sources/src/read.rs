//! Bounded reads into reused buffers, and files that are held open between reads.
//!
//! Opens are blocking (`O_RDONLY | O_CLOEXEC`): a FIFO or a dead device in place of a file hangs its reader, as the
//! kernel would, and the scheduler above leaves that reader behind.

use crate::error::ReadError;
use crate::host_path::open_below;
use crate::{Fault, HostPath, SourceError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstat, fstatfs, openat};
use rustix::io::{Errno, pread, read, retry_on_intr};
use rustix::path::Arg;
use std::path::Path;

/// Enough for a file that holds one value or a few lines.
pub const SMALL_FILE: usize = 4096;
/// Enough for `vmstat`, `meminfo` and `memory.stat` on any kernel so far, eight times over.
pub const STATISTICS_FILE: usize = 64 * 1024;

/// Reads a whole file into `buffer`, replacing its content and reusing its memory.
///
/// # Errors
/// When the file can't be opened or read, or holds more than `limit` bytes.
pub fn read_bounded(path: &HostPath, limit: usize, buffer: &mut Vec<u8>) -> Result<(), SourceError> {
    read_whole(path, limit, buffer).map_err(|error| SourceError::io(path, error))
}

/// [`read_bounded`] for a file that may be missing: `false` when it is.
///
/// # Errors
/// When the file exists but can't be opened or read, or holds more than `limit` bytes.
pub fn read_optional(path: &HostPath, limit: usize, buffer: &mut Vec<u8>) -> Result<bool, SourceError> {
    match read_whole(path, limit, buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(SourceError::io(path, error)),
    }
}

/// [`read_bounded`] for a file that the operator names himself: it is in no root, and its links are followed.
///
/// # Errors
/// When the file can't be opened or read, or holds more than `limit` bytes.
pub fn read_given(path: &Path, limit: usize, buffer: &mut Vec<u8>) -> Result<(), SourceError> {
    let opened = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(ReadError::Os);
    let read = opened.and_then(|file| read_through(file.as_fd(), limit, buffer, true));
    read.map_err(|error| SourceError::io(path, error))
}

/// [`read_bounded`] with an error that has cost nothing yet.
pub(crate) fn read_whole(path: &HostPath, limit: usize, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
    read_through(path.open(OFlags::empty())?.as_fd(), limit, buffer, true)
}

/// [`read_bounded`] relative to an open directory, which no link leads out of.
pub(crate) fn read_bounded_at(
    dir: BorrowedFd<'_>,
    name: impl Arg + Copy,
    limit: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let file = open_below(dir, name, OFlags::empty())?;
    read_through(file.as_fd(), limit, buffer, true)
}

/// Reads from the file's position to its end: works on pipes, too. With `confirm_end` false a short read is
/// taken for the end, which saves a call and holds on kernfs, tmpfs and disks, but not on procfs.
pub(crate) fn read_through(
    file: BorrowedFd<'_>,
    limit: usize,
    buffer: &mut Vec<u8>,
    confirm_end: bool,
) -> Result<(), ReadError> {
    fill(limit, buffer, confirm_end, |buffer, _| read(file, rustix::buffer::spare_capacity(buffer)))
}

/// [`read_through`] from the start of the file, without moving its position.
pub(crate) fn read_from_start(
    file: BorrowedFd<'_>,
    limit: usize,
    buffer: &mut Vec<u8>,
    confirm_end: bool,
) -> Result<(), ReadError> {
    fill(limit, buffer, confirm_end, |buffer, offset| pread(file, rustix::buffer::spare_capacity(buffer), offset))
}

fn fill(
    limit: usize,
    buffer: &mut Vec<u8>,
    confirm_end: bool,
    mut more: impl FnMut(&mut Vec<u8>, u64) -> Result<usize, Errno>,
) -> Result<(), ReadError> {
    buffer.clear();
    loop {
        if buffer.capacity() == buffer.len() {
            // One byte over the limit tells a file of that size from a larger one.
            let wanted = buffer.len().clamp(SMALL_FILE, SMALL_FILE.max(limit)).min(limit + 1);
            buffer.reserve(wanted);
        }
        let room = buffer.capacity() - buffer.len();
        let offset = buffer.len() as u64;
        let count = retry_on_intr(|| more(buffer, offset))?;
        if buffer.len() > limit {
            buffer.clear();
            return Err(ReadError::TooLarge(limit));
        }
        if count == 0 || (!confirm_end && count < room) {
            return Ok(());
        }
    }
}

/// What kind of file system a file lives on, as far as held descriptors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// sysfs and both cgroup file systems: one read returns everything, a removed file answers `ENODEV`.
    Kernfs,
    /// procfs: content is fresh at every read, reads may be short.
    Proc,
    /// ext, XFS, tmpfs: directories count their subdirectories in the link count.
    Counting,
    /// Anything else.
    Other,
}

impl FileSystem {
    /// Asks the file system the descriptor is on; [`FileSystem::Other`] when it does not say.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Self {
        // Magic numbers of linux/magic.h; the type of f_type differs between architectures.
        match fstatfs(fd).map(|stat| u64::try_from(stat.f_type).unwrap_or(0) & 0xffff_ffff) {
            Ok(0x6265_6572 | 0x6367_7270 | 0x0027_e0eb) => Self::Kernfs,
            Ok(0x9fa0) => Self::Proc,
            Ok(0xef53 | 0x0102_1994 | 0x5846_5342) => Self::Counting,
            _ => Self::Other,
        }
    }

    /// A held descriptor keeps showing the old content after the file was replaced: look at its link count.
    pub(crate) const fn needs_link_check(self) -> bool {
        matches!(self, Self::Counting | Self::Other)
    }

    /// Whether a read shorter than asked for may be followed by more.
    pub(crate) const fn short_reads(self) -> bool {
        matches!(self, Self::Proc | Self::Other)
    }

    /// Whether a directory's link count is 2 plus its subdirectories (when it is at least 2).
    pub(crate) const fn counts_links(self) -> bool {
        matches!(self, Self::Kernfs | Self::Counting)
    }
}

/// What a read of a [`HeldFile`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The buffer holds the file.
    Read,
    /// There is no such file (any more); normal for optional files, devices and cgroups.
    Absent,
}

/// A file that is opened once and read again and again from its start.
///
/// A read costs one call on procfs and kernfs, against three for open, read and close. When the file is removed
/// or replaced the next read opens it anew: kernfs answers `ENODEV`, elsewhere the link count falls to 0.
/// A held file of kernfs or procfs pins about 4 KiB of kernel memory (its `seq_file` buffer).
#[derive(Debug)]
pub struct HeldFile {
    path: HostPath,
    limit: usize,
    held: Option<(OwnedFd, FileSystem)>,
}

impl HeldFile {
    /// Names the file; nothing is opened until the first read. Files over `limit` bytes are refused.
    #[must_use]
    pub const fn new(path: HostPath, limit: usize) -> Self {
        Self { path, limit, held: None }
    }

    /// The file's path.
    #[must_use]
    pub const fn path(&self) -> &HostPath {
        &self.path
    }

    /// Reads the whole file as it is now into `buffer`.
    ///
    /// # Errors
    /// When it exists but can't be opened or read, or is too large. The descriptor is given up then.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Content, SourceError> {
        let result = self.try_read(buffer);
        self.outcome(result, buffer)
    }

    fn outcome(&mut self, result: Result<(), ReadError>, buffer: &mut Vec<u8>) -> Result<Content, SourceError> {
        match result {
            Ok(()) => Ok(Content::Read),
            Err(error) => {
                self.held = None;
                buffer.clear();
                if error.is_absent() { Ok(Content::Absent) } else { Err(SourceError::io(&self.path, error)) }
            }
        }
    }

    /// [`HeldFile::read`], where one particular error also means that there is nothing to read.
    pub(crate) fn read_unless(&mut self, buffer: &mut Vec<u8>, absent: Errno) -> Result<Content, SourceError> {
        match self.try_read(buffer) {
            Err(ReadError::Os(errno)) if errno == absent => {
                self.held = None;
                Ok(Content::Absent)
            }
            other => self.outcome(other, buffer),
        }
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        if let Some((file, system)) = &self.held {
            if read_held(file.as_fd(), *system, self.limit, buffer)? {
                return Ok(());
            }
            self.held = None;
        }
        let file = self.path.open(OFlags::empty())?;
        let system = FileSystem::of(file.as_fd());
        read_through(file.as_fd(), self.limit, buffer, true)?;
        self.held = Some((file, system));
        Ok(())
    }
}

/// Reads a held descriptor; `false` when its file was removed or replaced and must be opened anew.
pub(crate) fn read_held(
    file: BorrowedFd<'_>,
    system: FileSystem,
    limit: usize,
    buffer: &mut Vec<u8>,
) -> Result<bool, ReadError> {
    match read_from_start(file, limit, buffer, system.short_reads()) {
        Err(ReadError::Os(Errno::NODEV | Errno::STALE | Errno::SPIPE)) => return Ok(false),
        other => other?,
    }
    Ok(!system.needs_link_check() || fstat(file)?.st_nlink > 0)
}

/// Turns a failed parse into an error that shows the start of what was found.
pub(crate) fn parsed<T>(value: Option<T>, path: &Path, content: &[u8], expected: &str) -> Result<T, SourceError> {
    value.ok_or_else(|| SourceError {
        path: path.into(),
        fault: Fault::InvalidContent,
        detail: format!("expected {expected}, found {}", excerpt(content)),
    })
}

/// The first bytes of a file, printable and short.
pub(crate) fn excerpt(content: &[u8]) -> String {
    const SHOWN: usize = 32;
    let start = &content[..content.len().min(SHOWN)];
    let dots = if content.len() > SHOWN { "..." } else { "" };
    format!("\"{}{dots}\" ({} bytes)", start.escape_ascii(), content.len())
}
