//! Discovery in trees with real sockets, which Git can't hold.

use super::*;
use crate::Fault;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

/// A host in a temporary directory.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        Self { directory }
    }

    /// The fixture's Proxmox VE host, with the sockets of these machines.
    fn proxmox(vmids: &[u32]) -> Self {
        let host = Self::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vm/proxmox"), host.directory.path());
        for vmid in vmids {
            host.socket(&format!("run/qemu-server/{vmid}.qmp"));
        }
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        path
    }

    /// A socket as QEMU leaves it: what it is does not depend on anybody listening.
    fn socket(&self, path: &str) {
        drop(UnixListener::bind(self.path(path)).expect("a socket"));
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(path), content).expect("a file");
    }

    fn link(&self, target: &str, path: &str) {
        symlink(target, self.path(path)).expect("a link");
    }

    fn discover(&self, options: &Options) -> (Discovery, Vec<(String, Fault)>) {
        let mut faults = Vec::new();
        let root = self.directory.path();
        let discovery = discover(&Roots::under(root), options, &mut |error| {
            let path = error.path.strip_prefix(root).expect("below the root").display().to_string();
            faults.push((path, error.fault));
        });
        (discovery, faults)
    }

    /// The paths found by these patterns, none of which is faulty.
    fn found(&self, patterns: &[&str]) -> Vec<String> {
        let (discovery, faults) = self.discover(&options(patterns));
        assert_eq!(faults, []);
        discovery.vms.iter().map(|vm| vm.socket.display().to_string()).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file");
        }
    }
}

fn options(patterns: &[&str]) -> Options {
    let sockets = patterns.iter().map(|pattern| pattern.parse().expect("a pattern")).collect();
    Options { sockets, ..Options::default() }
}

fn proxmox_vm(vmid: u32, pid: Option<u32>) -> Vm {
    let socket = format!("/run/qemu-server/{vmid}.qmp");
    Vm { vmid: Some(vmid), pid, ..Vm::new(socket.into(), Source::Proxmox) }
}

#[test]
fn finds_proxmox_machines_that_have_a_socket_or_a_process() {
    let host = Host::proxmox(&[100, 102]);
    host.file("run/qemu-server/103.pid", "2811\n");
    // What else is in such a directory, and a configuration of a machine that does not run.
    for name in ["100.vnc", "100.qga", "x.qmp", "0104.qmp", "105.qmp.old", "106.qmp"] {
        host.file(&format!("run/qemu-server/{name}"), "");
    }
    host.file("run/qemu-server/107.pid", "99\n");
    let (discovery, faults) = host.discover(&Options::default());
    assert_eq!(faults, []);
    let expected =
        [proxmox_vm(100, Some(2811)), proxmox_vm(101, Some(2950)), proxmox_vm(102, None), proxmox_vm(103, Some(2811))];
    assert_eq!(discovery.vms, expected);
    assert_eq!(discovery.vms[0].stem, "100");
    let root = host.directory.path();
    assert_eq!(discovery.vms[0].address(&Roots::under(root)), root.join("run/qemu-server/100.qmp"));
}

