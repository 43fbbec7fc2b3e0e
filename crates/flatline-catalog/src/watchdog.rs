//! Hardware and software watchdogs, from `/sys/class/watchdog/*` and the holders found in `/proc/*/fd`
//! (kernel documentation: `Documentation/ABI/testing/sysfs-class-watchdog`).

use crate::{Family, Label, Unit};

/// The device's name, `watchdog0`.
pub const DEVICE: Label = Label::new("device", "one per watchdog device, at most 32");
/// What the driver calls itself.
pub const IDENTITY: Label = Label::new("identity", "one per device");
/// The pretimeout governor in force.
pub const GOVERNOR: Label = Label::new("governor", "one per device: noop, panic or empty");
/// A boot-status flag of `linux/watchdog.h`.
pub const STATUS: Label = Label::new(
    "status",
    "overheat, fan_fault, external1, external2, power_under, card_reset, power_over (WDIOF_* of linux/watchdog.h)",
);
/// The command name of the process that holds the device.
pub const COMM: Label = Label::new("comm", "one per device, at most 15 characters");

/// Who the device is.
pub static INFO: Family = Family::info(
    "flatline_watchdog_info",
    &[DEVICE, IDENTITY, GOVERNOR],
    "A watchdog device of the host: its driver's identity and pretimeout governor.",
);
/// `state`.
pub static ACTIVE: Family = Family::gauge(
    "flatline_watchdog_active",
    Unit::None,
    &[DEVICE],
    "1 when the watchdog counts down (state). Active without an owner means a reset is on its way.",
);
/// `timeout`.
pub static TIMEOUT_SECONDS: Family = Family::gauge(
    "flatline_watchdog_timeout_seconds",
    Unit::Seconds,
    &[DEVICE],
    "How long the watchdog waits for a sign of life before it resets the host (timeout).",
);
/// `pretimeout`.
pub static PRETIMEOUT_SECONDS: Family = Family::gauge(
    "flatline_watchdog_pretimeout_seconds",
    Unit::Seconds,
    &[DEVICE],
    "How long before the reset the pretimeout governor acts (pretimeout); 0 is off. Absent when the driver has none.",
);
/// `timeleft`.
pub static TIMELEFT_SECONDS: Family = Family::gauge(
    "flatline_watchdog_timeleft_seconds",
    Unit::Seconds,
    &[DEVICE],
    "Seconds until the watchdog resets the host if nobody gives a sign of life (timeleft). Absent when the driver can't tell.",
);
/// `nowayout`.
pub static NOWAYOUT: Family = Family::gauge(
    "flatline_watchdog_nowayout",
    Unit::None,
    &[DEVICE],
    "1 when an armed watchdog can't be disarmed any more, not even by its owner (nowayout).",
);
/// `bootstatus`.
pub static BOOT_STATUS: Family = Family::gauge(
    "flatline_watchdog_boot_status",
    Unit::None,
    &[DEVICE, STATUS],
    "1 for each reason the driver remembers for the last boot (bootstatus). card_reset 1 proves a watchdog reset; it is remembered until the next boot though a driver that is loaded anew forgets it. 0 proves nothing: it may have been forgotten before the exporter was there.",
);
/// Whether a process holds the device.
pub static OWNED: Family = Family::gauge(
    "flatline_watchdog_owned",
    Unit::None,
    &[DEVICE],
    "1 when a process holds the device open, 0 when certainly none does. Absent when the exporter may not look (needs root or CAP_SYS_PTRACE).",
);
/// Which process holds the device.
pub static OWNER_INFO: Family = Family::info(
    "flatline_watchdog_owner_info",
    &[DEVICE, COMM],
    "The process that holds the watchdog device open and so decides whether the host lives.",
);
/// The verdict.
pub static PROTECTING: Family = Family::gauge(
    "flatline_watchdog_protecting",
    Unit::None,
    &[DEVICE],
    "1 when a hang of this host would end in a reset: active, owned, a sane timeout, and time left that moves. Absent when the owner can't be seen.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &INFO,
    &ACTIVE,
    &TIMEOUT_SECONDS,
    &PRETIMEOUT_SECONDS,
    &TIMELEFT_SECONDS,
    &NOWAYOUT,
    &BOOT_STATUS,
    &OWNED,
    &OWNER_INFO,
    &PROTECTING,
];
