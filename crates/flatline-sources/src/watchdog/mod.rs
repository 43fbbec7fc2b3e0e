//! Watchdog devices, `<sysfs>/class/watchdog/watchdogN`
//! (kernel documentation: `Documentation/ABI/testing/sysfs-class-watchdog`).
//!
//! Reading must not disturb the device: `/dev/watchdog*` is never opened (that would arm it), and `status` is
//! never read (that clears its "pinged" bit and so steals it from others). `bootstatus` is safe.

mod owner;
mod verdict;

pub use owner::Owner;
pub use verdict::{Countdown, SANE_TIMEOUT_SECONDS, TimeLeft, protecting};

use crate::boot_status::{self, BootStatus};
use crate::error::ReadError;
use crate::read::{SMALL_FILE, parsed, read_bounded_at};
use crate::value::{number, number_file};
use crate::{HostPath, Probe, Roots, SourceError};
use owner::Owners;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// No host has more; further devices are left alone.
pub const MAX_DEVICES: usize = 32;
/// Room for the entries of the class directory.
const LISTING_BUFFER: usize = 4096;

/// One watchdog device. A value whose file does not exist or could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// The number `N` of `watchdogN`.
    pub number: u32,
    /// `watchdogN`.
    pub name: String,
    /// `identity`: what the driver calls itself; empty when unreadable.
    pub identity: String,
    /// `pretimeout_governor`; empty when there is none.
    pub governor: String,
    /// `state`: whether it counts down.
    pub active: Option<bool>,
    /// `timeout` in seconds.
    pub timeout_seconds: Option<u64>,
    /// `pretimeout` in seconds; 0 is off.
    pub pretimeout_seconds: Option<u64>,
    /// `timeleft` in seconds; only some drivers can tell, and it means nothing while inactive.
    pub timeleft_seconds: Option<u64>,
    /// `nowayout`: whether it can't be disarmed any more.
    pub nowayout: Option<bool>,
    /// `bootstatus`. No flag proves nothing: it is lost when the driver is loaded anew.
    pub boot_status: Option<BootStatus>,
    /// Which process holds it.
    pub owner: Owner,
    /// [`protecting`].
    pub protecting: Option<bool>,
}

/// Every watchdog device of the host. Reuse it: its memory is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The devices by number.
    pub devices: Vec<Device>,
}

/// Reads watchdog devices and finds their owners.
#[derive(Debug)]
pub struct Reader {
    class: HostPath,
    owners: Owners,
    known: Vec<Known>,
    numbers: Vec<u32>,
    listing: Vec<u8>,
    buffer: Vec<u8>,
}

/// What is kept of a device.
#[derive(Debug)]
struct Known {
    number: u32,
    directory: HostPath,
    /// How its time left has moved.
    countdown: Countdown,
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

impl Reader {
    /// Looks for watchdog devices.
    #[must_use]
    pub fn probe(roots: &Roots) -> Probe<Self> {
        let class = roots.sysfs.join("class/watchdog");
        let mut reader = Self {
            owners: Owners::new(roots.procfs.clone()),
            class,
            known: Vec::new(),
            numbers: Vec::with_capacity(MAX_DEVICES),
            listing: Vec::with_capacity(LISTING_BUFFER),
            buffer: Vec::with_capacity(SMALL_FILE),
        };
        let class = reader.class.display().to_string();
        match reader.open_class().and_then(|dir| reader.list(&dir)) {
            Ok(()) if reader.numbers.is_empty() => {
                Probe::Absent(format!("no device in {class}: no watchdog driver is loaded (softdog at least)"))
            }
            Ok(()) => Probe::Present(reader),
            Err(Errno::NOENT) => Probe::Absent(format!("no {class}: the kernel has no watchdog support")),
            Err(errno) => Probe::Broken(SourceError::os(&reader.class, errno)),
        }
    }

    /// Reads every device now. A file that can't be read goes to `faults` and its value is `None`.
    ///
    /// # Errors
    /// When the devices can't be listed.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        self.read_at(Instant::now(), into, faults)
    }

    /// [`Reader::read`] at a given time: the search for owners and the movement of the time left depend on it.
    ///
    /// # Errors
    /// When the devices can't be listed.
    pub fn read_at(
        &mut self,
        now: Instant,
        into: &mut Reading,
        faults: &mut dyn FnMut(&SourceError),
    ) -> Result<(), SourceError> {
        match self.open_class().and_then(|class| self.list(&class)) {
            Ok(()) => {}
            // The last driver was unloaded: no devices, not an error.
            Err(Errno::NOENT) => {
                into.devices.clear();
                return Ok(());
            }
            Err(errno) => return Err(SourceError::os(&self.class, errno)),
        }
        into.devices.resize_with(self.numbers.len(), Device::default);
        for index in 0..self.numbers.len() {
            self.read_device(self.numbers[index], &mut into.devices[index], faults);
        }
        self.owners.update(now, &into.devices, faults);
        for device in &mut into.devices {
            self.owners.put(device.number, &mut device.owner);
            let time_left = self.known(device.number).countdown.observe(now, device);
            device.protecting = protecting(device, time_left);
        }
        self.forget_removed();
        Ok(())
    }

