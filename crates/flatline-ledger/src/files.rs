//! Files of the state directory: opened relative to it, never through a link, never waiting for a FIFO's other end.

use crate::error::StateError;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::{Errno, pread, pwrite, read, retry_on_intr};
use std::path::{Path, PathBuf};

/// Readable and writable by the exporter's user.
const MODE: Mode = Mode::from_raw_mode(0o600);

/// An open directory, and what it is called in errors.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory that exists.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_path_buf() }),
            Err(errno) => Err(StateError::Os { path: path.to_path_buf(), action: "open it", errno }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The error of a file in it.
    pub(crate) fn error(&self, name: &str, action: &'static str) -> impl FnOnce(Errno) -> StateError + use<> {
        let path = self.path.join(name);
        move |errno| StateError::Os { path, action, errno }
    }

    fn open_file(&self, name: &str, flags: OFlags, action: &'static str) -> Result<OwnedFd, StateError> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let not_a_file = || StateError::NotAFile { path: self.path.join(name) };
        let file = retry_on_intr(|| openat(&self.fd, name, flags, MODE)).map_err(|errno| match errno {
            Errno::LOOP | Errno::ISDIR | Errno::NXIO => not_a_file(),
            _ => self.error(name, action)(errno),
        })?;
        let stat = fstat(&file).map_err(self.error(name, action))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(file),
            _ => Err(not_a_file()),
        }
    }

    /// The content of a file of at most `limit` bytes; `None` when there is no such file.
    pub(crate) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, StateError> {
        let file = match self.open_file(name, OFlags::RDONLY, "open it") {
            Err(StateError::Os { errno: Errno::NOENT, .. }) => return Ok(None),
            other => other?,
        };
        let mut content = Vec::new();
        while content.len() <= limit {
            content.reserve(limit.min(4096) + 1);
            let count = retry_on_intr(|| read(&file, rustix::buffer::spare_capacity(&mut content)));
            if count.map_err(self.error(name, "read it"))? == 0 {
                return Ok(Some(content));
            }
        }
        Err(StateError::TooLarge { path: self.path.join(name), limit })
    }

    /// Puts `content` in the file's place: whoever looks, also after a crash at any point, sees the old or the new one.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let temporary = format!("{name}.new");
        match unlinkat(&self.fd, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.error(&temporary, "remove it")(errno)),
        }
        let file = self.open_file(&temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, "create it")?;
        write_at(&file, content, 0).and_then(|()| fsync(&file)).map_err(self.error(&temporary, "write it"))?;
        retry_on_intr(|| renameat(&self.fd, &temporary, &self.fd, name)).map_err(self.error(name, "replace it"))?;
        self.sync("record its content")
    }

    /// Opens a file of a fixed size for writing in place, and fills it up with blanks if it is shorter: writes to it
    /// need no more room then, and a full disk doesn't stop them.
    pub(crate) fn preallocated(&self, name: &str, size: usize) -> Result<OwnedFd, StateError> {
        let file = self.open_file(name, OFlags::RDWR | OFlags::CREATE, "create it")?;
        let length = fstat(&file).map_err(self.error(name, "examine it"))?.st_size;
        let length = usize::try_from(length).unwrap_or(0);
        if length < size {
            let filled = write_at(&file, &vec![b' '; size - length], length as u64).and_then(|()| fsync(&file));
            filled.map_err(self.error(name, "reserve its room"))?;
            self.sync("record its content")?;
        }
        Ok(file)
    }

    pub(crate) fn sync(&self, action: &'static str) -> Result<(), StateError> {
        fsync(&self.fd).map_err(|errno| StateError::Os { path: self.path.clone(), action, errno })
    }
}

/// Writes all of `content`.
pub(crate) fn write_at(file: impl AsFd, content: &[u8], offset: u64) -> Result<(), Errno> {
    let mut written = 0;
    while written < content.len() {
        match retry_on_intr(|| pwrite(&file, &content[written..], offset + written as u64))? {
            0 => return Err(Errno::NOSPC),
            count => written += count,
        }
    }
    Ok(())
}

/// Reads up to `limit` bytes from the start of the file.
pub(crate) fn read_at_start(file: impl AsFd, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::with_capacity(limit);
    while content.len() < limit {
        let offset = content.len() as u64;
        if retry_on_intr(|| pread(&file, rustix::buffer::spare_capacity(&mut content), offset))? == 0 {
            break;
        }
    }
    content.truncate(limit);
    Ok(content)
}
