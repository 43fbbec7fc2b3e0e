//! From the answers of one QEMU to its disks: whose requests are in flight, and when each last made progress.

use super::names::cut;
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
            let in_flight = queues.iter().fold(0, |sum: u64, queue| sum.saturating_add(queue.inuse));
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

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days, beyond which microseconds do not matter")]
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
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
    let name = [id.unwrap_or_default(), drive, node].into_iter().find(|name| !name.is_empty()).unwrap_or("unnamed");
    cut(name).to_owned()
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
    let id = stats.qdev.as_deref().and_then(device_id);
    if let Some(own) = id.and_then(path) {
        return Some(own);
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
        (Some(detail), _) => detail.iothread.as_deref().unwrap_or("none"),
        (None, Some(configured)) if configured.iothread => "yes",
        (None, Some(_)) => "none",
        (None, None) => "",
    };
    let aio = detail.and_then(|detail| detail.aio.as_deref()).or_else(|| configured?.aio.as_deref());
    let controller = detail.and_then(|detail| detail.controller.as_deref()).map(unaliased);
    let controller = controller.or_else(|| configured_controller(&name, proxmox?));
    let format = inserted.and_then(|inserted| inserted.drv.as_deref());
    let io_status = block.and_then(|block| block.io_status.as_deref());
    let label = |text: Option<&str>| cut(text.unwrap_or_default()).to_owned();
    Disk {
        name,
        stats: stats.stats.clone(),
        controller: label(controller),
        iothread: label(Some(iothread)),
        aio: label(aio),
        format: label(format),
        io_status: label(io_status),
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

#[cfg(test)]
mod tests {
    use super::{Details, Disk, Limits, Tracker, name};
    use flatline_qmp::{Block, BlockStats, Inserted, Poll, QueueStatus, Stats, VirtioDevice};
    use flatline_sources::vm::{DiskDevice, proxmox};

    const START: f64 = 1_000_000.0;

    fn stats(id: &str, writes: u64) -> BlockStats {
        let stats = Stats { wr_operations: Some(writes), ..Stats::default() };
        BlockStats { device: format!("drive-{id}"), qdev: Some(id.to_owned()), node_name: None, stats }
    }

    fn path(device: &str) -> String {
        format!("/machine/peripheral/{device}/virtio-backend")
    }

    /// A poll of disks with so many writes, and of virtio devices with (in flight, used index) each.
    fn poll(disks: &[(&str, u64)], devices: &[(&str, u64, u16)]) -> Poll {
        let device = |(id, ..): &(&str, u64, u16)| {
            let name = if id.contains("scsi") { "virtio-scsi" } else { "virtio-blk" };
            VirtioDevice { path: path(id), name: name.to_owned() }
        };
        Poll {
            block_stats: Some(disks.iter().map(|(id, writes)| stats(id, *writes)).collect()),
            virtio: Some(devices.iter().map(device).collect()),
            queues: devices
                .iter()
                .map(|(id, inuse, used)| {
                    (
                        path(id),
                        vec![QueueStatus {
                            inuse: *inuse,
                            used_idx: Some(*used),
                            last_avail_idx: None,
                            queue_index: None,
                        }],
                    )
                })
                .collect(),
            ..Poll::default()
        }
    }

    fn on(controller: &str, disks: &[&str]) -> Details {
        let device = |id: &&str| DiskDevice {
            id: Some((*id).to_owned()),
            controller: Some("virtio-scsi-pci".to_owned()),
            controller_id: Some(controller.to_owned()),
            ..DiskDevice::default()
        };
        Details { devices: Some(disks.iter().map(device).collect()), proxmox: None }
    }

    fn seen(disks: &[Disk]) -> Vec<(Option<u64>, f64)> {
        disks.iter().map(|disk| (disk.in_flight, disk.last_progress - START)).collect()
    }

    #[test]
    fn what_becomes_a_label_is_cut() {
        let long = "x".repeat(1000);
        let mut poll = poll(&[(&long, 1), (&long, 2)], &[]);
        let inserted = Inserted { drv: Some(long.clone()), ..Inserted::default() };
        poll.blocks = Some(vec![Block {
            device: format!("drive-{long}"),
            qdev: Some(long.clone()),
            io_status: Some(long.clone()),
            inserted: Some(inserted),
            ..Block::default()
        }]);
        let (disks, _) = Tracker::default().update(&poll, &Details::default(), START);
        let cut = "x".repeat(128);
        let names: Vec<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, [cut.clone(), format!("{cut}#2")]);
        assert!(disks.iter().all(|disk| disk.format == cut && disk.io_status == cut));
    }

    /// A monitor may claim any number.
    #[test]
    fn queues_that_can_not_be_so_full_are_no_panic() {
        let mut poll = poll(&[("virtio0", 1)], &[("virtio0", u64::MAX, 1)]);
        let queues = poll.queues.values_mut().next().expect("a device");
        queues.push(queues[0]);
        let (disks, _) = Tracker::default().update(&poll, &Details::default(), START);
        assert_eq!(disks[0].in_flight, Some(u64::MAX));
    }

    #[test]
    fn a_disk_is_named_by_its_device_before_its_drive_and_node() {
        let named = |qdev: Option<&str>, device: &str, node: Option<&str>| {
            name(&BlockStats {
                qdev: qdev.map(str::to_owned),
                device: device.to_owned(),
                node_name: node.map(str::to_owned),
                stats: Stats::default(),
            })
        };
        assert_eq!(named(Some("scsi0"), "drive-scsi0", Some("#block1")), "scsi0");
        assert_eq!(named(Some("/machine/peripheral/virtio0/virtio-backend"), "drive-scsi0", None), "virtio0");
        assert_eq!(named(Some("/machine/peripheral/ide2"), "", None), "ide2");
        // QEMU numbers unattached devices anew at each start.
        assert_eq!(named(Some("/machine/unattached/device[23]"), "ide1-cd0", None), "ide1-cd0");
        assert_eq!(named(None, "drive-efidisk0", None), "efidisk0");
        assert_eq!(named(None, "", Some("libvirt-1-format")), "libvirt-1-format");
        assert_eq!(named(None, "", None), "unnamed");
    }

    #[test]
    fn disks_of_one_name_are_told_apart() {
        let (disks, left_out) =
            Tracker::default().update(&poll(&[("a", 1), ("a", 2), ("a", 3)], &[]), &Details::default(), START);
        assert_eq!(disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["a", "a#2", "a#3"]);
        assert_eq!(left_out, 0);
        let many: Vec<(&str, u64)> = (0..130).map(|n| ("b", n)).collect();
        let (disks, left_out) = Tracker::default().update(&poll(&many, &[]), &Details::default(), START);
        assert_eq!((disks.len(), left_out), (128, 2));
    }

    #[test]
    fn progress_is_when_requests_were_last_completed_and_survives_a_restart_of_the_exporter() {
        let mut tracker = Tracker::default();
        let mut stalled = poll(&[("virtio0", 5)], &[("virtio0", 1, 5)]);
        if let Some(disks) = stalled.block_stats.as_mut() {
            disks[0].stats.idle_time_ns = Some(60_000_000_000);
        }
        let (disks, _) = tracker.update(&stalled, &Details::default(), START + 60.0);
        assert_eq!(seen(&disks), [(Some(1), 0.0)]);
        let (disks, _) = tracker.update(&stalled, &Details::default(), START + 75.0);
        assert_eq!(seen(&disks), [(Some(1), 0.0)], "and stands still");
        let (disks, _) =
            tracker.update(&poll(&[("virtio0", 6)], &[("virtio0", 1, 6)]), &Details::default(), START + 90.0);
        assert_eq!(seen(&disks), [(Some(1), 90.0)], "a slow disk is no dead one");
        // QEMU was started anew: other counters are progress too.
        let (disks, _) =
            tracker.update(&poll(&[("virtio0", 0)], &[("virtio0", 0, 0)]), &Details::default(), START + 99.0);
        assert_eq!(seen(&disks), [(Some(0), 99.0)]);
    }

    #[test]
    fn a_request_the_block_layer_does_not_count_is_progress_on_a_queue_of_ones_own() {
        let mut tracker = Tracker::default();
        let details = on("virtioscsi0", &["scsi0"]);
        tracker.update(&poll(&[("scsi0", 5)], &[("virtioscsi0", 1, 65_535)]), &details, START);
        let (disks, _) = tracker.update(&poll(&[("scsi0", 5)], &[("virtioscsi0", 1, 0)]), &details, START + 15.0);
        assert_eq!(seen(&disks), [(Some(1), 15.0)]);
    }

    #[test]
    fn on_a_shared_controller_requests_have_an_owner_only_while_nothing_moves() {
        let mut tracker = Tracker::default();
        let details = on("scsihw0", &["scsi0", "scsi1"]);
        let mut look = |writes, in_flight, used, at| {
            let poll = poll(&[("scsi0", 5), ("scsi1", writes)], &[("scsihw0", in_flight, used)]);
            seen(&tracker.update(&poll, &details, START + at).0)
        };
        assert_eq!(look(1, 0, 10, 0.0), [(Some(0), 0.0), (Some(0), 0.0)], "empty queues are everybody's");
        // scsi1 is busy: whether scsi0 is idle or stuck can't be told.
        assert_eq!(look(9, 3, 18, 15.0), [(None, 0.0), (None, 15.0)]);
        // Now nothing gets through.
        assert_eq!(look(9, 3, 18, 30.0), [(Some(3), 0.0), (Some(3), 15.0)]);
    }

    #[test]
    fn at_the_first_look_a_shared_controller_says_nothing() {
        let details = on("scsihw0", &["scsi0", "scsi1"]);
        let first = poll(&[("scsi0", 5), ("scsi1", 1)], &[("scsihw0", 3, 18)]);
        assert_eq!(seen(&Tracker::default().update(&first, &details, START).0), [(None, 0.0), (None, 0.0)]);
    }

    #[test]
    fn without_a_command_line_proxmox_names_tell_the_controller() {
        let (disks, _) = Tracker::default().update(
            &poll(&[("scsi1", 1), ("scsi0", 1), ("ide2", 0)], &[("virtioscsi0", 7, 1), ("virtioscsi1", 8, 1)]),
            &Details::default(),
            START,
        );
        assert_eq!(disks.iter().map(|disk| disk.in_flight).collect::<Vec<_>>(), [Some(8), Some(7), None]);
        let proxmox =
            proxmox::parse(b"scsihw: virtio-scsi-single\nscsi0: local:vm-1-disk-0,iothread=1,aio=threads\nsata0: x\n");
        let details = Details { devices: None, proxmox: Some(proxmox) };
        let (disks, _) = Tracker::default().update(&poll(&[("scsi0", 1), ("sata0", 1)], &[]), &details, START);
        let told: Vec<_> = disks.iter().map(|disk| [&*disk.controller, &*disk.iothread, &*disk.aio]).collect();
        assert_eq!(told, [["virtio-scsi-pci", "yes", "threads"], ["ahci", "none", ""]]);
    }

    #[test]
    fn an_lsi_disk_beside_a_virtio_controller_is_not_given_its_requests() {
        let mut details = on("virtioscsi0", &["scsi0"]);
        let lsi =
            DiskDevice { id: Some("scsi5".to_owned()), controller: Some("lsi".to_owned()), ..DiskDevice::default() };
        details.devices.as_mut().expect("known").push(lsi);
        let (disks, _) =
            Tracker::default().update(&poll(&[("scsi0", 1), ("scsi5", 1)], &[("virtioscsi0", 2, 1)]), &details, START);
        assert_eq!(disks.iter().map(|disk| disk.in_flight).collect::<Vec<_>>(), [Some(2), None]);
        assert_eq!(disks[1].controller, "lsi53c895a");
    }

    #[test]
    fn limits_that_change_between_polls_are_counted_and_a_missing_answer_is_no_change() {
        let mut tracker = Tracker::default();
        let mut look = |bps: Option<u64>| {
            let inserted = Inserted {
                bps,
                bps_rd: Some(0),
                bps_wr: Some(0),
                iops: Some(0),
                iops_rd: Some(0),
                iops_wr: Some(0),
                ..Inserted::default()
            };
            let block = Block { device: "drive-scsi0".to_owned(), inserted: Some(inserted), ..Block::default() };
            let poll = Poll { blocks: bps.map(|_| vec![block]), ..poll(&[("scsi0", 1)], &[]) };
            let (disks, _) = tracker.update(&poll, &Details::default(), START);
            (disks[0].limits, disks[0].throttle_changes)
        };
        let limit = |bps| Some(Limits { bytes: [bps, 0, 0], operations: [0; 3] });
        assert_eq!(look(Some(60)), (limit(60), 0));
        assert_eq!(look(Some(60)), (limit(60), 0));
        assert_eq!(look(Some(1)), (limit(1), 1));
        assert_eq!(look(None), (None, 1));
        assert_eq!(look(Some(1)), (limit(1), 1));
        assert_eq!(look(Some(0)), (limit(0), 2));
    }
}
