//! The state of the links, from `<sysfs>/class/net/*` (`Documentation/ABI/testing/sysfs-class-net`,
//! `Documentation/networking/operstates.rst`).
//!
//! `speed`, `duplex` and statistics are not read: those files wait for the lock of the network configuration, behind
//! which half of a dying host queues.

use crate::error::ReadError;
use crate::patterns::GlobSet;
use crate::read::{SMALL_FILE, parsed, read_optional};
use crate::value::number_file;
use crate::{Fault, HostPath, SourceError};

/// Entries of the directory that are looked at.
const MAX_ENTRIES: usize = 65_536;
/// `IFF_UP`: somebody wants the link.
const WANTED: u64 = 1;

/// RFC 2863's states as the kernel names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operstate {
    /// Its driver does not say.
    Unknown,
    /// The hardware is not there.
    NotPresent,
    /// No carrier, or not wanted.
    Down,
    /// What it runs over is down.
    LowerLayerDown,
    /// Under test.
    Testing,
    /// Waits for something, such as 802.1X.
    Dormant,
    /// Passes packets.
    Up,
}

impl Operstate {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Unknown, Self::NotPresent, Self::Down, Self::LowerLayerDown, Self::Testing, Self::Dormant, Self::Up];

    /// The kernel's word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        }
    }

    fn parse(content: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label().as_bytes() == content.trim_ascii())
    }
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What the kernel says; `None` when it can't be read or says something new.
    pub state: Option<Operstate>,
    /// Whether packets pass: state `up`, or a carrier where the driver does not say; `None` when that can't be known.
    pub up: Option<bool>,
    /// How often the carrier came or went since the interface appeared.
    pub carrier_changes: Option<u64>,
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

/// Reads the links that are not excluded, by name, at most `most`; `None` when they can't be listed. What can't be read
/// of one goes to `faults` and is unknown.
pub(super) fn read(
    directory: &HostPath,
    excluded: &GlobSet,
    most: usize,
    buffer: &mut Vec<u8>,
    faults: Faults<'_>,
) -> Option<Vec<Link>> {
    let mut names = match directory.names(MAX_ENTRIES) {
        Ok(names) => names,
        Err(errno) => {
            if !ReadError::Os(errno).is_absent() {
                faults(&SourceError::os(directory, errno));
            }
            return None;
        }
    };
    names.retain(|name| !excluded.is_match(name));
    names.sort_unstable();
    let links = names.into_iter().filter_map(|name| read_link(directory, name, buffer, faults));
    Some(links.take(most).collect())
}

/// Whether one interface passes packets, whatever is excluded. One that is not there does not; `None` when that can't be
/// known.
pub(super) fn is_up(directory: &HostPath, name: &str, buffer: &mut Vec<u8>, faults: Faults<'_>) -> Option<bool> {
    match read_link(directory, name.to_owned(), buffer, faults) {
        Some(link) => link.up,
        None => directory.is_dir().then_some(false),
    }
}

/// `None` for what is no interface (`bonding_masters`) or has just gone.
fn read_link(directory: &HostPath, name: String, buffer: &mut Vec<u8>, faults: Faults<'_>) -> Option<Link> {
    let mut files = Files { directory: directory.join(&name), buffer, faults };
    let state = match files.read("operstate") {
        Some(false) => return None,
        Some(true) => files.parsed("operstate", "the state of a link", Operstate::parse),
        None => None,
    };
    let up = state.and_then(|state| match state {
        Operstate::Up => Some(true),
        Operstate::Unknown => files.has_carrier(),
        _ => Some(false),
    });
    let carrier_changes = files.value("carrier_changes", "a count", number_file);
    Some(Link { up, name, state, carrier_changes })
}

/// The files of one interface.
struct Files<'a, 'b> {
    directory: HostPath,
    buffer: &'a mut Vec<u8>,
    faults: Faults<'b>,
}

impl Files<'_, '_> {
    /// Where the driver does not say: somebody wants the link, and it has a carrier.
    fn has_carrier(&mut self) -> Option<bool> {
        let wanted = self.value("flags", "flags like 0x1003", hexadecimal)? & WANTED != 0;
        // Asking for the carrier of what nobody wants is an error.
        if wanted { self.value("carrier", "0 or 1", number_file).map(|carrier| carrier == 1) } else { Some(false) }
    }

    /// One value; `None` when there is none or it can't be read.
    fn value<T>(&mut self, file: &str, expected: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if self.read(file) == Some(true) { self.parsed(file, expected, parse) } else { None }
    }

