//! The incidents Flatline exists for, minute by minute, and when its alerts would have told of them.
//!
//! Each is told by its report: the times are the report's, and what the report does not give is named in `assumed`. The
//! series are those the exporter would have served. The tests have promtool evaluate all rules on them, and fail when an
//! alert comes a scrape earlier or later than is said here, or when one comes that is not named here. `docs/incidents.md`
//! is written from the same figures. They hold for the default configuration.

use flatline_catalog::{boots, crash_capture, kernel_log, memcg, reachability, units, vm};

use crate::config::Config;
use crate::model::{Case, Samples};
use crate::span::Span;

/// One incident.
#[derive(Debug)]
pub struct Incident {
    /// Its heading.
    pub title: &'static str,
    /// What was dead and looked alive.
    pub what: &'static str,
    /// When it began, by the report, in UTC unless the report gives another zone.
    pub began: &'static str,
    /// When somebody had acted, after it began: reports seldom give the moment in which somebody first noticed.
    pub noticed: Span,
    /// What that was.
    pub how: &'static str,
    /// What everything else said meanwhile, by the report.
    pub others: &'static str,
    /// What the report does not say and the series need.
    pub assumed: &'static str,
    /// What Flatline would not have seen, or not have proved.
    pub blind: &'static str,
    /// How long the series go on before it begins.
    pub before: Span,
    /// How long they go on in all.
    pub length: Span,
    /// The alerts, and how long after the beginning each begins to fire, every time that matters. No others fire.
    pub told: Vec<(&'static str, Span)>,
    /// The alerts that were firing before it began.
    pub standing: &'static [&'static str],
    /// What the exporter would have served.
    pub case: Case,
}

/// All whose reports give times, in the order of their days.
#[must_use]
pub fn all(config: &Config) -> Vec<Incident> {
    vec![mount_deadlock(config), host_crash(config), disk_stall(config), livelock(config)]
}

/// Samples of a series that is one thing before the beginning and another after it.
struct Clock {
    step: Span,
    before: u64,
    after: u64,
}

impl Clock {
    fn new(config: &Config, before: Span, after: Span) -> Self {
        let step = config.scrape_interval;
        Self { step, before: before.steps(step), after: after.steps(step) }
    }

    /// A counter that grows by that much in a second, before and after.
    fn grows(&self, before: f64, after: f64) -> Samples {
        let step = self.step.as_seconds();
        Samples::rising(0.0, before * step, self.before).climb(after * step, self.after)
    }

    /// A value, before and after.
    fn is(&self, before: f64, after: f64) -> Samples {
        Samples::flat(before, self.before).then(after, self.after)
    }

    /// Always the same.
    fn always(&self, value: f64) -> Samples {
        Samples::flat(value, self.before + self.after)
    }

    /// Nothing until that long after the beginning, then a value.
    fn from(&self, after: Span, value: f64) -> Samples {
        let skipped = after.steps(self.step);
        Samples::default().gap(self.before + skipped).then(value, self.after - skipped)
    }

    /// What each scrape gives, told its time on the clock of the test; none while the host is away.
    fn each(&self, value: impl Fn(f64) -> Option<f64>) -> Samples {
        let mut there = false;
        (0..self.before + self.after).fold(Samples::default(), |samples, scrape| {
            let now = value((self.step * scrape).as_seconds());
            let lost = there && now.is_none();
            there = now.is_some();
            match now {
                Some(value) => samples.then(value, 1),
                None if lost => samples.gone(),
                None => samples.gap(1),
            }
        })
    }

    /// That long after the beginning, as the clock of a test has it.
    fn at(&self, after: Span) -> f64 {
        (self.step * self.before + after).as_seconds()
    }
}

