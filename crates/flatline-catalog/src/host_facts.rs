//! What the host runs on: kernel, drivers, firmware, microcode, and what of it changed with the last boot (kernel
//! documentation: `Documentation/ABI/stable/sysfs-module`, `Documentation/ABI/testing/sysfs-firmware-dmi-tables`,
//! `Documentation/arch/x86/microcode.rst`).

use crate::{Family, Label, Unit};

/// A kind of fact.
pub const FACT: Label = Label::new("fact", "kernel, driver, firmware, microcode");
/// Which one of its kind.
pub const NAME: Label =
    Label::new("name", "release and build of the kernel, the driver, the firmware's field, revision");
/// Now.
pub const VALUE: Label = Label::new("value", "what it is now, at most 128 characters");
/// Then.
pub const BEFORE: Label = Label::new("before", "what it was in the boot before, at most 128 characters");
/// A kernel's.
pub const RELEASE: Label = Label::new("release", "one: uname -r");
/// A kernel's.
pub const BUILD: Label = Label::new("build", "one: uname -v");
/// A module's.
pub const DRIVER: Label = Label::new("driver", "the first 128 loaded modules that say a version");
/// A module's.
pub const VERSION: Label = Label::new("version", "one per driver or firmware");
/// The firmware's.
pub const VENDOR: Label = Label::new("vendor", "one: who made the firmware");
/// The firmware's.
pub const DATE: Label = Label::new("date", "one: the firmware's date, as it says it");
/// The machine's.
pub const PRODUCT: Label = Label::new("product", "one: the machine's name");
/// The machine's.
pub const BOARD: Label = Label::new("board", "one: the board's name");
/// A processor's.
pub const REVISION: Label = Label::new("revision", "one: that of the first processor");

/// The kernel.
pub static KERNEL: Family = Family::info(
    "flatline_host_kernel_info",
    &[RELEASE, BUILD],
    "The running kernel: its release and its build. A security update may change the build alone.",
);
/// Drivers.
pub static DRIVER_INFO: Family = Family::info(
    "flatline_host_driver_info",
    &[DRIVER, VERSION],
    "Loaded kernel modules that have a version of their own: those built out of tree (nvidia, zfs) and a few others.",
);
/// The firmware.
pub static FIRMWARE: Family = Family::info(
    "flatline_host_firmware_info",
    &[VENDOR, VERSION, DATE, PRODUCT, BOARD],
    "The machine's firmware (BIOS or UEFI) and the machine it is of, as they call themselves. Absent without DMI.",
);
/// The microcode.
pub static MICROCODE: Family = Family::info(
    "flatline_host_microcode_info",
    &[REVISION],
    "The microcode revision of the first processor. Absent in most virtual machines and on other processors than x86.",
);
/// How much has changed.
pub static CHANGED: Family = Family::gauge(
    "flatline_host_facts_changed",
    Unit::None,
    &[FACT],
    "How many facts of this kind are other than they were in the boot before, counted since this boot began. Absent when the boot before is not known: without a state directory, or at Flatline's first boot here.",
);
/// What has changed.
pub static CHANGE: Family = Family::info(
    "flatline_host_fact_change_info",
    &[FACT, NAME, VALUE, BEFORE],
    "Each fact that is other than it was in the boot before, and what it was. What goes wrong from this boot on may be its doing.",
);
/// How often anything has changed.
pub static CHANGES: Family = Family::counter(
    "flatline_host_fact_changes_total",
    Unit::None,
    &[FACT],
    "How often a fact of this kind has changed, over reboots, as far back as the state directory goes.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[&KERNEL, &DRIVER_INFO, &FIRMWARE, &MICROCODE, &CHANGED, &CHANGE, &CHANGES];
