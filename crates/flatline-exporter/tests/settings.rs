//! Flags, environment and configuration file, as a user meets them.

mod common;

use common::{Exporter, command, refusal};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), text).expect("write");
    file
}

fn refused_file(text: &str) -> String {
    let file = file(text);
    let path = file.path().display().to_string();
    let complaint = refusal(&["--config.file", &path], &[]);
    assert!(complaint.contains(&path), "the file is named: {complaint}");
    complaint.replace(&path, "FILE")
}

#[test]
fn the_file_sets_what_flag_and_environment_leave_open() {
    let file = file(
        "web:\n  telemetry-path: /from-file\n  listen-address: ['127.0.0.1:0']\n\
         collector:\n  disable-defaults: true\n  pressure: { enabled: true }\n",
    );
    let path = format!("--config.file={}", file.path().display());
    let status = |exporter: &Exporter, path: &str| exporter.get(path).status;

    // No address on the command line here: the file's own is taken.
    let from_file = Exporter::start_as(
        command(env!("CARGO_BIN_EXE_flatline-exporter")),
        1,
        &[path.as_str(), "--web.listen-address=127.0.0.1:0"],
    );
    assert_eq!(status(&from_file, "/from-file"), 200);
    let page = from_file.get("/from-file").body;
    assert!(page.contains("flatline_collector_state{collector=\"memcg\",state=\"off\",reason=\"switched off by --collector.disable-defaults\"} 1"), "{page}");
    assert!(page.contains("flatline_collector_state{collector=\"pressure\",state=\"off\"} 0"), "{page}");

    let flag = Exporter::start(&[path.as_str(), "--web.telemetry-path=/from-flag"]);
    assert_eq!((status(&flag, "/from-flag"), status(&flag, "/from-file")), (200, 404));

    let mut with_environment = command(env!("CARGO_BIN_EXE_flatline-exporter"));
    with_environment.env("FLATLINE_WEB_TELEMETRY_PATH", "/from-environment");
    let environment = Exporter::start_as(with_environment, 1, &[path.as_str()]);
    assert_eq!((status(&environment, "/from-environment"), status(&environment, "/from-file")), (200, 404));

    let mut with_both = command(env!("CARGO_BIN_EXE_flatline-exporter"));
    with_both.env("FLATLINE_WEB_TELEMETRY_PATH", "/from-environment");
    let both = Exporter::start_as(with_both, 1, &[path.as_str(), "--web.telemetry-path=/from-flag"]);
    assert_eq!(status(&both, "/from-flag"), 200);
}

#[test]
fn the_file_alone_can_set_everything() {
    let file = file("web.listen-address: '127.0.0.1:0'\nlog: { level: debug, format: json }\n");
    let mut command = command(env!("CARGO_BIN_EXE_flatline-exporter"));
    command.arg("--config.file").arg(file.path()).env("FLATLINE_COLLECTOR_DISABLE_DEFAULTS", "true");
    let output = {
        // JSON logs: the harness does not find the address in them, so look at the log itself.
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().expect("starts");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("piped")));
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains("listening"))).expect("it listens");
        child.kill().expect("alive");
        child.wait().expect("ours");
        line
    };
    let line: serde_json::Value = serde_json::from_str(&output).expect("a JSON object");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "listening");
    assert!(line["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{output}");
}

#[test]
fn unknown_names_are_refused_with_line_and_nearest_name() {
    assert_eq!(
        refused_file("web:\n  max-requests: 4\n  telemetry-pth: /x\n"),
        "flatline-exporter: FILE:3: unknown setting `web.telemetry-pth`; did you mean `web.telemetry-path`?\n"
    );
    assert!(
        refused_file("collector:\n  pressur: true\n")
            .contains("FILE:2: unknown setting `collector.pressur`; did you mean `collector.pressure`?")
    );
}

#[test]
fn impossible_values_are_refused_with_their_line() {
    for (text, complaint) in [
        ("\nweb.max-requests: many\n", "FILE:2: web.max-requests: "),
        ("web:\n  listen-address: nowhere\n", "FILE:2: web.listen-address: "),
        ("scrape.deadline: 3\n", "FILE:1: scrape.deadline: "),
        ("scrape.deadline: 1h\n", "between 10ms and"),
        ("collector.memcg: maybe\n", "FILE:1: collector.memcg: `maybe` is not true or false"),
        ("log.level: [info, debug]\n", "FILE:1: log.level: takes one value"),
        ("web: [\n", "FILE:"),
        ("just text\n", "must be a mapping"),
    ] {
        let refused = refused_file(text);
        assert!(refused.contains(complaint), "{text:?} gave {refused:?}");
        assert_eq!(refused.lines().count(), 1, "one line says it all: {refused}");
    }
    let missing = refusal(&["--config.file=/nonexistent/flatline.yml"], &[]);
    assert!(missing.contains("/nonexistent/flatline.yml") && missing.contains("No such file"), "{missing}");
}

#[test]
fn wrong_flags_and_variables_are_refused() {
    assert!(refusal(&["--web.listen-addres=:1"], &[]).contains("--web.listen-address"));
    assert!(refusal(&["--web.telemetry-path=/"], &[]).contains("is taken"));
    assert!(refusal(&["--log.level=loud"], &[]).contains("error, warn, info or debug"));
    assert!(refusal(&[], &[("FLATLINE_WEB_MAX_REQUESTS", "many")]).contains("web.max-requests"));
}

#[test]
fn a_taken_port_is_named_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let refused = refusal(&["--web.listen-address", &address], &[]);
    assert!(refused.contains(&address) && refused.contains("choose another --web.listen-address"), "{refused}");
}

#[test]
fn negations_and_repeated_flags_the_last_one_wins() {
    let exporter = Exporter::start(&[
        "--no-collector.pressure",
        "--collector.pressure",
        "--no-collector.pressure",
        "--path.sysfs=/nonexistent",
    ]);
    let samples = exporter.scrape();
    assert_eq!(
        samples.get("flatline_collector_state{collector=\"pressure\",state=\"off\",reason=\"switched off by --no-collector.pressure\"}"),
        Some(1.0)
    );
}
