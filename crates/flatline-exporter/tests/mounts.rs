//! Mounts that hang for real: FUSE file systems whose server keeps silent, among others that answer.

mod common;
#[path = "common/fuse.rs"]
mod fuse;

use common::{Exporter, Samples, fixtures};
use flatline_lab::skipped;
use fuse::Fuse;
use std::path::Path;

/// Who is nobody here.
const SOMEBODY_ELSE: u32 = 54_321;

fn series(metric: &str, mountpoint: &Path, source: &str) -> String {
    // The exposition escapes what the label holds.
    let mountpoint = mountpoint.display().to_string().replace('\\', r"\\").replace('\n', r"\n");
    format!("flatline_mount_{metric}{{mountpoint=\"{mountpoint}\",fstype=\"fuse.flatline\",source=\"{source}\"}}")
}

fn state(samples: &Samples, mountpoint: &Path, source: &str, state: &str) -> Option<f64> {
    samples.get(&series("state", mountpoint, source).replace('}', &format!(",state=\"{state}\"}}")))
}

fn arguments(place: &Path) -> Vec<String> {
    let mut arguments = vec![
        "--collector.disable-defaults".to_owned(),
        "--collector.mounts".to_owned(),
        "--collector.tasks".to_owned(),
        "--collector.mounts.fstypes=fuse.flatline".to_owned(),
        "--collector.mounts.timeout=100ms".to_owned(),
        "--scrape.deadline=10s".to_owned(),
    ];
    // Other tests mount things of the same kind at the same time.
    let elsewhere = |path: &str| format!("--collector.mounts.exclude={path}");
    arguments
        .extend(place.parent().map(|temporary| elsewhere(&temporary.join("elsewhere-*/**").display().to_string())));
    arguments
}

#[test]
fn one_of_three_mounts_hangs_and_everything_else_is_told() {
    const WHAT: &str = "a mount that hangs for real, seen by the exporter";
    let place = tempfile::Builder::new().prefix("flatline-mounts").tempdir().expect("directory");
    let at = |name: &str| place.path().join(name);
    let (one, two, three, four) = (at("one"), at("two with blanks\nand \u{fc}mlaut"), at("three"), at("four"));
    let mount = |at: &Path, source: &str, user| Fuse::mount(at, source, user);
    let mounted =
        (mount(&one, "a:/", 0), mount(&two, "b:/", 0), mount(&three, "c:/", 0), mount(&four, "d:/", SOMEBODY_ELSE));
    let (Ok(first), Ok(hanging), Ok(third), Ok(fourth)) = mounted else {
        return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)");
    };
    hanging.silent(true);
    let exporter = Exporter::start(&arguments(place.path()));
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

    let threads = exporter.threads();
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
    assert_eq!(exporter.threads(), threads);

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
    let place = tempfile::Builder::new().prefix("elsewhere-").tempdir().expect("directory");
    let mounts: Result<Vec<_>, _> =
        (0..20).map(|n| Fuse::mount(&place.path().join(n.to_string()), &format!("{n}:/"), 0)).collect();
    let Ok(mounts) = mounts else { return skipped(WHAT, "FUSE can't be mounted here (/dev/fuse and root)") };
    mounts.iter().for_each(|mount| mount.silent(true));
    let only = format!("--collector.mounts.exclude={}/flatline-mounts*/**", std::env::temp_dir().display());
    let exporter = Exporter::start(&[
        "--collector.disable-defaults",
        "--collector.mounts",
        "--collector.mounts.fstypes=fuse.flatline",
        "--collector.mounts.timeout=100ms",
        "--collector.mounts.max-mounts=18",
        "--scrape.deadline=10s",
        only.as_str(),
    ]);
    let _mounts = mounts;
    let all_out = |samples: &Samples| samples.get("flatline_mount_calls_in_flight") == Some(16.0);
    exporter.scrape_until("16 questions are open", all_out);
    let threads = exporter.threads();
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
    assert_eq!(exporter.threads(), threads);
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
