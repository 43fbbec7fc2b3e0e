//! Network interfaces.

use crate::Kind::{LinkDown, LinkUp, NetdevWatchdogTimeout};
use crate::pattern::{Pattern, kernel, nothing};

pub(crate) const PATTERNS: &[Pattern] = &[
    // net/sched/sch_generic.c dev_watchdog
    kernel(
        NetdevWatchdogTimeout,
        r"NETDEV WATCHDOG: (?P<iface>{IFACE}) \((?P<driver>[^()]*)\): transmit queue \d+ timed out",
    ),
    kernel(NetdevWatchdogTimeout, r"NETDEV WATCHDOG: (?P<iface>{IFACE}): transmit timed out"),
    kernel(NetdevWatchdogTimeout, r"{NETDEV}NETDEV WATCHDOG: CPU: \d+: transmit queue \d+ timed out"),
    // drivers/net/ethernet/intel
    kernel(NetdevWatchdogTimeout, r"{NETDEV}Detected (?:Hardware|Tx) Unit Hang").with(DRIVER),
    kernel(NetdevWatchdogTimeout, r"(?P<driver>[\w-]+) {BDF}: Detected (?:Hardware|Tx) Unit Hang").with(DRIVER),
    // drivers/input/input.c: what a device calls itself; nobody's interface.
    nothing(r"input: "),
    // drivers/pci/hotplug: the link of a slot.
    nothing(r"pcieport {BDF}: pciehp: "),
    // drivers/net/bonding/bond_main.c
    kernel(LinkDown, r"(?:bonding: )?{IFACE}: (?:\(slave (?P<iface>{IFACE})\): )?link status definitely down")
        .with(BONDING),
    kernel(LinkUp, r"(?:bonding: )?{IFACE}: (?:\(slave (?P<iface>{IFACE})\): )?link status definitely up")
        .with(BONDING),
    // drivers/net/phy, drivers/net/mii.c and the drivers' own words
    kernel(LinkDown, r"{NETDEV}(?:NIC )?{LINK}{DOWN}"),
    kernel(LinkUp, r"{NETDEV}(?:NIC )?{LINK}{UP}"),
    kernel(LinkDown, r"(?P<driver>[\w-]+) {BDF}: (?:\w+: )?(?P<iface>{IFACE}) NIC {LINK}{DOWN}"),
    kernel(LinkUp, r"(?P<driver>[\w-]+) {BDF}: (?:\w+: )?(?P<iface>{IFACE}) NIC {LINK}{UP}"),
    kernel(LinkDown, r"{BARE}{LINK}{DOWN}"),
    kernel(LinkUp, r"{BARE}{LINK}{UP}"),
    kernel(LinkUp, r"{NETDEV}NIC Up: \d+ "),
    kernel(LinkDown, r"\[\w+:\d+\((?P<iface>{IFACE})\)\]Link is down").with(&[("driver", "qede")]),
    kernel(LinkUp, r"\[\w+:\d+\((?P<iface>{IFACE})\)\]Link is up").with(&[("driver", "qede")]),
    // drivers/net/ethernet/aquantia
    kernel(LinkDown, r"(?P<driver>atlantic) \S+ (?P<iface>{IFACE}): (?:atlantic: )?link change old \d+ new 0$"),
    kernel(LinkUp, r"(?P<driver>atlantic) \S+ (?P<iface>{IFACE}): (?:atlantic: )?link change old \d+ new [1-9]\d*$"),
    // drivers/net/usb
    kernel(LinkDown, r"(?P<driver>r8152) \S+ (?P<iface>{IFACE}): carrier off$"),
    kernel(LinkUp, r"(?P<driver>r8152) \S+ (?P<iface>{IFACE}): carrier on$"),
    kernel(LinkDown, r"(?P<driver>ax\w+) \S+ (?P<iface>{IFACE}): ax\w+ - Link status is: 0"),
    kernel(LinkUp, r"(?P<driver>ax\w+) \S+ (?P<iface>{IFACE}): ax\w+ - Link status is: 1"),
    kernel(LinkDown, r"(?P<driver>cdc_\w+) \S+ (?P<iface>{IFACE}): network connection: disconnected"),
    kernel(LinkUp, r"(?P<driver>cdc_\w+) \S+ (?P<iface>{IFACE}): network connection: connected"),
];

const DRIVER: &[(&str, &str)] = &[("phase", "driver")];
const BONDING: &[(&str, &str)] = &[("driver", "bonding")];
