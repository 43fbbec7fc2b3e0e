//! Flags, environment and configuration file, in that order of precedence.
//!
//! The flags are the only declaration of a setting: the environment variable is the flag in capitals
//! (`--web.listen-address` is `FLATLINE_WEB_LISTEN_ADDRESS`) and the configuration file holds the same
//! names, so nothing can be set in one place and not in the others.

use crate::collector::{Activation, Descriptor};
use crate::commands::Task;
use crate::config_file::{self, ConfigError, Setting};
use crate::flags::{path, source, switch, switch_owned, switch_value, value};
use crate::http::listen::ListenAddress;
use crate::{collectors, logging, version};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use flatline_sources::{HostPath, Roots};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

/// Everything the exporter was told, checked.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen, unless a socket comes from systemd.
    pub listen: Vec<ListenAddress>,
    /// Take the sockets systemd passes.
    pub systemd_socket: bool,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// TLS and users.
    pub web_config_file: Option<PathBuf>,
    /// Scrapes in flight at once; 0 is no limit.
    pub max_requests: usize,
    /// Compress when the client accepts it.
    pub gzip: bool,
    /// Whether `process_*` and `flatline_http_*` are exported.
    pub exporter_metrics: bool,
    /// How long a scrape waits for late collectors.
    pub deadline: Duration,
    /// Whether to lock memory.
    pub lock_memory: bool,
    /// Least severe level that is logged.
    pub log_level: LevelFilter,
    /// Look of log lines.
    pub log_format: logging::Format,
    /// Where the host's file systems are.
    pub roots: Roots,
    /// What outlives the process; empty for none.
    pub state_directory: PathBuf,
    /// Collectors to run.
    pub enabled: Vec<&'static Descriptor>,
    /// Collectors not to run, and why.
    pub disabled: Vec<(&'static Descriptor, String)>,
    /// All parsed flags, for the collectors' own.
    pub flags: ArgMatches,
    /// What to do instead of serving metrics.
    pub task: Option<Task>,
}

/// Why the exporter does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or variable is wrong, or help was asked for; knows how to print itself.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// The configuration file is wrong.
    #[error(transparent)]
    File(#[from] ConfigError),
}

/// Reads flags, environment and the configuration file.
///
/// # Errors
/// When any of them holds something unknown or impossible, and for `--help` and `--version`.
pub fn parse(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Settings, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let matches = command().try_get_matches_from(&arguments)?;
    if let Some(name) = FILE_ONLY.iter().find(|name| set_elsewhere(&matches, name)) {
        let reason = "is set in the file given with --config.file only";
        return Err(command().error(ErrorKind::ArgumentConflict, format!("{name}: {reason}")).into());
    }
    let Some(path) = matches.get_one::<PathBuf>("config.file") else {
        return Ok(settings(matches));
    };
    let from_file = from_file(path, &matches)?;
    let (program, rest) = arguments.split_at(1.min(arguments.len()));
    // File settings come first: only those that neither flag nor variable sets are among them.
    let all = program.iter().cloned().chain(from_file).chain(rest.iter().cloned());
    Ok(settings(command().try_get_matches_from(all)?))
}

/// Whom this host connects to stands in one file, and nothing that is inherited or typed adds to it.
const FILE_ONLY: &[&str] = &[collectors::probes::TARGETS];

/// The flags a configuration file stands for, less those set elsewhere, each tried for itself so that an
/// error can name its line.
fn from_file(path: &Path, matches: &ArgMatches) -> Result<Vec<OsString>, ConfigError> {
    let command = command();
    let names: Vec<&str> = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|name| !name.starts_with("no-") && !["config.file", "help", "version"].contains(name))
        .collect();
    let mut flags = Vec::new();
    for setting in config_file::read(path, &names)? {
        let arguments = as_arguments(&command, &setting).map_err(|reason| setting.error(path, &reason))?;
        // Each value for itself: the error can name its line.
        for (index, argument) in arguments.iter().enumerate() {
            let trial = ["flatline-exporter", argument.as_str()];
            let refused = |error| setting.value_error(path, index, &first_line(&error));
            command.clone().try_get_matches_from(trial).map_err(refused)?;
        }
        if !set_elsewhere(matches, &setting.name) {
            flags.extend(arguments.into_iter().map(OsString::from));
        }
    }
    Ok(flags)
}

