//! Tasks (processes and their threads) that the kernel keeps in uninterruptible sleep, from `/proc/<pid>/stat`,
//! `status` and `wchan` and the same files of every thread (`proc_pid_stat(5)`, `proc_pid_status(5)`,
//! `proc_pid_wchan(5)`).

use crate::{Family, Label, Unit};

/// Where in the kernel a task waits.
pub const WCHAN: Label = Label::new(
    "wchan",
    "a kernel function each, capped by --collector.tasks.max-wchans; other for those beyond, unreadable where the kernel does not tell",
);
/// What a task is doing.
pub const STATE: Label =
    Label::new("state", "running, sleeping, disk_sleep, stopped, tracing_stop, zombie, dead, idle, parked, other");
/// Why tasks are missing from the counts.
pub const REASON: Label = Label::new("reason", "bound, unreadable");

/// Tasks in uninterruptible sleep by the kernel function they sleep in.
pub static BLOCKED: Family = Family::gauge(
    "flatline_tasks_blocked",
    Unit::None,
    &[WCHAN],
    "Tasks in uninterruptible sleep (D) by the kernel function they wait in (wchan). No signal reaches them, not even kill -9. unreadable is not fine: the kernel hides the function from an exporter without root or CAP_SYS_PTRACE.",
);
/// The longest uninterruptible sleep by the kernel function.
pub static BLOCKED_OLDEST_SECONDS: Family = Family::gauge(
    "flatline_tasks_blocked_oldest_seconds",
    Unit::Seconds,
    &[WCHAN],
    "How long the longest of these tasks has been seen in D without a single context switch: it has not moved at all. Starts at 0 when the exporter first sees it.",
);
/// Tasks by state. Not `flatline_tasks_total`: a gauge must not end in `_total`, that suffix belongs to counters.
pub static TASKS: Family = Family::gauge(
    "flatline_tasks",
    Unit::None,
    &[STATE],
    "Tasks (processes and their threads, kernel threads too) by what they are doing. disk_sleep is D, short waits for a disk included.",
);
/// Whether wait channels can be read.
pub static WCHAN_READABLE: Family = Family::gauge(
    "flatline_tasks_wchan_readable",
    Unit::None,
    &[],
    "1 when the kernel tells in which function tasks wait, 0 when it hides it (needs root or CAP_SYS_PTRACE, and a kernel with symbols). Absent when no task is there to tell by.",
);
/// Whether the processes of others can be seen.
pub static PROCESSES_VISIBLE: Family = Family::gauge(
    "flatline_tasks_processes_visible",
    Unit::None,
    &[],
    "1 when process 1 can be seen, 0 when not: then /proc is mounted with hidepid and hides the processes of other users from the exporter.",
);
/// Tasks looked at.
pub static SCANNED: Family =
    Family::gauge("flatline_tasks_scanned", Unit::None, &[], "Tasks looked at for these numbers.");
/// Tasks not looked at.
pub static LEFT_OUT: Family = Family::gauge(
    "flatline_tasks_left_out",
    Unit::None,
    &[REASON],
    "Tasks missing from these numbers: bound is more than --collector.tasks.max-tasks (threads of processes left out are not counted), unreadable is what the kernel refused to show.",
);
/// How old the numbers are.
pub static SWEEP_AGE_SECONDS: Family = Family::gauge(
    "flatline_tasks_sweep_age_seconds",
    Unit::Seconds,
    &[],
    "How long ago the exporter began to gather these numbers. Above the scrape interval the host has more tasks than one scrape looks at (--collector.tasks.max-duration).",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &BLOCKED,
    &BLOCKED_OLDEST_SECONDS,
    &TASKS,
    &WCHAN_READABLE,
    &PROCESSES_VISIBLE,
    &SCANNED,
    &LEFT_OUT,
    &SWEEP_AGE_SECONDS,
];
