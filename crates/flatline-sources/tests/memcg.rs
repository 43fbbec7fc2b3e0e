//! The memcg reader on recorded hosts and on trees that misbehave.

mod common;

use common::{Tree, find, get, paths, read, read_with_faults, without_rights};
use flatline_sources::memcg::{Cgroup, Filter, Mode, Options, Reader, Reading, V1Cgroup};
use flatline_sources::synthetic::{FILES, write_cgroup, write_tree};
use flatline_sources::value::Limit;
use flatline_sources::{Fault, Probe, Roots};
use proptest::prelude::*;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

const EVENTS: &str = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n";

/// What an alert can judge of one cgroup between two readings so many seconds apart.
struct Signature {
    high_per_second: f64,
    kills: u64,
    waiting_share: f64,
    reclaimed_per_high: f64,
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn signature(path: &str, before: &Reading, after: &Reading, seconds: f64) -> Signature {
    let (before, after) = (get(before, path), get(after, path));
    let grown = |value: fn(&Cgroup) -> Option<u64>| value(after).expect("read") - value(before).expect("read");
    let high = grown(|cgroup| cgroup.local_events?.high());
    Signature {
        high_per_second: high as f64 / seconds,
        kills: grown(|cgroup| cgroup.events?.oom_kill()),
        waiting_share: grown(|cgroup| cgroup.memory_pressure?.waiting_us) as f64 / 1e6 / seconds,
        reclaimed_per_high: grown(|cgroup| cgroup.stat.pgsteal) as f64 / high as f64,
    }
}

fn recorded(first: &str, second: &str) -> (Reading, Reading) {
    let tree = Tree::copy_of(first);
    let mut reader = tree.reader(&Options::default());
    let before = read(&mut reader);
    // Twice, so that the files are held when they are replaced.
    assert_eq!(before, read(&mut reader));
    tree.overlay(second);
    (before, read(&mut reader))
}

#[test]
fn a_recorded_livelock_shows_its_signature() {
    let (before, after) = recorded("memcg/livelock/at-60s", "memcg/livelock/at-90s");
    let seen = signature("/p/w", &before, &after, 30.0);
    assert!(seen.high_per_second > 0.1 && seen.waiting_share > 0.6, "{} {}", seen.high_per_second, seen.waiting_share);
    assert!(seen.kills == 0 && seen.reclaimed_per_high < 32.0);
    let hog = get(&after, "/p/w");
    assert_eq!((hog.high, hog.max), (Some(Limit::Bytes(200 << 20)), Some(Limit::Bytes(400 << 20))));
    assert_eq!(
        (hog.livelock_band, hog.populated, hog.frozen, hog.pids),
        (Some(true), Some(true), Some(false), Some(2))
    );
    assert_eq!(get(&after, "/p").local_events.expect("read").high(), Some(0), "the parent is not throttled itself");
    assert_eq!(get(&after, "/p").livelock_band, Some(false));
    assert_eq!(get(&after, "/p").max_bytes_sum, Some(400 << 20));
    assert_eq!(after.host_memory_bytes, Some(981_724 << 10));
    assert_eq!(get(&after, "/").events, None, "the root has no memory.events");
    assert_eq!((after.mode, after.found, after.removed_total, after.dropped_series), (Some(Mode::V2), 3, 0, 0));
}

#[test]
fn healthy_page_cache_work_does_not() {
    let (before, after) = recorded("memcg/pagecache/at-30s", "memcg/pagecache/at-60s");
    let seen = signature("/a", &before, &after, 30.0);
    assert!(seen.high_per_second > 10.0, "as many events as in a livelock");
    assert!(
        seen.waiting_share < 0.6 && seen.reclaimed_per_high > 32.0,
        "{} {}",
        seen.waiting_share,
        seen.reclaimed_per_high
    );
}

#[test]
fn the_parent_keeps_the_kill_of_a_removed_leaf() {
    let tree = Tree::copy_of("memcg/leaf-oom/before");
    let mut reader = tree.reader(&Options::default());
    let kills = |reading: &Reading, path| get(reading, path).events.expect("read").oom_kill();
    assert_eq!(kills(&read(&mut reader), "/b"), Some(0));
    tree.overlay("memcg/leaf-oom/killed");
    let reading = read(&mut reader);
    assert_eq!((kills(&reading, "/b"), kills(&reading, "/b/leaf")), (Some(1), Some(1)));
    assert_eq!(get(&reading, "/b").local_events.expect("read").oom_kill(), Some(0));
    fs::remove_dir_all(tree.cgroup("b/leaf")).expect("removable");
    let reading = read(&mut reader);
    assert_eq!((kills(&reading, "/b"), reading.removed_total), (Some(1), 1));
    assert!(find(&reading, "/b/leaf").is_none());
}

/// One good cgroup beside one whose `memory.stat` is spoiled by `spoil`.
fn spoiled(spoil: impl FnOnce(&std::path::Path)) -> (Reading, Vec<(Fault, String)>) {
    let tree = Tree::new();
    for name in ["good", "spoiled"] {
        write_cgroup(&tree.cgroup(name)).expect("writable");
    }
    let file = tree.cgroup("spoiled/memory.stat");
    fs::remove_file(&file).expect("removable");
    spoil(&file);
    let mut reader = tree.reader(&Options::default());
    let first = read_with_faults(&mut reader);
    assert_eq!(first, read_with_faults(&mut reader), "the same at every read");
    assert!(get(&first.0, "/good").stat.anon.is_some());
    first
}

#[test]
fn one_faulty_file_costs_one_value() {
    let cases: [(Fault, &[u8]); 5] = [
        (Fault::InvalidContent, b""),
        (Fault::InvalidContent, b"\x7fELF\x02\x01\x01\0\0\0"),
        (Fault::InvalidContent, b"anon 1234\nfile"),
        (Fault::InvalidContent, b"anon -5\n"),
        (Fault::TooLarge, &[b'x'; 100_000]),
    ];
    for (fault, content) in cases {
        let (reading, faults) = spoiled(|file| fs::write(file, content).expect("writable"));
        assert_eq!(faults, [(fault, "memory.stat".to_owned())], "{:?}", content.get(..12));
        let cgroup = get(&reading, "/spoiled");
        assert_eq!(cgroup.stat, flatline_sources::memcg::Stat::default());
        assert!(cgroup.current.is_some() && cgroup.memory_pressure.is_some());
    }
}

#[test]
fn a_directory_or_a_link_in_place_of_a_file_is_a_fault() {
    let (_, faults) = spoiled(|file| fs::create_dir(file).expect("writable"));
    assert_eq!(faults, [(Fault::IsADirectory, "memory.stat".to_owned())]);
    let (_, faults) = spoiled(|file| symlink("memory.events", file).expect("writable"));
    assert_eq!(faults, [(Fault::IoError, "memory.stat".to_owned())]);
}

#[test]
fn an_unreadable_file_is_a_fault_and_a_missing_one_is_not() {
    without_rights(|| {
        let (reading, faults) = spoiled(|file| {
            fs::write(file, "anon 1\n").expect("writable");
            fs::set_permissions(file, fs::Permissions::from_mode(0o000)).expect("ours");
        });
        assert_eq!(faults, [(Fault::PermissionDenied, "memory.stat".to_owned())]);
        assert_eq!(get(&reading, "/spoiled").stat.anon, None);
    });
    let (reading, faults) = spoiled(|_| ());
    assert_eq!(faults, []);
    assert_eq!(get(&reading, "/spoiled").stat.anon, None);
}

#[test]
fn a_hierarchy_in_which_nothing_can_be_read_is_an_error() {
    let tree = Tree::new();
    tree.write("a/memory.current", "?");
    let mut reader = tree.reader(&Options::default());
    let error = reader.read(&mut Reading::default(), &mut |_| ()).expect_err("nothing readable");
    assert_eq!(error.fault, Fault::InvalidContent);
    assert!(error.to_string().contains("a/memory.current"), "{error}");
    fs::remove_dir_all(tree.roots().cgroup).expect("removable");
    let error = reader.read(&mut Reading::default(), &mut |_| ()).expect_err("no hierarchy");
    assert_eq!(error.fault, Fault::NotFound);
    write_cgroup(&tree.cgroup("back")).expect("writable");
    assert!(find(&read(&mut reader), "/back").is_some(), "a root that comes back is found again");
}

#[test]
fn ten_thousand_cgroups() {
    let tree = Tree::new();
    for index in 0..10_000 {
        let directory = tree.cgroup(&format!("s{:02}.slice/c{index}", index % 100));
        fs::create_dir_all(&directory).expect("writable");
        fs::write(directory.join("memory.current"), format!("{index}\n")).expect("writable");
    }
    let mut reader = tree.reader(&Options { max_held_files: 200, max_series: u64::MAX, ..Options::default() });
    for _ in 0..2 {
        let reading = read(&mut reader);
        assert_eq!((reading.found, reading.cgroups.len()), (10_101, 10_101));
        let current: HashMap<&str, u64> =
            reading.cgroups.iter().filter_map(|cgroup| Some((&*cgroup.path, cgroup.current?))).collect();
        assert_eq!(current.len(), 10_000);
        assert!((0..10_000).all(|index| current[&*format!("/s{:02}.slice/c{index}", index % 100)] == index));
    }
}

#[test]
fn what_is_read_does_not_depend_on_what_is_held() {
    let tree = Tree::new();
    write_tree(&tree.roots().cgroup, 120).expect("writable");
    let expected = read(&mut tree.reader(&Options::default()));
    assert_eq!(expected.cgroups.len(), 121);
    for max_held_files in [0, 1, 50, 130, 500, 1693, 2000] {
        let mut reader = tree.reader(&Options { max_held_files, ..Options::default() });
        for _ in 0..3 {
            assert_eq!(read(&mut reader), expected, "{max_held_files} held");
        }
    }
}

#[test]
fn cgroups_may_come_and_go_while_they_are_read() {
    let tree = Tree::new();
    let (root, aside) = (tree.roots().cgroup, tree.path().join("aside"));
    for index in 0..20 {
        write_cgroup(&aside.join(format!("c{index}"))).expect("writable");
        write_cgroup(&root.join(format!("steady.slice/s{index}"))).expect("writable");
    }
    let (done, mut reader) = (AtomicBool::new(false), tree.reader(&Options::default()));
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            let mut rounds = 0_u32;
            while !done.load(Ordering::Relaxed) || rounds < 10 {
                for index in 0..20 {
                    let name = format!("c{index}");
                    let (out, inside) = (aside.join(&name), root.join("steady.slice").join(&name).to_path_buf());
                    // Whole cgroups appear and vanish at once, as the kernel does it.
                    let (from, to) = if out.exists() { (out, inside) } else { (inside, out) };
                    fs::rename(from, to).expect("ours");
                }
                rounds += 1;
            }
        });
        for _ in 0..150 {
            let reading = read(&mut reader);
            let mut seen = paths(&reading);
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all, "a path twice would spoil the scrape");
            assert!((0..20).all(|index| find(&reading, &format!("/steady.slice/s{index}")).is_some()));
        }
        done.store(true, Ordering::Relaxed);
        churn.join().expect("no panic");
    });
    let reading = settled(&mut reader);
    let there = fs::read_dir(root.join("steady.slice")).expect("there").count();
    assert_eq!(reading.cgroups.len(), there + 2);
    assert!(reading.removed_total > 0);
}

