//! Whatever comes over UDP: no panic, no fragment kept beyond the bounds, no gap beyond belief.

#![no_main]

use flatline_events::netconsole::{Fragments, Packet, Sequence, record, text_line};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;

fuzz_target!(|packets: Vec<&[u8]>| {
    let (mut fragments, mut sequence, now) = (Fragments::default(), Sequence::default(), Instant::now());
    for packet in packets {
        let joined;
        let raw = match Packet::parse(packet) {
            Ok(Packet::Fragment(fragment)) => {
                joined = fragments.join(&fragment, now);
                fragments.expire(now);
                joined.as_deref().inspect(|joined| assert!(joined.len() <= packet.len() + 16 * 1024))
            }
            Ok(Packet::Record(raw)) => Some(raw),
            Ok(Packet::Text(text)) => {
                text.split(|byte| *byte == b'\n').for_each(|line| drop(text_line(line)));
                None
            }
            Err(_) => None,
        };
        if let Some(Ok(record)) = raw.map(record) {
            assert!(sequence.take(record.sequence) <= 1_000_000);
        }
    }
});
