//! Which process holds a watchdog device, by what the processes hold open.
//!
//! Looking through all processes is dear, so what was found is remembered as one link that is checked at each
//! read. The device is not touched.

use super::{Device, push_text};
use crate::open_files::{look_through, target};
use crate::read::{SMALL_FILE, read_bounded_at};
use crate::value::number;
use crate::{HostPath, SourceError};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// While nobody can say who owns an active device, all processes are looked through this often.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60);
/// While certainly nobody does, somebody may take it at any moment, and an alert counts the seconds.
const UNOWNED_INTERVAL: Duration = Duration::from_secs(5);
/// The kernel's bound for `comm` (`TASK_COMM_LEN` less its end).
const LONGEST_COMM: usize = 15;

/// Which process holds a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owner {
    /// This one does.
    Held {
        /// Its process id.
        pid: u32,
        /// Its command name, at most 15 characters.
        comm: String,
    },
    /// Every process was looked at and none does.
    Nobody,
    /// Nobody looked (only an active device is looked for), or not every process could be looked at.
    #[default]
    Unknown,
}

/// What is remembered of one device.
#[derive(Debug)]
struct Known {
    device: u32,
    holder: Option<Holder>,
    /// Whether the last search saw everything.
    certain: bool,
    searched: Option<Instant>,
    seen: bool,
}

#[derive(Debug)]
struct Holder {
    pid: u32,
    link: CString,
    comm: String,
}

/// Finds and remembers the owners of all devices.
#[derive(Debug)]
pub(super) struct Owners {
    procfs: HostPath,
    known: Vec<Known>,
    buffer: Vec<u8>,
    searches: u64,
}

impl Owners {
    pub(super) const fn new(procfs: HostPath) -> Self {
        Self { procfs, known: Vec::new(), buffer: Vec::new(), searches: 0 }
    }

    /// Checks the remembered owners, and looks through all processes when one is missing and it is time.
    pub(super) fn update(&mut self, now: Instant, devices: &[Device], faults: &mut dyn FnMut(&SourceError)) {
        if devices.is_empty() {
            self.known.clear();
            return;
        }
        let procfs = match self.procfs.open(OFlags::DIRECTORY) {
            Ok(procfs) => procfs,
            Err(errno) => {
                faults(&SourceError::os(&self.procfs, errno));
                self.known.clear();
                return;
            }
        };
        self.check(&procfs, devices);
        if self.known.iter().any(|known| known.is_wanted(now, devices)) {
            self.search(&procfs, now, devices, faults);
        }
    }

    /// Writes what is known of a device's owner, reusing the memory of the name.
    pub(super) fn put(&self, device: u32, into: &mut Owner) {
        match self.known.iter().find(|known| known.device == device) {
            Some(Known { holder: Some(holder), .. }) => holder.put(into),
            Some(Known { certain: true, .. }) => *into = Owner::Nobody,
            _ => *into = Owner::Unknown,
        }
    }

    /// Brings `known` in line with the devices and drops owners that let go.
    fn check(&mut self, procfs: &OwnedFd, devices: &[Device]) {
        self.known.retain(|known| devices.iter().any(|device| device.number == known.device));
        for device in devices {
            if !self.known.iter().any(|known| known.device == device.number) {
                self.known.push(Known::new(device.number));
            }
        }
        let Self { known, buffer, .. } = self;
        for known in known {
            known.check(procfs, buffer);
            known.forget_when_inactive(devices);
        }
    }

    fn search(&mut self, procfs: &OwnedFd, now: Instant, devices: &[Device], faults: &mut dyn FnMut(&SourceError)) {
        self.searches += 1;
        for known in &mut self.known {
            known.seen = false;
        }
        let complete = look_through(procfs, |open| {
            if let Some(device) = device_of_target(open.target) {
                self.found(device, open.pid, open.fd);
            }
            ControlFlow::Continue(())
        });
        let complete = match complete {
            Ok(complete) => complete,
            Err(errno) => {
                faults(&SourceError::os(&self.procfs, errno));
                false
            }
        };
        for known in &mut self.known {
            known.certain = complete && known.is_active(devices);
            known.searched = Some(now);
            if known.seen {
                known.check(procfs, &mut self.buffer);
            }
        }
    }

