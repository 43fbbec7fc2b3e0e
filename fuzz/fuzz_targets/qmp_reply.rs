//! Whatever a monitor says, in whatever pieces, and at a second visit again: no panic, no endless talk, no endless text,
//! no changed answer.

#![no_main]

use flatline_qmp::{Conversation, Memory, Poll};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;

const LONGEST_TEXT: usize = 1024;
/// A class, a description, and what is said around them.
const LONGEST_ERROR: usize = 2 * LONGEST_TEXT + 100;

fn hear<'a>(memory: &mut Memory, chunks: impl Iterator<Item = &'a [u8]>, now: Instant) -> Poll {
    let mut conversation = Conversation::new(memory, Some(1));
    for chunk in chunks {
        conversation.room().extend_from_slice(chunk);
        match conversation.digest(now) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => {
                assert!(error.to_string().chars().count() < LONGEST_ERROR);
                break;
            }
        }
    }
    // The most there is to ask: 64 devices, 64 queues of each and the one behind, by a path all in escapes.
    assert!(conversation.outgoing().len() < 64 * 65 * (200 + 6 * 1024), "it has too much to say");
    let poll = conversation.end();
    texts_are_cut(&poll);
    poll
}

/// What becomes a label or a line in the log.
fn texts_are_cut(poll: &Poll) {
    let stats = poll.block_stats.iter().flatten();
    let stats = stats.flat_map(|disk| [Some(&disk.device), disk.qdev.as_ref(), disk.node_name.as_ref()]);
    let blocks = poll.blocks.iter().flatten();
    let blocks =
        blocks.flat_map(|disk| [disk.io_status.as_ref(), disk.inserted.as_ref().and_then(|it| it.drv.as_ref())]);
    let mut texts = stats.chain(blocks).chain([poll.name.as_ref()]).flatten();
    assert!(texts.all(|text| text.chars().count() <= LONGEST_TEXT));
    assert!(poll.failed.iter().all(|error| error.to_string().chars().count() < LONGEST_ERROR));
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
