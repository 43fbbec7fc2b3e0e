//! The state directory on file systems of our own, in a mount namespace of our own: read-only, full.

mod common;

use common::{endings, identity, moment, start};
use flatline_ledger::{
    BootId, Ending, Farewell, Leaving, Ledger, SHORT_BOOT, StateDirectory, StateError, Totals, read_boots, say_farewell,
};
use rustix::io::Errno;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const MOUNTED: &str = "FLATLINE_TEST_MOUNTED";

/// Runs an ignored test of this program on a file system that `script` mounts at `$FLATLINE_TEST_MOUNTED`. `false` when
/// this machine allows no mounts.
#[expect(clippy::disallowed_methods, reason = "mounting takes a shell")]
fn on_mount(script: &str, test: &str) -> bool {
    let tree = tempfile::tempdir().expect("a directory");
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
        flatline_lab::skipped(test, "no mount namespace here (needs root, unshare and mount)");
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
