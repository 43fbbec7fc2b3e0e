//! Running promtool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flatline_rules::model::Signal;
use flatline_rules::{Config, outputs};

/// Runs promtool, which is needed to judge rules: without it nothing here means anything.
#[expect(clippy::disallowed_methods, reason = "tests may start promtool")]
pub(crate) fn promtool(args: &[&str], files: &[PathBuf]) -> Output {
    Command::new("promtool").args(args).args(files).output().unwrap_or_else(|error| {
        panic!("can't run promtool ({error}): it comes with Prometheus, `apt-get install prometheus`")
    })
}

/// Writes a signal's rules and tests below a directory and returns the test file's path.
pub(crate) fn write(signal: &Signal, config: &Config, directory: &Path) -> PathBuf {
    let tests = directory.join("tests");
    std::fs::create_dir_all(&tests).unwrap();
    let rules = outputs::rule_file(std::slice::from_ref(signal), config).unwrap();
    std::fs::write(directory.join("flatline.rules.yml"), rules).unwrap();
    let path = tests.join("signal.test.yml");
    std::fs::write(&path, outputs::test_file(signal, config).unwrap()).unwrap();
    path
}

/// What both streams say.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs amtool, which judges what Alertmanager is to read.
#[expect(clippy::disallowed_methods, reason = "tests may start amtool")]
pub(crate) fn amtool(args: &[&str]) -> Output {
    Command::new("amtool").args(args).output().unwrap_or_else(|error| {
        panic!("can't run amtool ({error}): it comes with Alertmanager, `apt-get install prometheus-alertmanager`")
    })
}
