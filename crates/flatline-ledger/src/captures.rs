//! Incident captures: what a script, a timer or a person saved around a crash, and from when it is.
//!
//! The time comes from the file's name where it has one, as that is when the capture began; else from its modification
//! time. Names carry local time mostly: give the host's zone.

use flatline_sources::read::{STATISTICS_FILE, read_optional};
use flatline_sources::{Fault, Roots, SourceError};
use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, format};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Captures of one directory that are looked at.
pub const MAX_CAPTURES: usize = 10_000;
/// Directory entries that are looked at to find them.
const MAX_ENTRIES: usize = 10 * MAX_CAPTURES;

/// One capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// When it was taken.
    pub time: Timestamp,
    /// Where that is known from.
    pub dated_by: DatedBy,
    /// Its file.
    pub path: PathBuf,
    /// Its size. An empty one died with the host.
    pub bytes: u64,
}

/// Where a capture's time is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatedBy {
    /// The file's name.
    Name,
    /// The file's modification time: the end of the capture, or of a later copy.
    ModificationTime,
}

/// How names tell the time: the start of the name in the notation of `strftime`, such as `incident-%Y%m%d-%H%M%S`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTime {
    format: String,
    zone: TimeZone,
}

/// A format that tells no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{format}`: {detail}")]
pub struct BadFormat {
    /// The format as given.
    pub format: String,
    /// What is wrong with it.
    pub detail: String,
}

impl NameTime {
    /// A format, and the zone of names that don't say theirs (`%z`).
    ///
    /// # Errors
    /// When it is no format, or gives no date and time of day.
    pub fn new(text: &str, zone: TimeZone) -> Result<Self, BadFormat> {
        let bad = |detail: String| BadFormat { format: text.into(), detail };
        let example =
            format(text, &Timestamp::UNIX_EPOCH.to_zoned(zone.clone())).map_err(|error| bad(error.to_string()))?;
        let names = Self { format: text.into(), zone };
        match names.parse(example.as_bytes()) {
            Some(_) if text.contains("%H") || text.contains("%s") || text.contains('T') => Ok(names),
            _ => Err(bad("expected a date and a time of day, as in incident-%Y%m%d-%H%M%S".into())),
        }
    }

    /// When the capture of that name was taken. What follows the time in the name is not looked at.
    #[must_use]
    pub fn parse(&self, name: &[u8]) -> Option<Timestamp> {
        let (time, _) = BrokenDownTime::parse_prefix(&self.format, name).ok()?;
        match time.to_timestamp() {
            Ok(timestamp) => Some(timestamp),
            Err(_) => self.zone.to_timestamp(time.to_datetime().ok()?).ok(),
        }
    }
}

/// The host's time zone (`/etc/localtime`); UTC where there is none, as glibc has it.
///
/// # Errors
/// When the file can't be read or is no time zone.
pub fn host_zone(roots: &Roots) -> Result<TimeZone, SourceError> {
    let path = roots.rootfs.join("etc/localtime");
    let mut content = Vec::new();
    if !read_optional(&path, STATISTICS_FILE, &mut content)? {
        return Ok(TimeZone::UTC);
    }
    TimeZone::tzif("host", &content).map_err(|error| SourceError::invalid(&path, error.to_string()))
}

/// The captures of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    /// In the order of their times.
    pub captures: Vec<Capture>,
    /// There were more than [`MAX_CAPTURES`]: the nearest one may be missing.
    pub more: bool,
}

/// Lists the regular files of `directory` whose names `accept` likes. Opens none of them.
///
/// # Errors
/// When the directory can't be listed. A file that disappears meanwhile is none.
pub fn read_captures(
    directory: &Path,
    accept: &dyn Fn(&OsStr) -> bool,
    names: Option<&NameTime>,
) -> Result<Captures, SourceError> {
    let failed = |error: &io::Error| SourceError {
        path: directory.into(),
        fault: fault(error.kind()),
        detail: error.to_string(),
    };
    let mut found = Captures::default();
    for (entry, seen) in std::fs::read_dir(directory).map_err(|error| failed(&error))?.zip(1..) {
        let entry = entry.map_err(|error| failed(&error))?;
        if seen > MAX_ENTRIES || found.captures.len() == MAX_CAPTURES {
            found.more = true;
            break;
        }
        if accept(&entry.file_name()) {
            found.captures.extend(capture(&entry, names));
        }
    }
    found.captures.sort_by(|one, other| (one.time, &one.path).cmp(&(other.time, &other.path)));
    Ok(found)
}

fn capture(entry: &std::fs::DirEntry, names: Option<&NameTime>) -> Option<Capture> {
    let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let by_name = names.and_then(|names| names.parse(entry.file_name().as_encoded_bytes()));
    let (time, dated_by) = match by_name {
        Some(time) => (time, DatedBy::Name),
        None => (Timestamp::try_from(metadata.modified().ok()?).ok()?, DatedBy::ModificationTime),
    };
    Some(Capture { time, dated_by, path: entry.path(), bytes: metadata.len() })
}

