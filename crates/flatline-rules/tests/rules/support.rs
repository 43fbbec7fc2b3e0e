//! Running promtool.

use std::io::Write as _;
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

/// Runs the promtool of the other generation, if `FLATLINE_PROMTOOL_NEWEST` names one: rules must hold on Prometheus
/// 2.42 and 3.x. Without it, that is said where skipped checks are counted.
#[expect(clippy::disallowed_methods, reason = "tests may start promtool")]
fn newest_promtool(args: &[&str], files: &[PathBuf]) -> Option<Output> {
    let Some(program) = std::env::var_os("FLATLINE_PROMTOOL_NEWEST").filter(|program| !program.is_empty()) else {
        skipped("SKIPPED: promtool 3.x: FLATLINE_PROMTOOL_NEWEST names none; take `scripts/newest-promtool.sh`\n");
        return None;
    };
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert!(said(&version).starts_with("promtool, version 3."), "{}", said(&version));
    Some(Command::new(&program).args(args).args(files).output().unwrap())
}

/// Says so even where the test harness keeps a passing test's words to itself, and where skipped checks are counted.
pub(crate) fn skipped(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("FLATLINE_LAB_SKIPPED").filter(|list| !list.is_empty()) {
        std::fs::File::options().append(true).create(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Demands that the promtools of both generations are content.
pub(crate) fn accepted(args: &[&str], files: &[PathBuf]) {
    let said_by = [Some(promtool(args, files)), newest_promtool(args, files)];
    for output in said_by.into_iter().flatten() {
        assert!(output.status.success(), "{}", said(&output));
    }
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
