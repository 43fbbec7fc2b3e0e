//! Drives: their own verdict (SMART, as `smartctl --json` tells it: smartctl(8)) and their temperature (kernel
//! documentation: `Documentation/hwmon/drivetemp.rst`).

use crate::{Family, Label, Unit};

/// A drive.
pub const DEVICE: Label = Label::new("device", "one per disk (sda) or NVMe controller (nvme0), at most 256");
/// How it is spoken to.
pub const PROTOCOL: Label = Label::new("protocol", "ATA, NVMe, SCSI");
/// Its model.
pub const MODEL: Label = Label::new("model", "one per drive");
/// Its serial number.
pub const SERIAL: Label = Label::new("serial", "one per drive");
/// Its firmware.
pub const FIRMWARE: Label = Label::new("firmware", "one per drive");
/// What came of the last question.
pub const STATE: Label =
    Label::new("state", "answered, standby, unsupported, permission, no_device, failed, no_answer, hung, not_asked");
/// NVMe's warnings.
pub const WARNING: Label =
    Label::new("warning", "spare_low, temperature, unreliable, read_only, volatile_memory_backup, persistent_memory");
/// What a sensor measures.
pub const SENSOR: Label = Label::new("sensor", "at most 16 per drive: composite, sensor_1, temp1");

/// Identity.
pub static INFO: Family = Family::info(
    "flatline_drive_info",
    &[DEVICE, PROTOCOL, MODEL, SERIAL, FIRMWARE],
    "The drive as it names itself. Names such as sda may change at a reboot; the serial number is the drive.",
);
/// What came of the last question.
pub static SMART_STATE: Family = Family::gauge(
    "flatline_drive_smart_state",
    Unit::None,
    &[DEVICE, STATE],
    "1 for what came of asking the drive last: answered; standby (it sleeps and was left asleep); unsupported (no SMART, or an unknown USB bridge); permission; failed (nothing can be made of its answer: so it is for SATA disks without CAP_SYS_RAWIO); no_answer (smartctl took too long and was killed); hung (smartctl can't even be killed, and no drive is asked until it ends); not_asked (not yet, or there is no smartctl).",
);
/// The verdict.
pub static SMART_HEALTHY: Family = Family::gauge(
    "flatline_drive_smart_healthy",
    Unit::None,
    &[DEVICE],
    "1 when the drive's own verdict is good, 0 when it says that it is failing: replace it. Good means little: many drives die without a word. From the last answer; flatline_drive_smart_answer_timestamp_seconds says when that was. Absent when the drive has never given one.",
);
/// When it answered.
pub static SMART_ANSWER: Family = Family::gauge(
    "flatline_drive_smart_answer_timestamp_seconds",
    Unit::Seconds,
    &[DEVICE],
    "When the drive gave the answer that these numbers are from. A sleeping drive keeps its last.",
);
/// ATA 5, SCSI grown defects.
pub static REALLOCATED: Family = Family::gauge(
    "flatline_drive_reallocated_sectors",
    Unit::None,
    &[DEVICE],
    "Sectors the drive has replaced by spare ones (ATA attribute 5, SCSI grown defects). A few that stay few are no harm; growing is.",
);
/// ATA 197.
pub static PENDING: Family = Family::gauge(
    "flatline_drive_pending_sectors",
    Unit::None,
    &[DEVICE],
    "Sectors the drive could not read and has not yet replaced (ATA attribute 197): what they held is lost unless a copy is elsewhere.",
);
/// ATA 198.
pub static UNCORRECTABLE: Family = Family::gauge(
    "flatline_drive_uncorrectable_sectors",
    Unit::None,
    &[DEVICE],
    "Sectors the drive found unreadable in its own test (ATA attribute 198).",
);
/// ATA 199.
pub static CRC_ERRORS: Family = Family::counter(
    "flatline_drive_crc_errors_total",
    Unit::None,
    &[DEVICE],
    "Errors on the way between drive and host (ATA attribute 199). Growing means the cable or backplane, not the drive.",
);
/// NVMe media errors, SCSI uncorrected errors, ATA 187.
pub static MEDIA_ERRORS: Family = Family::counter(
    "flatline_drive_media_errors_total",
    Unit::None,
    &[DEVICE],
    "Errors the drive could not correct (NVMe media errors, SCSI uncorrected errors, ATA attribute 187).",
);
/// NVMe `critical_warning`.
pub static CRITICAL_WARNING: Family = Family::gauge(
    "flatline_drive_critical_warning",
    Unit::None,
    &[DEVICE, WARNING],
    "1 for each warning the NVMe drive gives: spare_low, unreliable and read_only mean that it is failing; temperature that it is too hot.",
);
/// NVMe `percentage_used`.
pub static WEAR: Family = Family::gauge(
    "flatline_drive_wear_ratio",
    Unit::None,
    &[DEVICE],
    "Share of the NVMe drive's rated endurance that is used; over 1 when it has outlived it.",
);
/// NVMe `available_spare`.
pub static SPARE: Family = Family::gauge(
    "flatline_drive_spare_ratio",
    Unit::None,
    &[DEVICE],
    "Share of the NVMe drive's spare blocks that is left.",
);
/// NVMe `available_spare_threshold`.
pub static SPARE_THRESHOLD: Family = Family::gauge(
    "flatline_drive_spare_threshold_ratio",
    Unit::None,
    &[DEVICE],
    "Share of spare blocks below which the NVMe drive itself warns.",
);
/// hwmon.
pub static TEMPERATURE: Family = Family::gauge(
    "flatline_drive_temperature_celsius",
    Unit::None,
    &[DEVICE, SENSOR],
    "Temperature of the drive from the kernel (drivers nvme and drivetemp), in degrees Celsius, read at every scrape. Absent when the drive does not tell.",
);
/// hwmon `crit`.
pub static TEMPERATURE_LIMIT: Family = Family::gauge(
    "flatline_drive_temperature_limit_celsius",
    Unit::None,
    &[DEVICE, SENSOR],
    "From this temperature on the drive counts itself as too hot.",
);
/// The child's age.
pub static SMARTCTL_SECONDS: Family = Family::gauge(
    "flatline_drive_smartctl_running_seconds",
    Unit::Seconds,
    &[],
    "How long the smartctl that runs now has been running; 0 when none does. There is never more than one.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &INFO,
    &SMART_STATE,
    &SMART_HEALTHY,
    &SMART_ANSWER,
    &REALLOCATED,
    &PENDING,
    &UNCORRECTABLE,
    &CRC_ERRORS,
    &MEDIA_ERRORS,
    &CRITICAL_WARNING,
    &WEAR,
    &SPARE,
    &SPARE_THRESHOLD,
    &TEMPERATURE,
    &TEMPERATURE_LIMIT,
    &SMARTCTL_SECONDS,
];
