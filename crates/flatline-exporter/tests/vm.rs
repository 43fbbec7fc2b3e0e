//! Virtual machines whose monitors are played: names, Proxmox, and everything a monitor can do wrong.

mod common;

use common::{Exporter, PATIENCE, Samples, command, copy_tree, fixtures, plant_fifo};
use flatline_lab::wait_for;
use flatline_qmp::synthetic::{Behaviour, Disk, Machine, Monitors};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Generous for whoever answers, and waited for in vain for whoever does not.
const TIMEOUT: &str = "--collector.vm.timeout=4s";

struct Host {
    directory: TempDir,
    monitors: Monitors,
}

impl Host {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("directory"), monitors: Monitors::start() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn machine(&self, socket: &str, machine: Machine) -> flatline_qmp::synthetic::Shared {
        self.monitors.add(&self.path(socket), machine).expect("socket")
    }

    fn behaving(&self, name: &str, behaviour: Behaviour) {
        self.machine(&format!("{name}.qmp"), Machine { behaviour, name: name.to_owned(), ..Machine::default() });
    }

    fn sockets(&self, pattern: &str) -> String {
        format!("--collector.vm.sockets={}", self.path(pattern).display())
    }

    fn exporter(&self, arguments: &[String]) -> Exporter {
        let fixed = ["--collector.disable-defaults", "--collector.vm", "--scrape.deadline=20s", TIMEOUT];
        let arguments: Vec<String> = fixed.map(str::to_owned).into_iter().chain(arguments.iter().cloned()).collect();
        Exporter::start(&arguments)
    }
}

fn named(name: &str) -> Machine {
    Machine { name: name.to_owned(), ..Machine::default() }
}

fn state(samples: &Samples, vm: &str) -> Option<String> {
    let start = format!("flatline_vm_qmp_state{{vm=\"{vm}\",state=\"");
    let on = samples.0.iter().find(|(series, value)| series.starts_with(&start) && **value == 1.0);
    on.map(|(series, _)| series[start.len()..].trim_end_matches("\"}").to_owned())
}

/// The `vm` labels there are.
fn vms(samples: &Samples) -> Vec<&str> {
    let start = "flatline_vm_qmp_up{vm=\"";
    samples.0.keys().filter_map(|series| series.strip_prefix(start)?.strip_suffix("\"}")).collect()
}

#[test]
fn a_machine_is_named_by_configuration_then_by_qemu_then_by_its_socket() {
    let host = Host::new();
    host.machine("a.sock", named("said"));
    host.machine("b.qmp", named("said"));
    host.machine("c.qmp", named(""));
    let config = host.path("config.yml");
    let text = format!("collector:\n  vm:\n    sockets:\n      given: {}\n", host.path("a.sock").display());
    std::fs::write(&config, text).expect("write");
    let exporter = host.exporter(&[format!("--config.file={}", config.display())]);
    assert_eq!(vms(&exporter.scrape()), ["given"]);

    let exporter = host.exporter(&[host.sockets("*.qmp")]);
    assert_eq!(vms(&exporter.scrape()), ["c", "said"]);
}

#[test]
fn two_machines_of_one_name_are_told_apart_and_reported() {
    let host = Host::new();
    host.machine("a.qmp", named("web"));
    host.machine("b.qmp", named("web"));
    let exporter = host.exporter(&[host.sockets("*.qmp")]);
    let second = format!("web@{}", host.path("b.qmp").display());
    for _ in 0..2 {
        let samples = exporter.scrape();
        assert_eq!(vms(&samples), ["web", &second]);
        assert_eq!(samples.get("flatline_vm_name_conflicts"), Some(1.0));
    }
    exporter.wait_for_log("another virtual machine has this name");
}

#[test]
fn a_stall_is_seen_as_requests_in_flight_without_progress() {
    let host = Host::new();
    let machine = host.machine("vm.qmp", named("devvm"));
    let exporter = host.exporter(&[host.sockets("vm.qmp")]);
    let series = |metric: &str| format!("flatline_vm_disk_{metric}{{vm=\"devvm\",disk=\"scsi0\"}}");
    let progress = |samples: &Samples| samples.get(&series("last_progress_timestamp_seconds"));
    let healthy = exporter.scrape();
    assert_eq!(healthy.get(&series("inflight_requests")), Some(0.0));
    assert_eq!(healthy.get(&series("writes_completed_total")), Some(1000.0));

    machine.lock().disks[0].in_flight = 4;
    let stalled = [exporter.scrape(), exporter.scrape()];
    assert!(stalled.iter().all(|samples| samples.get(&series("inflight_requests")) == Some(4.0)));
    assert!(stalled.iter().all(|samples| progress(samples) == progress(&healthy)));

    // A slow disk keeps its requests in flight too, and completes one now and then.
    machine.lock().disks[0].writes += 1;
    machine.lock().disks[0].used += 1;
    let slow = exporter.scrape();
    assert_eq!(slow.get(&series("inflight_requests")), Some(4.0));
    assert!(progress(&slow) > progress(&healthy));
}

