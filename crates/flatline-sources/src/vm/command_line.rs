//! What QEMU's command line (`<procfs>/<pid>/cmdline`, `qemu(1)`) says about its disks: controller, I/O thread and
//! kind of I/O, which QMP does not tell. What was plugged in later is not on it.

use super::keyval::Properties;
use super::process::read_process;
use crate::read::{parsed, read_bounded};
use crate::{Fault, Roots, SourceError};
use std::collections::BTreeMap;

/// More than any machine's command line; libvirt's are 10 to 20 KiB.
const COMMAND_LINE: usize = 256 * 1024;
/// What [`DiskDevice::iothread`] says of a device whose queues have threads of their own (QEMU 9).
pub const MULTIPLE_IOTHREADS: &str = "multiple";

/// What the command line of a QEMU says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The guest's name (`-name`).
    pub name: Option<String>,
    /// The disks, in the order of the command line.
    pub disks: Vec<DiskDevice>,
}

/// One disk or CD-ROM the guest sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskDevice {
    /// The device's id: the end of QMP's `qdev` path.
    pub id: Option<String>,
    /// The drive or block node it is connected to (`drive=`).
    pub drive: Option<String>,
    /// QEMU's name for the device: `scsi-hd`, `virtio-blk-pci`, `ide-cd`.
    pub model: String,
    /// QEMU's name for its controller: `virtio-scsi-pci`, `lsi53c895a`; itself for virtio-blk and NVMe. `None` when
    /// the command line does not say: a controller that is built into the machine.
    pub controller: Option<String>,
    /// The controller's id.
    pub controller_id: Option<String>,
    /// The id of the I/O thread, or [`MULTIPLE_IOTHREADS`]. `None` with a known controller: none, QEMU's main loop
    /// does its I/O.
    pub iothread: Option<String>,
    /// `threads`, `native` or `io_uring`; `None` when not given.
    pub aio: Option<String>,
}

/// Reads the command line of a QEMU. The kernel takes the memory lock of that process to do so, and waits as long
/// as somebody else holds it: call this on a thread that may be left behind, once per process.
///
/// # Errors
/// When the process is gone or is no QEMU by its name, or its command line can't be read, is empty, or holds more
/// than 256 KiB.
pub fn read_command_line(roots: &Roots, pid: u32) -> Result<CommandLine, SourceError> {
    let path = roots.procfs.join(pid.to_string()).join("cmdline");
    let fail = |fault, detail: String| SourceError { path: (&*path).into(), fault, detail };
    match read_process(roots, pid)? {
        Some(process) if process.is_qemu() => {}
        Some(process) => return Err(fail(Fault::InvalidContent, format!("process {:?} is no QEMU", process.comm))),
        None => return Err(fail(Fault::NotFound, "no such process".into())),
    }
    let mut content = Vec::new();
    read_bounded(&path, COMMAND_LINE, &mut content)?;
    parsed((!content.is_empty()).then(|| parse(&content)), &path, &content, "a command line")
}

/// Parses a command line whose arguments end in NUL bytes. Understands `-device`, `-drive`, `-blockdev` and `-name`,
/// as `key=value` or JSON. A drive without `if=` and without a device of its own (`-hda`, a bare `-drive`) is left
/// out: what it becomes depends on the machine type.
#[must_use]
pub fn parse(content: &[u8]) -> CommandLine {
    let given = Given::collect(content);
    let mut disks: Vec<_> = given.devices.iter().filter_map(|device| given.disk(device)).collect();
    disks.extend(given.implicit_disks());
    CommandLine { name: given.name.clone(), disks }
}

/// The options of interest.
#[derive(Debug, Default)]
struct Given {
    name: Option<String>,
    devices: Vec<Properties>,
    drives: Vec<Properties>,
    /// Index into `devices` by id.
    device_ids: BTreeMap<String, usize>,
    /// Drives and block nodes by id or node name.
    nodes: BTreeMap<String, usize>,
    /// Every device that is a SCSI controller.
    scsi_controllers: Vec<usize>,
}

impl Given {
    fn collect(content: &[u8]) -> Self {
        let mut given = Self::default();
        let mut arguments = content.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        while let Some(argument) = arguments.next() {
            let option = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let Some(option @ ("name" | "device" | "drive" | "blockdev")) = option else { continue };
            let Some(value) = arguments.next() else { break };
            given.put(option, &value);
        }
        given
    }

    fn put(&mut self, option: &str, value: &str) {
        match option {
            "name" => self.name = Properties::parse(value, "guest").owned("guest"),
            "device" => {
                let device = Properties::parse(value, "driver");
                if device.get("driver").is_some_and(is_scsi_controller) {
                    self.scsi_controllers.push(self.devices.len());
                }
                if let Some(id) = device.owned("id") {
                    self.device_ids.insert(id, self.devices.len());
                }
                self.devices.push(device);
            }
            _ => {
                let drive = Properties::parse(value, "driver");
                for key in ["id", "node-name"] {
                    if let Some(id) = drive.owned(key) {
                        self.nodes.insert(id, self.drives.len());
                    }
                }
                self.drives.push(drive);
            }
        }
    }

