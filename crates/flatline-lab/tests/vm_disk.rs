//! The dead disk behind a monitor that answers, rehearsed on a real QEMU: what a collector has to tell apart is really
//! there to be told apart, on every controller that is in use.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use flatline_lab::scenarios::{Backend, Cdrom, Controller, DiskState, DiskVm, Proxmox, VmDisk, vm_disk};
use flatline_lab::{Guest, GuestBuilder, Qemu, Qmp, Result, skipped, wait_for};
use serde_json::json;

const LONG: Duration = Duration::from_secs(120);
/// Long enough for fifteen of the writer's blocks.
const WINDOW: Duration = Duration::from_secs(3);

fn boot(builder: GuestBuilder, vm: &VmDisk) -> Result<DiskVm> {
    vm_disk(builder.boot_deadline(LONG), vm)
}

fn on(controller: Controller) -> VmDisk {
    VmDisk { controller, ..VmDisk::default() }
}

fn wait_for_writes(vm: &DiskVm, disk: usize) -> Result<()> {
    let before = vm.observe(disk)?;
    wait_for(format!("writes to disk {disk} after {before:?}"), LONG, || {
        let now = vm.observe(disk)?;
        let advanced = now.write_operations > before.write_operations + 2;
        Ok((advanced && now.flush_operations > before.flush_operations).then_some(()))
    })
}

/// The state of a disk on which nothing happens for a second and which has as much in flight as is meant, as soon as
/// there is such a second: on a busy machine, nothing may happen for so long on a disk that is well.
fn wait_for_standstill(vm: &DiskVm, disk: usize, is_meant: fn(Option<u64>) -> bool) -> Result<DiskState> {
    wait_for(format!("the end of all writes to disk {disk}"), LONG, || {
        let before = vm.observe(disk)?;
        thread::sleep(Duration::from_secs(1));
        Ok(Some(vm.observe(disk)?).filter(|now| *now == before && is_meant(now.in_flight)))
    })
}

/// The incident on a controller that tells what is in flight: dead, answering, and well again.
fn dies_and_comes_back(vm: &DiskVm) -> Result<()> {
    wait_for_writes(vm, 0)?;
    vm.freeze(0)?;
    let frozen = wait_for_standstill(vm, 0, |in_flight| in_flight >= Some(1))?;
    thread::sleep(WINDOW);
    assert_eq!((vm.observe(0)?, vm.status()?.as_str()), (frozen, "running"));
    vm.guest().sh("cat /proc/uptime")?; // the guest itself lives
    vm.thaw(0)?;
    wait_for_writes(vm, 0)
}

/// Only while the disk is well: QEMU waits for what is in flight.
fn pauses_and_goes_on(vm: &DiskVm) -> Result<()> {
    vm.pause()?;
    let paused = vm.observe(0)?;
    assert_eq!((vm.status()?.as_str(), paused.in_flight), ("paused", Some(0)));
    thread::sleep(WINDOW);
    assert_eq!(vm.observe(0)?, paused);
    vm.unpause()?;
    wait_for_writes(vm, 0)
}

#[test]
fn a_virtio_blk_disk_dies_and_comes_back() {
    let vm = boot(Guest::builder(), &on(Controller::VirtioBlk { iothread: false })).unwrap();
    dies_and_comes_back(&vm).unwrap();
    pauses_and_goes_on(&vm).unwrap();

    vm.guest().reset(LONG).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    assert!(vm.guest_writes(0).unwrap() > 0);

    vm.stop_writing(0).unwrap();
    wait_for_standstill(&vm, 0, |in_flight| in_flight == Some(0)).unwrap();
    vm.start_writing(0).unwrap();
    wait_for_writes(&vm, 0).unwrap();
}

#[test]
fn a_virtio_blk_disk_with_an_io_thread_dies_and_comes_back() {
    let vm = boot(Guest::builder(), &on(Controller::VirtioBlk { iothread: true })).unwrap();
    dies_and_comes_back(&vm).unwrap();
    pauses_and_goes_on(&vm).unwrap();
}

#[test]
fn a_virtio_scsi_disk_is_throttled_to_death_and_released() {
    let vm = boot(Guest::builder(), &VmDisk { cdrom: Cdrom::Loaded, ..VmDisk::default() }).unwrap();
    dies_and_comes_back(&vm).unwrap();
    vm.throttle(0, 1).unwrap();
    wait_for_standstill(&vm, 0, |in_flight| in_flight >= Some(1)).unwrap();
    assert_eq!(vm.status().unwrap(), "running");
    vm.throttle(0, 0).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    pauses_and_goes_on(&vm).unwrap();
}

