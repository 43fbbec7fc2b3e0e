//! One golden exposition per collector: what recorded hosts look like, byte for byte.
//!
//! `make golden` rewrites the files after a change that is meant; read the diff before it is committed.

mod common;

use common::{Exporter, fake_nvml, fixtures, request};
use std::path::Path;

/// What differs from run to run.
const VOLATILE: &[&str] = &[
    "flatline_build",
    "flatline_http",
    "flatline_exporter",
    "flatline_collector",
    "flatline_crash_capture_capture_newest",
    "flatline_crash_capture_dump_newest",
    "flatline_crash_capture_pstore_newest",
    "flatline_mount_answer",
    "flatline_tasks_blocked_oldest",
    "flatline_tasks_sweep_age",
    "process_",
];

#[test]
fn a_host_in_a_memcg_livelock() {
    for collector in ["pressure", "memcg", "watchdog", "kernel_faults", "tasks"] {
        golden_with("host", collector, &["--collector.tasks.max-duration=10s"]);
    }
}

#[test]
fn a_host_after_an_oops_with_evidence_of_earlier_crashes() {
    golden_with(
        "host",
        "crash_capture",
        &[
            "--collector.crash_capture.required-arguments=crashkernel",
            "--collector.crash_capture.required-arguments=log_buf_len=4M",
            "--collector.crash_capture.captures=incident=/root/logs/incident-*.log",
        ],
    );
}

#[test]
fn a_host_whose_mounts_are_not_on_this_one() {
    golden_with(
        "mounts",
        "mounts",
        &[
            "--collector.mounts.patience=10s",
            "--collector.mounts.exclude=/var/lib/lxcfs",
            "--no-collector.mounts.automounted",
        ],
    );
}

#[test]
fn a_host_whose_accept_queue_rots() {
    golden_with("network", "reachability", &["--collector.reachability.patience=10s"]);
}

#[test]
fn a_host_and_what_it_runs_on() {
    golden("facts", "host_facts");
}

#[test]
fn hosts_with_gpus_of_every_kind() {
    for name in ["r9700", "mi300x", "strix-halo", "arc-b580", "i915-amdgpu"] {
        golden_with(&format!("gpu/{name}"), "gpu", &["--collector.gpu.patience=10s"]);
    }
    let directory = tempfile::tempdir().expect("directory");
    let library = format!("--collector.gpu.nvml-library={}", fake_nvml(directory.path()).display());
    golden_with("gpu/nvidia", "gpu", &["--collector.gpu.patience=10s", &library]);
}

#[test]
fn a_host_with_cgroup_v1_says_what_v1_has_and_no_more() {
    golden("v1-host", "memcg");
}

#[test]
fn a_hybrid_host_is_told_apart() {
    golden("hybrid-host", "memcg");
}

/// Serves a recorded tree with one collector and holds both formats against the golden files.
fn golden(name: &str, collector: &str) {
    golden_with(name, collector, &[]);
}

/// [`golden`] with flags of the collector's own.
fn golden_with(name: &str, collector: &str, flags: &[&str]) {
    let tree = fixtures().join(name);
    let mut arguments = vec![
        "--collector.disable-defaults".to_owned(),
        format!("--collector.{collector}"),
        format!("--path.procfs={}", tree.join("proc").display()),
        format!("--path.sysfs={}", tree.join("sys").display()),
        format!("--path.rootfs={}", tree.display()),
        "--scrape.deadline=10s".to_owned(),
    ];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let exporter = Exporter::start(&arguments);
    let text = request(exporter.address(), "GET", "/metrics", &[("Accept", "text/plain")]).body;
    compare(&tree.join(format!("{collector}.prom")), &steady(&text));
    let descriptor = flatline_exporter::collectors::ALL.iter().find(|descriptor| descriptor.name == collector);
    let declared = descriptor.expect("a collector of that name").families;
    for name in steady(&text).lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(declared.iter().any(|family| family.name == name), "{collector} emits {name} without declaring it");
    }
    let open = request(exporter.address(), "GET", "/metrics", &[("Accept", "application/openmetrics-text")]).body;
    compare(&tree.join(format!("{collector}.om")), &steady(&open));
}

fn steady(exposition: &str) -> String {
    let family = |line: &str| {
        line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").trim_start_matches("# UNIT ").to_owned()
    };
    exposition
        .lines()
        .filter(|line| !VOLATILE.iter().any(|volatile| family(line).starts_with(volatile)))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn compare(path: &Path, actual: &str) {
    if std::env::var_os("FLATLINE_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).expect("golden file");
        return;
    }
    let expected =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}; run `make golden`", path.display()));
    let first = expected.lines().zip(actual.lines()).find(|(expected, actual)| expected != actual);
    assert!(expected == actual, "{} differs, first in {first:?}; if that is meant, run `make golden`", path.display());
}
