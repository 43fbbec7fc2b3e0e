//! systemd over D-Bus: what it says of units and timers, and what becomes of a scrape when it says nothing.

mod common;
#[path = "servers/systemd.rs"]
mod systemd;

use common::{Exporter, PATIENCE, command};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use systemd::{Unit, Units};
use tempfile::TempDir;

const MINUTE: u64 = 60_000_000;

fn units() -> Units {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_micros();
    let now = u64::try_from(now).expect("not that late");
    Arc::new(Mutex::new(vec![
        Unit::new("ssh.service", "active", "running"),
        Unit { result: "exit-code", restarts: 5, ..Unit::new("app.service", "failed", "failed") },
        Unit::new("idle.service", "inactive", "dead"),
        Unit::new("user@1000.service", "active", "running"),
        Unit {
            timer: [now - 60 * MINUTE, now + 60 * MINUTE, 0, MINUTE],
            ..Unit::new("backup.timer", "active", "waiting")
        },
        Unit { timer: [now - 600 * MINUTE, 0, 0, MINUTE], ..Unit::new("stuck.timer", "active", "running") },
        Unit { counts_from: &["OnBootUSec", "OnUnitActiveUSec"], ..Unit::new("again.timer", "active", "running") },
        Unit { counts_from: &["OnBootUSec", "OnStartupUSec"], ..Unit::new("once.timer", "active", "running") },
        Unit::new("never.timer", "inactive", "dead"),
    ]))
}

/// A host that systemd runs.
fn host() -> TempDir {
    let host = tempfile::tempdir().expect("directory");
    for directory in ["run/systemd/system", "run/dbus"] {
        std::fs::create_dir_all(host.path().join(directory)).expect("directory");
    }
    host
}

fn exporter(host: &Path, flags: &[&str]) -> Exporter {
    let root = format!("--path.rootfs={}", host.display());
    let fixed =
        ["--collector.disable-defaults", "--collector.units", "--collector.pressure", "--scrape.deadline=20s", &root];
    Exporter::start(&[&fixed[..], flags].concat())
}

const SLOW: &str = "--collector.units.timeout=15s";

#[test]
fn units_and_timers_are_told_as_systemd_tells_them() {
    let (host, units) = (host(), units());
    systemd::private(&host.path().join("run/systemd/private"), &units);
    let exporter = exporter(host.path(), &[SLOW]);
    let samples = exporter.scrape();
    let state =
        |unit: &str, state: &str| samples.get(&format!("flatline_unit_state{{unit=\"{unit}\",state=\"{state}\"}}"));
    assert_eq!((state("ssh.service", "active"), state("ssh.service", "failed")), (Some(1.0), Some(0.0)));
    assert_eq!((state("app.service", "active"), state("app.service", "failed")), (Some(0.0), Some(1.0)));
    assert_eq!(state("idle.service", "inactive"), None, "it has never done anything");
    assert_eq!(state("user@1000.service", "active"), None, "it comes and goes with sessions");
    let info =
        "flatline_unit_info{unit=\"app.service\",load_state=\"loaded\",sub_state=\"failed\",result=\"exit-code\"}";
    assert_eq!(samples.get(info), Some(1.0));
    assert_eq!(samples.get("flatline_unit_restarts_total{unit=\"app.service\"}"), Some(5.0));
    assert_eq!(samples.get("flatline_units_failed"), Some(1.0));
    assert_eq!(samples.get("flatline_units_left_out"), Some(0.0));
    assert_eq!(samples.get("flatline_systemd_info{version=\"252.38-1~deb12u1\"}"), Some(1.0));

    let timer = |what: &str, timer: &str| samples.get(&format!("flatline_timer_{what}{{timer=\"{timer}.timer\"}}"));
    let (last, due) = (timer("last_trigger_timestamp_seconds", "backup"), timer("due_timestamp_seconds", "backup"));
    assert!(due.zip(last).is_some_and(|(due, last)| (due - last - 121.0 * 60.0).abs() < 0.01), "{last:?} {due:?}");
    assert_eq!((timer("running", "backup"), timer("running", "stuck")), (Some(0.0), Some(1.0)));
    assert_eq!(timer("running", "again"), Some(1.0));
    assert_eq!(timer("running", "once"), Some(0.0), "it has no other turn, what it started may run for ever");
    assert_eq!(timer("due_timestamp_seconds", "stuck"), None, "it waits for what it started");
    assert_eq!((timer("running", "never"), timer("last_trigger_timestamp_seconds", "never")), (None, None));

    units.lock().expect("units").iter_mut().for_each(|unit| unit.state = "inactive");
    let stopped = exporter.scrape();
    assert_eq!(stopped.get("flatline_unit_state{unit=\"ssh.service\",state=\"inactive\"}"), Some(1.0));
}