const fn fault(kind: io::ErrorKind) -> Fault {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::NotFound,
        io::ErrorKind::PermissionDenied => Fault::PermissionDenied,
        _ => Fault::IoError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::offset;
    use proptest::prelude::*;

    const HEMMA: &str = "incident-%Y%m%d-%H%M%S";

    fn names(zone: TimeZone) -> NameTime {
        NameTime::new(HEMMA, zone).expect("a format")
    }

    fn utc(name: &str) -> Option<String> {
        names(TimeZone::UTC).parse(name.as_bytes()).map(|time| time.to_string())
    }

    #[test]
    fn times_of_names() {
        assert_eq!(utc("incident-20260105-065819.log").as_deref(), Some("2026-01-05T06:58:19Z"));
        assert_eq!(utc("incident-20260104-153900-154030.log").as_deref(), Some("2026-01-04T15:39:00Z"));
        for name in ["", "incident-", "incident-2026-01-05.log", "incident-20261305-065819.log", "notes.txt"] {
            assert_eq!(utc(name), None, "{name}");
        }
        let east = names(TimeZone::fixed(offset(2))).parse(b"incident-20260105-065819.log").expect("a time");
        assert_eq!(east.to_string(), "2026-01-05T04:58:19Z");
    }

    #[test]
    fn a_format_must_tell_a_time() {
        for text in ["incident.log", "%Y%m%d", "%", "%Q%J", "%H:%M"] {
            assert!(NameTime::new(text, TimeZone::UTC).is_err(), "{text}");
        }
        for text in [HEMMA, "%Y-%m-%dT%H:%M:%S", "%F_%H-%M-%S", "cap-%s", "%Y%m%d-%H%M%S%z"] {
            assert!(NameTime::new(text, TimeZone::UTC).is_ok(), "{text}");
        }
    }

    #[test]
    fn lists_files_only_and_falls_back_to_the_modification_time() {
        let tree = tempfile::tempdir().expect("a directory");
        for (name, content) in [("incident-20260105-065819.log", ""), ("incident-odd.log", "text"), ("other", "")] {
            std::fs::write(tree.path().join(name), content).expect("written");
        }
        std::fs::create_dir(tree.path().join("incident-20260105-065820.log")).expect("a directory");
        std::os::unix::fs::symlink("/dev/zero", tree.path().join("incident-link")).expect("a link");
        let accept = |name: &OsStr| name.as_encoded_bytes().starts_with(b"incident-");
        let found = read_captures(tree.path(), &accept, Some(&names(TimeZone::UTC))).expect("readable");
        let seen: Vec<_> = found.captures.iter().map(|capture| (capture.dated_by, capture.bytes)).collect();
        assert_eq!(seen, [(DatedBy::Name, 0), (DatedBy::ModificationTime, 4)]);
        assert!(!found.more);
        let error = read_captures(&tree.path().join("none"), &accept, None).expect_err("missing");
        assert_eq!((error.fault, error.path.ends_with("none")), (Fault::NotFound, true));
    }

    #[test]
    fn the_zone_is_the_hosts() {
        let tree = tempfile::tempdir().expect("a directory");
        let roots = Roots::under(tree.path());
        assert_eq!(host_zone(&roots), Ok(TimeZone::UTC));
        let zones = tree.path().join("usr/share/zoneinfo");
        std::fs::create_dir_all(&zones).expect("created");
        std::fs::create_dir(tree.path().join("etc")).expect("created");
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Test", tree.path().join("etc/localtime")).expect("linked");
        std::fs::write(zones.join("Test"), fixed_zone(7200)).expect("written");
        let zone = host_zone(&roots).expect("a zone");
        assert_eq!(zone.to_offset(Timestamp::UNIX_EPOCH), offset(2));
        std::fs::write(zones.join("Test"), "no zone").expect("written");
        assert_eq!(host_zone(&roots).expect_err("no zone").fault, Fault::InvalidContent);
    }

    /// A TZif file, version 1 (RFC 9636): no transitions, one type.
    fn fixed_zone(seconds: i32) -> Vec<u8> {
        let mut file = b"TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        for count in [0_u32, 0, 0, 0, 1, 4] {
            file.extend(count.to_be_bytes());
        }
        file.extend(seconds.to_be_bytes());
        file.extend(b"\0\0TST\0");
        file
    }

    proptest! {
        #[test]
        fn survives_any_name(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = names(TimeZone::UTC).parse(&name);
        }

        #[test]
        fn survives_any_format(format in any::<String>(), name in any::<String>()) {
            if let Ok(names) = NameTime::new(&format, TimeZone::UTC) {
                let _ = names.parse(name.as_bytes());
            }
        }

        #[test]
        fn reads_every_second(second in 1_600_000_000_i64..4_000_000_000) {
            let time = Timestamp::from_second(second).expect("in range");
            let name = format("incident-%Y%m%d-%H%M%S.log", &time.to_zoned(TimeZone::UTC)).expect("a name");
            prop_assert_eq!(names(TimeZone::UTC).parse(name.as_bytes()), Some(time));
        }
    }
}
