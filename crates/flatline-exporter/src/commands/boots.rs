//! `flatline-exporter boots`: when this host lived, how each boot ended, and which captures are nearest to its end.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use flatline_ledger::{
    Captures, Farewell, Identity, Leaving, Moment, NameTime, Options, host_zone, json, read_boots, read_captures,
    say_farewell, table, windows,
};
use flatline_sources::Roots;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const NAME: &str = "boots";

/// What to show, or to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    json: bool,
    mark_clean: bool,
    captures: Option<PathBuf>,
    names: String,
    short: Duration,
}

pub(crate) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help);
    Command::new(NAME)
        .about("Show this host's boots: start, end, how it ended, and the incident captures nearest to each crash")
        .arg(flag("json", "For programs").action(ArgAction::SetTrue))
        .arg(
            flag("mark-clean", "Say that the system is being shut down; for a unit that runs on shutdown")
                .action(ArgAction::SetTrue)
                .conflicts_with("json"),
        )
        .arg(
            flag("captures", "Directory with incident captures")
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag("captures-format", "How captures' names begin, as strftime writes it; other files are left out")
                .value_name("FORMAT")
                .default_value("incident-%Y%m%d-%H%M%S"),
        )
        .arg(
            flag("short", "A boot that was not shut down and lasted less is a short one")
                .value_name("DURATION")
                .default_value("30m")
                .value_parser(humantime::parse_duration),
        )
}

impl Request {
    pub(super) fn of(matches: &ArgMatches) -> Self {
        Self {
            json: matches.get_flag("json"),
            mark_clean: matches.get_flag("mark-clean"),
            captures: matches.get_one("captures").cloned(),
            names: matches.get_one::<String>("captures-format").cloned().unwrap_or_default(),
            short: matches.get_one("short").copied().unwrap_or(flatline_ledger::SHORT_BOOT),
        }
    }
}

pub(crate) fn run(request: &Request, roots: &Roots, state: &Path, output: impl Write) -> ExitCode {
    let outcome =
        if request.mark_clean { mark_clean(roots, state).map(|()| String::new()) } else { show(request, roots, state) };
    let written = outcome.and_then(|text| print(&text, output));
    written.map_or_else(|reason| crate::refuse(&reason), |()| ExitCode::SUCCESS)
}

fn print(text: &str, mut output: impl Write) -> Result<(), String> {
    output.write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn show(request: &Request, roots: &Roots, state: &Path) -> Result<String, String> {
    let loaded = read_boots(state).map_err(|error| error.to_string())?;
    for problem in &loaded.problems {
        let directory = state.display();
        let _ = crate::refuse(&format!("{directory}/boots:{}: {}; skipped", problem.line, problem.detail));
    }
    let captures = match &request.captures {
        Some(directory) => captures(directory, &request.names, roots)?,
        None => Captures::default(),
    };
    if captures.more {
        let _ = crate::refuse("there are more captures than are looked at; the nearest one may be missing");
    }
    let windows = windows(&loaded.ledger, &captures.captures, Options { short_boot: request.short });
    Ok(if request.json { json(&windows) + "\n" } else { table(&windows) })
}

fn captures(directory: &Path, format: &str, roots: &Roots) -> Result<Captures, String> {
    let zone = host_zone(roots).map_err(|error| error.to_string())?;
    let names = NameTime::new(format, zone).map_err(|error| format!("--captures-format: {error}"))?;
    let accept = |name: &OsStr| names.parse(name.as_encoded_bytes()).is_some();
    read_captures(directory, &accept, Some(&names)).map_err(|error| error.to_string())
}

fn mark_clean(roots: &Roots, state: &Path) -> Result<(), String> {
    let identity = Identity::read(roots).map_err(|error| error.to_string())?;
    let farewell = Farewell::new(identity.boot, Moment::now(), Leaving::System, "boots --mark-clean");
    say_farewell(state, &farewell).map(drop).map_err(|error| error.to_string())
}
