//! What a client sees of the exporter, over real connections.

mod common;

use common::{Exporter, PATIENCE, command, request};
use std::io::{Read, Write};
use std::net::TcpStream;

/// No collector needs to run for these.
const BARE: &[&str] = &["--collector.disable-defaults"];

#[test]
fn both_formats_by_negotiation_with_full_content_types() {
    let exporter = Exporter::start(BARE);
    let text = exporter.get("/metrics");
    assert_eq!(text.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.body.contains("# EOF") && !text.body.contains("# UNIT"));
    assert!(text.body.contains("# TYPE flatline_build_info gauge\n"));
    assert!(text.body.contains("# TYPE process_cpu_seconds_total counter\n"));

    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let open = request(exporter.address(), "GET", "/metrics", &[("Accept", accept)]);
    assert_eq!(open.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.body.contains("# TYPE flatline_build info\n"));
    assert!(open.body.contains("# UNIT process_cpu_seconds seconds\n"));
}

#[test]
fn head_answers_without_a_body() {
    let exporter = Exporter::start(BARE);
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        let head = request(exporter.address(), "HEAD", path, &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert!(head.headers.contains_key("content-type"), "{path}");
    }
}

#[test]
fn probes_landing_page_and_nothing_else() {
    let exporter = Exporter::start(BARE);
    assert_eq!(exporter.get("/-/healthy").status, 200);
    assert_eq!(exporter.get("/-/ready").status, 200);
    assert_eq!(exporter.get("/elsewhere").status, 404);
    assert_eq!(request(exporter.address(), "POST", "/metrics", &[]).status, 405);
    let page = exporter.get("/");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    for shown in [
        "memcg",
        "pressure",
        "watchdog",
        "kernel_faults",
        "href=\"/metrics\"",
        "switched off by --collector.disable-defaults",
    ] {
        assert!(page.body.contains(shown), "the landing page lacks {shown}:\n{}", page.body);
    }
}

#[test]
fn a_query_chooses_collectors_and_mistakes_are_told() {
    let exporter = Exporter::start(&["--path.sysfs=/nonexistent"]);
    let only = exporter.get("/metrics?collect[]=pressure");
    assert!(only.body.contains("collector=\"pressure\"") && !only.body.contains("collector=\"memcg\""));
    let encoded = exporter.get("/metrics?collect%5B%5D=pressure&collect%5B%5D=memcg");
    assert!(encoded.body.contains("collector=\"pressure\"") && encoded.body.contains("collector=\"memcg\""));
    let without = exporter.get("/metrics?exclude[]=pressure");
    assert!(!without.body.contains("collector=\"pressure\"") && without.body.contains("collector=\"memcg\""));
    for (query, complaint) in [
        ("collect[]=presure", "unknown collector `presure`; there are: "),
        ("collect[]=pressure&exclude[]=memcg", "can't be combined"),
    ] {
        let refused = exporter.get(&format!("/metrics?{query}"));
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(complaint), "{}", refused.body);
    }
}

#[test]
fn gzip_only_when_enabled_and_accepted() {
    let accepts = [("Accept-Encoding", "gzip")];
    let plain = Exporter::start(BARE);
    assert!(!request(plain.address(), "GET", "/metrics", &accepts).headers.contains_key("content-encoding"));
    let exporter = Exporter::start(&["--collector.disable-defaults", "--web.enable-gzip"]);
    assert!(!exporter.get("/metrics").headers.contains_key("content-encoding"));
    let compressed = request(exporter.address(), "GET", "/metrics", &accepts);
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(compressed.bytes.as_slice()).read_to_string(&mut text).expect("gzip");
    assert!(text.contains("flatline_build_info"));
}

#[test]
fn several_addresses_and_another_path() {
    let exporter = Exporter::start_as(
        command(env!("CARGO_BIN_EXE_flatline-exporter")),
        2,
        &[
            "--collector.disable-defaults",
            "--web.listen-address=127.0.0.1:0",
            "--web.listen-address=127.0.0.2:0",
            "--web.telemetry-path=/flatline",
        ],
    );
    for address in &exporter.addresses {
        assert_eq!(request(*address, "GET", "/flatline", &[]).status, 200);
        assert_eq!(request(*address, "GET", "/metrics", &[]).status, 404);
    }
}

#[test]
fn every_address_means_ipv4_and_ipv6() {
    let exporter = Exporter::start(&["--collector.disable-defaults", "--web.listen-address=:0"]);
    let port = exporter.address().port();
    assert_eq!(request(([127, 0, 0, 1], port).into(), "GET", "/metrics", &[]).status, 200);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("SKIPPED: this host has no IPv6 loopback; the IPv6 half of the test did not run");
        return;
    }
    assert_eq!(request((std::net::Ipv6Addr::LOCALHOST, port).into(), "GET", "/metrics", &[]).status, 200);
}

#[test]
fn a_socket_from_systemd_is_taken() {
    // The protocol of sd_listen_fds(3): the socket is descriptor 3, LISTEN_PID is the process's own id.
    let hand_over = "import os, socket, sys\n\
        s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
        os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let mut python = command("python3");
    python.args(["-c", hand_over, env!("CARGO_BIN_EXE_flatline-exporter"), "--web.systemd-socket"]);
    let exporter = Exporter::start_as(python, 1, BARE);
    assert_eq!(exporter.get("/metrics").status, 200);
    let refused = common::refusal(&["--web.systemd-socket"], &[]);
    assert!(refused.contains("systemd passed no socket"), "{refused}");
}

#[test]
fn sigterm_ends_it_cleanly_even_with_a_client_connected() {
    let exporter = Exporter::start(BARE);
    let _idle = TcpStream::connect(exporter.address()).expect("connects");
    assert_eq!(exporter.terminate(), Some(0));
}

