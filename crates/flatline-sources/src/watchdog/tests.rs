//! The watchdog reader on recorded states.

use super::*;
use crate::Fault;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

/// A copy of a recorded state, with links in `proc` that nobody may follow on a real host.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new(state: &str) -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/watchdog").join(state), host.path());
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
        host.process(1, &[("0", "/dev/null")]);
        host
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn process(&self, pid: u32, links: &[(&str, &str)]) {
        let directory = self.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&directory).unwrap();
        for (fd, target) in links {
            symlink(target, directory.join(fd)).unwrap();
        }
    }

    fn attribute(&self, device: u32, name: &str) -> PathBuf {
        self.path().join(format!("sys/class/watchdog/watchdog{device}/{name}"))
    }

    fn reader(&self) -> Reader {
        Reader::probe(&Roots::under(self.path())).present().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn read_at(reader: &mut Reader, now: Instant) -> Vec<Device> {
    let mut reading = Reading::default();
    reader.read_at(now, &mut reading, &mut |fault| panic!("{fault}")).unwrap();
    reading.devices
}

fn read(host: &Host) -> Vec<Device> {
    read_at(&mut host.reader(), Instant::now())
}

fn held(pid: u32, comm: &str) -> Owner {
    Owner::Held { pid, comm: comm.into() }
}

#[test]
fn a_fed_softdog_protects() {
    let host = Host::new("softdog-petted");
    host.process(277, &[("3", "/dev/watchdog0")]);
    let expected = Device {
        number: 0,
        name: "watchdog0".into(),
        identity: "Software Watchdog".into(),
        governor: String::new(),
        active: Some(true),
        timeout_seconds: Some(30),
        pretimeout_seconds: Some(0),
        timeleft_seconds: None,
        nowayout: Some(false),
        boot_status: Some(BootStatus(0)),
        owner: held(277, "wdt"),
        protecting: Some(true),
    };
    assert_eq!(read(&host), [expected]);
}

#[test]
fn active_without_an_owner_does_not() {
    let device = &read(&Host::new("softdog-closed-dirty"))[0];
    assert_eq!((device.active, &device.owner, device.protecting), (Some(true), &Owner::Nobody, Some(false)));
}

#[test]
fn each_device_has_its_own_owner() {
    let host = Host::new("i6300esb-petted");
    host.process(914, &[("3", "/dev/watchdog1")]);
    let devices = read(&host);
    assert_eq!(devices[0].owner, Owner::Nobody);
    assert_eq!((devices[0].nowayout, devices[0].protecting), (Some(true), Some(false)));
    assert_eq!((devices[1].identity.as_str(), &devices[1].owner), ("i6300ESB timer", &held(914, "wdt")));
    assert_eq!(devices[1].protecting, Some(true));
}

#[test]
fn a_reset_by_the_watchdog_is_remembered() {
    let device = &read(&Host::new("after-i6300esb-reset"))[0];
    assert!(device.boot_status.unwrap().card_reset());
}

#[test]
fn an_inactive_device_is_not_looked_up_and_does_not_protect() {
    let host = Host::new("iTCO-unopened");
    let mut reader = host.reader();
    let device = &read_at(&mut reader, Instant::now())[0];
    assert_eq!((device.timeleft_seconds, device.active), (Some(28), Some(false)));
    assert_eq!((&device.owner, device.protecting), (&Owner::Unknown, Some(false)));
    assert_eq!(reader.owners.searches(), 0);
}

#[test]
fn status_is_never_read() {
    let host = Host::new("softdog-petted");
    assert!(host.attribute(0, "status").exists());
    fs::remove_file(host.attribute(0, "status")).unwrap();
    // Reading a directory would be a fault, and any fault fails this test.
    fs::create_dir(host.attribute(0, "status")).unwrap();
    assert_eq!(read(&host).len(), 1);
}

#[test]
fn a_known_owner_costs_no_search() {
    let host = Host::new("softdog-petted");
    host.process(277, &[("3", "/dev/watchdog")]);
    let (mut reader, start) = (host.reader(), Instant::now());
    for second in 0..500 {
        let devices = read_at(&mut reader, start + Duration::from_secs(second));
        assert_eq!(devices[0].owner, held(277, "wdt"));
    }
    assert_eq!(reader.owners.searches(), 1);
    fs::write(host.path().join("proc/277/comm"), "renamed\n").unwrap();
    assert_eq!(read_at(&mut reader, start)[0].owner, held(277, "renamed"));
}

#[test]
fn an_owner_that_lets_go_is_looked_for_at_once_and_then_every_five_seconds() {
    let host = Host::new("softdog-petted");
    host.process(277, &[("3", "/dev/watchdog0")]);
    let (mut reader, start) = (host.reader(), Instant::now());
    read_at(&mut reader, start);
    fs::remove_file(host.path().join("proc/277/fd/3")).unwrap();
    let owner_at = |reader: &mut Reader, second| read_at(reader, start + Duration::from_secs(second))[0].owner.clone();
    assert_eq!(owner_at(&mut reader, 1), Owner::Nobody);
    assert_eq!(reader.owners.searches(), 2);
    host.process(5, &[("9", "/dev/watchdog0")]);
    assert_eq!(owner_at(&mut reader, 5), Owner::Nobody, "not looked for again yet");
    assert_eq!(reader.owners.searches(), 2);
    assert_eq!(owner_at(&mut reader, 6), held(5, ""));
    assert_eq!(reader.owners.searches(), 3);
}

#[test]
fn who_may_not_look_does_not_know() {
    let host = Host::new("softdog-closed-dirty");
    fs::set_permissions(host.path().join("proc/1/fd"), fs::Permissions::from_mode(0o000)).unwrap();
    let without_rights = || {
        if rustix::process::getuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
        }
        read(&host)
    };
    let devices = std::thread::scope(|scope| scope.spawn(without_rights).join().unwrap());
    assert_eq!((&devices[0].owner, devices[0].protecting), (&Owner::Unknown, None));
    fs::set_permissions(host.path().join("proc/1/fd"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn faulty_attributes_cost_their_own_value() {
    let host = Host::new("softdog-petted");
    host.process(277, &[("3", "/dev/watchdog0")]);
    fs::write(host.attribute(0, "timeout"), "soon\n").unwrap();
    fs::write(host.attribute(0, "identity"), b"odd\x01\xff").unwrap();
    fs::remove_file(host.attribute(0, "nowayout")).unwrap();
    let (mut reading, mut faults) = (Reading::default(), Vec::new());
    host.reader().read(&mut reading, &mut |fault| faults.push((fault.fault, fault.path.to_path_buf()))).unwrap();
    let device = &reading.devices[0];
    assert_eq!(faults, [(Fault::InvalidContent, host.attribute(0, "timeout"))]);
    assert_eq!((device.timeout_seconds, device.nowayout, device.protecting), (None, None, None));
    assert_eq!(device.identity, "odd\u{fffd}\u{fffd}");
}

#[test]
fn a_frozen_time_left_does_not_protect() {
    let host = Host::new("softdog-petted");
    host.process(277, &[("3", "/dev/watchdog0")]);
    fs::write(host.attribute(0, "timeleft"), "9\n").unwrap();
    let (mut reader, start, mut second) = (host.reader(), Instant::now(), 0);
    let mut verdicts = Vec::new();
    for round in 0..60 {
        second += 15 + round % 2 * 3;
        verdicts.push(read_at(&mut reader, start + Duration::from_secs(second))[0].protecting);
    }
    assert_eq!((verdicts[0], verdicts[59]), (Some(true), Some(false)));
    fs::write(host.attribute(0, "timeleft"), "8\n").unwrap();
    assert_eq!(read_at(&mut reader, start + Duration::from_secs(second + 15))[0].protecting, Some(true));
}

#[test]
fn devices_come_and_go() {
    let host = Host::new("i6300esb-petted");
    let mut reader = host.reader();
    assert_eq!(read_at(&mut reader, Instant::now()).len(), 2);
    fs::remove_dir_all(host.path().join("sys/class/watchdog/watchdog0")).unwrap();
    let devices = read_at(&mut reader, Instant::now());
    assert_eq!(devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["watchdog1"]);
    fs::remove_dir_all(host.path().join("sys/class/watchdog")).unwrap();
    assert_eq!(read_at(&mut reader, Instant::now()), []);
}

#[test]
fn a_host_without_a_watchdog_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let reason = || match Reader::probe(&Roots::under(directory.path())) {
        Probe::Absent(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason().contains("no watchdog support"), "{}", reason());
    fs::create_dir_all(directory.path().join("sys/class/watchdog")).unwrap();
    assert!(reason().contains("no watchdog driver"), "{}", reason());
}

#[test]
fn more_devices_than_any_host_has_are_left_alone() {
    let host = Host::new("softdog-petted");
    for number in 1..100 {
        fs::create_dir(host.path().join(format!("sys/class/watchdog/watchdog{number}"))).unwrap();
    }
    fs::create_dir(host.path().join("sys/class/watchdog/watchdogs")).unwrap();
    assert_eq!(read(&host).len(), MAX_DEVICES);
}
