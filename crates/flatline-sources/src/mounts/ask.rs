//! One question to one mount. It may never be answered: ask from a thread that nobody waits for.

use super::mountinfo::Device;
use crate::HostPath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, OFlags, StatxFlags, fstatfs, statx};
use rustix::io::{Errno, retry_on_intr};
use std::path::Path;

/// What a mount has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The file system's figures: it works.
    Answered,
    /// Its server or its FUSE process is gone (`ENOTCONN`, `ECONNABORTED`, `EHOSTDOWN` and their like; `EAGAIN` is what
    /// the SMB client says between two attempts to reconnect).
    NoConnection,
    /// A soft mount has given up waiting (`ETIMEDOUT`).
    TimedOut,
    /// The server does not know any more what is mounted (`ESTALE`).
    Stale,
    /// `EIO` or `EREMOTEIO`: what older soft mounts say when they give up.
    IoError,
    /// We may not ask (`EACCES`, `EPERM`), which says nothing about the server.
    Permission,
    /// No path leads there from where the exporter lives, or something else is found at the end of it.
    NotVisible,
    /// Another error: it is an answer.
    Error,
}

impl Answer {
    /// Every answer, in the order of the catalogue.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::NoConnection,
        Self::TimedOut,
        Self::Stale,
        Self::IoError,
        Self::Permission,
        Self::NotVisible,
        Self::Error,
    ];

    /// The value of the catalogue's label `state`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoConnection => "no_connection",
            Self::TimedOut => "timed_out",
            Self::Stale => "stale",
            Self::IoError => "io_error",
            Self::Permission => "permission",
            Self::NotVisible => "not_visible",
            Self::Error => "error",
        }
    }

    /// Whether what is mounted can be used; `None` when the answer does not tell.
    #[must_use]
    pub const fn is_responding(self) -> Option<bool> {
        match self {
            Self::Answered | Self::Error => Some(true),
            Self::NoConnection | Self::TimedOut | Self::Stale | Self::IoError => Some(false),
            Self::Permission | Self::NotVisible => None,
        }
    }

    fn of(errno: Errno) -> Self {
        match errno {
            Errno::NOTCONN
            | Errno::AGAIN
            | Errno::CONNABORTED
            | Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::PIPE
            | Errno::SHUTDOWN => Self::NoConnection,
            Errno::TIMEDOUT => Self::TimedOut,
            Errno::STALE => Self::Stale,
            Errno::IO | Errno::REMOTEIO => Self::IoError,
            Errno::ACCESS | Errno::PERM => Self::Permission,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => Self::NotVisible,
            _ => Self::Error,
        }
    }
}

/// Asks what is mounted at the path below `base` for its figures (`statfs`), if it is that superblock.
///
/// `O_PATH` opens nothing on the server and sets off no automount at the end of the path (open(2)); some file systems
/// have the root looked at again on the way there, and hang or fail here already.
/// The superblock's number is compared first: in a mount namespace of our own (`ProtectHome=`, `PrivateTmp=`) the same
/// path may lead to something else, which would answer for it.
#[must_use]
pub fn ask(base: &HostPath, mountpoint: &Path, device: Device) -> Answer {
    match try_ask(&base.join(mountpoint), device) {
        Ok(answer) => answer,
        Err(errno) => Answer::of(errno),
    }
}

fn try_ask(path: &HostPath, device: Device) -> Result<Answer, Errno> {
    let mount = path.open(OFlags::PATH)?;
    if !is_on(&mount, device)? {
        return Ok(Answer::NotVisible);
    }
    let figures = retry_on_intr(|| fstatfs(mount.as_fd()))?;
    // To whoever may not ask a FUSE server the kernel itself answers, with nothing but the type (fs/fuse/inode.c,
    // fuse_statfs).
    let nothing = figures.f_bsize == 0 && figures.f_blocks == 0 && figures.f_namelen == 0;
    Ok(if nothing { Answer::Permission } else { Answer::Answered })
}

fn is_on(mount: &OwnedFd, device: Device) -> Result<bool, Errno> {
    // Wanting nothing but the device, which needs neither the server nor, on FUSE, its leave.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    match retry_on_intr(|| statx(mount, "", flags, StatxFlags::empty())) {
        Ok(found) => Ok((found.stx_dev_major, found.stx_dev_minor) == (device.major, device.minor)),
        // Kernels before 4.11, or a filter of system calls: then it has to be believed.
        Err(Errno::NOSYS | Errno::PERM) => Ok(true),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    fn device_of(path: &Path) -> Device {
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).expect("statx");
        Device { major: found.stx_dev_major, minor: found.stx_dev_minor }
    }

    #[test]
    fn what_works_answers_and_what_is_not_there_is_not_visible() {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::create_dir(directory.path().join("mnt")).expect("directory");
        let device = device_of(directory.path());
        let ask = |path: &str, device| ask(&directory.path().into(), Path::new(path), device);
        assert_eq!(ask("/mnt", device), Answer::Answered);
        assert_eq!(ask("/elsewhere", device), Answer::NotVisible);
        assert_eq!(ask("/mnt", Device { major: device.major, minor: device.minor + 1 }), Answer::NotVisible);
    }

    #[test]
    fn errors_are_told_apart() {
        let answers = [
            (Errno::NOTCONN, Answer::NoConnection, Some(false)),
            (Errno::HOSTDOWN, Answer::NoConnection, Some(false)),
            (Errno::AGAIN, Answer::NoConnection, Some(false)),
            (Errno::TIMEDOUT, Answer::TimedOut, Some(false)),
            (Errno::STALE, Answer::Stale, Some(false)),
            (Errno::IO, Answer::IoError, Some(false)),
            (Errno::REMOTEIO, Answer::IoError, Some(false)),
            (Errno::ACCESS, Answer::Permission, None),
            (Errno::NOENT, Answer::NotVisible, None),
            (Errno::NOSYS, Answer::Error, Some(true)),
        ];
        for (errno, answer, responding) in answers {
            assert_eq!((Answer::of(errno), answer.is_responding()), (answer, responding), "{errno:?}");
        }
    }
}