/// Reads until every directory had its turn to be listed.
fn settled(reader: &mut Reader) -> Reading {
    (0..17).map(|_| read(reader)).last().expect("17 readings")
}

#[test]
fn files_removed_while_they_are_held_do_not_fault() {
    let tree = Tree::new();
    write_tree(&tree.roots().cgroup, 60).expect("writable");
    let mut reader = tree.reader(&Options::default());
    read(&mut reader);
    std::thread::scope(|scope| {
        scope.spawn(|| fs::remove_dir_all(tree.cgroup("work000.slice")).expect("removable"));
        (0..50).for_each(|_| drop(read(&mut reader)));
    });
    let reading = settled(&mut reader);
    assert_eq!(reading.cgroups.len(), 10, "the root and the second slice with its services");
    assert_eq!(reading.removed_total, 51);
}

#[test]
fn a_replaced_file_is_read_anew() {
    let tree = Tree::new();
    write_cgroup(&tree.cgroup("a")).expect("writable");
    let mut reader = tree.reader(&Options::default());
    for current in [1, 2, 3] {
        tree.write("new", format!("{current}\n"));
        fs::rename(tree.cgroup("new"), tree.cgroup("a/memory.current")).expect("ours");
        assert_eq!(get(&read(&mut reader), "/a").current, Some(current));
    }
}

