//! One of two GPUs hangs, one of three mounts hangs, systemd says nothing: every scrape has all the rest.

mod common;
#[path = "common/fuse.rs"]
mod fuse;

use common::{Exporter, copy_tree, fixtures, plant_fifo};
use flatline_lab::skipped;
use fuse::Fuse;
use std::os::unix::net::UnixListener;
use std::path::Path;

const RADEON: &str = "0000:0b:00.0";
const ARC: &str = "0000:2f:00.0";

/// The line of `/proc/1/mountinfo` that this mount would have on the host the tree stands for.
fn line(tree: &Path, name: &str) -> String {
    let own = std::fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    let place = tree.join("mnt").join(name).display().to_string();
    let mounted = own.lines().find(|line| line.split(' ').nth(4) == Some(&place)).expect("mounted");
    let device = mounted.split(' ').nth(2).expect("a device");
    format!("40 27 {device} / /mnt/{name} rw - nfs4 server:/{name} rw\n")
}

#[test]
fn everything_that_answers_is_in_every_scrape() {
    let host = tempfile::tempdir().expect("directory");
    let tree = host.path();
    for fixture in ["host", "gpu/r9700", "gpu/arc-b580"] {
        copy_tree(&fixtures().join(fixture), tree);
    }
    for directory in ["run/systemd/system", "run/dbus", "proc/1"] {
        std::fs::create_dir_all(tree.join(directory)).expect("directory");
    }
    plant_fifo(&tree.join("sys/bus/pci/devices").join(RADEON).join("hwmon/hwmon3/temp1_input"));
    let _silent = UnixListener::bind(tree.join("run/dbus/system_bus_socket")).expect("socket");
    let names = ["one", "dead", "two"];
    let mounts = names.map(|name| Fuse::mount(&tree.join("mnt").join(name), "fuse.flatline-half", name, 0));
    let [Ok(one), Ok(dead), Ok(two)] = mounts else {
        return skipped("a host of which the half hangs", "FUSE can't be mounted here (/dev/fuse and root)");
    };
    std::fs::write(tree.join("proc/1/mountinfo"), names.map(|name| line(tree, name)).concat()).expect("written");
    dead.silent(true);

    let at = |flag: &str, name: &str| format!("--{flag}={}", tree.join(name).display());
    let collectors = ["gpu", "mounts", "units", "pressure", "memcg", "tasks", "kernel_faults", "crash_capture"];
    let mut arguments = vec![
        "--collector.disable-defaults".to_owned(),
        "--collector.mounts.timeout=1s".to_owned(),
        "--collector.mounts.patience=3s".to_owned(),
        "--collector.gpu.patience=3s".to_owned(),
        "--scrape.deadline=20s".to_owned(),
        at("path.rootfs", ""),
        at("path.procfs", "proc"),
        at("path.sysfs", "sys"),
    ];
    arguments.extend(collectors.iter().map(|collector| format!("--collector.{collector}")));
    let exporter = Exporter::start(&arguments);
    // Freed before the exporter is waited for, whatever happens.
    let _mounts = (one, dead, two);
    let responding = |name: &str| {
        format!("flatline_mount_responding{{mountpoint=\"/mnt/{name}\",fstype=\"nfs4\",source=\"server:/{name}\"}}")
    };
    exporter.scrape_until("the half of it hangs", |samples| {
        samples.get(&responding("dead")) == Some(0.0)
            && samples.get(&format!("flatline_gpu_stuck_seconds{{gpu=\"{RADEON}\"}}")) > Some(0.0)
    });
    for _ in 0..5 {
        let samples = exporter.scrape();
        for collector in collectors {
            let expected = if collector == "units" { 0.0 } else { 1.0 };
            assert_eq!(samples.collector("success", collector), Some(expected), "{collector}");
        }
        assert_eq!(names.map(|name| samples.get(&responding(name))), [Some(1.0), Some(0.0), Some(1.0)]);
        let temperature = format!("flatline_gpu_temperature_celsius{{gpu=\"{ARC}\",sensor=\"package\"}}");
        assert_eq!(samples.get(&temperature), Some(66.0));
        assert!(!samples.any("flatline_unit_state"), "nothing is known of units, so nothing is said");
    }
}
