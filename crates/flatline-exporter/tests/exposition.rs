//! The exposition itself, of a host that has everything there is to watch.

mod common;
mod servers;
#[path = "servers/systemd.rs"]
mod systemd;

use common::{Exporter, PATIENCE, command, copy_tree, fixtures, plant_fifo, request};
use flatline_catalog::{Family, Kind};
use flatline_qmp::synthetic::{Disk, Machine, Monitors};
use servers::Authority;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const UNIT_FAILED: &str = r#"{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1767679200000000","_BOOT_ID":"b","PRIORITY":"4","SYSLOG_IDENTIFIER":"systemd","_TRANSPORT":"journal","_SYSTEMD_UNIT":"init.scope","_PID":"1","_UID":"0","_COMM":"systemd","MESSAGE":"Unit app.service entered failed state."}"#;
const KERNEL_RECORD: &str =
    "3,7,1000000,-;I/O error, dev sda, sector 1 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2\n";
const NETCONSOLE_PACKET: &[u8] = b"2,1,1000,-;Kernel panic - not syncing: sysrq triggered crash\n";

/// The recorded livelock with a recorded Proxmox machine, a kernel's log, a journal and a state directory beside it.
struct Host {
    directory: TempDir,
    ring: File,
    _monitors: Monitors,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let at = |name: &str| directory.path().join(name);
        copy_tree(&fixtures().join("host"), directory.path());
        copy_tree(&fixtures().join("mounts"), directory.path());
        copy_tree(&fixtures().join("network"), directory.path());
        copy_tree(&fixtures().join("facts"), directory.path());
        copy_tree(&fixtures().join("vm/proxmox"), directory.path());
        for gpu in ["r9700", "mi300x", "arc-b580"] {
            copy_tree(&fixtures().join("gpu").join(gpu), directory.path());
        }
        for path in ["dev", "proc/sys/kernel/random", "var/log/journal/0123456789abcdef", "run/systemd/system"] {
            std::fs::create_dir_all(at(path)).expect("directory");
        }
        std::fs::write(at("journalctl"), format!("#!/bin/sh\necho '{UNIT_FAILED}'\nexec sleep 600\n")).expect("write");
        std::fs::set_permissions(at("journalctl"), PermissionsExt::from_mode(0o755)).expect("mode");
        mount_at(&at("proc/1/mountinfo"), &at("mnt/backup"));
        plant_drive(directory.path());
        plant_fifo(&at("dev/kmsg"));
        let ring = OpenOptions::new().read(true).write(true).open(at("dev/kmsg")).expect("FIFO");
        let monitors = Monitors::start();
        let throttled = Disk { bps: 1_000_000, ..Disk::scsi(0) };
        let machine = Machine { disks: vec![throttled], ..Machine::default() };
        monitors.add(&at("run/qemu-server/100.qmp"), machine).expect("socket");
        let units = vec![
            systemd::Unit::new("ssh.service", "active", "running"),
            systemd::Unit { timer: [1, 2, 0, 3], ..systemd::Unit::new("backup.timer", "active", "waiting") },
        ];
        systemd::private(&at("run/systemd/private"), &Arc::new(Mutex::new(units)));
        let authority = Authority::new();
        let page = authority.server("127.0.0.1", 2040);
        std::fs::copy(authority.file().path(), at("ca.pem")).expect("copy");
        let probe =
            format!("{{url: 'https://{page}/', body: '(ok)', interval: 1s, ca-file: {}}}", at("ca.pem").display());
        std::fs::write(at("flatline.yml"), format!("collector.probes.targets:\n  page: {probe}\n")).expect("write");
        Self { directory, ring, _monitors: monitors }
    }

    fn boots(&self, number: u32) {
        let id = format!("{number:08x}-1111-4111-8111-111111111111\n");
        std::fs::write(self.path("proc/sys/kernel/random/boot_id"), id).expect("write");
        std::fs::write(self.path("sys/module/zfs/version"), format!("2.{number}\n")).expect("write");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An exporter with everything on, after it has had something of everything.
    fn exporter(&self) -> Exporter {
        let at = |flag: &str, name: &str| format!("--{flag}={}", self.path(name).display());
        let fixed = [
            "--collector.boots.journalctl=/nonexistent",
            "--collector.crash_capture.required-arguments=crashkernel",
            "--collector.crash_capture.captures=incident=/root/logs/incident-*.log",
            "--collector.gpu.patience=10s",
            "--collector.mounts.patience=10s",
            "--collector.reachability.patience=10s",
            "--collector.units.timeout=10s",
            "--collector.vm.timeout=10s",
            "--collector.journal.patterns=failed=regex=entered failed",
            "--collector.drives",
            "--collector.netconsole",
            "--collector.netconsole.listen-address=127.0.0.1:0",
            "--collector.netconsole.senders=pve1=127.0.0.1",
            "--scrape.deadline=20s",
        ];
        let paths = [
            at("config.file", "flatline.yml"),
            at("path.rootfs", ""),
            at("path.procfs", "proc"),
            at("path.sysfs", "sys"),
            at("state.directory", "state"),
            at("collector.journal.program", "journalctl"),
            at("collector.drives.program", "smartctl"),
        ];
        let arguments = [fixed.map(str::to_owned).to_vec(), paths.to_vec()].concat();
        self.boots(1);
        let earlier = Exporter::start(&arguments);
        earlier.scrape_until("a boot to look back at", |samples| samples.any("flatline_heartbeat_timestamp_seconds"));
        drop(earlier);
        self.boots(2);
        let exporter = Exporter::start(&arguments);
        (&self.ring).write_all(KERNEL_RECORD.as_bytes()).expect("write");
        exporter.wait_for_log("receiving netconsole packets");
        let log = exporter.log();
        let port = log.split("udp=127.0.0.1:").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a port");
        let receiver = format!("127.0.0.1:{port}");
        UdpSocket::bind("127.0.0.1:0").expect("socket").send_to(NETCONSOLE_PACKET, receiver).expect("sent");
        exporter.scrape_until("something of everything", |samples| {
            [
                "kernel_device_events",
                "journal_event_last",
                "log_pattern_last",
                "netconsole_last_message",
                "heartbeat_timestamp",
                "previous_boot",
                "vm_disk_written_bytes",
                "mount_last_answer",
                "drive_smart_healthy",
                "probe_capture",
                "listen_owner_info",
            ]
            .iter()
            .all(|metric| samples.any(&format!("flatline_{metric}")))
        });
        exporter
    }
}

