//! The command line, as a person or a CI job uses it.

use std::path::Path;
use std::process::{Command, Output};

use super::support::said;

#[expect(clippy::disallowed_methods, reason = "tests may start what they test")]
fn flatline_rules(args: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flatline-rules")).args(args).current_dir(directory).output().unwrap()
}

#[test]
fn init_generate_check() {
    let directory = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| flatline_rules(args, directory.path());
    let generate = ["generate", "--config", "c.yml", "--output", "out"];
    let check = ["generate", "--config", "c.yml", "--output", "out", "--check"];

    let sample = run(&["init"]);
    assert!(sample.status.success());
    std::fs::write(directory.path().join("c.yml"), &sample.stdout).unwrap();

    let missing = run(&check);
    assert!(!missing.status.success() && said(&missing).contains("differs: out/rules/flatline.rules.yml\n"));
    assert!(!directory.path().join("out").exists(), "--check writes nothing");

    assert!(run(&generate).status.success());
    assert!(run(&check).status.success());

    let edited = directory.path().join("out/docs/alerts.md");
    std::fs::write(&edited, "by hand").unwrap();
    let differs = run(&check);
    assert_eq!((differs.status.code(), said(&differs).as_str()), (Some(1), "differs: out/docs/alerts.md\n"));
    assert_eq!(std::fs::read(&edited).unwrap(), b"by hand");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("c.yml"), "devvm:\n  jobb: x\n").unwrap();
    let refused = flatline_rules(&["generate", "--config", "c.yml", "--output", "out"], directory.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).starts_with("c.yml:2: unknown key `jobb`; did you mean `job`?"), "{}", said(&refused));
    assert!(!directory.path().join("out").exists());

    let explained = flatline_rules(&["explain", "MemcgLivelock"], directory.path());
    assert!(explained.status.success() && said(&explained).contains("Stays silent when:"));
    let unknown = flatline_rules(&["explain", "MemcgLivelok"], directory.path());
    assert!(!unknown.status.success() && said(&unknown).contains("did you mean `MemcgLivelock`?"));
}
