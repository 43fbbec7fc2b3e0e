//! The state directory as it should be, taken, damaged, and with other things in its files' places.
//!
//! No test of this program starts a process: a child between fork and exec holds the locks of its parent.

mod common;

use common::{endings, moment, start};
use flatline_ledger::{
    BootId, Ending, Entered, Farewell, Leaving, Ledger, Position, StateDirectory, StateError, Totals, read_boots,
    say_farewell,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use std::time::Duration;

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_missing_directory_is_made_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let tree = temporary();
    let path = tree.path().join("var/lib/flatline");
    let state = StateDirectory::open(&path).expect("made");
    assert_eq!(state.path(), path);
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(state.load_boots().expect("empty").ledger, Ledger::default());
}

#[test]
fn a_boot_that_ends_silently_keeps_its_last_heartbeat() {
    let tree = temporary();
    let (state, _, entered) = start(tree.path(), 1, 20);
    assert_eq!(entered, Entered::New);
    let mut heartbeat = state.heartbeat(BootId(1)).expect("a heartbeat");
    for seconds in (30..3600).step_by(15) {
        heartbeat.beat(moment(1, seconds)).expect("written");
    }
    drop((state, heartbeat));
    let (_, ledger, _) = start(tree.path(), 2, 20);
    assert_eq!(endings(&ledger), [Ending::Unclean, Ending::Running]);
    assert_eq!(ledger.boots()[0].uptime, Duration::from_secs(3585));
}

#[test]
fn the_heartbeats_of_a_boot_whose_line_was_never_written_are_enough() {
    let tree = temporary();
    let (state, ..) = start(tree.path(), 1, 20);
    state.heartbeat(BootId(1)).expect("a heartbeat").beat(moment(1, 3600)).expect("written");
    // The disk is full: boot 2 can't write the ledger, but beats on.
    let mut heartbeat = state.heartbeat(BootId(2)).expect("a heartbeat");
    for seconds in [30, 45, 60, 4000] {
        heartbeat.beat(moment(2, seconds)).expect("written");
    }
    drop((state, heartbeat));
    let (_, ledger, _) = start(tree.path(), 3, 20);
    let seen: Vec<_> = ledger.boots().iter().map(|boot| (boot.boot.0, boot.ended, boot.uptime.as_secs())).collect();
    assert_eq!(seen, [(1, Ending::Unclean, 3600), (2, Ending::Unclean, 4000), (3, Ending::Running, 20)]);
    assert_eq!((ledger.totals().boots, ledger.totals().unclean), (3, 2));
}

#[test]
fn a_last_word_is_heard_whoever_says_it() {
    let tree = temporary();
    let (state, ..) = start(tree.path(), 1, 20);
    let said = |leaving, seconds| {
        let farewell = Farewell::new(BootId(1), moment(1, seconds), leaving, "a test");
        say_farewell(tree.path(), &farewell).expect("written")
    };
    assert!(said(Leaving::System, 7000), "while the exporter holds the directory");
    assert!(!said(Leaving::Exporter, 7020), "the exporter that is stopped by it");
    drop(state);
    let (_, ledger, _) = start(tree.path(), 2, 20);
    assert_eq!(endings(&ledger), [Ending::Clean, Ending::Running]);
    assert_eq!(ledger.boots()[0].uptime, Duration::from_secs(7000));
}

#[test]
fn the_second_exporter_is_refused_with_the_firsts_name() {
    let tree = temporary();
    let first = StateDirectory::open(tree.path()).expect("free");
    let heartbeat = first.heartbeat(BootId(1)).expect("a heartbeat");
    let refused = || StateDirectory::open(tree.path()).expect_err("taken");
    assert_eq!(refused(), StateError::InUse { path: tree.path().into(), holder: Some(std::process::id()) });
    let text = refused().to_string();
    assert!(text.contains(&tree.path().display().to_string()) && text.contains("another exporter"), "{text}");
    drop(first);
    assert!(matches!(refused(), StateError::InUse { .. }), "the heartbeat still writes");
    assert_eq!(read_boots(tree.path()).expect("readers need no lock").ledger, Ledger::default());
    drop(heartbeat);
    StateDirectory::open(tree.path()).expect("free again");
}

#[test]
fn nothing_but_files_is_touched() {
    for name in ["boots", "heartbeat", "farewell", "lock", "totals.json"] {
        for what in ["fifo", "link", "directory"] {
            let tree = temporary();
            let path = tree.path().join(name);
            match what {
                "fifo" => mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a FIFO"),
                "link" => {
                    std::fs::write(tree.path().join("elsewhere"), "").expect("a file");
                    std::os::unix::fs::symlink("elsewhere", &path).expect("a link");
                }
                _ => std::fs::create_dir(&path).expect("a directory"),
            }
            let outcome = StateDirectory::open(tree.path()).and_then(|state| {
                state.load_boots()?;
                state.snapshot::<Totals>("totals").load()
            });
            assert_eq!(outcome, Err(StateError::NotAFile { path }), "{what}");
        }
    }
}

