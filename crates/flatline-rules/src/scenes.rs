//! The incidents Flatline exists for, as the series an exporter would have given, for dashboards to be tried on.
//!
//! The incidents happened on five days. Here they share one afternoon, that of 2026-06-11, so that the overview has
//! something to show; within each, the order and the times are those of its report. Values that no report gives are
//! made up: nothing is measured by this.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use flatline_catalog::{
    Family, Label, boots, crash_capture, drives, exporter, gpu, host_facts, journal, kernel_faults, kernel_log, memcg,
    mounts, netconsole, pressure, probes, reachability, tasks, units, vm, watchdog,
};

use serde_json::Value;

use crate::config::Config;
use crate::model::{Case, Expectation, Signal};
use crate::prometheus::UP;

/// 14:00 UTC on 2026-06-11, as Unix time.
pub const START: i64 = 1_781_186_400;
/// How many minutes it goes on.
pub const MINUTES: u32 = 210;
/// A moment at which much is wrong at once, in minutes: what the overview shows.
pub const WORST: u32 = 140;
/// Seconds between two scrapes.
const STEP: u32 = 15;

/// A scrape target: job and instance.
type Target<'a> = (&'a str, &'a str);
/// Labels beside those of the target.
type Labels<'a> = &'a [(&'a Label, &'a str)];

/// Series over the afternoon.
#[derive(Debug, Default)]
pub struct Scene {
    series: BTreeMap<String, Vec<(i64, f64)>>,
    families: Vec<&'static str>,
}

impl Scene {
    /// The incidents.
    #[must_use]
    pub fn incidents(config: &Config) -> Self {
        let mut scene = Self::default();
        let (devvm, job) = (config.devvm.job.as_str(), config.exporter.job.as_str());
        scene.vm_disk((job, "pve:10120"), (devvm, "devvm:10120"));
        scene.livelock((job, "terminal:10120"));
        scene.gpu((job, "hemma:10120"), (job, "pve:10120"));
        scene.mount((job, "desktop:10120"));
        scene
    }

