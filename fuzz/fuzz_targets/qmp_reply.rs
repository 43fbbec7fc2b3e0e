//! Whatever a monitor says, in whatever pieces, and at a second visit again: no panic, no endless talk, no changed
//! answer.

#![no_main]

use flatline_qmp::{Conversation, Memory, Poll};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;

fn hear<'a>(memory: &mut Memory, chunks: impl Iterator<Item = &'a [u8]>, now: Instant) -> Poll {
    let mut conversation = Conversation::new(memory, Some(1));
    for chunk in chunks {
        conversation.room().extend_from_slice(chunk);
        if conversation.digest(now) != Ok(false) {
            break;
        }
    }
    // The most there is to ask: 64 devices, 64 queues of each and the one behind, by a path all in escapes.
    assert!(conversation.outgoing().len() < 64 * 65 * (200 + 6 * 1024), "it has too much to say");
    conversation.end()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let now = Instant::now();
    let mut memory = Memory::default();
    let whole = hear(&mut memory, std::iter::once(bytes), now);
    let pieces = hear(&mut Memory::default(), bytes.chunks(usize::from(size) + 1), now);
    // Behind an end or a break nothing is looked at, and where a break is noticed may depend on the pieces; what was
    // understood before it does not.
    assert_eq!(whole, pieces);
    hear(&mut memory, std::iter::once(bytes), now);
});
