//! The memcg livelock and its healthy look-alike, rehearsed on a real kernel: what the exporter and its rule will
//! have to tell apart is really there to be told apart.

use std::thread;
use std::time::Duration;

use flatline_lab::scenarios::memcg_livelock;
use flatline_lab::{Guest, wait_for};

const WINDOW: Duration = Duration::from_secs(10);

#[test]
fn the_livelock_starves_everybody_and_reclaims_nothing() {
    let scene = memcg_livelock(Guest::builder()).unwrap();
    let healthy = scene.observe().unwrap();
    assert_eq!((healthy.high_events, healthy.oom_kills), (0, 0));

    scene.begin().unwrap();
    wait_for("the hog to pass memory.high", Duration::from_secs(60), || {
        Ok((scene.observe()?.high_events > 0).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(3));
    let before = scene.observe().unwrap();
    thread::sleep(WINDOW);
    let after = scene.observe().unwrap();

    let seen = format!("{before:#?}\n{after:#?}");
    assert!(after.high_events > before.high_events, "{seen}");
    let waiting = Duration::from_micros(after.waiting_microseconds - before.waiting_microseconds);
    assert!(waiting.as_secs_f64() > 0.6 * WINDOW.as_secs_f64(), "{seen}");
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
    let before = scene.observe().unwrap();
    thread::sleep(WINDOW);
    let after = scene.observe().unwrap();

    let seen = format!("{before:#?}\n{after:#?}");
    let events = after.high_events - before.high_events;
    assert!(events > 0 && after.page_cache_mib > before.page_cache_mib + 20, "{seen}");
    assert!((after.pages_reclaimed - before.pages_reclaimed) / events >= 32, "{seen}");
    assert!(after.innocent_loops > before.innocent_loops + 20, "{seen}");
    let waiting = Duration::from_micros(after.waiting_microseconds - before.waiting_microseconds);
    assert!(waiting.as_secs_f64() < 0.6 * WINDOW.as_secs_f64(), "{seen}");
    assert_eq!(after.oom_kills, 0, "{seen}");
}
