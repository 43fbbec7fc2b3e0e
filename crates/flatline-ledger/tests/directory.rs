//! The state directory on disks that are read-only, full, damaged or taken, and under `kill -9`.

use flatline_ledger::{
    BootId, Ending, Entered, Farewell, Identity, Leaving, Ledger, Moment, Position, SHORT_BOOT, StateDirectory,
    StateError, Totals, read_boots, say_farewell,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A boot that is simulated at `seconds` since its start; the wall clock is as true as it gets.
fn moment(boot: u128, seconds: u64) -> Moment {
    let start = 1_767_542_256 + i64::try_from(boot).expect("small") * 100_000;
    let wall = flatline_ledger::jiff::Timestamp::from_second(start + seconds.cast_signed()).expect("in range");
    Moment { wall, boottime: Duration::from_secs(seconds) }
}

fn identity(boot: u128) -> Identity {
    Identity { boot: BootId(boot), kernel: "6.14.0-37-generic".into(), command_line: "crc32:0".into() }
}

/// What an exporter does when it starts.
fn start(path: &Path, boot: u128, seconds: u64) -> (StateDirectory, Ledger, Entered) {
    let state = StateDirectory::open(path).expect("free and writable");
    let loaded = state.load_boots().expect("readable");
    assert_eq!(loaded.problems, []);
    let mut ledger = loaded.ledger;
    let entered = ledger.enter(&identity(boot), moment(boot, seconds), SHORT_BOOT);
    state.store_boots(&ledger).expect("stored");
    (state, ledger, entered)
}

fn endings(ledger: &Ledger) -> Vec<Ending> {
    ledger.boots().iter().map(|boot| boot.ended).collect()
}

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
                "link" => std::os::unix::fs::symlink("/dev/zero", &path).expect("a link"),
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

// ---- kill -9 ----

const WRITER: &str = "FLATLINE_TEST_WRITER";

/// Not a test of its own: the process that `kill_9_loses_at_most_one_heartbeat` kills.
#[test]
#[ignore = "started by another test"]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(WRITER).map(PathBuf::from) else { return };
    let loaded = StateDirectory::open(&path).and_then(|state| Ok((state.load_boots()?, state)));
    let (loaded, state) = loaded.expect("the last holder is dead");
    assert_eq!(loaded.problems, []);
    let mut ledger = loaded.ledger;
    let boot = ledger.totals().boots as u128 + 1;
    ledger.enter(&identity(boot), moment(boot, 1), SHORT_BOOT);
    state.store_boots(&ledger).expect("stored");
    let mut heartbeat = state.heartbeat(BootId(boot)).expect("a heartbeat");
    let snapshot = state.snapshot::<u64>("count");
    println!("boot {boot}");
    for seconds in 2.. {
        heartbeat.beat(moment(boot, seconds)).expect("written");
        println!("beat {seconds}");
        snapshot.store(&seconds).expect("stored");
        println!("snapshot {seconds}");
        state.store_boots(&ledger).expect("stored");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test starts the process it kills")]
fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this test"))
}

#[test]
fn kill_9_loses_at_most_one_heartbeat() {
    let tree = temporary();
    let mut count = None;
    for round in 0..50_u128 {
        let mut writer = this_program()
            .args(["writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(WRITER, tree.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
        // Killed after a different number of writes each time; where in the next one is left to chance.
        let enough = format!("beat {}", 2 + round % 7);
        let mut said: Vec<String> = Vec::new();
        while said.last() != Some(&enough) {
            said.push(lines.next().expect("it writes until it is killed"));
        }
        writer.kill().expect("killed");
        said.extend(lines);
        writer.wait().expect("dead");
        let last = |what: &str| said.iter().rev().find_map(|line| line.strip_prefix(what)?.trim().parse::<u64>().ok());

        let loaded = read_boots(tree.path()).expect("readable");
        assert_eq!(loaded.problems, [], "round {round}");
        assert_eq!(loaded.ledger.boots().len() as u128, round + 1);
        let uptime = loaded.ledger.boots().last().expect("one").uptime.as_secs();
        let beat = last("beat ").expect("one");
        assert!(uptime == beat || uptime == beat + 1, "round {round}: said {beat}, found {uptime}");
        let state = StateDirectory::open(tree.path()).expect("the lock died with its holder");
        let found = state.snapshot::<u64>("count").load().expect("never torn");
        let stored = last("snapshot ");
        let next = Some(stored.map_or(2, |stored| stored + 1));
        assert!(found == stored.or(count) || found == next, "round {round}: said {stored:?}, found {found:?}");
        count = found;
    }
    let (_, ledger, _) = start(tree.path(), 99, 1);
    assert_eq!((ledger.totals().boots, ledger.totals().unclean), (51, 50));
}

// ---- file systems of our own, in a mount namespace of our own ----

const MOUNTED: &str = "FLATLINE_TEST_MOUNTED";

/// Runs an ignored test of this program on a file system that `script` mounts at `$FLATLINE_TEST_MOUNTED`. `false` when
/// this machine allows no mounts.
#[expect(clippy::disallowed_methods, reason = "mounting takes a shell")]
fn on_mount(script: &str, test: &str) -> bool {
    let tree = temporary();
    let shell = |script: &str| -> std::io::Result<Output> {
        Command::new("unshare")
            .args(["-m", "sh", "-ec", script, "sh"])
            .arg(std::env::current_exe()?)
            .arg(test)
            .env(MOUNTED, tree.path())
            .output()
    };
    let allowed = shell("mount -t tmpfs none \"$FLATLINE_TEST_MOUNTED\"");
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {test}: no mount namespace here (needs root, unshare and mount)");
        return false;
    }
    let output = shell(&format!("{script}; exec \"$1\" \"$2\" --exact --ignored --nocapture")).expect("it ran before");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    true
}

fn mounted() -> Option<PathBuf> {
    std::env::var_os(MOUNTED).map(PathBuf::from)
}

#[test]
fn a_read_only_directory_is_refused_and_still_read() {
    let script = "mount -t tmpfs none \"$FLATLINE_TEST_MOUNTED\"; mkdir \"$FLATLINE_TEST_MOUNTED/empty\"; \
                  mount -o remount,ro \"$FLATLINE_TEST_MOUNTED\"";
    on_mount(script, "on_a_read_only_mount");
}

#[test]
#[ignore = "started by another test"]
fn on_a_read_only_mount() {
    let Some(path) = mounted() else { return };
    for missing in ["empty", "missing"] {
        let error = StateDirectory::open(&path.join(missing)).expect_err("read-only");
        assert!(matches!(error, StateError::Os { errno: Errno::ROFS, .. }), "{error}");
        assert!(error.to_string().contains("name a writable one with --state.directory"), "{error}");
    }
    assert_eq!(read_boots(&path.join("empty")).expect("reading is allowed").ledger, Ledger::default());
}

#[test]
fn a_full_disk_stops_the_ledger_and_not_the_heartbeat() {
    on_mount("mount -t tmpfs -o size=128k none \"$FLATLINE_TEST_MOUNTED\"", "on_a_full_disk");
}

#[test]
#[ignore = "started by another test"]
fn on_a_full_disk() {
    let Some(path) = mounted() else { return };
    let (state, ledger, _) = start(&path, 1, 20);
    let mut heartbeat = state.heartbeat(BootId(1)).expect("room");
    let snapshot = state.snapshot::<Totals>("totals");
    snapshot.store(&Totals::default()).expect("room");
    let before = std::fs::read(path.join("boots")).expect("readable");
    let filler = std::fs::write(path.join("filler"), vec![1; 1 << 20]).expect_err("full");
    assert_eq!(filler.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));

    let refused = |error: StateError| matches!(error, StateError::Os { errno: Errno::NOSPC, .. });
    assert!(refused(state.store_boots(&ledger).expect_err("full")));
    assert!(refused(snapshot.store(&Totals::default()).expect_err("full")));
    assert_eq!(std::fs::read(path.join("boots")).expect("readable"), before, "the old ledger is intact");
    assert_eq!(snapshot.load(), Ok(Some(Totals::default())));
    for seconds in (30..3000).step_by(15) {
        heartbeat.beat(moment(1, seconds)).expect("its room is reserved");
    }
    let farewell = Farewell::new(BootId(1), moment(1, 3000), Leaving::System, "a test");
    assert_eq!(say_farewell(&path, &farewell), Ok(true));
    drop((state, heartbeat, snapshot));

    // The next boot finds the disk as full, and everything that was said.
    let state = StateDirectory::open(&path).expect("what it needs is there");
    let mut ledger = state.load_boots().expect("readable").ledger;
    ledger.enter(&identity(2), moment(2, 20), SHORT_BOOT);
    assert_eq!(endings(&ledger), [Ending::Clean, Ending::Running]);
    assert_eq!(ledger.boots()[0].uptime, Duration::from_secs(3000));
    drop(state);

    std::fs::remove_file(path.join("filler")).expect("gone");
    std::fs::create_dir(path.join("new")).expect("room");
    let _ = std::fs::write(path.join("filler"), vec![1; 1 << 20]);
    let error = StateDirectory::open(&path.join("new")).expect_err("no room for the lock");
    assert!(refused(error));
}