const SMARTCTL: &str = r#"{"smartctl":{"exit_status":0},"device":{"protocol":"ATA"},"smart_status":{"passed":true},"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":0,"string":"0"}},{"id":197,"raw":{"value":0,"string":"0"}},{"id":198,"raw":{"value":0,"string":"0"}},{"id":199,"raw":{"value":0,"string":"0"}}]},"nvme_smart_health_information_log":{"critical_warning":0,"available_spare":100,"available_spare_threshold":10,"percentage_used":3,"media_errors":0}}"#;

/// A drive that counts everything that some drive counts, and its thermometer.
fn plant_drive(tree: &Path) {
    let hwmon = tree.join("sys/class/hwmon/hwmon9");
    for directory in [tree.join("sys/block/sda"), hwmon.join("device/block/sda")] {
        std::fs::create_dir_all(directory).expect("directory");
    }
    for (name, content) in [("name", "drivetemp"), ("temp1_input", "35000"), ("temp1_crit", "70000")] {
        std::fs::write(hwmon.join(name), content).expect("write");
    }
    let program = tree.join("smartctl");
    std::fs::write(&program, format!("#!/bin/sh\necho '{SMARTCTL}'\n")).expect("write");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("mode");
}

/// Makes the recorded NFS mount one that answers: its directory, by the number of the file system it really is on.
fn mount_at(mountinfo: &Path, directory: &Path) {
    std::fs::create_dir_all(directory).expect("directory");
    let device = directory.metadata().expect("metadata").dev();
    let number = format!(" {}:{} /", rustix::fs::major(device), rustix::fs::minor(device));
    let recorded = std::fs::read_to_string(mountinfo).expect("recorded");
    std::fs::write(mountinfo, recorded.replace(" 0:43 /", &number)).expect("write");
}

