//! What the exporter says about itself and its collectors.

use crate::exposition::{Emitter, Reading};
use crate::scheduler::{Report, State};
use flatline_catalog::exporter as catalog;
use flatline_ledger::StateDirectory;
use flatline_sources::Fault;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing_appender::non_blocking::ErrorCounter;

/// Counters and facts the process keeps over its life.
#[derive(Debug)]
pub struct SelfMetrics {
    memory_locked: bool,
    state_wanted: bool,
    state: Option<StateDirectory>,
    log: ErrorCounter,
    with_process: bool,
    start_time_seconds: Option<f64>,
    requests: Mutex<BTreeMap<u16, u64>>,
}

impl SelfMetrics {
    /// Reads what does not change any more. `state` is absent although it is wanted where it can't be used; `log` counts the
    /// lines that nobody took.
    #[must_use]
    pub fn new(
        memory_locked: bool,
        state_wanted: bool,
        state: Option<StateDirectory>,
        log: ErrorCounter,
        with_process: bool,
    ) -> Self {
        Self {
            memory_locked,
            state_wanted,
            state,
            log,
            with_process,
            start_time_seconds: start_time_seconds(),
            requests: Mutex::default(),
        }
    }

    /// Counts an answered request.
    pub fn count_request(&self, code: u16) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    fn is_state_available(&self) -> Option<bool> {
        self.state_wanted.then(|| self.state.as_ref().is_some_and(StateDirectory::keeps_everything))
    }

    /// The reading that goes into this scrape beside the collectors' own.
    #[must_use]
    pub fn reading(&self, reports: Vec<Report>, web_config_reload_successful: Option<bool>) -> SelfReading {
        SelfReading {
            reports,
            memory_locked: self.memory_locked,
            state_available: self.is_state_available(),
            log_lines_dropped: self.log.dropped_lines() as u64,
            web_config_reload_successful,
            requests: self
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .map(|(code, count)| (code.to_string(), *count))
                .collect(),
            process: self.with_process.then(|| Process::read(self.start_time_seconds)),
        }
    }
}

/// The exporter's own samples of one scrape.
pub struct SelfReading {
    reports: Vec<Report>,
    memory_locked: bool,
    state_available: Option<bool>,
    log_lines_dropped: u64,
    web_config_reload_successful: Option<bool>,
    requests: Vec<(String, u64)>,
    process: Option<Process>,
}

impl Reading for SelfReading {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::BUILD_INFO, |samples| {
            samples.push(&[crate::version::VERSION, crate::version::REVISION, crate::version::RUSTC], true)
        })?;
        self.emit_states(out)?;
        self.emit_outcomes(out)?;
        self.emit_losses(out)?;
        out.single(&catalog::MEMORY_LOCKED, self.memory_locked)?;
        out.family(&catalog::STATE_AVAILABLE, |samples| samples.push_some(&[], self.state_available))?;
        out.single(&catalog::LOG_LINES_DROPPED, self.log_lines_dropped)?;
        out.family(&catalog::WEB_CONFIG_RELOAD_SUCCESS, |samples| {
            samples.push_some(&[], self.web_config_reload_successful)
        })?;
        if let Some(process) = &self.process {
            out.family(&catalog::HTTP_REQUESTS, |samples| {
                self.requests.iter().try_for_each(|(code, count)| samples.push(&[code], *count))
            })?;
            process.emit(out)?;
        }
        Ok(())
    }
}

