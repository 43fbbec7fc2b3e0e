//! The host is half dead: every scrape answers all the same, with everything that can still be read.

mod common;

use common::{Exporter, Stop, command, copy_tree, fixtures, plant_fifo};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A sysfs and a procfs of our own to spoil, with a watchdog, kernel counters and PSI in them.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        copy_tree(&fixtures().join("host"), directory.path());
        Self { directory }
    }

    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.directory.path().join(relative)
    }

    fn arguments(&self) -> Vec<String> {
        ["procfs=proc", "sysfs=sys"]
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(root, path)| format!("--path.{root}={}", self.path(path).display()))
            // Enough for whoever does not hang; whoever does is waited for by the first scrape alone.
            .chain(["--scrape.deadline=3s".to_owned()])
            .collect()
    }
}

const TIMELEFT: &str = "sys/class/watchdog/watchdog0/timeleft";

#[test]
fn a_hanging_watchdog_file_leaves_everything_else_and_the_process_as_it_was() {
    let host = Host::new();
    plant_fifo(&host.path(TIMELEFT));
    let exporter = Exporter::start(&host.arguments());
    exporter.scrape();
    let (threads, files) = (exporter.threads(), exporter.files());
    let mut stuck = 0.0;
    for _ in 0..10 {
        let samples = exporter.scrape();
        assert_eq!(samples.collector("success", "watchdog"), Some(0.0));
        let now = samples.collector("stuck_seconds", "watchdog").expect("reported");
        assert!(now > stuck, "stuck time grows");
        stuck = now;
        assert!(!samples.any("flatline_watchdog_"), "late samples are absent, not stale");
        for well in ["pressure", "memcg", "kernel_faults"] {
            assert_eq!(samples.collector("success", well), Some(1.0), "{well}");
            assert_eq!(samples.collector("stuck_seconds", well), Some(0.0), "{well}");
        }
        assert!(samples.any("flatline_pressure_waiting_seconds_total{resource=\"memory\"}"));
    }
    assert_eq!((exporter.threads(), exporter.files()), (threads, files));
    assert!(exporter.get("/").body.contains("stuck"), "the landing page says so");
}

/// A blocked task whose wait channel does not answer: the very thing that is looked for takes along nobody else.
#[test]
fn a_hanging_wchan_leaves_everything_else_as_it_was() {
    let host = Host::new();
    plant_fifo(&host.path("proc/114/wchan"));
    let exporter = Exporter::start(&host.arguments());
    for _ in 0..3 {
        let samples = exporter.scrape();
        assert_eq!(samples.collector("success", "tasks"), Some(0.0));
        assert!(!samples.any("flatline_tasks"), "half a sweep is no sweep");
        for well in ["pressure", "memcg", "kernel_faults", "watchdog", "crash_capture"] {
            assert_eq!(samples.collector("success", well), Some(1.0), "{well}");
        }
    }
}

#[test]
fn a_collector_comes_back_when_its_read_returns() {
    let host = Host::new();
    plant_fifo(&host.path(TIMELEFT));
    let exporter = Exporter::start(&host.arguments());
    assert_eq!(exporter.scrape().collector("success", "watchdog"), Some(0.0));
    // Opening and closing the writing end lets the read return with an end of file.
    drop(fs::OpenOptions::new().write(true).open(host.path(TIMELEFT)).expect("FIFO"));
    fs::remove_file(host.path(TIMELEFT)).expect("FIFO");
    fs::write(host.path(TIMELEFT), "42\n").expect("file");
    let samples = exporter.scrape_until("the watchdog collector is back", |samples| {
        // Another reader may have opened the FIFO before it was replaced: release that one too.
        samples.collector("success", "watchdog") == Some(1.0)
    });
    assert_eq!(samples.get("flatline_watchdog_timeleft_seconds{device=\"watchdog0\"}"), Some(42.0));
    assert_eq!(samples.collector("stuck_seconds", "watchdog"), Some(0.0));
}