#[test]
fn a_cgroup_made_anew_under_its_old_name_starts_fresh() {
    let tree = Tree::new();
    write_cgroup(&tree.cgroup("a")).expect("writable");
    let mut reader = tree.reader(&Options::default());
    read(&mut reader);
    fs::remove_dir_all(tree.cgroup("a")).expect("removable");
    // The parent's link count is what it was.
    tree.write("a/memory.current", "7\n");
    let reading = read(&mut reader);
    assert_eq!(paths(&reading), ["/", "/a"]);
    assert_eq!((get(&reading, "/a").current, get(&reading, "/a").events), (Some(7), None));
    assert_eq!(reading.removed_total, 1);
}

#[test]
fn a_replaced_cgroup_is_noticed_by_a_file_it_lost() {
    let tree = Tree::new();
    write_cgroup(&tree.cgroup("a")).expect("writable");
    // Nothing is held that could tell, and the link count of the parent is what it was.
    let mut reader = tree.reader(&Options { max_held_files: 0, ..Options::default() });
    read(&mut reader);
    let fresh = tree.path().join("fresh");
    fs::create_dir(&fresh).expect("writable");
    fs::write(fresh.join("memory.current"), "7\n").expect("writable");
    fs::remove_dir_all(tree.cgroup("a")).expect("removable");
    fs::rename(fresh, tree.cgroup("a")).expect("ours");
    let reading = read(&mut reader);
    assert_eq!((reading.removed_total, get(&reading, "/a").current), (1, Some(7)));
}

