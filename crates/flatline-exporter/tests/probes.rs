//! Probes against real servers: good, wrong, looping, endless, silent, absent; over HTTP, HTTPS and TCP.

mod common;
mod servers;

use common::{Exporter, Samples, command, refusal};
use servers::{Authority, path_of, respond, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use tempfile::NamedTempFile;

/// What a server may do to its clients, by path.
fn http_server() -> SocketAddr {
    serve(|mut stream| {
        let Some(path) = path_of(&mut stream) else { return };
        match path.split('?').next().unwrap_or_default() {
            "/health" => respond(&mut stream, "200 OK", "", "{\"status\":\"ok\"}"),
            "/loading" => respond(&mut stream, "503 Service Unavailable", "", "{\"status\":\"loading model\"}"),
            "/releases" => respond(&mut stream, "200 OK", "", "<a href=\"/releases/tag/v1.2.3\">newest</a>"),
            "/moved" => respond(&mut stream, "301 Moved Permanently", "Location: /health\r\n", ""),
            "/loop" => respond(&mut stream, "302 Found", "Location: /loop\r\n", ""),
            "/elsewhere" => respond(&mut stream, "302 Found", "Location: file:///etc/passwd\r\n", ""),
            "/long" => respond(&mut stream, "200 OK", "", &"x".repeat(2000)),
            "/endless" => endless(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n"),
            "/endless-head" => endless(&mut stream, b"HTTP/1.1 200 OK\r\nX: "),
            "/cut" => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")),
            "/half" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                thread::park();
            }
            "/nonsense" => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n")),
            _ => respond(&mut stream, "404 Not Found", "", ""),
        }
    })
}

fn endless(stream: &mut TcpStream, head: &[u8]) {
    let _ = stream.write_all(head);
    while stream.write_all(&[b'x'; 4096]).is_ok() {}
}

/// 2018-01-01T00:00:00Z and 2040-01-01T00:00:00Z.
const IN_2018: f64 = 1_514_764_800.0;
const IN_2040: f64 = 2_208_988_800.0;

fn config(targets: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("file");
    std::fs::write(file.path(), format!("collector:\n  probes:\n    targets:\n{targets}")).expect("write");
    file
}

fn flags(config: &Path) -> [String; 3] {
    let file = format!("--config.file={}", config.display());
    ["--collector.disable-defaults".to_owned(), "--collector.probes".to_owned(), file]
}

fn start(targets: &str) -> Exporter {
    Exporter::start(&flags(config(targets).path()))
}

/// A probe with its settings, each on a line of its own; every second, with a deadline that only the silent reach.
fn probe(name: &str, url: &str, settings: &[&str]) -> String {
    let settings: String = settings.iter().map(|setting| format!("        {setting}\n")).collect();
    format!("      {name}:\n        url: '{url}'\n        interval: 1s\n{settings}")
}

fn of(metric: &str, name: &str) -> String {
    format!("flatline_probe_{metric}{{probe=\"{name}\"}}")
}

fn failures(samples: &Samples, name: &str, reason: &str) -> Option<f64> {
    samples.get(&format!("flatline_probe_failures_total{{probe=\"{name}\",reason=\"{reason}\"}}"))
}

/// Scrapes until each probe has failed for its reason.
fn until_failed(exporter: &Exporter, expected: &[(&str, &str)]) -> Samples {
    let samples = exporter.scrape_until("each fails for its reason", |samples| {
        expected.iter().all(|(name, reason)| failures(samples, name, reason) >= Some(1.0))
    });
    for (name, _) in expected {
        assert_eq!(samples.get(&of("success", name)), Some(0.0), "{name}");
    }
    samples
}

#[test]
fn good_answers_are_told_with_status_body_and_time() {
    let server = http_server();
    let targets = [
        probe("llama", &format!("http://{server}/health?key=secret"), &["body: '\"status\": *\"ok\"'"]),
        probe("release", &format!("http://{server}/releases"), &["body: '/tag/(v[0-9.]+)'"]),
        probe("moved", &format!("http://{server}/moved"), &[]),
        probe("stays", &format!("http://{server}/moved"), &["status: 301", "max-redirects: 0"]),
        probe("port", &format!("tcp://localhost:{}", server.port()), &[]),
    ];
    let exporter = start(&targets.concat());
    let names = ["llama", "release", "moved", "stays", "port"];
    let samples = exporter
        .scrape_until("all answer", |samples| names.iter().all(|name| samples.get(&of("success", name)) == Some(1.0)));
    let status = |name| samples.get(&of("http_status_code", name));
    assert_eq!(
        names.map(status),
        [Some(200.0), Some(200.0), Some(200.0), Some(301.0), None],
        "after redirects, unless they are what is expected"
    );
    let matched = |name| samples.get(&of("body_matched", name));
    assert_eq!(names.map(matched), [Some(1.0), Some(1.0), None, None, None]);
    assert_eq!(samples.get("flatline_probe_capture_info{probe=\"release\",value=\"v1.2.3\"}"), Some(1.0));
    let info = format!("flatline_probe_info{{probe=\"llama\",target=\"http://{server}/health\"}}");
    assert_eq!(samples.get(&info), Some(1.0), "without the query");
    assert!(!samples.any("flatline_probe_certificate"));
    for name in names {
        let count = samples.get(&of("duration_seconds_count", name)).expect("a histogram");
        let all = samples.get(&format!("flatline_probe_duration_seconds_bucket{{le=\"+Inf\",probe=\"{name}\"}}"));
        assert!(count >= 1.0 && all == Some(count), "{name}");
        assert!(samples.get(&of("last_timestamp_seconds", name)).is_some_and(|at| at > 1e9));
        assert_eq!(failures(&samples, name, "connect"), Some(0.0), "every reason is shown");
    }
    // Each goes on, on its own.
    exporter.scrape_until("asked again", |later| {
        names.iter().all(|name| {
            let count = |samples: &Samples| samples.get(&of("duration_seconds_count", name));
            count(later) > count(&samples)
        })
    });
}

#[test]
fn every_failure_has_its_reason_and_hides_no_other_probe() {
    let server = http_server();
    let silent = serve(|_| thread::park());
    let refused = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let http = |path: &str| format!("http://{server}{path}");
    let short = "timeout: 300ms";
    let targets = [
        probe("well", &http("/health"), &[]),
        probe("loading", &http("/loading"), &["body: '\"ok\"'"]),
        probe("other", &http("/health"), &["body: 'no such text'"]),
        probe("loop", &http("/loop"), &["max-redirects: 3"]),
        probe("elsewhere", &http("/elsewhere"), &[]),
        probe("long", &http("/long"), &["max-bytes: 1999"]),
        probe("endless", &http("/endless"), &["max-bytes: 100000"]),
        probe("head", &http("/endless-head"), &[]),
        probe("cut", &http("/cut"), &[]),
        probe("half", &http("/half"), &[short]),
        probe("nonsense", &http("/nonsense"), &[]),
        probe("silent", &format!("http://{silent}/"), &[short]),
        probe("tls", &format!("https://{server}/"), &[]),
        probe("refused", &format!("http://{refused}/"), &[]),
        probe("port", &format!("tcp://{refused}"), &[]),
        probe("nobody", "http://no-such-host.invalid/", &[]),
    ];
    let exporter = start(&targets.concat());
    let expected = [
        ("loading", "status"),
        ("other", "body"),
        ("loop", "redirect"),
        ("elsewhere", "status"),
        ("long", "too_large"),
        ("endless", "too_large"),
        ("head", "protocol"),
        ("cut", "protocol"),
        ("half", "timeout"),
        ("nonsense", "protocol"),
        ("silent", "timeout"),
        ("tls", "tls"),
        ("refused", "connect"),
        ("port", "connect"),
        ("nobody", "lookup"),
    ];
    let samples = until_failed(&exporter, &expected);
    exporter.scrape_until("what came is told, also by those that came too late", |samples| {
        let status = |name| samples.get(&of("http_status_code", name));
        [("loading", 503.0), ("elsewhere", 302.0), ("half", 200.0)]
            .iter()
            .all(|(name, code)| status(name) == Some(*code))
            && samples.get(&of("body_matched", "loading")) == Some(0.0)
    });
    assert_eq!(samples.get(&of("body_matched", "half")), None);
    assert_eq!(samples.get(&of("http_status_code", "silent")), None);
    let within = "flatline_probe_duration_seconds_bucket{le=\"0.25\",probe=\"silent\"}";
    assert_eq!(samples.get(within), Some(0.0), "the deadline is not shorter than configured");
    exporter.scrape_until("the one that is well is seen", |samples| samples.get(&of("success", "well")) == Some(1.0));
    for (name, reason) in expected {
        exporter.wait_for_log(&format!("probe={name} reason={reason}"));
    }
}

#[test]
fn a_silent_server_never_has_two_of_one_probe() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let server = serve(move |mut stream| {
        count.fetch_add(1, SeqCst);
        // Until the exporter has hung up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let exporter = start(&probe("silent", &format!("http://{server}/"), &["timeout: 1s"]));
    for round in 1..=3 {
        exporter.scrape_until("one more", |samples| failures(samples, "silent", "timeout") >= Some(f64::from(round)));
        let connections = opened.load(SeqCst);
        let ended = failures(&exporter.scrape(), "silent", "timeout").expect("every reason is shown");
        assert!(connections as f64 <= ended + 1.0, "{connections} connections for {ended} probes that have ended");
    }
}

#[test]
fn a_certificate_is_told_whether_it_is_trusted_or_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ours, theirs) = (authority.file(), stranger.file());
    let trusting = |file: &NamedTempFile| format!("ca-file: {}", file.path().display());
    let (ours, theirs) = (trusting(&ours), trusting(&theirs));
    let good = authority.server("127.0.0.1", 2040);
    let ended = authority.server("127.0.0.1", 2018);
    let misnamed = authority.server("elsewhere.example", 2040);
    let https = |address: SocketAddr| format!("https://{address}/");
    let targets = [
        probe("good", &https(good), &[&ours]),
        probe("named", &format!("https://localhost:{}/", good.port()), &[&ours]),
        probe("ended", &https(ended), &[&ours]),
        probe("misnamed", &https(misnamed), &[&ours]),
        probe("stranger", &https(good), &[&theirs]),
        probe("host", &https(good), &[]),
    ];
    let exporter = start(&targets.concat());
    let expected = [("named", "tls"), ("ended", "tls"), ("misnamed", "tls"), ("stranger", "tls"), ("host", "tls")];
    until_failed(&exporter, &expected);
    let samples = exporter.scrape_until("the good one", |samples| samples.get(&of("success", "good")) == Some(1.0));
    let expiry = |name| samples.get(&of("certificate_expiry_timestamp_seconds", name));
    assert_eq!(
        ["good", "named", "ended", "misnamed", "stranger", "host"].map(expiry),
        [IN_2040, IN_2040, IN_2018, IN_2040, IN_2040, IN_2040].map(Some)
    );
}

