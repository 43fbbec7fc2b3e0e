//! GPUs that hang, sleep, vanish, move and come back.

mod common;

use common::{Exporter, copy_tree, fixtures, plant_fifo};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RADEON: &str = "0000:0b:00.0";
const ARC: &str = "0000:2f:00.0";

/// A host with an R9700 and an Arc B580.
fn host() -> TempDir {
    let directory = tempfile::tempdir().expect("directory");
    for tree in ["r9700", "arc-b580"] {
        copy_tree(&fixtures().join("gpu").join(tree), directory.path());
    }
    directory
}

fn exporter(host: &Path, flags: &[&str]) -> Exporter {
    let at = |flag: &str, name: &str| format!("--{flag}={}", host.join(name).display());
    let fixed = [
        "--collector.disable-defaults".to_owned(),
        "--collector.gpu".to_owned(),
        at("path.procfs", "proc"),
        at("path.sysfs", "sys"),
        at("state.directory", "state"),
    ];
    Exporter::start(&[fixed.to_vec(), flags.iter().map(|flag| (*flag).to_owned()).collect()].concat())
}

fn device(host: &Path, gpu: &str) -> PathBuf {
    host.join("sys/bus/pci/devices").join(gpu)
}

fn of(metric: &str, gpu: &str) -> String {
    format!("flatline_gpu_{metric}{{gpu=\"{gpu}\"}}")
}

fn temperature(gpu: &str, sensor: &str) -> String {
    format!("flatline_gpu_temperature_celsius{{gpu=\"{gpu}\",sensor=\"{sensor}\"}}")
}

#[test]
fn one_that_hangs_leaves_the_other_alone() {
    let host = host();
    let input = device(host.path(), RADEON).join("hwmon/hwmon3/temp1_input");
    plant_fifo(&input);
    let exporter = exporter(host.path(), &["--collector.gpu.patience=100ms"]);
    let stuck = of("stuck_seconds", RADEON);
    let samples = exporter.scrape_until("it hangs for a while", |samples| samples.get(&stuck) > Some(1.0));
    assert_eq!(samples.collector("success", "gpu"), Some(1.0));
    assert_eq!(samples.get(&temperature(ARC, "package")), Some(66.0));
    assert_eq!(samples.get(&of("stuck_seconds", ARC)), Some(0.0));
    assert!(!samples.any(&format!("flatline_gpu_temperature_celsius{{gpu=\"{RADEON}\"")), "nothing old, nothing 0");
    assert_eq!((samples.get(&of("present", RADEON)), samples.get(&of("expected", RADEON))), (Some(1.0), Some(1.0)));
    assert!(samples.any("flatline_cpu_package_temperature_celsius"));
    exporter.scrape();
    exporter.wait_for_log("the GPU does not answer");
    let threads = exporter.threads();
    for _ in 0..5 {
        exporter.scrape();
    }
    exporter.scrape_until("one read in flight, however often it is scraped", |_| exporter.threads() <= threads);
    assert_eq!(exporter.log().matches("the GPU does not answer").count(), 1);
    // It comes back: what the hanging read returns is of the past, the next one counts.
    let read = std::thread::spawn({
        let input = input.clone();
        move || std::fs::write(input, "43000\n").expect("write")
    });
    read.join().expect("somebody reads");
    std::fs::remove_file(&input).expect("there");
    std::fs::write(&input, "44000\n").expect("write");
    let samples =
        exporter.scrape_until("it answers", |samples| samples.get(&temperature(RADEON, "edge")) == Some(44.0));
    assert_eq!(samples.get(&stuck), Some(0.0));
}

