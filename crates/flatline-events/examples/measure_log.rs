//! One log, read to its end and classified, for `bench/run` to put beside mtail with the same patterns.
//!
//!     measure_log write FILE LINES    a kernel log of so many lines
//!     measure_log mtail               the tables as a program for mtail
//!     measure_log read FILE           what is in the log: how many lines of each kind

#[path = "../benches/mix/mod.rs"]
mod mix;

use flatline_events::{Classifier, kernel_expressions};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", file, lines] => write(file, lines.parse()?),
        ["mtail"] => {
            print!("{}", program());
            Ok(())
        }
        ["read", file] => read(file),
        _ => Err("usage: measure_log write FILE LINES | mtail | read FILE".into()),
    }
}

fn write(file: &str, lines: usize) -> Result<(), Box<dyn Error>> {
    let mut log = BufWriter::new(File::create(file)?);
    for line in mix::mix().iter().cycle().take(lines) {
        writeln!(log, "{line}")?;
    }
    Ok(log.flush()?)
}

/// mtail tries one expression after the other, and stops at the first that fits, as the tables mean it.
fn program() -> String {
    let mut program = "counter kernel_events_total by kind\n".to_owned();
    for (kind, expression) in kernel_expressions() {
        let count = kind.map(|kind| format!("kernel_events_total[\"{}\"]++\n  ", kind.name())).unwrap_or_default();
        program.push_str(&format!("/{}/ {{\n  {count}stop\n}}\n", expression.replace('/', "\\/")));
    }
    program
}

fn read(file: &str) -> Result<(), Box<dyn Error>> {
    let classifier = Classifier::new()?;
    let (mut log, mut line, mut counts) = (BufReader::new(File::open(file)?), String::new(), BTreeMap::new());
    while log.read_line(&mut line)? > 0 {
        if let Some(event) = classifier.classify(&mix::kernel_line(line.trim_end_matches('\n'))) {
            *counts.entry(event.kind.name()).or_insert(0u64) += 1;
        }
        line.clear();
    }
    counts.iter().for_each(|(kind, count)| println!("{kind} {count}"));
    Ok(())
}