fn as_arguments(command: &Command, setting: &Setting) -> Result<Vec<String>, String> {
    let Some(flag) = command.get_arguments().find(|flag| flag.get_long() == Some(setting.name.as_str())) else {
        return Err("no such setting".to_owned());
    };
    let one = |value: &String| format!("--{}={value}", setting.name);
    match (flag.get_action(), setting.values.as_slice()) {
        (ArgAction::SetTrue, [value]) => match value.as_str() {
            "true" => Ok(vec![format!("--{}", setting.name)]),
            "false" => Ok(vec![format!("--no-{}", setting.name)]),
            other => Err(format!("`{other}` is not true or false")),
        },
        (ArgAction::Append, values) => Ok(values.iter().map(one).collect()),
        (_, [value]) => Ok(vec![one(value)]),
        (_, values) => Err(format!("takes one value, not a list of {}", values.len())),
    }
}

fn set_elsewhere(matches: &ArgMatches, name: &str) -> bool {
    let explicit = |id: &str| matches!(source(matches, id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    explicit(name) || explicit(&format!("no-{name}"))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The whole command line.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new("flatline-exporter")
        .version(version::LONG)
        .about("Prometheus exporter for machines that are dead but look alive")
        .after_help(
            "Each flag can also be set by environment (--web.listen-address: FLATLINE_WEB_LISTEN_ADDRESS) \
             and in the file given with --config.file, in this order of precedence.",
        )
        .args_override_self(true)
        .args(web_flags())
        .args(path_flags())
        .args(other_flags())
        .args(switch("collector.disable-defaults", "Run only the collectors asked for by --collector.<name>"));
    for descriptor in collectors::ALL {
        command = command.args(switch_owned(collector_flag(descriptor), descriptor.help)).args((descriptor.flags)());
    }
    command.mut_args(with_environment).subcommands(Task::commands())
}

fn web_flags() -> Vec<Arg> {
    let mut flags = vec![
        value("web.listen-address", "ADDRESS", "Where to listen; repeatable; `:10120` is every address, IPv4 and IPv6")
            .default_value(":10120")
            .action(ArgAction::Append)
            .value_parser(value_parser!(ListenAddress)),
        value("web.telemetry-path", "PATH", "Where the metrics are")
            .default_value("/metrics")
            .value_parser(telemetry_path),
        value(
            "web.config.file",
            "FILE",
            "TLS, client certificates and users, in exporter-toolkit format; re-read when it changes",
        )
        .value_parser(value_parser!(PathBuf)),
        value("web.max-requests", "N", "Scrapes in flight at once before further ones get 503; 0 is no limit")
            .default_value("40")
            .value_parser(value_parser!(usize)),
    ];
    flags.extend(switch("web.systemd-socket", "Listen on the sockets systemd passes instead of --web.listen-address"));
    flags
        .extend(switch("web.enable-gzip", "Compress answers for clients that accept it; costs more CPU than a scrape"));
    flags.extend(switch("web.disable-exporter-metrics", "Leave out process_* and flatline_http_*"));
    flags
}

fn path_flags() -> Vec<Arg> {
    vec![
        path("path.procfs", "procfs of the host").default_value("/proc").global(true),
        path("path.sysfs", "sysfs of the host").default_value("/sys"),
        path("path.cgroup", "cgroup hierarchy of the host [default: <path.sysfs>/fs/cgroup]"),
        path("path.rootfs", "Root file system of the host").default_value("/").global(true),
    ]
}

fn other_flags() -> Vec<Arg> {
    let mut flags = vec![
        path("config.file", "YAML file with the same settings as the flags"),
        path("state.directory", "Where counters and boots are kept over restarts; empty for nowhere")
            .default_value("/var/lib/flatline")
            .global(true)
            .value_parser(OsStringValueParser::new().map(PathBuf::from)),
        value(
            "scrape.deadline",
            "DURATION",
            "How long a scrape waits for late collectors; less when Prometheus's timeout is shorter",
        )
        .default_value("500ms")
        .value_parser(deadline),
        value("log.level", "LEVEL", "Least severe level to log: error, warn, info, debug")
            .default_value("info")
            .value_parser(log_level),
        value("log.format", "FORMAT", "Look of log lines: logfmt, json")
            .default_value("logfmt")
            .value_parser(value_parser!(logging::Format)),
    ];
    flags.extend(switch(
        "runtime.lock-memory",
        "Lock memory where the host allows it, so that swapping can't delay answers [default: on]",
    ));
    flags
}

fn collector_flag(descriptor: &Descriptor) -> String {
    format!("collector.{}", descriptor.name)
}

/// Every flag but the negations has a variable.
fn with_environment(flag: Arg) -> Arg {
    let Some(name) = flag.get_long().filter(|name| !name.starts_with("no-")).map(str::to_owned) else {
        return flag;
    };
    flag.env(format!("FLATLINE_{}", name.to_ascii_uppercase().replace(['.', '-'], "_"))).hide_env(true)
}

fn telemetry_path(path: &str) -> Result<String, String> {
    let reserved = ["/", "/-/healthy", "/-/ready"];
    let legal = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b));
    match (legal, reserved.contains(&path)) {
        (false, _) => Err("must start with / and hold only letters, digits and /-_.~".to_owned()),
        (true, true) => Err("is taken by a page of the exporter's own".to_owned()),
        (true, false) => Ok(path.to_owned()),
    }
}

