//! The state of the links, from `<sysfs>/class/net/*` (`Documentation/ABI/testing/sysfs-class-net`,
//! `Documentation/networking/operstates.rst`).
//!
//! `speed`, `duplex` and statistics are not read: those files wait for the lock of the network configuration, behind
//! which half of a dying host queues.

use crate::patterns::GlobSet;
use crate::read::{SMALL_FILE, read_optional};
use crate::value::{number, number_file};
use crate::{Fault, SourceError};
use std::path::Path;

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
    /// What the kernel says; `None` when the file has gone or says something new.
    pub state: Option<Operstate>,
    /// Whether packets pass: state `up`, or a carrier where the driver does not say.
    pub up: bool,
    /// How often the carrier came or went since the interface appeared.
    pub carrier_changes: Option<u64>,
}

/// Reads the links that are not excluded, by name, at most `most`.
pub(super) fn read(
    directory: &Path,
    excluded: &GlobSet,
    most: usize,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Link>, SourceError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::os(directory, super::errno_of(&error))),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !excluded.is_match(name)).collect();
    names.sort_unstable();
    let links = names.into_iter().filter_map(|name| read_link(directory, name, buffer).transpose());
    links.take(most).collect()
}

/// `None` for what is no interface (`bonding_masters`) or has just gone.
fn read_link(directory: &Path, name: String, buffer: &mut Vec<u8>) -> Result<Option<Link>, SourceError> {
    let link = directory.join(&name);
    let mut file = |file: &str| optional(&link.join(file), buffer);
    let Some(operstate) = file("operstate")? else { return Ok(None) };
    let state = Operstate::parse(&operstate);
    let wanted = file("flags")?.is_some_and(|flags| hexadecimal(&flags).is_some_and(|flags| flags & WANTED != 0));
    // Asking for the carrier of what nobody wants is an error.
    let says_nothing = state == Some(Operstate::Unknown) && wanted;
    let carrier = says_nothing && file("carrier")?.is_some_and(|carrier| number_file(&carrier) == Some(1));
    let carrier_changes = file("carrier_changes")?.and_then(|changes| number(changes.trim_ascii()));
    Ok(Some(Link { up: state == Some(Operstate::Up) || carrier, name, state, carrier_changes }))
}

/// A file's content; `None` when it, or what it is about, is not there.
fn optional(path: &Path, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, SourceError> {
    match read_optional(path, SMALL_FILE, buffer) {
        Ok(found) => Ok(found.then(|| buffer.clone())),
        // EINVAL: the interface went down in between.
        Err(error) if error.fault == Fault::IoError || error.fault == Fault::NotFound => Ok(None),
        Err(error) => Err(error),
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
        link(tree.path(), "veth12", &up);
        fs::write(tree.path().join("bonding_masters"), "bond0\n").expect("written");
        let excluded = crate::patterns::of_names(super::super::EXCLUDED_INTERFACES).expect("patterns");
        let links = read(tree.path(), &excluded, 8, &mut Vec::new()).expect("read");
        let shown: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.up, link.carrier_changes)).collect();
        let expected = [
            ("enp7s0", true, Some(2)),
            ("enp8s0", false, None),
            ("odd0", false, None),
            ("wg0", true, None),
            ("wg1", false, None),
        ];
        assert_eq!(shown, expected);
        assert_eq!(links[2].state, None);
        assert_eq!(read(tree.path(), &excluded, 1, &mut Vec::new()).expect("read").len(), 1);
        assert_eq!(read(&tree.path().join("none"), &excluded, 1, &mut Vec::new()), Ok(Vec::new()));
    }
}
