//! What the platform reports: IOMMU, machine checks, memory controllers, PCIe, heat, watchdogs, clocks, USB.

use crate::Kind::{
    ClocksourceUnstable, EdacError, IommuFault, IommuInvalidDeviceRequest, MceHardwareError, PcieAerError,
    ThermalThrottle, UsbDisconnect, WatchdogHardResetHint, WatchdogNotStopped,
};
use crate::pattern::{Pattern, kernel};

pub(crate) const PATTERNS: &[Pattern] = &[
    // drivers/iommu/amd/iommu.c; 4.x writes the start of the line as a record of its own.
    kernel(
        IommuInvalidDeviceRequest,
        r"(?:[\w-]+ [\w:.]+: )?(?:AMD-Vi: Event logged \[)?INVALID_DEVICE_REQUEST device=(?P<device>[0-9a-f:.]+)",
    ),
    kernel(
        IommuFault,
        r"(?:[\w-]+ (?P<device>{BDF}): |[\w-]+ [\w:.]+: )?(?:AMD-Vi: )?Event logged \[(?:IO_PAGE_FAULT|[A-Z_]+_ERROR|ILLEGAL_DEV_TABLE_ENTRY|IOTLB_INV_TIMEOUT|RMP_PAGE_FAULT) (?:domain|address|vmg_tag)=",
    ),
    kernel(
        IommuFault,
        r"(?:[\w-]+ [\w:.]+: )?(?:(?:AMD-Vi: )?Event logged \[)?(?:IO_PAGE_FAULT|[A-Z_]+_ERROR|ILLEGAL_DEV_TABLE_ENTRY|IOTLB_INV_TIMEOUT|RMP_PAGE_FAULT) device=(?P<device>[0-9a-f:.]+)",
    ),
    kernel(IommuFault, r"(?:COMMAND_HARDWARE_ERROR|ILLEGAL_COMMAND_ERROR) address=0x"),
    // drivers/iommu/intel/dmar.c
    kernel(
        IommuFault,
        r"(?:dmar: |DMAR: )?DMAR: ?\[(?P<direction>DMA [Rr]ead|DMA [Ww]rite|INTR-REMAP)(?: NO_PASID| PASID [0-9a-fx]+)?\] Request device \[(?P<device>[0-9a-fx:.]+)\](?: PASID [0-9a-fx]+)? ?fault (?:addr|index) ",
    ),
    // drivers/iommu/arm/arm-smmu/arm-smmu.c
    kernel(IommuFault, r"arm-smmu (?P<device>[\w.:]+): Unhandled context fault: fsr=0x"),
    // arch/x86/kernel/cpu/mce/core.c
    kernel(MceHardwareError, r"(?:mce: )?\[Hardware Error\]: Machine check events logged").with(&[("phase", "notice")]),
    kernel(
        MceHardwareError,
        r"(?:mce: )?(?:\[Hardware Error\]: )?CPU \d+: Machine Check(?: Exception)?: +[0-9a-f]+(?: Bank (?P<bank>\d+): +[0-9a-f]+|$)",
    )
    .with(RECORD),
    // drivers/edac/mce_amd.c
    kernel(
        MceHardwareError,
        r"\[Hardware Error\]: CPU:\d+ \([0-9a-f]+:[0-9a-f]+:[0-9a-f]+\) MC(?P<bank>\d+)_STATUS\[",
    )
    .with(RECORD),
    // arch/powerpc/kernel/mce.c
    kernel(MceHardwareError, r"MCE: CPU\d+: machine check \((?P<severity>Harmless|Warning|Severe|Fatal)\) ").with(RECORD),
    // drivers/firmware/efi/cper.c, by drivers/acpi/apei/ghes.c
    kernel(
        MceHardwareError,
        r"(?:\{\d+\})?\[Hardware Error\]: event severity: (?P<severity>recoverable|fatal|corrected|info)",
    )
    .with(&[("phase", "ghes")]),
    // drivers/edac/edac_mc.c, edac_device.c, edac_pci.c
    kernel(EdacError, r"EDAC MC(?P<mc>\d+): (?P<count>\d+) (?P<type>CE|UE) (?:[^\n]* )?on [^\n]*\("),
    kernel(EdacError, r"EDAC MC(?P<mc>\d+): (?P<type>CE|UE) (?:page|row|- no information)"),
    kernel(EdacError, r"EDAC DEVICE\d+: (?P<type>CE|UE): "),
    kernel(
        EdacError,
        r"EDAC PCI\d*: (?:Bridge )?(?:Detected Parity Error|Master Data Parity Error|Signaled System Error) on ",
    )
    .with(&[("type", "pci")]),
    // drivers/pci/pcie/aer.c, dpc.c
    kernel(
        PcieAerError,
        r"[\w-]+ (?P<device>{BDF})(?::\w+)?: (?:AER: )?PCIe Bus Error: severity=(?P<severity>Correct(?:ed|able)|Uncorrect(?:ed|able)(?: \((?:Non-)?Fatal\))?), type=(?P<layer>[\w ]+),",
    ),
    kernel(PcieAerError, r"[\w-]+ (?P<device>{BDF})(?::\w+)?: (?:DPC: |DPC )containment event, status:0x[0-9a-f]+")
        .with(&[("severity", "containment")]),
    // arch/x86/kernel/cpu/mce/therm_throt.c, drivers/thermal/intel/therm_throt.c
    kernel(
        ThermalThrottle,
        r"(?:mce: )?CPU\d+: (?P<level>Core|Package) temperature(?: is)? above threshold, cpu clock(?: is)? throttled",
    ),
    // drivers/thermal/thermal_core.c; what it does about it is no part of the line since 6.9.
    kernel(
        ThermalThrottle,
        r"(?:thermal |thermal_sys: )?(?:thermal_zone\d+: )?(?:[\w .-]+: )?[Cc]ritical temperature reached(?:(?:,| ?\(-?\d+ C\),) ?shutting down)?\.?$",
    )
    .with(&[("level", "critical")]),
    // drivers/watchdog/watchdog_dev.c and the drivers that predate it
    kernel(WatchdogNotStopped, r"(?:watchdog:? )?(?P<watchdog>watchdog\d*): watchdog did not stop!"),
    kernel(
        WatchdogNotStopped,
        r"(?P<watchdog>[\w-]+|IPMI Watchdog)(?: [\w.:-]+)?: (?:\w+: )?Unexpected close, not stopping watchdog!$",
    ),
    // drivers/watchdog/pretimeout_noop.c, softdog.c, sp5100_tco.c
    kernel(WatchdogHardResetHint, r"(?:[\w-]+: )?watchdog\d+: pretimeout event$").with(&[("reason", "pretimeout")]),
    kernel(WatchdogHardResetHint, r"(?i:softdog): Initiating (?:system reboot|panic)").with(&[("reason", "softdog")]),
    kernel(WatchdogHardResetHint, r"[\w-]+(?: [\w.:-]+)?: Last reboot was triggered by watchdog")
        .with(&[("reason", "watchdog")]),
    // arch/x86/kernel/cpu/amd.c (6.16 and later)
    kernel(
        WatchdogHardResetHint,
        r"x86/amd: Previous system reset reason \[0x[0-9a-f]+\]: hardware watchdog timer expired",
    )
    .with(&[("reason", "watchdog")]),
    kernel(WatchdogHardResetHint, r"x86/amd: Previous system reset reason \[0x[0-9a-f]+\]: [^\n]*?sync flood")
        .with(&[("reason", "sync_flood")]),
    // kernel/time/clocksource.c, arch/x86/kernel/tsc.c
    kernel(
        ClocksourceUnstable,
        r"clocksource: (?:timekeeping watchdog(?: on CPU\d+)?: )?Marking clocksource '(?P<clocksource>[\w-]+)' as unstable",
    )
    .with(&[("phase", "watchdog")]),
    kernel(
        ClocksourceUnstable,
        r"clocksource: timekeeping watchdog on CPU\d+: (?P<clocksource>[\w-]+) (?:wd-[\w-]+ )?read-back delay of \d+ns, attempt \d+, marking unstable",
    )
    .with(&[("phase", "watchdog")]),
    kernel(ClocksourceUnstable, r"Clocksource (?P<clocksource>[\w-]+) unstable \(delta = ").with(&[("phase", "watchdog")]),
    kernel(ClocksourceUnstable, r"(?:tsc: )?Marking TSC unstable due to\b")
        .with(&[("phase", "tsc"), ("clocksource", "tsc")]),
    // drivers/usb/core/hub.c
    kernel(UsbDisconnect, r"usb [\w.-]+: USB disconnect, (?:device number|address) \d+"),
];

const RECORD: &[(&str, &str)] = &[("phase", "record")];
