//! What a watchdog driver said of the last boot outlives the driver and the exporter, and not the boot.

mod common;

use common::{Exporter, copy_tree, fixtures};
use std::path::Path;

const RESET: &str = "flatline_watchdog_boot_status{device=\"watchdog0\",status=\"card_reset\"}";

fn exporter(host: &Path) -> Exporter {
    let at = |flag: &str, name: &str| format!("--{flag}={}", host.join(name).display());
    Exporter::start(&[
        "--collector.disable-defaults".to_owned(),
        "--collector.watchdog".to_owned(),
        at("path.procfs", "proc"),
        at("path.sysfs", "sys"),
        at("state.directory", "state"),
    ])
}

#[test]
fn a_reset_by_the_watchdog_is_remembered_until_the_next_boot() {
    let directory = tempfile::tempdir().expect("directory");
    let host = directory.path();
    copy_tree(&fixtures().join("host"), host);
    std::fs::create_dir_all(host.join("proc/sys/kernel/random")).expect("directory");
    let boot = |number: u32| {
        let id = format!("{number:08x}-1111-4111-8111-111111111111\n");
        std::fs::write(host.join("proc/sys/kernel/random/boot_id"), id).expect("write");
    };
    let says = |status: &str| {
        std::fs::write(host.join("sys/class/watchdog/watchdog0/bootstatus"), status).expect("write");
    };
    boot(1);
    says("32\n");
    let first = exporter(host);
    first.scrape_until("it is kept", |samples| {
        let kept = std::fs::read_to_string(host.join("state/watchdog.json")).unwrap_or_default();
        samples.get(RESET) == Some(1.0) && kept.contains("32")
    });
    // As after rmmod and modprobe.
    says("0\n");
    assert_eq!(first.scrape().get(RESET), Some(1.0));
    drop(first);
    assert_eq!(exporter(host).scrape().get(RESET), Some(1.0));
    boot(2);
    assert_eq!(exporter(host).scrape().get(RESET), Some(0.0));
}
