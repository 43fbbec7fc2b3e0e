//! The stall of 2026-06-11 on real QEMUs: what the exporter serves, and what a real Prometheus makes of it.

mod common;

use common::{Exporter, Samples, rules};
use flatline_lab::scenarios::{Controller, DiskVm, Proxmox, VmDisk, vm_disk};
use flatline_lab::{AlertState, Guest, GuestBuilder, Prometheus, Qemu, Scrape, skipped};
use std::time::{Duration, Instant};

/// Emulated guests on a busy machine: generous.
const SOON: Duration = Duration::from_secs(180);
/// A few times the windows below.
const A_WHILE: Duration = Duration::from_secs(15);
/// The production rules with windows a test can wait for.
const RULES: &str = "scrape_interval: 1s\nvm:\n  stalled_window: 5s\n  write_zero_window: 5s\n  \
     write_zero_baseline: 200s\n  gone_after: 30s\n  qmp_unresponsive_for: 6s\n  io_error_for: 5s\n";

/// Some machines, an exporter that asks them, and a Prometheus that judges.
struct Watch {
    exporter: Exporter,
    prometheus: Prometheus,
}

impl Watch {
    fn over(machines: &[&DiskVm]) -> Self {
        let sockets = machines.iter().map(|vm| format!("--collector.vm.sockets={}", vm.socket().display()));
        Self::with(&sockets.collect::<Vec<_>>())
    }

    fn with(arguments: &[String]) -> Self {
        let fixed = ["--collector.disable-defaults", "--collector.vm", "--scrape.deadline=900ms"].map(str::to_owned);
        let exporter = Exporter::start(&[&fixed, arguments].concat());
        let rules = rules(RULES);
        let prometheus = Prometheus::builder()
            .scrape(Scrape::new("flatline", exporter.address()))
            .rule_file(rules.path().join("rules/flatline.rules.yml"))
            .start()
            .expect("Prometheus starts");
        prometheus.wait_until("up == 1", SOON).expect("scraped");
        Self { exporter, prometheus }
    }

    fn fires(&self, alert: &str, labels: &[(&str, &str)]) {
        let fired = self.prometheus.wait_for_alert(alert, AlertState::Firing, SOON);
        let fired = fired.unwrap_or_else(|error| panic!("{error}\n{:#?}", self.exporter.scrape()));
        for (name, value) in labels {
            assert_eq!(fired.labels.get(*name).map(String::as_str), Some(*value), "{fired:?}");
        }
    }

