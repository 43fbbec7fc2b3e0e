//! GPUs that hang, sleep, vanish, move and come back.

mod common;

use common::{Exporter, copy_tree, fake_nvml, fixtures, plant_fifo};
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
        "--scrape.deadline=20s".to_owned(),
        at("path.rootfs", ""),
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
    let exporter = exporter(host.path(), &["--collector.gpu.patience=2s"]);
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

const H200: &str = "0000:18:00.0";
const GEFORCE: &str = "0000:41:00.0";

/// A host with an R9700 and two cards of NVIDIA, and a library that tells of them.
struct NvidiaHost {
    directory: TempDir,
}

impl NvidiaHost {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        for tree in ["r9700", "nvidia"] {
            copy_tree(&fixtures().join("gpu").join(tree), directory.path());
        }
        fake_nvml(directory.path());
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn exporter(&self, flags: &[&str]) -> Exporter {
        let library = format!("--collector.gpu.nvml-library={}", self.path().join("libnvidia-ml.so.1").display());
        exporter(self.path(), &[&[library.as_str()], flags].concat())
    }

    fn power(&self, gpu: &str, file: &str, content: &str) {
        std::fs::write(device(self.path(), gpu).join("power").join(file), content).expect("write");
    }

    /// How often a session was opened and closed.
    fn sessions(&self) -> (usize, usize) {
        let said = std::fs::read_to_string(self.path().join("sessions")).unwrap_or_default();
        (said.matches("opened").count(), said.matches("closed").count())
    }
}

const NVML_ON: &str = "flatline_gpu_nvml_state{state=\"on\"}";
const NVML_SLEEPS: &str = "flatline_gpu_nvml_state{state=\"off\",reason=\"an NVIDIA GPU sleeps, and would be woken\"}";

#[test]
fn one_of_nvidia_that_hangs_leaves_the_others_alone() {
    let host = NvidiaHost::new();
    let spoiled = host.path().join(format!("hang-{H200}"));
    std::fs::write(&spoiled, "").expect("write");
    let exporter = host.exporter(&["--collector.gpu.patience=2s"]);
    let stuck = of("stuck_seconds", H200);
    let samples = exporter.scrape_until("it hangs, and the others answer", |samples| {
        samples.get(&stuck) > Some(1.0)
            && samples.get(&temperature(GEFORCE, "gpu")) == Some(41.0)
            && samples.get(&temperature(RADEON, "edge")) == Some(61.0)
    });
    assert_eq!(samples.get(&of("power_watts", H200)), None);
    std::fs::remove_file(spoiled).expect("there");
    exporter.scrape_until("it answers", |samples| {
        samples.get(&stuck) == Some(0.0) && samples.get(&of("power_watts", H200)) == Some(612.345)
    });
}

#[test]
fn a_sleeping_one_of_nvidia_is_not_woken_for_another() {
    let host = NvidiaHost::new();
    let exporter = host.exporter(&["--collector.gpu.patience=10s"]);
    let awake = exporter.scrape();
    assert_eq!((awake.get(&temperature(H200, "gpu")), awake.get(NVML_ON)), (Some(58.0), Some(1.0)));
    exporter.scrape();
    assert_eq!(host.sessions(), (1, 0), "one for both cards, and kept: the kernel lets them run");
    host.power(GEFORCE, "runtime_status", "suspended\n");
    for _ in 0..3 {
        let samples = exporter.scrape();
        assert_eq!(samples.get(NVML_SLEEPS), Some(1.0));
        assert!(!samples.any(&format!("flatline_gpu_temperature_celsius{{gpu=\"{H200}\"")));
        assert_eq!(samples.get(&of("present", H200)), Some(1.0));
        assert_eq!(host.sessions(), (1, 1), "not even a session is open");
    }
    host.power(GEFORCE, "runtime_status", "active\n");
    host.power(GEFORCE, "control", "auto\n");
    assert_eq!(exporter.scrape().get(&temperature(GEFORCE, "gpu")), Some(41.0));
    let (opened, closed) = host.sessions();
    assert!(opened == closed && opened > 1, "it may fall asleep again: {opened} {closed}");
}

#[test]
fn one_of_nvidia_that_fell_off_the_bus_is_missing() {
    let host = NvidiaHost::new();
    let exporter = host.exporter(&["--collector.gpu.patience=10s"]);
    assert_eq!(exporter.scrape().get(&of("present", H200)), Some(1.0));
    std::fs::write(host.path().join(format!("lost-{H200}")), "").expect("write");
    let samples = exporter.scrape();
    assert_eq!((samples.get(&of("expected", H200)), samples.get(&of("present", H200))), (Some(1.0), Some(0.0)));
    assert_eq!((samples.get(&of("present", GEFORCE)), samples.get(NVML_ON)), (Some(1.0), Some(1.0)));
}

#[test]
fn what_nvidia_can_not_tell_is_said_and_mended() {
    let host = NvidiaHost::new();
    let spoiled = host.path().join("mismatch");
    std::fs::write(&spoiled, "").expect("write");
    let exporter = host.exporter(&["--collector.gpu.patience=10s"]);
    let failed = "flatline_gpu_nvml_state{state=\"failed\",reason=\"it does not fit the loaded driver";
    for _ in 0..2 {
        let samples = exporter.scrape();
        assert!(samples.any(failed), "{samples:?}");
        assert_eq!(samples.collector("success", "gpu"), Some(1.0));
        assert_eq!(samples.get(&of("present", H200)), Some(1.0));
        assert!(!samples.any(&format!("flatline_gpu_temperature_celsius{{gpu=\"{H200}\"")));
    }
    exporter.wait_for_log("does not fit the loaded driver");
    assert_eq!(exporter.log().matches("does not fit the loaded driver").count(), 1);
    std::fs::remove_file(spoiled).expect("there");
    let samples = exporter.scrape();
    assert!(!samples.any(failed) && samples.get(&temperature(H200, "memory")) == Some(61.0), "{samples:?}");
}