    /// Adds what signals test their alerts with, of families that have no series here yet: a new signal's panels have
    /// data from the day it has tests. Returns those families.
    pub fn add_cases(&mut self, signals: &[Signal]) -> Vec<&'static str> {
        let known = self.families.clone();
        let fires = |case: &&Case| {
            case.expectations
                .iter()
                .any(|expected| matches!(expected, Expectation::Firing(_, alerts) if !alerts.is_empty()))
        };
        let mut added: Vec<&'static str> = Vec::new();
        for case in signals.iter().flat_map(|signal| &signal.cases).filter(fires) {
            let new: Vec<_> = case
                .series
                .iter()
                .filter(|series| {
                    !known.contains(&series.family.name) && series.samples.as_str().contains(char::is_numeric)
                })
                .filter(|series| !self.series.contains_key(&series.selector()))
                .collect();
            for series in new {
                let values = expand(series.samples.as_str());
                let end = START + i64::from(MINUTES) * 60;
                let age = |index: usize| i64::from(STEP) * i64::try_from(values.len() - index).unwrap_or(0);
                let samples =
                    values.iter().enumerate().filter_map(|(index, value)| value.map(|value| (end - age(index), value)));
                self.series.insert(series.selector(), samples.collect());
                added.push(series.family.name);
            }
        }
        added.sort_unstable();
        added.dedup();
        added
    }

    /// In the format that `promtool tsdb create-blocks-from openmetrics` takes.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut text = String::new();
        for (selector, samples) in &self.series {
            for (time, value) in samples {
                let _ = writeln!(text, "{selector} {value} {time}");
            }
        }
        text + "# EOF\n"
    }

    /// A series that is `value(minute)`, and not there where that is nothing.
    fn gauge(
        &mut self,
        family: &'static Family,
        (job, instance): Target<'_>,
        labels: Labels<'_>,
        value: impl Fn(f64) -> Option<f64>,
    ) {
        let own = labels.iter().map(|(label, value)| (label.name, *value));
        let labels: Vec<String> = [("job", job), ("instance", instance)]
            .into_iter()
            .chain(own)
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let scrapes = 0..=MINUTES * 60 / STEP;
        let samples = scrapes.filter_map(|scrape| {
            let second = scrape * STEP;
            Some((START + i64::from(second), value(f64::from(second) / 60.0)?))
        });
        let samples: Vec<_> = samples.collect();
        if !samples.is_empty() {
            self.series.insert(format!("{}{{{}}}", family.name, labels.join(",")), samples);
            self.families.push(family.name);
        }
    }

    /// A series that grows by `rate(minute)` per second, and is not there where that is nothing.
    fn counter(
        &mut self,
        family: &'static Family,
        target: Target<'_>,
        labels: Labels<'_>,
        rate: impl Fn(f64) -> Option<f64>,
    ) {
        let mut total = 1000.0;
        let totals: Vec<Option<f64>> = (0..=MINUTES * 60 / STEP)
            .map(|scrape| {
                let grows = rate(f64::from(scrape * STEP) / 60.0);
                total += grows.unwrap_or(0.0) * f64::from(STEP);
                grows.map(|_| total)
            })
            .collect();
        self.gauge(family, target, labels, |minute| totals.get(scrape_at(minute)).copied().flatten());
    }

    /// A series that is 0 and then counts one at each of these minutes.
    fn events(&mut self, family: &'static Family, target: Target<'_>, labels: Labels<'_>, at: &[f64], up: &[Span]) {
        self.gauge(family, target, labels, |minute| {
            let count = at.iter().filter(|event| **event <= minute).count();
            inside(up, minute).then(|| f64::from(u32::try_from(count).unwrap_or(u32::MAX)))
        });
    }

    /// What every host has that is healthy but for the times given: when it was up, and when it waited for what.
    fn host(&mut self, target: Target<'_>, up: &[Span], waits: impl Fn(&str, f64) -> f64) {
        let there = |minute, value: f64| inside(up, minute).then_some(value);
        self.gauge(&UP, target, &[], |minute| Some(f64::from(u8::from(inside(up, minute)))));
        self.gauge(&exporter::STATE_AVAILABLE, target, &[], |minute| there(minute, 1.0));
        self.gauge(&reachability::GATE, target, &[], |minute| there(minute, 1.0));
        for part in ["default_route", "gateway", "link", "listening"] {
            self.gauge(&reachability::GATE_PART, target, &[(&reachability::PART, part)], |minute| there(minute, 1.0));
        }
        self.gauge(&host_facts::CHANGED, target, &[(&host_facts::FACT, "kernel")], |minute| there(minute, 0.0));
        for resource in ["cpu", "memory", "io"] {
            let labels: Labels<'_> = &[(&pressure::RESOURCE, resource)];
            let share = |minute| waits(resource, minute).min(0.99);
            self.counter(&pressure::WAITING_SECONDS, target, labels, |minute| there(minute, share(minute)));
            self.counter(&pressure::STALLED_SECONDS, target, labels, |minute| there(minute, share(minute) * 0.7));
        }
        for collector in ["pressure", "memcg", "tasks", "kernel_log"] {
            let labels: Labels<'_> = &[(&exporter::COLLECTOR, collector)];
            self.gauge(&exporter::COLLECTOR_SUCCESS, target, labels, |minute| there(minute, 1.0));
            self.gauge(&exporter::COLLECTOR_STUCK_SECONDS, target, labels, |minute| there(minute, 0.0));
            let took = |minute| there(minute, 0.002 * wobble(minute, f64::from(u8::from(collector == "tasks"))));
            self.gauge(&exporter::COLLECTOR_DURATION_SECONDS, target, labels, took);
        }
        for (state, count) in [("running", 2.0), ("sleeping", 340.0)] {
            let labels: Labels<'_> = &[(&tasks::STATE, state)];
            self.gauge(&tasks::TASKS, target, labels, |minute| there(minute, (count * wobble(minute, 1.0)).round()));
        }
        let labels: Labels<'_> = &[(&watchdog::DEVICE, "watchdog0")];
        self.gauge(&watchdog::ACTIVE, target, labels, |minute| there(minute, 1.0));
        let guarded = f64::from(u8::from(!target.1.starts_with("hemma")));
        self.gauge(&watchdog::PROTECTING, target, labels, |minute| there(minute, guarded));
        self.gauge(&watchdog::TIMELEFT_SECONDS, target, labels, |minute| there(minute, 60.0 - (minute * 7.0) % 10.0));
        for (channel, ready) in [("pstore", 1.0), ("kdump", guarded), ("netconsole", 1.0 - guarded)] {
            let labels: Labels<'_> = &[(&crash_capture::CHANNEL, channel)];
            self.gauge(&crash_capture::READY, target, labels, |minute| there(minute, ready));
        }
        for kind in ["oops", "hung_task", "oom_kill"] {
            if !target.1.starts_with("desktop") {
                self.events(&kernel_faults::FAULTS, target, &[(&kernel_faults::KIND, kind)], &[], up);
            }
        }
        self.boots(target, up);
    }

    /// The boots that follow from when the host was up: every one after the first follows a crash.
    fn boots(&mut self, target: Target<'_>, up: &[Span]) {
        let boot = |minute: f64| up.iter().rposition(|(from, _)| *from <= minute);
        let unix = |minute: f64| START_SECONDS + minute * 60.0;
        let days = 11.0 * 24.0 * 60.0;
        let began = |index: usize| up.get(index).map(|(from, _)| if index == 0 { from - days } else { *from });
        let there = |minute| boot(minute).filter(|_| inside(up, minute));
        let crashed = |minute| there(minute).and_then(|index| index.checked_sub(1)).and_then(|index| up.get(index));
        self.gauge(&boots::BOOT_TIME, target, &[], |minute| there(minute).and_then(began).map(unix));
        self.gauge(&boots::HEARTBEAT, target, &[], |minute| there(minute).map(|_| unix(minute)));
        self.gauge(&boots::HEARTBEAT_STALLED, target, &[], |minute| there(minute).map(|_| 0.0));
        self.gauge(&boots::PREVIOUS_CLEAN, target, &[], |minute| {
            there(minute).map(|index| f64::from(u8::from(index == 0)))
        });
        self.gauge(&boots::PREVIOUS_END, target, &[], |minute| crashed(minute).map(|(_, end)| unix(*end)));
        self.gauge(&boots::PREVIOUS_GAP, target, &[], |minute| {
            let now = there(minute).and_then(|index| up.get(index))?;
            Some(crashed(minute).map_or(41.0, |(_, end)| (now.0 - end) * 60.0))
        });
    }

    /// 2026-06-11: devvm's disk stalls at 15:21 inside a QEMU that answers; it is killed at 16:47:42, started at 16:48:31.
    fn vm_disk(&mut self, pve: Target<'_>, devvm: Target<'_>) {
        const STALL: f64 = 81.0;
        const KILL: f64 = 167.7;
        const AGAIN: f64 = 168.5;
        let dead = |minute: f64| (STALL..KILL).contains(&minute);
        let gone = |minute: f64| (KILL..AGAIN).contains(&minute);
        self.host(pve, &[EVER], |_, minute| 0.02 * wobble(minute, 3.0));
        self.host(devvm, &[(0.0, STALL + 0.5), (170.0, END)], |_, minute| 0.05 * wobble(minute, 4.0));
        self.gauge(&vm::FOUND, pve, &[], |_| Some(3.0));
        for device in ["sda", "nvme0"] {
            self.gauge(&drives::SMART_HEALTHY, pve, &[(&drives::DEVICE, device)], |_| Some(1.0));
        }
        self.gauge(&drives::PENDING, pve, &[(&drives::DEVICE, "sda")], |_| Some(0.0));
        for (index, name) in ["devvm", "files", "router"].into_iter().enumerate() {
            let own = index == 0;
            let seed = if own { 1.0 } else { 2.0 };
            let machine: Labels<'_> = &[(&vm::VM, name)];
            let disk: Labels<'_> = &[(&vm::VM, name), (&vm::DISK, "scsi0")];
            let (dead, gone) = (|minute| own && dead(minute), |minute| own && gone(minute));
            let there = |minute, value| (!gone(minute)).then_some(value);
            let busy = if own { 40.0 } else { 6.0 };
            let answers = |minute| f64::from(u8::from(!gone(minute)));
            self.gauge(&vm::QMP_UP, pve, machine, |minute| Some(answers(minute)));
            self.gauge(&vm::VM_STATUS, pve, &[(&vm::VM, name), (&vm::STATUS, "running")], |minute| there(minute, 1.0));
            self.gauge(&vm::QMP_STATE, pve, &[(&vm::VM, name), (&vm::STATE, "up")], |minute| Some(answers(minute)));
            self.gauge(&vm::QMP_STATE, pve, &[(&vm::VM, name), (&vm::STATE, "refused")], |minute| {
                Some(1.0 - answers(minute))
            });
            self.gauge(&vm::QMP_REPLY_SECONDS, pve, machine, |minute| {
                there(minute, 0.0004 * wobble(minute, seed) * if dead(minute) { 2.0 } else { 1.0 })
            });
            for (family, share) in
                [(&vm::WRITES_COMPLETED, 1.0), (&vm::READS_COMPLETED, 0.4), (&vm::FLUSHES_COMPLETED, 0.1)]
            {
                self.counter(family, pve, disk, |minute| {
                    there(minute, if dead(minute) { 0.0 } else { busy * share * wobble(minute, seed) })
                });
            }
            self.gauge(&vm::INFLIGHT, pve, disk, |minute| {
                let piled = (6.0 + (minute - STALL) * 1.5).min(32.0);
                there(
                    minute,
                    if dead(minute) { piled } else { (wobble(minute * 7.0, seed) * 1.2 - 0.7).max(0.0) }.round(),
                )
            });
            self.gauge(&vm::IDLE_SECONDS, pve, disk, |minute| {
                there(minute, if dead(minute) { (minute - STALL) * 60.0 } else { 0.2 * wobble(minute, seed) })
            });
            self.gauge(&vm::LAST_PROGRESS, pve, disk, |minute| {
                there(minute, START_SECONDS + if dead(minute) { STALL } else { minute } * 60.0)
            });
            self.counter(&vm::PROCESS_CPU_SECONDS, pve, machine, |minute| {
                // 16 processors: 11 % at first, 50 % from 15:39 on.
                let ramp = ((minute - STALL) / 18.0).clamp(0.0, 1.0);
                let share = if dead(minute) { 0.11 + 0.39 * ramp } else { 0.11 };
                there(minute, if own { 16.0 * share } else { 0.4 } * wobble(minute, seed))
            });
            let rewrites: &[f64] = if own { &[1.0, 61.0] } else { &[] };
            self.events(&vm::THROTTLE_CHANGES, pve, disk, rewrites, &[EVER]);
        }
    }

    /// 2026-07-02: a search of 12.3 GB plateaus between memory.high and memory.max at 15:42; killed by hand at 16:35.
    fn livelock(&mut self, target: Target<'_>) {
        const GIB: f64 = 1_073_741_824.0;
        const ONSET: f64 = 102.0;
        const KILLED: f64 = 155.0;
        let stuck = |minute: f64| (ONSET..KILLED).contains(&minute);
        self.host(target, &[EVER], |resource, minute| match resource {
            "memory" if stuck(minute) => 0.82,
            _ => 0.03 * wobble(minute, 5.0),
        });
        for (cgroup, own) in
            [("/system.slice/t3-serve@wizard.service", true), ("/system.slice/t3-serve@emo.service", false)]
        {
            let labels: Labels<'_> = &[(&memcg::CGROUP, cgroup)];
            let memory: Labels<'_> = &[(&memcg::CGROUP, cgroup), (&memcg::RESOURCE, "memory")];
            let stuck = |minute| own && stuck(minute);
            let share = |minute| if stuck(minute) { 0.97 } else { 0.01 * wobble(minute, 2.0) };
            self.gauge(&memcg::POPULATED, target, labels, |_| Some(1.0));
            self.gauge(&memcg::CURRENT_BYTES, target, labels, |minute| {
                let growing = own && (ONSET - 6.0..ONSET).contains(&minute);
                let used = if stuck(minute) {
                    12.4
                } else if growing {
                    5.0 + (minute - ONSET + 6.0) * 7.4 / 6.0
                } else {
                    5.0 * wobble(minute, if own { 1.0 } else { 3.0 })
                };
                Some((used * GIB).round())
            });
            self.gauge(&memcg::HIGH_BYTES, target, labels, |_| Some(12.0 * GIB));
            self.gauge(&memcg::MAX_BYTES, target, labels, |_| Some(16.0 * GIB));
            let throttled = |minute| Some(if stuck(minute) { 34.0 * wobble(minute, 1.0) } else { 0.0 });
            for family in [&memcg::LOCAL_EVENTS, &memcg::EVENTS] {
                self.counter(family, target, &[(&memcg::CGROUP, cgroup), (&memcg::EVENT, "high")], throttled);
                self.events(family, target, &[(&memcg::CGROUP, cgroup), (&memcg::EVENT, "oom_kill")], &[], &[EVER]);
            }
            self.counter(&memcg::WAITING_SECONDS, target, memory, |minute| Some(share(minute)));
            self.counter(&memcg::STALLED_SECONDS, target, memory, |minute| Some(share(minute) * 0.82));
            self.counter(&memcg::RECLAIM_SCANNED_PAGES, target, labels, |minute| {
                Some(if stuck(minute) { 5200.0 * wobble(minute, 2.0) } else { 0.0 })
            });
            self.counter(&memcg::RECLAIM_RECLAIMED_PAGES, target, labels, |_| Some(0.0));
            self.gauge(&memcg::PIDS, target, labels, |minute| {
                Some((60.0 + if stuck(minute) { (minute - ONSET) * 1.3 } else { 0.0 }).round())
            });
        }
        let wchan: Labels<'_> = &[(&tasks::WCHAN, "mem_cgroup_handle_over_high")];
        self.gauge(&tasks::BLOCKED_OLDEST_SECONDS, target, wchan, |minute| {
            Some(if stuck(minute) { wobble(minute * 3.0, 1.0) * 2.0 } else { 0.0 })
        });
        let told: Labels<'_> = &[(&journal::KIND, "systemd_unit_failed")];
        self.events(&journal::EVENTS, target, told, &[KILLED + 0.2], &[EVER]);
        let port: Labels<'_> = &[(&reachability::ADDRESS, "0.0.0.0"), (&reachability::PORT, "3000")];
        self.gauge(&reachability::LISTEN_BACKLOG, target, port, |minute| {
            Some(if stuck(minute) { (minute - ONSET).mul_add(0.5, 1.0).floor() } else { 0.0 })
        });
        let t3: Labels<'_> = &[(&probes::PROBE, "t3-terminal")];
        self.gauge(&probes::SUCCESS, target, t3, |minute| Some(f64::from(u8::from(!stuck(minute - 1.0)))));
    }

    /// January 2026: hemma's GPU hangs, its host crashes, twice.
    fn gpu(&mut self, target: Target<'_>, keeper: Target<'_>) {
        let up: &[Span] = &[(0.0, 65.0), (78.0, 124.0), (131.0, END)];
        let there = |minute, value: f64| inside(up, minute).then_some(value);
        self.host(target, up, |_, minute| 0.04 * wobble(minute, 6.0));
        for (kind, at) in [
            ("iommu_invalid_device_request", &[38.0, 39.0, 41.0, 44.0, 109.0][..]),
            ("amdgpu_ring_timeout", &[60.0, 61.5, 62.2, 119.0, 120.0]),
            ("amdgpu_gpu_reset", &[62.5, 120.5]),
            ("mce_hardware_error", &[131.5]),
        ] {
            self.events(&kernel_log::EVENTS, target, &[(&kernel_log::KIND, kind)], at, up);
        }
        let unit: Labels<'_> = &[(&units::UNIT, "llama-server.service"), (&units::STATE, "failed")];
        self.gauge(&units::STATE_OF_UNIT, target, unit, |minute| there(minute, f64::from(u8::from(minute > 132.0))));
        let card: Labels<'_> = &[(&gpu::GPU, "0000:c3:00.0")];
        let hung = |minute: f64| (60.0..65.0).contains(&minute) || (119.0..124.0).contains(&minute);
        let lost = |minute: f64| minute > 131.0;
        self.gauge(&gpu::EXPECTED, target, card, |minute| there(minute, 1.0));
        self.gauge(&gpu::PRESENT, target, card, |minute| there(minute, f64::from(u8::from(!lost(minute)))));
        self.gauge(&gpu::STUCK_SECONDS, target, card, |minute| {
            let since = if minute < 100.0 { 60.0 } else { 119.0 };
            there(minute, if hung(minute) { (minute - since) * 60.0 } else { 0.0 })
        });
        let answers = |minute, value| there(minute, value).filter(|_| !hung(minute) && !lost(minute));
        let load = |minute: f64| if (20.0..60.0).contains(&minute) || minute > 95.0 { 1.0 } else { 0.15 };
        self.gauge(&gpu::POWER, target, card, |minute| {
            answers(minute, (40.0 + 130.0 * load(minute)) * wobble(minute, 1.0))
        });
        let engine: Labels<'_> = &[(&gpu::GPU, "0000:c3:00.0"), (&gpu::ENGINE, "graphics")];
        self.gauge(&gpu::UTILIZATION, target, engine, |minute| answers(minute, (0.9 * load(minute)).min(1.0)));
        for (sensor, hotter) in [("edge", 0.0), ("junction", 14.0)] {
            let labels: Labels<'_> = &[(&gpu::GPU, "0000:c3:00.0"), (&gpu::SENSOR, sensor)];
            self.gauge(&gpu::TEMPERATURE, target, labels, |minute| {
                answers(minute, 44.0 + hotter + 34.0 * load(minute) * wobble(minute, 2.0))
            });
        }
        let package: Labels<'_> = &[(&gpu::CHIP, "k10temp"), (&gpu::SENSOR, "Tctl")];
        self.gauge(&gpu::CPU_TEMPERATURE, target, package, |minute| {
            there(minute, 52.0 + 20.0 * load(minute) * wobble(minute, 3.0))
        });
        self.gauge(&tasks::BLOCKED_OLDEST_SECONDS, target, &[(&tasks::WCHAN, "amdgpu_fence_wait")], |minute| {
            let since = if minute < 100.0 { 60.0 } else { 119.0 };
            there(minute, if hung(minute) { (minute - since) * 60.0 } else { 0.0 })
        });
        self.gauge(&netconsole::LAST_TIMESTAMP, keeper, &[(&netconsole::SENDER, "hemma")], |minute| {
            let said = [38.0, 39.0, 41.0, 44.0, 60.0, 61.5, 62.5, 64.8, 78.2, 109.0, 119.0, 120.5, 123.9, 131.2, 131.5];
            let last = said.into_iter().rev().find(|at| *at <= minute)?;
            Some(START_SECONDS + last * 60.0)
        });
    }

    /// 2025-08-11: a file server goes away; everybody who touches its mount hangs until the reset.
    fn mount(&mut self, target: Target<'_>) {
        const SILENT: f64 = 90.0;
        const RESET: f64 = 143.0;
        let up: &[Span] = &[(0.0, RESET), (146.0, END)];
        let there = |minute, value: f64| inside(up, minute).then_some(value);
        let hung = |minute: f64| (SILENT..RESET).contains(&minute);
        self.host(target, up, |resource, minute| match resource {
            "io" if hung(minute) => 0.55 * wobble(minute, 1.0),
            _ => 0.03 * wobble(minute, 8.0),
        });
        for (mountpoint, source, own) in
            [("/mnt/media", "//10.10.0.35/media", true), ("/mnt/home", "//10.10.0.40/home", false)]
        {
            let labels: Labels<'_> =
                &[(&mounts::MOUNTPOINT, mountpoint), (&mounts::FSTYPE, "cifs"), (&mounts::SOURCE, source)];
            let hung = |minute| own && hung(minute);
            self.gauge(&mounts::RESPONDING, target, labels, |minute| {
                there(minute, f64::from(u8::from(!hung(minute - 0.5))))
            });
            self.gauge(&mounts::STUCK_SECONDS, target, labels, |minute| {
                there(minute, if hung(minute) { (minute - SILENT) * 60.0 } else { 0.0 })
            });
        }
        self.events(&mounts::CIFS_SESSION_RECONNECTS, target, &[], &[91.5, 93.0, 94.5, 98.0, 104.0, 112.0, 126.0], up);
        self.events(&mounts::CIFS_SHARE_RECONNECTS, target, &[], &[91.6, 93.2, 98.1, 112.3], up);
        self.gauge(&mounts::CIFS_REQUESTS_IN_FLIGHT, target, &[], |minute| {
            there(minute, if hung(minute) { ((minute - SILENT) * 2.0).min(64.0).round() } else { 0.0 })
        });
        for (kind, at) in
            [("cifs_not_responding", &[91.5, 93.0, 94.5, 98.0, 104.0][..]), ("hung_task", &[94.0, 96.0, 98.0, 100.0])]
        {
            self.events(&kernel_log::EVENTS, target, &[(&kernel_log::KIND, kind)], at, up);
        }
        let hung_tasks: Labels<'_> = &[(&kernel_faults::KIND, "hung_task")];
        self.events(&kernel_faults::FAULTS, target, hung_tasks, &[94.0, 96.0, 98.0, 100.0], up);
        for (wchan, later) in [("wait_for_response", 0.0), ("rwsem_down_read_slowpath", 7.0)] {
            self.gauge(&tasks::BLOCKED_OLDEST_SECONDS, target, &[(&tasks::WCHAN, wchan)], |minute| {
                there(minute, if hung(minute) { ((minute - SILENT - later) * 60.0).max(0.0) } else { 0.0 })
            });
        }
        self.gauge(&tasks::TASKS, target, &[(&tasks::STATE, "disk_sleep")], |minute| {
            there(minute, if hung(minute) { (3.0 + (minute - SILENT) * 0.8).round() } else { 1.0 })
        });
    }
}

