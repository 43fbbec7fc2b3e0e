//! Errors that name the file, the problem and, where there is one, the remedy.

use rustix::io::Errno;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Why a source could not be read or understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The exporter may not read it (`EACCES`, `EPERM`).
    PermissionDenied,
    /// It is gone although it was expected (`ENOENT`, `ENODEV`, `ENOTDIR`).
    NotFound,
    /// There is a directory in place of a file.
    IsADirectory,
    /// The content is not what this file holds on any kernel.
    InvalidContent,
    /// It holds more than the bound for such a file.
    TooLarge,
    /// The process or the host has no file descriptor left (`EMFILE`, `ENFILE`).
    OutOfFileDescriptors,
    /// Anything else the kernel says.
    IoError,
}

impl Fault {
    /// Every fault, in the order of the catalogue.
    pub const ALL: [Self; 7] = [
        Self::PermissionDenied,
        Self::NotFound,
        Self::IsADirectory,
        Self::InvalidContent,
        Self::TooLarge,
        Self::OutOfFileDescriptors,
        Self::IoError,
    ];

    /// The value of the catalogue's label `fault`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::IsADirectory => "is_a_directory",
            Self::InvalidContent => "invalid_content",
            Self::TooLarge => "too_large",
            Self::OutOfFileDescriptors => "out_of_file_descriptors",
            Self::IoError => "io_error",
        }
    }

    /// What an operator can do about it, if anything.
    const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::PermissionDenied => Some("run the exporter as root or with CAP_DAC_READ_SEARCH"),
            Self::OutOfFileDescriptors => Some("raise the limit on open files (LimitNOFILE=, ulimit -n)"),
            Self::IsADirectory => Some("check the --path.* flags"),
            _ => None,
        }
    }

    pub(crate) const fn of(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM => Self::PermissionDenied,
            Errno::NOENT | Errno::NODEV | Errno::NOTDIR => Self::NotFound,
            Errno::ISDIR => Self::IsADirectory,
            Errno::MFILE | Errno::NFILE => Self::OutOfFileDescriptors,
            _ => Self::IoError,
        }
    }
}

/// A source that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SourceError {
    /// The file or directory.
    pub path: Arc<Path>,
    /// What kind of problem.
    pub fault: Fault,
    /// The problem in words, without the path.
    pub detail: String,
}

impl SourceError {
    /// A problem found in the content of a file.
    #[must_use]
    pub fn invalid(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.into(), fault: Fault::InvalidContent, detail: detail.into() }
    }

    /// Somebody who should answer there does not, or not in a way that can be understood.
    #[must_use]
    pub fn unanswered(path: &Path, detail: impl Into<String>) -> Self {
        Self { path: path.into(), fault: Fault::IoError, detail: detail.into() }
    }

    pub(crate) fn io(path: &Path, error: ReadError) -> Self {
        let (fault, detail) = match error {
            ReadError::Os(errno) => (Fault::of(errno), std::io::Error::from(errno).to_string()),
            ReadError::TooLarge(limit) => (Fault::TooLarge, format!("holds more than {limit} bytes")),
        };
        Self { path: path.into(), fault, detail }
    }

    pub(crate) fn os(path: &Path, errno: Errno) -> Self {
        Self::io(path, ReadError::Os(errno))
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.detail)?;
        match self.fault.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// What goes wrong with the parts of one source. Where no part could be read, the last fault is the caller's error, who
/// reports it: it must not go to `faults` as well.
#[derive(Debug, Default)]
pub(crate) struct PartFaults(Option<SourceError>);

impl PartFaults {
    /// A part could not be read.
    pub(crate) fn add(&mut self, error: SourceError, faults: &mut dyn FnMut(&SourceError)) {
        self.0.replace(error).iter().for_each(faults);
    }

    /// All parts have been tried.
    pub(crate) fn settle(self, is_empty: bool, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        match self.0 {
            Some(error) if is_empty => Err(error),
            last => {
                last.iter().for_each(faults);
                Ok(())
            }
        }
    }
}

/// A failed read before anybody has spent an allocation on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    Os(Errno),
    TooLarge(usize),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

impl ReadError {
    /// The file, or the cgroup or device around it, does not exist (any more): normal, not a fault.
    pub(crate) const fn is_absent(self) -> bool {
        matches!(self, Self::Os(Errno::NOENT | Errno::NODEV))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_path_problem_and_remedy() {
        let error = SourceError::os(Path::new("/proc/x"), Errno::ACCESS);
        let text = error.to_string();
        assert!(text.starts_with("/proc/x: Permission denied"), "{text}");
        assert!(text.contains("CAP_DAC_READ_SEARCH"), "{text}");
    }

    #[test]
    fn labels_are_distinct_and_match_the_order() {
        let labels: Vec<_> = Fault::ALL.iter().map(|fault| fault.label()).collect();
        assert_eq!(
            labels.join(", "),
            "permission_denied, not_found, is_a_directory, invalid_content, too_large, out_of_file_descriptors, io_error"
        );
    }
}