/// 2026-06-11: devvm's disk stalls inside QEMU.
fn disk_stall(config: &Config) -> Incident {
    let (before, noticed) = (Span::hours(4), Span::minutes(87));
    let clock = Clock::new(config, before, noticed);
    let hypervisor = (config.exporter.job.as_str(), "pve:10120");
    let machine = (&vm::VM, "devvm");
    let disk = [machine, (&vm::DISK, "scsi0")];
    let hardware = [
        (&vm::CONTROLLER, "lsi53c895a"),
        (&vm::IOTHREAD, ""),
        (&vm::AIO, "io_uring"),
        (&vm::FORMAT, "raw"),
        (&vm::IO_STATUS, "ok"),
    ];
    let case = Case::new(config, "VmDiskWriteZero", "devvm, 2026-06-11")
        .up((&config.devvm.job, "devvm:10120"), clock.is(1.0, 0.0))
        .up(hypervisor, clock.always(1.0))
        .series(&vm::QMP_STATE, hypervisor, &[machine, (&vm::STATE, "up")], clock.always(1.0))
        .series(&vm::VM_STATUS, hypervisor, &[machine, (&vm::STATUS, "running")], clock.always(1.0))
        .series(&vm::DISK_INFO, hypervisor, &[&disk[..], &hardware].concat(), clock.always(1.0))
        .series(&vm::WRITES_COMPLETED, hypervisor, &disk, clock.grows(40.0, 0.0));
    Incident {
        title: "devvm's disk stalls inside QEMU",
        what: "not one write completed for 87 minutes, while QMP answered; memory and the host's storage looked fine",
        began: "2026-06-11 15:21",
        noticed,
        how: "a person had noticed, and killed the QEMU process at 16:47:42",
        others: "in the guest's last scrapes CPU, load, memory and swap were healthy; its host's disk was nearly idle, and neither kernel logged anything. The hypervisor's own graphs had it (nothing written, and CPU that rose to a half), without an alert on them. The guest was down for Prometheus, alone of 114 targets, and no alert looked at `up`",
        assumed: "40 writes a second before, a status that was `running` throughout, and scrapes of the guest that fail from the first minute (its network traffic collapsed then). The minute is that of the hypervisor's graphs; the last line of the guest's journal is of 15:19:08, so all of it may have begun two minutes earlier",
        blind: "that it is the disk is proved only where the controller tells what is in flight: on lsi53c895a it does not, so `VmDiskWriteZero` judges by habit, and `VmLegacyDiskController` would have said for weeks that it has to. The hourly rewrites of the throttle wrote the same values, which can't be seen from outside; a [pattern](logs.md#the-journal-and-patterns-of-your-own) on the reconciler's own log can count them.",
        before,
        length: before + noticed,
        told: vec![("DevvmDown", Span::minutes(3)), ("VmDiskWriteZero", Span::seconds(285))],
        standing: &["VmLegacyDiskController"],
        case,
    }
}

/// 2026-07-02: a hog between memory.high and memory.max.
fn livelock(config: &Config) -> Incident {
    let (before, noticed) = (Span::minutes(30), Span::minutes(53));
    let clock = Clock::new(config, before, noticed);
    let host = (config.devvm.job.as_str(), "devvm:10120");
    let cgroup = [(&memcg::CGROUP, "/system.slice/t3-serve@wizard.service")];
    let of = |label| [cgroup[0], label];
    let port = [(&reachability::ADDRESS, "0.0.0.0"), (&reachability::PORT, "3773")];
    let backlog = |now: f64| ((now - clock.at(Span::ZERO)) / 15.0).floor().clamp(-1.0, 20.0) + 1.0;
    let case = Case::new(config, "MemcgLivelock", "devvm, 2026-07-02")
        .up(host, clock.always(1.0))
        .series(&memcg::LIVELOCK_BAND, host, &cgroup, clock.always(1.0))
        .series(&memcg::POPULATED, host, &cgroup, clock.always(1.0))
        .series(&memcg::LOCAL_EVENTS, host, &of((&memcg::EVENT, "high")), clock.grows(0.0, 34.0))
        .series(&memcg::EVENTS, host, &of((&memcg::EVENT, "oom_kill")), clock.always(0.0))
        .series(&memcg::WAITING_SECONDS, host, &of((&memcg::RESOURCE, "memory")), clock.grows(0.0, 0.97))
        .series(&memcg::STALLED_SECONDS, host, &of((&memcg::RESOURCE, "memory")), clock.grows(0.0, 0.8))
        .series(&memcg::RECLAIM_RECLAIMED_PAGES, host, &cgroup, clock.always(0.0))
        .series(&reachability::LISTEN_BACKLOG, host, &port, clock.each(|now| Some(backlog(now))));
    Incident {
        title: "devvm livelocks between memory.high and memory.max",
        what: "a process of 12.3 GiB sat in its cgroup's band and the kernel put every task of the cgroup to sleep; `oom_kill` stayed 0",
        began: "2026-07-02, about 15:42",
        noticed,
        how: "the terminal was dead; somebody killed the process by hand at about 16:35",
        others: "no kill by the kernel, as the cgroup stayed below its maximum. A probe logged connections that were reset, the dispatcher requests that were broken off; the report names no alert",
        assumed: "34 throttlings a second, waiting 97 % of the time, nothing reclaimed, a new connection every 15 seconds, all from one moment on, and the exporter outside the cgroup. The report has the 80 % of the time stalled and the 21 connections at which it ends",
        blind: "who it was: the alert names the cgroup, its runbook how to find the process. A port that answers slowly before it no longer answers is a [probe](configuration.md)'s to find. `MemcgLivelockBandConfigured` would have said from the first day that these limits can end so.",
        before,
        length: before + noticed,
        told: vec![("MemcgLivelock", Span::seconds(30)), ("AcceptQueueRotting", Span::minutes(3))],
        standing: &["MemcgLivelockBandConfigured"],
        case,
    }
}