#[test]
fn a_throttle_that_is_rewritten_is_counted() {
    let host = Host::new();
    let machine = host.machine("vm.qmp", named("devvm"));
    let exporter = host.exporter(&[host.sockets("vm.qmp")]);
    let limit = "flatline_vm_disk_throttle_bytes_per_second{vm=\"devvm\",disk=\"scsi0\",direction=\"total\"}";
    let changes = "flatline_vm_disk_throttle_changes_total{vm=\"devvm\",disk=\"scsi0\"}";
    let mut seen = Vec::new();
    for bps in [0, 60, 60, 1, 0] {
        machine.lock().disks[0].bps = bps;
        let samples = exporter.scrape();
        seen.push((samples.get(limit), samples.get(changes)));
    }
    let expected = [(None, 0.0), (Some(60.0), 1.0), (Some(60.0), 1.0), (Some(1.0), 2.0), (None, 3.0)];
    assert_eq!(seen, expected.map(|(limit, changes)| (limit, Some(changes))));
}

#[test]
fn every_bad_monitor_has_its_state_and_harms_nobody() {
    let host = Host::new();
    let bad = [
        ("silent", Behaviour::Silent, "no_greeting"),
        ("greeting-only", Behaviour::GreetingOnly, "no_reply"),
        ("long-line", Behaviour::LongLine(100 << 20), "error"),
        ("invalid-utf8", Behaviour::InvalidUtf8, "error"),
        ("garbage", Behaviour::Garbage, "error"),
        ("wrong-types", Behaviour::WrongTypes, "error"),
        ("half-line", Behaviour::HalfLine, "error"),
    ];
    let good = [("healthy", Behaviour::Healthy), ("chatty", Behaviour::Chatty), ("reversed", Behaviour::OutOfOrder)];
    bad.iter().for_each(|(name, behaviour, _)| host.behaving(name, *behaviour));
    good.iter().for_each(|(name, behaviour)| host.behaving(name, *behaviour));
    host.behaving("flood", Behaviour::Flood);
    drop(std::os::unix::net::UnixListener::bind(host.path("dead.qmp")).expect("socket"));
    symlink("loop.qmp", host.path("loop.qmp")).expect("link");
    std::fs::write(host.path("file.qmp"), "no socket").expect("write");

    let exporter = host.exporter(&[host.sockets("*.qmp"), host.sockets("none.sock")]);
    for _ in 0..3 {
        let samples = exporter.scrape();
        for (name, _) in good {
            assert_eq!(state(&samples, name).as_deref(), Some("up"), "{name}");
            let writes = format!("flatline_vm_disk_writes_completed_total{{vm=\"{name}\",disk=\"scsi0\"}}");
            assert_eq!(samples.get(&writes), Some(1000.0), "{name}");
        }
        for (name, _, expected) in bad {
            assert_eq!(state(&samples, name).as_deref(), Some(expected), "{name}");
            // What could not be read is absent.
            assert!(!samples.any(&format!("flatline_vm_disk_writes_completed_total{{vm=\"{name}\"")), "{name}");
        }
        assert_eq!(state(&samples, "dead").as_deref(), Some("refused"));
        assert_eq!(state(&samples, "none").as_deref(), Some("absent"));
        assert!(state(&samples, "flood").is_some_and(|state| state == "error" || state == "no_reply"));
        assert_eq!(state(&samples, "file"), None);
    }
    for (name, ..) in bad {
        exporter.wait_for_log(&format!("/{name}.qmp"));
    }
    exporter.wait_for_log("loop.qmp");
    let silent = exporter.log().lines().filter(|line| line.contains("/silent.qmp")).count();
    assert_eq!(silent, 1, "said once:\n{}", exporter.log());
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).expect("alive");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(peak.is_some_and(|peak: u64| peak < 100 << 10), "100 MB were sent and not kept: {peak:?} KiB");
}