    fn resolves(&self, alert: &str) {
        self.prometheus.wait_for_no_alert(alert, SOON).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The alerts about virtual machines that page.
    fn firing(&self) -> Vec<(String, String)> {
        let alerts = self.prometheus.alerts().expect("alerts");
        let vm = alerts.into_iter().filter(|alert| alert.name.starts_with("Vm") && alert.state == AlertState::Firing);
        let paging = vm.filter(|alert| alert.labels.get("severity").is_some_and(|severity| severity == "page"));
        paging.map(|alert| (alert.name, alert.labels["vm"].clone())).collect()
    }

    fn stays_silent(&self, while_what: &str) {
        let end = Instant::now() + A_WHILE;
        while Instant::now() < end {
            assert_eq!(self.firing(), [], "while {while_what}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// A scrape in which the machine has told all there is of this disk: on a busy machine one may be late.
    fn answer_of(&self, vm: &str, id: &str) -> Samples {
        self.exporter.scrape_until(&format!("{vm} answers"), |samples| {
            up(samples, vm) && disk(samples, "inflight_requests", vm, id).is_some()
        })
    }

    fn writes(&self, vm: &str, disk: &str) {
        let series = format!("flatline_vm_disk_writes_completed_total{{vm=\"{vm}\",disk=\"{disk}\"}}");
        let told = |samples: &Samples| samples.get(&series).is_some();
        let before = self.exporter.scrape_until(&format!("{vm} answers"), told).get(&series);
        self.exporter.scrape_until(&format!("{vm} writes"), |samples| samples.get(&series) > before);
    }
}

fn boot(builder: GuestBuilder, name: &str, vm: &VmDisk) -> DiskVm {
    let vm = VmDisk { name: name.to_owned(), ..vm.clone() };
    vm_disk(builder.memory_mib(192).boot_deadline(SOON), &vm).expect("guest")
}

fn disk(samples: &Samples, metric: &str, vm: &str, disk: &str) -> Option<f64> {
    samples.get(&format!("flatline_vm_disk_{metric}{{vm=\"{vm}\",disk=\"{disk}\"}}"))
}

fn up(samples: &Samples, vm: &str) -> bool {
    samples.get(&format!("flatline_vm_qmp_up{{vm=\"{vm}\"}}")) == Some(1.0)
}

/// QMP answers, the guest runs, requests are in flight, and nothing moves.
fn assert_dead_but_alive(watch: &Watch, vm: &str, id: &str) {
    let [first, second] = [(); 2].map(|()| {
        std::thread::sleep(Duration::from_secs(1));
        watch.answer_of(vm, id)
    });
    for samples in [&first, &second] {
        assert_eq!(samples.get(&format!("flatline_vm_status{{vm=\"{vm}\",status=\"running\"}}")), Some(1.0));
        assert!(disk(samples, "inflight_requests", vm, id) >= Some(1.0), "{samples:#?}");
    }
    for metric in ["writes_completed_total", "written_bytes_total", "last_progress_timestamp_seconds"] {
        assert_eq!(disk(&first, metric, vm, id), disk(&second, metric, vm, id), "{metric}");
    }
    assert!(disk(&first, "idle_seconds", vm, id) < disk(&second, "idle_seconds", vm, id));
}

#[test]
fn a_virtio_disk_that_dies_fires_and_its_look_alikes_do_not() {
    let virtio_blk = VmDisk { controller: Controller::VirtioBlk { iothread: false }, ..VmDisk::default() };
    let busy = boot(Guest::builder(), "busy", &virtio_blk);
    let idle = boot(Guest::builder(), "idle", &VmDisk { writing: false, ..VmDisk::default() });
    let watch = Watch::over(&[&busy, &idle]);
    watch.writes("busy", "virtio0");
    watch.stays_silent("the machines are fresh");

    // A slow throttle keeps requests in flight, and they get through.
    busy.throttle(0, 4096).expect("throttle");
    watch
        .exporter
        .scrape_until("in flight", |samples| disk(samples, "inflight_requests", "busy", "virtio0") >= Some(1.0));
    watch.stays_silent("the disk is slow");
    let limit = "flatline_vm_disk_throttle_bytes_per_second{vm=\"busy\",disk=\"virtio0\",direction=\"write\"}";
    let throttled = watch.exporter.scrape_until("its limit is told", |samples| samples.get(limit).is_some());
    assert_eq!(throttled.get(limit), Some(4096.0));
    assert_eq!(disk(&throttled, "throttle_changes_total", "busy", "virtio0"), Some(1.0));
    busy.throttle(0, 0).expect("release");
    watch.writes("busy", "virtio0");

    busy.pause().expect("pause");
    watch.exporter.scrape_until("paused", |samples| {
        samples.get("flatline_vm_status{vm=\"busy\",status=\"paused\"}") == Some(1.0)
    });
    watch.stays_silent("the machine is paused");
    busy.unpause().expect("unpause");

    busy.guest().reset(SOON).expect("reboot");
    watch.writes("busy", "virtio0");
    watch.stays_silent("the machine has been rebooted");

    busy.freeze(0).expect("freeze");
    watch.fires("VmDiskStalled", &[("vm", "busy"), ("disk", "virtio0"), ("severity", "page")]);
    assert_dead_but_alive(&watch, "busy", "virtio0");
    assert!(watch.firing().iter().all(|(_, vm)| vm == "busy"), "{:?}", watch.firing());
    busy.thaw(0).expect("thaw");
    watch.writes("busy", "virtio0");
    watch.resolves("VmDiskStalled");
    assert_eq!(disk(&watch.answer_of("idle", "scsi0"), "inflight_requests", "idle", "scsi0"), Some(0.0));
}

/// Throttled to death as well, found as on a Proxmox host, with an I/O thread, on the newest QEMU there is.
#[test]
fn the_newest_qemu_tells_the_same() {
    let qemu = match Qemu::newest() {
        Ok(qemu) => qemu,
        Err(error) => return skipped("a dead disk on the newest QEMU, seen by the exporter", error),
    };
    let config = "name: devvm\nscsi0: local-lvm:vm-102-disk-0,iothread=1,size=16M\nscsihw: virtio-scsi-single\n";
    let proxmox = Some(Proxmox { vmid: 102, config: config.to_owned() });
    let vm = boot(Guest::builder().qemu(qemu.clone()), "qemu-calls-it-so", &VmDisk { proxmox, ..VmDisk::default() });
    let root = vm.proxmox_root().expect("asked for").display().to_string();
    let watch = Watch::with(&[format!("--path.rootfs={root}")]);
    watch.writes("devvm", "scsi0");
    let samples = watch.exporter.scrape_until("its command line is read", |samples| {
        samples.any("flatline_vm_disk_info{vm=\"devvm\",disk=\"scsi0\",controller=\"virtio-scsi-pci\"")
    });
    assert!(samples.0.keys().any(|series| series.starts_with("flatline_vm_disk_info")
        && series.contains("iothread=\"iothread-virtioscsi0\"")
        && series.contains("io_status=\"ok\"")));
    let version = format!("qemu_version=\"{}", qemu.version());
    assert!(samples.0.keys().any(|series| series.starts_with("flatline_vm_info") && series.contains(&version)));

    vm.throttle(0, 1).expect("throttle");
    watch.fires("VmDiskStalled", &[("vm", "devvm"), ("disk", "scsi0")]);
    assert_dead_but_alive(&watch, "devvm", "scsi0");
    vm.throttle(0, 0).expect("release");
    watch.resolves("VmDiskStalled");
    watch.writes("devvm", "scsi0");

    vm.freeze(0).expect("freeze");
    watch.fires("VmDiskStalled", &[("vm", "devvm"), ("disk", "scsi0")]);
    assert_dead_but_alive(&watch, "devvm", "scsi0");
    vm.thaw(0).expect("thaw");
    watch.resolves("VmDiskStalled");
}

/// LSI tells nothing of requests in flight, and after some 40 seconds the guest's reset of the controller may take
/// QEMU's main loop down: one incident, two alerts that hand it over, and no moment without either.
#[test]
fn a_dead_lsi_disk_is_one_story_from_beginning_to_end() {
    let vm = boot(Guest::builder(), "old", &VmDisk { controller: Controller::Lsi, ..VmDisk::default() });
    let watch = Watch::over(&[&vm]);
    watch.writes("old", "scsi0");
    let legacy = "flatline_vm_disk_info{controller=\"lsi53c895a\"}";
    watch.prometheus.wait_until(legacy, SOON).expect("the controller is known");
    // Half the baseline must have been seen before silence means something.
    let known = "flatline:vm_disk_writes:usual{vm=\"old\",disk=\"scsi0\"} > 0.5";
    watch.prometheus.wait_until(known, SOON * 3).expect("a baseline");
    assert_eq!(watch.firing(), []);

    vm.freeze(0).expect("freeze");
    watch.fires("VmDiskWriteZero", &[("vm", "old"), ("disk", "scsi0")]);
    let samples = watch.exporter.scrape_until("it answers", |samples| up(samples, "old"));
    assert!(disk(&samples, "inflight_requests", "old", "scsi0").is_none());
    let mut unresponsive = false;
    let end = Instant::now() + Duration::from_secs(75);
    while Instant::now() < end {
        let firing = watch.firing();
        assert!(!firing.is_empty(), "the story has a gap");
        unresponsive |= firing.iter().any(|(alert, _)| alert == "VmQmpUnresponsive");
        std::thread::sleep(Duration::from_millis(500));
    }
    eprintln!("QEMU's main loop was {}", if unresponsive { "taken down by the reset" } else { "spared" });
    vm.thaw(0).expect("thaw");
    watch.resolves("VmQmpUnresponsive");
    watch.writes("old", "scsi0");
    watch.resolves("VmDiskWriteZero");
}

#[test]
fn a_stopped_qemu_is_unresponsive_and_its_neighbour_unharmed() {
    let stopped = boot(Guest::builder(), "stopped", &VmDisk::default());
    let neighbour = boot(Guest::builder(), "neighbour", &VmDisk::default());
    let watch = Watch::over(&[&stopped, &neighbour]);
    watch.writes("stopped", "scsi0");
    stopped.stop_process().expect("stop");
    watch.fires("VmQmpUnresponsive", &[("vm", "stopped")]);
    let samples = watch.exporter.scrape_until("the neighbour answers", |samples| up(samples, "neighbour"));
    let state = |state| samples.get(&format!("flatline_vm_qmp_state{{vm=\"stopped\",state=\"{state}\"}}"));
    assert_eq!([state("no_greeting"), state("busy"), state("up")], [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(samples.get("flatline_vm_process_state{vm=\"stopped\",state=\"stopped\"}"), Some(1.0));
    assert_eq!(disk(&samples, "writes_completed_total", "stopped", "scsi0"), None, "absent, not 0");
    watch.writes("neighbour", "scsi0");
    assert!(watch.firing().iter().all(|(_, vm)| vm == "stopped"), "{:?}", watch.firing());
    stopped.continue_process().expect("continue");
    watch.resolves("VmQmpUnresponsive");
    watch.writes("stopped", "scsi0");
}
