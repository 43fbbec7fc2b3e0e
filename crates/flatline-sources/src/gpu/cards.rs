//! Which cards there are: every display controller and accelerator on the PCI bus whose maker is known here.
//!
//! `class`, `vendor`, `device` and the links are answered from the kernel's memory: no device is touched or woken.

use super::files::Files;
use super::parse::{hex, is_address};
use super::{Card, Vendor};
use crate::error::ReadError;
use crate::{HostPath, Roots, SourceError};
use std::collections::HashMap;
use std::ffi::OsStr;

/// Cards looked at; no host has more.
pub const MAX_CARDS: usize = 64;
/// Devices of a bus that are looked at.
const MAX_DEVICES: usize = 8192;

/// Finds cards, and remembers of every device whether it is one.
#[derive(Debug)]
pub struct Finder {
    bus: HostPath,
    modules: HostPath,
    /// What each device is; `None` for what is no card. Forgotten when the device goes.
    known: HashMap<String, Option<(Vendor, String)>>,
}

impl Finder {
    /// Looks below `<sysfs>/bus/pci/devices`.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self { bus: bus(roots), modules: roots.sysfs.join("module"), known: HashMap::new() }
    }

    /// The cards that are there now, by address. A host without a PCI bus has none.
    ///
    /// # Errors
    /// When the bus can't be listed.
    pub fn list(&mut self, faults: &mut dyn FnMut(&SourceError)) -> Result<Vec<Card>, SourceError> {
        let mut addresses = self.addresses()?;
        addresses.sort_unstable();
        self.known.retain(|known, _| addresses.binary_search(known).is_ok());
        let mut cards = Vec::new();
        for address in addresses {
            let known = match self.known.get(&address) {
                Some(known) => known.clone(),
                None => self.learn(&address, faults),
            };
            if let Some((vendor, ids)) = known
                && cards.len() < MAX_CARDS
            {
                let driver = link_name(&self.bus.join(&address).join("driver"));
                let driver_version = self.version(&driver);
                cards.push(Card { address, vendor, ids, driver, driver_version });
            }
        }
        Ok(cards)
    }

    fn addresses(&self) -> Result<Vec<String>, SourceError> {
        match self.bus.names(MAX_DEVICES) {
            Ok(names) => Ok(names.into_iter().filter(|name| is_address(name)).collect()),
            Err(errno) if ReadError::Os(errno).is_absent() => Ok(Vec::new()),
            Err(errno) => Err(SourceError::os(&self.bus, errno)),
        }
    }

    fn version(&self, driver: &str) -> String {
        if driver.is_empty() {
            return String::new();
        }
        Files::new(self.modules.join(driver)).text("version").unwrap_or_default()
    }

    /// What a device that was not there before is.
    fn learn(&mut self, address: &str, faults: &mut dyn FnMut(&SourceError)) -> Option<(Vendor, String)> {
        let directory = self.bus.join(address);
        // A virtual function is part of the card it belongs to.
        let whole = !directory.join("physfn").exists();
        let mut files = Files::new(directory);
        let mut id = |name: &str| files.value(name, "a number like 0x1002", hex);
        let (class, vendor, device) = (id("class"), id("vendor"), id("device"));
        files.faults.iter().for_each(faults);
        // Half of what there is to know may be there the next time.
        let (class, vendor, device) = (class?, vendor?, device?);
        let known = Vendor::of(vendor)
            .filter(|maker| whole && is_card(class, *maker))
            .map(|maker| (maker, format!("{vendor:04x}:{device:04x}")));
        self.known.insert(address.to_owned(), known.clone());
        known
    }
}

/// A display controller (class 03), or an accelerator (class 12) of a maker who calls some of his GPUs so.
const fn is_card(class: u32, maker: Vendor) -> bool {
    match class >> 16 {
        0x03 => true,
        0x12 => matches!(maker, Vendor::Amd | Vendor::Nvidia),
        _ => false,
    }
}

pub(super) fn bus(roots: &Roots) -> HostPath {
    roots.sysfs.join("bus/pci/devices")
}

/// The directory of a card.
pub(super) fn directory(roots: &Roots, card: &Card) -> HostPath {
    bus(roots).join(&card.address)
}

/// The last part of what a link points to; empty when there is no such link.
pub(super) fn link_name(link: &HostPath) -> String {
    let target = link.read_link().unwrap_or_default();
    target.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned()
}
