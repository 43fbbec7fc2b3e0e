//! One line of JSON with its checksum in front: what every file of the state directory is made of.
//!
//! `3fa1b2c4 {"boot":"..."}`: people read it as it is, `cut -c10- | jq` reads it, and a line that was cut, torn or
//! flipped is told from one that was written. CRC-32 is against accidents, not against an enemy: whoever may write
//! here is the exporter's own user.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The checksum and the blank behind it.
const PREFIX: usize = 9;

/// Appends `value` as a sealed line, with its line feed.
pub(crate) fn seal<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *out, value)?;
    let checksum = format!("{:08x}", crc32fast::hash(&out[start + PREFIX..]));
    out[start..start + checksum.len()].copy_from_slice(checksum.as_bytes());
    out.push(b'\n');
    Ok(())
}

/// Reads a sealed line; blanks and a line feed behind it are padding.
pub(crate) fn unseal<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let line = line.trim_ascii_end();
    let (prefix, json) = line.split_at_checked(PREFIX).ok_or("cut short")?;
    let written = std::str::from_utf8(prefix).ok().and_then(|text| text.strip_suffix(' '));
    if written != Some(&format!("{:08x}", crc32fast::hash(json))) {
        return Err("the checksum does not match".into());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Whatever stands in a sealed file: what is read is written and read the same.
#[cfg(fuzzing)]
pub fn fuzz_sealed(line: &[u8]) {
    fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &[u8]) {
        let Ok(value) = unseal::<T>(line) else { return };
        let mut written = Vec::new();
        seal(&value, &mut written).expect("it has been one");
        assert_eq!(unseal::<T>(&written), Ok(value));
    }
    again::<crate::Totals>(line);
    again::<crate::Farewell>(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(text: &str) -> Vec<u8> {
        let mut line = Vec::new();
        seal(&text, &mut line).expect("a string is JSON");
        line
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(sealed("x"), b"f60ef986 \"x\"\n");
        assert_eq!(unseal::<String>(&sealed("x")), Ok("x".into()));
        assert_eq!(unseal::<String>(b"f60ef986 \"x\"   \n"), Ok("x".into()));
    }

    #[test]
    fn a_cut_or_flipped_line_is_refused() {
        let line = sealed("some text");
        for cut in 0..line.len() - 1 {
            assert!(unseal::<String>(&line[..cut]).is_err(), "cut at {cut}");
        }
        for (at, bit) in (0..line.len() - 1).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = line.clone();
            flipped[at] ^= 1 << bit;
            assert!(unseal::<String>(&flipped).is_err(), "byte {at}, bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(unseal::<u64>(&bytes).is_err());
        }

        #[test]
        fn reads_any_text_it_wrote(text in any::<String>()) {
            prop_assert_eq!(unseal::<String>(&sealed(&text)), Ok(text));
        }
    }
}
