//! The stall of 2026-06-11: a virtual machine whose disk is dead while its monitor goes on answering. The machine is a
//! guest whose disks lie on a real `qemu-nbd`, which can be stopped like a storage that hangs.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::workload;
use crate::{Error, Guest, GuestBuilder, Program, Qmp, Result, Running, wait_for};

/// The size of every disk; nothing but its first MiB is written.
const DISK_BYTES: u64 = 16 << 20;
/// How long `qemu-nbd` may take to listen.
const SERVER_PATIENCE: Duration = Duration::from_secs(20);

/// What the disks are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// `lsi53c895a`, Proxmox VE's default: it tells nothing of what is in flight.
    Lsi,
    /// One `virtio-scsi-pci` for all disks.
    VirtioScsi {
        /// Whether it has an I/O thread.
        iothread: bool,
    },
    /// A `virtio-blk-pci` for each disk.
    VirtioBlk {
        /// Whether each has an I/O thread.
        iothread: bool,
    },
}

impl Controller {
    /// The device id of a disk, as Proxmox VE gives it: `scsi0`, `virtio0`.
    fn disk_id(self, disk: usize) -> String {
        match self {
            Self::Lsi | Self::VirtioScsi { .. } => format!("scsi{disk}"),
            Self::VirtioBlk { .. } => format!("virtio{disk}"),
        }
    }

    /// What QMP calls the disk: behind a virtio-blk device's id is another that has the drive.
    fn backend(self, disk: usize) -> String {
        match self {
            Self::Lsi | Self::VirtioScsi { .. } => self.disk_id(disk),
            Self::VirtioBlk { .. } => format!("/machine/peripheral/{}/virtio-backend", self.disk_id(disk)),
        }
    }

    /// The id of the controller, which Proxmox VE calls otherwise where it has an I/O thread.
    fn id(self, disk: usize) -> String {
        match self {
            Self::Lsi | Self::VirtioScsi { iothread: false } => "scsihw0".to_owned(),
            Self::VirtioScsi { iothread: true } => "virtioscsi0".to_owned(),
            Self::VirtioBlk { .. } => self.disk_id(disk),
        }
    }

    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Lsi => &["sym53c8xx", "sd_mod"],
            Self::VirtioScsi { .. } => &["virtio_scsi", "sd_mod"],
            Self::VirtioBlk { .. } => &["virtio_blk"],
        }
    }

    /// The arguments that attach the first `disks` drives. A disk's serial number is its id: the guest knows it by that.
    fn arguments(self, disks: usize) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        let id = self.id(0);
        match self {
            Self::Lsi => add("-device", format!("lsi53c895a,id={id}")),
            Self::VirtioScsi { iothread: false } => add("-device", format!("virtio-scsi-pci,id={id}")),
            Self::VirtioScsi { iothread: true } => {
                add("-object", format!("iothread,id=iothread-{id}"));
                add("-device", format!("virtio-scsi-pci,id={id},iothread=iothread-{id}"));
            }
            Self::VirtioBlk { .. } => {}
        }
        for disk in 0..disks {
            let disk_id = self.disk_id(disk);
            let drive = format!("drive=drive-{disk_id},id={disk_id},serial={disk_id}");
            match self {
                Self::Lsi => add("-device", format!("scsi-hd,bus={id}.0,scsi-id={disk},{drive}")),
                Self::VirtioScsi { .. } => {
                    add("-device", format!("scsi-hd,bus={id}.0,channel=0,scsi-id=0,lun={disk},{drive}"));
                }
                Self::VirtioBlk { iothread: false } => add("-device", format!("virtio-blk-pci,{drive}")),
                Self::VirtioBlk { iothread: true } => {
                    add("-object", format!("iothread,id=iothread-{disk_id}"));
                    add("-device", format!("virtio-blk-pci,{drive},iothread=iothread-{disk_id}"));
                }
            }
        }
        arguments
    }

    /// The number of the first queue that carries requests; a virtio-scsi controller has two others before it.
    fn first_request_queue(self) -> Option<u64> {
        match self {
            Self::Lsi => None,
            Self::VirtioScsi { .. } => Some(2),
            Self::VirtioBlk { .. } => Some(0),
        }
    }
}

/// Where the disks' content lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file each.
    File,
    /// A `qemu-nbd` each, so that one can be frozen.
    Nbd,
}

/// The CD-ROM drive `ide2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdrom {
    /// There is none.
    Absent,
    /// Without a medium, as Proxmox VE's `ide2: none,media=cdrom`.
    Empty,
    /// With one.
    Loaded,
}

