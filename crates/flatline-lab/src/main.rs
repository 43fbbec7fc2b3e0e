//! `flatline-lab`: breaks real machines the way the incidents did, and tells what Flatline made of it.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use flatline_lab::drills::{ALL, Drill, EventKind, Outcome, Pace, Terms};
use flatline_lab::{Others, report};

/// Breaks real guests in QEMU the way the incidents did, and measures how long until the alert reaches Slack.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where what came of each scenario is kept, as JSON. Reports are written beside it: DIR.md and DIR.html.
    #[arg(long, global = true, value_name = "DIR", default_value = "target/flatline-lab")]
    results: PathBuf,
    /// How many scenarios are run at a time. A guest keeps a processor busy while it boots and when it burns it, and is
    /// idle for the most part.
    #[arg(long, global = true, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios.
    List,
    /// Run scenarios, and tell what happens as it happens. Ends with 1 when an alert did not come, or one came that
    /// should not have.
    Run {
        /// Their names (`flatline-lab list`).
        #[arg(required = true, value_name = "SCENARIO")]
        scenarios: Vec<String>,
        /// Scrape and evaluate every second, with windows of seconds: to try it, not to measure it.
        #[arg(long)]
        fast: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Run all of them: four hours one after the other, as the healthy ones are looked at for 15 minutes each; about an
    /// hour with `--jobs 4`.
    All {
        #[command(flatten)]
        beside: Beside,
    },
    /// Write the reports from what has been run.
    Report,
}

/// Who else looks at the machines.
#[derive(Args)]
struct Beside {
    /// A file of Prometheus rules of somebody else's, for node_exporter as the job `node`: evaluated by the same
    /// Prometheus, and the report tells which of its alerts fired. Can be repeated.
    #[arg(long, value_name = "FILE")]
    others: Vec<PathBuf>,
    /// With --others, how long after the break a machine is repaired at the earliest, so that rules that wait for a
    /// quarter of an hour can fire.
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = humantime::parse_duration)]
    hold: Duration,
}

impl Beside {
    fn terms(&self, pace: Option<Pace>) -> Result<Terms, String> {
        let read = |path: &PathBuf| Others::read(path).map_err(|error| error.to_string());
        let others = self.others.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let hold = if others.is_empty() { Duration::ZERO } else { self.hold };
        Ok(Terms { pace, others, hold })
    }
}

fn main() -> ExitCode {
    let Cli { results, jobs, command } = Cli::parse();
    let done = match command {
        Command::List => {
            list();
            Ok(true)
        }
        Command::Run { scenarios, fast, beside } => named(&scenarios)
            .and_then(|drills| run_all(&drills, &beside.terms(fast.then_some(Pace::Seconds))?, jobs, &results)),
        Command::All { beside } => beside.terms(None).and_then(|terms| run_all(ALL, &terms, jobs, &results)),
        Command::Report => write_report(&results).map(|_| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("flatline-lab: {reason}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for drill in ALL {
        let alerts = if drill.is_healthy() { "nothing".to_owned() } else { drill.expects.join(", ") };
        println!("{:<32} {}\n{:<32} must tell of: {alerts}", drill.name, drill.breaks, "");
    }
}

fn named(names: &[String]) -> Result<Vec<&'static Drill>, String> {
    let find = |name: &String| Drill::named(name).ok_or_else(|| format!("no scenario `{name}`; see flatline-lab list"));
    names.iter().map(find).collect()
}

/// Runs them, so many at a time, whatever becomes of one; whether all came as promised.
fn run_all(drills: &[&'static Drill], terms: &Terms, jobs: NonZeroUsize, results: &Path) -> Result<bool, String> {
    fs::create_dir_all(results).map_err(|error| format!("{}: {error}", results.display()))?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(drill) = drills.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut say =
                |line: &str| if jobs.get() == 1 { println!("{line}") } else { println!("{:<30} {line}", drill.name) };
            done.push(run(drill, terms, results, &mut say));
        }
        done
    };
    let done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.get().min(drills.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut passed = true;
    let mut errors = Vec::new();
    for outcome in
        done.into_iter().flat_map(|done| done.unwrap_or_else(|_| vec![Err("a scenario panicked".to_owned())]))
    {
        match outcome {
            Ok(as_promised) => passed &= as_promised,
            Err(error) => errors.push(error),
        }
    }
    match write_report(results) {
        Ok(page) => println!("\nwhat came of it, with plots: {}", page.display()),
        Err(error) => errors.push(error),
    }
    if errors.is_empty() { Ok(passed) } else { Err(errors.join("\n")) }
}

/// Runs one, tells and keeps what came of it; whether it came as promised.
fn run(drill: &'static Drill, terms: &Terms, results: &Path, say: &mut dyn FnMut(&str)) -> Result<bool, String> {
    println!("\n{}: {}", drill.name, drill.breaks);
    let outcome = drill.run(terms, say).map_err(|error| {
        println!("{} could not be run: {error}", drill.name);
        format!("{}: {error}", drill.name)
    })?;
    println!("{}", told(drill, &outcome));
    keep(&outcome, results)?;
    Ok(outcome.passed())
}

/// In one piece: others may be telling, too.
fn told(drill: &Drill, outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some(message) = outcome.messages.iter().find(|message| message.title.starts_with("[FIRING")) {
        let _ = writeln!(text, "\nSlack, {}:\n{}\n{}\n", message.channel, message.title, message.text.trim());
    }
    for alert in drill.expects {
        let after =
            |kind| outcome.seconds_to(kind, alert).map_or_else(|| "never".to_owned(), |after| format!("{after:.0} s"));
        let (fired, slack) = (after(EventKind::Firing), after(EventKind::Slack));
        let _ = writeln!(text, "{alert}: fired after {fired}, in Slack after {slack}");
    }
    for failure in &outcome.failures {
        let _ = writeln!(text, "FAILED: {failure}");
    }
    let verdict = if outcome.passed() { "as promised" } else { "not as promised" };
    let _ = write!(text, "{}: {verdict}", drill.name);
    text
}

fn keep(outcome: &Outcome, results: &Path) -> Result<(), String> {
    let path = results.join(format!("{}.json", outcome.scenario));
    let text = serde_json::to_string(outcome).map_err(|error| error.to_string())?;
    fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes the pages beside the directory, and tells which has the plots.
fn write_report(results: &Path) -> Result<PathBuf, String> {
    let read = |drill: &&'static Drill| {
        let path = results.join(format!("{}.json", drill.name));
        let text = fs::read_to_string(&path).ok()?;
        Some(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())))
    };
    let outcomes: Vec<Outcome> = ALL.iter().filter_map(read).collect::<Result<_, _>>()?;
    if outcomes.is_empty() {
        return Err(format!("nothing has been run yet: no results in {}", results.display()));
    }
    let name = results.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let page = report::html(&outcomes).map_err(|error| error.to_string())?;
    let [markdown, html] = ["md", "html"].map(|ending| results.with_file_name(format!("{name}.{ending}")));
    for (path, text) in [(&markdown, report::markdown(&outcomes, &name)), (&html, page)] {
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(html)
}
