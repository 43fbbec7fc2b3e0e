//! netconsole's targets from configfs, and the interfaces they send through (kernel documentation:
//! `Documentation/networking/netconsole.rst`).
//!
//! `/proc/consoles` is of no use: it shows netconsole without any target. And `enabled` stays 1 while the interface
//! is down, so the interface is looked at itself.

use super::files::is_missing;
use super::verdict::{Reason, Verdict};
use crate::read::{SMALL_FILE, parsed, read_optional};
use crate::{HostPath, Roots, SourceError};
use rustix::fs::{FileType, OFlags, RawDir};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

/// No host sends to more receivers.
const MAX_TARGETS: usize = 32;
/// The kernel's bound for an interface's name, with its end.
const IFNAMSIZ: usize = 16;
/// Since this kernel targets given at boot or load are in configfs, too.
const SHOWS_ALL_TARGETS: (u64, u64) = (6, 7);

/// Whether netconsole's targets can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Netconsole {
    /// netconsole is not there.
    NotLoaded,
    /// All targets are shown.
    Visible,
    /// Some may not be: configfs is not mounted, or the kernel hides those given when netconsole was loaded.
    NotVisible,
    /// Looking failed.
    Unreadable,
}

/// The state of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It carries traffic.
    Up,
    /// It does not.
    Down,
    /// There is none of that name.
    Missing,
}

/// One target. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name of its directory in configfs.
    pub name: String,
    /// The interface it sends through; empty when there is none or it can't be read.
    pub device: String,
    /// `enabled`.
    pub enabled: Option<bool>,
    /// Whether `remote_ip` is an address somebody can have.
    pub has_remote: Option<bool>,
    /// The state of the interface.
    pub link: Option<Link>,
}

impl Target {
    /// Whether a message would leave the host.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match (self.enabled, self.has_remote, self.link) {
            (Some(false), ..) => Verdict::NotReady(Reason::TargetDisabled),
            (_, Some(false), _) => Verdict::NotReady(Reason::NoRemote),
            (.., Some(Link::Missing)) => Verdict::NotReady(Reason::InterfaceMissing),
            (.., Some(Link::Down)) => Verdict::NotReady(Reason::InterfaceDown),
            (Some(true), Some(true), Some(Link::Up)) => Verdict::Ready,
            _ => Verdict::Unknown(Reason::NotReadable),
        }
    }
}

/// One target that works is enough; else the best of the others says what is wrong.
pub(super) fn verdict(state: Netconsole, targets: &[Target]) -> Verdict {
    match state {
        Netconsole::NotLoaded => Verdict::NotReady(Reason::NotSupported),
        Netconsole::NotVisible if targets.is_empty() => Verdict::Unknown(Reason::NotVisible),
        Netconsole::Unreadable => Verdict::Unknown(Reason::NotReadable),
        Netconsole::Visible | Netconsole::NotVisible => of_targets(targets),
    }
}

fn of_targets(targets: &[Target]) -> Verdict {
    if targets.is_empty() {
        return Verdict::NotReady(Reason::NoTarget);
    }
    let verdicts = || targets.iter().map(Target::verdict);
    if verdicts().any(|verdict| verdict == Verdict::Ready) {
        return Verdict::Ready;
    }
    if verdicts().any(|verdict| verdict.is_ready().is_none()) {
        return Verdict::Unknown(Reason::NotReadable);
    }
    // The later a reason stands, the nearer the target is to working.
    verdicts().filter_map(Verdict::reason).max().map_or(Verdict::NotReady(Reason::NoTarget), Verdict::NotReady)
}

/// Reads the targets of `<sysfs>/kernel/config/netconsole`.
pub(super) fn read(
    roots: &Roots,
    release: Option<(u64, u64)>,
    into: &mut Vec<Target>,
    faults: &mut dyn FnMut(&SourceError),
) -> Netconsole {
    into.clear();
    let path = roots.sysfs.join("kernel/config/netconsole");
    let names = match list(&path) {
        Ok(Some(names)) => names,
        Ok(None) if roots.sysfs.join("module/netconsole").is_dir() => return Netconsole::NotVisible,
        Ok(None) => return Netconsole::NotLoaded,
        Err(error) => {
            faults(&error);
            return Netconsole::Unreadable;
        }
    };
    let mut buffer = Vec::new();
    let mut files = Files { roots, buffer: &mut buffer, faults };
    into.extend(names.iter().map(|path| files.target(path)));
    if release.is_some_and(|release| release >= SHOWS_ALL_TARGETS) {
        Netconsole::Visible
    } else {
        Netconsole::NotVisible
    }
}

/// The directories of the targets in order, at most [`MAX_TARGETS`]; `None` when there is no such place.
fn list(path: &HostPath) -> Result<Option<Vec<HostPath>>, SourceError> {
    let directory = match path.open(OFlags::DIRECTORY) {
        Ok(directory) => directory,
        Err(errno) if is_missing(errno) => return Ok(None),
        Err(errno) => return Err(SourceError::os(path, errno)),
    };
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(SMALL_FILE);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|errno| SourceError::os(path, errno))?;
        let name = entry.file_name().to_bytes();
        let directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if directory && !matches!(name, b"." | b"..") && names.len() < MAX_TARGETS {
            names.push(path.join(OsStr::from_bytes(name)));
        }
    }
    names.sort_unstable();
    Ok(Some(names))
}

struct Files<'a> {
    roots: &'a Roots,
    buffer: &'a mut Vec<u8>,
    faults: &'a mut dyn FnMut(&SourceError),
}

