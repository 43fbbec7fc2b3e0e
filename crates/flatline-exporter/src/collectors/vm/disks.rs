//! From the answers of one QEMU to its disks: whose requests are in flight, and when each last made progress.

use super::reading::seconds;
use flatline_qmp::{Block, BlockStats, Inserted, Poll, Stats};
use flatline_sources::vm::{DiskDevice, ProxmoxConfig};
use std::collections::HashMap;

/// More disks than any machine has; beyond, they are left out and counted.
const MAX_DISKS: usize = 128;

/// A disk as the newest answer shows it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) name: String,
    pub(super) stats: Stats,
    pub(super) in_flight: Option<u64>,
    /// Unix time.
    pub(super) last_progress: f64,
    pub(super) controller: String,
    pub(super) iothread: String,
    pub(super) aio: String,
    pub(super) format: String,
    pub(super) io_status: String,
    pub(super) limits: Option<Limits>,
    pub(super) throttle_changes: u64,
}

/// Limits in force, 0 for none: total, read, write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) bytes: [u64; 3],
    pub(super) operations: [u64; 3],
}

/// What is known of a machine's disks besides QEMU's answers.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// From QEMU's command line.
    pub(super) devices: Option<Vec<DiskDevice>>,
    /// From Proxmox's configuration.
    pub(super) proxmox: Option<ProxmoxConfig>,
}

/// What must be remembered from one poll to the next.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    disks: HashMap<String, Seen>,
    /// The used index of every queue of a virtio device.
    used: HashMap<String, Vec<Option<u16>>>,
}

#[derive(Debug)]
struct Seen {
    operations: Option<u64>,
    last_progress: f64,
    limits: Option<Limits>,
    throttle_changes: u64,
}

/// The virtqueues of one device.
#[derive(Debug, Clone, Copy)]
struct Queues {
    in_flight: u64,
    /// Whether requests were completed since the poll before; not known at the first.
    moved: Option<bool>,
    /// Disks whose requests go through them.
    disks: usize,
}

impl Queues {
    /// The requests that are certainly this disk's to wait for. Where several disks share the queues, that is known
    /// while they are empty, and while nothing at all gets through.
    fn attributable(&self) -> Option<u64> {
        (self.disks == 1 || self.in_flight == 0 || self.moved == Some(false)).then_some(self.in_flight)
    }
}

impl Tracker {
    /// The disks of an answer that came at `now` (Unix time), and how many were left out.
    pub(super) fn update(&mut self, poll: &Poll, details: &Details, now: f64) -> (Vec<Disk>, usize) {
        let Some(all) = poll.block_stats.as_ref() else { return (Vec::new(), 0) };
        let blocks = poll.blocks.as_deref().unwrap_or_default();
        let mut disks: Vec<Disk> = Vec::with_capacity(all.len().min(MAX_DISKS));
        let mut devices = Vec::with_capacity(disks.capacity());
        for stats in all.iter().take(MAX_DISKS) {
            let name = unique(name(stats), &disks);
            let detail = details.devices.iter().flatten().find(|device| is_device(device, &name, stats));
            devices.push(virtio_device(poll, stats, &name, detail));
            let block = blocks.iter().find(|block| same_device(block, stats));
            disks.push(describe(name, stats, block, detail, details.proxmox.as_ref()));
        }
        let queues = self.queues(poll, &devices);
        for (disk, device) in disks.iter_mut().zip(&devices) {
            self.advance(disk, device.and_then(|device| queues.get(device)), now);
        }
        self.disks.retain(|name, _| disks.iter().any(|disk| disk.name == *name));
        (disks, all.len().saturating_sub(MAX_DISKS))
    }

