//! `deploy/Dockerfile`: pinned, and given a context in which Cargo finds the workspace.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::super::generated::repository;
use super::super::support::said;
use super::{deploy, pinned, text_of, version};

fn instructions(name: &str) -> Vec<String> {
    let file = text_of(&deploy("Dockerfile")).replace("\\\n", " ");
    file.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned).collect()
}

#[test]
fn stages_are_pinned_and_of_one_debian() {
    let stages: Vec<String> = instructions("FROM").iter().map(|from| from.split(' ').next().unwrap().into()).collect();
    assert_eq!(stages.len(), 2);
    for image in &stages {
        assert!(pinned(image) && image.contains("bookworm"), "{image}");
    }
    let number = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let toolchain = stages[0].strip_prefix("rust:").and_then(|tag| tag.strip_suffix("-bookworm")).unwrap();
    let manifest = text_of(&repository().join("Cargo.toml"));
    let least = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(number(toolchain) >= number(least), "{toolchain} is older than {least}");
}

#[test]
fn what_is_built_is_what_is_started() {
    let file = text_of(&deploy("Dockerfile"));
    let [_, copied] = &instructions("COPY")[..] else { panic!("not two copies") };
    let [from, built, installed] = copied.split(' ').collect::<Vec<_>>()[..] else { panic!("{copied}") };
    let stage = from.strip_prefix("--from=").unwrap();
    assert!(instructions("FROM")[0].ends_with(&format!(" AS {stage}")));
    let directory = &instructions("WORKDIR")[0];
    let program = Path::new(built).strip_prefix(directory).unwrap();
    assert_eq!(program, Path::new("target/release/flatline-exporter"));
    assert!(file.contains(" --release --locked --package flatline-exporter\n"));
    assert_eq!(instructions("ENTRYPOINT"), [format!("[\"{installed}\"]")]);
    assert!(file.contains(&format!("--tag flatline-exporter:{} .", version())));
}

/// Everything is left out of the context that is not let in; Cargo must find every member of the workspace in the rest.
#[test]
#[expect(clippy::disallowed_methods, reason = "tests may start cargo")]
fn the_context_holds_the_workspace() {
    let context = tempfile::tempdir().unwrap();
    let rules = text_of(&deploy("Dockerfile.dockerignore"));
    assert_eq!(rules.lines().next(), Some("*"), "nothing is let in but by name");
    for name in rules.lines().filter_map(|line| line.strip_prefix('!')) {
        symlink(repository().join(name), context.path().join(name)).unwrap();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"];
    let read = Command::new(cargo).args(arguments).current_dir(context.path()).output().unwrap();
    assert!(read.status.success(), "{}", said(&read));
    assert!(said(&read).contains("\"name\":\"flatline-exporter\""));
}
