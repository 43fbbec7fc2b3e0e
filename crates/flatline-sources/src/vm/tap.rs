//! What the network cards of Proxmox VE machines have carried: card `n` of machine `vmid` is the host's tap device
//! `tap<vmid>i<n>` (`<sysfs>/class/net/*/statistics`, `Documentation/ABI/testing/sysfs-class-net-statistics`).

use super::listing::{list, plain_number};
use crate::read::{SMALL_FILE, parsed, read_optional};
use crate::value::number_file;
use crate::{HostPath, Roots, SourceError};
use std::collections::BTreeSet;

/// Proxmox VE has cards `net0` to `net31`.
const CARDS: u32 = 32;

/// One network card, in bytes since its tap device was made, which is when the machine was started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tap {
    /// The machine's number.
    pub vmid: u32,
    /// The card's number.
    pub card: u32,
    /// The tap device's name.
    pub device: String,
    /// Bytes the guest received: what the host transmitted. `None` when not readable.
    pub guest_received: Option<u64>,
    /// Bytes the guest sent: what the host received. `None` when not readable.
    pub guest_sent: Option<u64>,
}

/// Reads the tap devices of these machines, sorted by machine and card; the interfaces are listed once for all.
///
/// # Errors
/// When the interfaces can't be listed. A counter that can't be read goes to `faults`.
pub fn read_taps(
    roots: &Roots,
    vmids: &BTreeSet<u32>,
    faults: &mut dyn FnMut(&SourceError),
) -> Result<Vec<Tap>, SourceError> {
    let class = roots.sysfs.join("class/net");
    let mut taps = Vec::new();
    let listed = list(&class, |name, _| {
        if let Some((vmid, card)) = parse_name(name.to_bytes()).filter(|(vmid, _)| vmids.contains(vmid)) {
            let device = format!("tap{vmid}i{card}");
            taps.push(Tap { vmid, card, device, guest_received: None, guest_sent: None });
        }
    });
    for tap in &mut taps {
        let statistics = class.join(&tap.device).join("statistics");
        tap.guest_received = counter(&statistics.join("tx_bytes"), faults);
        tap.guest_sent = counter(&statistics.join("rx_bytes"), faults);
    }
    // One that was removed meanwhile has neither.
    taps.retain(|tap| tap.guest_received.is_some() || tap.guest_sent.is_some());
    taps.sort_unstable();
    listed.map(|()| taps)
}

/// The machine and card in `tap<vmid>i<n>`, `None` for any other name.
#[must_use]
pub fn parse_name(name: &[u8]) -> Option<(u32, u32)> {
    let numbers = name.strip_prefix(b"tap")?;
    let middle = numbers.iter().position(|byte| *byte == b'i')?;
    let card = plain_number(&numbers[middle + 1..]).filter(|card| *card < CARDS)?;
    Some((plain_number(&numbers[..middle])?, card))
}

fn counter(path: &HostPath, faults: &mut dyn FnMut(&SourceError)) -> Option<u64> {
    let mut content = Vec::new();
    let result = read_optional(path, SMALL_FILE, &mut content).and_then(|found| {
        if found { parsed(number_file(&content), path, &content, "a byte count").map(Some) } else { Ok(None) }
    });
    result.unwrap_or_else(|error| {
        faults(&error);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().expect("a directory");
        for (device, received, sent) in
            [("tap100i0", 11, 22), ("tap100i1", 33, 44), ("tap1000i0", 1, 2), ("fwbr100i0", 5, 6), ("eth0", 7, 8)]
        {
            let statistics = tree.path().join("sys/class/net").join(device).join("statistics");
            fs::create_dir_all(&statistics).expect("a directory");
            fs::write(statistics.join("tx_bytes"), format!("{received}\n")).expect("a file");
            fs::write(statistics.join("rx_bytes"), format!("{sent}\n")).expect("a file");
        }
        tree
    }

    #[test]
    fn what_the_tap_received_the_guest_sent() {
        let tree = tree();
        let taps = read_taps(&Roots::under(tree.path()), &[100].into(), &mut |fault| panic!("{fault}")).expect("taps");
        let tap = |card, device: &str, received, sent| Tap {
            vmid: 100,
            card,
            device: device.into(),
            guest_received: Some(received),
            guest_sent: Some(sent),
        };
        assert_eq!(taps, [tap(0, "tap100i0", 11, 22), tap(1, "tap100i1", 33, 44)]);
    }

    #[test]
    fn a_vanished_device_is_left_out_and_a_faulty_counter_named() {
        let tree = tree();
        let net = tree.path().join("sys/class/net");
        fs::remove_dir_all(net.join("tap100i1/statistics")).expect("removable");
        fs::write(net.join("tap100i0/statistics/rx_bytes"), "many").expect("a file");
        let mut faults = Vec::new();
        let mut note = |fault: &SourceError| faults.push(fault.path.to_path_buf());
        let taps = read_taps(&Roots::under(tree.path()), &[100].into(), &mut note).expect("taps");
        assert_eq!(faults, [net.join("tap100i0/statistics/rx_bytes")]);
        let found: Vec<_> = taps.iter().map(|tap| (tap.card, tap.guest_received, tap.guest_sent)).collect();
        assert_eq!(found, [(0, Some(11), None)]);
    }

    #[test]
    fn a_host_without_interfaces_has_no_taps() {
        let tree = tempfile::tempdir().expect("a directory");
        let taps = read_taps(&Roots::under(tree.path()), &[100].into(), &mut |fault| panic!("{fault}"));
        assert_eq!(taps, Ok(Vec::new()));
    }

    #[test]
    fn other_names_are_no_cards() {
        assert_eq!(parse_name(b"tap999999999i31"), Some((999_999_999, 31)));
        for name in ["tap100i32", "tap100i", "tapi0", "tap100", "tap0100i0", "tap100i00", "tap100i0p0", "xtap100i0"] {
            assert_eq!(parse_name(name.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_name(name in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Some((vmid, card)) = parse_name(&name) {
                prop_assert_eq!(format!("tap{vmid}i{card}").into_bytes(), name);
            }
        }
    }
}
