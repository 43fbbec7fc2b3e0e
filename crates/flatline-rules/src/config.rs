//! The one configuration file: names, windows, thresholds, severities.
//!
//! Everything has a default, so the empty file is valid. Unknown keys and values that can't work are refused with
//! the line, the reason and, for names, the nearest valid one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_yaml::{Error as YamlError, Spanned};

use crate::check::nearest;
use crate::destinations::Outputs;
use crate::notify::Alertmanager;
use crate::promql::{Range, quote};
use crate::span::Span;

/// The documented sample: every key with its default. `flatline-rules init` prints it.
pub const SAMPLE: &str = include_str!("sample.yml");

/// Who is woken by an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Wake somebody now.
    Page,
    /// Somebody should look today.
    Warning,
    /// Worth knowing.
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page => "page",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

/// The configuration. `sample.yml` documents every key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the sample, printed by `flatline-rules init`, documents every key for its user")]
pub struct Config {
    pub scrape_interval: Span,
    pub evaluation_interval: Option<Span>,
    pub runbook_base_url: String,
    pub labels: BTreeMap<String, String>,
    pub target_labels: Vec<String>,
    pub alerts: BTreeMap<String, Override>,
    pub outputs: Outputs,
    pub devvm: Devvm,
    pub exporter: Exporter,
    pub collector: Collector,
    pub pressure: Pressure,
    pub memcg: Memcg,
    pub vm: Vm,
    pub watchdog: Watchdog,
    pub tasks: Tasks,
    pub mounts: Mounts,
    pub gpu: Gpu,
    pub boots: Boots,
    pub kernel_log: KernelLog,
    pub journal: Journal,
    pub netconsole: Netconsole,
    pub crash_capture: CrashCapture,
    pub probes: Probes,
    pub reachability: Reachability,
    pub units: Units,
    pub chain: Chain,
    pub alertmanager: Alertmanager,
}

/// What can be changed about one alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Override {
    pub enabled: Option<bool>,
    pub severity: Option<Severity>,
    #[serde(rename = "for")]
    pub hold: Option<Span>,
    pub keep_firing_for: Span,
    pub labels: BTreeMap<String, String>,
}

/// The machines that must answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Devvm {
    pub job: String,
    pub down_for: Span,
    pub absent_for: Span,
    pub absent_lookback: Span,
    pub flapping_window: Span,
    pub flapping_changes: u32,
    pub frozen_window: Span,
}

/// The exporters of other hosts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Exporter {
    pub job: String,
    pub down_for: Span,
    pub absent_for: Span,
    pub absent_lookback: Span,
}

/// The exporter's collectors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Collector {
    pub stuck_over: Span,
    pub stuck_for: Span,
}

/// Pressure of the whole host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Pressure {
    pub thrash_window: Span,
    pub thrash_for: Span,
    pub thrash_stalled_share: f64,
    pub thrash_bytes_per_second: f64,
    pub sustained_window: Span,
    pub sustained_for: Span,
    pub sustained_stalled_share: f64,
}

/// Memory cgroups.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Memcg {
    pub livelock_window: Span,
    pub livelock_for: Span,
    pub livelock_high_per_second: f64,
    pub livelock_waiting_share: f64,
    pub livelock_pages_per_high: f64,
    pub band_for: Span,
    pub caps_for: Span,
}

/// Virtual machines.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Vm {
    pub stalled_window: Span,
    pub write_zero_window: Span,
    pub write_zero_baseline: Span,
    pub write_zero_per_second: f64,
    pub write_zero_share: f64,
    pub gone_after: Span,
    pub qmp_unresponsive_for: Span,
    pub unreadable_for: Span,
    pub io_error_for: Span,
    pub throttle_window: Span,
    pub throttle_changes: u32,
}

/// Watchdog devices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Watchdog {
    pub not_armed_for: Span,
    pub unowned_for: Span,
    pub expected_owners: BTreeMap<String, String>,
}

/// Blocked tasks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Tasks {
    pub stuck_over: Span,
}

/// Network mounts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Mounts {
    pub hung_over: Span,
    pub lost_for: Span,
}

