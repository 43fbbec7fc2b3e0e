//! Conversations without sockets: whatever comes, in whatever pieces.

mod common;

use common::Recording;
use flatline_qmp::conversation::Broken;
use flatline_qmp::{CommandError, Conversation, Limits, Memory, Poll};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

/// Everything the monitor says in one visit, as one text, and how many batches it was asked in.
fn transcript(memory: &mut Memory, recording: &Recording) -> (Vec<u8>, usize) {
    let mut said = format!("{}\r\n", recording.greeting).into_bytes();
    let (mut heard, mut batches) = (0, 0);
    let mut conversation = Conversation::new(memory, Some(1));
    loop {
        conversation.room().extend_from_slice(&said[heard..]);
        heard = said.len();
        if conversation.digest(Instant::now()).expect("a recording is QMP") {
            return (said, batches);
        }
        batches += 1;
        for request in requests(&conversation) {
            said.extend_from_slice(format!("{}\r\n", recording.answer(&request)).as_bytes());
        }
        conversation.sent(conversation.outgoing().len());
    }
}

fn requests(conversation: &Conversation<'_>) -> Vec<Value> {
    let lines = conversation.outgoing().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("the client writes JSON")).collect()
}

/// What a conversation makes of what comes; the flag says whether it has ended.
fn hear<'a>(memory: &mut Memory, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Poll, Result<bool, Broken>) {
    let mut conversation = Conversation::new(memory, Some(1));
    let (now, mut over) = (Instant::now(), Ok(false));
    for chunk in chunks {
        conversation.room().extend_from_slice(chunk);
        over = conversation.digest(now);
        if over != Ok(false) {
            break;
        }
    }
    (conversation.end(), over)
}

fn hear_text(text: &str) -> (Poll, Result<bool, Broken>) {
    hear(&mut Memory::default(), [text.as_bytes()])
}

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"major": 8, "minor": 0, "micro": 1}}, "capabilities": []}}"#;

/// The answers of a QEMU without devices, to the questions 0 (the negotiation) to 6.
fn answers() -> Vec<Value> {
    let values = [json!({}), json!({ "status": "running" }), json!({}), json!([]), json!([]), json!([]), json!([])];
    values.into_iter().enumerate().map(|(id, value)| json!({ "return": value, "id": id })).collect()
}

fn said(messages: &[Value]) -> String {
    messages.iter().fold(format!("{GREETING}\n"), |said, message| format!("{said}{message}\n"))
}

#[test]
fn a_visit_is_two_batches_at_first_and_one_from_then_on() {
    for name in ["vscsi-nbd", "vblk-nbd", "vscsi-throttle1"] {
        let recording = Recording::load(name, "during");
        let mut memory = Memory::default();
        let batches: Vec<usize> = (0..3).map(|_| transcript(&mut memory, &recording).1).collect();
        assert_eq!(batches, [2, 1, 1], "{name}");
    }
    let without_queues = Recording::load("lsi-nbd", "before");
    assert_eq!(transcript(&mut Memory::default(), &without_queues).1, 1);
}

#[test]
fn events_strangers_and_repetitions_are_skipped() {
    let expected = hear_text(&said(&answers()));
    assert_eq!(expected.1, Ok(true));
    let mut messages = answers();
    messages.reverse();
    let noise = [
        json!({ "event": "STOP", "timestamp": { "seconds": 1, "microseconds": 0 } }),
        json!({ "return": { "status": "paused" }, "id": 99 }),
        json!({ "return": { "status": "paused" }, "id": "libvirt-1" }),
        json!({ "return": { "status": "paused" } }),
        // The second answer to a question.
        answers()[3].clone(),
        json!({ "error": { "class": "GenericError", "desc": "late" }, "id": 99 }),
    ];
    for (place, message) in noise.into_iter().enumerate() {
        messages.insert(4 + place, message);
    }
    assert_eq!(hear_text(&said(&messages)).0, Poll { reply_seconds: Some(0.0), ..expected.0 });
}

#[test]
fn one_unreadable_or_refused_answer_costs_no_other() {
    let expected = hear_text(&said(&answers())).0;
    let mut messages = answers();
    messages[3] = json!({ "return": { "not": "a list" }, "id": 3 });
    messages[4] = json!({ "error": { "class": "GenericError", "desc": "no" }, "id": 4 });
    let (poll, over) = hear_text(&said(&messages));
    assert_eq!(over, Ok(true));
    let [CommandError::Unreadable { command: "query-blockstats", .. }, refused] = poll.failed.as_slice() else {
        panic!("{:?}", poll.failed)
    };
    assert_eq!(refused.to_string(), "query-block: GenericError: no");
    let failed = poll.failed.clone();
    assert_eq!(poll, Poll { block_stats: None, blocks: None, failed, ..expected });
}

#[test]
fn a_monitor_that_says_megabytes_is_told_of_in_a_few_words() {
    let long = "x".repeat(1 << 20);
    let mut messages = answers();
    // A text where an object was expected is in serde's error.
    messages[1]["return"] = json!(long);
    messages[2] = json!({ "error": { "class": long, "desc": long }, "id": 2 });
    messages[3]["return"] = json!([{ "device": long, "qdev": long, "node-name": long }]);
    let (poll, over) = hear_text(&said(&messages));
    assert_eq!((over, poll.failed.len()), (Ok(true), 2));
    for error in &poll.failed {
        assert!(error.to_string().len() < 3000, "{} bytes", error.to_string().len());
    }
    let disks = poll.block_stats.expect("answered");
    assert_eq!((disks[0].device.len(), disks[0].qdev.as_ref().map(String::len)), (1024, Some(1024)));
    let (_, broken) = hear_text(&format!("{GREETING}\n{}\n", json!({ "error": long })));
    assert!(broken.expect_err("no message").to_string().len() < 3000);
}