#[test]
fn new_children_are_seen_at_once() {
    let tree = Tree::new();
    tree.write("a/memory.current", "1\n");
    let mut reader = tree.reader(&Options::default());
    read(&mut reader);
    tree.write("a/b/c/memory.current", "2\n");
    assert_eq!(paths(&read(&mut reader)), ["/", "/a", "/a/b", "/a/b/c"]);
}

#[test]
fn a_controller_that_is_enabled_later_is_noticed_and_one_that_is_disabled_is_no_fault() {
    let tree = Tree::new();
    tree.write("a/cgroup.events", "populated 1\nfrozen 0\n");
    let mut reader = tree.reader(&Options::default());
    assert_eq!(get(&read(&mut reader), "/a").current, None);
    tree.write("a/memory.current", "5\n");
    assert_eq!(get(&settled(&mut reader), "/a").current, Some(5));
    fs::remove_file(tree.cgroup("a/memory.current")).expect("removable");
    let reading = read(&mut reader);
    assert_eq!((get(&reading, "/a").current, get(&reading, "/a").populated), (None, Some(true)));
    assert_eq!(reading.removed_total, 0);
}

#[test]
fn depth_is_bounded() {
    let tree = Tree::new();
    let mut bomb = tree.roots().cgroup;
    for _ in 0..200 {
        bomb = bomb.join("d");
        fs::create_dir(&bomb).expect("writable");
        fs::write(bomb.join("memory.current"), "1\n").expect("writable");
    }
    let deepest = |max_depth| {
        let reading = read(&mut tree.reader(&Options { max_depth, max_held_files: 3, ..Options::default() }));
        reading.cgroups.iter().map(|cgroup| cgroup.path.matches('d').count()).max()
    };
    assert_eq!(deepest(8), Some(8));
    assert_eq!(deepest(0), Some(0));
    assert_eq!(deepest(u32::MAX), Some(64));
}

#[test]
fn only_directories_are_cgroups_and_links_are_not_followed() {
    let tree = Tree::new();
    tree.write("a/memory.current", "1\n");
    tree.write("file", "1\n");
    symlink(tree.cgroup("a"), tree.cgroup("link")).expect("writable");
    symlink("..", tree.cgroup("a/up")).expect("writable");
    assert_eq!(paths(&read(&mut tree.reader(&Options::default()))), ["/", "/a"]);
}

