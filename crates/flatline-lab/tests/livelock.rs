//! The memcg livelock and its healthy look-alike, rehearsed on a real kernel: what the exporter and its rule will
//! have to tell apart is really there to be told apart.

use std::thread;
use std::time::Duration;

use flatline_lab::scenarios::{MemcgLivelock, MemcgState, memcg_livelock};
use flatline_lab::{Guest, Result, wait_for};

const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Window {
    before: MemcgState,
    after: MemcgState,
}

fn observe_window(scene: &MemcgLivelock) -> Result<Window> {
    let before = scene.observe()?;
    thread::sleep(WINDOW);
    Ok(Window { before, after: scene.observe()? })
}

impl Window {
    fn waiting(&self) -> Duration {
        Duration::from_micros(self.after.waiting_microseconds - self.before.waiting_microseconds)
    }

    fn innocent_loops(&self) -> u64 {
        self.after.innocent_loops - self.before.innocent_loops
    }
}

#[test]
fn the_livelock_starves_everybody_and_reclaims_nothing() {
    let scene = memcg_livelock(Guest::builder()).unwrap();
    thread::sleep(Duration::from_secs(5)); // a guest's first seconds are its slowest
    let healthy = observe_window(&scene).unwrap();
    assert_eq!((healthy.after.high_events, healthy.after.oom_kills), (0, 0));

    scene.begin().unwrap();
    wait_for("the hog to pass memory.high", Duration::from_secs(60), || {
        Ok((scene.observe()?.high_events > 0).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(3));
    let window = observe_window(&scene).unwrap();
    let (before, after, seen) = (window.before, window.after, format!("{window:#?}"));
    assert!(after.high_events > before.high_events, "{seen}");
    assert!(window.waiting() > WINDOW.mul_f64(0.6), "{seen}");
    assert!(window.innocent_loops() < healthy.innocent_loops() / 4, "{seen}\n{healthy:#?}");
    assert_eq!(after.pages_reclaimed, before.pages_reclaimed, "{seen}");
    assert_eq!(after.oom_kills, 0, "{seen}");
    assert!(after.current_bytes < 400 << 20, "{seen}");

    // Beside it, a kill in a cgroup that is gone at once stays on the parent's account.
    let kills = scene.parent_oom_kills().unwrap();
    scene.oom_leaf().unwrap();
    assert_eq!(scene.parent_oom_kills().unwrap(), kills + 1);

    // The runbook's remedy frees the innocent process.
    scene.relieve().unwrap();
    let freed = scene.observe().unwrap().innocent_loops;
    wait_for("the innocent process to run again", Duration::from_secs(20), || {
        Ok((scene.observe()?.innocent_loops > freed + 50).then_some(()))
    })
    .unwrap();
}

#[test]
fn page_cache_over_high_progresses() {
    let scene = memcg_livelock(Guest::builder()).unwrap();
    scene.begin_page_cache().unwrap();
    wait_for("the job to pass memory.high", Duration::from_secs(90), || {
        Ok((scene.observe()?.high_events > 0).then_some(()))
    })
    .unwrap();
    let window = observe_window(&scene).unwrap();
    let (before, after, seen) = (window.before, window.after, format!("{window:#?}"));
    let events = after.high_events - before.high_events;
    assert!(events > 0 && after.page_cache_mib > before.page_cache_mib + 20, "{seen}");
    assert!((after.pages_reclaimed - before.pages_reclaimed) / events >= 32, "{seen}");
    assert!(window.innocent_loops() > 50, "{seen}");
    assert!(window.waiting() < WINDOW.mul_f64(0.6), "{seen}");
    assert_eq!(after.oom_kills, 0, "{seen}");
}