impl SelfReading {
    fn emit_states(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::COLLECTOR_STATE, |samples| {
            for report in &self.reports {
                for name in State::NAMES {
                    let current = report.state.name() == name;
                    let reason = if current { report.state.reason() } else { "" };
                    samples.push(&[report.descriptor.name, name, reason], current)?;
                }
            }
            Ok(())
        })
    }

    fn emit_outcomes(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let running = || self.reports.iter().filter(|report| !matches!(report.state, State::Off(_)));
        out.family(&catalog::COLLECTOR_SUCCESS, |samples| {
            running().try_for_each(|report| samples.push(&[report.descriptor.name], report.reading.is_some()))
        })?;
        out.family(&catalog::COLLECTOR_DURATION_SECONDS, |samples| {
            running().try_for_each(|report| samples.push_some(&[report.descriptor.name], report.duration))
        })?;
        out.family(&catalog::COLLECTOR_STUCK_SECONDS, |samples| {
            running().try_for_each(|report| samples.push(&[report.descriptor.name], report.stuck))
        })?;
        out.family(&catalog::COLLECTOR_SNAPSHOT_AGE_SECONDS, |samples| {
            running().try_for_each(|report| samples.push_some(&[report.descriptor.name], report.age))
        })
    }

    fn emit_losses(&self, out: &mut Emitter<'_>) -> fmt::Result {
        let running = || self.reports.iter().filter(|report| !matches!(report.state, State::Off(_)));
        out.family(&catalog::COLLECTOR_SERIES_DROPPED, |samples| {
            running().try_for_each(|report| samples.push(&[report.descriptor.name], report.series_dropped))
        })?;
        out.family(&catalog::COLLECTOR_SOURCE_FAULTS, |samples| {
            for report in running() {
                for (fault, count) in Fault::ALL.iter().zip(report.faults).filter(|(_, count)| *count > 0) {
                    samples.push(&[report.descriptor.name, fault.label()], count)?;
                }
            }
            Ok(())
        })
    }
}

/// The exporter's process, from `/proc/self` (always the real one, whatever `--path.procfs` says).
/// What can't be read is absent.
struct Process {
    cpu: Option<Duration>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    start_time_seconds: Option<f64>,
}

impl Process {
    fn read(start_time_seconds: Option<f64>) -> Self {
        let stat = procfs::process::Process::myself().and_then(|process| process.stat()).ok();
        Self {
            cpu: stat.as_ref().map(|stat| ticks(stat.utime + stat.stime)),
            resident_bytes: stat.as_ref().map(|stat| stat.rss * procfs::page_size()),
            virtual_bytes: stat.as_ref().map(|stat| stat.vsize),
            threads: stat.as_ref().and_then(|stat| u64::try_from(stat.num_threads).ok()),
            open_fds: open_fds(),
            max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            start_time_seconds,
        }
    }

    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        out.family(&catalog::PROCESS_CPU_SECONDS, |samples| samples.push_some(&[], self.cpu))?;
        out.family(&catalog::PROCESS_RESIDENT_MEMORY_BYTES, |samples| samples.push_some(&[], self.resident_bytes))?;
        out.family(&catalog::PROCESS_VIRTUAL_MEMORY_BYTES, |samples| samples.push_some(&[], self.virtual_bytes))?;
        out.family(&catalog::PROCESS_OPEN_FDS, |samples| samples.push_some(&[], self.open_fds))?;
        out.family(&catalog::PROCESS_MAX_FDS, |samples| samples.push_some(&[], self.max_fds))?;
        out.family(&catalog::PROCESS_THREADS, |samples| samples.push_some(&[], self.threads))?;
        out.family(&catalog::PROCESS_START_TIME_SECONDS, |samples| samples.push_some(&[], self.start_time_seconds))
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / procfs::ticks_per_second().max(1))
}

/// Since Linux 6.2 the size of `/proc/self/fd` is the number of entries; before, they must be counted.
fn open_fds() -> Option<u64> {
    let directory = std::path::Path::new("/proc/self/fd");
    match std::fs::metadata(directory).ok()?.len() {
        0 => u64::try_from(std::fs::read_dir(directory).ok()?.count()).ok(),
        count => Some(count),
    }
}

fn start_time_seconds() -> Option<f64> {
    let stat = procfs::process::Process::myself().and_then(|process| process.stat()).ok()?;
    let boot = Duration::from_secs(procfs::boot_time_secs().ok()?);
    Some((boot + ticks(stat.starttime)).as_secs_f64())
}
