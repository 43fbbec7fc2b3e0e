//! The kernel's log through a FIFO that plays `/dev/kmsg`, one record at a time.

mod common;

use common::{Exporter, Samples, plant_fifo};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

struct Host {
    directory: TempDir,
    ring: File,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        for path in ["dev", "proc/sys/kernel/random"] {
            std::fs::create_dir_all(directory.path().join(path)).expect("directory");
        }
        let ring = directory.path().join("dev/kmsg");
        plant_fifo(&ring);
        // Held open for both, so that neither side ever sees the end.
        let ring = OpenOptions::new().read(true).write(true).open(ring).expect("FIFO");
        let host = Self { directory, ring };
        host.boot("11111111-1111-4111-8111-111111111111");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn boot(&self, id: &str) {
        std::fs::write(self.path("proc/sys/kernel/random/boot_id"), format!("{id}\n")).expect("write");
    }

    fn exporter(&self) -> Exporter {
        Exporter::start(&[
            "--collector.disable-defaults".to_owned(),
            "--collector.kernel_log".to_owned(),
            format!("--path.rootfs={}", self.directory.path().display()),
            format!("--path.procfs={}", self.path("proc").display()),
            format!("--state.directory={}", self.path("state").display()),
        ])
    }

    /// Writes a record of the kernel's, in one piece.
    fn write(&mut self, sequence: u64, text: &str) {
        let record = format!("3,{sequence},1000000,-;{text}\n");
        self.ring.write_all(record.as_bytes()).expect("write");
    }

    /// Waits until nothing is left of what was written.
    fn until_read(&self) {
        let read = || Ok((rustix::io::ioctl_fionread(&self.ring).expect("a pipe") == 0).then_some(()));
        flatline_lab::wait_for("somebody to read the log", common::PATIENCE, read).expect("read");
    }

    /// Writes a record and waits until it has been read: a pipe would run two together.
    fn says(&mut self, exporter: &Exporter, sequence: u64, text: &str) -> Samples {
        let before = records(&exporter.scrape_until("records are told", |samples| records(samples).is_some()));
        self.write(sequence, text);
        exporter.scrape_until("the record is read", |samples| records(samples) > before)
    }
}

fn records(samples: &Samples) -> Option<f64> {
    samples.get("flatline_kernel_log_records_total")
}

fn events(samples: &Samples, kind: &str) -> Option<f64> {
    samples.get(&format!("flatline_kernel_events_total{{kind=\"{kind}\"}}"))
}

fn saved(host: &Host, words: &str) {
    let deadline = std::time::Instant::now() + common::PATIENCE;
    let content = || std::fs::read_to_string(host.path("state/kernel_log.json")).unwrap_or_default();
    while !content().contains(words) {
        assert!(std::time::Instant::now() < deadline, "never saved {words}: {}", content());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

const HUNG: &str = "INFO: task dd:271 blocked for more than 120 seconds.";
const PANIC: &str = "Kernel panic - not syncing: Fatal exception";

#[test]
fn every_kind_is_there_from_the_start_and_events_have_their_device_and_time() {
    let mut host = Host::new();
    let exporter = host.exporter();
    let quiet = exporter.scrape();
    assert_eq!((events(&quiet, "hung_task"), events(&quiet, "kernel_panic")), (Some(0.0), Some(0.0)));
    assert_eq!(events(&quiet, "usb_disconnect"), None);
    assert!(!quiet.any("flatline_kernel_event_last_timestamp_seconds"));
    let samples = host.says(&exporter, 0, HUNG);
    assert_eq!(events(&samples, "hung_task"), Some(1.0));
    assert!(samples.any("flatline_kernel_event_last_timestamp_seconds{kind=\"hung_task\"}"));
    let samples = host.says(
        &exporter,
        5,
        "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
    );
    assert_eq!(events(&samples, "filesystem_error"), Some(1.0));
    assert!(
        samples
            .0
            .keys()
            .any(|series| series.starts_with("flatline_kernel_device_events_total")
                && series.contains("device=\"sda1\""))
    );
    assert_eq!(samples.get("flatline_kernel_log_lost_records_total"), Some(4.0));
}

#[test]
fn totals_survive_a_kill_and_no_line_is_counted_twice() {
    let mut host = Host::new();
    let exporter = host.exporter();
    host.says(&exporter, 0, HUNG);
    saved(&host, "hung_task");
    drop(exporter); // SIGKILL
    let exporter = host.exporter();
    assert_eq!(events(&exporter.scrape(), "hung_task"), Some(1.0));
    // The ring is read from its beginning again.
    host.write(0, HUNG);
    host.until_read();
    let samples = host.says(&exporter, 1, PANIC);
    assert_eq!((events(&samples, "hung_task"), events(&samples, "kernel_panic")), (Some(1.0), Some(1.0)));
    assert_eq!(samples.get("flatline_kernel_log_lost_records_total"), Some(0.0));
}

#[test]
fn another_boot_goes_on_counting_from_its_first_record() {
    let mut host = Host::new();
    let exporter = host.exporter();
    host.says(&exporter, 0, HUNG);
    saved(&host, "hung_task");
    drop(exporter);
    host.boot("22222222-2222-4222-8222-222222222222");
    let exporter = host.exporter();
    let samples = host.says(&exporter, 0, HUNG);
    assert_eq!((events(&samples, "hung_task"), records(&samples)), (Some(2.0), Some(2.0)));
}

#[test]
fn a_spoiled_state_is_named_and_counting_begins_anew() {
    let mut host = Host::new();
    std::fs::create_dir(host.path("state")).expect("directory");
    std::fs::write(host.path("state/kernel_log.json"), "00000000 {}").expect("write");
    let exporter = host.exporter();
    exporter.wait_for_log("kernel_log.json");
    assert_eq!(events(&host.says(&exporter, 0, HUNG), "hung_task"), Some(1.0));
}

#[test]
fn a_flood_of_garbage_is_counted_and_scrapes_are_answered() {
    let mut host = Host::new();
    let exporter = host.exporter();
    let garbage = vec![0xff; 4000];
    for _ in 0..500 {
        host.ring.write_all(&garbage).expect("write");
    }
    let samples = exporter
        .scrape_until("counted", |samples| samples.get("flatline_kernel_log_unreadable_records_total") > Some(0.0));
    assert_eq!(samples.collector("success", "kernel_log"), Some(1.0));
}

#[test]
fn what_is_no_log_is_not_followed() {
    let host = Host::new();
    std::fs::remove_file(host.path("dev/kmsg")).expect("remove");
    std::fs::write(host.path("dev/kmsg"), "6,1,0,-;a file\n").expect("write");
    let samples = host.exporter().scrape();
    assert!(samples.any("flatline_collector_state{collector=\"kernel_log\",state=\"off\""));
}

#[test]
fn a_log_that_has_ended_is_an_error_and_not_silence() {
    let mut host = Host::new();
    let exporter = host.exporter();
    host.says(&exporter, 0, HUNG);
    // Nobody holds the pipe open for writing any more.
    host.ring = File::open("/dev/null").expect("there");
    exporter.scrape_until("noticed", |samples| samples.collector("success", "kernel_log") == Some(0.0));
}

#[test]
fn without_the_device_the_collector_is_off() {
    let host = Host::new();
    std::fs::remove_file(host.path("dev/kmsg")).expect("remove");
    let samples = host.exporter().scrape();
    assert!(samples.any("flatline_collector_state{collector=\"kernel_log\",state=\"off\""));
}
