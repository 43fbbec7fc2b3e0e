//! Mounts that hang for real: FUSE file systems whose server keeps silent, among others that answer.

mod common;
#[path = "common/fuse.rs"]
mod fuse;

use common::{Exporter, PATIENCE, Samples, fixtures};
use flatline_lab::{skipped, wait_for};
use fuse::Fuse;
use std::path::Path;

/// Who is nobody here.
const SOMEBODY_ELSE: u32 = 54_321;

fn series(metric: &str, mountpoint: &Path, source: &str) -> String {
    // The exposition escapes what the label holds.
    let mountpoint = mountpoint.display().to_string().replace('\\', r"\\").replace('\n', r"\n");
    format!("flatline_mount_{metric}{{mountpoint=\"{mountpoint}\",fstype=\"fuse.flatline-three\",source=\"{source}\"}}")
}

fn state(samples: &Samples, mountpoint: &Path, source: &str, state: &str) -> Option<f64> {
    samples.get(&series("state", mountpoint, source).replace('}', &format!(",state=\"{state}\"}}")))
}

/// How many of its threads wait for a mount, as soon as it is that many: those with an answer need a moment to end.
fn waits_for(exporter: &Exporter, threads: usize) {
    let names = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("alive");
        let name =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).filter(|name| name == "fl-mount\n").count()
    };
    let waited = wait_for("as many threads as mounts hang", PATIENCE, || Ok((names() == threads).then_some(())));
    waited.unwrap_or_else(|error| panic!("{} instead of {threads}: {error}", names()));
}

