//! `flatline-exporter classify`: try the classifier of the kernel log and the journal on lines of one's own.

use flatline_events::{Classifier, json};
use std::io::{BufRead, ErrorKind, Write};
use std::process::ExitCode;

pub(crate) const NAME: &str = "classify";

pub(crate) fn command() -> clap::Command {
    clap::Command::new(NAME).about(
        "Read log lines as JSON objects (line, source, facility, priority, ident) and write each back with its kind",
    )
}

/// Reads JSON objects line by line and writes each back with `kind` and `labels`. A line that can't be read is
/// reported with its number and the rest goes on; the exit code tells.
pub(crate) fn run(mut input: impl BufRead, output: impl Write) -> ExitCode {
    let classifier = match Classifier::new() {
        Ok(classifier) => classifier,
        Err(error) => return crate::refuse(&error.to_string()),
    };
    let mut output = std::io::BufWriter::new(output);
    let mut line = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for number in 1u64.. {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => {}
            Err(error) => return crate::refuse(&format!("standard input, line {number}: {error}")),
        }
        match json::classify_line(&classifier, &String::from_utf8_lossy(line.trim_ascii())) {
            Ok(answer) => match writeln!(output, "{answer}") {
                Ok(()) => {}
                // Whoever reads has seen enough, as `head` does.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return code,
                Err(error) => return crate::refuse(&format!("standard output: {error}")),
            },
            Err(error) => code = crate::refuse(&format!("standard input, line {number}: {error}")),
        }
    }
    match output.flush() {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => crate::refuse(&format!("standard output: {error}")),
    }
}