#[test]
fn what_came_before_the_end_is_kept() {
    let text = said(&answers());
    let cut = text.find("\"id\":2").expect("the third answer");
    let (poll, over) = hear_text(&text[..cut]);
    assert_eq!(over, Ok(false));
    assert_eq!(poll.status.map(|status| status.status), Some("running".to_owned()));
    assert_eq!((poll.block_stats, poll.virtio, poll.queues.len()), (None, None, 0));
}

#[test]
fn an_unknown_command_is_asked_once_until_qemu_is_another() {
    let mut messages = answers();
    for id in [1, 3, 6] {
        messages[id] = json!({ "error": { "class": "CommandNotFound", "desc": "not found" }, "id": id });
    }
    let mut memory = Memory::default();
    assert_eq!(hear(&mut memory, [said(&messages).as_bytes()]).0.failed.len(), 3);
    let commands = |memory: &mut Memory, greeting: &str| {
        let mut conversation = Conversation::new(memory, Some(1));
        conversation.room().extend_from_slice(format!("{greeting}\n").as_bytes());
        assert_eq!(conversation.digest(Instant::now()), Ok(false));
        let commands = requests(&conversation).into_iter().map(|request| request["execute"].to_string());
        commands.map(|command| command.trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    // Without these two nothing is known at all, so they are always asked.
    let known =
        ["qmp_capabilities", "query-status", "query-name", "query-blockstats", "query-block", "query-iothreads"];
    assert_eq!(commands(&mut memory, GREETING), known);
    let newer = GREETING.replace("\"major\": 8", "\"major\": 9");
    assert_eq!(commands(&mut memory, &newer).last().map(String::as_str), Some("x-query-virtio"));
}

#[test]
fn what_breaks_the_protocol_is_an_error() {
    let broken = |messages: &[Value]| hear_text(&said(messages)).1.expect_err("broken").to_string();
    let refusal = json!({ "class": "GenericError", "desc": "JSON parse error" });
    assert_eq!(broken(&[json!({ "error": refusal })]), "GenericError: JSON parse error");
    let refused = broken(&[json!({ "error": refusal, "id": 0 })]);
    assert_eq!(refused, "qmp_capabilities: GenericError: JSON parse error");
    assert!(broken(&[json!({ "neither": "nor" })]).starts_with("not a QMP message"));
    let no_greeting = hear_text("{\"return\": {}, \"id\": 0}\n").1.expect_err("broken");
    assert_eq!(no_greeting.to_string(), "its first line is no greeting");
}

#[test]
fn a_refused_negotiation_teaches_nothing_about_commands() {
    let mut memory = Memory::default();
    let refuse = |id: usize| json!({ "error": { "class": "CommandNotFound", "desc": "Expecting" }, "id": id });
    let (_, over) = hear(&mut memory, [said(&(0..7).map(refuse).collect::<Vec<_>>()).as_bytes()]);
    assert!(over.is_err());
    let (poll, over) = hear(&mut memory, [said(&answers()).as_bytes()]);
    assert_eq!((over, poll.virtio), (Ok(true), Some(Vec::new())));
}

#[test]
fn the_bounds_are_the_memorys() {
    let bounded = |limits: Limits, text: &str| {
        let (_, over) = hear(&mut Memory::with_limits(limits), [text.as_bytes()]);
        over.expect_err("too much").to_string()
    };
    let events = said(&vec![json!({ "event": "A" }); 3]);
    let few = Limits { events: 2, ..Limits::default() };
    assert_eq!(bounded(few, &events), "more than 2 messages nobody asked for");
    assert_eq!(bounded(Limits { line: 10, ..few }, &events), "a line of more than 10 bytes");
    assert_eq!(bounded(Limits { bytes: 10, ..few }, &events), "more than 10 bytes");
}

fn cut(bytes: &[u8], sizes: impl Iterator<Item = usize>) -> Vec<&[u8]> {
    let (mut rest, mut chunks) = (bytes, Vec::new());
    for size in sizes {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

#[test]
fn a_recording_byte_by_byte_is_the_same() {
    let (bytes, _) = transcript(&mut Memory::default(), &Recording::load("vscsi-nbd", "during"));
    let whole = hear(&mut Memory::default(), [bytes.as_slice()]);
    let bytewise = hear(&mut Memory::default(), bytes.chunks(1));
    assert_eq!(whole.1, Ok(true));
    assert_eq!(whole.0.queues.len(), 1);
    assert_eq!(bytewise, whole);
}

proptest! {
    #[test]
    fn a_recording_in_any_pieces_is_the_same(
        sizes in proptest::collection::vec(1usize..700, 1..50),
        name in prop::sample::select(vec!["vscsi-nbd", "vblk-nbd", "vblk-pause", "lsi-idle"]),
    ) {
        let (bytes, _) = transcript(&mut Memory::default(), &Recording::load(name, "before"));
        let pieces = hear(&mut Memory::default(), cut(&bytes, sizes.into_iter().cycle()));
        prop_assert_eq!(pieces, hear(&mut Memory::default(), [bytes.as_slice()]));
    }

    #[test]
    fn a_recording_with_a_changed_byte_does_not_panic(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (mut bytes, _) = transcript(&mut Memory::default(), &Recording::load("vblk-nbd", "during"));
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = hear(&mut Memory::default(), [bytes.as_slice()]);
    }

    #[test]
    fn no_bytes_panic(greets in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let greeting = format!("{GREETING}\n");
        let (poll, _) = hear(&mut Memory::default(), [if greets { greeting.as_bytes() } else { b"" }, &bytes]);
        prop_assert!(poll.status.is_none());
    }
}