fn arguments(fstype: &str) -> Vec<String> {
    [
        "--collector.disable-defaults",
        "--collector.mounts",
        "--collector.tasks",
        "--collector.mounts.timeout=100ms",
        "--scrape.deadline=10s",
        &format!("--collector.mounts.fstypes={fstype}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

#[test]
fn one_of_three_mounts_hangs_and_everything_else_is_told() {
    const WHAT: &str = "a mount that hangs for real, seen by the exporter";
    let place = tempfile::tempdir().expect("directory");
    let at = |name: &str| place.path().join(name);
    let (one, two, three, four) = (at("one"), at("two with blanks\nand \u{fc}mlaut"), at("three"), at("four"));
    let mount = |at: &Path, source: &str, user| Fuse::mount(at, "fuse.flatline-three", source, user);
    let mounted =
        (mount(&one, "a:/", 0), mount(&two, "b:/", 0), mount(&three, "c:/", 0), mount(&four, "d:/", SOMEBODY_ELSE));
    let (Ok(first), Ok(hanging), Ok(third), Ok(fourth)) = mounted else {
        return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)");
    };
    hanging.silent(true);
    // On a busy machine even those that answer take their time.
    let patience = vec!["--collector.mounts.patience=3s".to_owned()];
    let exporter = Exporter::start(&[arguments("fuse.flatline-three"), patience].concat());
    // Freed before the exporter is waited for, whatever happens.
    let (_first, mut hanging, _third, _fourth) = (first, hanging, third, fourth);
    let hung = |samples: &Samples| samples.get(&series("responding", &two, "b:/")) == Some(0.0);
    let samples = exporter.scrape_until("the second mount hangs", hung);
    let others_answer = |samples: &Samples| {
        for (path, source) in [(&one, "a:/"), (&three, "c:/")] {
            assert_eq!(samples.get(&series("responding", path, source)), Some(1.0));
            assert_eq!(state(samples, path, source, "answered"), Some(1.0));
            assert_eq!(samples.get(&series("stuck_seconds", path, source)), Some(0.0));
            assert!(samples.get(&series("last_answer_timestamp_seconds", path, source)).is_some());
            assert!(samples.get(&series("answer_seconds", path, source)).is_some());
        }
        assert_eq!(samples.collector("success", "mounts"), Some(1.0));
        assert_eq!(samples.collector("success", "tasks"), Some(1.0));
    };
    others_answer(&samples);
    assert_eq!(state(&samples, &two, "b:/", "hung"), Some(1.0));
    assert_eq!(samples.get(&series("last_answer_timestamp_seconds", &two, "b:/")), None);
    // The kernel answers for the server that we may not ask: no sign of life, and no sign of death.
    assert_eq!(samples.get(&series("responding", &four, "d:/")), None);
    assert_eq!(state(&samples, &four, "d:/", "permission"), Some(1.0));

    let mut age = samples.get(&series("stuck_seconds", &two, "b:/")).expect("an age");
    for _ in 0..20 {
        let samples = exporter.scrape();
        others_answer(&samples);
        let older = samples.get(&series("stuck_seconds", &two, "b:/")).expect("an age");
        assert!(older > age, "{older} after {age}");
        age = older;
        assert_eq!(samples.get("flatline_mount_calls_in_flight"), Some(1.0));
    }
    assert_eq!(hanging.asked(), 1, "asked once, however often it is scraped");
    waits_for(&exporter, 1);

    hanging.silent(false);
    let answers = |samples: &Samples| samples.get(&series("responding", &two, "b:/")) == Some(1.0);
    let samples = exporter.scrape_until("the second mount answers again", answers);
    assert_eq!(samples.get("flatline_mount_calls_in_flight"), Some(0.0));

    hanging.silent(true);
    exporter.scrape_until("the second mount hangs again", hung);
    hanging.die();
    let gone = |samples: &Samples| state(samples, &two, "b:/", "no_connection") == Some(1.0);
    let samples = exporter.scrape_until("the server of the second mount is dead", gone);
    assert_eq!(samples.get(&series("responding", &two, "b:/")), Some(0.0));
    assert_eq!(samples.get(&series("stuck_seconds", &two, "b:/")), Some(0.0));
    others_answer(&samples);
    drop(hanging);
    let unmounted = |samples: &Samples| samples.get(&series("responding", &two, "b:/")).is_none();
    exporter.scrape_until("the second mount is unmounted", unmounted);
}

#[test]
fn however_many_hang_the_threads_are_few() {
    const WHAT: &str = "more mounts that hang than there are threads for";
    let place = tempfile::tempdir().expect("directory");
    let mounts: Result<Vec<_>, _> = (0..20)
        .map(|n| Fuse::mount(&place.path().join(n.to_string()), "fuse.flatline-many", &format!("{n}:/"), 0))
        .collect();
    let Ok(mounts) = mounts else { return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)") };
    mounts.iter().for_each(|mount| mount.silent(true));
    let bound = vec!["--collector.mounts.max-mounts=18".to_owned()];
    let exporter = Exporter::start(&[arguments("fuse.flatline-many"), bound].concat());
    let _mounts = mounts;
    let all_out = |samples: &Samples| samples.get("flatline_mount_calls_in_flight") == Some(16.0);
    exporter.scrape_until("16 questions are open", all_out);
    for _ in 0..5 {
        let samples = exporter.scrape();
        let count = |start: &str, end: &str| {
            let of =
                |(series, value): &(&String, &f64)| series.starts_with(start) && series.contains(end) && **value == 1.0;
            samples.0.iter().filter(of).count()
        };
        assert_eq!(count("flatline_mount_state", "state=\"not_asked\""), 2);
        assert!(count("flatline_mount_state", "state=\"hung\"") <= 16);
        assert_eq!(samples.get("flatline_mounts_left_out{reason=\"bound\"}"), Some(2.0));
        assert_eq!(samples.collector("success", "mounts"), Some(1.0));
    }
    waits_for(&exporter, 16);
}

#[test]
fn many_mounts_of_one_dead_server_hide_no_mount_of_another() {
    const WHAT: &str = "more mounts of one dead server than there are threads, and one that answers";
    let place = tempfile::tempdir().expect("directory");
    let mount = |name: &str, source: &str| Fuse::mount(&place.path().join(name), "fuse.flatline-nas", source, 0);
    let dead: Result<Vec<_>, _> = (0..20).map(|n| mount(&format!("dead{n}"), &format!("nas:/{n}"))).collect();
    // The last to be mounted is the last to be asked.
    let (Ok(dead), Ok(healthy)) = (dead, mount("healthy", "other:/")) else {
        return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)");
    };
    dead.iter().for_each(|mount| mount.silent(true));
    let exporter = Exporter::start(&arguments("fuse.flatline-nas"));
    let _mounts = (dead, healthy);
    let count = |samples: &Samples, state: &str| {
        let of = |(series, value): &(&String, &f64)| {
            series.starts_with("flatline_mount_state") && series.contains(state) && **value == 1.0
        };
        samples.0.iter().filter(of).count()
    };
    let hung = |samples: &Samples| count(samples, "state=\"hung\"") == 4;
    exporter.scrape_until("the dead server has its share of the threads", hung);
    // On a busy machine an answer may be one scrape late.
    let answered = |samples: &Samples| count(samples, "source=\"other:/\",state=\"answered\"") == 1;
    for _ in 0..5 {
        let samples = exporter.scrape_until("the healthy mount is asked", answered);
        assert_eq!((count(&samples, "state=\"hung\""), count(&samples, "state=\"not_asked\"")), (4, 16));
        assert_eq!(samples.collector("success", "mounts"), Some(1.0));
    }
    waits_for(&exporter, 4);
}

#[test]
fn an_exporter_that_is_killed_while_a_mount_hangs_makes_room_for_the_next() {
    const WHAT: &str = "an exporter that can't end because a mount hangs";
    let place = tempfile::tempdir().expect("directory");
    let Ok(hanging) = Fuse::mount(&place.path().join("mount"), "fuse.flatline-killed", "x:/", 0) else {
        return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)");
    };
    hanging.silent(true);
    let mut arguments = arguments("fuse.flatline-killed");
    arguments.push(format!("--state.directory={}", place.path().join("state").display()));
    let first = Exporter::start(&arguments);
    arguments.push(format!("--web.listen-address={}", first.address()));
    // Freed before either is waited for, whatever happens.
    let hanging = hanging;
    let hung = |samples: &Samples| samples.get("flatline_mount_calls_in_flight") == Some(1.0);
    first.scrape_until("the mount hangs", hung);
    let kill = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(first.pid().cast_signed()).expect("an id"), signal)
    };
    kill(rustix::process::Signal::KILL).expect("alive");
    waits_for(&first, 1);
    let second = Exporter::start(&arguments);
    second.scrape_until("the mount hangs for the next one as well", hung);
    assert!(Path::new(&format!("/proc/{}", first.pid())).exists(), "the first one still hangs");
    drop(hanging);
}

#[test]
fn a_host_without_network_mounts_says_so() {
    let tree = fixtures().join("v1-host");
    let exporter = Exporter::start(&[
        "--collector.disable-defaults".to_owned(),
        "--collector.mounts".to_owned(),
        format!("--path.procfs={}", tree.join("proc").display()),
        format!("--path.rootfs={}", tree.display()),
    ]);
    let samples = exporter.scrape();
    assert!(samples.any("flatline_collector_state{collector=\"mounts\",state=\"off\",reason=\"no "));
    assert!(!samples.any("flatline_mount"));
}
