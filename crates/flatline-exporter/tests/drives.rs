//! Drives asked through a smartctl that answers, sleeps, lies or is not there.

mod common;
#[path = "common/fuse.rs"]
mod fuse;

use common::{Exporter, Samples, plant_fifo};
use flatline_lab::skipped;
use fuse::Fuse;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

const FAILING: &str = include_str!("../../flatline-sources/src/drives/samples/ata-failing.json");
const NVME: &str = include_str!("../../flatline-sources/src/drives/samples/nvme.json");
const STANDBY: &str = include_str!("../../flatline-sources/src/drives/samples/standby.json");

/// A host with drives, and a smartctl that runs `script` with the drive's name in `$drive`.
struct Host(TempDir);

impl Host {
    fn new(drives: &[&str], script: &str) -> Self {
        let host = Self(tempfile::tempdir().expect("directory"));
        for drive in drives {
            let class = if drive.starts_with("nvme") { "class/nvme" } else { "block" };
            std::fs::create_dir_all(host.path("sys").join(class).join(drive)).expect("directory");
        }
        std::fs::create_dir_all(host.path("sys/block")).expect("directory");
        for (name, sample) in [("sda", FAILING), ("nvme0", NVME), ("sdd", STANDBY)] {
            std::fs::write(host.path(name), sample).expect("write");
        }
        let here = host.0.path().display();
        let program = format!(
            "#!/bin/sh\nfor last; do :; done\ndrive=${{last##*/}}\necho \"$*\" >> {here}/calls\ncd {here}\n{script}\n"
        );
        std::fs::write(host.path("smartctl"), program).expect("write");
        std::fs::set_permissions(host.path("smartctl"), PermissionsExt::from_mode(0o755)).expect("mode");
        host
    }

