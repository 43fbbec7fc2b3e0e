//! Listing files that may be evidence, within bounds: how many, how large, the newest.

use crate::error::ReadError;
use crate::host_path::open_below;
use crate::{Fault, HostPath, SourceError};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, OFlags, RawDir, statat};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// So many entries of all directories of one kind of evidence are looked at.
const MAX_ENTRIES: usize = 65_536;
/// Levels below a dump directory: kdump-tools uses one, systemd-pstore two.
const DUMP_LEVELS: u32 = 2;
const LISTING_BUFFER: usize = 32 * 1024;

/// Files that were found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// How many.
    pub count: u64,
    /// How many of them hold nothing.
    pub empty: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// The newest: when it was last written, in seconds since the epoch, and its size.
    pub newest: Option<(f64, u64)>,
}

impl Evidence {
    pub(super) fn add(&mut self, file: &File) {
        self.count += 1;
        self.empty += u64::from(file.bytes == 0);
        self.bytes = self.bytes.saturating_add(file.bytes);
        self.see(file);
    }

    /// Takes note of a file that belongs to one that was counted.
    fn see(&mut self, file: &File) {
        if self.newest.is_none_or(|(newest, _)| file.modified > newest) {
            self.newest = Some((file.modified, file.bytes));
        }
    }
}

/// One regular file.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) bytes: u64,
    /// Seconds since the epoch.
    pub(super) modified: f64,
}

/// Lists directories; links are never followed.
#[derive(Debug)]
pub(super) struct Listing {
    left: usize,
}

impl Listing {
    pub(super) const fn new() -> Self {
        Self { left: MAX_ENTRIES }
    }

    /// Shows every regular file of a directory with its name.
    ///
    /// # Errors
    /// When the directory can't be read, or holds more than the bound: then the first of them have been shown.
    pub(super) fn each_file(
        &mut self,
        directory: BorrowedFd<'_>,
        path: &Path,
        mut file: impl FnMut(&CStr, File),
    ) -> Result<(), SourceError> {
        self.each_entry(directory, path, &mut |name, kind| {
            if matches!(kind, FileType::RegularFile | FileType::Unknown)
                && let Some(found) = regular_file(directory, name)
            {
                file(name, found);
            }
            Ok(())
        })
    }