#[test]
fn the_certificates_that_the_host_trusts_are_trusted() {
    let authority = Authority::new();
    let trusted = authority.file();
    let server = authority.server("127.0.0.1", 2040);
    let file = config(&probe("page", &format!("https://{server}/"), &["body: ok"]));
    let mut exporter = command(env!("CARGO_BIN_EXE_flatline-exporter"));
    exporter.env("SSL_CERT_FILE", trusted.path()).env_remove("SSL_CERT_DIR");
    let exporter = Exporter::start_as(exporter, 1, &flags(file.path()));
    exporter.scrape_until("it answers", |samples| samples.get(&of("success", "page")) == Some(1.0));
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let proxy = serve(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let file = config(&probe("well", &format!("http://{}/health", http_server()), &[]));
    let mut exporter = command(env!("CARGO_BIN_EXE_flatline-exporter"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        exporter.env(name, format!("http://{proxy}"));
    }
    exporter.env_remove("no_proxy").env_remove("NO_PROXY");
    let exporter = Exporter::start_as(exporter, 1, &flags(file.path()));
    exporter.scrape_until("it answers", |samples| samples.get(&of("success", "well")) == Some(1.0));
    assert_eq!(asked.load(SeqCst), 0);
}

#[test]
fn targets_come_from_the_file_alone() {
    let said = refusal(&["--collector.probes.targets=a=http://127.0.0.1/"], &[]);
    assert!(said.contains("collector.probes.targets") && said.contains("--config.file only"), "{said}");
    let said = refusal(&[], &[("FLATLINE_COLLECTOR_PROBES_TARGETS", "a=http://127.0.0.1/")]);
    assert!(said.contains("--config.file only"), "{said}");
    let exporter = Exporter::start(&["--collector.disable-defaults", "--collector.probes"]);
    let state = "flatline_collector_state{collector=\"probes\",state=\"off\",reason=\"nothing to probe: ";
    exporter.scrape_until("off", |samples| samples.any(state));
    // As blackbox_exporter does it, and this one never will.
    exporter.get("/metrics?target=http://127.0.0.1/&module=http");
    assert!(!exporter.scrape().any("flatline_probe_"));
}

#[test]
fn what_can_not_be_meant_is_refused_with_file_and_line() {
    let refused = |targets: &str| {
        let file = config(targets);
        let path = file.path().display().to_string();
        refusal(&["--config.file", &path], &[]).replace(&path, "FILE")
    };
    let good = probe("good", "http://127.0.0.1/", &[]);
    let said = refused(&format!("{good}{}", probe("bad", "http://127.0.0.1/", &["boddy: ok"])));
    assert!(said.contains("FILE:7: collector.probes.targets: ") && said.contains("bad: unknown key `boddy`"), "{said}");
    let said = refused("      bad:\n        url: http://x/\n        status: [200, 204]\n");
    assert!(said.contains("FILE:6: collector.probes.targets.bad.status: must be a single value"), "{said}");
    assert!(refused("      bad: ftp://x/\n").contains("FILE:4: "));
    assert_eq!(refused("      bad: ftp://x/\n").lines().count(), 1);

    let missing = start(&probe("well", "https://127.0.0.1/", &["ca-file: /nonexistent/ca.pem"]));
    missing.wait_for_log("well: /nonexistent/ca.pem");
    let empty = NamedTempFile::new().expect("file");
    let empty = start(&probe("well", "https://127.0.0.1/", &[&format!("ca-file: {}", empty.path().display())]));
    empty.wait_for_log("holds no certificate");
}
