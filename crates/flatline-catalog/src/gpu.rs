//! Graphics cards and accelerators, from `/sys/bus/pci/devices` and the hwmon devices below it
//! (kernel documentation: `Documentation/gpu/amdgpu/thermal.rst`,
//! `Documentation/ABI/testing/sysfs-driver-intel-{i915,xe}-hwmon`), and the temperature of processor packages.

use crate::{Family, Label, Unit};

/// The PCI address.
pub const GPU: Label =
    Label::new("gpu", "the PCI address, 0000:0b:00.0; at most 64 cards present, and 64 remembered ones");
/// Who made it.
pub const VENDOR: Label = Label::new("vendor", "amd, intel, nvidia");
/// Which one it is.
pub const MODEL: Label = Label::new("model", "one per card: the product's name, or PCI vendor and device (1002:7551)");
/// What drives it.
pub const DRIVER: Label =
    Label::new("driver", "one per card: amdgpu, i915, xe, nvidia ...; left out where there is none");
/// The driver's version.
pub const DRIVER_VERSION: Label =
    Label::new("driver_version", "one per card; left out where the driver has none of its own");
/// The version of the card's own firmware (VBIOS), or the name of a firmware the driver loads.
pub const FIRMWARE: Label = Label::new("firmware", "one VBIOS version per card; at most 64 firmware names per card");
/// The version of a firmware.
pub const VERSION: Label = Label::new("version", "one per firmware");
/// Where a temperature is taken.
pub const SENSOR: Label = Label::new(
    "sensor",
    "edge, junction, memory, package, gpu (NVIDIA), or as the driver calls it; at most 64 per card",
);
/// Which limit.
pub const LIMIT: Label = Label::new("limit", "temperature: critical, emergency; power: cap, max, crit, rated_max");
/// What uses energy.
pub const DOMAIN: Label = Label::new("domain", "card, package, gtN; at most 64 per card");
/// Which clock.
pub const CLOCK: Label = Label::new("clock", "graphics, memory, sm, video, gtN; at most 64 per card");
/// Which part of the chip works.
pub const ENGINE: Label = Label::new("engine", "graphics, memory, video, encoder, decoder");
/// Which fan.
pub const FAN: Label = Label::new("fan", "fanN; at most 64 per card");
/// What the kernel's power management says.
pub const STATE: Label =
    Label::new("state", "active, suspended, suspending, resuming, unsupported (always awake), error");
/// Why the clock is held down, or why files did not answer.
pub const REASON: Label = Label::new(
    "reason",
    "throttling: as the driver calls it (pl1, thermal ...), at most 64 per card; files: busy, no_data, io_error, timeout, refused, permission, vanished, invalid, other",
);
/// Whether NVIDIA's library tells anything.
pub const NVML: Label = Label::new("state", "on, off, failed");
/// Why it does not.
pub const NVML_REASON: Label = Label::new("reason", "one at a time: what is missing or what the library said");
/// Which block of the chip found an error.
pub const BLOCK: Label = Label::new("block", "umc, gfx, sdma ...; all for NVIDIA; at most 64 per card");
/// How bad an error is.
pub const KIND: Label = Label::new("kind", "uncorrectable, correctable, deferred");
/// Which processor.
pub const CHIP: Label = Label::new("chip", "one per processor package: 0000:00:18.3, coretemp.0");