#[test]
fn etc_pve_is_left_alone() {
    let host = Host::proxmox(&[100]);
    let before = host.discover(&Options::default());
    fs::remove_dir_all(host.path("etc/pve")).expect("removable");
    // A FIFO in its place would hang whoever opened anything there.
    rustix::fs::mknodat(rustix::fs::CWD, host.path("etc/pve"), FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a FIFO");
    assert_eq!(host.discover(&Options::default()), before);
}

#[test]
fn without_proxmox_nothing_is_looked_for() {
    let host = Host::proxmox(&[100]);
    let (discovery, faults) = host.discover(&Options { proxmox: false, ..Options::default() });
    assert_eq!((discovery, faults), (Discovery::default(), Vec::new()));
    assert_eq!(Host::new().discover(&Options::default()), (Discovery::default(), Vec::new()));
}

#[test]
fn a_dead_or_reused_process_is_none() {
    let host = Host::proxmox(&[100]);
    let stat = |comm: &str, state: char| format!("2811 ({comm}) {state} 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0\n");
    for other in [stat("kvm", 'Z'), stat("bash", 'S')] {
        host.file("proc/2811/stat", other);
        assert_eq!(host.discover(&Options::default()).0.vms[0], proxmox_vm(100, None));
    }
    fs::remove_dir_all(host.path("proc/2811")).expect("removable");
    assert_eq!(
        host.discover(&Options::default()),
        (Discovery { vms: vec![proxmox_vm(100, None), proxmox_vm(101, Some(2950))], left_out: 0 }, Vec::new())
    );
}

#[test]
fn bad_pid_files_are_faults_and_cost_the_process_only() {
    let host = Host::proxmox(&[100, 101, 102, 103]);
    host.file("run/qemu-server/100.pid", "garbage\n");
    host.file("run/qemu-server/101.pid", "1".repeat(65_536));
    host.file("run/qemu-server/102.pid", "0\n");
    fs::create_dir(host.path("run/qemu-server/103.pid")).expect("a directory");
    let (discovery, faults) = host.discover(&Options::default());
    assert_eq!(discovery.vms, [100, 101, 102, 103].map(|vmid| proxmox_vm(vmid, None)));
    let fault = |vmid, fault| (format!("run/qemu-server/{vmid}.pid"), fault);
    let expected = [
        fault(100, Fault::InvalidContent),
        fault(101, Fault::TooLarge),
        fault(102, Fault::InvalidContent),
        fault(103, Fault::IsADirectory),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn who_may_not_read_says_so() {
    let host = Host::proxmox(&[100]);
    host.socket("run/secret/a.qmp");
    fs::set_permissions(host.path("run/qemu-server/100.pid"), fs::Permissions::from_mode(0o000)).expect("ours");
    fs::set_permissions(host.path("run/secret"), fs::Permissions::from_mode(0o000)).expect("ours");
    let without_rights = || {
        if rustix::process::getuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).expect("allowed for root");
        }
        host.discover(&options(&["/run/secret/*.qmp", "a=/run/secret/a.qmp"]))
    };
    let (discovery, faults) = std::thread::scope(|scope| scope.spawn(without_rights).join().expect("no panic"));
    fs::set_permissions(host.path("run/secret"), fs::Permissions::from_mode(0o755)).expect("ours");
    let denied = ["run/secret", "run/secret/a.qmp", "run/qemu-server/100.pid"];
    assert_eq!(faults, denied.map(|path| (path.into(), Fault::PermissionDenied)));
    let found: Vec<_> = discovery.vms.iter().map(|vm| (vm.stem.as_str(), vm.pid)).collect();
    assert_eq!(found, [("a", None), ("100", None), ("101", Some(2950))]);
}

#[test]
fn patterns_match_sockets_level_by_level() {
    let host = Host::new();
    for path in ["run/vm/web.qmp", "run/vm/db.qmp", "run/vm/a/q.sock", "run/vm/b/q.sock", "run/vm/b/c/q.sock"] {
        host.socket(path);
    }
    host.file("run/vm/file.qmp", "");
    fs::create_dir(host.path("run/vm/directory.qmp")).expect("a directory");
    host.link("nowhere", "run/vm/dangling.qmp");
    host.link("file.qmp", "run/vm/to-file.qmp");
    assert_eq!(host.found(&["/run/vm/*.qmp"]), ["/run/vm/db.qmp", "/run/vm/web.qmp"]);
    assert_eq!(host.found(&["/run/vm/*/q.sock"]), ["/run/vm/a/q.sock", "/run/vm/b/q.sock"]);
    assert_eq!(host.found(&["/run/*/[b-z]/{p,q}.sock"]), ["/run/vm/b/q.sock"]);
    assert_eq!(host.found(&["/var/run/vm/w?b.*"]), ["/var/run/vm/web.qmp"]);
    assert!(host.found(&["/run/none/*", "/run/vm/web.qmp/*", "/run/vm/*.none"]).is_empty());
}

#[test]
fn a_named_socket_is_a_machine_even_when_absent() {
    let host = Host::new();
    let (discovery, faults) = host.discover(&options(&["web=/run/vm/q0.sock", "/run/vm/q1.sock"]));
    assert_eq!(faults, []);
    let named = Vm { configured_name: Some("web".into()), ..Vm::new("/run/vm/q0.sock".into(), Source::Config) };
    assert_eq!(discovery.vms, [named, Vm::new("/run/vm/q1.sock".into(), Source::Config)]);
    assert_eq!(discovery.vms[1].stem, "q1");
}

#[test]
fn links_to_sockets_are_followed_and_circles_are_named() {
    let host = Host::new();
    host.socket("run/vm/web.qmp");
    host.link("../vm/web.qmp", "run/links/a.qmp");
    host.link("circle.qmp", "run/links/circle.qmp");
    host.link("d", "run/links/d");
    let (discovery, faults) = host.discover(&options(&["/run/links/*.qmp", "/run/links/d/*", "x=/run/links/d/x"]));
    let found: Vec<_> = discovery.vms.iter().map(|vm| (vm.source, vm.socket.to_str().expect("UTF-8"))).collect();
    assert_eq!(found, [(Source::Config, "/run/links/d/x"), (Source::Glob, "/run/links/a.qmp")]);
    let circles = ["run/links/circle.qmp", "run/links/d", "run/links/d/x"];
    assert_eq!(faults, circles.map(|path| (path.into(), Fault::IoError)));
}

#[test]
fn directories_that_lead_back_do_not_multiply() {
    let host = Host::new();
    host.socket("run/vm/web.qmp");
    host.link(".", "run/vm/again");
    assert_eq!(
        host.found(&["/run/vm/*/*/*/*.qmp", "/run/vm/*/*/*/*/web.qmp"]),
        ["/run/vm/again/again/again/again/web.qmp"]
    );
}

#[test]
fn a_socket_found_in_several_ways_is_one_machine() {
    let host = Host::proxmox(&[100]);
    host.socket("run/vm/web.qmp");
    host.link("web.qmp", "run/vm/alias.qmp");
    host.link("../qemu-server/100.qmp", "run/vm/100.qmp");
    // By pattern and twice by link; Proxmox's by pattern and by link.
    let patterns = ["/run/vm/*.qmp", "/run/vm/w*", "/run/qemu-server/*.qmp"];
    let proxmox = [proxmox_vm(100, Some(2811)), proxmox_vm(101, Some(2950))];
    let (discovery, faults) = host.discover(&options(&patterns));
    assert_eq!(faults, []);
    assert_eq!(discovery.vms[..2], proxmox);
    assert_eq!(discovery.vms[2..], [Vm::new("/run/vm/web.qmp".into(), Source::Glob)]);
    // A name given to one keeps what Proxmox knows, whether its socket is there or not.
    let named = ["/run/vm/*.qmp", "devvm=/var/run/qemu-server/100.qmp", "lsi=/var/run/qemu-server/101.qmp"];
    let (discovery, faults) = host.discover(&options(&named));
    assert_eq!(faults, []);
    let found: Vec<_> = discovery.vms.iter().map(|vm| (vm.configured_name.as_deref(), vm.vmid, vm.pid)).collect();
    assert_eq!(
        found,
        [(Some("devvm"), Some(100), Some(2811)), (Some("lsi"), Some(101), Some(2950)), (None, None, None)]
    );
}

#[test]
fn what_is_beyond_the_bound_is_counted() {
    let host = Host::proxmox(&[]);
    for number in 0..10 {
        host.socket(&format!("run/vm/{number}.qmp"));
    }
    let bounded = Options { max_vms: 4, ..options(&["/run/vm/*", "z=/run/z"]) };
    let (discovery, _) = host.discover(&bounded);
    let found: Vec<_> = discovery.vms.iter().map(|vm| vm.stem.as_str()).collect();
    assert_eq!((found, discovery.left_out), (vec!["z", "100", "101", "0"], 9));
}

#[test]
fn one_socket_among_ten_thousand_files_is_found() {
    let host = Host::new();
    for number in 0..10_000 {
        host.file(&format!("run/vm/{number}.qmp"), "");
    }
    host.socket("run/vm/web.qmp");
    assert_eq!(host.found(&["/run/vm/*.qmp"]), ["/run/vm/web.qmp"]);
}

#[test]
fn labels_are_those_of_the_catalogue() {
    assert_eq!(Source::ALL.map(Source::label).join(", "), "proxmox, config, glob");
}