#[test]
fn a_fifo_for_a_directory_or_a_temporary_file_hangs_nobody() {
    let tree = temporary();
    let fifo = tree.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    let errno = |error| match error {
        StateError::Os { errno, .. } => errno,
        other => panic!("{other}"),
    };
    assert_eq!(errno(StateDirectory::open(&fifo).expect_err("no directory")), Errno::EXIST);
    assert_eq!(errno(read_boots(&fifo).expect_err("no directory")), Errno::NOTDIR);
    let state = StateDirectory::open(&tree.path().join("state")).expect("made");
    mknodat(CWD, state.path().join("boots.new"), FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    state.store_boots(&Ledger::default()).expect("the FIFO is removed");
}

#[test]
fn a_heartbeat_file_cut_at_any_byte_is_mended() {
    let tree = temporary();
    let (state, ..) = start(tree.path(), 1, 20);
    let mut heartbeat = state.heartbeat(BootId(1)).expect("a heartbeat");
    heartbeat.beat(moment(1, 600)).expect("written");
    heartbeat.beat(moment(1, 615)).expect("written");
    drop(heartbeat);
    let path = tree.path().join("heartbeat");
    let content = std::fs::read(&path).expect("readable");
    for cut in (0..content.len()).step_by(97).chain([content.len() - 1]) {
        std::fs::write(&path, &content[..cut]).expect("cut");
        let ledger = state.load_boots().expect("readable").ledger;
        let uptime = ledger.boots()[0].uptime.as_secs();
        assert!([20, 600, 615].contains(&uptime), "cut at {cut}: {uptime}");
        let mut heartbeat = state.heartbeat(BootId(1)).expect("mended");
        heartbeat.beat(moment(1, 630)).expect("written");
        assert_eq!(state.load_boots().expect("readable").ledger.boots()[0].uptime.as_secs(), 630);
        assert_eq!(std::fs::metadata(&path).expect("there").len(), content.len() as u64);
    }
}

#[test]
fn a_spoiled_slot_costs_one_heartbeat() {
    let tree = temporary();
    let (state, ..) = start(tree.path(), 1, 20);
    let mut heartbeat = state.heartbeat(BootId(1)).expect("a heartbeat");
    let path = tree.path().join("heartbeat");
    for seconds in (30..150).step_by(15) {
        heartbeat.beat(moment(1, seconds)).expect("written");
        let content = std::fs::read(&path).expect("readable");
        let mut uptimes: Vec<u64> = [0, content.len() / 2]
            .into_iter()
            .map(|slot| {
                let mut spoiled = content.clone();
                spoiled[slot + 10] ^= 1;
                std::fs::write(tree.path().join("heartbeat"), &spoiled).expect("written");
                state.load_boots().expect("readable").ledger.boots()[0].uptime.as_secs()
            })
            .collect();
        uptimes.sort_unstable();
        assert_eq!(uptimes, [if seconds == 30 { 20 } else { seconds - 15 }, seconds]);
        std::fs::write(&path, &content).expect("mended");
    }
}

#[test]
fn a_damaged_line_is_reported_and_costs_itself_only() {
    let tree = temporary();
    drop(start(tree.path(), 1, 20));
    drop(start(tree.path(), 2, 20));
    let path = tree.path().join("boots");
    let text = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, text.replacen("6.14", "6.15", 1)).expect("written");
    let loaded = read_boots(tree.path()).expect("readable");
    assert_eq!(loaded.problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2]);
    assert_eq!((loaded.ledger.boots().len(), loaded.ledger.totals().boots), (1, 2));
    std::fs::write(&path, vec![b' '; 3 * 1024 * 1024]).expect("written");
    assert!(matches!(read_boots(tree.path()), Err(StateError::TooLarge { .. })));
}

#[test]
fn totals_and_position_are_stored_together_or_not_at_all() {
    let tree = temporary();
    let state = StateDirectory::open(tree.path()).expect("free");
    let snapshot = state.snapshot::<Totals>("kernel_log");
    assert_eq!(snapshot.load(), Ok(None));
    let mut totals = Totals::default();
    totals.position = Some(Position { boot: BootId(7), sequence: 4711 });
    totals.add("oom_kill", 3);
    snapshot.store(&totals).expect("stored");
    assert_eq!(snapshot.load(), Ok(Some(totals)));
    let path = tree.path().join("kernel_log.json");
    let content = std::fs::read(&path).expect("readable");
    for cut in 0..content.len() - 1 {
        std::fs::write(&path, &content[..cut]).expect("cut");
        let error = snapshot.load().expect_err("cut");
        assert!(error.to_string().starts_with(&path.display().to_string()), "cut at {cut}: {error}");
    }
}
