//! Going through all tasks, with a place to go on from.

use crate::host_path::open_below;
use crate::value::number;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CStr;
use std::io::Write as _;

const LISTING_BUFFER: usize = 32 * 1024;

/// A task as its path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    /// Its process.
    pub(super) pid: u32,
    /// Itself; the process's number for the main thread.
    pub(super) tid: u32,
}

/// Two numbers of ten digits and the longest file name.
pub(super) const PATH_SPACE: usize = 48;

/// `<pid>/<file>` or `<pid>/task/<tid>/<file>`, without an allocation.
pub(super) fn relative<'s>(task: Task, file: &str, space: &'s mut [u8; PATH_SPACE]) -> &'s CStr {
    let Task { pid, tid } = task;
    let mut rest = &mut space[..];
    // Fits: the numbers have ten digits at most.
    let _ = if pid == tid { write!(rest, "{pid}/{file}\0") } else { write!(rest, "{pid}/task/{tid}/{file}\0") };
    CStr::from_bytes_until_nul(space).unwrap_or_default()
}

/// The processes of a sweep, listed at its beginning, and the threads of the one that is looked at.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pids: Vec<u32>,
    next_pid: usize,
    tids: Vec<u32>,
    next_tid: usize,
    pid: u32,
    listing: Vec<u8>,
}

impl Walk {
    /// Lists at most `bound` processes and starts with the first; how many there are beyond.
    pub(super) fn begin(&mut self, procfs: BorrowedFd<'_>, bound: usize) -> Result<u64, Errno> {
        self.stop();
        list(procfs, c".", bound, &mut self.pids, &mut self.listing, |_| true)
    }

    /// Goes through the threads of a process next, but its main thread; at most `bound`. How many there are beyond.
    pub(super) fn descend(&mut self, procfs: BorrowedFd<'_>, pid: u32, bound: usize) -> Result<u64, Errno> {
        (self.pid, self.next_tid) = (pid, 0);
        let mut space = [0; PATH_SPACE];
        let directory = relative(Task { pid, tid: pid }, "task", &mut space);
        list(procfs, directory, bound, &mut self.tids, &mut self.listing, |tid| tid != pid)
    }

    /// The next task, main threads included.
    pub(super) fn next(&mut self) -> Option<Task> {
        if let Some(tid) = self.tids.get(self.next_tid) {
            self.next_tid += 1;
            return Some(Task { pid: self.pid, tid: *tid });
        }
        let pid = *self.pids.get(self.next_pid)?;
        self.next_pid += 1;
        Some(Task { pid, tid: pid })
    }

    /// The tasks still to come, as far as they are listed.
    pub(super) fn left(&self) -> usize {
        self.tids.len() - self.next_tid + self.pids.len() - self.next_pid
    }

    /// Leaves out the rest.
    pub(super) fn stop(&mut self) {
        self.pids.clear();
        self.tids.clear();
        (self.next_pid, self.next_tid) = (0, 0);
    }
}

/// Lists the numbered entries of a directory in order; how many there are beyond the bound.
fn list(
    procfs: BorrowedFd<'_>,
    directory: impl Arg + Copy,
    bound: usize,
    into: &mut Vec<u32>,
    listing: &mut Vec<u8>,
    wanted: impl Fn(u32) -> bool,
) -> Result<u64, Errno> {
    into.clear();
    listing.clear();
    listing.reserve(LISTING_BUFFER);
    let directory = open_below(procfs, directory, OFlags::DIRECTORY)?;
    let mut entries = RawDir::new(directory.as_fd(), listing.spare_capacity_mut());
    let mut beyond = 0;
    while let Some(entry) = entries.next() {
        let number = number(entry?.file_name().to_bytes()).and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| wanted(*number)) {
            Some(number) if into.len() < bound => into.push(number),
            Some(_) => beyond += 1,
            None => {}
        }
    }
    into.sort_unstable();
    Ok(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_fits() {
        let mut space = [0; PATH_SPACE];
        let task = Task { pid: u32::MAX, tid: u32::MAX - 1 };
        assert_eq!(relative(task, "status", &mut space), c"4294967295/task/4294967294/status");
        assert_eq!(relative(Task { pid: 1, tid: 1 }, "wchan", &mut space), c"1/wchan");
    }
}