#[test]
fn names_that_are_not_utf8_stay_apart() {
    let tree = Tree::new();
    for name in [&b"x\xff"[..], b"x\xfe", "x\u{fffd}".as_bytes()] {
        let directory = tree.roots().cgroup.join(OsStr::from_bytes(name));
        fs::create_dir(&directory).expect("writable");
        fs::write(directory.join("memory.current"), "1\n").expect("writable");
    }
    let reading = read(&mut tree.reader(&Options::default()));
    let mut seen = paths(&reading);
    assert_eq!(seen.len(), 4);
    assert!(seen[1..].iter().all(|path| path.starts_with("/x\u{fffd}#")), "{seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

/// A cgroup with six series, the lines of its local events.
fn write_busy(tree: &Tree, path: &str, high: u64) {
    tree.write(&format!("{path}/memory.events.local"), EVENTS.replace("high 0", &format!("high {high}")));
}

fn series(reading: &Reading) -> u64 {
    reading.cgroups.iter().map(|cgroup| u64::from(cgroup.series())).sum()
}

#[test]
fn the_cap_drops_the_deepest_and_of_these_the_idlest() {
    let tree = Tree::new();
    write_busy(&tree, "top", 0);
    for index in 0..6 {
        write_busy(&tree, &format!("top/c{index}"), u64::from(index == 4));
    }
    // Nine series each, but one that was never read counts as 37.
    let options = Options { max_series: 80, ..Options::default() };
    let mut reader = tree.reader(&options);
    let first = read(&mut reader);
    assert_eq!(paths(&first), ["/", "/top", "/top/c4"], "the busy one before the idle ones");
    assert_eq!((first.found, first.dropped_series), (8, 37 * 5));
    assert_eq!(get(&first, "/top").max_bytes_sum, None, "children that were not read may have limits");
    let last = settled(&mut reader);
    assert_eq!(paths(&last), ["/", "/top", "/top/c0", "/top/c1", "/top/c2", "/top/c4"]);
    assert_eq!((last.found, last.dropped_series), (8, 37 * 2));
    assert!(series(&last) <= options.max_series);
}

#[test]
fn the_cap_never_takes_out_who_was_in_for_no_reason() {
    let tree = Tree::new();
    (0..30).for_each(|index| write_busy(&tree, &format!("c{index:02}"), 0));
    let options = Options { max_series: 120, ..Options::default() };
    let mut reader = tree.reader(&options);
    let mut before = read(&mut reader);
    for _ in 0..40 {
        let after = read(&mut reader);
        assert!(series(&after) <= options.max_series);
        assert!(paths(&before).iter().all(|path| find(&after, path).is_some()), "{:?}", paths(&after));
        before = after;
    }
    assert!(before.dropped_series > 0);
    let out = (0..30).map(|index| format!("/c{index:02}")).find(|path| find(&before, path).is_none()).expect("one");
    write_busy(&tree, &out[1..], 3);
    let after = settled(&mut reader);
    let after = if find(&after, &out).is_some() { after } else { read(&mut reader) };
    assert!(find(&after, &out).is_some(), "one that turns out busy comes in");
    assert!(series(&after) <= options.max_series);
}

#[test]
fn a_cap_of_nothing_still_answers() {
    let tree = Tree::new();
    write_tree(&tree.roots().cgroup, 10).expect("writable");
    let reading = read(&mut tree.reader(&Options { max_series: 0, ..Options::default() }));
    assert_eq!((reading.cgroups.len(), reading.found), (0, 11));
    assert!(reading.dropped_series > 0);
}

#[test]
fn patterns_choose_and_hidden_parents_still_count() {
    let tree = Tree::new();
    tree.write("capped.slice/memory.max", "1000\n");
    tree.write("capped.slice/memory.swap.max", "0\n");
    for slice in ["capped.slice", "open.slice"] {
        tree.write(&format!("{slice}/docker-1.scope/memory.max"), "max\n");
        tree.write(&format!("{slice}/docker-1.scope/memory.swap.max"), "max\n");
        tree.write(&format!("{slice}/docker-1.scope/memory.high"), "500\n");
    }
    let filter = Filter::new(&["/**/docker-*"], &[]).expect("a good pattern");
    let reading = read(&mut tree.reader(&Options { filter, ..Options::default() }));
    assert_eq!(paths(&reading), ["/capped.slice/docker-1.scope", "/open.slice/docker-1.scope"]);
    assert_eq!(reading.cgroups[0].uncapped, Some(false));
    assert_eq!(reading.cgroups[1].uncapped, Some(true));
    assert_eq!(reading.found, 2);
}

#[test]
fn a_sum_of_limits_counts_the_limited_children() {
    let tree = Tree::new();
    for (name, max) in [("a", "100\n"), ("b", "200\n"), ("c", "max\n")] {
        tree.write(&format!("s/{name}/memory.max"), max);
    }
    tree.write("s/no-controller/cgroup.events", "populated 0\n");
    tree.write("t/x/memory.max", "max\n");
    let mut reader = tree.reader(&Options::default());
    let reading = read(&mut reader);
    assert_eq!(get(&reading, "/s").max_bytes_sum, Some(300));
    assert_eq!(get(&reading, "/t").max_bytes_sum, None);
    tree.write("s/b/memory.max", "junk\n");
    assert_eq!(get(&read_with_faults(&mut reader).0, "/s").max_bytes_sum, None, "a wrong sum is worse than none");
}

#[test]
fn a_v1_host_shows_what_it_has() {
    let tree = Tree::new();
    fs::remove_file(tree.cgroup("cgroup.controllers")).expect("ours");
    for (path, limit) in [("memory", "9223372036854771712\n"), ("memory/docker/abc", "1048576\n")] {
        tree.write(&format!("{path}/memory.usage_in_bytes"), "4096\n");
        tree.write(&format!("{path}/memory.limit_in_bytes"), limit);
        tree.write(&format!("{path}/memory.failcnt"), "3\n");
        tree.write(&format!("{path}/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    }
    let reading = read(&mut tree.reader(&Options::default()));
    assert_eq!((reading.mode, reading.cgroups.len(), reading.found), (Some(Mode::V1), 0, 3));
    let expected = V1Cgroup {
        path: "/docker/abc".into(),
        usage: Some(4096),
        limit: Some(Limit::Bytes(1_048_576)),
        limit_hits: Some(3),
        oom_kills: Some(2),
    };
    assert_eq!(reading.v1[2], expected);
    assert_eq!((reading.v1[0].limit, reading.v1[0].series(), reading.v1[1].series()), (Some(Limit::Max), 3, 0));
    tree.write("unified/cgroup.controllers", "\n");
    assert_eq!(tree.reader(&Options::default()).mode(), Mode::Hybrid);
}

#[test]
fn a_root_that_may_not_be_listed_is_broken_not_absent() {
    let tree = Tree::new();
    fs::set_permissions(tree.roots().cgroup, fs::Permissions::from_mode(0o000)).expect("ours");
    without_rights(|| {
        let probe = Reader::probe(&tree.roots(), &Options::default());
        assert!(matches!(probe, Probe::Broken(error) if error.fault == Fault::PermissionDenied));
    });
    fs::set_permissions(tree.roots().cgroup, fs::Permissions::from_mode(0o755)).expect("ours");
    let nowhere = Roots { cgroup: tree.path().join("nowhere").into(), ..Roots::default() };
    assert!(matches!(Reader::probe(&nowhere, &Options::default()), Probe::Absent(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any content in any file: no panic, and the cgroup beside it is read as ever.
    #[test]
    fn any_content_anywhere(file in 0..FILES.len(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let tree = Tree::new();
        for name in ["good", "odd"] {
            write_cgroup(&tree.cgroup(name)).expect("writable");
        }
        let mut reader = tree.reader(&Options::default());
        let before = read(&mut reader);
        tree.write(&format!("odd/{}", FILES[file].0), &bytes);
        let (after, faults) = read_with_faults(&mut reader);
        prop_assert!(faults.len() <= 1);
        prop_assert_eq!(get(&after, "/good"), get(&before, "/good"));
        prop_assert!(find(&after, "/odd").is_some());
    }
}
