//! The readers of virtual machines against a real QEMU, where there is one.

use flatline_sources::Roots;
use flatline_sources::vm::{
    Clients, Discovery, Options, Source, State, discover, read_clients, read_command_line, read_process,
};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const QEMU: &str = "qemu-system-x86_64";

/// A QEMU without a running guest, ended with its test.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// `None` when there is no QEMU here.
    #[expect(clippy::disallowed_methods, reason = "a test starts the program it looks at")]
    fn start(socket: &Path, pid_file: &Path) -> Option<Self> {
        let child = Command::new(QEMU)
            .args([
                "-name",
                "real,debug-threads=on",
                "-S",
                "-accel",
                "tcg",
                "-machine",
                "pc",
                "-m",
                "32",
                "-nodefaults",
            ])
            .args(["-display", "none", "-object", "iothread,id=io0", "-device", "virtio-scsi-pci,id=hw0,iothread=io0"])
            .args(["-blockdev", r#"{"driver":"null-co","node-name":"disk0","read-zeroes":true}"#])
            .args(["-device", "scsi-hd,bus=hw0.0,drive=disk0,id=scsi0"])
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .arg("-pidfile")
            .arg(pid_file)
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let machine = Self(child);
        until("QEMU is up", || socket.exists() && std::fs::read(pid_file).is_ok_and(|pid| pid.ends_with(b"\n")));
        Some(machine)
    }
}

/// Waits, for a minute at most.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within a minute: {what}");
}

/// A client QEMU has greeted.
fn greeted(socket: &Path) -> UnixStream {
    let mut client = UnixStream::connect(socket).expect("a listening QEMU");
    let mut greeting = [0; 7];
    client.read_exact(&mut greeting).expect("a greeting");
    assert_eq!(&greeting, b"{\"QMP\":");
    client
}

fn clients(socket: &Path) -> Clients {
    let mut sockets = BTreeMap::from([(socket.to_path_buf(), Clients::default())]);
    read_clients(&Roots::default(), &mut sockets).expect("readable");
    sockets[socket]
}

#[test]
fn a_real_qemu_is_found_read_and_seen_to_serve() {
    let tree = tempfile::tempdir().expect("a directory");
    let run = tree.path().join("run/qemu-server");
    std::fs::create_dir_all(&run).expect("a directory");
    let (socket, pid_file) = (run.join("100.qmp"), run.join("100.pid"));
    let Some(machine) = Machine::start(&socket, &pid_file) else {
        flatline_lab::skipped("a real QEMU in /proc", format!("no {QEMU} here"));
        return;
    };
    let pid = machine.0.id();

    let roots = Roots { rootfs: tree.path().into(), ..Roots::default() };
    let Discovery { vms, left_out: 0 } = discover(&roots, &Options::default(), &mut |fault| panic!("{fault}")) else {
        panic!("nothing is beyond the bound");
    };
    let found: Vec<_> = vms.iter().map(|vm| (vm.source, vm.vmid, vm.pid, vm.address(&roots))).collect();
    assert_eq!(found, [(Source::Proxmox, Some(100), Some(pid), socket.clone())]);

    let line = read_command_line(&roots, pid).expect("readable");
    assert_eq!(line.name.as_deref(), Some("real"));
    let [disk] = &line.disks[..] else { panic!("one disk: {:?}", line.disks) };
    assert_eq!((disk.controller.as_deref(), disk.iothread.as_deref()), (Some("virtio-scsi-pci"), Some("io0")));

    let process = read_process(&roots, pid).expect("readable").expect("alive");
    assert!(process.is_qemu() && process.is_alive() && process.threads > 1, "{process:?}");

    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    if !String::from_utf8_lossy(&table).contains(&*socket.to_string_lossy()) {
        flatline_lab::skipped("whom a real QEMU serves", "this kernel does not show sockets in /proc/net/unix");
        return;
    }
    serves_one_at_a_time(&socket);
    stopped_it_serves_nobody(&socket, pid);
}

fn serves_one_at_a_time(socket: &Path) {
    until("it listens", || clients(socket) == Clients { listening: true, ..Clients::default() });
    let first = greeted(socket);
    let second = UnixStream::connect(socket).expect("room to wait");
    assert_eq!(clients(socket), Clients { listening: true, served: 1, abandoned: 0, queued: 1 });
    drop(first);
    until("the second is served", || clients(socket).queued == 0);
    assert_eq!(clients(socket).served, 1);
    drop(second);
    until("nobody is served", || clients(socket) == Clients { listening: true, ..Clients::default() });
}

fn stopped_it_serves_nobody(socket: &Path, pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    let id = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("not 0");
    let state = || read_process(&Roots::default(), pid).expect("readable").expect("alive").state;
    let served = greeted(socket);
    kill_process(id, Signal::STOP).expect("our child");
    until("it is stopped", || state() == State::Stopped);
    let waiting = UnixStream::connect(socket).expect("room to wait");
    assert_eq!(clients(socket), Clients { listening: true, served: 1, abandoned: 0, queued: 1 });
    drop(served);
    assert_eq!(clients(socket), Clients { listening: true, served: 0, abandoned: 1, queued: 1 });
    drop(waiting);
}