/// The exposition itself: every family has HELP and TYPE before its samples, UNIT where it has one and the format knows
/// units, stands in one piece, and is declared in the catalogue. Returns the families' names.
fn described(exposition: &str, name: fn(&Family) -> &'static str, has_units: bool) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let mut lines = exposition.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(described) = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) else {
            assert_eq!(line, "# EOF", "a sample without HELP before it");
            continue;
        };
        let family = flatline_catalog::all().find(|family| name(family) == described);
        let family = family.unwrap_or_else(|| panic!("{described} is not in the catalogue"));
        assert!(!seen.contains(&name(family)), "{described} is torn apart");
        seen.push(name(family));
        let kind = lines.next().unwrap_or_default();
        assert!(kind.starts_with(&format!("# TYPE {described} ")), "{kind}");
        if has_units {
            let unit = lines.next_if(|line| line.starts_with("# UNIT "));
            let expected = family.unit.as_str().map(|unit| format!("# UNIT {described} {unit}"));
            assert_eq!(unit, expected.as_deref());
        }
        let mut samples = 0;
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let series = sample.split(['{', ' ']).next().unwrap_or_default();
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|part| series.strip_suffix(part));
            assert_eq!(if family.kind == Kind::Histogram { stem.unwrap_or(series) } else { series }, family.name);
            assert!(family.kind != Kind::Info || sample.ends_with(" 1"));
            samples += 1;
        }
        assert!(samples > 0, "{described} has no samples");
    }
    seen
}

#[test]
fn every_family_is_described_contiguous_and_declared() {
    let host = Host::new();
    let exporter = host.exporter();
    let open = request(exporter.address(), "GET", "/metrics", &[("Accept", "application/openmetrics-text")]).body;
    described(&open, Family::base_name, true);
    let missing = || {
        let seen = described(&exporter.get("/metrics").body, |family| family.name, false);
        flatline_catalog::all().map(|family| family.name).filter(|name| !seen.contains(name)).collect::<Vec<_>>()
    };
    // A v2 host without a work cgroup, a limit on operations, a tap device, a real pstore mount, a boot time or a web
    // configuration, whose kernel can't be asked: everything else must be there. What only a kernel says of gateways and
    // queues is in tests/reachability.rs.
    let expected = [
        "flatline_memcg_uncapped",
        "flatline_memcg_v1_usage_bytes",
        "flatline_memcg_v1_limit_bytes",
        "flatline_memcg_v1_limit_hits_total",
        "flatline_memcg_v1_oom_kills_total",
        "flatline_vm_disk_throttle_operations_per_second",
        "flatline_vm_network_receive_bytes_total",
        "flatline_vm_network_transmit_bytes_total",
        "flatline_crash_capture_pstore_mounted",
        "flatline_previous_boot_gap_seconds",
        "flatline_gateway_responding",
        "flatline_gateway_neighbour_state",
        "flatline_gateway_last_answer_timestamp_seconds",
        "flatline_gateway_echo_seconds",
        "flatline_gateway_echo_allowed",
        "flatline_listen_backlog_limit",
        "flatline_web_config_last_reload_successful",
    ];
    // What is late on a busy machine comes with a later scrape.
    let deadline = Instant::now() + PATIENCE;
    let mut last = missing();
    while last != expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        last = missing();
    }
    assert_eq!(last, expected);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let host = Host::new();
    let exporter = host.exporter();
    let mut promtool = command("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (apt-get install prometheus)");
    promtool.stdin.take().expect("piped").write_all(exporter.get("/metrics").body.as_bytes()).expect("takes it");
    let output = promtool.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success());
}
