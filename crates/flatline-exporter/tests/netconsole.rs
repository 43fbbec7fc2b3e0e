//! Kernel messages of other hosts: recorded packets, floods, strangers, nonsense, and a real kernel that panics.

mod common;

use common::{Exporter, Samples, fixtures};
use flatline_lab::Guest;
use rustix::process::Signal;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

struct Host {
    directory: TempDir,
    exporter: Exporter,
    address: SocketAddr,
}

impl Host {
    fn start(listen: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let state = format!("--state.directory={}", directory.path().display());
        Self::start_with_state(directory, &state, listen, arguments)
    }

    fn start_with_state(directory: TempDir, state: &str, listen: &str, arguments: &[&str]) -> Self {
        let listen = format!("--collector.netconsole.listen-address={listen}");
        let fixed = ["--collector.disable-defaults", "--collector.netconsole", "--scrape.deadline=20s"];
        let exporter = Exporter::start(&[&fixed, arguments, &[state, &listen]].concat());
        exporter.wait_for_log("receiving netconsole packets");
        let log = exporter.log();
        let line = log.lines().find(|line| line.contains("receiving netconsole packets")).expect("logged");
        let address = line.split("udp=").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
        let address = address.trim_matches('"').parse().expect("an address");
        Self { directory, exporter, address }
    }

    fn send_from(&self, source: &str, packets: &[&[u8]]) {
        let socket = UdpSocket::bind((source, 0)).expect("a socket");
        for packet in packets {
            socket.send_to(packet, (source, self.address.port())).expect("sent");
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("netconsole").join(name)
    }

    fn kept(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }
}

const ALLOWED: &str = "--collector.netconsole.senders=pve1=127.0.0.1";

fn of(sender: &str, metric: &str) -> String {
    format!("flatline_netconsole_{metric}{{sender=\"{sender}\"}}")
}

fn rejected(samples: &Samples, reason: &str) -> Option<f64> {
    samples.get(&format!("flatline_netconsole_rejected_packets_total{{reason=\"{reason}\"}}"))
}

#[test]
fn a_recorded_panic_is_counted_and_kept() {
    let recorded = std::fs::read(fixtures().join("netconsole-received.txt")).expect("fixture");
    let packets: Vec<&[u8]> = recorded.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let host = Host::start("127.0.0.1:0", &[ALLOWED]);
    let before = host.exporter.scrape();
    assert_eq!(before.get(&of("pve1", "messages_total")), Some(0.0));
    assert_eq!(before.get(&of("pve1", "last_message_timestamp_seconds")), None);
    host.send_from("127.0.0.1", &packets);
    let all = |samples: &Samples| samples.get(&of("pve1", "messages_total")) == Some(packets.len() as f64);
    let samples = host.exporter.scrape_until("every packet is a message", all);
    let panics = "flatline_netconsole_events_total{sender=\"pve1\",kind=\"kernel_panic\"}";
    assert_eq!(samples.get(panics), Some(1.0));
    let when = "flatline_netconsole_event_last_timestamp_seconds{sender=\"pve1\",kind=\"kernel_panic\"}";
    assert!(samples.get(when).is_some_and(|time| time > 1.7e9));
    // The recording lacks number 376, which the sender's interface lost while it was down.
    assert_eq!(samples.get(&of("pve1", "lost_messages_total")), Some(1.0));
    assert!(samples.get(&of("pve1", "last_message_timestamp_seconds")).is_some_and(|time| time > 1.7e9));
    host.exporter.scrape_until("all are kept", |_| host.kept("pve1.log").lines().count() == packets.len());
    assert!(host.kept("pve1.log").contains("Z Kernel panic - not syncing: sysrq triggered crash\n"));
    let length = host.file("pve1.log").metadata().expect("a file").len();
    host.exporter
        .scrape_until("its size is known", |samples| samples.get(&of("pve1", "kept_bytes")) == Some(length as f64));
}

#[test]
fn strangers_and_nonsense_are_counted_and_nothing_more() {
    let host = Host::start("127.0.0.1:0", &["--collector.netconsole.senders=other=192.0.2.7"]);
    host.send_from("127.0.0.1", &[b"0,1,1,-;Kernel panic - not syncing: forged"]);
    let samples = host.exporter.scrape_until("a stranger", |samples| rejected(samples, "unknown_sender") == Some(1.0));
    assert!(!samples.any("flatline_netconsole_events_total"));
    assert!(host.kept("other.log").is_empty());

    let host = Host::start("127.0.0.1:0", &[ALLOWED]);
    host.send_from("127.0.0.1", &[b"", b"\0\0\0", &[b'x'; 4000], b"6,1,1,-,ncfrag=8/4;x", b"6,7,8,-;fine"]);
    let samples =
        host.exporter.scrape_until("one is fine", |samples| samples.get(&of("pve1", "messages_total")) == Some(1.0));
    assert_eq!((rejected(&samples, "malformed"), rejected(&samples, "too_long")), (Some(3.0), Some(1.0)));
}

#[test]
fn fragments_come_in_any_order_and_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        flatline_lab::skipped("fragments over IPv6", "none on this machine");
        return;
    }
    let host = Host::start("[::1]:0", &["--collector.netconsole.senders=six=::1"]);
    host.send_from(
        "::1",
        &[b"6.4.0,0,9,1,-,ncfrag=12/32; - not syncing: test", b"6.4.0,0,9,1,-,ncfrag=0/32;Kernel panic"],
    );
    let panics = "flatline_netconsole_events_total{sender=\"six\",kind=\"kernel_panic\"}";
    host.exporter.scrape_until("the panic is joined", |samples| samples.get(panics) == Some(1.0));
    host.exporter.scrape_until("it is kept", |_| host.kept("six.log").contains("Kernel panic - not syncing: test\n"));
}