#[test]
fn a_monitor_that_serves_somebody_else_is_busy_and_not_dead() {
    let host = Host::new();
    host.machine("vm.qmp", named("devvm"));
    let exporter = host.exporter(&[format!("--collector.vm.sockets=devvm={}", host.path("vm.qmp").display())]);
    assert_eq!(state(&exporter.scrape(), "devvm").as_deref(), Some("up"));
    let other = UnixStream::connect(host.path("vm.qmp")).expect("first in line");
    exporter.scrape_until("busy", |samples| state(samples, "devvm").as_deref() == Some("busy"));
    drop(other);
    exporter.scrape_until("up again", |samples| state(samples, "devvm").as_deref() == Some("up"));
    exporter.wait_for_log("answers again");
}

/// A QEMU that accepts nobody: the exporter's own visits fill its queue, and that is nobody else being served.
#[test]
fn a_monitor_whose_queue_is_full_of_our_own_visits_is_dead_and_not_busy() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let host = Host::new();
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("socket");
    bind(&listener, &SocketAddrUnix::new(host.path("vm.qmp")).expect("path")).expect("bind");
    listen(&listener, 1).expect("listen");
    let exporter = host.exporter(&[host.sockets("vm.qmp"), "--collector.vm.timeout=100ms".to_owned()]);
    for _ in 0..6 {
        assert_eq!(state(&exporter.scrape(), "vm").as_deref(), Some("no_greeting"));
    }
}