/// GPUs, and the processor beside them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Gpu {
    pub missing_for: Span,
    pub stuck_over: Span,
    pub edge_celsius: f64,
    pub junction_celsius: f64,
    pub memory_celsius: f64,
    pub ppt_watts: Option<f64>,
    pub tctl_celsius: f64,
    pub hot_for: Span,
}

/// Boots and the heartbeat.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Boots {
    pub recent: Span,
    pub crash_loop_window: Span,
    pub crash_loop_unclean: u32,
    pub crash_loop_short: u32,
    pub heartbeat_stalled_over: Span,
    pub state_not_kept_for: Span,
}

/// The kernel's log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct KernelLog {
    pub said_within: Span,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Journal {
    pub said_within: Span,
    pub not_followed_for: Span,
}

/// The last words of other hosts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Netconsole {
    pub said_within: Span,
}

/// Readiness for a crash, and what crashes left.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct CrashCapture {
    pub dump_within: Span,
    pub not_armed_for: Span,
    pub was_armed_within: Span,
    pub stale_after: Span,
    pub stale_for: Span,
    pub empty_within: Span,
    pub empty_for: Span,
}

/// What is asked over the network.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Probes {
    pub failing_for: Span,
    pub certificate_within: Span,
}

/// Whether hosts can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Reachability {
    pub rotting_window: Span,
    pub rotting_for: Span,
    pub gate_for: Span,
}

/// systemd's units.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Units {
    pub failed_for: Span,
    pub timer_late_for: Span,
    pub timer_running_for: Span,
}

/// The chain from the scrape to the message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "see `Config`")]
pub struct Chain {
    pub seldom_window: Span,
    pub seldom_share: f64,
    pub seldom_for: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scrape_interval: Span::seconds(15),
            evaluation_interval: None,
            runbook_base_url: "https://flatline.example/docs/runbooks".to_owned(),
            labels: BTreeMap::new(),
            target_labels: Vec::new(),
            alerts: BTreeMap::new(),
            outputs: Outputs::default(),
            devvm: Devvm::default(),
            exporter: Exporter::default(),
            collector: Collector::default(),
            pressure: Pressure::default(),
            memcg: Memcg::default(),
            vm: Vm::default(),
            watchdog: Watchdog::default(),
            tasks: Tasks::default(),
            mounts: Mounts::default(),
            gpu: Gpu::default(),
            boots: Boots::default(),
            kernel_log: KernelLog::default(),
            journal: Journal::default(),
            netconsole: Netconsole::default(),
            crash_capture: CrashCapture::default(),
            probes: Probes::default(),
            reachability: Reachability::default(),
            units: Units::default(),
            chain: Chain::default(),
            alertmanager: Alertmanager::default(),
        }
    }
}

impl Default for Devvm {
    fn default() -> Self {
        Self {
            job: "devvm".to_owned(),
            down_for: Span::minutes(3),
            absent_for: Span::minutes(3),
            absent_lookback: Span::hours(24),
            flapping_window: Span::minutes(30),
            flapping_changes: 4,
            frozen_window: Span::minutes(15),
        }
    }
}

impl Default for Exporter {
    fn default() -> Self {
        Self {
            job: "flatline".to_owned(),
            down_for: Span::minutes(3),
            absent_for: Span::minutes(3),
            absent_lookback: Span::hours(24),
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self { stuck_over: Span::seconds(30), stuck_for: Span::minutes(3) }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self { seldom_window: Span::minutes(5), seldom_share: 0.8, seldom_for: Span::minutes(10) }
    }
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            thrash_window: Span::minutes(2),
            thrash_for: Span::minutes(1),
            thrash_stalled_share: 0.5,
            thrash_bytes_per_second: 262_144.0,
            sustained_window: Span::minutes(2),
            sustained_for: Span::minutes(2),
            sustained_stalled_share: 0.5,
        }
    }
}

