//! The memcg livelock on a real cgroup-v2 kernel: the exporter inside the guest, a real Prometheus outside.

mod common;

use common::rules;
use flatline_lab::scenarios::{MemcgLivelock, memcg_livelock};
use flatline_lab::{AlertState, Guest, GuestBuilder, Program, Prometheus, Scrape};
use std::time::Duration;

const BOOT: Duration = Duration::from_secs(60);
/// A guest under emulation on a busy machine: generous.
const SOON: Duration = Duration::from_secs(120);
const LIVELOCK: &str = "scrape_interval: 1s\nmemcg:\n  livelock_window: 15s\n  livelock_for: 5s\n";

fn guest_with_exporter() -> GuestBuilder {
    Guest::builder().binary(env!("CARGO_BIN_EXE_flatline-exporter")).forward(10120).script("flatline-exporter &")
}

fn watched(scenario: &MemcgLivelock) -> Prometheus {
    let rules = rules(LIVELOCK);
    let address = scenario.guest().address(10120).expect("forwarded");
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("devvm", address))
        .rule_file(rules.path().join("rules/flatline.rules.yml"))
        .start()
        .expect("Prometheus starts");
    prometheus.wait_until("up == 1", BOOT).unwrap_or_else(|error| panic!("{error}\n{}", scenario.guest().console()));
    prometheus
}

#[test]
fn a_memcg_livelock_fires_and_ends_as_the_runbook_says() {
    let scenario = memcg_livelock(guest_with_exporter()).expect("guest");
    let prometheus = watched(&scenario);
    let band = prometheus.query("flatline_memcg_livelock_band == 1").expect("query");
    assert_eq!(band.len(), 1, "{band:?}");
    assert_eq!(band[0].labels["cgroup"], MemcgLivelock::CGROUP);
    assert!(prometheus.query("flatline_memcg_mode{mode=\"v2\"} == 1").expect("query").len() == 1);

    scenario.begin().expect("hog");
    let alert = prometheus.wait_for_alert("MemcgLivelock", AlertState::Firing, SOON).expect("fires");
    assert_eq!(alert.labels["cgroup"], MemcgLivelock::CGROUP);
    assert_eq!(alert.labels["severity"], "page");
    // What makes it a livelock and not an OOM: nobody is killed, and the exporter still answers.
    let killed = "flatline_memcg_events_total{cgroup=\"/p/w\",event=\"oom_kill\"} == 0";
    assert_eq!(prometheus.query(killed).expect("query").len(), 1);
    assert!(prometheus.query("up == 1").expect("query").len() == 1);

    scenario.relieve().expect("relief");
    prometheus.wait_for_no_alert("MemcgLivelock", SOON).expect("resolves");
}

#[test]
fn page_cache_work_over_memory_high_on_a_real_disk_stays_silent() {
    let scenario = memcg_livelock(guest_with_exporter()).expect("guest");
    let prometheus = watched(&scenario);
    scenario.begin_page_cache().expect("job");
    // It must be throttled at memory.high for the test to mean anything, for longer than the alert's window.
    let throttled = "increase(flatline_memcg_local_events_total{cgroup=\"/p/w\",event=\"high\"}[10s]) > 10";
    prometheus.wait_until(throttled, SOON).unwrap_or_else(|error| panic!("{error}\n{}", scenario.guest().console()));
    let before = scenario.observe().expect("state");
    for _ in 0..40 {
        std::thread::sleep(Duration::from_secs(1));
        let alerts = prometheus.alerts().expect("alerts");
        assert!(!alerts.iter().any(|alert| alert.name == "MemcgLivelock"), "{alerts:?}");
    }
    let after = scenario.observe().expect("state");
    assert!(after.high_events > before.high_events + 10, "still throttled: {before:?} {after:?}");
    assert!(after.page_cache_mib > before.page_cache_mib, "and it progresses: {before:?} {after:?}");
}

#[test]
fn an_oom_kill_in_a_leaf_removed_at_once_is_counted_on_its_parent() {
    let scenario = memcg_livelock(guest_with_exporter()).expect("guest");
    let prometheus = watched(&scenario);
    let kills = "flatline_memcg_events_total{cgroup=\"/p\",event=\"oom_kill\"}";
    prometheus.wait_until(&format!("{kills} == 0"), SOON).expect("none before");
    scenario.oom_leaf().expect("killed");
    prometheus.wait_until(&format!("{kills} == 1"), SOON).expect("the parent keeps it");
    assert!(prometheus.query("flatline_memcg_current_bytes{cgroup=\"/p/leaf\"}").expect("query").is_empty());
    prometheus
        .wait_until("flatline_kernel_faults_total{kind=\"oom_kill\"} == 1", SOON)
        .expect("the host counts it too");
}

/// As the unit does it (`StandardInput=file:/dev/kmsg`): who may not open the kernel's log is given it open.
#[test]
fn the_kernels_log_is_read_by_nobody_if_it_is_handed_over() {
    let exporter = "flatline-exporter --state.directory= --collector.disable-defaults --collector.kernel_log";
    let nobody = format!("/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups {exporter}");
    let guest = Guest::builder()
        .binary(env!("CARGO_BIN_EXE_flatline-exporter"))
        .binary(Program::find("setpriv", "util-linux").expect("setpriv").path())
        .forward(10120)
        .forward(10121)
        .script("echo 1 >/proc/sys/kernel/dmesg_restrict")
        .script(&format!("{nobody} </dev/kmsg &"))
        .script(&format!("{nobody} --web.listen-address=:10121 </dev/null &"))
        .boot()
        .expect("guest");
    let address = |port| guest.address(port).expect("forwarded");
    let prometheus = Prometheus::builder()
        .scrape(Scrape::new("handed", address(10120)))
        .scrape(Scrape::new("alone", address(10121)))
        .start()
        .expect("Prometheus starts");
    let wait = |expression: &str| {
        let console = || guest.console();
        prometheus.wait_until(expression, SOON).unwrap_or_else(|error| panic!("{error}\n{}", console()));
    };
    wait("flatline_collector_success{job=\"handed\",collector=\"kernel_log\"} == 1");
    wait("flatline_collector_state{job=\"alone\",collector=\"kernel_log\",state=\"failed\"} == 1");
    let hog = "mkdir /sys/fs/cgroup/hog; echo 8M >/sys/fs/cgroup/hog/memory.max
        (echo 0 >/sys/fs/cgroup/hog/cgroup.procs; exec tail /dev/zero) || true";
    guest.sh(hog).expect("killed");
    wait("flatline_kernel_events_total{job=\"handed\",kind=\"oom_kill_memcg\"} >= 1");
    assert!(prometheus.query("flatline_kernel_events_total{job=\"alone\"}").expect("query").is_empty());
}
