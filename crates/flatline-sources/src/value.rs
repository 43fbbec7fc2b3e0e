//! Single values: a decimal number, or a limit that may be `max`
//! (kernel documentation: `Documentation/admin-guide/cgroup-v2.rst`).

/// A cgroup limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit (`max`).
    Max,
    /// A limit in bytes.
    Bytes(u64),
}

impl Limit {
    /// The limit in bytes, `None` when there is none.
    #[must_use]
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Self::Max => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

/// Parses a decimal `u64` of digits only; `None` for anything else, overflow included.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Parses a file that holds one decimal number and white space around it.
#[must_use]
pub fn number_file(content: &[u8]) -> Option<u64> {
    number(content.trim_ascii())
}

/// Parses a file that holds one decimal number or `max`.
#[must_use]
pub fn limit_file(content: &[u8]) -> Option<Limit> {
    match content.trim_ascii() {
        b"max" => Some(Limit::Max),
        digits => number(digits).map(Limit::Bytes),
    }
}

/// Parses a cgroup-v1 limit: the kernel writes the largest page-aligned `i64` for "unlimited"
/// (`PAGE_COUNTER_MAX` times the page size: 9223372036854771712 with 4 KiB pages).
#[must_use]
pub fn v1_limit_file(content: &[u8]) -> Option<Limit> {
    /// `i64::MAX` rounded down to the largest page size Linux has, 64 KiB.
    const UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;
    number_file(content).map(|bytes| if bytes >= UNLIMITED { Limit::Max } else { Limit::Bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_number() {
        for bad in ["", " ", "-1", "+1", "1 2", "0x10", "18446744073709551616", "1\0", "m", "maxx"] {
            assert_eq!(limit_file(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn knows_max() {
        assert_eq!(limit_file(b"max\n"), Some(Limit::Max));
        assert_eq!(limit_file(b"209715200\n"), Some(Limit::Bytes(209_715_200)));
        assert_eq!(limit_file(b"0\n"), Some(Limit::Bytes(0)));
    }

    #[test]
    fn knows_v1_unlimited_on_every_page_size() {
        assert_eq!(v1_limit_file(b"9223372036854771712\n"), Some(Limit::Max));
        assert_eq!(v1_limit_file(b"9223372036854710272\n"), Some(Limit::Max));
        assert_eq!(v1_limit_file(b"9223372036854710271\n"), Some(Limit::Bytes(9_223_372_036_854_710_271)));
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value: u64) {
            prop_assert_eq!(number_file(format!("{value}\n").as_bytes()), Some(value));
        }

        #[test]
        fn agrees_with_the_standard_library(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let digits = bytes.iter().all(u8::is_ascii_digit);
            let expected = std::str::from_utf8(&bytes).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            prop_assert_eq!(number(&bytes), expected);
        }
    }
}
