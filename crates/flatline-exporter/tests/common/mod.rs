//! Starts the real binary on recorded trees and asks it over HTTP.

#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file and uses its part")]

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Generous: these tests judge behaviour, never speed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The repository's recorded trees.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A running exporter, killed when dropped.
pub struct Exporter {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Where it listens, in the order it said so.
    pub addresses: Vec<SocketAddr>,
}

impl Exporter {
    /// Starts with these arguments on a free port of the loopback address.
    pub fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        Self::start_as(command(env!("CARGO_BIN_EXE_flatline-exporter")), 1, arguments)
    }

    /// Starts through another command (a shell that sets limits, say), waiting for `listeners` addresses.
    pub fn start_as<S: AsRef<OsStr>>(mut command: Command, listeners: usize, arguments: &[S]) -> Self {
        let given = |flag: &str| arguments.iter().any(|argument| argument.as_ref().to_string_lossy().contains(flag));
        if !given("web.listen-address") {
            command.arg("--web.listen-address=127.0.0.1:0");
        }
        // Tests run side by side, and one state directory belongs to one exporter.
        if !given("state.directory") {
            command.arg("--state.directory=");
        }
        // On a busy machine a collector that is well may take longer than the default; only one that hangs takes this.
        if !given("scrape.deadline") {
            command.arg("--scrape.deadline=20s");
        }
        let mut child = command.args(arguments).stderr(Stdio::piped()).spawn().expect("the exporter starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (announce, announced) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(address) = field(&line, "address=").and_then(|address| address.parse().ok()) {
                    let _ = announce.send(address);
                }
                let mut kept = kept.lock().expect("log");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut exporter = Self { child, log, addresses: Vec::new() };
        for _ in 0..listeners {
            match announced.recv_timeout(PATIENCE) {
                Ok(address) => exporter.addresses.push(address),
                Err(_) => panic!("the exporter does not listen; it said:\n{}", exporter.log()),
            }
        }
        exporter
    }

    /// The first address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Waits until it has logged this: log lines take their own way.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "never logged {text}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `GET`s a path.
    pub fn get(&self, path: &str) -> Response {
        request(self.address(), "GET", path, &[])
    }

    /// Scrapes `/metrics` as text and parses the samples.
    pub fn scrape(&self) -> Samples {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{}", response.body);
        Samples::parse(&response.body)
    }

    /// Scrapes until the condition holds.
    pub fn scrape_until(&self, what: &str, condition: impl Fn(&Samples) -> bool) -> Samples {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let samples = self.scrape();
            if condition(&samples) {
                return samples;
            }
            assert!(Instant::now() < deadline, "never came true: {what}\nlog:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets it open no more than this many files beyond those it has open.
    pub fn leave_files(&self, spare: usize) {
        let open: Vec<u64> =
            self.proc("fd").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        // The limit is on numbers, and the lowest free one is given.
        let limit = (0..).filter(|number| !open.contains(number)).nth(spare);
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, Rlimit { current: limit, maximum: limit })
            .expect("our child");
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Number of its threads.
    pub fn threads(&self) -> usize {
        self.proc("task").count()
    }

    /// Number of its open files, less sockets: the last client's may not be closed yet.
    pub fn files(&self) -> usize {
        let links = self.proc("fd").filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| !link.to_string_lossy().starts_with("socket:")).count()
    }

    fn proc(&self, what: &str) -> std::fs::ReadDir {
        std::fs::read_dir(format!("/proc/{}/{what}", self.pid())).expect("alive")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("alive");
    }

    /// Sends SIGTERM and returns the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "does not stop; it said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells a thread of a scope to stop, also when the test panics: the scope would wait for it for ever.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Whether the thread should stop.
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Tells it when what is returned is dropped.
    pub fn at_end(&self) -> impl Drop {
        struct AtEnd<'s>(&'s Stop);
        impl Drop for AtEnd<'_> {
            fn drop(&mut self) {
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
        AtEnd(self)
    }
}

/// A command; the exporter itself never starts one.
#[expect(clippy::disallowed_methods, reason = "tests may start processes")]
pub fn command(program: &str) -> Command {
    Command::new(program)
}

/// Runs the exporter to its end: for settings it must refuse.
pub fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(env!("CARGO_BIN_EXE_flatline-exporter"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the exporter starts");
    assert!(!output.status.success(), "it must refuse {arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = &line[line.find(name)? + name.len()..];
    Some(rest.split(' ').next().unwrap_or(rest).trim_matches('"'))
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub bytes: Vec<u8>,
}

/// One request on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n").expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answers");
    parse_response(&answer)
}

fn parse_response(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&answer[..end]).expect("ASCII head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let bytes = answer[end + 4..].to_vec();
    Response { status: status.expect("a status"), headers, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}

/// The samples of a text exposition, by `name{labels}`.
#[derive(Debug, Default)]
pub struct Samples(pub BTreeMap<String, f64>);

impl Samples {
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("name and value");
            (series.to_owned(), value.parse().expect("a number"))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).map(sample).collect())
    }

    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// The value of one of the framework's series about a collector.
    pub fn collector(&self, metric: &str, collector: &str) -> Option<f64> {
        self.get(&format!("flatline_collector_{metric}{{collector=\"{collector}\"}}"))
    }

    /// Whether any series starts so.
    pub fn any(&self, start: &str) -> bool {
        self.0.keys().any(|series| series.starts_with(start))
    }
}

/// Copies a recorded tree so that a test can spoil it.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("directory");
    for entry in std::fs::read_dir(from).expect("fixture") {
        let entry = entry.expect("fixture");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("type");
        if kind.is_dir() {
            copy_tree(&entry.path(), &target);
        } else if kind.is_symlink() {
            // Never followed: /proc/<pid>/fd/3 of the fixture points at the watchdog of the machine we run on.
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).expect("link"), target).expect("link");
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// Puts a FIFO where a file is: whoever opens it hangs, as on a device that does not answer.
pub fn plant_fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("FIFO");
}

/// Compiles a library that answers like NVIDIA's, for the cards of `fixtures/gpu/nvidia`; files in the directory spoil
/// its answers, see `fake_nvml.c`. The C compiler is there: `ring` is built with it.
pub fn fake_nvml(directory: &Path) -> PathBuf {
    let library = directory.join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_nvml.c");
    let status = command("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(format!("-DDIRECTORY=\"{}\"", directory.display()))
        .arg(source)
        .status();
    assert!(status.expect("a C compiler").success());
    library
}

/// The rules as a user generates them, with windows short enough for a test.
pub fn rules(config: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("config.yml");
    std::fs::write(&file, config).expect("write");
    let generate = command(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--package", "flatline-rules", "--", "generate", "--config"])
        .arg(&file)
        .arg("--output")
        .arg(directory.path())
        .status();
    assert!(generate.expect("cargo runs").success());
    directory
}