#[test]
fn a_socket_of_another_user_is_a_state_of_its_own() {
    let host = Host::new();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(host.directory.path(), open).expect("chmod");
    host.machine("vm.qmp", named("devvm"));
    std::fs::set_permissions(host.path("vm.qmp"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    // A copy, since nobody else may look into the build directory.
    let binary = host.path("exporter");
    std::fs::copy(env!("CARGO_BIN_EXE_flatline-exporter"), &binary).expect("copy");
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut nobody = command("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
    if !rustix::process::geteuid().is_root() {
        return flatline_lab::skipped("a monitor of another user", "only root can become somebody else");
    }
    let exporter = Exporter::start_as(
        nobody,
        1,
        &["--collector.disable-defaults".to_owned(), "--collector.vm".to_owned(), host.sockets("*.qmp")],
    );
    assert_eq!(state(&exporter.scrape(), "vm").as_deref(), Some("permission_denied"));
    exporter.wait_for_log("Permission denied");
}

/// The recorded Proxmox tree with machines behind its sockets.
fn proxmox(host: &Host) -> Vec<String> {
    copy_tree(&fixtures().join("vm/proxmox"), host.directory.path());
    host.machine("run/qemu-server/100.qmp", Machine { disks: vec![Disk::scsi(0)], ..named("from-qemu") });
    let at = |flag: &str, path: &str| format!("--path.{flag}={}", host.path(path).display());
    vec![at("rootfs", ""), at("procfs", "proc"), at("sysfs", "sys")]
}

#[test]
fn a_proxmox_host_needs_no_configuration() {
    let host = Host::new();
    let paths = proxmox(&host);
    let exporter = host.exporter(&paths);
    let samples =
        exporter.scrape_until("named by its configuration", |samples| state(samples, "devvm").as_deref() == Some("up"));
    assert_eq!(samples.get("flatline_vms"), Some(2.0));
    assert!(samples.any("flatline_vm_process_cpu_seconds_total{vm=\"devvm\"}"));
    // 101 has a living process and no socket.
    let dead = vms(&samples).into_iter().find(|vm| *vm != "devvm").expect("the other one");
    assert_eq!(state(&samples, dead).as_deref(), Some("absent"));
}

#[test]
fn a_hanging_cluster_file_system_hides_its_details_only() {
    let host = Host::new();
    let paths = proxmox(&host);
    plant_fifo(&host.path("etc/pve/qemu-server/100.conf"));
    let exporter = host.exporter(&paths);
    let hides_its_details_only = || {
        let samples = exporter.scrape();
        assert_eq!(state(&samples, "from-qemu").as_deref(), Some("up"));
        assert_eq!(samples.collector("success", "vm"), Some(1.0));
        // The hanging read is not repeated; those with an answer need a moment to end.
        let alone = || Ok((threads(&exporter, "fl-vm-config") == 1).then_some(()));
        wait_for("one thread alone that hangs", PATIENCE, alone).expect("not repeated");
    };
    (0..5).for_each(|_| hides_its_details_only());
    // Nor is it for a QEMU that was started anew: it is the same file.
    let process = host.path("proc/2811/stat");
    let stat = std::fs::read_to_string(&process).expect("recorded");
    std::fs::write(&process, stat.replacen(" 55190 ", " 55191 ", 1)).expect("write");
    (0..5).for_each(|_| hides_its_details_only());
}

/// How many of its threads have this name.
fn threads(exporter: &Exporter, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("alive");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

/// A machine of Proxmox's with a command line, and a configuration that hangs.
fn plant_machine(host: &Host, vmid: u32) {
    let process = host.path(&format!("proc/{vmid}"));
    std::fs::create_dir_all(&process).expect("directory");
    let stat = std::fs::read_to_string(host.path("proc/2811/stat")).expect("recorded");
    std::fs::write(process.join("stat"), stat.replacen("2811", &vmid.to_string(), 1)).expect("write");
    let arguments = [
        "kvm",
        "-drive",
        "if=none,id=drive-scsi0,aio=io_uring",
        "-device",
        "virtio-scsi-pci,id=virtioscsi0",
        "-device",
        "scsi-hd,bus=virtioscsi0.0,drive=drive-scsi0,id=scsi0",
    ];
    std::fs::write(process.join("cmdline"), arguments.join("\0") + "\0").expect("write");
    std::fs::write(host.path(&format!("run/qemu-server/{vmid}.pid")), format!("{vmid}\n")).expect("write");
    plant_fifo(&host.path(&format!("etc/pve/qemu-server/{vmid}.conf")));
    let machine = Machine { disks: vec![Disk::scsi(0)], ..named(&format!("vm{vmid}")) };
    host.machine(&format!("run/qemu-server/{vmid}.qmp"), machine);
}

#[test]
fn a_hanging_cluster_file_system_hides_no_command_line() {
    let host = Host::new();
    let paths = proxmox(&host);
    (200..220).for_each(|vmid| plant_machine(&host, vmid));
    let exporter = host.exporter(&paths);
    let told = |samples: &Samples| {
        let of = |series: &&String| {
            series.starts_with("flatline_vm_disk_info{vm=\"vm2") && series.contains("aio=\"io_uring\"")
        };
        samples.0.keys().filter(of).count() == 20
    };
    exporter.scrape_until("every command line is read", told);
}

#[test]
fn a_machine_found_through_two_monitors_is_watched_through_the_one_that_was_given() {
    let host = Host::new();
    let paths = proxmox(&host);
    // Both monitors belong to this very process, which the recorded tree knows by Proxmox's pid file.
    let pid = std::process::id();
    std::fs::write(host.path("run/qemu-server/100.pid"), format!("{pid}\n")).expect("write");
    let stat = std::fs::read_to_string(host.path("proc/2811/stat")).expect("recorded");
    std::fs::create_dir_all(host.path(&format!("proc/{pid}"))).expect("directory");
    let stat = stat.replacen("2811", &pid.to_string(), 1);
    std::fs::write(host.path(&format!("proc/{pid}/stat")), stat).expect("write");
    host.machine("own.qmp", named("own"));
    let own = |root: &Path| {
        format!("--collector.vm.sockets=own=/{}", root.join("own.qmp").strip_prefix(root).expect("below").display())
    };
    let exporter = host.exporter(&[paths, vec![own(host.directory.path())]].concat());
    let samples = exporter.scrape();
    assert_eq!(state(&samples, "own").as_deref(), Some("up"));
    assert!(!samples.any("flatline_vm_qmp_up{vm=\"from-qemu\"}"), "{:?}", vms(&samples));
    assert!(!samples.any("flatline_vm_qmp_up{vm=\"devvm\"}"), "{:?}", vms(&samples));
}

#[test]
fn machines_beyond_the_cap_are_counted() {
    let host = Host::new();
    for number in 0..5 {
        host.machine(&format!("vm{number}.qmp"), named(&format!("vm{number}")));
    }
    let exporter = host.exporter(&[host.sockets("*.qmp"), "--collector.vm.max-vms=3".to_owned()]);
    let samples = exporter.scrape();
    assert_eq!(vms(&samples), ["vm0", "vm1", "vm2"]);
    assert_eq!(samples.get("flatline_vms_left_out"), Some(2.0));
}

#[test]
fn without_proxmox_and_sockets_the_collector_is_off() {
    let host = Host::new();
    let exporter = host.exporter(&[format!("--path.rootfs={}", host.directory.path().display())]);
    let samples = exporter.scrape();
    assert!(samples.0.iter().any(|(series, value)| series.starts_with("flatline_collector_state")
        && series.contains("collector=\"vm\"")
        && series.contains("state=\"off\"")
        && *value == 1.0));
}

#[test]
fn a_pattern_that_can_not_be_meant_is_refused() {
    for (pattern, words) in [("/run/**/x.qmp", "**"), ("relative.qmp", "absolute"), ("name=/run/*.qmp", "name")] {
        let said = common::refusal(&[&format!("--collector.vm.sockets={pattern}")], &[]);
        assert!(said.contains(pattern) && said.contains(words), "{said}");
    }
}
