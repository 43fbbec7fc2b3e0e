//! `flatline-exporter classify` as a user pipes a log into it.

mod common;

use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};

fn classify(input: &[u8]) -> Output {
    let mut child = common::command(env!("CARGO_BIN_EXE_flatline-exporter"))
        .arg("classify")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(input).expect("reads");
    child.wait_with_output().expect("ends")
}

fn answers(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_line_comes_back_with_its_kind() {
    let output = classify(
        b"{\"line\": \"Kernel panic - not syncing: sysrq triggered crash\", \"source\": \"kmsg\", \"facility\": 0, \"n\": 1}\n\
          \n{\"line\": \"EXT4-fs (sda1): mounted filesystem\", \"source\": \"kmsg\", \"facility\": 0, \"n\": 2}\n",
    );
    assert!(output.status.success());
    let answers = answers(&output);
    assert_eq!(answers.len(), 2);
    assert_eq!((&answers[0]["kind"], &answers[0]["n"]), (&"kernel_panic".into(), &1.into()));
    assert_eq!((&answers[1]["kind"], &answers[1]["n"]), (&"none".into(), &2.into()));
}

#[test]
fn a_line_that_can_not_be_read_is_named_and_the_rest_goes_on() {
    let output = classify(b"{\"line\": \"x\"}\nnot JSON\n{\"line\": \"\xff\xfe\"}\n{\"line\": \"y\"}\n");
    assert!(!output.status.success());
    assert_eq!(answers(&output).len(), 3);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("line 2"), "{said}");
}
