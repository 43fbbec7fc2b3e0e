//! Boots, crashes and shutdowns of a host that is played by a few files.

mod common;

use common::{Exporter, Samples, command};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

struct Host {
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().expect("directory") };
        for path in ["proc/sys/kernel/random", "run"] {
            std::fs::create_dir_all(host.path(path)).expect("directory");
        }
        std::fs::write(host.path("proc/cmdline"), "root=/dev/sda1 quiet\n").expect("write");
        host.boots(1, "6.1.0-1");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn boots(&self, number: u32, kernel: &str) {
        let id = format!("{number:08x}-1111-4111-8111-111111111111\n");
        std::fs::write(self.path("proc/sys/kernel/random/boot_id"), id).expect("write");
        std::fs::write(self.path("proc/sys/kernel/osrelease"), format!("{kernel}\n")).expect("write");
    }

    fn paths(&self) -> Vec<String> {
        vec![
            format!("--path.rootfs={}", self.directory.path().display()),
            format!("--path.procfs={}", self.path("proc").display()),
            format!("--state.directory={}", self.path("state").display()),
        ]
    }

    fn exporter(&self) -> Exporter {
        self.exporter_with("--collector.boots.journalctl=/nonexistent")
    }

    fn exporter_with(&self, argument: &str) -> Exporter {
        let own = ["--collector.disable-defaults", "--collector.boots", argument].map(str::to_owned);
        let exporter = Exporter::start(&[own.to_vec(), self.paths()].concat());
        // Which of them comes first depends on whether the journal is to be asked.
        exporter.scrape_until("the first heartbeat and the figures", |samples| {
            samples.any("flatline_heartbeat_timestamp_seconds") && samples.any("flatline_boots_total")
        });
        exporter
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = command(env!("CARGO_BIN_EXE_flatline-exporter"));
        command.arg("boots").args(arguments).args(self.paths()).output().expect("runs")
    }
}

fn figures(samples: &Samples) -> [Option<f64>; 4] {
    ["boots_total", "unclean_boots_total", "short_boots_total", "previous_boot_clean"]
        .map(|metric| samples.get(&format!("flatline_{metric}")))
}

#[test]
fn a_crash_is_found_by_the_next_boot_and_a_restart_of_the_exporter_is_none() {
    let host = Host::new();
    assert_eq!(figures(&host.exporter().scrape()), [Some(1.0), Some(0.0), Some(0.0), None]);
    // Killed and started again in the same boot.
    assert_eq!(figures(&host.exporter().scrape()), [Some(1.0), Some(0.0), Some(0.0), None]);
    host.boots(2, "6.1.0-2");
    let samples = host.exporter().scrape();
    let [boots, unclean, _, clean] = figures(&samples);
    assert_eq!([boots, unclean, clean], [Some(2.0), Some(1.0), Some(0.0)]);
    assert_eq!(samples.get("flatline_kernel_changed"), Some(1.0));
    assert_eq!(samples.get("flatline_boot_info{kernel=\"6.1.0-2\",previous_kernel=\"6.1.0-1\"}"), Some(1.0));
    assert!(samples.get("flatline_heartbeat_write_seconds_count") >= Some(1.0));
    assert_eq!(samples.get("flatline_heartbeat_stalled_seconds"), Some(0.0));

    let table = host.command(&[]);
    assert!(table.status.success());
    let table = String::from_utf8(table.stdout).expect("UTF-8");
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("unclean") && table.contains("running") && table.contains("kernel changed"), "{table}");
    let json = host.command(&["--json"]).stdout;
    let windows: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&windows[0]["ended"], &windows[1]["ended"]), (&"unclean".into(), &"running".into()));
}

#[test]
fn a_shutdown_is_known_by_its_files_or_by_being_told() {
    let host = Host::new();
    let exporter = host.exporter();
    std::fs::write(host.path("run/nologin"), "").expect("write");
    assert_eq!(exporter.terminate(), Some(0));
    std::fs::remove_file(host.path("run/nologin")).expect("remove");
    host.boots(2, "6.1.0-1");
    let exporter = host.exporter();
    assert_eq!(figures(&exporter.scrape())[3], Some(1.0));
    let told = host.command(&["--mark-clean"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    drop(exporter); // SIGKILL, as at the end of a shutdown
    host.boots(3, "6.1.0-1");
    let samples = host.exporter().scrape();
    assert_eq!(figures(&samples), [Some(3.0), Some(0.0), Some(0.0), Some(1.0)]);
    assert_eq!(samples.get("flatline_kernel_changed"), Some(0.0));
}

#[test]
fn the_end_of_the_exporter_alone_is_no_shutdown_and_no_crash() {
    let host = Host::new();
    assert_eq!(host.exporter().terminate(), Some(0));
    host.boots(2, "6.1.0-1");
    // Nobody watched how the boot ended.
    assert_eq!(figures(&host.exporter().scrape())[..2], [Some(2.0), Some(0.0)]);
}

#[test]
fn the_journal_is_asked_once() {
    let host = Host::new();
    let journalctl = host.path("journalctl");
    let listed = common::fixtures().join("boots/journal/list-boots.json");
    let asked = host.path("asked");
    let script = format!("#!/bin/sh\necho \"$@\" >>{}\ncat {}\n", asked.display(), listed.display());
    std::fs::write(&journalctl, script).expect("write");
    std::fs::set_permissions(&journalctl, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    for _ in 0..2 {
        let argument = format!("--collector.boots.journalctl={}", journalctl.display());
        let exporter = host.exporter_with(&argument);
        // Its three boots, and this one.
        exporter.scrape_until("seeded", |samples| samples.get("flatline_boots_total") > Some(3.0));
    }
    // The host's, not that of a container around the exporter.
    let arguments = "--list-boots --output=json --quiet --utc --no-pager --root";
    assert_eq!(
        std::fs::read_to_string(&asked).expect("asked"),
        format!("{arguments} {}\n", host.directory.path().display())
    );
}

#[test]
fn a_second_exporter_is_refused_with_directory_and_process() {
    let host = Host::new();
    let exporter = host.exporter();
    let state = host.path("state");
    let said =
        common::refusal(&["--web.listen-address=127.0.0.1:0", &format!("--state.directory={}", state.display())], &[]);
    assert!(said.contains(&state.display().to_string()) && said.contains(&exporter.pid().to_string()), "{said}");
}

#[test]
fn without_a_state_directory_the_exporter_says_so_and_runs() {
    let host = Host::new();
    let own = ["--collector.disable-defaults", "--collector.boots", "--state.directory="].map(str::to_owned);
    let samples = Exporter::start(&own).scrape();
    assert_eq!(samples.get("flatline_exporter_state_available"), None, "nobody wants one");
    assert!(samples.any("flatline_collector_state{collector=\"boots\",state=\"off\""));
    std::fs::write(host.path("file"), "").expect("write");
    let impossible = format!("--state.directory={}", host.path("file/state").display());
    let samples = Exporter::start(&[&own[0], &impossible]).scrape();
    assert_eq!(samples.get("flatline_exporter_state_available"), Some(0.0));
}