/// Who the card is.
pub static INFO: Family = Family::info(
    "flatline_gpu_info",
    &[GPU, VENDOR, MODEL, DRIVER, DRIVER_VERSION, FIRMWARE],
    "A GPU of the host. Without a driver it can't be used. What is only known of a card that was awake once is left out.",
);
/// Loaded firmware.
pub static FIRMWARE_INFO: Family = Family::info(
    "flatline_gpu_firmware_info",
    &[GPU, FIRMWARE, VERSION],
    "A firmware that the driver has loaded into the GPU, and its version (amdgpu; gsp for NVIDIA).",
);
/// Whether it is there.
pub static PRESENT: Family = Family::gauge(
    "flatline_gpu_present",
    Unit::None,
    &[GPU],
    "1 when the GPU is on the bus and a driver has taken it; 0 when it is gone, or its driver could not or would not take it.",
);
/// Whether it should be there.
pub static EXPECTED: Family = Family::gauge(
    "flatline_gpu_expected",
    Unit::None,
    &[GPU],
    "1 when the GPU has worked on this host before, even before a reboot; 0 when it is there and never has. One that was taken out for good is forgotten with --collector.gpu.forget.",
);
/// How long it has not answered.
pub static STUCK_SECONDS: Family = Family::gauge(
    "flatline_gpu_stuck_seconds",
    Unit::Seconds,
    &[GPU],
    "How long a read of the GPU's sensors has hung in its driver; 0 when it answers. Its other metrics are absent meanwhile.",
);
/// Whether it sleeps.
pub static POWER_STATE: Family = Family::gauge(
    "flatline_gpu_power_state",
    Unit::None,
    &[GPU, STATE],
    "1 for the state the kernel's runtime power management gives. A GPU that is not active is left asleep, so that its sensors are absent.",
);
/// NVIDIA's library.
pub static NVML_STATE: Family = Family::gauge(
    "flatline_gpu_nvml_state",
    Unit::None,
    &[NVML, NVML_REASON],
    "1 for whether NVIDIA's library (NVML) tells of its GPUs. off: there is no NVIDIA driver, or a GPU that sleeps would be woken; nothing is wrong. failed: they can't be read, and the reason says why. Absent while none of them answers.",
);
/// Files that did not answer.
pub static UNREADABLE_FILES: Family = Family::gauge(
    "flatline_gpu_unreadable_files",
    Unit::None,
    &[GPU, REASON],
    "Files of an awake GPU that are there and did not answer at the last look; for NVIDIA, questions to its library. busy: the driver is resetting the GPU or working on it. Their values are absent.",
);
/// Temperatures.
pub static TEMPERATURE: Family = Family::gauge(
    "flatline_gpu_temperature_celsius",
    Unit::None,
    &[GPU, SENSOR],
    "Temperature of the GPU. junction is the hottest point of the chip, edge its rim.",
);
/// Their limits.
pub static TEMPERATURE_LIMIT: Family = Family::gauge(
    "flatline_gpu_temperature_limit_celsius",
    Unit::None,
    &[GPU, SENSOR, LIMIT],
    "critical: from here on the GPU slows down. emergency: from here on it switches itself off.",
);
/// Power.
pub static POWER: Family = Family::gauge(
    "flatline_gpu_power_watts",
    Unit::None,
    &[GPU],
    "Power the GPU takes, averaged by its firmware where it does that. On an APU the processor is part of it. Absent for drivers that count energy.",
);
/// Limits of power.
pub static POWER_LIMIT: Family = Family::gauge(
    "flatline_gpu_power_limit_watts",
    Unit::None,
    &[GPU, LIMIT],
    "Power the GPU may take. amdgpu and NVIDIA: cap is the limit in force. Intel: max is the sustained limit (PL1), cap that of short bursts (PL2). Absent when there is no limit.",
);
/// Energy.
pub static ENERGY: Family = Family::counter(
    "flatline_gpu_energy_joules_total",
    Unit::None,
    &[GPU, DOMAIN],
    "Energy the GPU has used since its driver was loaded (Intel, NVIDIA); the rate is its power in watts.",
);
/// Clocks.
pub static CLOCK_HERTZ: Family = Family::gauge(
    "flatline_gpu_clock_hertz",
    Unit::None,
    &[GPU, CLOCK],
    "Clock of a part of the GPU. 0 is a part that rests.",
);
/// Work.
pub static UTILIZATION: Family = Family::gauge(
    "flatline_gpu_utilization_ratio",
    Unit::None,
    &[GPU, ENGINE],
    "Share of the time a part of the GPU works, as its firmware measures it. 1 for hours without any clock or power to show for it is a GPU that hangs.",
);
/// Memory in use.
pub static MEMORY_USED: Family = Family::gauge(
    "flatline_gpu_memory_used_bytes",
    Unit::Bytes,
    &[GPU],
    "Memory of the GPU in use. On an APU the part of the host's memory that is set aside for it.",
);
/// Memory.
pub static MEMORY_TOTAL: Family =
    Family::gauge("flatline_gpu_memory_total_bytes", Unit::Bytes, &[GPU], "Memory the GPU has, in use or free.");
