//! `flatline-rules`: generates rules, their tests and dashboards.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flatline_rules::config::SAMPLE;
use flatline_rules::{Config, File, explain, generate};

/// Generates Flatline's Prometheus rules, their unit tests, Alertmanager's configuration, dashboards and the table of alerts.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write rules/, dashboards/, deploy/ and docs/{alerts,metrics,incidents}.md below a directory.
    Generate {
        /// The configuration; `flatline-rules init` prints one with every key explained.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The directory to write below.
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// Write nothing: list the files that differ, and fail if there are any.
        #[arg(long)]
        check: bool,
    },
    /// Print a configuration with every key explained and set to its default.
    Init,
    /// Say in plain words what makes an alert fire and what does not.
    Explain {
        /// The alert's name.
        alert: String,
        /// The configuration; without it, the defaults.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Generate { config, output, check } => {
            let files = generate(&read_config(&config)?).map_err(|error| error.to_string())?;
            if check { compare(&output, &files) } else { write(&output, &files) }
        }
        Command::Init => print(SAMPLE),
        Command::Explain { alert, config } => {
            let config = config.map_or_else(|| Ok(Config::default()), |path| read_config(&path))?;
            print(&explain::explain(&alert, &config)?)
        }
    }
}

fn read_config(path: &Path) -> Result<Config, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Config::parse(&path.display().to_string(), &text).map_err(|error| error.to_string())
}

fn print(text: &str) -> Result<ExitCode, String> {
    // A reader that closes the pipe early (`| head`) is no failure.
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn write(output: &Path, files: &[File]) -> Result<ExitCode, String> {
    for file in files {
        let path = output.join(&file.path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, &file.content))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(output: &Path, files: &[File]) -> Result<ExitCode, String> {
    let differing: Vec<String> = files
        .iter()
        .map(|file| (output.join(&file.path), &file.content))
        .filter(|(path, content)| fs::read(path).ok().as_deref() != Some(content.as_bytes()))
        .map(|(path, _)| format!("differs: {}\n", path.display()))
        .collect();
    print(&differing.concat())?;
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