#[test]
fn one_that_falls_asleep_is_left_asleep_and_is_still_known() {
    let host = host();
    let exporter = exporter(host.path(), &["--collector.gpu.patience=10s"]);
    let info = format!(
        "flatline_gpu_info{{gpu=\"{RADEON}\",vendor=\"amd\",model=\"1002:7551\",driver=\"amdgpu\",driver_version=\"6.16.6\",firmware=\"113-APM7489-DS2-100\"}}"
    );
    assert_eq!(exporter.scrape().get(&info), Some(1.0));
    std::fs::write(device(host.path(), RADEON).join("power/runtime_status"), "suspended\n").expect("write");
    // Whoever touches it from now on hangs.
    plant_fifo(&device(host.path(), RADEON).join("hwmon/hwmon3/temp1_input"));
    plant_fifo(&device(host.path(), RADEON).join("gpu_busy_percent"));
    let samples = exporter.scrape();
    let asleep = format!("flatline_gpu_power_state{{gpu=\"{RADEON}\",state=\"suspended\"}}");
    assert_eq!((samples.get(&asleep), samples.get(&of("stuck_seconds", RADEON))), (Some(1.0), Some(0.0)));
    assert_eq!((samples.get(&info), samples.get(&of("present", RADEON))), (Some(1.0), Some(1.0)));
    for measured in ["temperature", "power_watts", "clock", "utilization", "memory", "fan", "pcie", "unreadable"] {
        let any = samples.0.keys().any(|series| {
            series.starts_with(&format!("flatline_gpu_{measured}")) && series.contains(&format!("gpu=\"{RADEON}\""))
        });
        assert!(!any, "{measured} of a sleeping GPU");
    }
    assert_eq!(samples.get(&temperature(ARC, "memory")), Some(74.0));
}

#[test]
fn one_that_is_gone_after_a_reboot_is_missed_until_it_is_forgotten() {
    let host = host();
    let first = exporter(host.path(), &[]);
    first.scrape_until("it is kept", |_| {
        std::fs::read_to_string(host.path().join("state/gpu.json")).unwrap_or_default().contains(RADEON)
    });
    drop(first);
    // As after "probe with driver amdgpu failed with error -22".
    std::fs::remove_file(device(host.path(), RADEON).join("driver")).expect("there");
    let failed = exporter(host.path(), &[]).scrape();
    let is = |samples: &common::Samples, metric: &str, gpu: &str| samples.get(&of(metric, gpu));
    assert_eq!((is(&failed, "expected", RADEON), is(&failed, "present", RADEON)), (Some(1.0), Some(0.0)));
    assert_eq!((is(&failed, "expected", ARC), is(&failed, "present", ARC)), (Some(1.0), Some(1.0)));
    // As after it was taken out, with the other one.
    for gpu in [RADEON, ARC] {
        std::fs::remove_file(device(host.path(), gpu)).expect("there");
    }
    std::fs::remove_dir_all(host.path().join("sys/class/hwmon")).expect("there");
    let gone = exporter(host.path(), &[]).scrape();
    for gpu in [RADEON, ARC] {
        assert_eq!((is(&gone, "expected", gpu), is(&gone, "present", gpu)), (Some(1.0), Some(0.0)));
        assert_eq!(is(&gone, "stuck_seconds", gpu), None);
    }
    let forgetful = [RADEON, ARC].map(|gpu| format!("--collector.gpu.forget={gpu}"));
    let forgotten = exporter(host.path(), &forgetful.each_ref().map(String::as_str));
    let off = "flatline_collector_state{collector=\"gpu\",state=\"off\",reason=\"no GPU of AMD";
    let samples = forgotten.scrape_until("there is nothing left to watch", |samples| samples.any(off));
    assert!(!samples.any("flatline_gpu_"), "{samples:?}");
}

#[test]
fn cards_and_sensors_may_be_renumbered() {
    let host = host();
    let series = |exporter: &Exporter| {
        exporter.scrape().0.into_keys().filter(|s| s.starts_with("flatline_gpu_")).collect::<Vec<_>>()
    };
    let flags = ["--collector.gpu.patience=10s"];
    let before = series(&exporter(host.path(), &flags));
    let hwmon = device(host.path(), RADEON).join("hwmon");
    std::fs::rename(hwmon.join("hwmon3"), hwmon.join("hwmon0")).expect("renamed");
    let drm = device(host.path(), RADEON).join("drm");
    std::fs::rename(drm.join("card1"), drm.join("card7")).expect("renamed");
    assert_eq!(series(&exporter(host.path(), &flags)), before);
    assert!(before.len() > 50, "{before:?}");
}