    fn found(&mut self, device: u32, pid: u32, fd: &CStr) {
        let Some(known) = self.known.iter_mut().find(|known| known.device == device) else { return };
        let link = format!("{pid}/fd/{}", fd.to_string_lossy());
        if let (None, Ok(link)) = (&known.holder, CString::new(link)) {
            known.holder = Some(Holder { pid, link, comm: String::new() });
            known.seen = true;
        }
    }
}

impl Known {
    const fn new(device: u32) -> Self {
        Self { device, holder: None, certain: false, searched: None, seen: false }
    }

    /// Whether the remembered process still holds the device, by one link.
    fn check(&mut self, procfs: &OwnedFd, buffer: &mut Vec<u8>) {
        let Some(holder) = &mut self.holder else { return };
        let mut space = [0; 64];
        let link = target(procfs.as_fd(), &holder.link, &mut space);
        if link.is_ok_and(|target| device_of_target(target) == Some(self.device)) {
            holder.read_comm(procfs, buffer);
        } else {
            self.holder = None;
            self.certain = false;
            // It was there a moment ago: worth a search at once.
            self.searched = None;
        }
    }

    fn is_active(&self, devices: &[Device]) -> bool {
        devices.iter().any(|device| device.number == self.device && device.active == Some(true))
    }

    /// An inactive device is not looked for, so the next time it is active the search starts anew.
    fn forget_when_inactive(&mut self, devices: &[Device]) {
        if !self.is_active(devices) {
            self.certain = false;
            self.searched = None;
        }
    }

    fn is_wanted(&self, now: Instant, devices: &[Device]) -> bool {
        let interval = if self.certain { UNOWNED_INTERVAL } else { SEARCH_INTERVAL };
        let due = self.searched.is_none_or(|last| now.saturating_duration_since(last) >= interval);
        self.holder.is_none() && due && self.is_active(devices)
    }
}

impl Holder {
    /// Reads `<procfs>/<pid>/comm`; keeps the old name when that fails.
    fn read_comm(&mut self, procfs: &OwnedFd, buffer: &mut Vec<u8>) {
        let mut path = [0_u8; 24];
        let Some(path) = comm_path(self.pid, &mut path) else { return };
        if read_bounded_at(procfs.as_fd(), path, SMALL_FILE, buffer).is_ok() {
            self.comm.clear();
            push_text(buffer.trim_ascii_end(), LONGEST_COMM, &mut self.comm);
        }
    }

    fn put(&self, into: &mut Owner) {
        if let Owner::Held { pid, comm } = into {
            *pid = self.pid;
            comm.clone_from(&self.comm);
        } else {
            *into = Owner::Held { pid: self.pid, comm: self.comm.clone() };
        }
    }
}

/// `<pid>/comm` without an allocation.
fn comm_path(pid: u32, space: &mut [u8; 24]) -> Option<&CStr> {
    use std::io::Write as _;
    let mut rest = &mut space[..];
    write!(rest, "{pid}/comm\0").ok()?;
    CStr::from_bytes_until_nul(space).ok()
}

/// `/dev/watchdogN` is device N; `/dev/watchdog` is the old name of device 0.
fn device_of_target(target: &[u8]) -> Option<u32> {
    match target.strip_prefix(b"/dev/watchdog")? {
        b"" => Some(0),
        digits => number(digits).and_then(|number| u32::try_from(number).ok()),
    }
}

#[cfg(test)]
impl Owners {
    /// How often all processes were looked through.
    pub(super) const fn searches(&self) -> u64 {
        self.searches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_name_is_device_zero() {
        assert_eq!(device_of_target(b"/dev/watchdog"), Some(0));
        assert_eq!(device_of_target(b"/dev/watchdog1"), Some(1));
        for other in [&b"/dev/watchdogd"[..], b"/dev/watchdog1 (deleted)", b"/tmp/dev/watchdog1", b"/dev/watch"] {
            assert_eq!(device_of_target(other), None);
        }
    }
}