#[test]
fn a_hang_while_starting_is_a_state_and_holds_nobody_up() {
    let host = Host::new();
    plant_fifo(&host.path("proc/pressure/cpu"));
    let exporter = Exporter::start(&host.arguments());
    let samples = exporter.scrape();
    assert_eq!(samples.collector("success", "pressure"), Some(0.0));
    assert_eq!(samples.collector("success", "watchdog"), Some(1.0));
    assert_eq!(exporter.get("/-/ready").status, 200);
}

#[test]
fn a_directory_binary_noise_and_emptiness_are_faults_of_that_file_alone() {
    let host = Host::new();
    let counter = host.path("sys/kernel/warn_count");
    fs::remove_file(&counter).expect("fixture");
    fs::create_dir(&counter).expect("directory");
    fs::write(host.path("sys/kernel/oops_count"), [0xff, 0x00, 0x80, b'7']).expect("file");
    fs::write(host.path("proc/pressure/io"), "").expect("file");
    fs::write(host.path("sys/class/watchdog/watchdog0/timeout"), "9".repeat(1 << 20)).expect("file");
    let exporter = Exporter::start(&[host.arguments(), vec!["--scrape.deadline=10s".to_owned()]].concat());
    exporter.scrape();
    let samples = exporter.scrape();
    for collector in ["pressure", "kernel_faults", "watchdog"] {
        assert_eq!(samples.collector("success", collector), Some(1.0), "{collector}");
    }
    for absent in [
        "flatline_kernel_faults_total{kind=\"warn\"}",
        "flatline_kernel_faults_total{kind=\"oops\"}",
        "flatline_pressure_waiting_seconds_total{resource=\"io\"}",
        "flatline_watchdog_timeout_seconds{device=\"watchdog0\"}",
    ] {
        assert_eq!(samples.get(absent), None, "what can't be read is absent");
    }
    assert!(samples.get("flatline_kernel_faults_total{kind=\"oom_kill\"}").is_some());
    assert!(samples.get("flatline_pressure_waiting_seconds_total{resource=\"memory\"}").is_some());
    let fault = |collector: &str, fault: &str| {
        samples.get(&format!("flatline_collector_source_faults_total{{collector=\"{collector}\",fault=\"{fault}\"}}"))
    };
    assert_eq!(fault("kernel_faults", "is_a_directory"), Some(2.0), "counted at every scrape");
    assert_eq!(fault("kernel_faults", "invalid_content"), Some(2.0));
    assert_eq!(fault("pressure", "invalid_content"), Some(2.0));
    assert!(fault("watchdog", "too_large").or_else(|| fault("watchdog", "invalid_content")).is_some());
    exporter.wait_for_log("oops_count");
    let logged = exporter.log().lines().filter(|line| line.contains("oops_count")).count();
    assert_eq!(logged, 1, "each fault is logged once:\n{}", exporter.log());
}

#[test]
fn unreadable_files_are_told_apart_from_absent_ones() {
    let host = Host::new();
    let secret = host.path("sys/kernel/oops_count");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(&secret, mode(0o000)).expect("chmod");
    fs::set_permissions(host.directory.path(), mode(0o755)).expect("chmod");
    fs::remove_file(host.path("sys/kernel/warn_count")).expect("fixture");
    // Another user may not reach the build directory.
    let binary = host.path("flatline-exporter");
    fs::copy(env!("CARGO_BIN_EXE_flatline-exporter"), &binary).expect("copy");
    let mut unprivileged = command("setpriv");
    unprivileged.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(binary);
    let patient = [host.arguments(), vec!["--scrape.deadline=10s".to_owned()]].concat();
    let exporter = Exporter::start_as(unprivileged, 1, &patient);
    let samples = exporter.scrape();
    assert_eq!(samples.get("flatline_kernel_faults_total{kind=\"oops\"}"), None);
    assert_eq!(
        samples.get("flatline_collector_source_faults_total{collector=\"kernel_faults\",fault=\"permission_denied\"}"),
        Some(1.0),
        "unreadable is a fault, absent is none"
    );
    assert_eq!(samples.get("flatline_exporter_memory_locked"), Some(0.0));
    exporter.wait_for_log("oops_count");
}