    fn open_class(&self) -> Result<OwnedFd, Errno> {
        self.class.open(OFlags::DIRECTORY)
    }

    fn list(&mut self, class: &OwnedFd) -> Result<(), Errno> {
        self.numbers.clear();
        self.listing.clear();
        let Self { numbers, listing, .. } = self;
        let mut entries = RawDir::new(class, listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            if let Some(found) = device_number(entry?.file_name())
                && numbers.len() < MAX_DEVICES
            {
                numbers.push(found);
            }
        }
        numbers.sort_unstable();
        Ok(())
    }

    fn read_device(&mut self, number: u32, into: &mut Device, faults: Faults<'_>) {
        set_name(into, number);
        let directory = match self.known(number).directory.open(OFlags::DIRECTORY) {
            Ok(directory) => Some(directory),
            Err(errno) => {
                if !ReadError::Os(errno).is_absent() {
                    faults(&SourceError::os(&self.class.join(&into.name), errno));
                }
                None
            }
        };
        let path = &*self.class;
        let mut files = Files { directory, class: path, name: &into.name, buffer: &mut self.buffer, faults };
        files.text(c"identity", &mut into.identity);
        files.text(c"pretimeout_governor", &mut into.governor);
        into.active = files.value(c"state", "active or inactive", |content| match content.trim_ascii() {
            b"active" => Some(true),
            b"inactive" => Some(false),
            _ => None,
        });
        into.timeout_seconds = files.value(c"timeout", "seconds", number_file);
        into.pretimeout_seconds = files.value(c"pretimeout", "seconds", number_file);
        into.timeleft_seconds = files.value(c"timeleft", "seconds", number_file);
        into.nowayout = files.value(c"nowayout", "0 or 1", |content| number_file(content).map(|flag| flag != 0));
        into.boot_status = files.value(c"bootstatus", "a decimal number", boot_status::parse);
    }

    fn known(&mut self, number: u32) -> &mut Known {
        let index = self.known.iter().position(|known| known.number == number).unwrap_or_else(|| {
            let directory = self.class.join(format!("watchdog{number}"));
            self.known.push(Known { number, directory, countdown: Countdown::default() });
            self.known.len() - 1
        });
        &mut self.known[index]
    }

    fn forget_removed(&mut self) {
        let Self { known, numbers, .. } = self;
        known.retain(|known| numbers.contains(&known.number));
    }
}

/// The number in `watchdogN`, `None` for any other name.
fn device_number(name: &CStr) -> Option<u32> {
    number(name.to_bytes().strip_prefix(b"watchdog")?).and_then(|number| u32::try_from(number).ok())
}

fn set_name(device: &mut Device, number: u32) {
    if device.number != number || device.name.is_empty() {
        device.number = number;
        device.name = format!("watchdog{number}");
    }
}

/// The attribute files of one device.
struct Files<'a, 'b> {
    directory: Option<OwnedFd>,
    class: &'a Path,
    name: &'a str,
    buffer: &'a mut Vec<u8>,
    faults: Faults<'b>,
}

impl Files<'_, '_> {
    /// One value; `None` when there is no such file or it is faulty.
    fn value<T>(&mut self, file: &CStr, expected: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if !self.read(file) {
            return None;
        }
        match parse(self.buffer) {
            Some(value) => Some(value),
            None => {
                let error = parsed::<()>(None, &self.path(file), self.buffer, expected);
                error.err().inspect(|error| (self.faults)(error));
                None
            }
        }
    }

    /// One line of text, without control characters; empty when there is none.
    fn text(&mut self, file: &CStr, into: &mut String) {
        /// The kernel's own bound for an identity is 32.
        const LONGEST: usize = 64;
        into.clear();
        if self.read(file) {
            push_text(self.buffer.trim_ascii(), LONGEST, into);
        }
    }

    fn read(&mut self, file: &CStr) -> bool {
        let Some(directory) = &self.directory else { return false };
        match read_bounded_at(directory.as_fd(), file, SMALL_FILE, self.buffer) {
            Ok(()) => true,
            Err(error) if error.is_absent() => false,
            // The driver can't tell: the same as having no such file.
            Err(ReadError::Os(Errno::OPNOTSUPP)) => false,
            Err(error) => {
                let error = SourceError::io(&self.path(file), error);
                (self.faults)(&error);
                false
            }
        }
    }

    fn path(&self, file: &CStr) -> PathBuf {
        self.class.join(self.name).join(OsStr::from_bytes(file.to_bytes()))
    }
}

/// Appends at most `longest` characters of a line that came from a driver or a process.
fn push_text(line: &[u8], longest: usize, into: &mut String) {
    for chunk in line.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        for c in valid.chain(invalid) {
            if into.chars().count() >= longest {
                return;
            }
            into.push(c);
        }
    }
}

#[cfg(test)]
mod tests;
