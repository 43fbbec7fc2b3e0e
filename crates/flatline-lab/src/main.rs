//! `flatline-lab`: breaks real machines the way the incidents did, and tells what Flatline made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flatline_lab::drills::{ALL, Drill, EventKind, Outcome, Pace};
use flatline_lab::report;

/// Breaks real guests in QEMU the way the incidents did, and measures how long until the alert reaches Slack.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Where what came of each scenario is kept, as JSON, and where reports are written.
    #[arg(long, global = true, value_name = "DIR", default_value = "target/flatline-lab")]
    results: PathBuf,
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
    },
    /// Run all of them, one after the other: some hours, as the healthy ones are looked at for 15 minutes each.
    All,
    /// Write detection.md and detection.html from what has been run.
    Report,
}

fn main() -> ExitCode {
    let Cli { results, command } = Cli::parse();
    let done = match command {
        Command::List => {
            list();
            Ok(true)
        }
        Command::Run { scenarios, fast } => {
            named(&scenarios).and_then(|drills| run_all(&drills, fast.then_some(Pace::Seconds), &results))
        }
        Command::All => run_all(ALL, None, &results),
        Command::Report => write_report(&results).map(|()| true),
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

fn run_all(drills: &[&'static Drill], pace: Option<Pace>, results: &Path) -> Result<bool, String> {
    fs::create_dir_all(results).map_err(|error| format!("{}: {error}", results.display()))?;
    let mut passed = true;
    for drill in drills {
        println!("\n{}: {}", drill.name, drill.breaks);
        let outcome =
            drill.run(pace, &mut |line| println!("{line}")).map_err(|error| format!("{}: {error}", drill.name))?;
        passed &= outcome.passed();
        tell(drill, &outcome);
        keep(&outcome, results)?;
    }
    write_report(results)?;
    println!("\nwhat came of it, with plots: {}", results.join("detection.html").display());
    Ok(passed)
}

fn tell(drill: &Drill, outcome: &Outcome) {
    if let Some(message) = outcome.messages.iter().find(|message| message.title.starts_with("[FIRING")) {
        println!("\nSlack, {}:\n{}\n{}", message.channel, message.title, message.text.trim());
    }
    println!();
    for alert in drill.expects {
        let after =
            |kind| outcome.seconds_to(kind, alert).map_or_else(|| "never".to_owned(), |after| format!("{after:.0} s"));
        println!("{alert}: fired after {}, in Slack after {}", after(EventKind::Firing), after(EventKind::Slack));
    }
    for failure in &outcome.failures {
        println!("FAILED: {failure}");
    }
    if outcome.passed() {
        println!("{}: as promised", drill.name);
    }
}

fn keep(outcome: &Outcome, results: &Path) -> Result<(), String> {
    let path = results.join(format!("{}.json", outcome.scenario));
    let text = serde_json::to_string(outcome).map_err(|error| error.to_string())?;
    fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
}

fn write_report(results: &Path) -> Result<(), String> {
    let read = |drill: &&'static Drill| {
        let path = results.join(format!("{}.json", drill.name));
        let text = fs::read_to_string(&path).ok()?;
        Some(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())))
    };
    let outcomes: Vec<Outcome> = ALL.iter().filter_map(read).collect::<Result<_, _>>()?;
    if outcomes.is_empty() {
        return Err(format!("nothing has been run yet: no results in {}", results.display()));
    }
    let page = report::html(&outcomes).map_err(|error| error.to_string())?;
    for (name, text) in [("detection.md", report::markdown(&outcomes)), ("detection.html", page)] {
        let path = results.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
