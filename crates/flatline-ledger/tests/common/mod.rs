//! A simulated host and what an exporter does on it.

use flatline_ledger::{BootId, Ending, Entered, Identity, Ledger, Moment, SHORT_BOOT, StateDirectory};
use std::path::Path;
use std::time::Duration;

/// A boot that is simulated at `seconds` since its start; the wall clock is as true as it gets.
pub(crate) fn moment(boot: u128, seconds: u64) -> Moment {
    let start = 1_767_542_256 + i64::try_from(boot).expect("small") * 100_000;
    let wall = flatline_ledger::jiff::Timestamp::from_second(start + seconds.cast_signed()).expect("in range");
    Moment { wall, boottime: Duration::from_secs(seconds) }
}

pub(crate) fn identity(boot: u128) -> Identity {
    Identity { boot: BootId(boot), kernel: "6.14.0-37-generic".into(), command_line: "crc32:0".into() }
}

/// What an exporter does when it starts.
pub(crate) fn start(path: &Path, boot: u128, seconds: u64) -> (StateDirectory, Ledger, Entered) {
    let state = StateDirectory::open(path).expect("free and writable");
    let loaded = state.load_boots().expect("readable");
    assert_eq!(loaded.problems, []);
    let mut ledger = loaded.ledger;
    let entered = ledger.enter(&identity(boot), moment(boot, seconds), SHORT_BOOT);
    state.store_boots(&ledger).expect("stored");
    (state, ledger, entered)
}

pub(crate) fn endings(ledger: &Ledger) -> Vec<Ending> {
    ledger.boots().iter().map(|boot| boot.ended).collect()
}
