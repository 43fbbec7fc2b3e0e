//! The files of one device: what they hold, and why some of them don't answer.

use crate::error::ReadError;
use crate::read::{SMALL_FILE, parsed, read_whole};
use crate::{HostPath, SourceError};
use rustix::io::Errno;

/// Entries of a directory that are looked at; a driver has some dozens.
const MAX_ENTRIES: usize = 512;
/// Faults told of one look at a card; the further ones are of the same kind.
const MAX_FAULTS: usize = 16;

/// Why a file that is there does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `EBUSY`, `EAGAIN`: the driver resets the card or works on it.
    Busy,
    /// `ENODATA`: there is no value at the moment.
    NoData,
    /// `EIO` and the like: the driver got no answer it could use from the card.
    IoError,
    /// `ETIME`, `ETIMEDOUT`: the card's firmware did not answer the driver in time.
    Timeout,
    /// `EPERM`: the driver refuses, as amdgpu does while the card falls asleep.
    Refused,
    /// `EACCES`: the exporter may not.
    Permission,
    /// `ENODEV`, `ENXIO`: the card went while it was looked at.
    Vanished,
    /// It holds what no driver writes.
    Invalid,
    /// Anything else.
    Other,
}

impl Reason {
    /// Every reason, in the order of the catalogue.
    pub const ALL: [Self; 9] = [
        Self::Busy,
        Self::NoData,
        Self::IoError,
        Self::Timeout,
        Self::Refused,
        Self::Permission,
        Self::Vanished,
        Self::Invalid,
        Self::Other,
    ];

    /// The value of the catalogue's label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoData => "no_data",
            Self::IoError => "io_error",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Permission => "permission",
            Self::Vanished => "vanished",
            Self::Invalid => "invalid",
            Self::Other => "other",
        }
    }

    /// `None` for a file that is not there, or whose driver can't tell for this card: the same to the reader.
    pub(super) const fn of(error: ReadError) -> Option<Self> {
        match error {
            ReadError::Os(Errno::NOENT | Errno::NOTDIR | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => None,
            ReadError::Os(Errno::BUSY | Errno::AGAIN) => Some(Self::Busy),
            ReadError::Os(Errno::NODATA) => Some(Self::NoData),
            ReadError::Os(Errno::IO | Errno::REMOTEIO) => Some(Self::IoError),
            ReadError::Os(Errno::TIME | Errno::TIMEDOUT) => Some(Self::Timeout),
            ReadError::Os(Errno::PERM) => Some(Self::Refused),
            ReadError::Os(Errno::ACCESS) => Some(Self::Permission),
            ReadError::Os(Errno::NODEV | Errno::NXIO) => Some(Self::Vanished),
            ReadError::TooLarge(_) => Some(Self::Invalid),
            ReadError::Os(_) => Some(Self::Other),
        }
    }

    /// Whether it passes by itself, or the card's absence tells it anyway: a state, nothing to look into.
    const fn is_state(self) -> bool {
        matches!(self, Self::Busy | Self::NoData | Self::Timeout | Self::Refused | Self::Vanished)
    }
}

/// How many files did not answer, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread([u64; Reason::ALL.len()]);

impl Unread {
    /// Every reason with its count.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0)
    }

    fn add(&mut self, reason: Reason) {
        for (known, count) in Reason::ALL.into_iter().zip(&mut self.0) {
            *count += u64::from(known == reason);
        }
    }
}

/// Reads files below one directory and keeps account of those that fail.
#[derive(Debug)]
pub(super) struct Files {
    directory: HostPath,
    buffer: Vec<u8>,
    pub(super) unread: Unread,
    pub(super) faults: Vec<SourceError>,
}

impl Files {
    pub(super) fn new(directory: HostPath) -> Self {
        Self { directory, buffer: Vec::with_capacity(SMALL_FILE), unread: Unread::default(), faults: Vec::new() }
    }

    pub(super) fn directory(&self) -> &HostPath {
        &self.directory
    }

    /// One value; `None` when there is no such file or it does not answer.
    pub(super) fn value<T>(&mut self, name: &str, expected: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let path = self.directory.join(name);
        self.value_at(&path, expected, parse)
    }

    /// [`Files::value`] of a file elsewhere.
    pub(super) fn value_at<T>(
        &mut self,
        path: &HostPath,
        expected: &str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        match read_whole(path, SMALL_FILE, &mut self.buffer) {
            Ok(()) => match parsed(parse(&self.buffer), path, &self.buffer, expected) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.failed(Reason::Invalid, error);
                    None
                }
            },
            Err(error) => {
                if let Some(reason) = Reason::of(error) {
                    self.failed(reason, SourceError::io(path, error));
                }
                None
            }
        }
    }

    /// One line of text; `None` when there is none.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.value(name, "text", |content| Some(super::parse::text(content))).filter(|text| !text.is_empty())
    }

    /// A question that is no file, or whose answer is an excuse.
    pub(super) fn unanswered(&mut self, reason: Reason) {
        self.unread.add(reason);
    }

    /// The names in a directory, sorted; none when there is no such directory.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let path = self.directory.join(name);
        let mut names = path.names(MAX_ENTRIES).unwrap_or_else(|errno| {
            let error = ReadError::Os(errno);
            if let Some(reason) = Reason::of(error) {
                self.failed(reason, SourceError::io(&path, error));
            }
            Vec::new()
        });
        names.sort_unstable();
        names
    }

    fn failed(&mut self, reason: Reason, error: SourceError) {
        self.unread.add(reason);
        if !reason.is_state() && self.faults.len() < MAX_FAULTS {
            self.faults.push(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, ReadError, Reason, Unread};

    #[test]
    fn what_is_missing_is_no_trouble_and_trouble_has_its_reason() {
        let of = |errno| Reason::of(ReadError::Os(errno));
        for missing in [Errno::NOENT, Errno::OPNOTSUPP, Errno::INVAL] {
            assert_eq!(of(missing), None);
        }
        for (errno, reason) in [
            (Errno::BUSY, Reason::Busy),
            (Errno::AGAIN, Reason::Busy),
            (Errno::NODATA, Reason::NoData),
            (Errno::IO, Reason::IoError),
            (Errno::TIMEDOUT, Reason::Timeout),
            (Errno::PERM, Reason::Refused),
            (Errno::ACCESS, Reason::Permission),
            (Errno::NODEV, Reason::Vanished),
            (Errno::NOMEM, Reason::Other),
        ] {
            assert_eq!(of(errno), Some(reason), "{errno:?}");
        }
    }

    #[test]
    fn counts_are_kept_apart() {
        let mut unread = Unread::default();
        [Reason::Busy, Reason::Busy, Reason::Other].into_iter().for_each(|reason| unread.add(reason));
        let counts: Vec<_> = unread.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(Reason::Busy, 2), (Reason::Other, 1)]);
        let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(
            labels.join(", "),
            "busy, no_data, io_error, timeout, refused, permission, vanished, invalid, other"
        );
    }
}