    /// The temperature of an NVMe drive, as its driver shows it.
    fn thermometer(&self, drive: &str, millidegrees: i32) -> PathBuf {
        let hwmon = self.path("sys/class/hwmon").join(drive);
        std::fs::create_dir_all(&hwmon).expect("directory");
        symlink(format!("../../nvme/{drive}"), hwmon.join("device")).expect("link");
        for (name, content) in
            [("name", "nvme"), ("temp1_label", "Composite"), ("temp1_input", &millidegrees.to_string())]
        {
            std::fs::write(hwmon.join(name), content).expect("write");
        }
        hwmon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn calls(&self) -> Vec<String> {
        std::fs::read_to_string(self.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn exporter(&self, flags: &[&str]) -> Exporter {
        let at = |flag: &str, name: &str| format!("--{flag}={}", self.path(name).display());
        let mut arguments = vec![
            "--collector.disable-defaults".to_owned(),
            "--collector.drives".to_owned(),
            "--scrape.deadline=10s".to_owned(),
            at("path.sysfs", "sys"),
            at("path.rootfs", ""),
            at("collector.drives.program", "smartctl"),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Exporter::start(&arguments)
    }
}

fn state(samples: &Samples, device: &str, state: &str) -> bool {
    samples.get(&format!("flatline_drive_smart_state{{device=\"{device}\",state=\"{state}\"}}")) == Some(1.0)
}

fn of(samples: &Samples, metric: &str, device: &str) -> Option<f64> {
    samples.get(&format!("flatline_drive_{metric}{{device=\"{device}\"}}"))
}

fn temperature(device: &str) -> String {
    format!("flatline_drive_temperature_celsius{{device=\"{device}\",sensor=\"composite\"}}")
}

#[test]
fn a_thermometer_that_hangs_leaves_the_other_alone() {
    let host = Host::new(&["nvme0", "nvme1"], "cat nvme0");
    let hanging = host.thermometer("nvme0", 40000).join("temp1_input");
    host.thermometer("nvme1", 38850);
    std::fs::remove_file(&hanging).expect("removed");
    plant_fifo(&hanging);
    let exporter = host.exporter(&[]);
    let told = |samples: &Samples| samples.get(&temperature("nvme1")) == Some(38.85);
    exporter.scrape_until("the other one is told", told);
    for _ in 0..5 {
        // One that is late on a busy machine is told by the next scrape.
        let samples = exporter.scrape_until("the other one is told again", told);
        assert_eq!(samples.get(&temperature("nvme0")), None);
        assert_eq!(samples.collector("success", "drives"), Some(1.0));
    }
    // Whoever opens the other end lets it return: late, and so not told.
    std::fs::write(&hanging, "41000\n").expect("read by somebody");
    std::fs::remove_file(&hanging).expect("removed");
    std::fs::write(&hanging, "42000\n").expect("write");
    exporter.scrape_until("it is asked again", |samples| samples.get(&temperature("nvme0")) == Some(42.0));
}

#[test]
fn each_drive_tells_what_it_can() {
    let host = Host::new(&["sda", "sdd", "nvme0"], "cat $drive; exit 24");
    host.thermometer("nvme0", 38850);
    let exporter = host.exporter(&[]);
    let samples = exporter.scrape_until("all are asked", |samples| {
        state(samples, "sdd", "standby") && samples.get(&temperature("nvme0")).is_some()
    });
    assert!(state(&samples, "sda", "answered") && state(&samples, "nvme0", "answered"));
    assert_eq!((of(&samples, "smart_healthy", "sda"), of(&samples, "smart_healthy", "nvme0")), (Some(0.0), Some(1.0)));
    assert_eq!(of(&samples, "smart_healthy", "sdd"), None, "who sleeps has not said that it is well");
    assert_eq!(of(&samples, "pending_sectors", "sda"), Some(24.0));
    assert_eq!(of(&samples, "reallocated_sectors", "sda"), Some(1344.0));
    assert_eq!(of(&samples, "wear_ratio", "nvme0"), Some(0.03));
    assert_eq!(of(&samples, "pending_sectors", "nvme0"), None);
    assert!(of(&samples, "smart_answer_timestamp_seconds", "sda").is_some());
    assert_eq!(samples.get(&temperature("nvme0")), Some(38.85));
    for _ in 0..5 {
        exporter.scrape();
    }
    let calls = host.calls();
    assert_eq!(calls.len(), 3, "no scrape starts a process: {calls:?}");
    assert!(calls.iter().all(|call| call.contains("--json") && call.contains("--nocheck=standby")));
}

#[test]
fn a_drive_that_falls_asleep_keeps_its_last_answer() {
    let host = Host::new(&["sda"], "cat $drive");
    let exporter = host.exporter(&["--collector.drives.interval=10ms"]);
    let samples = exporter.scrape_until("it answers", |samples| state(samples, "sda", "answered"));
    assert_eq!(of(&samples, "smart_healthy", "sda"), Some(0.0));
    std::fs::write(host.path("asleep"), STANDBY).expect("write");
    std::fs::rename(host.path("asleep"), host.path("sda")).expect("rename");
    let samples = exporter.scrape_until("it sleeps", |samples| state(samples, "sda", "standby"));
    assert_eq!(of(&samples, "smart_healthy", "sda"), Some(0.0));
    std::fs::remove_dir(host.path("sys/block/sda")).expect("taken out");
    exporter.scrape_until("it is taken out", |samples| !samples.any("flatline_drive_smart_"));
}

#[test]
fn a_drive_that_does_not_answer_and_one_that_talks_for_ever_cost_the_others_nothing() {
    let script = "case $drive in sdb) exec sleep 600;; sdc) exec yes;; esac; cat nvme0";
    let host = Host::new(&["sda", "sdb", "sdc", "sdd"], script);
    let exporter = host.exporter(&["--collector.drives.timeout=15s"]);
    exporter.scrape_until("the first one has answered", |samples| state(samples, "sda", "answered"));
    exporter.scrape_until("a child is running", |samples| {
        samples.get("flatline_drive_smartctl_running_seconds").is_some_and(|age| age > 0.0)
    });
    let samples = exporter.scrape_until("the last one has answered", |samples| state(samples, "sdd", "answered"));
    assert!(state(&samples, "sdb", "no_answer") && state(&samples, "sdc", "no_answer"));
    assert_eq!(of(&samples, "smart_healthy", "sdb"), None);
    exporter.scrape_until("no child is left", |samples| {
        samples.get("flatline_drive_smartctl_running_seconds") == Some(0.0)
    });
    assert_eq!(host.calls().len(), 4);
}

#[test]
fn a_smartctl_that_can_not_even_be_killed_is_waited_for_alone() {
    let host = Host::new(&["sda", "sdb"], "[ $drive = sda ] && exec stat -f mount; cat nvme0");
    let Ok(mut disk) = Fuse::mount(&host.path("mount"), "fuse.flatline-drives", "disk:/", 0) else {
        return skipped("a smartctl that sleeps in the kernel", "FUSE can't be mounted here (/dev/fuse and root)");
    };
    disk.silent(true);
    let exporter = host.exporter(&["--collector.drives.timeout=15s"]);
    let samples = exporter.scrape_until("the child hangs", |samples| state(samples, "sda", "hung"));
    let age = |samples: &Samples| samples.get("flatline_drive_smartctl_running_seconds").expect("always told");
    let mut before = age(&samples);
    for _ in 0..5 {
        let samples = exporter.scrape();
        assert!(state(&samples, "sda", "hung") && state(&samples, "sdb", "not_asked"));
        assert_eq!(samples.collector("success", "drives"), Some(1.0));
        assert!(age(&samples) > before);
        before = age(&samples);
    }
    assert_eq!(host.calls().len(), 1, "there is never a second child");
    disk.die();
    let samples = exporter.scrape_until("the next drive is asked", |samples| state(samples, "sdb", "answered"));
    assert!(state(&samples, "sda", "no_answer"));
}

#[test]
fn nonsense_and_no_smartctl_at_all_are_said() {
    let host = Host::new(&["sda"], "echo nonsense");
    host.exporter(&[]).scrape_until("nonsense is no answer", |samples| state(samples, "sda", "failed"));
    std::fs::remove_file(host.path("smartctl")).expect("removed");
    let exporter = host.exporter(&[]);
    // Said by the scrape after the one that found it out.
    let said = |_: &Samples| exporter.log().contains("install smartmontools");
    let samples = exporter.scrape_until("the remedy is logged", said);
    assert!(state(&samples, "sda", "not_asked"));
    assert_eq!(samples.collector("success", "drives"), Some(1.0));
}

#[test]
fn a_host_without_drives_says_so_and_nothing_runs_unasked() {
    let host = Host::new(&[], "cat sda");
    let samples = host.exporter(&[]).scrape();
    assert!(samples.any("flatline_collector_state{collector=\"drives\",state=\"off\",reason=\"no disk"));
    let host = Host::new(&["sda"], "cat sda");
    let sysfs = format!("--path.sysfs={}", host.path("sys").display());
    let program = format!("--collector.drives.program={}", host.path("smartctl").display());
    Exporter::start(&[sysfs, program]).scrape();
    assert!(host.calls().is_empty());
}
