//! `kill -9` during writes.

mod common;

use common::{endings, identity, moment, start};
use flatline_ledger::{BootId, Ending, SHORT_BOOT, StateDirectory, read_boots};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
    let tree = tempfile::tempdir().expect("a directory");
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
    assert!(endings(&ledger)[..50].iter().all(|ended| *ended == Ending::Unclean));
    assert_eq!((ledger.totals().boots, ledger.totals().unclean), (51, 50));
}
