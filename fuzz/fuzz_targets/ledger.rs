//! Whatever stands in the ledger's file, with broken checksums or with right ones: no panic, no window that ends before
//! it starts, and what is written again reads the same. The same bytes as what journalctl says.

#![no_main]

use flatline_ledger::jiff::Timestamp;
use flatline_ledger::{BootId, Identity, Ledger, Moment, Options, SHORT_BOOT, json, parse_list_boots, table, windows};
use flatline_ledger::{fuzz_sealed, fuzz_slots};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

/// The lines with the checksums they should have: no mutation finds those.
fn sealed(content: &[u8]) -> Vec<u8> {
    let lines = content.split(|byte| *byte == b'\n');
    let seal = |line: &[u8]| {
        let line = line.trim_ascii_end();
        [format!("{:08x} ", crc32fast::hash(line)).as_bytes(), line, b"\n"].concat()
    };
    lines.flat_map(seal).collect()
}

fn live(mut ledger: Ledger, journal: &[u8]) {
    let identity = Identity { boot: BootId(1), kernel: "6.14.0".into(), command_line: "crc32:00000000".into() };
    let wall = Timestamp::from_second(1_767_542_256).expect("in range");
    let now = |seconds| Moment { wall, boottime: Duration::from_secs(seconds) };
    let (boots, _) = parse_list_boots(journal);
    ledger.seed(&boots, identity.boot, SHORT_BOOT);
    ledger.enter(&identity, now(10), SHORT_BOOT);
    ledger.beat(now(25));
    let figures = ledger.figures();
    assert!(figures.totals.boots >= ledger.boots().len() as u64);
    let windows = windows(&ledger, &[], Options::default());
    assert!(windows.iter().all(|window| window.start <= window.end));
    assert_eq!(table(&windows).lines().count(), windows.len() + 1);
    assert!(json(&windows).starts_with('['));
    // How many lines could not be read is known of the file that was read, and is no part of the one that is written.
    let written = ledger.to_bytes();
    let (again, problems) = Ledger::parse(&written);
    assert!(problems.is_empty() && again.to_bytes() == written);
}

fuzz_target!(|content: &[u8]| {
    live(Ledger::parse(content).0, content);
    let content = sealed(content);
    live(Ledger::parse(&content).0, &content);
    fuzz_slots(&content);
    content.split(|byte| *byte == b'\n').for_each(fuzz_sealed);
});