#[test]
fn a_busy_sibling_on_the_same_controller_goes_on() {
    let vm = boot(Guest::builder(), &VmDisk { disks: 2, ..on(Controller::VirtioScsi { iothread: false }) }).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    vm.freeze(0).unwrap();
    let stuck = wait_for("the end of the writes to disk 0 alone", LONG, || {
        let before = vm.observe(0)?.write_operations;
        wait_for_writes(&vm, 1)?;
        Ok(Some(vm.observe(0)?).filter(|now| now.write_operations == before && now.in_flight >= Some(1)))
    });
    stuck.unwrap();
    vm.thaw(0).unwrap();
    wait_for_writes(&vm, 0).unwrap();
}

/// On LSI a dead disk looks like an idle one.
#[test]
fn nothing_tells_a_dead_lsi_disk_from_an_idle_one() {
    let vm = boot(Guest::builder(), &on(Controller::Lsi)).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    vm.freeze(0).unwrap();
    wait_for_standstill(&vm, 0, |in_flight| in_flight.is_none()).unwrap();
    assert_eq!(vm.status().unwrap(), "running");
    vm.thaw(0).unwrap();
    wait_for_writes(&vm, 0).unwrap();

    vm.stop_writing(0).unwrap();
    wait_for_standstill(&vm, 0, |in_flight| in_flight.is_none()).unwrap();
    assert_eq!(vm.status().unwrap(), "running");
}

#[test]
fn a_stopped_qemu_greets_nobody_until_it_goes_on() {
    let vm =
        boot(Guest::builder(), &VmDisk { backend: Backend::File, cdrom: Cdrom::Empty, ..VmDisk::default() }).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    vm.stop_process().unwrap();
    UnixStream::connect(vm.socket()).expect("the kernel accepts for it");
    assert!(Qmp::connect(&vm.socket(), Duration::from_secs(2)).is_err());
    vm.continue_process().unwrap();
    wait_for_writes(&vm, 0).unwrap();
    assert!(vm.freeze(0).unwrap_err().to_string().contains("disk 0 is on no qemu-nbd"));
}

#[test]
fn the_tree_of_a_proxmox_host_is_complete() {
    let config = "name: devvm\nscsi0: local-lvm:vm-100-disk-0,size=16M\nscsihw: virtio-scsi-single\n".to_owned();
    let proxmox = Some(Proxmox { vmid: 100, config: config.clone() });
    let vm = boot(Guest::builder(), &VmDisk { proxmox, ..VmDisk::default() }).unwrap();
    let root = vm.proxmox_root().unwrap();
    assert_eq!(fs::read_to_string(root.join("etc/pve/qemu-server/100.conf")).unwrap(), config);
    let pid = fs::read_to_string(root.join("var/run/qemu-server/100.pid")).unwrap();
    assert_eq!(pid.trim(), vm.process_id().to_string());
    let mut monitor = Qmp::connect(&root.join("run/qemu-server/100.qmp"), LONG).unwrap();
    assert_eq!(monitor.execute("query-name", &json!({})).unwrap()["name"], "devvm");
}

#[test]
fn the_same_happens_on_the_newest_qemu() {
    let qemu = match Qemu::newest() {
        Ok(qemu) => qemu,
        Err(error) => return skipped("a dead disk on the newest QEMU", error),
    };
    assert!(qemu.major() >= 10, "{}", qemu.version());
    let vm = boot(Guest::builder().qemu(qemu.clone()), &on(Controller::VirtioBlk { iothread: true })).unwrap();
    let version = vm.guest().qmp().unwrap().execute("query-version", &json!({})).unwrap();
    assert_eq!(version["qemu"]["major"], qemu.major());
    let name = fs::read_to_string(format!("/proc/{}/comm", vm.process_id())).unwrap();
    assert_eq!(name, "qemu-system-x86\n");
    dies_and_comes_back(&vm).unwrap();
    pauses_and_goes_on(&vm).unwrap();
    drop(vm);
    dies_and_comes_back(&boot(Guest::builder().qemu(qemu), &VmDisk::default()).unwrap()).unwrap();
}

#[test]
fn nothing_is_left_of_what_is_frozen() {
    let vm = boot(Guest::builder(), &VmDisk::default()).unwrap();
    wait_for_writes(&vm, 0).unwrap();
    vm.freeze(0).unwrap();
    vm.stop_process().unwrap();
    let directory = vm.guest().directory().to_owned();
    let mentioned = |path: &Path| processes_that_mention(path).unwrap();
    let storage = vm.storage().to_owned();
    assert_eq!((mentioned(&directory).len(), mentioned(&storage).len()), (2, 4), "with their guards");
    drop(vm);
    assert!(!directory.exists() && !storage.exists());
    assert_eq!((mentioned(&directory), mentioned(&storage)), (Vec::new(), Vec::new()));
}

/// The ids of the processes on whose command lines a path is.
fn processes_that_mention(path: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        // Most entries are no processes, and a process may end any time.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&path.display().to_string()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