impl Default for Memcg {
    fn default() -> Self {
        Self {
            livelock_window: Span::minutes(1),
            livelock_for: Span::ZERO,
            livelock_high_per_second: 0.1,
            livelock_waiting_share: 0.6,
            livelock_pages_per_high: 32.0,
            band_for: Span::minutes(5),
            caps_for: Span::hours(1),
        }
    }
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            stalled_window: Span::minutes(1),
            write_zero_window: Span::minutes(5),
            write_zero_baseline: Span::hours(6),
            write_zero_per_second: 0.05,
            write_zero_share: 0.1,
            gone_after: Span::minutes(5),
            qmp_unresponsive_for: Span::minutes(3),
            unreadable_for: Span::minutes(15),
            io_error_for: Span::minutes(1),
            throttle_window: Span::hours(24),
            throttle_changes: 3,
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { not_armed_for: Span::minutes(10), unowned_for: Span::seconds(15), expected_owners: BTreeMap::new() }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self { stuck_over: Span::minutes(3) }
    }
}

impl Default for Mounts {
    fn default() -> Self {
        Self { hung_over: Span::minutes(2), lost_for: Span::minutes(5) }
    }
}

impl Default for Gpu {
    fn default() -> Self {
        Self {
            missing_for: Span::minutes(2),
            stuck_over: Span::seconds(30),
            edge_celsius: 90.0,
            junction_celsius: 105.0,
            memory_celsius: 100.0,
            ppt_watts: None,
            tctl_celsius: 90.0,
            hot_for: Span::minutes(5),
        }
    }
}

impl Default for Boots {
    fn default() -> Self {
        Self {
            recent: Span::hours(1),
            crash_loop_window: Span::hours(12),
            crash_loop_unclean: 3,
            crash_loop_short: 2,
            heartbeat_stalled_over: Span::minutes(1),
            state_not_kept_for: Span::minutes(5),
        }
    }
}

impl Default for KernelLog {
    fn default() -> Self {
        Self { said_within: Span::minutes(15) }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { said_within: Span::minutes(15), not_followed_for: Span::minutes(5) }
    }
}

impl Default for Netconsole {
    fn default() -> Self {
        Self { said_within: Span::minutes(15) }
    }
}

impl Default for CrashCapture {
    fn default() -> Self {
        Self {
            dump_within: Span::hours(24),
            not_armed_for: Span::minutes(15),
            was_armed_within: Span::hours(24 * 7),
            stale_after: Span::hours(1),
            stale_for: Span::minutes(15),
            empty_within: Span::hours(24),
            empty_for: Span::minutes(1),
        }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self { failing_for: Span::minutes(3), certificate_within: Span::hours(24 * 14) }
    }
}

impl Default for Units {
    fn default() -> Self {
        Self { failed_for: Span::minutes(1), timer_late_for: Span::minutes(10), timer_running_for: Span::hours(12) }
    }
}

impl Default for Reachability {
    fn default() -> Self {
        Self { rotting_window: Span::minutes(1), rotting_for: Span::minutes(3), gate_for: Span::seconds(30) }
    }
}

impl Memcg {
    /// The window as a range.
    #[must_use]
    pub const fn window(&self) -> Range {
        Range::Fixed(self.livelock_window)
    }
}

/// A configuration that can't be used, and why, with file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ConfigError {
    file: String,
    line: u64,
    reason: String,
}