/// Fans.
pub static FAN_SPEED: Family = Family::gauge(
    "flatline_gpu_fan_speed_rpm",
    Unit::None,
    &[GPU, FAN],
    "Revolutions of the GPU's fan per minute. 0 is normal for a cool GPU.",
);
/// Fans' duty.
pub static FAN_DUTY: Family = Family::gauge(
    "flatline_gpu_fan_duty_ratio",
    Unit::None,
    &[GPU, FAN],
    "How hard the GPU's fan is driven, as a share of its full power.",
);
/// Throttling.
pub static THROTTLE_REASONS: Family = Family::gauge(
    "flatline_gpu_throttle_reasons",
    Unit::None,
    &[GPU, REASON],
    "1 for each reason that holds the GPU's clock down now. Intel: pl1, pl2, pl4 are limits of power, thermal and vr_thermalert of heat. NVIDIA: sw_power_cap is its limit of power, hw_slowdown, hw_thermal_slowdown and hw_power_brake_slowdown are serious, gpu_idle is rest.",
);
/// Memory errors.
pub static ECC_ERRORS: Family = Family::counter(
    "flatline_gpu_ecc_errors_total",
    Unit::None,
    &[GPU, BLOCK, KIND],
    "Errors the GPU found in its own memories since its driver was loaded (amdgpu and NVIDIA, where the card has ECC). umc is the card's memory.",
);
/// The link's speed.
pub static LINK_SPEED: Family = Family::gauge(
    "flatline_gpu_pcie_link_speed_transfers_per_second",
    Unit::None,
    &[GPU],
    "Speed of the GPU's PCIe link to the host: 16e9 is PCIe 4.0. Many GPUs slow it down while they rest.",
);
/// The speed it could have.
pub static LINK_SPEED_MAX: Family = Family::gauge(
    "flatline_gpu_pcie_link_speed_max_transfers_per_second",
    Unit::None,
    &[GPU],
    "Speed the GPU's side of its PCIe link is made for. The slot may be made for less.",
);
/// The link's lanes.
pub static LINK_WIDTH: Family = Family::gauge(
    "flatline_gpu_pcie_link_width_lanes",
    Unit::None,
    &[GPU],
    "Lanes of the GPU's PCIe link to the host. Fewer than usual is a bad contact or a slot that is shared.",
);
/// The lanes it could have.
pub static LINK_WIDTH_MAX: Family = Family::gauge(
    "flatline_gpu_pcie_link_width_max_lanes",
    Unit::None,
    &[GPU],
    "Lanes the GPU's side of its PCIe link is made for.",
);
/// The processor.
pub static CPU_TEMPERATURE: Family = Family::gauge(
    "flatline_cpu_package_temperature_celsius",
    Unit::None,
    &[CHIP, SENSOR],
    "Temperature of a processor package: tctl is what AMD's processors go by (on some models above the real one), tdie the real one, package Intel's.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &INFO,
    &FIRMWARE_INFO,
    &PRESENT,
    &EXPECTED,
    &STUCK_SECONDS,
    &NVML_STATE,
    &POWER_STATE,
    &UNREADABLE_FILES,
    &TEMPERATURE,
    &TEMPERATURE_LIMIT,
    &POWER,
    &POWER_LIMIT,
    &ENERGY,
    &CLOCK_HERTZ,
    &UTILIZATION,
    &MEMORY_USED,
    &MEMORY_TOTAL,
    &FAN_SPEED,
    &FAN_DUTY,
    &THROTTLE_REASONS,
    &ECC_ERRORS,
    &LINK_SPEED,
    &LINK_SPEED_MAX,
    &LINK_WIDTH,
    &LINK_WIDTH_MAX,
    &CPU_TEMPERATURE,
];