    /// Sums each device's queues and compares its used indices (16 bits: for equality only) with the poll before.
    fn queues<'p>(&mut self, poll: &'p Poll, devices: &[Option<&str>]) -> HashMap<&'p str, Queues> {
        let mut used = HashMap::with_capacity(poll.queues.len());
        let mut summed = HashMap::with_capacity(poll.queues.len());
        for (device, queues) in &poll.queues {
            let indices: Vec<Option<u16>> = queues.iter().map(|queue| queue.used_idx).collect();
            let moved = self.used.get(device).map(|before| *before != indices);
            let in_flight = queues.iter().map(|queue| queue.inuse).sum();
            let disks = devices.iter().filter(|other| **other == Some(device)).count();
            summed.insert(device.as_str(), Queues { in_flight, moved, disks });
            used.insert(device.clone(), indices);
        }
        self.used = used;
        summed
    }

    /// Compares the disk with what it was the poll before.
    fn advance(&mut self, disk: &mut Disk, queues: Option<&Queues>, now: f64) {
        let operations = operations(&disk.stats);
        // QEMU knows better than we when the last request was completed, even from before we first looked.
        let completed = disk.stats.idle_time_ns.map_or(now, |idle| now - seconds(idle));
        let seen = self.disks.entry(disk.name.clone()).or_insert(Seen {
            operations,
            last_progress: completed,
            limits: disk.limits,
            throttle_changes: 0,
        });
        if seen.operations != operations {
            seen.operations = operations;
            seen.last_progress = completed;
        } else if queues.is_some_and(|queues| queues.disks == 1 && queues.moved == Some(true)) {
            // A request that QEMU's block layer does not count, an INQUIRY for instance.
            seen.last_progress = now;
        }
        if disk.limits.is_some() && disk.limits != seen.limits {
            seen.throttle_changes += u64::from(seen.limits.is_some());
            seen.limits = disk.limits;
        }
        disk.last_progress = seen.last_progress;
        disk.throttle_changes = seen.throttle_changes;
        disk.in_flight = queues.and_then(Queues::attributable);
    }
}

/// Requests the disk has finished with, one way or another.
fn operations(stats: &Stats) -> Option<u64> {
    let finished = [
        stats.rd_operations,
        stats.wr_operations,
        stats.flush_operations,
        stats.unmap_operations,
        stats.failed_rd_operations,
        stats.failed_wr_operations,
        stats.failed_flush_operations,
        stats.failed_unmap_operations,
        stats.invalid_rd_operations,
        stats.invalid_wr_operations,
        stats.invalid_flush_operations,
        stats.invalid_unmap_operations,
    ];
    finished.into_iter().flatten().reduce(u64::wrapping_add)
}

/// The device's own name: its id (`scsi0`, the last word of `/machine/peripheral/virtio0/virtio-backend`), else the
/// drive's without the prefix management tools give it, else the block node's.
fn name(stats: &BlockStats) -> String {
    let id = stats.qdev.as_deref().and_then(device_id);
    let drive = stats.device.strip_prefix("drive-").unwrap_or(&stats.device);
    let node = stats.node_name.as_deref().unwrap_or_default();
    [id.unwrap_or_default(), drive, node].into_iter().find(|name| !name.is_empty()).unwrap_or("unnamed").to_owned()
}

/// The id in a QOM path or plain id; devices without one are numbered by QEMU anew at each start and have none.
fn device_id(qdev: &str) -> Option<&str> {
    let id = qdev.strip_suffix("/virtio-backend").unwrap_or(qdev);
    match id.strip_prefix('/') {
        None => Some(id),
        Some(_) => id.strip_prefix("/machine/peripheral/"),
    }
}

/// Two disks of a machine never share a name either.
fn unique(name: String, disks: &[Disk]) -> String {
    let taken = |name: &str| disks.iter().any(|disk| disk.name == name);
    if !taken(&name) {
        return name;
    }
    (2..).map(|number| format!("{name}#{number}")).find(|candidate| !taken(candidate)).unwrap_or(name)
}

/// Whether an entry of query-block and one of query-blockstats are about one device.
fn same_device(block: &Block, stats: &BlockStats) -> bool {
    match (&block.qdev, &stats.qdev) {
        (Some(block), Some(stats)) => block == stats,
        _ => !block.device.is_empty() && block.device == stats.device,
    }
}

