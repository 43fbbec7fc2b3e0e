//! The kernel's log as `/dev/kmsg` gives it, record by record (`Documentation/ABI/testing/dev-kmsg`).
//!
//! Every reader has a position of its own, so nobody is disturbed. The ring forgets its oldest records when it is
//! full; a reader that was too slow is told so once and goes on with the oldest record there is. How many it missed
//! is the gap between the sequence numbers.

use crate::{Probe, Roots, SourceError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat, major, minor};
use rustix::io::{Errno, read, retry_on_intr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The kernel's own buffer for one record and its dictionary is 8 KiB (`PRINTK_MESSAGE_MAX` is 2 KiB since 6.6).
pub const LONGEST_RECORD: usize = 16 * 1024;

/// `/dev/kmsg` by its numbers (`Documentation/admin-guide/devices.txt`), whatever it is called.
const KMSG: (u32, u32) = (1, 11);

/// An open `/dev/kmsg`.
#[derive(Debug)]
pub struct Ring {
    file: OwnedFd,
    path: Arc<Path>,
}

/// What a look at the ring has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'b> {
    /// One record, with its header.
    Record(&'b [u8]),
    /// Records were overwritten before they were read; the next one is the oldest there is.
    Overrun,
    /// A record longer than the buffer; it is skipped.
    TooLong,
    /// Nothing new.
    Empty,
}

impl Ring {
    /// The standard input where that is this kernel's log (systemd's `StandardInput=file:/dev/kmsg` opens it, so that
    /// nobody else needs `CAP_SYSLOG`), else `<rootfs>/dev/kmsg`; at the oldest record. Containers like to have
    /// something else at that path, `/dev/null` or the console, which is no log: absent.
    #[must_use]
    pub fn probe(roots: &Roots) -> Probe<Self> {
        let path = roots.rootfs.join("dev/kmsg");
        if let Some(file) = handed_over(roots) {
            return Probe::Present(Self { file, path: (&*path).into() });
        }
        match path.open(OFlags::NONBLOCK) {
            Ok(file) if is_log(&file) || is_pipe(&file) => Probe::Present(Self { file, path: (&*path).into() }),
            Ok(_) => Probe::Absent(format!("{} is not the kernel's log (character device 1:11)", path.display())),
            Err(Errno::NOENT) => Probe::Absent(format!("no {}", path.display())),
            Err(errno) => Probe::Broken(SourceError::os(&path, errno)),
        }
    }

    /// The next record, if there is one. Never waits. `buffer` should hold [`LONGEST_RECORD`].
    ///
    /// # Errors
    /// When the device can't be read, or is none: a log has no end.
    pub fn next<'b>(&self, buffer: &'b mut [u8]) -> Result<Next<'b>, SourceError> {
        match retry_on_intr(|| read(&self.file, &mut *buffer)) {
            Ok(0) => Err(SourceError::unanswered(&self.path, "has ended, as no kernel's log does")),
            Err(Errno::AGAIN) => Ok(Next::Empty),
            Ok(length) => Ok(Next::Record(&buffer[..length])),
            Err(Errno::PIPE) => Ok(Next::Overrun),
            Err(Errno::INVAL) => Ok(Next::TooLong),
            Err(errno) => Err(SourceError::os(&self.path, errno)),
        }
    }

    /// Waits for a record, no longer than `patience`; whether there should be one.
    ///
    /// # Errors
    /// When the device can't be waited for.
    pub fn wait(&self, patience: Duration) -> Result<bool, SourceError> {
        let timeout = Timespec::try_from(patience).ok();
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(SourceError::os(&self.path, errno)),
        }
    }
}

/// The standard input, if it is the log of this host and may be read without waiting.
fn handed_over(roots: &Roots) -> Option<OwnedFd> {
    let input = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    (is_log(&input) && roots.elsewhere().is_none()).then_some(())?;
    let flags = fcntl_getfl(&input).ok()?;
    fcntl_setfl(&input, flags | OFlags::NONBLOCK).ok()?;
    Some(input)
}

fn is_log(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == KMSG
    })
}

/// What stands for the log in a tree that was made: it waits like the device.
fn is_pipe(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_RECORD, Next, Ring};
    use crate::{Probe, Roots};
    use rustix::fs::{CWD, FileType, Mode};
    use std::path::Path;

    #[test]
    fn this_machines_ring_is_read_to_its_end() {
        let ring = match Ring::probe(&Roots::default()) {
            Probe::Present(ring) => ring,
            other => return flatline_lab::skipped("this machine's kernel log", format!("/dev/kmsg: {other:?}")),
        };
        let mut buffer = vec![0; LONGEST_RECORD];
        let mut records = 0;
        loop {
            match ring.next(&mut buffer).expect("readable") {
                Next::Record(record) => {
                    records += 1;
                    assert!(record.contains(&b';') && record.ends_with(b"\n"), "{record:?}");
                }
                Next::Empty => break,
                Next::Overrun | Next::TooLong => {}
            }
        }
        assert!(records > 0);
    }

    #[test]
    fn a_record_longer_than_the_buffer_is_skipped() {
        let Probe::Present(ring) = Ring::probe(&Roots::default()) else {
            return flatline_lab::skipped("a long record of the kernel log", "/dev/kmsg can't be read here");
        };
        assert_eq!(ring.next(&mut [0; 8]).expect("readable"), Next::TooLong);
        assert!(matches!(ring.next(&mut [0; LONGEST_RECORD]).expect("readable"), Next::Record(_)));
    }

    #[test]
    fn what_only_lies_in_its_place_is_not_read() {
        let directory = tempfile::tempdir().expect("directory");
        let place = directory.path().join("dev/kmsg");
        std::fs::create_dir_all(directory.path().join("dev")).expect("directory");
        let refused = || match Ring::probe(&Roots::under(directory.path())) {
            Probe::Absent(reason) => assert!(reason.contains("is not the kernel's log"), "{reason}"),
            other => panic!("{other:?}"),
        };
        std::fs::write(&place, "6,1,0,-;a file\n").expect("a file");
        refused();
        std::fs::remove_file(&place).expect("ours");
        std::fs::create_dir(&place).expect("a directory");
        refused();
        std::fs::remove_dir(&place).expect("ours");
        let fifo = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        rustix::fs::mknodat(CWD, &place, fifo.0, fifo.1, 0).expect("a pipe");
        let ring = Ring::probe(&Roots::under(directory.path())).present().expect("a pipe is as good");
        let error = ring.next(&mut [0; 8]).expect_err("nobody writes");
        assert!(error.to_string().contains("has ended"), "{error}");
        std::fs::remove_file(&place).expect("ours");
        let null = rustix::fs::mknodat(CWD, &place, FileType::CharacterDevice, fifo.1, rustix::fs::makedev(1, 3));
        match null.map(|()| std::fs::File::open(&place).is_ok()) {
            Ok(true) => refused(),
            other => flatline_lab::skipped("/dev/null in the place of the kernel's log", format!("{other:?}")),
        }
    }

    #[test]
    fn a_host_without_the_device_is_told_apart() {
        let directory = tempfile::tempdir().expect("directory");
        assert!(matches!(Ring::probe(&Roots::under(directory.path())), Probe::Absent(_)));
        std::fs::create_dir_all(directory.path().join("dev")).expect("directory");
        std::os::unix::fs::symlink("kmsg", directory.path().join("dev/kmsg")).expect("a loop");
        assert!(matches!(Ring::probe(&Roots::under(Path::new(directory.path()))), Probe::Broken(_)));
    }
}
