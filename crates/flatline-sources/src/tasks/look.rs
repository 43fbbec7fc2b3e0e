//! Reading the files of one task.

use super::walk::{PATH_SPACE, Task, relative};
use super::{Stat, Status, parse_stat, parse_status, parse_wchan};
use crate::error::ReadError;
use crate::read::{SMALL_FILE, excerpt, read_bounded_at};
use crate::{Fault, SourceError};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::Path;

/// `status` of a task in many groups, on a machine with many processors and memory nodes.
const STATUS_FILE: usize = 64 * 1024;

/// Where tasks are read from and into what.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) procfs: BorrowedFd<'a>,
    pub(super) path: &'a Path,
    pub(super) buffer: &'a mut Vec<u8>,
}

impl Look<'_> {
    /// What the task is doing; `None` when it has ended.
    pub(super) fn stat(&mut self, task: Task) -> Result<Option<Stat<'_>>, SourceError> {
        if !self.read(task, "stat", SMALL_FILE)? {
            return Ok(None);
        }
        parse_stat(self.buffer).map(Some).ok_or_else(|| self.invalid(task, "stat", "a task's stat"))
    }

    /// Whether it has run; `None` when it has ended.
    pub(super) fn status(&mut self, task: Task) -> Result<Option<Status>, SourceError> {
        if !self.read(task, "status", STATUS_FILE)? {
            return Ok(None);
        }
        parse_status(self.buffer).map(Some).ok_or_else(|| self.invalid(task, "status", "a task's status"))
    }

    /// Where it waits; `None` when the kernel does not tell.
    pub(super) fn wchan(&mut self, task: Task) -> Result<Option<&str>, SourceError> {
        // Missing in a kernel without symbols.
        if !self.read(task, "wchan", SMALL_FILE)? {
            return Ok(None);
        }
        parse_wchan(self.buffer).ok_or_else(|| self.invalid(task, "wchan", "a function of the kernel"))
    }

    /// Reads one file; `false` when it is gone.
    fn read(&mut self, task: Task, file: &str, limit: usize) -> Result<bool, SourceError> {
        let mut space = [0; PATH_SPACE];
        let name = relative(task, file, &mut space);
        match read_bounded_at(self.procfs, name, limit, self.buffer) {
            Ok(()) => Ok(true),
            // It may also end between opening and reading.
            Err(error) if error.is_absent() || error == ReadError::Os(Errno::SRCH) => Ok(false),
            Err(error) => Err(SourceError::io(&self.whole(name), error)),
        }
    }

    fn invalid(&self, task: Task, file: &str, expected: &str) -> SourceError {
        let mut space = [0; PATH_SPACE];
        let path = self.whole(relative(task, file, &mut space));
        let detail = format!("expected {expected}, found {}", excerpt(self.buffer));
        SourceError { path: path.into(), fault: Fault::InvalidContent, detail }
    }

    fn whole(&self, name: &CStr) -> std::path::PathBuf {
        self.path.join(name.to_string_lossy().as_ref())
    }
}
