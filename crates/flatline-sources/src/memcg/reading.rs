//! What a read of the hierarchy returns.

use super::Mode;
use crate::psi::Psi;
use crate::value::Limit;
use std::sync::Arc;

/// The most series one cgroup v2 can have: see [`Cgroup::series`].
pub const MAX_SERIES_PER_CGROUP: u32 = 37;
/// The most series one cgroup v1 can have: see [`V1Cgroup::series`].
pub const MAX_SERIES_PER_V1_CGROUP: u32 = 4;

/// Counts of `memory.events` or `memory.events.local`; a line this kernel does not write is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events([Option<u64>; 7]);

impl Events {
    /// The lines, as the kernel and the catalogue's label `event` spell them.
    pub const NAMES: [&'static str; 7] = ["low", "high", "max", "oom", "oom_kill", "oom_group_kill", "sock_throttled"];

    /// Every line and its count.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        Self::NAMES.into_iter().zip(self.0)
    }

    /// The count of one line.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.counts().find(|(found, _)| *found == name).and_then(|(_, count)| count)
    }

    /// Times the cgroup was throttled for being above `memory.high`.
    #[must_use]
    pub const fn high(&self) -> Option<u64> {
        self.0[1]
    }

    /// Processes killed by the OOM killer.
    #[must_use]
    pub const fn oom_kill(&self) -> Option<u64> {
        self.0[4]
    }

    pub(super) fn set(&mut self, key: &[u8], count: u64) {
        if let Some(index) = Self::NAMES.iter().position(|name| name.as_bytes() == key) {
            self.0[index] = Some(count);
        }
    }

    pub(super) fn known(&self) -> u32 {
        self.0.iter().map(|count| u32::from(count.is_some())).sum()
    }

    /// Whether the cgroup ever ran into a limit of its own.
    pub(super) fn any_limit_hit(&self) -> bool {
        self.0[1..5].iter().flatten().any(|count| *count > 0)
    }
}

/// The part of `memory.stat` that is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// Anonymous memory in bytes.
    pub anon: Option<u64>,
    /// Page cache in bytes.
    pub file: Option<u64>,
    /// Pages looked at to reclaim them.
    pub pgscan: Option<u64>,
    /// Pages reclaimed.
    pub pgsteal: Option<u64>,
    /// Anonymous pages that were needed again after eviction.
    pub refault_anon: Option<u64>,
    /// File pages that were needed again after eviction.
    pub refault_file: Option<u64>,
}

/// One cgroup of the v2 hierarchy. A value whose file does not exist or could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cgroup {
    /// Path below the cgroup root, `/system.slice/cron.service`; the root is `/`. Lossy where not UTF-8.
    pub path: Arc<str>,
    /// `memory.events`, children included, also removed ones. The root has none.
    pub events: Option<Events>,
    /// `memory.events.local`.
    pub local_events: Option<Events>,
    /// `cpu.pressure`.
    pub cpu_pressure: Option<Psi>,
    /// `io.pressure`.
    pub io_pressure: Option<Psi>,
    /// `memory.pressure`.
    pub memory_pressure: Option<Psi>,
    /// `memory.current` in bytes.
    pub current: Option<u64>,
    /// `memory.high`.
    pub high: Option<Limit>,
    /// `memory.max`.
    pub max: Option<Limit>,
    /// `memory.swap.max`.
    pub swap_max: Option<Limit>,
    /// `memory.swap.current` in bytes.
    pub swap_current: Option<u64>,
    /// `memory.stat`.
    pub stat: Stat,
    /// `cgroup.events`: whether the cgroup or a child holds a live process.
    pub populated: Option<bool>,
    /// `cgroup.events`: whether it is frozen.
    pub frozen: Option<bool>,
    /// `pids.current`.
    pub pids: Option<u64>,
    /// [`super::derive::livelock_band`]; `None` without `memory.high` or when swap is unknown.
    pub livelock_band: Option<bool>,
    /// Sum of `memory.max` in bytes over the direct children that have one. `None` when none has one, or when not
    /// every child was read: a sum that lacks a child would be wrong, not small.
    pub max_bytes_sum: Option<u64>,
    /// Whether a work cgroup (see [`super::derive::is_work`]) has no `memory.max`, nor any cgroup above it. `None` for others.
    pub uncapped: Option<bool>,
}

impl Cgroup {
    /// How many series the exporter makes of this cgroup: one per number that is there. Limits that are `max` and
    /// absent values make none. The series cap counts with this, and a test of the exporter compares.
    #[must_use]
    pub fn series(&self) -> u32 {
        let numbers = [
            self.current,
            self.high.and_then(Limit::bytes),
            self.max.and_then(Limit::bytes),
            self.swap_max.and_then(Limit::bytes),
            self.swap_current,
            self.stat.anon,
            self.stat.file,
            self.stat.pgscan,
            self.stat.pgsteal,
            self.stat.refault_anon,
            self.stat.refault_file,
            self.pids,
            self.max_bytes_sum,
        ];
        let flags = [self.populated, self.frozen, self.livelock_band, self.uncapped];
        let events = [self.events, self.local_events];
        let pressures = [self.cpu_pressure, self.io_pressure, self.memory_pressure];
        numbers.iter().flatten().map(|_| 1).sum::<u32>()
            + flags.iter().flatten().map(|_| 1).sum::<u32>()
            + events.iter().flatten().map(Events::known).sum::<u32>()
            + pressures.iter().flatten().map(Psi::lines).sum::<u32>()
    }
}

/// One memory cgroup of a v1 hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct V1Cgroup {
    /// Path below the root of the memory hierarchy.
    pub path: Arc<str>,
    /// `memory.usage_in_bytes`.
    pub usage: Option<u64>,
    /// `memory.limit_in_bytes`.
    pub limit: Option<Limit>,
    /// `memory.failcnt`.
    pub limit_hits: Option<u64>,
    /// `oom_kill` of `memory.oom_control` (Linux 4.13).
    pub oom_kills: Option<u64>,
}

impl V1Cgroup {
    /// How many series the exporter makes of this cgroup.
    #[must_use]
    pub fn series(&self) -> u32 {
        let numbers = [self.usage, self.limit.and_then(Limit::bytes), self.limit_hits, self.oom_kills];
        numbers.iter().flatten().map(|_| 1).sum()
    }
}

/// One read of the whole hierarchy. Reuse it: its memory is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Where the memory controller lives.
    pub mode: Option<Mode>,
    /// The cgroups of a v2 hierarchy, parents before children, siblings by name; empty in other modes.
    /// Cgroups that were found only after another vanished stand at the end.
    pub cgroups: Vec<Cgroup>,
    /// The cgroups of a v1 or hybrid host; empty in mode v2.
    pub v1: Vec<V1Cgroup>,
    /// `MemTotal` of the host in bytes.
    pub host_memory_bytes: Option<u64>,
    /// Cgroups that exist within depth and patterns, before the series cap.
    pub found: u64,
    /// Cgroups that were seen and are gone, since the reader was made.
    pub removed_total: u64,
    /// Series left out of this reading because of the cap (an upper bound for cgroups never read).
    pub dropped_series: u64,
}

impl Reading {
    pub(super) fn clear(&mut self) {
        self.cgroups.clear();
        self.v1.clear();
        self.host_memory_bytes = None;
        (self.found, self.dropped_series) = (0, 0);
    }
}
