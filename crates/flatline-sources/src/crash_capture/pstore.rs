//! pstore: its backend and its records (kernel documentation: `Documentation/ABI/testing/pstore`).

use super::files::{Evidence, Listing};
use crate::error::ReadError;
use crate::{HostPath, SourceError};
use rustix::fd::AsFd;
use rustix::fs::{OFlags, fstatfs};

/// Parses `/sys/module/pstore/parameters/backend`: the backend, or none (`(null)`); `None` when it is neither.
#[must_use]
pub fn parse_backend(content: &[u8]) -> Option<Option<String>> {
    /// Kernel parameters are at most this long in practice; a name that is longer is none.
    const LONGEST: usize = 64;
    let name = content.trim_ascii();
    if matches!(name, b"" | b"(null)" | b"null") {
        return Some(None);
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    if name.len() > LONGEST || !name.iter().all(legal) {
        return None;
    }
    str::from_utf8(name).ok().map(|name| Some(name.to_owned()))
}

/// What stands at the mount point.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Store {
    pub(super) mounted: Option<bool>,
    pub(super) records: Option<Evidence>,
}

/// Lists the records. Where something else is mounted there are none to see, which says nothing about the backend.
///
/// # Errors
/// When the directory exists and may not be opened or listed: it is root's as a rule.
pub(super) fn read_store(path: &HostPath, listing: &mut Listing) -> Result<Store, SourceError> {
    let directory = match path.open(OFlags::DIRECTORY) {
        Ok(directory) => directory,
        Err(errno) if ReadError::Os(errno).is_absent() => return Ok(Store::default()),
        Err(errno) => return Err(SourceError::os(path, errno)),
    };
    // Magic numbers of linux/magic.h: pstore, and sysfs, whose bare mount point this is.
    let magic = fstatfs(&directory).map(|stat| u64::try_from(stat.f_type).unwrap_or(0) & 0xffff_ffff);
    let mounted = match magic {
        Ok(0x6165_676c) => Some(true),
        Ok(0x6265_6572) => return Ok(Store { mounted: Some(false), records: None }),
        // A recorded tree.
        _ => None,
    };
    let mut records = Evidence::default();
    listing.each_file(directory.as_fd(), path, |_, file| records.add(&file))?;
    Ok(Store { mounted, records: Some(records) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn null_is_no_backend() {
        assert_eq!(parse_backend(b"(null)\n"), Some(None));
        assert_eq!(parse_backend(b"\n"), Some(None));
        assert_eq!(parse_backend(b"ramoops\n"), Some(Some("ramoops".to_owned())));
        assert_eq!(parse_backend(b"efi_pstore\n"), Some(Some("efi_pstore".to_owned())));
        assert_eq!(parse_backend(b"two words"), None);
        assert_eq!(parse_backend(&[b'a'; 65]), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(Some(backend)) = parse_backend(&bytes) {
                prop_assert!(!backend.is_empty() && !backend.contains(['(', ' ', '"', '\n']));
            }
        }
    }
}
