use super::*;
use crate::Fault;
use crate::crash_capture::{Capture, Link, Pstore, Reason, Verdict};
use std::fs;
use std::path::{Path, PathBuf};

/// A copy of a recorded tree to be changed, with the empty directories git does not keep.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        host.make("sys/kernel");
        host
    }

    fn recorded(name: &str) -> Self {
        let host = Self::new();
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/crash").join(name);
        copy(&tree, host.directory.path());
        host.make("sys/fs/pstore");
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn reader(&self, options: &Options) -> Reader {
        Reader::probe(&Roots::under(self.directory.path()), options).present().expect("a kernel")
    }

    fn read_with(&self, options: &Options) -> (Reading, Vec<SourceError>) {
        let (mut reading, mut faults) = (Reading::default(), Vec::new());
        self.reader(options).read(&mut reading, &mut |fault| faults.push(fault.clone()));
        (reading, faults)
    }

    fn read(&self) -> Reading {
        let (reading, faults) = self.read_with(&Options::default());
        assert_eq!(faults, []);
        reading
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).expect("a recorded tree") {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn verdict(reading: &Reading, wanted: Channel) -> Verdict {
    reading.verdicts.iter().find(|(channel, _)| *channel == wanted).map(|(_, verdict)| *verdict).unwrap()
}

fn records(reading: &Reading) -> u64 {
    reading.pstore.records.expect("listed").count
}

use Reason::{
    InterfaceDown, InterfaceMissing, NoBackend, NoMemoryReserved, NoRemote, NoTarget, NotLoaded, NotReadable,
    NotSupported, NotVisible, TargetDisabled,
};
use Verdict::{NotReady, Ready, Unknown};

/// Every recorded situation: pstore, netconsole, and how many records wait. kdump is never ready: memory is reserved
/// and no crash kernel loaded, which looks fine to whoever looks at the memory only.
#[test]
fn the_verdicts_on_recorded_hosts() {
    let situations = [
        ("0-boot", NotReady(NoBackend), NotReady(NotSupported), 0),
        ("1-ramoops-loaded", Ready, NotReady(NotSupported), 0),
        // The module is there, a console, too (netcon0), and nobody to send to: the kernel does not show it.
        ("2-netconsole", Ready, Unknown(NotVisible), 0),
        ("3-after-warn-oops", Ready, Unknown(NotVisible), 0),
        ("10-after-panic-nobackend", NotReady(NoBackend), NotReady(NotSupported), 0),
        ("11-after-panic-ramoops", Ready, NotReady(NotSupported), 2),
        ("12-after-rm", Ready, NotReady(NotSupported), 0),
        ("20-after-sysrq-b", Ready, NotReady(NotSupported), 0),
        ("30-after-clean-reboot-f", Ready, NotReady(NotSupported), 0),
    ];
    for (name, pstore, netconsole, waiting) in situations {
        let reading = Host::recorded(name).read();
        assert_eq!(verdict(&reading, Channel::Pstore), pstore, "{name}");
        assert_eq!(verdict(&reading, Channel::Netconsole), netconsole, "{name}");
        assert_eq!(verdict(&reading, Channel::Kdump), NotReady(NotLoaded), "{name}");
        assert_eq!(reading.kdump.reserved_bytes, Some(67_108_864), "{name}");
        assert_eq!(records(&reading), waiting, "{name}");
        let tainted = if name == "3-after-warn-oops" { 12928 } else { 0 };
        assert_eq!(reading.taint, Some(Taint(tainted)), "{name}");
        let setting = |wanted| reading.settings[Setting::ALL.iter().position(|setting| *setting == wanted).unwrap()];
        assert_eq!(setting(Setting::Panic), Some(5), "{name}");
        assert_eq!(setting(Setting::PanicOnOops), Some(0), "{name}");
        assert_eq!(setting(Setting::CrashKexecPostNotifiers), Some(0), "{name}");
        assert_eq!(setting(Setting::HungTaskPanic), None, "{name}: not recorded");
    }
}

/// Recorded: `enabled` is 1 in all three, also while the link is down.
#[test]
fn a_netconsole_target_is_as_good_as_its_interface() {
    for (name, expected, link) in [
        ("netconsole-enabled", Ready, Link::Up),
        ("netconsole-ifdown", NotReady(InterfaceDown), Link::Down),
        ("netconsole-ifup", Ready, Link::Up),
    ] {
        let reading = Host::recorded(name).read();
        assert_eq!(verdict(&reading, Channel::Netconsole), expected, "{name}");
        let target = &reading.targets[0];
        assert_eq!((&*target.name, &*target.device, target.enabled), ("t1", "eth0", Some(true)), "{name}");
        assert_eq!(target.link, Some(link), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_target_is_said() {
    const TARGET: &str = "sys/kernel/config/netconsole/t1";
    for (file, content, expected) in [
        ("enabled", "0\n", NotReady(TargetDisabled)),
        ("remote_ip", "0.0.0.0\n", NotReady(NoRemote)),
        ("dev_name", "eth7\n", NotReady(InterfaceMissing)),
        ("dev_name", "\n", NotReady(InterfaceMissing)),
    ] {
        let host = Host::recorded("netconsole-enabled");
        host.write(&format!("{TARGET}/{file}"), content);
        assert_eq!(verdict(&host.read(), Channel::Netconsole), expected, "{file} {content}");
    }
    let host = Host::recorded("netconsole-enabled");
    host.write(&format!("{TARGET}/enabled"), "perhaps\n");
    let (reading, faults) = host.read_with(&Options::default());
    assert_eq!(verdict(&reading, Channel::Netconsole), Unknown(NotReadable));
    assert_eq!((faults.len(), faults[0].fault), (1, Fault::InvalidContent));
    // A second one that works is enough.
    let second = Host::recorded("netconsole-enabled");
    copy(&second.path(TARGET), &host.path("sys/kernel/config/netconsole/t2"));
    assert_eq!(verdict(&host.read_with(&Options::default()).0, Channel::Netconsole), Ready);
}

/// Drivers that know no state of their own say `unknown`, and the carrier tells.
#[test]
fn an_interface_of_unknown_state_is_judged_by_its_carrier() {
    for (carrier, expected) in [("1\n", Ready), ("0\n", NotReady(InterfaceDown))] {
        let host = Host::recorded("netconsole-enabled");
        host.write("sys/class/net/eth0/operstate", "unknown\n");
        host.write("sys/class/net/eth0/carrier", carrier);
        assert_eq!(verdict(&host.read(), Channel::Netconsole), expected);
    }
}

/// Before Linux 6.7 configfs does not show targets given when the module was loaded.
#[test]
fn an_empty_configfs_proves_something_on_new_kernels_only() {
    for (release, expected) in [("6.1.0-56-amd64\n", Unknown(NotVisible)), ("6.14.0-37-generic\n", NotReady(NoTarget))]
    {
        let host = Host::recorded("2-netconsole");
        host.make("sys/kernel/config/netconsole");
        host.write("proc/sys/kernel/osrelease", release);
        assert_eq!(verdict(&host.read(), Channel::Netconsole), expected, "{release}");
    }
}

#[test]
fn kdump_is_ready_when_a_crash_kernel_is_loaded() {
    let host = Host::recorded("0-boot");
    host.write("sys/kernel/kexec_crash_loaded", "1\n");
    assert_eq!(verdict(&host.read(), Channel::Kdump), Ready);
    host.write("sys/kernel/kexec_crash_loaded", "0\n");
    host.write("sys/kernel/kexec_crash_size", "0\n");
    assert_eq!(verdict(&host.read(), Channel::Kdump), NotReady(NoMemoryReserved));
    fs::remove_file(host.path("sys/kernel/kexec_crash_loaded")).unwrap();
    assert_eq!(verdict(&host.read(), Channel::Kdump), NotReady(NotSupported));
}

#[test]
fn what_cannot_be_read_is_neither_ready_nor_not() {
    let host = Host::recorded("1-ramoops-loaded");
    host.write("sys/module/pstore/parameters/backend", "\u{1}\n");
    host.write("sys/kernel/kexec_crash_loaded", "?\n");
    host.write("proc/sys/kernel/tainted", "G\n");
    let (reading, faults) = host.read_with(&Options::default());
    assert_eq!(verdict(&reading, Channel::Pstore), Unknown(NotReadable));
    assert_eq!(verdict(&reading, Channel::Kdump), Unknown(NotReadable));
    assert_eq!((reading.taint, reading.kdump.loaded, reading.pstore.backend), (None, None, None));
    assert_eq!(faults.iter().map(|fault| fault.fault).collect::<Vec<_>>(), [Fault::InvalidContent; 3]);
}

#[test]
fn a_host_that_shows_nothing_gives_nothing() {
    let host = Host::new();
    let reading = host.read();
    assert_eq!(verdict(&reading, Channel::Pstore), NotReady(NotSupported));
    assert_eq!((reading.pstore, reading.taint), (Pstore::default(), None));
    assert_eq!(reading.settings, [None; Setting::ALL.len()]);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::probe(&Roots::under(empty.path()), &Options::default()), Probe::Absent(_)));
}

#[test]
fn what_the_operator_asked_for_is_looked_at() {
    let host = Host::recorded("0-boot");
    host.write("var/crash/202601060930/dump.202601060930", "core");
    host.write("root/logs/incident-20260105-065819.log", "");
    let options = Options {
        dump_directories: vec!["/var/crash".into(), "/var/lib/systemd/pstore".into()],
        required_arguments: vec!["crashkernel".into(), "panic=5".into(), "nokaslr".into()],
        captures: vec!["incident=/root/logs/incident-*.log".parse().unwrap(), capture("none=/root/none/*")],
    };
    let (reading, faults) = host.read_with(&options);
    assert_eq!(reading.arguments, [true, true, false]);
    assert_eq!(reading.dumps.iter().map(|found| found.map(|found| found.count)).collect::<Vec<_>>(), [Some(1), None]);
    let captures: Vec<_> = reading.captures.iter().map(|found| found.map(|found| (found.count, found.empty))).collect();
    assert_eq!(captures, [Some((1, 1)), None]);
    assert_eq!((faults.len(), faults[0].fault), (1, Fault::NotFound));
    fs::remove_file(host.path("proc/cmdline")).unwrap();
    assert!(host.read_with(&options).0.arguments.is_empty(), "what was not read was not absent");
}

fn capture(text: &str) -> Capture {
    text.parse().unwrap()
}

/// pstore's directory is root's: that somebody else may not look is no proof that nothing is there.
#[test]
fn records_nobody_may_list_are_not_none() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::recorded("11-after-panic-ramoops");
    fs::set_permissions(host.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(host.path("sys/fs/pstore"), fs::Permissions::from_mode(0o700)).unwrap();
    let root = rustix::process::getuid().is_root();
    if !root {
        flatline_lab::skipped("a directory of another user", "needs root to make");
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Changes this thread only.
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            let (reading, faults) = host.read_with(&Options::default());
            assert_eq!(reading.pstore.records, None);
            assert_eq!(verdict(&reading, Channel::Pstore), Ready, "the backend is known all the same");
            assert_eq!((faults.len(), faults[0].fault), (1, Fault::PermissionDenied));
        });
    });
}