/// What the alerts would have said: each one's expression asked of a Prometheus that holds the series (`range`: a range
/// query over the afternoon at every scrape, its `result`), and held against its `for`. An alert that remembers itself
/// (`ALERTS` in its expression) is told without its memory.
///
/// # Errors
/// When Prometheus refuses an expression.
pub fn alerts(
    signals: &[Signal],
    config: &Config,
    mut range: impl FnMut(&str) -> Result<Value, String>,
) -> Result<String, String> {
    let mut text = String::new();
    for alert in signals.iter().flat_map(|signal| &signal.alerts) {
        let severity = alert.severity(config).to_string();
        let result = range(&alert.expr.to_string())?;
        for series in result.as_array().into_iter().flatten() {
            let own = series.get("metric").and_then(Value::as_object).into_iter().flatten();
            let labels: BTreeMap<&str, &str> = own
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
                .filter(|(name, _)| *name != "__name__")
                .chain([("alertname", alert.name), ("alertstate", "firing")])
                .chain([("severity", severity.as_str())])
                .collect();
            let labels: Vec<String> = labels.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let samples = series.get("values").and_then(Value::as_array).into_iter().flatten();
            let times: Vec<i64> = samples.filter_map(|sample| sample.get(0).and_then(Value::as_i64)).collect();
            for time in held(&times, alert.hold.as_seconds()) {
                let _ = writeln!(text, "ALERTS{{{}}} 1 {time}", labels.join(","));
            }
        }
    }
    Ok(text + "# EOF\n")
}

