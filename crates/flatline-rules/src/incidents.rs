//! The incidents Flatline exists for, minute by minute, and when its alerts would have told of them.
//!
//! Each is told by its report: the times are the report's, and what the report does not give is named in `assumed`. The
//! series are those the exporter would have served. The tests have promtool evaluate all rules on them, and fail when an
//! alert comes a scrape earlier or later than is said here, or when one comes that is not named here. `docs/incidents.md`
//! is written from the same figures. They hold for the default configuration.

use flatline_catalog::{boots, crash_capture, kernel_log, memcg, reachability, vm};

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
    /// When people knew, after it began.
    pub noticed: Span,
    /// How they came to know.
    pub how: &'static str,
    /// What the report does not say and the series need.
    pub assumed: &'static str,
    /// What Flatline would not have seen, or not have proved.
    pub blind: &'static str,
    /// How long the series go on before it begins.
    pub before: Span,
    /// How long they go on in all.
    pub length: Span,
    /// The alerts that page or warn, and how long after the beginning each fires. Exactly these.
    pub told: Vec<(&'static str, Span)>,
    /// The alerts that had been firing before it began.
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
        what: "not one write completed for 87 minutes, while QMP answered and said `running`; CPU, memory and the host's storage looked fine",
        began: "2026-06-11 15:21",
        noticed,
        how: "people could not log in; the QEMU process was killed at 16:48",
        assumed: "40 writes a second before, and scrapes of the guest that fail from the first minute (its network traffic collapsed then)",
        blind: "that it is the disk is proved only where the controller tells what is in flight: on lsi53c895a it does not, so `VmDiskWriteZero` judges by habit, and `VmLegacyDiskController` had said for weeks that it would have to. The hourly rewrites of the throttle wrote the same values, which can't be seen from outside.",
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
    let case = Case::new(config, "MemcgLivelock", "devvm, 2026-07-02")
        .up(host, clock.always(1.0))
        .series(&memcg::LIVELOCK_BAND, host, &cgroup, clock.always(1.0))
        .series(&memcg::POPULATED, host, &cgroup, clock.always(1.0))
        .series(&memcg::LOCAL_EVENTS, host, &of((&memcg::EVENT, "high")), clock.grows(0.0, 34.0))
        .series(&memcg::EVENTS, host, &of((&memcg::EVENT, "oom_kill")), clock.always(0.0))
        .series(&memcg::WAITING_SECONDS, host, &of((&memcg::RESOURCE, "memory")), clock.grows(0.0, 0.97))
        .series(&memcg::STALLED_SECONDS, host, &of((&memcg::RESOURCE, "memory")), clock.grows(0.0, 0.8))
        .series(&memcg::RECLAIM_RECLAIMED_PAGES, host, &cgroup, clock.always(0.0))
        .series(&reachability::LISTEN_BACKLOG, host, &port, clock.grows(0.0, 1.0 / 15.0));
    Incident {
        title: "devvm livelocks between memory.high and memory.max",
        what: "a process of 12.3 GiB sat in its cgroup's band and the kernel put every task of the cgroup to sleep; `oom_kill` stayed 0, the machine had memory left",
        began: "2026-07-02 15:42",
        noticed,
        how: "the terminal was dead; somebody found the process and killed it at 16:35",
        assumed: "34 throttlings a second, waiting 97 % and stalled 80 % of the time (the report has 80 %), nothing reclaimed, a connection every 15 seconds that nobody accepts; the exporter outside the cgroup",
        blind: "nothing of it. `MemcgLivelockBandConfigured` had said from the first day that these limits can end so.",
        before,
        length: before + noticed,
        told: vec![("MemcgLivelock", Span::seconds(30)), ("AcceptQueueRotting", Span::minutes(3))],
        standing: &["MemcgLivelockBandConfigured"],
        case,
    }
}

/// 2026-01-05: hemma resets without a word, and stays dead for hours.
fn host_crash(config: &Config) -> Incident {
    let (before, noticed) = (Span::minutes(30), Span::minutes(212));
    let after = Span::minutes(240);
    let clock = Clock::new(config, before, after);
    let host = (config.exporter.job.as_str(), "hemma:10120");
    let gone = noticed.steps(config.scrape_interval);
    let back = clock.after - gone;
    let up = Samples::flat(1.0, clock.before).then(0.0, gone).then(1.0, back);
    let kind = [(&kernel_log::KIND, "iommu_invalid_device_request")];
    let case = Case::new(config, "HostRebootedUncleanly", "hemma, 2026-01-05")
        .up(host, up)
        .series(&boots::PREVIOUS_CLEAN, host, &[], clock.from(noticed, 0.0))
        .series(&boots::BOOT_TIME, host, &[], clock.from(noticed, clock.at(noticed)))
        .series(&kernel_log::LAST_TIMESTAMP, host, &kind, clock.from(noticed, clock.at(noticed)))
        .series(&crash_capture::CAPTURE_NEWEST_BYTES, host, &[], clock.from(noticed, 0.0));
    Incident {
        title: "hemma resets without a word",
        what: "the GPU host died hard again and again in three days; its log ends in the middle, and the capture of its state is empty, one second before the crash",
        began: "2026-01-05 06:58:20",
        noticed,
        how: "it was found dead and switched off and on: the next boot is at 10:29:56. That nine windows were crashes was worked out by hand on the day after",
        assumed: "an exporter with a state directory; the invalid device request is in the log of the boot at 10:29:56",
        blind: "why it died. The kernel said nothing before, and nothing survives a hard reset but what was sent away in time (netconsole, pstore): `CrashCaptureNotArmed` is about that.",
        before,
        length: before + after,
        told: vec![
            ("ExporterDown", Span::minutes(3)),
            ("HostRebootedUncleanly", noticed),
            ("KernelMachineCheck", noticed),
            ("IncidentCaptureEmpty", noticed + Span::minutes(1)),
        ],
        standing: &[],
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
        how: "the desktop did not react any more; it was reset, and up again at 11:58:56",
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