fn is_device(device: &DiskDevice, name: &str, stats: &BlockStats) -> bool {
    device.id.as_deref() == Some(name)
        || device.drive.as_deref().is_some_and(|drive| !drive.is_empty() && drive == stats.device)
}

/// The virtio device whose queues carry the disk's requests, as its path in `x-query-virtio`.
fn virtio_device<'p>(poll: &'p Poll, stats: &BlockStats, name: &str, detail: Option<&DiskDevice>) -> Option<&'p str> {
    let devices = poll.virtio.as_deref().unwrap_or_default();
    let path = |id: &str| {
        let device = devices.iter().find(|device| device_id(&device.path) == Some(id));
        device.map(|device| device.path.as_str())
    };
    if let Some(own) = devices.iter().find(|device| stats.qdev.as_deref() == Some(&device.path)) {
        return Some(&own.path);
    }
    if let Some(detail) = detail {
        return detail.controller_id.as_deref().and_then(path);
    }
    // Without the command line: as Proxmox names them, or the only SCSI controller there is.
    let number = name.strip_prefix("scsi")?;
    let mut controllers = devices.iter().filter(|device| device.name == "virtio-scsi");
    path(&format!("virtioscsi{number}")).or_else(|| match (controllers.next(), controllers.next()) {
        (Some(only), None) => Some(only.path.as_str()),
        _ => None,
    })
}

fn describe(
    name: String,
    stats: &BlockStats,
    block: Option<&Block>,
    detail: Option<&DiskDevice>,
    proxmox: Option<&ProxmoxConfig>,
) -> Disk {
    let configured = proxmox.and_then(|config| config.disks.iter().find(|disk| disk.key == name));
    let inserted = block.and_then(|block| block.inserted.as_ref());
    let iothread = match (detail, configured) {
        (Some(detail), _) => detail.iothread.clone().unwrap_or_else(|| "none".to_owned()),
        (None, Some(configured)) => if configured.iothread { "yes" } else { "none" }.to_owned(),
        (None, None) => String::new(),
    };
    let aio = detail.and_then(|detail| detail.aio.clone()).or_else(|| configured?.aio.clone());
    let controller = detail.and_then(|detail| detail.controller.as_deref()).map(unaliased);
    let controller = controller.or_else(|| configured_controller(&name, proxmox?)).unwrap_or_default().to_owned();
    Disk {
        name,
        stats: stats.stats.clone(),
        controller,
        iothread,
        aio: aio.unwrap_or_default(),
        format: inserted.and_then(|inserted| inserted.drv.clone()).unwrap_or_default(),
        io_status: block.and_then(|block| block.io_status.clone()).unwrap_or_default(),
        limits: inserted.and_then(limits),
        ..Disk::default()
    }
}

fn limits(inserted: &Inserted) -> Option<Limits> {
    Some(Limits {
        bytes: [inserted.bps?, inserted.bps_rd?, inserted.bps_wr?],
        operations: [inserted.iops?, inserted.iops_rd?, inserted.iops_wr?],
    })
}

/// The controller's device model as Proxmox starts it (`qm.conf(5)`, `scsihw`; its default is `lsi`).
fn configured_controller(disk: &str, config: &ProxmoxConfig) -> Option<&'static str> {
    let model = match disk.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "scsi" => match config.scsihw.as_deref().unwrap_or("lsi") {
            "lsi" => "lsi53c895a",
            "lsi53c810" => "lsi53c810",
            "megasas" => "megasas",
            "pvscsi" => "pvscsi",
            _ => "virtio-scsi-pci",
        },
        "virtio" => "virtio-blk-pci",
        "sata" => "ahci",
        "ide" => "piix3-ide",
        _ => return None,
    };
    Some(model)
}

/// Proxmox starts the LSI controller by an alias (`qdev_alias_table` in QEMU's `system/qdev-monitor.c`).
fn unaliased(model: &str) -> &str {
    if model == "lsi" { "lsi53c895a" } else { model }
}