/// 2026-01-05: hemma resets without a word, stays dead for hours, and does it again.
fn host_crash(config: &Config) -> Incident {
    let (before, noticed, after) = (Span::minutes(5), Span::seconds(12_696), Span::minutes(475));
    let clock = Clock::new(config, before, after);
    let host = (config.exporter.job.as_str(), "hemma:10120");
    // A time of that day, in seconds.
    let day = |hour: u32, minute: u32, second: u32| {
        clock.at(Span::ZERO) + f64::from((hour * 60 + minute) * 60 + second) - f64::from((6 * 60 + 58) * 60 + 20)
    };
    let lives = [
        (day(0, 32, 5), day(6, 58, 20)),
        (day(10, 29, 56), day(14, 3, 17)),
        (day(14, 33, 8), day(14, 35, 40)),
        (day(14, 50, 47), f64::INFINITY),
    ];
    let up = |now: f64| lives.iter().any(|(began, ended)| (*began..*ended).contains(&now));
    let while_up = |value: &dyn Fn(f64) -> f64| clock.each(|now| up(now).then(|| value(now)));
    // How many of them had been, and which was the last.
    let count = |times: &[f64], now: f64| times.iter().map(|time| f64::from(u8::from(*time <= now))).sum::<f64>();
    let last = |times: &[f64], now: f64| times.iter().copied().filter(|time| *time <= now).fold(f64::MIN, f64::max);
    let said = |kind, times: &[f64]| ([(&kernel_log::KIND, kind)], while_up(&|now| last(times, now)));
    let began = lives.map(|(began, _)| began);
    let captured = [(&crash_capture::CAPTURE, "incident")];
    let failed = [(&units::UNIT, "amdgpu-force-active.service"), (&units::STATE, "failed")];
    // Until the first capture after the reboot the empty one is the newest.
    let bytes = |now: f64| if (day(6, 58, 19)..day(10, 34, 58)).contains(&now) { 0.0 } else { 70_000.0 };
    let case = Case::new(config, "HostRebootedUncleanly", "hemma, 2026-01-05")
        .up(host, clock.each(|now| Some(f64::from(u8::from(up(now))))))
        .series(&boots::PREVIOUS_CLEAN, host, &[], while_up(&|_| 0.0))
        .series(&boots::BOOT_TIME, host, &[], while_up(&|now| last(&began, now)))
        .series(&boots::UNCLEAN_BOOTS, host, &[], while_up(&|now| count(&began, now)))
        .series(&boots::SHORT_BOOTS, host, &[], while_up(&|now| count(&[began[3]], now)))
        .series(&units::STATE_OF_UNIT, host, &failed, while_up(&|_| 1.0))
        .series(&crash_capture::CAPTURE_NEWEST_BYTES, host, &captured, while_up(&bytes))
        .series(&crash_capture::CAPTURES_EMPTY, host, &captured, while_up(&|now| count(&[day(6, 58, 19)], now)));
    let case = [
        said("iommu_invalid_device_request", &[began[0], began[1]]),
        said("amdgpu_reg_wait_timeout", &[began[0], day(10, 29, 57), day(13, 16, 0)]),
    ]
    .into_iter()
    .fold(case, |case, (kind, samples)| case.series(&kernel_log::LAST_TIMESTAMP, host, &kind, samples));
    Incident {
        title: "hemma resets without a word",
        what: "the GPU host died hard, was dead until it was started again, and died twice more on that day, once two minutes after it had started; the last capture of its state is empty, one second before the crash",
        began: "2026-01-05 06:58:20",
        noticed,
        how: "the next boot is at 10:29:56, and the report speaks of forced power cycles. Its nine crashes of three days were put together by hand from the lists of boots, on 2026-01-06",
        others: "logs and the GPU's state were captured every five minutes, and the last capture before each of the nine crashes held nothing of note. What there was came with the boots after them, and stayed in files",
        assumed: "an exporter with a state directory that is told of the captures, and a Prometheus on another machine (hemma's own ran on hemma). Captures that are not empty have 70 kB; the unit that could not force the GPU's power state failed at each boot, as it did at those the report gives. The GPU's timeout of 13:16 is known to the minute",
        blind: "why it died. The kernel said nothing before, and nothing survives a hard reset but what was sent away in time (netconsole, pstore): `CrashCaptureNotArmed` is about that. The crashes of 00:31:28 that day and of 06:26:57 on the next were followed by a boot within a minute: of these `HostRebootedUncleanly` alone would have told.",
        before,
        length: before + after,
        told: vec![
            ("ExporterDown", Span::minutes(3)),
            ("HostRebootedUncleanly", Span::seconds(12_705)),
            ("KernelMachineCheck", Span::seconds(12_705)),
            ("GpuKernelTrouble", Span::seconds(12_705)),
            ("IncidentCaptureEmpty", Span::seconds(12_765)),
            ("GpuKernelTrouble", Span::seconds(22_665)),
            ("ExporterDown", Span::seconds(25_680)),
            ("HostRebootedUncleanly", Span::seconds(27_300)),
            ("ExporterDown", Span::seconds(27_630)),
            ("HostRebootedUncleanly", Span::seconds(28_350)),
            ("HostCrashLooping", Span::seconds(28_350)),
        ],
        standing: &["UnitFailed"],
        case,
    }
}