impl Config {
    /// Reads a configuration; `file` is only named in errors.
    ///
    /// # Errors
    /// When the text is no YAML, has a key nobody knows, or a value that can't work.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let error = |line, reason| ConfigError { file: file.to_owned(), line, reason };
        let places = Places::of(text);
        let config: Self = if places.0.is_empty() && blank(text) {
            Self::default()
        } else {
            serde_yaml::from_str(text).map_err(|cause| {
                let cause = cause.without_snippet();
                error(cause.location().map_or(1, |location| location.line()), reason(cause))
            })?
        };
        match config.first_problem() {
            None => Ok(config),
            Some((key, reason)) => Err(error(places.line(&key), format!("{key}: {reason}"))),
        }
    }

    /// The labels that tell one scraped target from another.
    #[must_use]
    pub fn identity(&self) -> Vec<String> {
        self.identified_by(&["job", "instance"])
    }

    /// These labels, and those without which two targets could be mistaken for one.
    #[must_use]
    pub fn identified_by(&self, labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&label| label.to_owned()).chain(self.target_labels.iter().cloned()).collect()
    }

    /// Whether the exporters are scraped by the very job that [`Devvm`] watches.
    #[must_use]
    pub fn exporters_are_devvms(&self) -> bool {
        self.devvm.job == self.exporter.job
    }

    /// The labels added to an alert, its own over those of all.
    #[must_use]
    pub fn labels_of(&self, alert: &str) -> BTreeMap<String, String> {
        let own = self.alerts.get(alert).map(|changed| changed.labels.clone()).unwrap_or_default();
        self.labels.clone().into_iter().chain(own).collect()
    }

    fn first_problem(&self) -> Option<(String, String)> {
        let Self { devvm, exporter, collector, memcg, vm, boots, crash_capture, scrape_interval: scrape, .. } = self;
        let must = |key: &str, holds: bool, reason: String| (!holds).then(|| (key.to_owned(), reason));
        let job = |key: &str, name: &str| must(key, !name.is_empty(), "the name of a scrape job can't be empty".into());
        let window = |key: &str, window: Span| {
            must(
                key,
                window >= *scrape * 4,
                format!("{window} holds fewer than 4 scrapes at scrape_interval {scrape}; a rate over so few is noise"),
            )
        };
        let lookback = |key: &str, lookback: Span, wait: Span| {
            must(
                key,
                lookback > wait + *scrape,
                format!("{lookback} is forgotten before absent_for ({wait}) is over, the alert could never fire"),
            )
        };
        let positive = |key: &str, value: f64| {
            must(key, value > 0.0 && value.is_finite(), format!("{value} is not greater than 0"))
        };
        let share = |key: &str, value: f64| {
            must(key, value > 0.0 && value < 1.0, format!("{value} is no share between 0 and 1"))
        };
        must("scrape_interval", !scrape.is_zero(), "can't be 0s".into())
            .or_else(|| {
                let evaluation = self.evaluation_interval?;
                must("evaluation_interval", !evaluation.is_zero(), "can't be 0s".into())
            })
            .or_else(|| {
                let url = &self.runbook_base_url;
                let ok =
                    ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
                must("runbook_base_url", ok, format!("`{url}` is no http or https address"))
            })
            .or_else(|| self.labels.keys().find_map(|name| bad_label("labels", name)))
            .or_else(|| self.target_labels.iter().find_map(|name| bad_target_label(name)))
            .or_else(|| self.alerts.iter().find_map(|(name, changed)| self.bad_alert(name, changed)))
            .or_else(|| self.outputs.first_problem())
            .or_else(|| job("devvm.job", &devvm.job))
            .or_else(|| lookback("devvm.absent_lookback", devvm.absent_lookback, devvm.absent_for))
            .or_else(|| window("devvm.flapping_window", devvm.flapping_window))
            .or_else(|| {
                let possible = devvm.flapping_window.steps(*scrape);
                let wanted = u64::from(devvm.flapping_changes);
                must(
                    "devvm.flapping_changes",
                    (2..possible).contains(&wanted),
                    format!("must be at least 2 (one outage) and below {possible}, the scrapes in flapping_window"),
                )
            })
            .or_else(|| window("devvm.frozen_window", devvm.frozen_window))
            .or_else(|| job("exporter.job", &exporter.job))
            .or_else(|| lookback("exporter.absent_lookback", exporter.absent_lookback, exporter.absent_for))
            .or_else(|| must("collector.stuck_over", !collector.stuck_over.is_zero(), "can't be 0s".into()))
            .or_else(|| window("memcg.livelock_window", memcg.livelock_window))
            .or_else(|| positive("memcg.livelock_high_per_second", memcg.livelock_high_per_second))
            .or_else(|| share("memcg.livelock_waiting_share", memcg.livelock_waiting_share))
            .or_else(|| positive("memcg.livelock_pages_per_high", memcg.livelock_pages_per_high))
            .or_else(|| window("pressure.thrash_window", self.pressure.thrash_window))
            .or_else(|| share("pressure.thrash_stalled_share", self.pressure.thrash_stalled_share))
            .or_else(|| positive("pressure.thrash_bytes_per_second", self.pressure.thrash_bytes_per_second))
            .or_else(|| window("pressure.sustained_window", self.pressure.sustained_window))
            .or_else(|| share("pressure.sustained_stalled_share", self.pressure.sustained_stalled_share))
            .or_else(|| window("vm.stalled_window", vm.stalled_window))
            .or_else(|| window("vm.write_zero_window", vm.write_zero_window))
            .or_else(|| {
                let (baseline, window) = (vm.write_zero_baseline, vm.write_zero_window);
                must(
                    "vm.write_zero_baseline",
                    baseline >= window * 40,
                    format!("{baseline} is less than 40 write_zero_windows ({window}); so few tell no habit"),
                )
            })
            .or_else(|| positive("vm.write_zero_per_second", vm.write_zero_per_second))
            .or_else(|| share("vm.write_zero_share", vm.write_zero_share))
            .or_else(|| window("vm.gone_after", vm.gone_after))
            .or_else(|| window("vm.qmp_unresponsive_for", vm.qmp_unresponsive_for))
            .or_else(|| window("vm.unreadable_for", vm.unreadable_for))
            .or_else(|| window("vm.io_error_for", vm.io_error_for))
            .or_else(|| window("vm.throttle_window", vm.throttle_window))
            .or_else(|| {
                let mut owners = self.watchdog.expected_owners.iter();
                let (key, wrong) = owners.find_map(|(instance, comm)| {
                    [instance, comm].into_iter().find(|pattern| !legal_pattern(pattern)).map(|wrong| (instance, wrong))
                })?;
                Some((format!("watchdog.expected_owners.{key}"), format!("`{wrong}` is no pattern")))
            })
            .or_else(|| must("tasks.stuck_over", !self.tasks.stuck_over.is_zero(), "can't be 0s".into()))
            .or_else(|| must("mounts.hung_over", !self.mounts.hung_over.is_zero(), "can't be 0s".into()))
            .or_else(|| {
                let wrong = format!(
                    "must be longer than mounts.hung_over ({}), as what hangs is no lost mount",
                    self.mounts.hung_over
                );
                must("mounts.lost_for", self.mounts.lost_for > self.mounts.hung_over, wrong)
            })
            .or_else(|| must("gpu.stuck_over", !self.gpu.stuck_over.is_zero(), "can't be 0s".into()))
            .or_else(|| positive("gpu.edge_celsius", self.gpu.edge_celsius))
            .or_else(|| positive("gpu.junction_celsius", self.gpu.junction_celsius))
            .or_else(|| positive("gpu.memory_celsius", self.gpu.memory_celsius))
            .or_else(|| positive("gpu.ppt_watts", self.gpu.ppt_watts.unwrap_or(1.0)))
            .or_else(|| positive("gpu.tctl_celsius", self.gpu.tctl_celsius))
            .or_else(|| must("boots.recent", !boots.recent.is_zero(), "can't be 0s".into()))
            .or_else(|| window("boots.crash_loop_window", boots.crash_loop_window))
            .or_else(|| positive("boots.crash_loop_unclean", boots.crash_loop_unclean.into()))
            .or_else(|| positive("boots.crash_loop_short", boots.crash_loop_short.into()))
            .or_else(|| {
                let over = boots.heartbeat_stalled_over;
                must("boots.heartbeat_stalled_over", !over.is_zero(), "can't be 0s".into())
            })
            .or_else(|| window("kernel_log.said_within", self.kernel_log.said_within))
            .or_else(|| window("journal.said_within", self.journal.said_within))
            .or_else(|| window("netconsole.said_within", self.netconsole.said_within))
            .or_else(|| window("crash_capture.dump_within", crash_capture.dump_within))
            .or_else(|| window("crash_capture.was_armed_within", crash_capture.was_armed_within))
            .or_else(|| window("crash_capture.stale_after", crash_capture.stale_after))
            .or_else(|| window("crash_capture.empty_within", crash_capture.empty_within))
            .or_else(|| window("probes.certificate_within", self.probes.certificate_within))
            .or_else(|| must("units.timer_late_for", !self.units.timer_late_for.is_zero(), "can't be 0s".into()))
            .or_else(|| must("units.timer_running_for", !self.units.timer_running_for.is_zero(), "can't be 0s".into()))
            .or_else(|| window("reachability.rotting_window", self.reachability.rotting_window))
            .or_else(|| window("chain.seldom_window", self.chain.seldom_window))
            .or_else(|| share("chain.seldom_share", self.chain.seldom_share))
            .or_else(|| {
                let wrong = format!(
                    "must be longer than chain.seldom_window ({}), for which a restart of Prometheus leaves a hole",
                    self.chain.seldom_window
                );
                must("chain.seldom_for", self.chain.seldom_for > self.chain.seldom_window, wrong)
            })
            .or_else(|| self.alertmanager.problem())
    }

    fn bad_alert(&self, name: &str, changed: &Override) -> Option<(String, String)> {
        let signals = crate::signals::all(self);
        let known = || signals.iter().flat_map(|signal| signal.alerts.iter().map(move |alert| (signal, alert)));
        let Some((signal, alert)) = known().find(|(_, alert)| alert.name == name) else {
            let hint = nearest(name, known().map(|(_, alert)| alert.name));
            return Some((format!("alerts.{name}"), format!("there is no such alert{hint}")));
        };
        if let Some(label) = changed.labels.keys().find_map(|label| bad_label(&format!("alerts.{name}.labels"), label))
        {
            return Some(label);
        }
        (!changed.keep_firing_for.is_zero() && signal.remembers(alert)).then(|| {
            let reason = "this alert remembers by itself that it fires, until it is proved that it is over";
            (format!("alerts.{name}.keep_firing_for"), reason.to_owned())
        })
    }
}

