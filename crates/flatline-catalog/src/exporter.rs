//! The exporter about itself. The framework emits these; collectors never do.

use crate::{Family, Label, Unit};

/// A collector's name.
pub const COLLECTOR: Label = Label::new("collector", "one per collector compiled in");
/// What became of a collector's start.
pub const STATE: Label = Label::new("state", "on, off, failed, starting");
/// Why a collector is not on.
pub const REASON: Label =
    Label::new("reason", "present only on the true state when it is not `on`; one text per collector");
/// Why a source could not be read.
pub const FAULT: Label = Label::new(
    "fault",
    "permission_denied, not_found, is_a_directory, invalid_content, too_large, out_of_file_descriptors, io_error",
);
/// HTTP status code.
pub const CODE: Label = Label::new("code", "the HTTP status codes the exporter sends, about ten");

/// Version of the exporter.
pub static BUILD_INFO: Family = Family::info(
    "flatline_build_info",
    &[
        Label::new("version", "one per process"),
        Label::new("revision", "one per process"),
        Label::new("rustversion", "one per process"),
    ],
    "The exporter's version, git revision and compiler.",
);
/// Stateset of the three outcomes of init.
pub static COLLECTOR_STATE: Family = Family::gauge(
    "flatline_collector_state",
    Unit::None,
    &[COLLECTOR, STATE, REASON],
    "1 for the state the collector is in: on, off (nothing to read here, or switched off), failed, or starting. The reason label says why it is not on.",
);
/// Whether the last attempt answered in time.
pub static COLLECTOR_SUCCESS: Family = Family::gauge(
    "flatline_collector_success",
    Unit::None,
    &[COLLECTOR],
    "1 when the collector answered this scrape in time and could read its source; 0 when it was late, stuck or failed, and then its samples are absent.",
);
/// How long the last finished collection took.
pub static COLLECTOR_DURATION_SECONDS: Family = Family::gauge(
    "flatline_collector_duration_seconds",
    Unit::Seconds,
    &[COLLECTOR],
    "How long the collector's last finished collection took. Absent until one has finished.",
);
/// How long the read in flight has been overdue.
pub static COLLECTOR_STUCK_SECONDS: Family = Family::gauge(
    "flatline_collector_stuck_seconds",
    Unit::Seconds,
    &[COLLECTOR],
    "How long the collector's read has been in flight beyond its deadline; 0 when nothing is stuck. Grows until the kernel lets the read return.",
);
/// Age of the newest finished collection.
pub static COLLECTOR_SNAPSHOT_AGE_SECONDS: Family = Family::gauge(
    "flatline_collector_snapshot_age_seconds",
    Unit::Seconds,
    &[COLLECTOR],
    "Age of the collector's newest successful collection when this scrape was answered. Absent until there is one.",
);
/// Samples left out because of a cap.
pub static COLLECTOR_SERIES_DROPPED: Family = Family::counter(
    "flatline_collector_series_dropped_total",
    Unit::None,
    &[COLLECTOR],
    "Samples left out because the collector reached its series cap, added up over all collections. Rising means the host has more than is shown.",
);
/// Reads that failed.
pub static COLLECTOR_SOURCE_FAULTS: Family = Family::counter(
    "flatline_collector_source_faults_total",
    Unit::None,
    &[COLLECTOR, FAULT],
    "Source files that could not be read or understood, by what was wrong. Each file is logged once; this counts every time.",
);
/// mlockall.
pub static MEMORY_LOCKED: Family = Family::gauge(
    "flatline_exporter_memory_locked",
    Unit::None,
    &[],
    "1 when the exporter's memory is locked, so that it answers while the host swaps or its disk is dead; 0 when the host did not allow it.",
);
/// The state directory.
pub static STATE_AVAILABLE: Family = Family::gauge(
    "flatline_exporter_state_available",
    Unit::None,
    &[],
    "1 when the state directory is in use, so that counters survive restarts and boots are remembered; 0 when it can't be used, or something could not be written there at the last try (a full disk) or not be read at the start. Absent when none is wanted (--state.directory=).",
);
/// Log lines that are lost.
pub static LOG_LINES_DROPPED: Family = Family::counter(
    "flatline_exporter_log_lines_dropped_total",
    Unit::None,
    &[],
    "Log lines of this exporter that were lost because nobody took them (a hung journal). What they said stays said in the metrics only.",
);
/// Answered requests.
pub static HTTP_REQUESTS: Family = Family::counter(
    "flatline_http_requests_total",
    Unit::None,
    &[CODE],
    "HTTP requests answered, by status code. 503 means that --web.max-requests scrapes were in flight already, or too many passwords of users not seen before were being checked.",
);
/// Whether the newest web configuration is in force.
pub static WEB_CONFIG_RELOAD_SUCCESS: Family = Family::gauge(
    "flatline_web_config_last_reload_successful",
    Unit::None,
    &[],
    "1 when the file given with --web.config.file is in force as it stands on disk; 0 when its newest version was refused and the old one is kept. Absent without such a file.",
);
/// CPU time of the exporter.
pub static PROCESS_CPU_SECONDS: Family = Family::counter(
    "process_cpu_seconds_total",
    Unit::Seconds,
    &[],
    "Total user and system CPU time spent in seconds by the exporter itself.",
);
/// Resident memory of the exporter.
pub static PROCESS_RESIDENT_MEMORY_BYTES: Family = Family::gauge(
    "process_resident_memory_bytes",
    Unit::Bytes,
    &[],
    "Resident memory size of the exporter itself in bytes.",
);
/// Virtual memory of the exporter.
pub static PROCESS_VIRTUAL_MEMORY_BYTES: Family = Family::gauge(
    "process_virtual_memory_bytes",
    Unit::Bytes,
    &[],
    "Virtual memory size of the exporter itself in bytes.",
);
/// Open file descriptors of the exporter.
pub static PROCESS_OPEN_FDS: Family = Family::gauge(
    "process_open_fds",
    Unit::None,
    &[],
    "Open file descriptors of the exporter itself; most are cgroup files it holds open to read them cheaply.",
);
/// Limit on file descriptors.
pub static PROCESS_MAX_FDS: Family =
    Family::gauge("process_max_fds", Unit::None, &[], "Maximum number of open file descriptors the exporter may have.");