#[test]
fn a_client_that_sends_a_byte_a_second_holds_nobody_up() {
    let exporter = Exporter::start(BARE);
    let mut slow: Vec<_> = (0..20).map(|_| TcpStream::connect(exporter.address()).expect("connects")).collect();
    for byte in b"GET" {
        for stream in &mut slow {
            stream.write_all(&[*byte]).expect("open");
        }
        assert_eq!(exporter.get("/metrics").status, 200);
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

#[test]
fn oversized_and_garbled_requests_are_refused() {
    let exporter = Exporter::start(BARE);
    for garbage in [b"GET /\x00 HTTP/9\r\n\r\n".to_vec(), vec![b'A'; 100_000], b"\x16\x03\x01\x02\x00".repeat(100)] {
        let mut stream = TcpStream::connect(exporter.address()).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let _ = stream.write_all(&garbage);
        let _ = stream.write_all(b"\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(exporter.get("/metrics").status, 200);
}

#[test]
fn requests_are_counted_by_code() {
    let exporter = Exporter::start(BARE);
    exporter.get("/elsewhere");
    exporter.scrape();
    let samples = exporter.scrape();
    assert_eq!(samples.get("flatline_http_requests_total{code=\"404\"}"), Some(1.0));
    assert_eq!(samples.get("flatline_http_requests_total{code=\"200\"}"), Some(1.0));
    let quiet = Exporter::start(&["--collector.disable-defaults", "--web.disable-exporter-metrics"]);
    quiet.scrape();
    assert!(!quiet.scrape().any("flatline_http_requests_total") && !quiet.scrape().any("process_"));
}

/// What is read of a connection whose request was too much: its first line.
fn first_line(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered, and ended");
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_head_of_more_than_32_kib_or_100_fields_is_refused_and_one_below_is_read() {
    let exporter = Exporter::start(BARE);
    let head = |fields: &str| format!("GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}");
    let fields = |count: usize| -> String { (0..count).map(|number| format!("X-{number}: y\r\n")).collect() };
    let room = 32 * 1024 - head("X: ").len();
    for (request, answer) in [
        // Not a byte more than is read: what stays unread would reset the connection, and take the answer along.
        (head(&format!("X: {}", "y".repeat(room))), "HTTP/1.1 431 Request Header Fields Too Large"),
        (head(&format!("X: {}\r\n\r\n", "y".repeat(room - 1024))), "HTTP/1.1 200 OK"),
        (head(&(fields(99) + "\r\n")), "HTTP/1.1 431 Request Header Fields Too Large"),
        (head(&(fields(98) + "\r\n")), "HTTP/1.1 200 OK"),
    ] {
        let mut stream = TcpStream::connect(exporter.address()).expect("connects");
        stream.write_all(request.as_bytes()).expect("sends");
        assert_eq!(first_line(stream), answer, "{} bytes", request.len());
    }
}

/// Nothing that a client opens and then neglects keeps a scrape away, however often it does it.
#[test]
fn ten_thousand_connections_that_say_nothing_hold_nobody_up() {
    // As many as any process may hold, and more than the exporter keeps.
    flood(700);
}

#[test]
fn ten_thousand_connections_at_once_hold_nobody_up() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|maximum| maximum < 11_000) {
        return flatline_lab::skipped("10,000 connections at once", format!("{maximum:?} open files are allowed"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
    flood(10_000);
}

/// Opens 10,000 connections that send half a request or nothing, so many of them held at once.
fn flood(held: usize) {
    let exporter = Exporter::start(BARE);
    let half = b"GET /metrics HTTP/1.1\r\nHost: x\r\n";
    let mut kept = std::collections::VecDeque::new();
    for number in 0..10_000_usize {
        if kept.len() == held {
            kept.pop_front();
        }
        let mut stream = TcpStream::connect(exporter.address()).expect("connects");
        if number % 2 == 0 {
            let _ = stream.write_all(half); // it may have had to go already
        }
        kept.push_back(stream);
        if number % 1000 == 999 {
            assert_eq!(exporter.get("/metrics").status, 200, "after {number}");
        }
    }
    assert_eq!(kept.len(), held);
    assert_eq!(exporter.get("/-/healthy").status, 200);
    drop(kept);
    assert_eq!(exporter.get("/metrics").status, 200);
}

/// The only permit goes to who sends scrape upon scrape and reads nothing, until the buffers between are full.
#[test]
fn a_client_that_takes_no_answer_has_to_go_when_others_want_its_permit() {
    let exporter = Exporter::start(&["--collector.disable-defaults", "--web.max-requests=1"]);
    let mut lazy = TcpStream::connect(exporter.address()).expect("connects");
    let answer = exporter.get("/metrics").bytes.len();
    // More than what the buffers of a connection grow to, 4 and 6 MiB unless somebody has raised them.
    let scrapes = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(16 * 1024 * 1024 / answer);
    lazy.write_all(scrapes.as_bytes()).expect("a request is small");
    let gone = |mut lazy: &TcpStream| lazy.write(b"G").is_err();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !(exporter.get("/metrics").status == 200 && gone(&lazy)) {
        assert!(std::time::Instant::now() < deadline, "the permit never came back:\n{}", exporter.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let exporter = Exporter::start(BARE);
    let mut stream = TcpStream::connect(exporter.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let ahead = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200)
        + "GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(ahead.as_bytes()).expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answers");
    let answer = String::from_utf8(answer).expect("text");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 200);
    assert!(answer.rfind("HTTP/1.1 404") > answer.rfind("HTTP/1.1 200"), "the last one last");
}