fn blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn legal_label(name: &str) -> bool {
    !name.starts_with("__")
        && name.bytes().enumerate().all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (i > 0 && b.is_ascii_digit()))
        && !name.is_empty()
}

fn legal_pattern(pattern: &str) -> bool {
    promql_parser::parser::parse(&format!("up{{instance=~{}}}", quote(pattern))).is_ok()
}

fn bad_label(section: &str, name: &str) -> Option<(String, String)> {
    let problem = if !legal_label(name) {
        "is no label name"
    } else if ["alertname", "severity", "job", "instance"].contains(&name) {
        "is set by Prometheus or by the rule itself"
    } else {
        return None;
    };
    Some((format!("{section}.{name}"), format!("`{name}` {problem}")))
}

fn bad_target_label(name: &str) -> Option<(String, String)> {
    bad_label("target_labels", name).map(|(_, reason)| ("target_labels".to_owned(), reason))
}

fn reason(cause: &YamlError) -> String {
    match cause {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            let hint = nearest(field, expected.iter().copied());
            format!("unknown key `{field}`{hint} (known here: {})", expected.join(", "))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            format!("`{variant}` is none of {}{}", expected.join(", "), nearest(variant, expected.iter().copied()))
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("{unexpected} where {expected} is needed")
        }
        YamlError::Message { msg, .. } => msg.clone(),
        other => {
            let text = other.to_string();
            text.lines().next().unwrap_or_default().to_owned()
        }
    }
}

