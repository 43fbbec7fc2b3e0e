//! The content of `heartbeat`: two slots that are written in turn.
//!
//! Each slot is one sealed line, padded with blanks to [`LENGTH`] bytes, at the start of a page of its own. A write that is
//! cut at any byte spoils its own slot only, and the other one holds the heartbeat before. A slot also carries the last
//! heartbeat of the boot before: until the ledger could be written (the disk may be full) nothing else knows it.

use crate::boot::BootId;
use crate::moment::Moment;
use crate::sealed::{seal, unseal};
use serde::{Deserialize, Serialize};

/// From one slot to the next: no page and no sector holds bytes of both.
pub(crate) const PITCH: usize = 4096;
/// The bytes of a slot that are written.
pub(crate) const LENGTH: usize = 1024;
/// The file.
pub(crate) const FILE: usize = 2 * PITCH;

/// One sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Of which boot.
    pub(crate) boot: BootId,
    /// When, by both clocks.
    pub(crate) at: Moment,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Grows with every write: the higher one is the newer.
    pub(crate) sequence: u64,
    /// The latest sign of life.
    pub(crate) beat: Beat,
    /// The last one of the boot before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Beat>,
}

impl Slot {
    /// The bytes to write; `None` if they don't fit, which no value can bring about.
    pub(crate) fn to_bytes(self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(LENGTH);
        seal(&self, &mut bytes).ok()?;
        bytes.pop();
        if bytes.len() >= LENGTH {
            return None;
        }
        bytes.resize(LENGTH - 1, b' ');
        bytes.push(b'\n');
        Some(bytes)
    }
}

/// Parses the file: each slot's content, or nothing where it was never written, cut or spoiled.
pub(crate) fn parse(content: &[u8]) -> [Option<Slot>; 2] {
    [0, PITCH].map(|offset| {
        let slot = content.get(offset..)?;
        unseal(&slot[..slot.len().min(LENGTH)]).ok()
    })
}

/// The slots oldest first: what was last known of two or three boots, in the order it happened.
pub(crate) fn beats(slots: [Option<Slot>; 2]) -> Vec<Beat> {
    let mut slots: Vec<Slot> = slots.into_iter().flatten().collect();
    slots.sort_by_key(|slot| slot.sequence);
    let previous = slots.iter().filter_map(|slot| slot.previous);
    previous.chain(slots.iter().map(|slot| slot.beat)).collect()
}

/// Whatever stands in the heartbeat's file: what is read is written and read the same, if it fits.
#[cfg(fuzzing)]
pub fn fuzz_slots(content: &[u8]) {
    let slots = parse(content);
    for slot in slots.into_iter().flatten() {
        assert!(slot.to_bytes().is_none_or(|bytes| parse(&bytes)[0] == Some(slot)));
    }
    assert!(beats(slots).len() <= 4);
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::time::Duration;

    fn beat(boot: u128, seconds: u64) -> Beat {
        let wall = Timestamp::from_second(1_767_542_256 + seconds.cast_signed()).expect("in range");
        Beat { boot: BootId(boot), at: Moment { wall, boottime: Duration::from_secs(seconds) } }
    }

    fn file(slots: [Slot; 2]) -> Vec<u8> {
        let mut content = vec![b' '; FILE];
        for (slot, offset) in slots.into_iter().zip([0, PITCH]) {
            content[offset..offset + LENGTH].copy_from_slice(&slot.to_bytes().expect("fits"));
        }
        content
    }

    #[test]
    fn is_readable_and_of_one_size() {
        let bytes = Slot { sequence: 3, beat: beat(2, 15), previous: Some(beat(1, 90)) }.to_bytes().expect("fits");
        assert_eq!(bytes.len(), LENGTH);
        let text = String::from_utf8(bytes).expect("text");
        let expected = r#" {"sequence":3,"beat":{"boot":"00000000000000000000000000000002","at":{"wall":"2026-01-04T15:57:51Z","boottime":"15s"}},"previous":{"boot":"00000000000000000000000000000001","at":{"wall":"2026-01-04T15:59:06Z","boottime":"1m 30s"}}}"#;
        assert_eq!(text[8..].trim_end(), expected);
    }

    #[test]
    fn the_longest_values_fit() {
        let at = Moment { wall: Timestamp::MAX, boottime: Duration::MAX };
        let beat = Beat { boot: BootId(u128::MAX), at };
        let slot = Slot { sequence: u64::MAX, beat, previous: Some(beat) };
        assert_eq!(parse(&slot.to_bytes().expect("fits"))[0], Some(slot));
    }

    #[test]
    fn a_write_cut_at_any_byte_costs_one_heartbeat() {
        let (older, newer) = (beat(1, 15), beat(1, 30));
        let [first, second] = [(1, older), (2, newer)].map(|(sequence, beat)| Slot { sequence, beat, previous: None });
        let third = Slot { sequence: 3, beat: beat(1, 45), previous: None };
        let bytes = third.to_bytes().expect("fits");
        for cut in 0..=LENGTH {
            let mut content = file([first, second]);
            content[..cut].copy_from_slice(&bytes[..cut]);
            let last = *beats(parse(&content)).last().expect("the other slot");
            assert!(last == third.beat || last == newer, "cut at {cut}: {last:?}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..FILE + 9)) {
            prop_assert_eq!(parse(&bytes), [None, None]);
        }

        #[test]
        fn reads_what_it_wrote(sequence in any::<u64>(), boot in any::<u128>(), seconds in 0..1_000_000_000_u64) {
            let slot = Slot { sequence, beat: beat(boot, seconds), previous: None };
            prop_assert_eq!(parse(&file([slot, slot])), [Some(slot), Some(slot)]);
        }
    }
}
