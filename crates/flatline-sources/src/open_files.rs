//! What the processes hold open, by the links in `<procfs>/<pid>/fd` (`proc_pid_fd(5)`). Links are read, never followed.
//!
//! Looking through all processes is dear: it is for rare searches. The links of other users' processes take
//! `CAP_SYS_PTRACE`.

use crate::error::ReadError;
use crate::host_path::open_below;
use crate::value::number;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, RawDir, readlinkat_raw};
use rustix::io::Errno;
use std::ffi::CStr;
use std::ops::ControlFlow;

/// Bounds of one search; one that hits them has not seen everything.
const MAX_PROCESSES: usize = 65_536;
const MAX_LINKS: usize = 1_000_000;
const LISTING_BUFFER: usize = 32 * 1024;
/// More than anything that is looked for here; what is longer is cut off.
const LONGEST_TARGET: usize = 64;

/// Something that a process holds open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenFile<'a> {
    /// The process.
    pub pid: u32,
    /// The link's name in its `fd` directory: the number of the descriptor.
    pub fd: &'a CStr,
    /// Where the link points to.
    pub target: &'a [u8],
}

/// Shows every link of every process to `visit`, until it has enough; whether all of them were seen.
///
/// # Errors
/// When procfs can't be listed.
pub(crate) fn look_through(
    procfs: &OwnedFd,
    mut visit: impl FnMut(OpenFile<'_>) -> ControlFlow<()>,
) -> Result<bool, Errno> {
    // A search is rare: these buffers are not kept.
    let mut listing = Vec::with_capacity(LISTING_BUFFER);
    let mut search = Search { links: MAX_LINKS, listing: Vec::with_capacity(LISTING_BUFFER), visit: &mut visit };
    let (mut complete, mut processes) = (true, 0);
    let fresh = open_below(procfs.as_fd(), c".", OFlags::DIRECTORY)?;
    let mut entries = RawDir::new(&fresh, listing.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let Some(pid) = number(entry?.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok()) else {
            continue;
        };
        processes += 1;
        if processes > MAX_PROCESSES || search.links == 0 {
            return Ok(false);
        }
        match search.look_at_process(procfs, pid) {
            ControlFlow::Continue(seen) => complete &= seen,
            ControlFlow::Break(()) => return Ok(false),
        }
    }
    Ok(complete)
}

struct Search<'a> {
    /// So many may still be read.
    links: usize,
    listing: Vec<u8>,
    visit: &'a mut dyn FnMut(OpenFile<'_>) -> ControlFlow<()>,
}

impl Search<'_> {
    /// Whether all its links were seen. A process that is gone has none.
    fn look_at_process(&mut self, procfs: &OwnedFd, pid: u32) -> ControlFlow<(), bool> {
        let directory = match open_below(procfs.as_fd(), format!("{pid}/fd").as_str(), OFlags::DIRECTORY) {
            Ok(directory) => directory,
            Err(errno) => return ControlFlow::Continue(ReadError::Os(errno).is_absent() || errno == Errno::SRCH),
        };
        let mut space = [0_u8; LONGEST_TARGET];
        let mut entries = RawDir::new(&directory, self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { return ControlFlow::Continue(true) };
            if self.links == 0 {
                return ControlFlow::Continue(false);
            }
            self.links -= 1;
            match target(directory.as_fd(), entry.file_name(), &mut space) {
                Ok(target) => (self.visit)(OpenFile { pid, fd: entry.file_name(), target })?,
                Err(Errno::ACCESS | Errno::PERM) => return ControlFlow::Continue(false),
                Err(_) => {}
            }
        }
        ControlFlow::Continue(true)
    }
}

/// Where a link points to, as far as there is room.
pub(crate) fn target<'a>(
    directory: BorrowedFd<'_>,
    link: &CStr,
    space: &'a mut [u8; LONGEST_TARGET],
) -> Result<&'a [u8], Errno> {
    let length = readlinkat_raw(directory, link, &mut *space)?;
    Ok(&space[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostPath;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn what_this_process_holds_is_seen() {
        let file = std::fs::File::open("/dev/null").expect("there");
        let procfs = HostPath::from("/proc").open(OFlags::DIRECTORY).expect("procfs");
        let mut seen = false;
        let complete = look_through(&procfs, |open| {
            seen |= open.pid == std::process::id()
                && open.fd.to_bytes() == file.as_raw_fd().to_string().as_bytes()
                && open.target == b"/dev/null";
            if seen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(seen, "{complete:?}");
        assert_eq!(complete, Ok(false), "a search that was broken off has not seen everything");
    }

    #[test]
    fn a_tree_without_processes_is_complete() {
        let empty = tempfile::tempdir().expect("directory");
        let procfs = HostPath::from(empty.path()).open(OFlags::DIRECTORY).expect("there");
        assert_eq!(look_through(&procfs, |_| ControlFlow::Continue(())), Ok(true));
    }
}