/// On which line every key stands (`memcg.livelock_window`).
struct Places(BTreeMap<String, u64>);

impl Places {
    fn of(text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(tree) = serde_yaml::from_str::<Tree>(text) {
            tree.collect("", &mut lines);
        }
        Self(lines)
    }

    /// The line of the key, or of the nearest section around it that is written down, or the first.
    fn line(&self, key: &str) -> u64 {
        let mut key = key;
        loop {
            match (self.0.get(key), key.rsplit_once('.')) {
                (Some(line), _) => return *line,
                (None, Some((section, _))) => key = section,
                (None, None) => return 1,
            }
        }
    }
}

/// Any YAML, of which only the mappings matter.
enum Tree {
    Map(Vec<(Spanned<String>, Tree)>),
    Leaf,
}

impl Tree {
    fn collect(&self, prefix: &str, lines: &mut BTreeMap<String, u64>) {
        let Self::Map(entries) = self else { return };
        for (Spanned { value: key, referenced, .. }, value) in entries {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            lines.insert(path.clone(), referenced.line());
            value.collect(&path, lines);
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyTree;

        impl<'de> Visitor<'de> for AnyTree {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("YAML")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Tree::Leaf)
            }

            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }

            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
        }

        deserializer.deserialize_any(AnyTree)
    }
}
