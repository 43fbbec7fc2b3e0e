//! `<procfs>/meminfo`: `Name:   123 kB` per line (`proc_meminfo(5)`).

use crate::flat_keyed::split_line;
use crate::value::number;

/// The value of one line in bytes (the kernel's kB are 1024 bytes); `None` when it is missing or no number.
#[must_use]
pub fn bytes(content: &[u8], name: &[u8]) -> Option<u64> {
    let mut rest = content;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        if let Some(value) = line.strip_prefix(name).and_then(|tail| tail.strip_prefix(b":")) {
            let kib = value.trim_ascii().strip_suffix(b"kB")?;
            return number(kib.trim_ascii())?.checked_mul(1024);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_recorded_lines() {
        let content = b"MemTotal:         981724 kB\nMemFree:          675040 kB\nSwapTotal:             0 kB\n";
        assert_eq!(bytes(content, b"MemTotal"), Some(981_724 * 1024));
        assert_eq!(bytes(content, b"SwapTotal"), Some(0));
        assert_eq!(bytes(content, b"Mem"), None);
        assert_eq!(bytes(b"MemTotal: x kB\n", b"MemTotal"), None);
        assert_eq!(bytes(b"MemTotal: 5\n", b"MemTotal"), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(bytes(&content, b"MemTotal").is_none() || content.starts_with(b"MemTotal:") || content.windows(10).any(|w| w == b"\nMemTotal:"));
        }
    }
}