fn deadline(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 500ms or 2s"))?;
    let range = Duration::from_millis(10)..=Duration::from_secs(60);
    range.contains(&duration).then_some(duration).ok_or_else(|| "must be between 10ms and 60s".to_owned())
}

fn log_level(name: &str) -> Result<LevelFilter, String> {
    match name {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        other => Err(format!("`{other}` is not a level; use error, warn, info or debug")),
    }
}

fn settings(matches: ArgMatches) -> Settings {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let on = |name: &str, default: bool| switch_value(&matches, name).unwrap_or(default);
    let (enabled, disabled) = choose_collectors(&matches);
    let sysfs = HostPath::from(path("path.sysfs").unwrap_or_default());
    Settings {
        listen: matches.get_many::<ListenAddress>("web.listen-address").into_iter().flatten().cloned().collect(),
        systemd_socket: on("web.systemd-socket", false),
        telemetry_path: text("web.telemetry-path"),
        web_config_file: path("web.config.file"),
        max_requests: matches.get_one("web.max-requests").copied().unwrap_or_default(),
        gzip: on("web.enable-gzip", false),
        exporter_metrics: !on("web.disable-exporter-metrics", false),
        deadline: matches.get_one("scrape.deadline").copied().unwrap_or_default(),
        lock_memory: on("runtime.lock-memory", true),
        log_level: matches.get_one("log.level").copied().unwrap_or(LevelFilter::INFO),
        log_format: matches.get_one("log.format").copied().unwrap_or(logging::Format::Logfmt),
        roots: Roots {
            procfs: path("path.procfs").unwrap_or_default().into(),
            cgroup: path("path.cgroup").map_or_else(|| sysfs.join("fs/cgroup"), HostPath::from),
            sysfs,
            rootfs: path("path.rootfs").unwrap_or_default().into(),
        },
        state_directory: path("state.directory").unwrap_or_default(),
        enabled,
        disabled,
        task: Task::of(&matches),
        flags: matches,
    }
}

type Chosen = (Vec<&'static Descriptor>, Vec<(&'static Descriptor, String)>);

fn choose_collectors(matches: &ArgMatches) -> Chosen {
    let defaults_off = switch_value(matches, "collector.disable-defaults").unwrap_or(false);
    let mut chosen: Chosen = (Vec::new(), Vec::new());
    for descriptor in collectors::ALL {
        let flag = collector_flag(descriptor);
        let reason = match switch_value(matches, &flag) {
            Some(true) => None,
            Some(false) => Some(format!("switched off by --no-{flag}")),
            None if defaults_off => Some("switched off by --collector.disable-defaults".to_owned()),
            None if descriptor.activation == Activation::Off => Some(format!("off unless asked for by --{flag}")),
            None => None,
        };
        match reason {
            None => chosen.0.push(descriptor),
            Some(reason) => chosen.1.push((descriptor, reason)),
        }
    }
    chosen
}