/// Those of the times by which it has been so without a gap for that many seconds.
fn held(times: &[i64], seconds: f64) -> Vec<i64> {
    let mut since: Option<(i64, i64)> = None;
    let mut held = Vec::new();
    for time in times {
        let first = since.filter(|(_, last)| time - last <= i64::from(STEP)).map_or(*time, |(first, _)| first);
        since = Some((first, *time));
        if Duration::from_secs(time.abs_diff(first)).as_secs_f64() >= seconds {
            held.push(*time);
        }
    }
    held
}

/// From which minute to which.
type Span = (f64, f64);

/// A while after the last scrape.
const END: f64 = 1000.0;
const EVER: Span = (0.0, END);
/// [`START`] as a sample's value.
const START_SECONDS: f64 = 1_781_186_400.0;

fn inside(spans: &[Span], minute: f64) -> bool {
    spans.iter().any(|(from, to)| (*from..*to).contains(&minute))
}

/// Something near 1 that moves as if it were measured, and always the same.
fn wobble(minute: f64, seed: f64) -> f64 {
    1.0 + 0.12 * (minute * 1.7 + seed).sin() + 0.08 * (minute * 5.3 + seed * 3.0).sin() + 0.05 * (minute * 13.1).cos()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes of an afternoon")]
fn scrape_at(minute: f64) -> usize {
    (minute * 60.0 / f64::from(STEP)).round() as usize
}

/// promtool's notation as values: `1x2`, `0+1x5`, `_x3`, `stale`.
fn expand(notation: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    for item in notation.split_whitespace() {
        let (first, times) = item.rsplit_once('x').unwrap_or((item, "0"));
        let times: usize = times.parse().unwrap_or(0);
        if item == "stale" || item.starts_with('_') {
            values.extend(std::iter::repeat_n(None, times.max(1)));
            continue;
        }
        // A sign at the front belongs to the number.
        let sign = first.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(at, _)| at);
        let (start, by) = sign.map_or((first, "0"), |at| first.split_at(at));
        let (mut value, by): (f64, f64) = (start.parse().unwrap_or(f64::NAN), by.parse().unwrap_or(0.0));
        for _ in 0..=times {
            values.push(Some(value));
            value += by;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{Scene, expand, held};
    use crate::Config;

    #[test]
    fn promtools_notation_is_expanded() {
        let values = expand("1x2 0 5+2x2 _x2 -1-1x1 stale");
        let numbers = [1.0, 1.0, 1.0, 0.0, 5.0, 7.0, 9.0].map(Some);
        let end = [None, None, Some(-1.0), Some(-2.0), None];
        assert_eq!(values, [&numbers[..], &end[..]].concat());
    }

    #[test]
    fn an_alert_waits_for_its_time_without_a_gap() {
        assert_eq!(held(&[0, 15, 30, 45], 0.0), [0, 15, 30, 45]);
        assert_eq!(held(&[0, 15, 30, 60, 75, 90, 105], 30.0), [30, 90, 105]);
        assert_eq!(held(&[0, 15], 30.0), [0; 0]);
    }

    #[test]
    fn no_series_is_drawn_twice() {
        let scene = Scene::incidents(&Config::default());
        assert_eq!(scene.series.len(), scene.families.len(), "a series was overwritten");
    }
}
