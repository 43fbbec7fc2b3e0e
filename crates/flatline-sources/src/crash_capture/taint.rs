//! Why the kernel counts as tainted (kernel documentation: `Documentation/admin-guide/tainted-kernels.rst`).

use crate::value::number_file;

/// The flags of `/proc/sys/kernel/tainted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taint(pub u64);

impl Taint {
    /// The name of each bit, from bit 0.
    pub const BITS: [&'static str; 20] = [
        "proprietary_module",
        "forced_load",
        "cpu_out_of_spec",
        "forced_unload",
        "machine_check",
        "bad_page",
        "user",
        "died",
        "overridden_acpi_table",
        "warning",
        "staging",
        "firmware_workaround",
        "out_of_tree_module",
        "unsigned_module",
        "soft_lockup",
        "live_patch",
        "auxiliary",
        "randstruct",
        "test",
        "fwctl",
    ];

    /// Each reason and whether it is given; the last, `other`, stands for bits of kernels to come.
    pub fn reasons(self) -> impl Iterator<Item = (&'static str, bool)> {
        let named = Self::BITS.iter().enumerate().map(move |(bit, name)| (*name, self.0 >> bit & 1 != 0));
        named.chain([("other", self.0 >> Self::BITS.len() != 0)])
    }

    /// Parses the file, a decimal number.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        number_file(content).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recorded after a warning and an oops in a module of our own.
    #[test]
    fn names_the_recorded_reasons() {
        let taint = Taint::parse(b"12928\n").expect("a number");
        let reasons: Vec<_> = taint.reasons().filter(|(_, set)| *set).map(|(name, _)| name).collect();
        assert_eq!(reasons, ["died", "warning", "out_of_tree_module", "unsigned_module"]);
    }

    #[test]
    fn letters_are_no_number() {
        assert_eq!(Taint::parse(b"G"), None);
        assert_eq!(Taint::parse(b""), None);
    }

    proptest! {
        #[test]
        fn every_bit_has_a_name(flags: u64) {
            let set = Taint(flags).reasons().filter(|(_, set)| *set).count();
            let known = flags & 0xf_ffff;
            prop_assert_eq!(u32::try_from(set), Ok(known.count_ones() + u32::from(known != flags)));
        }
    }
}