fn cgroup(root: &Path, name: &str) {
    let cgroup = root.join(name);
    copy_tree(&fixtures().join("host/sys/fs/cgroup/work.slice"), &cgroup);
}

#[test]
fn cgroups_created_and_removed_while_being_read_are_no_faults() {
    let host = Host::new();
    let root = host.path("sys/fs/cgroup");
    let exporter = Exporter::start(&[host.arguments(), vec!["--scrape.deadline=10s".to_owned()]].concat());
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let _stop = stop.at_end();
        scope.spawn(|| {
            while !stop.is_told() {
                for index in 0..20 {
                    cgroup(&root, &format!("churn-{index}.scope"));
                }
                for index in 0..20 {
                    fs::remove_dir_all(root.join(format!("churn-{index}.scope"))).expect("ours");
                }
            }
        });
        for _ in 0..100 {
            let samples = exporter.scrape();
            assert_eq!(samples.collector("success", "memcg"), Some(1.0));
            assert!(samples.any("flatline_memcg_current_bytes{cgroup=\"/work.slice\"}"), "the others are served");
        }
    });
    let samples = exporter.scrape_until("the removed cgroups are gone", |samples| {
        !samples.0.keys().any(|series| series.contains("churn-"))
    });
    assert!(samples.get("flatline_memcg_removed_total").is_some_and(|removed| removed > 0.0));
}

#[test]
fn ten_thousand_cgroups_are_bounded_by_the_series_cap() {
    let host = Host::new();
    let root = host.path("sys/fs/cgroup");
    for parent in 0..100 {
        for child in 0..100 {
            let directory = root.join(format!("p{parent}.slice/c{child}.scope"));
            fs::create_dir_all(&directory).expect("directory");
            fs::write(directory.join("memory.current"), "4096\n").expect("file");
            fs::write(directory.join("memory.events"), "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n").expect("file");
        }
    }
    let mut arguments = host.arguments();
    arguments.extend(["--collector.memcg.max-series=2000".to_owned(), "--scrape.deadline=20s".to_owned()]);
    let exporter = Exporter::start(&arguments);
    let samples = exporter.scrape();
    assert_eq!(samples.collector("success", "memcg"), Some(1.0), "{}", exporter.log());
    let series = samples.0.keys().filter(|series| series.starts_with("flatline_memcg_")).count();
    assert!(series > 0 && series <= 2000, "{series} series");
    assert!(samples.any("flatline_memcg_current_bytes{cgroup=\"/work.slice\"}"), "the shallow ones stay");
    let dropped = samples.collector("series_dropped_total", "memcg").expect("reported");
    assert!(dropped > 10_000.0, "dropped {dropped}");
    assert!(samples.get("flatline_memcg_cgroups").is_some_and(|found| found > 10_000.0));
    let again = exporter.scrape();
    assert!(again.collector("series_dropped_total", "memcg").is_some_and(|total| total > dropped), "a counter");
}

#[test]
fn two_hundred_scrapes_at_once_are_answered_or_turned_away() {
    let host = Host::new();
    plant_fifo(&host.path(TIMELEFT));
    let exporter = Exporter::start(&host.arguments());
    exporter.scrape();
    let threads = exporter.threads();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let scrapes: Vec<_> = (0..200).map(|_| scope.spawn(|| exporter.get("/metrics").status)).collect();
        scrapes.into_iter().map(|scrape| scrape.join().expect("answered")).collect()
    });
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200));
    assert_eq!(exporter.threads(), threads);

    let generous = Exporter::start(&[host.arguments(), vec!["--web.max-requests=0".to_owned()]].concat());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let scrapes: Vec<_> = (0..200).map(|_| scope.spawn(|| generous.get("/metrics").status)).collect();
        scrapes.into_iter().map(|scrape| scrape.join().expect("answered")).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "0 is no limit: {statuses:?}");
}