/// What Proxmox VE keeps about a machine.
#[derive(Clone, Debug)]
pub struct Proxmox {
    /// Its number.
    pub vmid: u32,
    /// The text of `/etc/pve/qemu-server/<vmid>.conf`.
    pub config: String,
}

/// What the machine of [`vm_disk`] is to be.
#[derive(Clone, Debug)]
pub struct VmDisk {
    /// What QEMU calls it.
    pub name: String,
    /// What its disks are attached to.
    pub controller: Controller,
    /// Where their content lies.
    pub backend: Backend,
    /// How many there are.
    pub disks: usize,
    /// Whether the guest writes to all of them from the start, five blocks a second each.
    pub writing: bool,
    /// Its CD-ROM drive.
    pub cdrom: Cdrom,
    /// Puts its socket where Proxmox VE would, below [`DiskVm::proxmox_root`].
    pub proxmox: Option<Proxmox>,
}

impl Default for VmDisk {
    /// `devvm`, with one disk on a `virtio-scsi-pci` with an I/O thread and on a `qemu-nbd`, being written to.
    fn default() -> Self {
        Self {
            name: "devvm".to_owned(),
            controller: Controller::VirtioScsi { iothread: true },
            backend: Backend::Nbd,
            disks: 1,
            writing: true,
            cdrom: Cdrom::Absent,
            proxmox: None,
        }
    }
}

/// A running machine with disks that can die. Dropping it ends all of it, whatever of it is frozen.
#[derive(Debug)]
pub struct DiskVm {
    // The order matters: QEMU ends before what its disks lie on.
    guest: Guest,
    servers: Vec<Running>,
    controller: Controller,
    proxmox_root: Option<PathBuf>,
    directory: TempDir,
}

/// What QEMU says about a disk at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// Writes completed.
    pub write_operations: u64,
    /// Flushes completed.
    pub flush_operations: u64,
    /// Requests the controller has taken from the guest and not yet answered, of all the disks that share its queues;
    /// `None` where the controller does not tell.
    pub in_flight: Option<u64>,
}

/// Boots a guest with these disks, all well. Its root file system is in memory, so it goes on without them.
pub fn vm_disk(builder: GuestBuilder, vm: &VmDisk) -> Result<DiskVm> {
    let directory = tempfile::Builder::new().prefix("flatline-vm-").tempdir().map_err(Error::file("/tmp"))?;
    let at = |name: &str| directory.path().join(name);
    let mut builder = builder.name(&vm.name).binary(workload()?).scratch(directory.path());
    let mut servers = Vec::new();
    for id in (0..vm.disks).map(|disk| vm.controller.disk_id(disk)) {
        let image = at(&format!("{id}.raw"));
        create_image(&image)?;
        let source = match vm.backend {
            Backend::File => format!("file={},aio=threads", image.display()),
            Backend::Nbd => {
                let socket = at(&format!("{id}.nbd"));
                servers.push(serve(&image, &socket, directory.path())?);
                format!("file=nbd+unix:///?socket={}", socket.display())
            }
        };
        builder = builder.qemu_arguments(["-drive", &format!("if=none,id=drive-{id},{source},format=raw,cache=none")]);
    }
    builder = builder.qemu_arguments(vm.controller.arguments(vm.disks));
    builder = vm.controller.modules().iter().fold(builder, |builder, module| builder.module(*module));
    builder = builder.qemu_arguments(cdrom_arguments(vm.cdrom, &at("ide2.iso"))?);
    let proxmox_root = vm.proxmox.as_ref().map(|_| at("root"));
    if let (Some(proxmox), Some(root)) = (&vm.proxmox, &proxmox_root) {
        let state = create_proxmox_tree(root, proxmox)?;
        let file = |kind: &str| state.join(format!("{}.{kind}", proxmox.vmid));
        builder = builder.qmp_socket(file("qmp")).qemu_arguments([Path::new("-pidfile"), &file("pid")].map(text));
    }
    let guest = builder.script(&guest_script(vm)).boot()?;
    Ok(DiskVm { guest, servers, controller: vm.controller, proxmox_root, directory })
}

impl DiskVm {
    /// The guest.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// The socket for whatever is under test.
    pub fn socket(&self) -> PathBuf {
        self.guest.qmp_socket()
    }

    /// QEMU's process id.
    pub fn process_id(&self) -> u32 {
        self.guest.process_id()
    }

