//! The journal through a `journalctl` that is played by a script: it dies, hangs, floods and says nonsense.

mod common;

use common::{Exporter, Samples, command};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

struct Host {
    directory: TempDir,
}

const FAILED: &str = "Unit x.service entered failed state.";

/// An entry as `journalctl` of systemd 252 writes it, with the number as its cursor.
fn entry(number: u32, fields: &str) -> String {
    format!(
        r#"{{"__CURSOR":"c{number}","__REALTIME_TIMESTAMP":"179539914{number}000000","__MONOTONIC_TIMESTAMP":"1","_BOOT_ID":"0123456789abcdef0123456789abcdef",{fields}}}"#
    )
}

fn by_pid1(number: u32, message: &str) -> String {
    entry(number, &format!(r#""_PID":"1","_UID":"0","_COMM":"systemd","_TRANSPORT":"journal","MESSAGE":"{message}""#))
}

impl Host {
    /// A host whose `journalctl` is this script. `$CALLS` holds the arguments of each call, a line each; `$N` is the
    /// number of the call.
    fn new(script: &str) -> Self {
        let host = Self { directory: tempfile::tempdir().expect("directory") };
        std::fs::create_dir_all(host.path("root/var/log/journal/0123456789abcdef")).expect("directory");
        host.play(script);
        host
    }

    fn play(&self, script: &str) {
        let calls = self.path("calls");
        let head = format!("#!/bin/sh\nCALLS={0}\necho \"$@\" >>$CALLS\nN=$(wc -l <$CALLS)\n", calls.display());
        // In one step: a script that is being written can't be executed.
        std::fs::write(self.path("new"), format!("{head}{script}\n")).expect("write");
        std::fs::set_permissions(self.path("new"), PermissionsExt::from_mode(0o755)).expect("mode");
        std::fs::rename(self.path("new"), self.path("journalctl")).expect("rename");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    fn exporter(&self, arguments: &[&str]) -> Exporter {
        let root = format!("--path.rootfs={}", self.path("root").display());
        let program = format!("--collector.journal.program={}", self.path("journalctl").display());
        let state = format!("--state.directory={}", self.path("state").display());
        let fixed = ["--collector.disable-defaults", "--collector.journal", "--scrape.deadline=20s"];
        Exporter::start(&[&fixed, arguments, &[&root, &program, &state]].concat())
    }
}

fn failures(samples: &Samples) -> Option<f64> {
    samples.get("flatline_journal_events_total{kind=\"systemd_unit_failed\"}")
}

#[test]
fn entries_are_classified_by_who_wrote_them_and_kernel_lines_left_out() {
    let forged =
        entry(2, &format!(r#""_PID":"7","_COMM":"systemd","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"{FAILED}""#));
    let kernel = entry(3, &format!(r#""_PID":"1","_TRANSPORT":"kernel","MESSAGE":"{FAILED}""#));
    let oomd = r#""_UID":"999","_SYSTEMD_UNIT":"systemd-oomd.service","_COMM":"systemd-oomd","MESSAGE":"Killed /a.slice due to memory used (1) / total (2) and swap used (3) / total (4) being more than 90.00%""#;
    let lines = [by_pid1(1, FAILED), forged, kernel, entry(4, oomd)].join("\n");
    let host = Host::new(&format!("cat <<'END'\n{lines}\nEND\nexec sleep 600"));
    let exporter = host.exporter(&[]);
    let samples =
        exporter.scrape_until("all are read", |samples| samples.get("flatline_journal_entries_total") == Some(4.0));
    assert_eq!(failures(&samples), Some(1.0));
    assert_eq!(samples.get("flatline_journal_events_total{kind=\"systemd_oomd_kill\"}"), Some(1.0));
    assert_eq!(samples.get("flatline_journal_events_total{kind=\"earlyoom_kill\"}"), Some(0.0));
    let last = "flatline_journal_event_last_timestamp_seconds{kind=\"systemd_unit_failed\"}";
    assert_eq!(samples.get(last), Some(1_795_399_141.0));
    assert_eq!(samples.get("flatline_journal_following"), Some(1.0));
    assert!(host.calls()[0].contains("--lines=0") && host.calls()[0].contains("--root"), "{:?}", host.calls());
}

#[test]
fn a_child_that_dies_is_started_again_behind_the_last_entry() {
    let script = format!(
        "if [ $N = 1 ]; then echo '{}'; exit 3; fi\necho '{}'\nexec sleep 600",
        by_pid1(1, FAILED),
        by_pid1(2, FAILED)
    );
    let host = Host::new(&script);
    let exporter = host.exporter(&[]);
    let samples = exporter.scrape_until("both are counted", |samples| failures(samples) == Some(2.0));
    assert_eq!(samples.get("flatline_journal_restarts_total"), Some(1.0));
    assert!(
        host.calls()[1].contains("--after-cursor=c1 ") && !host.calls()[1].contains("--lines"),
        "{:?}",
        host.calls()
    );
}

#[test]
fn a_child_that_can_not_be_started_or_always_fails_is_not_followed_and_says_why() {
    let host = Host::new("exit 1");
    let exporter = host.exporter(&[]);
    exporter.scrape_until("it is tried again", |samples| {
        samples.get("flatline_journal_restarts_total").is_some_and(|restarts| restarts >= 2.0)
            && samples.get("flatline_journal_following") == Some(0.0)
    });
    exporter.wait_for_log("exit status: 1");
    drop(exporter);
    std::fs::remove_file(host.path("journalctl")).expect("remove");
    let exporter = host.exporter(&[]);
    let samples = exporter.scrape_until("it says why", |_| exporter.log().contains("be started: No such file"));
    assert_eq!(samples.get("flatline_journal_following"), Some(0.0));
}

#[test]
fn a_child_that_hangs_is_replaced() {
    let script =
        format!("if [ $N = 1 ]; then trap '' TERM; exec sleep 600; fi\necho '{}'\nexec sleep 600", by_pid1(1, FAILED));
    let host = Host::new(&script);
    let exporter = host.exporter(&["--collector.journal.max-silence=2s"]);
    exporter.scrape_until("the second is heard", |samples| failures(samples) == Some(1.0));
}

#[test]
fn a_quiet_journal_keeps_its_place() {
    let host = Host::new(&format!("if [ $N = 1 ]; then echo '{}'; fi\nexec sleep 600", by_pid1(1, FAILED)));
    let exporter = host.exporter(&["--collector.journal.max-silence=100ms"]);
    // Five that end by themselves without a word would have cost it.
    exporter.scrape_until("many have been silent", |_| host.calls().len() > 6);
    assert!(host.calls().iter().skip(1).all(|call| call.contains("--after-cursor=c1")), "{:?}", host.calls());
}

#[test]
fn nonsense_and_endless_lines_are_counted_and_survived() {
    let script = format!(
        "echo garbage\necho '{{}}'\nhead -c 10000000 /dev/zero | tr '\\0' x\necho\nprintf '\\377\\n'\necho '{}'\nexec sleep 600",
        by_pid1(1, FAILED)
    );
    let host = Host::new(&script);
    let exporter = host.exporter(&[]);
    let samples = exporter.scrape_until("what follows is counted", |samples| failures(samples) == Some(1.0));
    assert_eq!(samples.get("flatline_journal_unreadable_entries_total"), Some(4.0));
    assert_eq!(samples.get("flatline_journal_entries_total"), Some(1.0));
}

#[test]
fn a_flood_does_not_keep_scrapes_from_being_answered() {
    let host = Host::new(&format!("exec yes '{}'", by_pid1(1, FAILED)));
    let exporter = host.exporter(&[]);
    let first = exporter.scrape_until("it has begun", |samples| failures(samples) > Some(0.0));
    exporter.scrape_until("it goes on", |samples| failures(samples) > failures(&first));
    assert_eq!(exporter.scrape().collector("success", "journal"), Some(1.0));
}

#[test]
fn the_child_ends_with_the_exporter_and_totals_outlive_it() {
    // As journalctl does, the script ends when nobody reads its pipe: at its next line.
    let host =
        Host::new(&format!("echo '{}'\nwhile sleep 0.1; do echo; done\necho ended >>$CALLS", by_pid1(1, FAILED)));
    let exporter = host.exporter(&["--collector.journal.patterns=any=regex=failed"]);
    exporter.scrape_until("one is counted", |samples| failures(samples) == Some(1.0));
    exporter.scrape_until("it is saved", |_| {
        std::fs::read_to_string(host.path("state/journal.json")).is_ok_and(|saved| saved.contains("c1"))
    });
    drop(exporter);
    host.play(&format!("sleep 0.2\necho '{}'\nexec sleep 600", by_pid1(2, FAILED)));
    let exporter = host.exporter(&["--collector.journal.patterns=any=regex=failed"]);
    let samples = exporter.scrape_until("it has begun", |samples| failures(samples).is_some());
    // Also the first sample tells of what was said since the last save: a counter that falls would be taken for a reset.
    assert_eq!(failures(&samples), Some(2.0));
    assert_eq!(samples.get("flatline_log_pattern_matches_total{pattern=\"any\"}"), Some(2.0));
    assert!(host.calls().iter().skip(1).any(|call| call.contains("--after-cursor=c1")), "{:?}", host.calls());
}

#[test]
fn patterns_come_from_the_file_and_count_what_they_capture() {
    let update = r#""_SYSTEMD_UNIT":"reconciler.service","_UID":"0","_COMM":"sh","MESSAGE":"vm 101: updating scsi0""#;
    let host =
        Host::new(&format!("cat <<'END'\n{}\n{}\nEND\nexec sleep 600", entry(1, update), by_pid1(2, "updating scsi1")));
    let config = host.path("config.yml");
    let text = "collector:\n  journal:\n    patterns:\n      reconciler_updating: 'unit=reconciler;regex=updating (?P<value>\\w+)'\n      never: regex=never\n";
    std::fs::write(&config, text).expect("write");
    let exporter = host.exporter(&[&format!("--config.file={}", config.display())]);
    let series = "flatline_log_pattern_matches_total{pattern=\"reconciler_updating\",value=\"scsi0\"}";
    let samples = exporter.scrape_until("the update is counted", |samples| {
        samples.get(series) == Some(1.0) && samples.get("flatline_journal_entries_total") == Some(2.0)
    });
    assert!(!samples.any("flatline_log_pattern_matches_total{pattern=\"reconciler_updating\",value=\"scsi1\""));
    assert_eq!(samples.get("flatline_log_pattern_matches_total{pattern=\"never\"}"), Some(0.0));
    assert_eq!(samples.get("flatline_log_pattern_last_timestamp_seconds{pattern=\"never\"}"), None);

    std::fs::write(&config, "collector:\n  journal:\n    patterns:\n      bad: regex=(\n").expect("write");
    let said = common::refusal(&[&format!("--config.file={}", config.display())], &[]);
    assert!(said.contains("config.yml:4") && said.contains("unclosed group"), "{said}");
}

#[test]
fn a_real_journalctl_understands_what_it_is_asked() {
    let host = Host::new("exit 1");
    let fields = flatline_events::journal::FIELDS;
    let arguments = ["--output=json", "--no-pager", "--quiet", "--no-tail", "--after-cursor=s=1;i=1;b=1;m=1;t=1;x=1"];
    let Ok(answer) = command("journalctl")
        .args(arguments)
        .arg(format!("--output-fields={fields}"))
        .arg("--root")
        .arg(host.path("root"))
        .output()
    else {
        flatline_lab::skipped("how the real journalctl is called", "none on this machine");
        return;
    };
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(!said.contains("nrecognized option") && !said.contains("nvalid option"), "{said}");
}

#[test]
fn without_a_journal_the_collector_is_off() {
    let host = Host::new("exit 1");
    std::fs::remove_dir_all(host.path("root/var")).expect("remove");
    let samples = host.exporter(&[]).scrape();
    assert_eq!(samples.get("flatline_journal_following"), None);
    assert!(host.calls().is_empty());
}