    fn device(&self, id: &str) -> Option<&Properties> {
        self.device_ids.get(id).map(|index| &self.devices[*index])
    }

    /// The disk a `-device` is, `None` when it is something else.
    fn disk(&self, device: &Properties) -> Option<DiskDevice> {
        let model = device.get("driver")?;
        if !is_disk(model) && device.get("drive").is_none() {
            return None;
        }
        let controller = if is_own_controller(model) { Some(device) } else { self.controller(device, model) };
        let drive = device.owned("drive");
        Some(DiskDevice {
            id: device.owned("id"),
            model: model.into(),
            controller: controller.and_then(|controller| controller.owned("driver")),
            controller_id: controller.and_then(|controller| controller.owned("id")),
            iothread: controller.and_then(iothread),
            aio: drive.as_deref().and_then(|drive| self.aio(drive)),
            drive,
        })
    }

    /// The device a disk's bus belongs to: bus `scsihw0.0` to device `scsihw0`. Without a bus QEMU takes the first
    /// that fits, which is certain only when there is just one.
    fn controller(&self, disk: &Properties, model: &str) -> Option<&Properties> {
        match disk.get("bus") {
            Some(bus) => self.device(bus).or_else(|| self.device(bus.rsplit_once('.')?.0)),
            None if model.starts_with("scsi-") => self.only_scsi_controller(),
            None => None,
        }
    }

    fn only_scsi_controller(&self) -> Option<&Properties> {
        match self.scsi_controllers[..] {
            [only] => Some(&self.devices[only]),
            _ => None,
        }
    }

    /// The kind of I/O of a drive: its own, or that of the nodes it stands on.
    fn aio(&self, drive: &str) -> Option<String> {
        /// No stack of formats and filters is deeper; also ends circles.
        const DEEPEST: usize = 8;
        let mut node = &self.drives[*self.nodes.get(drive)?];
        let mut prefix = String::new();
        for _ in 0..DEEPEST {
            if let Some(aio) = node.owned(&format!("{prefix}aio")) {
                return Some(aio);
            }
            prefix.push_str("file");
            match node.get(&prefix).and_then(|name| self.nodes.get(name)) {
                Some(below) => {
                    node = &self.drives[*below];
                    prefix.clear();
                }
                None => prefix.push('.'),
            }
        }
        None
    }

    /// The devices QEMU makes of `-drive if=...`.
    fn implicit_disks(&self) -> impl Iterator<Item = DiskDevice> {
        let mut next_virtio = 0;
        self.drives.iter().filter_map(move |drive| {
            let id = drive.owned("id");
            let aio = drive.owned("aio").or_else(|| drive.owned("file.aio"));
            let cdrom = drive.get("media") == Some("cdrom");
            let disk = |model: &str| DiskDevice {
                drive: id.clone(),
                model: model.into(),
                aio: aio.clone(),
                ..DiskDevice::default()
            };
            match drive.get("if")? {
                "virtio" => {
                    let index = drive.get("index").and_then(|index| index.parse().ok()).unwrap_or(next_virtio);
                    next_virtio = u64::saturating_add(index, 1);
                    let drive = id.clone().or_else(|| Some(format!("virtio{index}")));
                    Some(DiskDevice { drive, controller: Some("virtio-blk".into()), ..disk("virtio-blk") })
                }
                "scsi" => {
                    let controller = self.only_scsi_controller();
                    Some(DiskDevice {
                        controller: controller.and_then(|controller| controller.owned("driver")),
                        controller_id: controller.and_then(|controller| controller.owned("id")),
                        iothread: controller.and_then(iothread),
                        ..disk(if cdrom { "scsi-cd" } else { "scsi-hd" })
                    })
                }
                "ide" => Some(disk(if cdrom { "ide-cd" } else { "ide-hd" })),
                _ => None,
            }
        })
    }
}

fn iothread(controller: &Properties) -> Option<String> {
    if controller.has_below("iothread-vq-mapping") {
        return Some(MULTIPLE_IOTHREADS.into());
    }
    controller.owned("iothread")
}

/// Devices that are disks even without a drive. An NVMe controller without one has its disks as `nvme-ns`.
fn is_disk(model: &str) -> bool {
    (is_own_controller(model) && model != "nvme")
        || ["scsi-hd", "scsi-cd", "scsi-disk", "scsi-block", "scsi-generic", "ide-hd", "ide-cd", "ide-drive", "nvme-ns"]
            .contains(&model)
}

/// Disks that are on no bus for disks.
fn is_own_controller(model: &str) -> bool {
    model.starts_with("virtio-blk") || model.starts_with("vhost-user-blk") || model == "nvme"
}

fn is_scsi_controller(model: &str) -> bool {
    ["virtio-scsi", "lsi", "megasas", "mptsas", "am53c974", "dc390", "pvscsi", "spapr-vscsi"]
        .iter()
        .any(|family| model.starts_with(family))
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;
