//! Memory cgroups, from the cgroup-v2 hierarchy
//! (kernel documentation: `Documentation/admin-guide/cgroup-v2.rst`), and what little cgroup v1 has.

use crate::{Family, Label, Unit};

/// The cgroup's path below the cgroup root, `/system.slice/sshd.service`; the root itself is `/`.
pub const CGROUP: Label = Label::new(
    "cgroup",
    "one per cgroup, capped by --collector.memcg.max-series, --collector.memcg.max-depth and include/exclude",
);
/// The cgroup whose direct children are meant.
pub const PARENT: Label = Label::new("parent", "one per cgroup with a limited child, capped like cgroup");
/// A line of `memory.events`.
pub const EVENT: Label =
    Label::new("event", "low, high, max, oom, oom_kill, oom_group_kill, sock_throttled (as the kernel has them)");
/// The resource a cgroup waits for.
pub const RESOURCE: Label = Label::new("resource", "cpu, io, memory");
/// What kind of page came back.
pub const PAGE_TYPE: Label = Label::new("type", "anon, file");
/// Where the memory controller lives.
pub const MODE: Label = Label::new("mode", "v2, hybrid, v1");

/// `*.pressure` some.
pub static WAITING_SECONDS: Family = Family::counter(
    "flatline_memcg_waiting_seconds_total",
    Unit::Seconds,
    &[CGROUP, RESOURCE],
    "Time in which at least one task of the cgroup waited for the resource (PSI some). Near 1 per second in a memcg livelock.",
);
/// `*.pressure` full.
pub static STALLED_SECONDS: Family = Family::counter(
    "flatline_memcg_stalled_seconds_total",
    Unit::Seconds,
    &[CGROUP, RESOURCE],
    "Time in which every non-idle task of the cgroup waited for the resource at once (PSI full). Stays 0 when one task still burns CPU.",
);
/// `memory.events`.
pub static EVENTS: Family = Family::counter(
    "flatline_memcg_events_total",
    Unit::None,
    &[CGROUP, EVENT],
    "Memory events of the cgroup and everything below it, removed children included (memory.events). Count kills here: they outlive the leaf.",
);
/// `memory.events.local`.
pub static LOCAL_EVENTS: Family = Family::counter(
    "flatline_memcg_local_events_total",
    Unit::None,
    &[CGROUP, EVENT],
    "Memory events of the cgroup itself without its children (memory.events.local). Judge throttling (high) here: parents repeat it otherwise.",
);
/// `memory.current`.
pub static CURRENT_BYTES: Family = Family::gauge(
    "flatline_memcg_current_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Memory charged to the cgroup and its children now (memory.current).",
);
/// `memory.swap.current`.
pub static SWAP_CURRENT_BYTES: Family = Family::gauge(
    "flatline_memcg_swap_current_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Swap used by the cgroup and its children now (memory.swap.current).",
);
/// `memory.high`, absent when `max`.
pub static HIGH_BYTES: Family = Family::gauge(
    "flatline_memcg_high_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Throttle limit of the cgroup (memory.high): above it every allocating task is put to sleep. Absent when there is none.",
);
/// `memory.max`, absent when `max`.
pub static MAX_BYTES: Family = Family::gauge(
    "flatline_memcg_max_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Hard limit of the cgroup (memory.max): above it the kernel kills inside the cgroup. Absent when there is none.",
);
/// `memory.swap.max`, absent when `max`.
pub static SWAP_MAX_BYTES: Family = Family::gauge(
    "flatline_memcg_swap_max_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Swap limit of the cgroup (memory.swap.max). Absent when there is none; 0 means anonymous memory can't be reclaimed at all.",
);
/// `memory.stat` anon.
pub static ANON_BYTES: Family = Family::gauge(
    "flatline_memcg_anon_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Anonymous memory of the cgroup (memory.stat anon). Without swap none of it can be reclaimed.",
);
/// `memory.stat` file.
pub static FILE_BYTES: Family = Family::gauge(
    "flatline_memcg_file_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Page cache of the cgroup (memory.stat file). This is what reclaim can usually take back.",
);
/// `memory.stat` pgscan.
pub static RECLAIM_SCANNED_PAGES: Family = Family::counter(
    "flatline_memcg_reclaim_scanned_pages_total",
    Unit::Pages,
    &[CGROUP],
    "Pages the kernel looked at to reclaim memory of the cgroup (memory.stat pgscan).",
);
/// `memory.stat` pgsteal.
pub static RECLAIM_RECLAIMED_PAGES: Family = Family::counter(
    "flatline_memcg_reclaim_reclaimed_pages_total",
    Unit::Pages,
    &[CGROUP],
    "Pages the kernel really reclaimed from the cgroup (memory.stat pgsteal). Flat while high events rise: nothing can be reclaimed.",
);
/// `memory.stat` workingset_refault_*.
pub static REFAULTED_PAGES: Family = Family::counter(
    "flatline_memcg_refaulted_pages_total",
    Unit::Pages,
    &[CGROUP, PAGE_TYPE],
    "Pages that were evicted and needed again (memory.stat workingset_refault_*). Rising fast means the cgroup thrashes.",
);
/// `pids.current`.
pub static PIDS: Family = Family::gauge(
    "flatline_memcg_pids",
    Unit::None,
    &[CGROUP],
    "Tasks (threads) in the cgroup and its children (pids.current).",
);
/// `cgroup.events` populated.
pub static POPULATED: Family = Family::gauge(
    "flatline_memcg_populated",
    Unit::None,
    &[CGROUP],
    "1 when the cgroup or a child holds a live process (cgroup.events populated).",
);
/// `cgroup.events` frozen.
pub static FROZEN: Family = Family::gauge(
    "flatline_memcg_frozen",
    Unit::None,
    &[CGROUP],
    "1 when somebody froze the cgroup on purpose (cgroup.events frozen): its tasks stand still and that is no fault.",
);
/// Derived from the limits.
pub static LIVELOCK_BAND: Family = Family::gauge(
    "flatline_memcg_livelock_band",
    Unit::None,
    &[CGROUP],
    "1 when memory.high is below memory.max and nothing can be swapped: a hog that settles between the two stalls the whole cgroup for ever and no OOM kill comes.",
);
/// Derived from the limits of the children. Not `..._sum`: that suffix belongs to histograms, and promtool says so.
pub static CHILDREN_MAX_BYTES: Family = Family::gauge(
    "flatline_memcg_children_max_bytes",
    Unit::Bytes,
    &[PARENT],
    "Sum of memory.max over the direct children that have one. Above the host's memory the caps promise more than there is.",
);
/// Derived from the limits along the path.
pub static UNCAPPED: Family = Family::gauge(
    "flatline_memcg_uncapped",
    Unit::None,
    &[CGROUP],
    "1 when a work cgroup (user slice, container, machine) has no memory.max, nor has any cgroup above it: it can take the whole host down.",
);
/// cgroup directories that went away.
pub static REMOVED: Family = Family::counter(
    "flatline_memcg_removed_total",
    Unit::None,
    &[],
    "Cgroups that were seen once and are gone since the exporter started. Their own counters went with them; their parents keep the events.",
);
/// cgroup directories that exist.
pub static CGROUPS: Family = Family::gauge(
    "flatline_memcg_cgroups",
    Unit::None,
    &[],
    "Cgroups found on the host within the depth limit and the include and exclude patterns, before the series cap.",
);
/// Where the memory controller lives.
pub static MODE_STATE: Family = Family::gauge(
    "flatline_memcg_mode",
    Unit::None,
    &[MODE],
    "1 for the way the host runs the memory controller. On v1 and hybrid hosts only the flatline_memcg_v1 families exist and no livelock can be seen.",
);
/// MemTotal of the host.
pub static HOST_MEMORY_BYTES: Family = Family::gauge(
    "flatline_memcg_host_memory_bytes",
    Unit::Bytes,
    &[],
    "Memory of the host (MemTotal), to hold the sum of the cgroup limits against.",
);
/// v1 `memory.usage_in_bytes`.
pub static V1_USAGE_BYTES: Family = Family::gauge(
    "flatline_memcg_v1_usage_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Memory charged to the cgroup on a cgroup-v1 host (memory.usage_in_bytes).",
);
/// v1 `memory.limit_in_bytes`, absent when unlimited.
pub static V1_LIMIT_BYTES: Family = Family::gauge(
    "flatline_memcg_v1_limit_bytes",
    Unit::Bytes,
    &[CGROUP],
    "Hard limit of the cgroup on a cgroup-v1 host (memory.limit_in_bytes). Absent when there is none.",
);
/// v1 `memory.failcnt`.
pub static V1_FAILURES: Family = Family::counter(
    "flatline_memcg_v1_limit_hits_total",
    Unit::None,
    &[CGROUP],
    "Times the cgroup ran into its hard limit on a cgroup-v1 host (memory.failcnt).",
);
/// v1 `memory.oom_control` oom_kill.
pub static V1_OOM_KILLS: Family = Family::counter(
    "flatline_memcg_v1_oom_kills_total",
    Unit::None,
    &[CGROUP],
    "Processes of the cgroup killed by the OOM killer on a cgroup-v1 host (memory.oom_control). Not hierarchical: a removed leaf takes its count along.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &WAITING_SECONDS,
    &STALLED_SECONDS,
    &EVENTS,
    &LOCAL_EVENTS,
    &CURRENT_BYTES,
    &SWAP_CURRENT_BYTES,
    &HIGH_BYTES,
    &MAX_BYTES,
    &SWAP_MAX_BYTES,
    &ANON_BYTES,
    &FILE_BYTES,
    &RECLAIM_SCANNED_PAGES,
    &RECLAIM_RECLAIMED_PAGES,
    &REFAULTED_PAGES,
    &PIDS,
    &POPULATED,
    &FROZEN,
    &LIVELOCK_BAND,
    &CHILDREN_MAX_BYTES,
    &UNCAPPED,
    &REMOVED,
    &CGROUPS,
    &MODE_STATE,
    &HOST_MEMORY_BYTES,
    &V1_USAGE_BYTES,
    &V1_LIMIT_BYTES,
    &V1_FAILURES,
    &V1_OOM_KILLS,
];
