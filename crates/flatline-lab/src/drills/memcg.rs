//! The livelock at `memory.high`.

use std::time::Duration;

use super::host::{targets, with_exporters};
use super::{Drill, Pace, Plot, SOON, Session};
use crate::scenarios::{MemcgLivelock, memcg_livelock};
use crate::{Guest, Result};

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
    tolerates: &["MemcgLivelockBandConfigured", "MemoryPressureSustained"],
    plots: PLOTS,
    play: |session| play(session, false),
};

/// The exporter's own cgroup is the one that is throttled.
pub(super) static EXPORTER_INSIDE: Drill = Drill {
    name: "memcg-livelock-exporter-inside",
    breaks: "the same, with both exporters inside the throttled cgroup",
    pace: Pace::Production,
    expects: &["MemcgLivelock"],
    tolerates: &["MemcgLivelockBandConfigured", "MemoryPressureSustained", "DevvmDown", "DevvmFlapping"],
    plots: PLOTS,
    play: |session| play(session, true),
};

fn play(session: &mut Session<'_>, exporters_inside: bool) -> Result<()> {
    let scenario = prepared(session)?;
    let guest = scenario.guest();
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

/// The machine with everything prepared and nothing begun.
pub(super) fn prepared(session: &mut Session<'_>) -> Result<MemcgLivelock> {
    let scenario = memcg_livelock(with_exporters(Guest::builder(), "")?)?;
    session.machine(scenario.guest());
    Ok(scenario)
}
