//! The thread that follows the ring, and what it keeps over restarts of the exporter.

use super::tally::{Clock, Tally};
use crate::collector::Environment;
use crate::kept::{Kept, boot_id};
use flatline_events::Classifier;
use flatline_sources::SourceError;
use flatline_sources::kernel_ring::{LONGEST_RECORD, Next, Ring};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records between two looks at the clock.
const BATCH: usize = 256;
/// After a full batch it rests this many times as long as the batch took.
const REST: u32 = 4;
/// How long it waits for a record before it says that it is alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Silent for this long, it hangs.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How long the start waits for what is in the ring already.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const SNAPSHOT: &str = "kernel_log";
const STACK_BYTES: usize = 256 * 1024;

/// What the thread and the collector share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    counted: Mutex<Counted>,
    /// Told when the ring has been read to its end.
    caught_up: Condvar,
}

#[derive(Debug)]
struct Counted {
    tally: Tally,
    looked: Instant,
    at_end: bool,
    error: Option<SourceError>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the ring until the process ends.
#[derive(Debug)]
pub(super) struct Follower {
    shared: Arc<Shared>,
}

impl Follower {
    /// Goes on where the exporter before left off, and returns when the ring has been read to its end or soon after.
    pub(super) fn start(ring: Ring, classifier: Classifier, environment: &Environment) -> Result<Self, String> {
        let boot_id = boot_id(&environment.roots).map_err(|error| error.to_string())?;
        let mut kept = Kept::<Tally>::new(environment.state.as_ref(), SNAPSHOT);
        let mut tally = kept.load();
        tally.resume(&boot_id);
        let path = environment.roots.rootfs.join("dev/kmsg");
        let counted = Counted { tally, looked: Instant::now(), at_end: false, error: None };
        let shared =
            Arc::new(Shared { path: path.to_path_buf(), counted: Mutex::new(counted), caught_up: Condvar::new() });
        let following = Arc::clone(&shared);
        let thread = thread::Builder::new().name("fl-kmsg".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || follow(&ring, &classifier, &following, kept)).map_err(|error| error.to_string())?;
        let counted = shared.lock();
        let waited = shared.caught_up.wait_timeout_while(counted, FIRST_LOOK, |counted| !counted.at_end);
        drop(waited);
        Ok(Self { shared })
    }

    /// Copies what has been counted.
    pub(super) fn tally(&self, into: &mut Tally) -> Result<(), SourceError> {
        let counted = self.shared.lock();
        if let Some(error) = &counted.error {
            return Err(error.clone());
        }
        if counted.looked.elapsed() > DEAD_AFTER {
            let detail = format!("nobody has looked at it for {} s", counted.looked.elapsed().as_secs());
            return Err(SourceError::unanswered(&self.shared.path, detail));
        }
        into.clone_from(&counted.tally);
        Ok(())
    }
}

fn follow(ring: &Ring, classifier: &Classifier, shared: &Shared, mut kept: Kept<Tally>) {
    let mut buffer = vec![0; LONGEST_RECORD];
    let mut promised = false;
    loop {
        let begun = Instant::now();
        let taken = take_batch(ring, classifier, shared, &mut buffer);
        let waited = taken.and_then(|taken| match taken {
            Batch::Full => Ok(rest((begun.elapsed() * REST).min(LOOK_EVERY))),
            // It was told that there is something, and there was not: asking again at once would have no end.
            Batch::Nothing if promised => Ok(rest(LOOK_EVERY)),
            Batch::Nothing | Batch::All => ring.wait(LOOK_EVERY),
        });
        match waited {
            Ok(ready) => promised = ready,
            Err(error) => return shared.lock().error = Some(error),
        }
        if kept.is_due() {
            let tally = shared.lock().tally.clone();
            kept.save(tally);
        }
    }
}

/// Waits without being told of anything.
fn rest(time: Duration) -> bool {
    thread::sleep(time);
    false
}

/// What a look at the ring has brought.
enum Batch {
    /// As much as is taken at once: there may be more.
    Full,
    /// All there was.
    All,
    Nothing,
}

/// Counts up to a batch of records.
fn take_batch(ring: &Ring, classifier: &Classifier, shared: &Shared, buffer: &mut [u8]) -> Result<Batch, SourceError> {
    let clock = clock();
    for taken in 0..BATCH {
        // The lock is held for one record at a time: a scrape waits for microseconds.
        match ring.next(buffer)? {
            Next::Record(record) => shared.lock().tally.take(record, classifier, clock),
            Next::TooLong => shared.lock().tally.unreadable += 1,
            // The gap in the sequence tells how many.
            Next::Overrun => {}
            Next::Empty => {
                let mut counted = shared.lock();
                counted.looked = Instant::now();
                counted.at_end = true;
                shared.caught_up.notify_all();
                return Ok(if taken == 0 { Batch::Nothing } else { Batch::All });
            }
        }
    }
    shared.lock().looked = Instant::now();
    Ok(Batch::Full)
}

/// The kernel stamps its records with a clock that is set like the monotonic one and still in suspend.
fn clock() -> Clock {
    let monotonic = clock_gettime(ClockId::Monotonic);
    let kernel = Duration::try_from(monotonic).unwrap_or_default().as_secs_f64();
    Clock { wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(), kernel }
}