    fn parsed<T>(&mut self, file: &str, expected: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let value = parsed(parse(self.buffer), &self.directory.join(file), self.buffer, expected);
        value.map_err(|error| (self.faults)(&error)).ok()
    }

    /// Reads a file; `false` when it, or what it is about, is not there, `None` when it can't be read.
    fn read(&mut self, file: &str) -> Option<bool> {
        match read_optional(&self.directory.join(file), SMALL_FILE, self.buffer) {
            Ok(found) => Some(found),
            // EINVAL: the interface went down in between.
            Err(error) if matches!(error.fault, Fault::NotFound | Fault::IoError) => Some(false),
            Err(error) => {
                (self.faults)(&error);
                None
            }
        }
    }
}

fn hexadecimal(content: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(content.trim_ascii()).ok()?;
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn link(tree: &Path, name: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(tree.join(name)).expect("directory");
        for (file, content) in files {
            fs::write(tree.join(name).join(file), content).expect("written");
        }
    }

    #[test]
    fn up_is_what_passes_packets() {
        let tree = tempfile::tempdir().expect("directory");
        let up = [("operstate", "up\n"), ("flags", "0x1003\n"), ("carrier_changes", "2\n")];
        link(tree.path(), "enp7s0", &up);
        link(tree.path(), "enp8s0", &[("operstate", "down\n"), ("flags", "0x1003\n")]);
        link(tree.path(), "wg0", &[("operstate", "unknown\n"), ("flags", "0x91\n"), ("carrier", "1\n")]);
        link(tree.path(), "wg1", &[("operstate", "unknown\n"), ("flags", "0x90\n"), ("carrier", "1\n")]);
        link(tree.path(), "odd0", &[("operstate", "sideways\n"), ("flags", "junk")]);
        link(tree.path(), "odd1", &[("operstate", "unknown\n"), ("flags", "junk")]);
        link(tree.path(), "veth12", &up);
        fs::write(tree.path().join("bonding_masters"), "bond0\n").expect("written");
        let mut faults = Vec::new();
        let links = read_all(tree.path(), 8, &mut faults).expect("listed");
        let shown: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.up, link.carrier_changes)).collect();
        let expected = [
            ("enp7s0", Some(true), Some(2)),
            ("enp8s0", Some(false), None),
            ("odd0", None, None),
            ("odd1", None, None),
            ("wg0", Some(true), None),
            ("wg1", Some(false), None),
        ];
        assert_eq!(shown, expected);
        assert_eq!((links[2].state, links[3].state), (None, Some(Operstate::Unknown)));
        assert!(faults.len() == 2 && faults[0].contains("odd0/operstate") && faults[1].contains("odd1/flags"));
        assert_eq!(read_all(tree.path(), 1, &mut Vec::new()).expect("listed").len(), 1);
    }

    #[test]
    fn one_that_cannot_be_read_hides_no_other() {
        let tree = tempfile::tempdir().expect("directory");
        fs::create_dir_all(tree.path().join("eth0/operstate")).expect("directory");
        link(tree.path(), "eth1", &[("operstate", "up\n")]);
        let mut faults = Vec::new();
        let links = read_all(tree.path(), 8, &mut faults).expect("listed");
        let shown: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.up)).collect();
        assert_eq!(shown, [("eth0", None), ("eth1", Some(true))]);
        assert!(faults.len() == 1 && faults[0].contains("eth0/operstate"), "{faults:?}");
    }

    #[test]
    fn unlisted_is_unknown_and_missing_is_down() {
        let tree = tempfile::tempdir().expect("directory");
        link(tree.path(), "tap0", &[("operstate", "up\n")]);
        let up = |directory: &Path, name: &str| is_up(&directory.into(), name, &mut Vec::new(), &mut |_| {});
        assert_eq!(up(tree.path(), "tap0"), Some(true), "though it is not shown");
        assert_eq!(up(tree.path(), "eth0"), Some(false));
        let nowhere = tree.path().join("none");
        assert_eq!((up(&nowhere, "eth0"), read_all(&nowhere, 8, &mut Vec::new())), (None, None));
        fs::write(&nowhere, "").expect("written");
        let mut faults = Vec::new();
        assert_eq!((up(&nowhere, "eth0"), read_all(&nowhere, 8, &mut faults)), (None, None));
        assert_eq!(faults.len(), 1);
    }

    fn read_all(directory: &Path, most: usize, faults: &mut Vec<String>) -> Option<Vec<Link>> {
        let excluded = crate::patterns::of_names(super::super::EXCLUDED_INTERFACES).expect("patterns");
        let mut buffer = Vec::new();
        read(&directory.into(), &excluded, most, &mut buffer, &mut |fault| faults.push(fault.to_string()))
    }
}
