//! What `deploy/` tells the exporter, taken by the exporter itself: flags, ports, probes.

mod common;

use common::{Exporter, PATIENCE, command, fixtures};
use flatline_exporter::cli;
use flatline_lab::skipped;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

fn container() -> Value {
    yaml("kubernetes/daemonset.yaml")["spec"]["template"]["spec"]["containers"][0].clone()
}

/// The arguments of the exporter, wherever it is deployed.
fn command_lines() -> [Vec<String>; 4] {
    let started_by = |unit: &str, prefix: &str| {
        let unit = text(unit);
        let line = unit.lines().find_map(|line| line.trim_start_matches("# Use it with ").strip_prefix(prefix));
        let words = line.unwrap_or_else(|| panic!("no {prefix}")).split_whitespace().skip(1);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    [
        texts(&container()["args"]),
        texts(&yaml("compose.yaml")["services"]["exporter"]["command"]),
        started_by("systemd/flatline-exporter.service", "ExecStart="),
        started_by("systemd/flatline-exporter.socket", "ExecStart="),
    ]
}

fn parsed(arguments: &[String]) -> Result<cli::Settings, cli::Error> {
    cli::parse(std::iter::once("flatline-exporter".to_owned()).chain(arguments.iter().cloned()))
}

#[test]
fn every_flag_is_one() {
    let command_lines = command_lines();
    for arguments in &command_lines {
        let settings = parsed(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert_eq!(settings.state_directory, PathBuf::from("/var/lib/flatline"));
    }
    let [in_a_pod, ..] = &command_lines;
    let roots = parsed(in_a_pod).expect("parsed").roots;
    let cgroup = roots.sysfs.join("fs/cgroup");
    assert_eq!((roots.rootfs, roots.procfs), ("/host".into(), "/host/proc".into()));
    assert_eq!((roots.sysfs, roots.cgroup), ("/host/sys".into(), cgroup));
    assert!(parsed(&["--path.procs=/proc".to_owned()]).is_err(), "one that is none is refused");
}

#[test]
fn everybody_looks_for_it_where_it_listens() {
    let settings = parsed(&[]).expect("the defaults");
    let [listen] = &settings.listen[..] else { panic!("{:?}", settings.listen) };
    let listen = listen.to_string();
    let port = listen.rsplit(':').next().expect("a port");
    assert_eq!(container()["ports"][0]["containerPort"].to_string(), port);
    assert!(text("Dockerfile").contains(&format!("\nEXPOSE {port}\n")));
    assert!(text("systemd/flatline-exporter.socket").contains(&format!("\nListenStream={port}\n")));
    for targets in ["prometheus/targets/devvm.yml", "compose/targets/devvm.yml"] {
        let target = texts(&yaml(targets)[0]["targets"]).concat();
        assert!(target.ends_with(&format!(":{port}")), "{target}");
    }
    for job in yaml("prometheus/scrape.yml")["scrape_configs"].as_array().expect("jobs") {
        let targets = texts(&job["static_configs"][0]["targets"]);
        assert!(targets.iter().all(|target| target.ends_with(&format!(":{port}"))), "{targets:?}");
    }
}

/// With the arguments of a container, on a recorded host in place of `/host`.
#[test]
fn its_probes_are_answered() {
    let state = tempfile::tempdir().expect("directory");
    let host = fixtures().join("host");
    let arguments: Vec<String> = texts(&container()["args"])
        .into_iter()
        .map(|argument| argument.replace("/host", &host.display().to_string()))
        .map(|argument| argument.replace("/var/lib/flatline", &state.path().display().to_string()))
        .collect();
    let exporter = Exporter::start(&arguments);
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container()[probe]["httpGet"]["path"].as_str().expect("a path").to_owned();
        let deadline = Instant::now() + PATIENCE;
        while exporter.get(&path).status != 200 {
            assert!(Instant::now() < deadline, "{path}: {}", exporter.get(&path).status);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    exporter
        .scrape_until("the host below /host is read", |samples| samples.collector("success", "pressure") == Some(1.0));
}

/// The mounts of the DaemonSet's container below `host`, read-only ones so; then, with nothing but its capabilities and
/// in a process namespace of its own, the rest of the command line.
fn as_in_a_container(host: &Path) -> String {
    let (pod, container) = (yaml("kubernetes/daemonset.yaml")["spec"]["template"]["spec"].clone(), container());
    let mut script = "set -e\nmount --make-rprivate /\n".to_owned();
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let volume = pod["volumes"].as_array().expect("volumes").iter().find(|volume| volume["name"] == mount["name"]);
        let source = volume.expect("declared")["hostPath"]["path"].as_str().expect("a path");
        let Some(below) = mount["mountPath"].as_str().expect("a path").strip_prefix("/host") else { continue };
        let target = format!("'{}{below}'", host.display());
        script += &format!("mount --rbind {source} {target}\n");
        script += &format!("mount --make-rslave {target}\n");
        script += &format!("mount -o remount,bind,ro {target}\n");
        script += &format!("test ! -w {target}\n");
    }
    let capabilities = texts(&container["securityContext"]["capabilities"]["add"]).join(",+").to_lowercase();
    script += "mount -t proc proc /proc\n";
    script + &format!("exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+{capabilities} \"$@\"\n")
}

#[test]
fn a_container_sees_its_host() {
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
    let probe = command("unshare").args(namespaces).args(["mount", "-t", "proc", "proc", "/proc"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return skipped("a container that sees its host", "no namespaces can be made here (root)");
    }
    let (host, state) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
    let mut runtime = command("unshare");
    runtime.args(namespaces).args(["sh", "-c", &as_in_a_container(host.path()), "sh"]);
    runtime.arg(env!("CARGO_BIN_EXE_flatline-exporter"));
    let mut arguments: Vec<String> = texts(&container()["args"])
        .into_iter()
        .map(|argument| argument.replace("/host", &host.path().display().to_string()))
        .map(|argument| argument.replace("/var/lib/flatline", &state.path().display().to_string()))
        .collect();
    // Whose it is stands in the files of a process that is outside of the container, and is told to CAP_SYS_PTRACE only.
    let outside = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = outside.local_addr().expect("bound");
    arguments.push("--collector.reachability.max-listeners=5000".to_owned());
    let exporter = Exporter::start_as(runtime, 1, &arguments);
    exporter.scrape_until("the owner of a port outside of the container is seen", |samples| {
        samples.any(&format!("flatline_listen_owner_info{{address=\"{}\",port=\"{}\"", address.ip(), address.port()))
    });
}