#[test]
fn scrapes_beyond_the_limit_are_turned_away_and_the_place_is_given_back() {
    let host = Host::new();
    plant_fifo(&host.path(TIMELEFT));
    let arguments =
        [host.arguments(), vec!["--web.max-requests=1".to_owned(), "--scrape.deadline=2s".to_owned()]].concat();
    let exporter = Exporter::start(&arguments);
    // Whoever comes first waits for the FIFO until the deadline and holds the only place meanwhile.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let scrapes: Vec<_> = (0..8).map(|_| scope.spawn(|| exporter.get("/metrics"))).collect();
        scrapes.into_iter().map(|scrape| scrape.join().expect("answered")).collect()
    });
    assert!(answers.iter().any(|answer| answer.status == 200));
    let turned_away = answers.iter().find(|answer| answer.status == 503).expect("somebody is turned away");
    assert!(turned_away.body.contains("Limit of concurrent requests reached (1)"));
    exporter.scrape_until("the place is free again", |samples| samples.collector("success", "pressure") == Some(1.0));
}

#[test]
fn prometheus_timeout_bounds_the_wait() {
    let host = Host::new();
    plant_fifo(&host.path(TIMELEFT));
    let exporter = Exporter::start(&[host.arguments(), vec!["--scrape.deadline=20s".to_owned()]].concat());
    // Were the header not honoured, this would wait the 20 seconds and the client's own limit would end it.
    let header = [("X-Prometheus-Scrape-Timeout-Seconds", "0.3")];
    let answer = common::request(exporter.address(), "GET", "/metrics", &header);
    let samples = common::Samples::parse(&answer.body);
    let stuck = samples.collector("stuck_seconds", "watchdog").expect("reported");
    assert!(stuck < 20.0, "waited {stuck} s in spite of the header");
    assert_eq!(samples.collector("success", "watchdog"), Some(0.0));
}

#[test]
fn few_file_descriptors_slow_it_down_but_do_not_stop_it() {
    let host = Host::new();
    for index in 0..200 {
        cgroup(&host.path("sys/fs/cgroup"), &format!("c{index}.scope"));
    }
    let mut limited = command("prlimit");
    limited.args(["--nofile=64:64", env!("CARGO_BIN_EXE_flatline-exporter")]);
    let exporter =
        Exporter::start_as(limited, 1, &[host.arguments(), vec!["--scrape.deadline=10s".to_owned()]].concat());
    let samples = exporter.scrape();
    assert_eq!(samples.collector("success", "memcg"), Some(1.0), "{}", exporter.log());
    let found = samples.0.keys().filter(|series| series.starts_with("flatline_memcg_current_bytes{")).count();
    assert!(found > 200, "all cgroups are read: {found}");
    // Clients that take every descriptor that is left, and go away again.
    let hoard: Vec<_> = (0..100).map(|_| TcpStream::connect(exporter.address())).collect();
    drop(hoard);
    exporter.scrape_until("it answers after the flood", |samples| samples.collector("success", "memcg") == Some(1.0));
}

/// The descriptors run out before the places do, and nobody who holds one says a word.
#[test]
fn silent_clients_that_hold_every_file_descriptor_keep_no_scrape_away() {
    let exporter = Exporter::start(&["--collector.disable-defaults"]);
    exporter.leave_files(4);
    let hoard: Vec<_> = (0..64).map(|_| TcpStream::connect(exporter.address()).expect("queued at least")).collect();
    exporter.wait_for_log("be accepted; still trying");
    assert_eq!(exporter.get("/metrics").status, 200);
    drop(hoard);
}

#[test]
fn a_client_that_never_reads_its_answer_keeps_nobody_waiting() {
    let host = Host::new();
    let exporter = Exporter::start(&host.arguments());
    let mut lazy: Vec<_> = (0..10).map(|_| TcpStream::connect(exporter.address()).expect("connects")).collect();
    for stream in &mut lazy {
        std::io::Write::write_all(stream, b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sends");
    }
    for _ in 0..20 {
        assert_eq!(exporter.get("/metrics").status, 200);
    }
    // They are still served when they wake up.
    let mut first = [0; 12];
    lazy[0].set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    lazy[0].read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
}
