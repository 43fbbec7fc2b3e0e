//! Healthy machines that look like dead ones: nobody may be told.

use std::time::Duration;

use super::host::{PLOTS, host, targets, watched};
use super::vm::{self, DISK_PLOTS};
use super::{BOOT, Drill, Pace, SOON, Session, memcg};
use crate::Result;
use crate::scenarios::{MemcgLivelock, VmDisk};

/// How long each is looked at.
const LONG: Duration = Duration::from_secs(15 * 60);

const fn healthy(name: &'static str, breaks: &'static str, play: fn(&mut Session<'_>) -> Result<()>) -> Drill {
    Drill { name, breaks, pace: Pace::Production, expects: &[], tolerates: &[], plots: PLOTS, play }
}

pub(super) static IDLE_GUEST: Drill = Drill {
    plots: DISK_PLOTS,
    ..healthy("idle-guest", "a machine whose disk is idle", |session| {
        let _watched = vm::watched(session, &VmDisk { writing: false, ..VmDisk::default() })?;
        session.onset("nothing happens");
        session.look_on(LONG)
    })
};

pub(super) static PAUSED_GUEST: Drill = Drill {
    plots: DISK_PLOTS,
    ..healthy("paused-guest", "a busy machine is paused", |session| {
        let (vm, _exporter) = vm::watched(session, &VmDisk::default())?;
        session.settle()?;
        vm.pause()?;
        session.onset("stop");
        session.look_on(LONG)?;
        vm.unpause()?;
        session.relief("cont");
        session.look_on(Duration::from_secs(60))
    })
};

pub(super) static SLOW_DISK: Drill = Drill {
    plots: DISK_PLOTS,
    ..healthy("slow-disk", "a throttle that keeps requests waiting and lets them through", |session| {
        let (vm, _exporter) = vm::watched(session, &VmDisk::default())?;
        session.settle()?;
        vm.throttle(0, 4096)?;
        session.onset("block_set_io_throttle to 4096 bytes/s");
        session.look_on(LONG)
    })
};

/// Every disk stands still for a moment while a snapshot is taken.
pub(super) static BACKUP_FREEZE: Drill = Drill {
    plots: DISK_PLOTS,
    ..healthy("backup-freeze", "storage that stands still for 20 seconds, three times", |session| {
        let (vm, _exporter) = vm::watched(session, &VmDisk::default())?;
        session.settle()?;
        for round in 1..=3 {
            vm.freeze(0)?;
            session.onset(&format!("frozen, round {round}"));
            session.look_on(Duration::from_secs(20))?;
            vm.thaw(0)?;
            session.relief("it goes on");
            session.look_on(LONG / 3 - Duration::from_secs(20))?;
        }
        Ok(())
    })
};

pub(super) static PAGE_CACHE: Drill = at_memory_high(
    "page-cache",
    "a job that reads and writes twice its memory.high, throttled and making progress",
    |session| throttled(session, "the job begins", MemcgLivelock::begin_page_cache),
);

/// What a build does: over `memory.high` again and again, never for long.
pub(super) static MEMCG_BURSTS: Drill =
    at_memory_high("memcg-bursts", "a job throttled at its memory.high for 8 seconds of every 45", |session| {
        let (over, rest) = (Duration::from_secs(8), Duration::from_secs(37));
        throttled(session, "the first burst", |scenario| scenario.begin_bursts(over, rest))
    });

const fn at_memory_high(name: &'static str, breaks: &'static str, play: fn(&mut Session<'_>) -> Result<()>) -> Drill {
    Drill { plots: memcg::PLOTS, tolerates: &["MemcgLivelockBandConfigured"], ..healthy(name, breaks, play) }
}

/// A job in the cgroup of the livelock.
fn throttled(session: &mut Session<'_>, onset: &str, begin: impl FnOnce(&MemcgLivelock) -> Result<()>) -> Result<()> {
    let scenario = memcg::prepared(session)?;
    session.watch(&targets(scenario.guest())?)?;
    begin(&scenario)?;
    session.onset(onset);
    session.look_on(LONG)
}

pub(super) static CPU_BURN: Drill = healthy("cpu-burn", "all processors busy", |session| {
    let guest = watched(session, &host()?)?;
    guest.sh("for n in 1 2 3 4; do (while :; do :; done) >/dev/null 2>&1 & done")?;
    session.onset("four busy loops on one processor");
    session.look_on(LONG)
});

pub(super) static CLEAN_REBOOT: Drill = healthy("clean-reboot", "the machine is rebooted as one should", |session| {
    let guest = watched(session, &host()?)?;
    session.until_true("flatline_heartbeat_write_seconds_count >= 1", SOON)?;
    session.look_on(Duration::from_secs(60))?;
    session.onset("reboot");
    let shutdown = "(sleep 1; killall -TERM flatline-exporter; sleep 3; reboot) >/dev/null 2>&1 &";
    guest.boots_again(BOOT, || guest.sh(shutdown).map(drop))?;
    session.step("it has booted again");
    session.look_on(LONG)
});

pub(super) static EXPORTER_RESTART: Drill =
    healthy("exporter-restart", "the exporter is restarted three times", |session| {
        let guest = watched(session, &host()?)?;
        session.look_on(Duration::from_secs(60))?;
        for round in 1..=3 {
            let restart = "killall -TERM flatline-exporter; sleep 2
                       flatline-exporter --state.directory=/disk/state >/dev/console 2>&1 &";
            guest.sh(restart)?;
            session.onset(&format!("restart {round}"));
            session.look_on(LONG / 3)?;
        }
        Ok(())
    });
