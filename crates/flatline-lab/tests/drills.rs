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
    let results = tempfile::tempdir().unwrap();
    let directory = results.path().to_str().unwrap();
    let (status, said) = lab(&["run", "--fast", "vm-disk-stall", "--results", directory]);
    assert_eq!(status, Some(0), "{said}");
    for part in [
        "BROKEN:",
        "VmDiskStalled FIRES (page)",
        "[FIRING:1] VmDiskStalled about devvm on hv-a",
        "VmDiskStalled is over",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let page = std::fs::read_to_string(results.path().join("detection.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `vm-disk-stall` | the storage")).unwrap();
    assert!(row.contains("VmDiskStalled.md") && row.ends_with("| as promised |") && !row.contains("never"), "{row}");
    let plots = std::fs::read_to_string(results.path().join("detection.html")).unwrap();
    assert!(plots.contains("<svg") && plots.contains("requests in flight"));
}

#[test]
fn the_report_in_the_documentation_is_that_of_the_results_beside_it() {
    let documented = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detection");
    let copied = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&documented).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            std::fs::copy(&path, copied.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let (status, said) = lab(&["report", "--results", copied.path().to_str().unwrap()]);
    assert_eq!(status, Some(0), "{said}");
    for page in ["detection.md", "detection.html"] {
        let [ours, theirs] =
            [documented.as_path(), copied.path()].map(|directory| std::fs::read_to_string(directory.join(page)));
        assert!(
            ours.unwrap() == theirs.unwrap(),
            "{page}: write it anew by `flatline-lab report --results docs/detection`"
        );
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