impl Files<'_> {
    fn target(&mut self, path: &HostPath) -> Target {
        let device = self.read(&path.join("dev_name"), "the name of an interface", device_name);
        Target {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            enabled: self.read(&path.join("enabled"), "0 or 1", flag),
            has_remote: self.read(&path.join("remote_ip"), "an address", is_usable_address),
            link: device.as_deref().and_then(|device| self.link(device)),
            device: device.unwrap_or_default(),
        }
    }

    fn link(&mut self, device: &str) -> Option<Link> {
        let path = self.roots.sysfs.join("class/net").join(device);
        if device.is_empty() || !path.is_dir() {
            return Some(Link::Missing);
        }
        match self.read(&path.join("operstate"), "the state of an interface", operstate)? {
            // Drivers without a notion of it: the carrier tells.
            Operstate::Unknown => self.read(&path.join("carrier"), "0 or 1", flag).map(link_of),
            Operstate::Up => Some(Link::Up),
            Operstate::Other => Some(Link::Down),
        }
    }

    fn read<T>(&mut self, path: &HostPath, expected: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let read = read_optional(path, SMALL_FILE, self.buffer).and_then(|there| {
            if there { parsed(parse(self.buffer), path, self.buffer, expected).map(Some) } else { Ok(None) }
        });
        read.unwrap_or_else(|error| {
            (self.faults)(&error);
            None
        })
    }
}

const fn link_of(carrier: bool) -> Link {
    if carrier { Link::Up } else { Link::Down }
}

fn flag(content: &[u8]) -> Option<bool> {
    match content.trim_ascii() {
        b"1" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// The name of an interface, or none.
fn device_name(content: &[u8]) -> Option<String> {
    let name = content.trim_ascii();
    let legal = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    let fits = name.len() < IFNAMSIZ && name.iter().all(legal) && !matches!(name, b"." | b"..");
    str::from_utf8(name).ok().filter(|_| fits).map(str::to_owned)
}

/// Whether it is an address somebody can have; an unset one is `0.0.0.0`.
fn is_usable_address(content: &[u8]) -> Option<bool> {
    let address: IpAddr = str::from_utf8(content.trim_ascii()).ok()?.parse().ok()?;
    Some(!address.is_unspecified())
}

#[derive(Debug, PartialEq, Eq)]
enum Operstate {
    Up,
    Unknown,
    Other,
}

fn operstate(content: &[u8]) -> Option<Operstate> {
    match content.trim_ascii() {
        b"up" => Some(Operstate::Up),
        b"unknown" => Some(Operstate::Unknown),
        b"notpresent" | b"down" | b"lowerlayerdown" | b"testing" | b"dormant" => Some(Operstate::Other),
        _ => None,
    }
}

/// Parses the kernel's release, `6.1.0-56-amd64`, to its first two numbers.
pub(super) fn release(content: &[u8]) -> Option<(u64, u64)> {
    let mut numbers = content.split(|byte| !byte.is_ascii_digit()).map(crate::value::number);
    Some((numbers.next()??, numbers.next()??))
}

/// Whatever stands in a target's files.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8]) {
    assert!(device_name(content).is_none_or(|name| name.len() < IFNAMSIZ && !name.contains('/') && name != ".."));
    let digits = content.iter().any(u8::is_ascii_digit);
    assert!(digits || release(content).is_none());
    let _ = (flag(content), operstate(content), is_usable_address(content));
    let _ = super::Setting::parse(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(enabled: bool, has_remote: bool, link: Link) -> Target {
        Target {
            name: "t1".to_owned(),
            device: "eth0".to_owned(),
            enabled: Some(enabled),
            has_remote: Some(has_remote),
            link: Some(link),
        }
    }

    /// The recorded target is enabled in all three of them.
    #[test]
    fn an_enabled_target_on_a_dead_interface_sends_nothing() {
        assert_eq!(target(true, true, Link::Up).verdict(), Verdict::Ready);
        assert_eq!(target(true, true, Link::Down).verdict(), Verdict::NotReady(Reason::InterfaceDown));
        assert_eq!(target(true, true, Link::Missing).verdict(), Verdict::NotReady(Reason::InterfaceMissing));
        assert_eq!(target(true, false, Link::Up).verdict(), Verdict::NotReady(Reason::NoRemote));
        assert_eq!(target(false, true, Link::Up).verdict(), Verdict::NotReady(Reason::TargetDisabled));
        let unread = Target { enabled: None, ..target(true, true, Link::Up) };
        assert_eq!(unread.verdict(), Verdict::Unknown(Reason::NotReadable));
    }

    #[test]
    fn parses_what_the_kernel_writes() {
        assert_eq!(device_name(b"eth0\n"), Some("eth0".to_owned()));
        assert_eq!(device_name(b"\n"), Some(String::new()));
        assert_eq!(is_usable_address(b"10.0.2.2\n"), Some(true));
        assert_eq!(is_usable_address(b"fe80::1\n"), Some(true));
        assert_eq!(is_usable_address(b"0.0.0.0\n"), Some(false));
        assert_eq!(release(b"6.1.0-56-amd64\n"), Some((6, 1)));
        assert_eq!(release(b"6.14.0-37-generic\n"), Some((6, 14)));
        assert_eq!(release(b"linux"), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (flag(&bytes), is_usable_address(&bytes), operstate(&bytes), release(&bytes));
            if let Some(name) = device_name(&bytes) {
                prop_assert!(name.len() < IFNAMSIZ && !name.contains('/') && name != "..");
            }
        }

        #[test]
        fn releases_round_trip(major: u64, minor: u64, rest in "(\\.[0-9]+)?(-[a-z0-9.]+)?") {
            prop_assert_eq!(release(format!("{major}.{minor}{rest}\n").as_bytes()), Some((major, minor)));
        }
    }
}