/// Threads of the exporter.
pub static PROCESS_THREADS: Family = Family::gauge(
    "process_threads",
    Unit::None,
    &[],
    "Threads of the exporter itself: one per collector and a few; constant also while a source hangs.",
);
/// Start of the exporter.
pub static PROCESS_START_TIME_SECONDS: Family = Family::gauge(
    "process_start_time_seconds",
    Unit::Seconds,
    &[],
    "Start time of the exporter since the Unix epoch in seconds.",
);

/// The families of this signal.
pub const FAMILIES: &[&Family] = &[
    &BUILD_INFO,
    &COLLECTOR_STATE,
    &COLLECTOR_SUCCESS,
    &COLLECTOR_DURATION_SECONDS,
    &COLLECTOR_STUCK_SECONDS,
    &COLLECTOR_SNAPSHOT_AGE_SECONDS,
    &COLLECTOR_SERIES_DROPPED,
    &COLLECTOR_SOURCE_FAULTS,
    &MEMORY_LOCKED,
    &STATE_AVAILABLE,
    &LOG_LINES_DROPPED,
    &HTTP_REQUESTS,
    &WEB_CONFIG_RELOAD_SUCCESS,
    &PROCESS_CPU_SECONDS,
    &PROCESS_RESIDENT_MEMORY_BYTES,
    &PROCESS_VIRTUAL_MEMORY_BYTES,
    &PROCESS_OPEN_FDS,
    &PROCESS_MAX_FDS,
    &PROCESS_THREADS,
    &PROCESS_START_TIME_SECONDS,
];