#[test]
fn what_is_named_is_shown_whatever_it_does_and_the_rest_is_bounded() {
    let host = host();
    systemd::private(&host.path().join("run/systemd/private"), &units());
    let named = ["idle.service", "gone.service"].map(|unit| format!("--collector.units.patterns={unit}"));
    let samples = exporter(host.path(), &[SLOW, &named[0], &named[1]]).scrape();
    let info = |unit: &str, load: &str| {
        samples.get(&format!(
            "flatline_unit_info{{unit=\"{unit}\",load_state=\"{load}\",sub_state=\"dead\",result=\"success\"}}"
        ))
    };
    assert_eq!(info("idle.service", "loaded"), Some(1.0));
    assert!(samples.any("flatline_unit_info{unit=\"gone.service\",load_state=\"not-found\""));
    let bounded = exporter(host.path(), &[SLOW, "--collector.units.max-units=2"]).scrape();
    assert_eq!(bounded.get("flatline_units_left_out"), Some(5.0));
    assert!(
        bounded.any("flatline_unit_info{unit=\"app.service\"")
            && !bounded.any("flatline_unit_info{unit=\"ssh.service\"")
    );
}

/// Kills the message bus when dropped.
struct Bus(std::process::Child);

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_message_bus_is_asked_where_systemds_own_socket_is_not_for_us() {
    let host = host();
    let socket = host.path().join("run/dbus/system_bus_socket");
    let configuration = format!(
        "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
         <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
        socket.display()
    );
    std::fs::write(host.path().join("bus.conf"), configuration).expect("written");
    let file = format!("--config-file={}", host.path().join("bus.conf").display());
    let daemon = command("dbus-daemon").args(["--nofork", "--nopidfile", &file]).spawn();
    let _bus = Bus(daemon.expect("dbus-daemon is installed (apt-get install dbus-daemon)"));
    let deadline = std::time::Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(std::time::Instant::now() < deadline, "the bus does not listen");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    systemd::on_bus(&socket, &units());
    let samples = exporter(host.path(), &[SLOW]).scrape();
    assert_eq!(samples.get("flatline_unit_state{unit=\"app.service\",state=\"failed\"}"), Some(1.0));
    assert_eq!(samples.collector("success", "units"), Some(1.0));
}

#[test]
fn a_bus_that_says_nothing_costs_its_own_deadline_and_nothing_else() {
    let host = host();
    let silent = UnixListener::bind(host.path().join("run/dbus/system_bus_socket")).expect("socket");
    let exporter = exporter(host.path(), &["--collector.units.timeout=100ms"]);
    for _ in 0..3 {
        let samples = exporter.scrape();
        assert_eq!(
            (samples.collector("success", "units"), samples.collector("success", "pressure")),
            (Some(0.0), Some(1.0))
        );
        assert!(!samples.any("flatline_unit") && samples.any("flatline_pressure"));
    }
    exporter.wait_for_log("systemd does not answer over D-Bus");
    drop(silent);
    assert_eq!(exporter.scrape().collector("success", "units"), Some(0.0), "refused");
}

#[test]
fn without_systemd_the_collector_is_off() {
    let host = tempfile::tempdir().expect("directory");
    let samples = exporter(host.path(), &[]).scrape();
    assert!(samples.any("flatline_collector_state{collector=\"units\",state=\"off\",reason=\"no "), "says why");
}
