//! The boot-status flags of a watchdog (`WDIOF_*` of `linux/watchdog.h`, kernel documentation:
//! `Documentation/ABI/testing/sysfs-class-watchdog`, `bootstatus`).

use crate::value::number_file;

/// The reasons a watchdog driver remembers for the last boot. Bits this program has no name for are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootStatus(pub u64);

impl BootStatus {
    /// Every flag that names a reason, as the catalogue's label `status` spells it, with its bit.
    pub const FLAGS: [(&'static str, u64); 7] = [
        ("overheat", 0x01),
        ("fan_fault", 0x02),
        ("external1", 0x04),
        ("external2", 0x08),
        ("power_under", 0x10),
        ("card_reset", 0x20),
        ("power_over", 0x40),
    ];

    /// Each named flag and whether it is set.
    pub fn flags(self) -> impl Iterator<Item = (&'static str, bool)> {
        Self::FLAGS.iter().map(move |(name, bit)| (*name, self.0 & bit != 0))
    }

    /// Whether the driver says that the watchdog itself reset the host.
    #[must_use]
    pub const fn card_reset(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// Parses `bootstatus`, a decimal number.
#[must_use]
pub fn parse(content: &[u8]) -> Option<BootStatus> {
    number_file(content).map(BootStatus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thirty_two_is_a_watchdog_reset() {
        let status = parse(b"32\n").expect("a number");
        assert!(status.card_reset());
        assert_eq!(status.flags().filter(|(_, set)| *set).collect::<Vec<_>>(), [("card_reset", true)]);
    }

    #[test]
    fn unknown_bits_name_nothing() {
        assert_eq!(parse(b"32768").expect("a number").flags().filter(|(_, set)| *set).count(), 0);
        assert_eq!(parse(b"0x20"), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            if let Some(status) = parse(&bytes) {
                let named = status.flags().filter(|(_, set)| *set).count();
                prop_assert_eq!(u32::try_from(named), Ok((status.0 & 0x7f).count_ones()));
            }
        }
    }
}
