//! Directories that may be huge, the numbers in the names they hold, and paths that mean the same.

use crate::error::ReadError;
use crate::value::number;
use crate::{Fault, HostPath, Roots, SourceError};
use rustix::fs::{Dir, FileType, OFlags};
use std::borrow::Cow;
use std::ffi::CStr;
use std::path::Path;

/// So many entries of a directory are looked at.
pub(super) const MAX_ENTRIES: usize = 65_536;

/// Shows every entry but `.` and `..` to `entry`, with its type where the file system tells. A directory that does
/// not exist is empty, and so is a file.
///
/// # Errors
/// When the directory can't be opened or read, or has more than [`MAX_ENTRIES`] entries: then the first of them
/// have been shown.
pub(super) fn list(path: &HostPath, mut entry: impl FnMut(&CStr, FileType)) -> Result<(), SourceError> {
    let dir = match path.open(OFlags::DIRECTORY).and_then(Dir::new) {
        Ok(dir) => dir,
        Err(errno) if is_missing(errno) => return Ok(()),
        Err(errno) => return Err(SourceError::os(path, errno)),
    };
    let mut seen = 0;
    for found in dir {
        let found = found.map_err(|errno| SourceError::os(path, errno))?;
        if matches!(found.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if seen == MAX_ENTRIES {
            let detail = format!("holds more than {MAX_ENTRIES} entries; the rest is left out");
            return Err(SourceError { path: (&**path).into(), fault: Fault::TooLarge, detail });
        }
        seen += 1;
        entry(found.file_name(), found.file_type());
    }
    Ok(())
}

/// Nothing is there, or something that can't hold anything.
pub(super) fn is_missing(errno: rustix::io::Errno) -> bool {
    ReadError::Os(errno).is_absent() || errno == rustix::io::Errno::NOTDIR
}

/// Debian's `/var/run` is a link to `/run`, and Proxmox VE binds its sockets by the former. Below another root a client
/// can't follow the link: it is absolute.
pub(super) fn same_path(path: &Path) -> Cow<'_, Path> {
    match path.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest).into(),
        Err(_) => path.into(),
    }
}

/// Where a path of the host is for this process.
pub(super) fn in_root(roots: &Roots, path: &Path) -> HostPath {
    if roots.elsewhere().is_none() {
        return roots.rootfs.join(path);
    }
    roots.rootfs.join(same_path(path))
}

/// A decimal number as a program writes it: digits only and no leading zero, so that a name has one number and a
/// number one name.
pub(super) fn plain_number(digits: &[u8]) -> Option<u32> {
    let plain = digits == b"0" || !digits.starts_with(b"0");
    number(digits).filter(|_| plain).and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_directories_and_files_are_empty() {
        let tree = tempfile::tempdir().expect("a directory");
        fs::write(tree.path().join("file"), "").expect("a file");
        for path in ["none", "file", "file/below"] {
            list(&tree.path().join(path).into(), |name, _| panic!("{name:?}")).expect("nothing to list");
        }
    }

    #[test]
    fn a_directory_beyond_the_bound_is_cut_and_named() {
        let tree = tempfile::tempdir().expect("a directory");
        for number in 0..=MAX_ENTRIES {
            std::os::unix::fs::symlink("x", tree.path().join(number.to_string())).expect("a link");
        }
        let mut shown = 0;
        let error = list(&tree.path().into(), |_, _| shown += 1).expect_err("too many");
        assert_eq!((shown, error.fault, &*error.path), (MAX_ENTRIES, Fault::TooLarge, tree.path()));
    }

    #[test]
    fn paths_of_the_host_are_below_its_root() {
        let (here, there) = (Roots::default(), Roots::under(Path::new("/host")));
        assert_eq!(&*in_root(&here, Path::new("/var/run/a")), Path::new("/var/run/a"));
        assert_eq!(&*in_root(&there, Path::new("/var/run/a")), Path::new("/host/run/a"));
        assert_eq!(&*in_root(&there, Path::new("/var/running")), Path::new("/host/var/running"));
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(plain_number(b"100"), Some(100));
        assert_eq!(plain_number(b"0"), Some(0));
        for bad in [&b"0100"[..], b"", b"-1", b"+1", b"4294967296", b"1 "] {
            assert_eq!(plain_number(bad), None, "{bad:?}");
        }
    }
}
