//! Hosts that die, on a real kernel: what the exporter says before, and what it can explain afterwards.

mod common;

use common::{Samples, request};
use flatline_lab::{Guest, GuestBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Emulated guests on a busy machine: generous.
const SOON: Duration = Duration::from_secs(180);

/// A host with a disk for the exporter's state. It reboots a second after a panic.
fn host() -> GuestBuilder {
    Guest::builder()
        .memory_mib(1024)
        .disk_mib(64)
        .kernel_argument("panic=1")
        .binary(env!("CARGO_BIN_EXE_flatline-exporter"))
        .forward(10120)
        .boot_deadline(SOON)
        .script("flatline-exporter --state.directory=/disk/state --scrape.deadline=5s &")
}

/// One scrape, if the guest answers.
fn scrape(guest: &Guest) -> Option<Samples> {
    let address = guest.address(10120).expect("forwarded");
    // QEMU's own network takes the connection of a guest that is not up, and drops it.
    let answer = catch_unwind(AssertUnwindSafe(|| request(address, "GET", "/metrics", &[])));
    answer.ok().filter(|answer| answer.status == 200).map(|answer| Samples::parse(&answer.body))
}

fn scrape_until(guest: &Guest, what: &str, condition: impl Fn(&Samples) -> bool) -> Samples {
    let deadline = Instant::now() + SOON;
    let mut last = None;
    while Instant::now() < deadline {
        match scrape(guest) {
            Some(samples) if condition(&samples) => return samples,
            newer => last = newer.or(last),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("never came true: {what}\n{last:#?}\n{}", guest.console());
}

fn events(samples: &Samples, kind: &str) -> f64 {
    samples.get(&format!("flatline_kernel_events_total{{kind=\"{kind}\"}}")).unwrap_or_default()
}

/// Takes more memory than its cgroup may have.
fn kill_a_hog(guest: &Guest) {
    let hog = "mkdir /sys/fs/cgroup/hog; echo 16M >/sys/fs/cgroup/hog/memory.max
               (echo 0 >/sys/fs/cgroup/hog/cgroup.procs; exec tail /dev/zero) || true";
    guest.sh(hog).expect("a hog");
}

fn saved(guest: &Guest, words: &str) {
    let wait =
        format!("for n in $(seq 60); do grep -q {words} /disk/state/kernel_log.json && exit 0; sleep 1; done; exit 1");
    let saved = guest.run(&wait, Duration::from_secs(90)).expect("it ends");
    assert_eq!(saved.status, 0, "totals are saved: {}{}", saved.stdout, saved.stderr);
}

#[test]
fn a_host_that_hangs_kills_and_panics_is_explained_afterwards() {
    let guest = host().boot().expect("guest");
    let healthy = scrape_until(&guest, "a heartbeat, and the boot is entered", |samples| {
        samples.get("flatline_heartbeat_write_seconds_count") >= Some(1.0) && samples.any("flatline_boots_total")
    });
    assert_eq!(healthy.get("flatline_boots_total"), Some(1.0));
    assert_eq!(events(&healthy, "hung_task"), 0.0);

    // A file system that answers nobody, the exporter's own state on it.
    guest.sh("echo 5 >/proc/sys/kernel/hung_task_timeout_secs; fsfreeze --freeze /disk").expect("freeze");
    guest.sh("dd if=/dev/zero of=/disk/stuck bs=512 count=1 >/dev/null 2>&1 &").expect("a writer");
    let hung = scrape_until(&guest, "a hung task and a heartbeat that waits", |samples| {
        events(samples, "hung_task") >= 1.0 && samples.get("flatline_heartbeat_stalled_seconds") > Some(3.0)
    });
    assert!(hung.0.iter().any(|(series, value)| series.starts_with("flatline_tasks_blocked{") && *value >= 1.0));
    for collector in ["boots", "kernel_log", "memcg", "pressure", "tasks"] {
        assert_eq!(hung.collector("success", collector), Some(1.0), "{collector} answers on a dead disk");
    }
    guest.sh("fsfreeze --unfreeze /disk").expect("unfreeze");
    scrape_until(&guest, "the heart beats again", |samples| {
        samples.get("flatline_heartbeat_stalled_seconds") == Some(0.0)
    });

    kill_a_hog(&guest);
    scrape_until(&guest, "an OOM kill", |samples| events(samples, "oom_kill_memcg") >= 1.0);
    saved(&guest, "oom_kill_memcg");

    let panic = "(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &";
    guest.boots_again(SOON, || guest.sh(panic).map(drop)).expect("it panics and comes back");
    let after = scrape_until(&guest, "the boot is entered and the log read", |samples| {
        samples.get("flatline_boots_total") == Some(2.0) && samples.any("flatline_kernel_events_total")
    });
    assert_eq!(after.get("flatline_unclean_boots_total"), Some(1.0));
    assert_eq!(after.get("flatline_previous_boot_clean"), Some(0.0));
    assert_eq!(after.get("flatline_kernel_changed"), Some(0.0));
    let kept = ["hung_task", "oom_kill_memcg"].map(|kind| events(&after, kind) >= 1.0);
    assert_eq!(kept, [true, true], "kept over the crash\n{}", guest.console());
    let boots = guest.sh("flatline-exporter boots --state.directory=/disk/state").expect("a table");
    assert!(boots.contains("unclean") && boots.contains("running"), "{boots}");
}

/// A processor that stood still for seconds, as it looks to the kernel when its virtual machine was not run.
#[test]
fn a_processor_that_stands_still_is_a_soft_lockup() {
    let guest = host().boot().expect("guest");
    scrape_until(&guest, "the log is read", |samples| samples.any("flatline_kernel_events_total"));
    guest.sh("echo 1 >/proc/sys/kernel/watchdog_thresh").expect("two seconds are enough");
    guest.suspend().expect("stop");
    std::thread::sleep(Duration::from_secs(8));
    guest.resume().expect("go on");
    scrape_until(&guest, "a soft lockup", |samples| events(samples, "soft_lockup") >= 1.0);
}

/// Programs may write into the kernel's ring, faster than anybody reads it.
#[test]
fn a_flooded_ring_loses_records_and_neither_the_count_of_them_nor_an_answer() {
    let guest = host().kernel_argument("printk.devkmsg=on").kernel_argument("quiet").boot().expect("guest");
    scrape_until(&guest, "the log is read", |samples| samples.any("flatline_kernel_log_records_total"));
    // One write per line: the kernel refuses what does not fit into a record.
    let flood = "while :; do echo 'Kernel panic - not syncing: forged'; done >/dev/kmsg & echo $! >/run/flood";
    guest.sh(flood).expect("a flood");
    // An exporter that gets no time to read for a while; the ring of the kernel does not wait.
    guest.sh("killall -STOP flatline-exporter; sleep 5; killall -CONT flatline-exporter").expect("a pause");
    let flooded = scrape_until(&guest, "records are lost", |samples| {
        samples.get("flatline_kernel_log_lost_records_total") > Some(1000.0)
    });
    assert_eq!(flooded.collector("success", "kernel_log"), Some(1.0));
    assert_eq!(events(&flooded, "kernel_panic"), 0.0, "a program is not the kernel");
    guest.sh("kill $(cat /run/flood)").expect("it ends");
    kill_a_hog(&guest);
    scrape_until(&guest, "what comes after the flood is seen", |samples| events(samples, "oom_kill_memcg") >= 1.0);
}

#[test]
fn a_host_reset_by_its_watchdog_is_found_by_the_next_boot() {
    let guest = host()
        .module("i6300esb")
        .qemu_arguments(["-device", "i6300esb"])
        .script("[ -e /disk/fed ] || watchdog -T 4 -t 1 /dev/watchdog; touch /disk/fed; sync")
        .boot()
        .expect("guest");
    let fed = scrape_until(&guest, "a heartbeat and a watchdog with an owner", |samples| {
        samples.get("flatline_heartbeat_write_seconds_count") >= Some(1.0)
            && samples.get("flatline_watchdog_owned{device=\"watchdog0\"}") == Some(1.0)
    });
    assert!(fed.any("flatline_watchdog_owner_info{device=\"watchdog0\",comm=\"watchdog\"}"));
    let starve = "kill -STOP $(pidof watchdog)";
    guest.boots_again(SOON, || guest.sh(starve).map(drop)).expect("the watchdog resets it");
    let after = scrape_until(&guest, "the boot is entered", |samples| samples.get("flatline_boots_total") == Some(2.0));
    assert_eq!(after.get("flatline_unclean_boots_total"), Some(1.0));
    assert_eq!(after.get("flatline_previous_boot_clean"), Some(0.0));
}