    /// Where the disks' content, and the sockets of what serves it, are on the host.
    pub fn storage(&self) -> &Path {
        self.directory.path()
    }

    /// The root of a tree with Proxmox VE's `run/qemu-server/<vmid>.qmp`, `run/qemu-server/<vmid>.pid`, `var/run` and
    /// `etc/pve/qemu-server/<vmid>.conf`; `None` where none was asked for.
    pub fn proxmox_root(&self) -> Option<&Path> {
        self.proxmox_root.as_deref()
    }

    /// The device id of a disk, the first is 0: `scsi0`, `virtio0`. Its drive is `drive-<id>`.
    pub fn disk_id(&self, disk: usize) -> String {
        self.controller.disk_id(disk)
    }

    /// Freezes what a disk lies on: no request is answered any more, and none fails.
    pub fn freeze(&self, disk: usize) -> Result<()> {
        self.server(disk)?.suspend()
    }

    /// Ends [`DiskVm::freeze`].
    pub fn thaw(&self, disk: usize) -> Result<()> {
        self.server(disk)?.resume()
    }

    /// Limits the writes to a disk, as a rewritten `mbps_wr` would; 0 is no limit.
    pub fn throttle(&self, disk: usize, bytes_per_second: u64) -> Result<()> {
        let limits = json!({
            "id": self.controller.backend(disk),
            "bps": 0, "bps_rd": 0, "bps_wr": bytes_per_second, "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.guest.qmp()?.execute("block_set_io_throttle", &limits).map(drop)
    }

    /// Pauses the guest's processors (`stop`). With requests in flight QEMU waits for them and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.guest.qmp()?.execute("stop", &json!({})).map(drop)
    }

    /// Ends [`DiskVm::pause`].
    pub fn unpause(&self) -> Result<()> {
        self.guest.qmp()?.execute("cont", &json!({})).map(drop)
    }

    /// Stops QEMU itself (`SIGSTOP`): no monitor answers.
    pub fn stop_process(&self) -> Result<()> {
        self.guest.suspend()
    }

    /// Ends [`DiskVm::stop_process`].
    pub fn continue_process(&self) -> Result<()> {
        self.guest.resume()
    }

    /// Lets the guest write to a disk, one block made durable five times a second.
    pub fn start_writing(&self, disk: usize) -> Result<()> {
        self.guest.sh(&start_writer(&self.disk_id(disk))).map(drop)
    }

    /// Ends [`DiskVm::start_writing`]; the disk is idle when what it was doing is done.
    pub fn stop_writing(&self, disk: usize) -> Result<()> {
        self.guest.sh(&format!("kill -KILL $(cat /run/disk/{}.pid)", self.disk_id(disk))).map(drop)
    }

    /// How many blocks the guest has made durable on a disk, by its own account.
    pub fn guest_writes(&self, disk: usize) -> Result<u64> {
        let report = self.guest.sh(&format!("cat /run/disk/{}.report", self.disk_id(disk)))?;
        let writes = report.trim().strip_prefix("writes=").unwrap_or_default();
        writes.parse().map_err(Error::peer(format!("report of the writer, `{report}`")))
    }

    /// What `query-status` says: `running`, `paused` ...
    pub fn status(&self) -> Result<String> {
        let answer = self.guest.qmp()?.execute("query-status", &json!({}))?;
        Ok(answer["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Asks the lab's own monitor about a disk.
    pub fn observe(&self, disk: usize) -> Result<DiskState> {
        let mut monitor = self.guest.qmp()?;
        let drive = format!("drive-{}", self.disk_id(disk));
        let statistics = monitor.execute("query-blockstats", &json!({}))?;
        let (write_operations, flush_operations) = parse_statistics(&statistics, &drive)
            .ok_or_else(|| Error::peer("QMP query-blockstats")(format!("says nothing of {drive}: {statistics}")))?;
        Ok(DiskState { write_operations, flush_operations, in_flight: self.in_flight(&mut monitor, disk)? })
    }

    fn in_flight(&self, monitor: &mut Qmp, disk: usize) -> Result<Option<u64>> {
        let Some(first) = self.controller.first_request_queue() else { return Ok(None) };
        let path = format!("/machine/peripheral/{}/virtio-backend", self.controller.id(disk));
        let mut sum = 0;
        for queue in first.. {
            let arguments = json!({ "path": path, "queue": queue });
            match monitor.execute("x-query-virtio-queue-status", &arguments) {
                Ok(status) => sum += status["inuse"].as_u64().unwrap_or_default(),
                Err(error) if queue > first && error.to_string().contains("Invalid virtqueue number") => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(sum))
    }

    fn server(&self, disk: usize) -> Result<&Running> {
        self.servers.get(disk).ok_or_else(|| Error::peer("scenario")(format!("disk {disk} is on no qemu-nbd")))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn create_image(path: &Path) -> Result<()> {
    File::create(path).and_then(|file| file.set_len(DISK_BYTES)).map_err(Error::file(path))
}

/// Starts the server of a disk. QEMU has one connection to it all its life.
fn serve(image: &Path, socket: &Path, directory: &Path) -> Result<Running> {
    let mut server = Program::find("qemu-nbd", "qemu-utils")?
        .args(["--format=raw", "--persistent", "--socket"])
        .args([socket, image])
        .scratch(directory)
        .start()?;
    wait_for("qemu-nbd's socket", SERVER_PATIENCE, || match server.failure() {
        Some(failure) => Err(failure),
        None => Ok(socket.exists().then_some(())),
    })?;
    Ok(server)
}

fn cdrom_arguments(cdrom: Cdrom, medium: &Path) -> Result<Vec<String>> {
    let source = match cdrom {
        Cdrom::Absent => return Ok(Vec::new()),
        Cdrom::Empty => String::new(),
        Cdrom::Loaded => {
            create_image(medium)?;
            format!(",format=raw,file={}", medium.display())
        }
    };
    let drive = format!("if=none,id=drive-ide2,media=cdrom{source}");
    Ok(["-drive", &drive, "-device", "ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2"].map(str::to_owned).into())
}

/// Makes the tree without what QEMU puts there, and returns the directory of its sockets.
fn create_proxmox_tree(root: &Path, proxmox: &Proxmox) -> Result<PathBuf> {
    let [state, var, config] = ["run/qemu-server", "var", "etc/pve/qemu-server"].map(|part| root.join(part));
    for directory in [&state, &var, &config] {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
    }
    let link = var.join("run");
    symlink("../run", &link).map_err(Error::file(link))?;
    let file = config.join(format!("{}.conf", proxmox.vmid));
    fs::write(&file, &proxmox.config).map_err(Error::file(file))?;
    Ok(state)
}

/// Finds every disk by its serial number, whatever its name is, and begins writing.
fn guest_script(vm: &VmDisk) -> String {
    let ids: Vec<String> = (0..vm.disks).map(|disk| vm.controller.disk_id(disk)).collect();
    let find = format!(
        "mkdir -p /run/disk
         serial() {{ if [ -e $1/serial ]; then cat $1/serial; else tail -c +5 $1/device/vpd_pg80; fi; }}
         for id in {ids}; do
             for attempt in $(seq 100); do
                 for disk in $(ls -d /sys/block/[sv]d* 2>/dev/null); do
                     if [ \"$(serial $disk 2>/dev/null)\" = $id ]; then ln -sfn /dev/${{disk##*/}} /run/disk/$id; fi
                 done
                 if [ -e /run/disk/$id ]; then break; fi
                 sleep 0.1
             done
             [ -e /run/disk/$id ]
         done\n",
        ids = ids.join(" ")
    );
    let writers = if vm.writing { ids.iter().map(|id| start_writer(id)).collect() } else { String::new() };
    find + &writers
}

fn start_writer(id: &str) -> String {
    format!(
        "guest-workload write --file /run/disk/{id} --report /run/disk/{id}.report >/dev/console 2>&1 &
         echo $! >/run/disk/{id}.pid\n"
    )
}

/// The completed writes and flushes of a drive.
fn parse_statistics(answer: &Value, drive: &str) -> Option<(u64, u64)> {
    let disk = answer.as_array()?.iter().find(|disk| disk["device"] == drive)?;
    let number = |name: &str| disk["stats"][name].as_u64();
    Some((number("wr_operations")?, number("flush_operations")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_drive() {
        let answer = json!([
            { "device": "drive-ide2", "stats": { "wr_operations": 1, "flush_operations": 2 } },
            { "device": "drive-scsi0", "stats": { "wr_operations": 3, "flush_operations": 4 } },
            { "device": "drive-scsi1", "stats": {} },
        ]);
        assert_eq!(parse_statistics(&answer, "drive-scsi0"), Some((3, 4)));
        assert_eq!(parse_statistics(&answer, "drive-scsi1"), None);
        assert_eq!(parse_statistics(&answer, "drive-scsi2"), None);
    }
}