    fn each_entry(
        &mut self,
        directory: BorrowedFd<'_>,
        path: &Path,
        entry: &mut dyn FnMut(&CStr, FileType) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut buffer = Vec::with_capacity(LISTING_BUFFER);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(found) = entries.next() {
            let found = found.map_err(|errno| SourceError::os(path, errno))?;
            if matches!(found.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            if self.left == 0 {
                let detail = format!("more than {MAX_ENTRIES} entries; the rest is left out");
                return Err(SourceError { path: path.into(), fault: Fault::TooLarge, detail });
            }
            self.left -= 1;
            entry(found.file_name(), found.file_type())?;
        }
        Ok(())
    }
}

/// The dumps below a directory: one for each directory that holds files of a dump, and one for each such file at the
/// top. `None` when the directory does not exist.
///
/// # Errors
/// When it, or one below it, can't be read or there is too much.
pub(super) fn dumps(path: &HostPath) -> Result<Option<Evidence>, SourceError> {
    let directory = match path.open(OFlags::DIRECTORY) {
        Ok(directory) => directory,
        Err(errno) if is_missing(errno) => return Ok(None),
        Err(errno) => return Err(SourceError::os(path, errno)),
    };
    let mut evidence = Evidence::default();
    // Two passes: subdirectories are opened while their parent is listed, files need no more than their parent.
    Listing::new().each_file(directory.as_fd(), path, |name, file| {
        if is_dump(name.to_bytes()) {
            evidence.add(&file);
        }
    })?;
    subdirectories(&mut Listing::new(), directory.as_fd(), path, DUMP_LEVELS, &mut evidence)?;
    Ok(Some(evidence))
}

fn subdirectories(
    listing: &mut Listing,
    parent: BorrowedFd<'_>,
    path: &Path,
    levels: u32,
    evidence: &mut Evidence,
) -> Result<(), SourceError> {
    if levels == 0 {
        return Ok(());
    }
    let mut names = Vec::new();
    // The position of the descriptor is at the end after the first pass.
    let parent = open_below(parent, c".", OFlags::DIRECTORY).map_err(|errno| SourceError::os(path, errno))?;
    listing.each_entry(parent.as_fd(), path, &mut |name, kind| {
        if matches!(kind, FileType::Directory | FileType::Unknown) {
            names.push(name.to_owned());
        }
        Ok(())
    })?;
    for name in names {
        let path = path.join(OsStr::from_bytes(name.to_bytes()));
        let directory = match open_below(parent.as_fd(), name.as_c_str(), OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(directory) => directory,
            // Gone, or a file system that does not tell files from directories.
            Err(errno) if is_missing(errno) || errno == Errno::LOOP => continue,
            Err(errno) => return Err(SourceError::os(&path, errno)),
        };
        one_dump(listing, directory.as_fd(), &path, evidence)?;
        subdirectories(listing, directory.as_fd(), &path, levels - 1, evidence)?;
    }
    Ok(())
}

/// Counts a directory that holds files of a dump as one.
fn one_dump(
    listing: &mut Listing,
    directory: BorrowedFd<'_>,
    path: &Path,
    evidence: &mut Evidence,
) -> Result<(), SourceError> {
    let mut whole: Option<File> = None;
    listing.each_file(directory, path, |name, file| {
        if is_dump(name.to_bytes()) {
            let (bytes, modified) = whole.map_or((0, file.modified), |whole| (whole.bytes, whole.modified));
            whole = Some(File { bytes: bytes.saturating_add(file.bytes), modified: modified.max(file.modified) });
        }
    })?;
    whole.iter().for_each(|whole| evidence.add(whole));
    Ok(())
}

/// What kdump (`vmcore`, `dump.202601060930`, `dmesg.202601060930`, `vmcore-dmesg.txt`) and systemd-pstore
/// (`dmesg-efi-...`, `dmesg.txt`) write; not Ubuntu's reports of crashed programs, which share `/var/crash`.
fn is_dump(name: &[u8]) -> bool {
    [&b"vmcore"[..], b"dump.", b"dmesg"].iter().any(|start| name.starts_with(start))
}

fn regular_file(directory: BorrowedFd<'_>, name: &CStr) -> Option<File> {
    // A file that is gone by now is none.
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let modified = stat.st_mtime as f64 + stat.st_mtime_nsec as f64 / 1e9;
    Some(File { bytes: u64::try_from(stat.st_size).unwrap_or(0), modified })
}

pub(super) fn is_missing(errno: Errno) -> bool {
    ReadError::Os(errno).is_absent() || errno == Errno::NOTDIR
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    fn write(path: &Path, content: &str, seconds: u64) {
        fs::create_dir_all(path.parent().expect("below a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).expect("our file");
    }

    #[test]
    fn a_directory_of_a_dump_is_one_dump_and_other_files_are_none() {
        let tree = tempfile::tempdir().expect("a directory");
        let path = |name: &str| tree.path().join(name);
        assert_eq!(dumps(&path("none").into()).expect("nothing"), None);
        assert_eq!(dumps(&tree.path().into()).expect("empty"), Some(Evidence::default()));
        write(&path("202601060930/dump.202601060930"), "12345", 200);
        write(&path("202601060930/dmesg.202601060930"), "12", 210);
        write(&path("171234/001/dmesg.txt"), "123", 100);
        write(&path("kexec_cmd"), "x", 900);
        write(&path("_usr_bin_cat.0.crash"), "x", 900);
        write(&path("linux-image/x.crash"), "x", 900);
        std::os::unix::fs::symlink("/", path("link")).expect("a link");
        let found = dumps(&tree.path().into()).expect("readable").expect("there");
        assert_eq!((found.count, found.bytes, found.newest), (2, 10, Some((210.0, 7))));
        write(&path("vmcore"), "", 300);
        let found = dumps(&tree.path().into()).expect("readable").expect("there");
        assert_eq!((found.count, found.empty, found.newest), (3, 1, Some((300.0, 0))));
    }
}
