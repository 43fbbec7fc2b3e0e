//! `flatline-exporter`: serves the signals of a machine that is dead but looks alive.

use std::process::ExitCode;

fn main() -> ExitCode {
    flatline_exporter::run(std::env::args_os())
}