#[test]
fn a_flood_is_cut_and_its_files_stay_small() {
    let limits = ["--collector.netconsole.max-packets-per-second=20", "--collector.netconsole.max-file-bytes=4096"];
    let host = Host::start("127.0.0.1:0", &[&[ALLOWED], &limits[..]].concat());
    let line = format!("6,1,1,-;{}", "x".repeat(100));
    // In pieces, so that the socket's own buffer is not what cuts it, or little.
    for _ in 0..20 {
        host.send_from("127.0.0.1", &[line.as_bytes(); 50]);
        host.exporter.scrape();
    }
    let flooded = host.exporter.scrape_until("all have come", |samples| accounted(samples) == Some(1000.0));
    let taken = flooded.get(&of("pve1", "messages_total"));
    assert!(taken.is_some_and(|taken| taken >= 100.0), "{flooded:?}");
    assert!(rejected(&flooded, "rate_limited").is_some_and(|refused| refused >= 100.0), "{flooded:?}");
    host.exporter.scrape_until("it is rotated", |_| host.file("pve1.log.1").exists());
    for name in ["pve1.log", "pve1.log.1"] {
        assert!(host.file(name).metadata().map_or(0, |file| file.len()) <= 4096, "{name}");
    }
}

/// What became of packets, whatever it was.
fn accounted(samples: &Samples) -> Option<f64> {
    let taken = samples.get(&of("pve1", "messages_total"))?;
    Some(taken + rejected(samples, "rate_limited")? + samples.get("flatline_netconsole_dropped_packets_total")?)
}

#[test]
fn what_the_kernel_threw_away_is_counted_to_the_last() {
    let host = Host::start("127.0.0.1:0", &[ALLOWED]);
    let before = host.exporter.scrape();
    assert_eq!(before.get("flatline_netconsole_dropped_packets_total"), Some(0.0));
    let line = format!("6,1,1,-;{}", "x".repeat(100));
    host.exporter.signal(Signal::STOP);
    // More than any machine's buffer holds of what it asks for.
    host.send_from("127.0.0.1", &vec![line.as_bytes(); 20_000]);
    host.exporter.signal(Signal::CONT);
    let samples = host.exporter.scrape_until("all are known", |samples| accounted(samples) == Some(20_000.0));
    assert!(samples.get("flatline_netconsole_dropped_packets_total").is_some_and(|dropped| dropped > 0.0));
    assert!(samples.get(&of("pve1", "messages_total")).is_some_and(|taken| taken > 0.0));
}

#[test]
fn without_a_state_directory_it_counts_and_says_what_is_missing() {
    let directory = tempfile::tempdir().expect("directory");
    let host = Host::start_with_state(directory, "--state.directory=", "127.0.0.1:0", &[ALLOWED]);
    host.send_from("127.0.0.1", &[b"[ 1.0] one\n[ 1.1] two\n"]);
    let samples =
        host.exporter.scrape_until("two messages", |samples| samples.get(&of("pve1", "messages_total")) == Some(2.0));
    assert_eq!(samples.get(&of("pve1", "unkept_messages_total")), Some(2.0));
    assert_eq!(samples.get(&of("pve1", "kept_bytes")), None);
    assert_eq!(samples.get(&of("pve1", "lost_messages_total")), None, "the basic format has no numbers");
    host.exporter.wait_for_log("counted but not kept");
}

#[test]
fn files_that_can_not_be_written_are_an_error_with_their_path() {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::write(directory.path().join("netconsole"), "in the way").expect("write");
    let state = format!("--state.directory={}", directory.path().display());
    let host = Host::start_with_state(directory, &state, "127.0.0.1:0", &[ALLOWED]);
    host.send_from("127.0.0.1", &[b"6,1,1,-;one"]);
    host.exporter
        .scrape_until("it is not kept", |samples| samples.get(&of("pve1", "unkept_messages_total")) == Some(1.0));
    host.exporter.wait_for_log("netconsole/pve1.log");
}

#[test]
fn settings_that_can_not_be_meant_are_refused_or_fail() {
    for sender in ["pve1", "a/b=127.0.0.1", "pve1=pve1.example.org"] {
        let said = common::refusal(&[&format!("--collector.netconsole.senders={sender}")], &[]);
        assert!(said.contains(sender), "{said}");
    }
    let exporter = Exporter::start(&["--collector.disable-defaults", "--collector.netconsole", "--state.directory="]);
    exporter.wait_for_log("nobody may send");
}

#[test]
fn a_real_kernel_testifies_to_its_own_panic() {
    let host = Host::start("127.0.0.1:0", &[ALLOWED]);
    let guest = Guest::builder().module("netconsole").script(&format!(
        "mount -t configfs none /sys/kernel/config\nmkdir /sys/kernel/config/netconsole/flatline\n\
         cd /sys/kernel/config/netconsole/flatline\n\
         echo eth0 >dev_name\necho 1 >extended\necho 10.0.2.15 >local_ip\necho 10.0.2.2 >remote_ip\n\
         echo 52:55:0a:00:02:02 >remote_mac\necho {} >remote_port\necho 1 >enabled",
        host.address.port()
    ));
    let guest = guest.boot().expect("guest");
    // Its agent dies with it.
    let _ = guest.run("echo c >/proc/sysrq-trigger", Duration::from_secs(5));
    let panics = "flatline_netconsole_events_total{sender=\"pve1\",kind=\"kernel_panic\"}";
    host.exporter.scrape_until("the panic is seen from outside", |samples| samples.get(panics) == Some(1.0));
    host.exporter.scrape_until("its words are kept", |_| {
        host.kept("pve1.log").contains("Kernel panic - not syncing: sysrq triggered crash")
    });
}