/// 2025-08-11: a desktop deadlocks behind an SMB server.
fn mount_deadlock(config: &Config) -> Incident {
    let (before, noticed) = (Span::minutes(30), Span::minutes(54));
    let clock = Clock::new(config, before, noticed);
    let host = (config.exporter.job.as_str(), "desktop:10120");
    let said = |kind, after| ([(&kernel_log::KIND, kind)], clock.from(after, clock.at(after)));
    let events = [
        said("cifs_not_responding", Span::ZERO),
        said("bad_page_state", Span::seconds(17 * 60 + 18)),
        said("rcu_stall", Span::seconds(18 * 60 + 21)),
        said("hung_task", Span::seconds(21 * 60 + 40)),
    ];
    let case = Case::new(config, "NetworkMountNotResponding", "desktop, 2025-08-11").up(host, clock.always(1.0));
    let case = events
        .into_iter()
        .fold(case, |case, (kind, samples)| case.series(&kernel_log::LAST_TIMESTAMP, host, &kind, samples));
    Incident {
        title: "A desktop deadlocks behind an SMB server",
        what: "the server stopped to answer, a page of the client's cache was corrupted, the kernel stalled; it looked like a crash of the desktop",
        began: "2025-08-11 11:05 (local time)",
        noticed,
        how: "it was reset, and up again at 11:58:56",
        others: "the kernel's log said it all, and the report asks that somebody be told of it. What could be seen was a desktop without a screen, from 11:46:56 on",
        assumed: "that the exporter was scraped to the end: its own network may have been stuck from 11:26 on (NetworkManager was), and then `ExporterDown` comes three minutes later",
        blind: "the 90 seconds that the kernel itself waits before it says anything. With the mount asked every few seconds (`NetworkMountHung`, two minutes) the first alert is no later, and says which mount; the report does not give what that would have seen.",
        before,
        length: before + noticed,
        told: vec![
            ("NetworkMountNotResponding", Span::ZERO),
            ("KernelOops", Span::seconds(17 * 60 + 30)),
            ("KernelLockup", Span::seconds(18 * 60 + 30)),
            ("KernelHungTask", Span::seconds(21 * 60 + 45)),
        ],
        standing: &[],
        case,
    }
}
