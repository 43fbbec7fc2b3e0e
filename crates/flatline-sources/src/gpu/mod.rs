//! Graphics cards and accelerators, through sysfs and hwmon, and the temperature of the processor's package.
//!
//! A card is known by its PCI address: `cardN` and `hwmonN` are numbered anew at every boot. Cards of AMD, Intel and
//! NVIDIA are found on the PCI bus, whether a driver has taken them or not. amdgpu, i915 and xe are read in full
//! (kernel documentation: `Documentation/gpu/amdgpu/thermal.rst`, `Documentation/gpu/amdgpu/ras.rst`,
//! `Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon` and `sysfs-driver-intel-xe-hwmon`, and
//! `drivers/gpu/drm/xe/xe_gt_freq.c`, `xe_gt_throttle.c`), those of the driver `nvidia` through its
//! library ([`Nvidia`]); of other drivers' cards only what every PCI device and its hwmon devices have.
//!
//! A card that sleeps is left asleep: most of its files would wake it (`xe_pm_runtime_get` and the like), so that
//! nothing but `power/runtime_status` is read then, which the kernel answers from memory
//! (`Documentation/ABI/testing/sysfs-devices-power`).

mod cards;
mod cpu;
mod files;
mod look;
mod nvml;
mod parse;
#[cfg(test)]
mod tests;

pub use cards::{Finder, MAX_CARDS};
pub use cpu::{CpuTemperature, cpu_temperatures};
pub use files::{Reason, Unread};
pub use look::look;
pub use nvml::{NVIDIA_DRIVER, Nvidia, NvmlState};
#[cfg(fuzzing)]
pub use parse::fuzz;
pub use parse::{ErrorCounts, PowerState, is_address};

use crate::SourceError;

/// Who made a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// PCI vendor 1002.
    Amd,
    /// PCI vendor 8086.
    Intel,
    /// PCI vendor 10de.
    Nvidia,
}

impl Vendor {
    /// The vendor of a PCI vendor number; `None` for makers of cards this module knows nothing about.
    #[must_use]
    pub const fn of(id: u32) -> Option<Self> {
        match id {
            0x1002 => Some(Self::Amd),
            0x8086 => Some(Self::Intel),
            0x10de => Some(Self::Nvidia),
            _ => None,
        }
    }

    /// The value of the catalogue's label `vendor`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Amd => "amd",
            Self::Intel => "intel",
            Self::Nvidia => "nvidia",
        }
    }
}

/// Drivers that only keep a device for a guest.
const STUBS: [&str; 3] = ["vfio-pci", "pci-stub", "pciback"];

/// A card on the PCI bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its PCI address, `0000:0b:00.0`.
    pub address: String,
    /// Who made it.
    pub vendor: Vendor,
    /// PCI vendor and device, as `lspci -n` shows them: `1002:7551`.
    pub ids: String,
    /// The driver that has taken it; empty when none has, as after a failed initialisation.
    pub driver: String,
    /// The version the driver gives itself, as those built beside the kernel (DKMS) do; else empty.
    pub driver_version: String,
}

impl Card {
    /// Whether this host can work with it: a driver has taken it, and not just for a guest.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.driver.is_empty() && !STUBS.contains(&self.driver.as_str())
    }
}

/// What a card is; it does not change while it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `product_name`, which server cards have; else empty.
    pub model: String,
    /// `vbios_version` (amdgpu); else empty.
    pub firmware: String,
    /// `fw_version/*` (amdgpu): the loaded firmware, by its name (`smc`) and version (`0x00684a00`).
    pub firmwares: Vec<(String, String)>,
}

/// A temperature and its limits in degrees Celsius.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Temperature {
    /// `edge`, `junction`, `memory`, `package`, or as the driver calls it.
    pub sensor: String,
    /// `tempN_input`.
    pub celsius: Option<f64>,
    /// `tempN_crit`: the card slows down.
    pub critical: Option<f64>,
    /// `tempN_emergency`: the card switches itself off.
    pub emergency: Option<f64>,
}

/// The link to the host: transfers per second and lanes, now and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Link {
    /// `current_link_speed`.
    pub speed: Option<f64>,
    /// `max_link_speed`.
    pub max_speed: Option<f64>,
    /// `current_link_width`.
    pub width: Option<u64>,
    /// `max_link_width`.
    pub max_width: Option<u64>,
}

/// A number and what it is of.
pub type Named<T> = (String, T);

/// What was measured of a card that is awake. What is absent or could not be read is missing or `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// By sensor.
    pub temperatures: Vec<Temperature>,
    /// `power1_average`, else `power1_input`, in watts. On APUs the processor is part of it.
    pub power_watts: Option<f64>,
    /// `power1_cap`, `_max`, `_crit`, `_rated_max` in watts, by the part of the name. 0 is no limit and missing.
    pub power_limits: Vec<Named<f64>>,
    /// `energyN_input` in joules since the driver was loaded, by what uses it: `card`, `package`, `gtN`.
    pub energy_joules: Vec<Named<f64>>,
    /// Hertz: `graphics`, `memory`, `gtN`.
    pub clocks: Vec<Named<f64>>,
    /// Shares of 1: `graphics`, `memory`, `video`.
    pub utilization: Vec<Named<f64>>,
    /// `mem_info_vram_used` in bytes.
    pub memory_used: Option<u64>,
    /// `mem_info_vram_total` in bytes.
    pub memory_total: Option<u64>,
    /// `fanN_input` in revolutions per minute.
    pub fan_rpm: Vec<Named<u64>>,
    /// `pwmN` as a share of 1.
    pub fan_duty: Vec<Named<f64>>,
    /// Why its clock is held down: every reason the driver knows, and whether it holds now.
    pub throttle: Vec<Named<bool>>,
    /// `ras/*_err_count`, by block of the chip.
    pub errors: Vec<Named<ErrorCounts>>,
    /// Of the card, past a switch on its own board.
    pub link: Link,
}

/// One look at a card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// Whether it was still there at the end. If not, nothing else here holds.
    pub there: bool,
    /// `None` where the kernel has no runtime power management.
    pub power: Option<PowerState>,
    /// `None` while it sleeps.
    pub facts: Option<Facts>,
    /// `None` while it sleeps.
    pub values: Option<Values>,
    /// Whether NVML tells of it; `None` for cards that NVIDIA's driver has not taken.
    pub nvml: Option<NvmlState>,
    /// Files that were there and did not answer, by reason.
    pub unread: Unread,
    /// Those of them that somebody should look at.
    pub faults: Vec<SourceError>,
}
