//! The livelock at `memory.high`.

use std::time::Duration;

use super::host::{EXPORTER, NODE_EXPORTER, targets};
use super::stage::exporter;
use super::vm::{BOOT, SOON};
use super::{Drill, Pace, Plot, Session};
use crate::scenarios::{MemcgLivelock, memcg_livelock};
use crate::{Guest, Program, Result};

pub(super) const PLOTS: &[Plot] = &[
    Plot { title: "up", query: "up" },
    Plot { title: "memory of the cgroup (MiB)", query: "flatline_memcg_current_bytes{cgroup=\"/p/w\"} / 2^20" },
    Plot {
        title: "times throttled per second",
        query: "rate(flatline_memcg_local_events_total{cgroup=\"/p/w\",event=\"high\"}[1m])",
    },
    Plot {
        title: "share of time somebody waits for memory",
        query: "rate(flatline_memcg_waiting_seconds_total{cgroup=\"/p/w\",resource=\"memory\"}[1m])",
    },
    Plot { title: "OOM kills", query: "flatline_memcg_events_total{cgroup=\"/p/w\",event=\"oom_kill\"}" },
];

pub(super) static LIVELOCK: Drill = Drill {
    name: "memcg-livelock",
    breaks: "a hog of 300 MiB in a cgroup with memory.high 200M, memory.max 400M, no swap, and an innocent server beside it",
    pace: Pace::Production,
    expects: &["MemcgLivelock"],
    tolerates: &["MemcgLivelockBandConfigured"],
    plots: PLOTS,
    play: |session| play(session, false),
};

/// The exporter's own cgroup is the one that is throttled.
pub(super) static EXPORTER_INSIDE: Drill = Drill {
    name: "memcg-livelock-exporter-inside",
    breaks: "the same, with both exporters inside the throttled cgroup",
    pace: Pace::Production,
    expects: &["MemcgLivelock"],
    tolerates: &["MemcgLivelockBandConfigured", "DevvmDown", "DevvmFlapping"],
    plots: PLOTS,
    play: |session| play(session, true),
};

fn play(session: &mut Session<'_>, exporters_inside: bool) -> Result<()> {
    let node_exporter = Program::find("prometheus-node-exporter", "prometheus-node-exporter")?;
    let builder = Guest::builder()
        .boot_deadline(BOOT)
        .binary(exporter()?)
        .binary(node_exporter.path())
        .forward(EXPORTER)
        .forward(NODE_EXPORTER)
        .script("flatline-exporter &")
        .script("prometheus-node-exporter >/dev/null 2>&1 &");
    let scenario = memcg_livelock(builder)?;
    let guest = scenario.guest();
    session.machine(guest);
    session.step(&format!("the guest is up after {:.0} s", guest.boot_time().as_secs_f64()));
    if exporters_inside {
        let cgroup = format!("/sys/fs/cgroup{}", MemcgLivelock::CGROUP);
        guest.sh(&format!(
            "for pid in $(pidof flatline-exporter prometheus-node-exporter); do echo $pid >{cgroup}/cgroup.procs; done"
        ))?;
        session.step("both exporters are put into the cgroup");
    }
    session.watch(&targets(guest)?)?;
    session.settle()?;
    scenario.begin()?;
    session.onset("the hog begins");
    session.until_told(SOON)?;
    session.look_on(Duration::from_secs(60))?;
    scenario.relieve()?;
    session.relief("memory.high to max, the hog is killed");
    session.until_over("MemcgLivelock", SOON)
}
