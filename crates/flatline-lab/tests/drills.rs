//! A scenario from the command line, end to end: the machine is broken, Slack is told, the report says how soon.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "tests start the program under test")]

use std::process::Command;

fn lab(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flatline-lab")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_dead_disk_is_told_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let results = directory.path().join("results");
    let (status, said) = lab(&["run", "--fast", "vm-disk-stall", "--results", results.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{said}");
    for part in [
        "BROKEN:",
        "VmDiskStalled FIRES (page)",
        "[FIRING:1] VmDiskStalled about devvm on hv-a",
        "VmDiskStalled is over",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let page = std::fs::read_to_string(results.with_extension("md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `vm-disk-stall` | the storage")).unwrap();
    assert!(row.contains("VmDiskStalled.md") && row.ends_with("| as promised |") && !row.contains("never"), "{row}");
    let plots = std::fs::read_to_string(results.with_extension("html")).unwrap();
    assert!(plots.contains("<svg") && plots.contains("requests in flight"));
}

#[test]
fn the_report_in_the_documentation_is_that_of_the_results_beside_it() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let work = tempfile::tempdir().unwrap();
    for name in ["detection", "detection-newest-kernel"] {
        let copied = work.path().join(name);
        std::fs::create_dir(&copied).unwrap();
        for entry in std::fs::read_dir(docs.join(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copied.join(path.file_name().unwrap())).unwrap();
        }
        let (status, said) = lab(&["report", "--results", copied.to_str().unwrap()]);
        assert_eq!(status, Some(0), "{said}");
        for page in ["md", "html"].map(|ending| format!("{name}.{ending}")) {
            let [ours, theirs] =
                [docs.as_path(), work.path()].map(|directory| std::fs::read_to_string(directory.join(&page)));
            assert!(
                ours.unwrap() == theirs.unwrap(),
                "{page}: write it anew by `flatline-lab report --results docs/{name}`"
            );
        }
    }
}

#[test]
fn what_it_does_not_know_it_says() {
    let (status, said) = lab(&["run", "vm-disk-stal"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("no scenario `vm-disk-stal`"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let (status, said) = lab(&["report", "--results", empty.path().to_str().unwrap()]);
    assert_eq!(status, Some(2));
    assert!(said.contains("nothing has been run yet"), "{said}");
    let (status, said) = lab(&["list"]);
    assert_eq!(status, Some(0));
    assert!(said.contains("memcg-livelock") && said.contains("must tell of: MemcgLivelock"), "{said}");
}
