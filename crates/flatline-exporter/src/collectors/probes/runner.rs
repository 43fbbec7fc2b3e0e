//! When each probe is asked, and what is known of it.

use super::ask::{Answer, Prober, Trouble};
use super::trust::HostRoots;
use crate::exposition::Histogram;
use flatline_sources::SourceError;
use flatline_sources::probes::{Failure, Target};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A TLS handshake needs more than a read does.
const STACK_BYTES: usize = 1 << 20;
/// What the host's resolver and a regular expression need.
const BLOCKING_STACK_BYTES: usize = 256 * 1024;
/// Probes of a long interval begin soon, too.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Intervals vary by this share to both sides, so that the probes of many hosts do not march in step.
const JITTER: f64 = 0.1;
/// The runtime says so often that it lives ...
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// ... and after so long without, its numbers are not served any more.
const DEAD_AFTER: Duration = Duration::from_secs(60);
const START_ANEW_AFTER: Duration = Duration::from_secs(10);
/// A target that comes and goes is logged so often, for each reason.
const LOG_EVERY: Duration = Duration::from_secs(600);
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What is known of one probe.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) last: Option<Answer>,
    /// Unix time.
    pub(super) ended: Option<f64>,
    pub(super) expiry: Option<i64>,
    pub(super) failures: [u64; Failure::ALL.len()],
    pub(super) durations: Histogram,
}

impl Default for Seen {
    fn default() -> Self {
        let durations = Histogram::new(BOUNDS);
        Self { last: None, ended: None, expiry: None, failures: [0; Failure::ALL.len()], durations }
    }
}

/// Held for a few copies at a time.
struct Board {
    alive: Instant,
    seen: Vec<Seen>,
}

type Shared = Arc<Mutex<Board>>;

fn lock(board: &Shared) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that asks; it ends when this is dropped.
pub(super) struct Runner {
    board: Shared,
    _stop: oneshot::Sender<()>,
}

impl Runner {
    /// # Errors
    /// When a target's certificates can't be read, or the system gives no thread.
    pub(super) fn start(targets: Vec<Target>) -> Result<Self, String> {
        let mut roots = HostRoots::default();
        let probers = targets
            .into_iter()
            .map(|target| {
                let name = target.name.clone();
                Prober::new(target, &mut roots).map(Arc::new).map_err(|reason| format!("{name}: {reason}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // For each probe one to look up its name and one to look at its body, so that none waits for another's.
            .max_blocking_threads(2 * probers.len())
            .thread_stack_size(BLOCKING_STACK_BYTES)
            .thread_name("fl-probes-block")
            .build()
            .map_err(|error| error.to_string())?;
        let board = Arc::new(Mutex::new(Board { alive: Instant::now(), seen: vec![Seen::default(); probers.len()] }));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&board);
        let run = move || {
            runtime.block_on(async {
                for (index, prober) in probers.into_iter().enumerate() {
                    tokio::spawn(keep_asking(prober, Arc::clone(&shared), index));
                }
                tokio::spawn(show_life(shared));
                let _ = stopped.await;
            });
            // Not waiting for what hangs.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("fl-probes-run".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(run).map_err(|error| error.to_string())?;
        Ok(Self { board, _stop: stop })
    }

    /// What is known now.
    ///
    /// # Errors
    /// When the thread that asks does not run any more: what it last saw is no news then.
    pub(super) fn copy(&self, seen: &mut Vec<Seen>) -> Result<(), SourceError> {
        let board = lock(&self.board);
        let silent = board.alive.elapsed();
        if silent > DEAD_AFTER {
            let detail = "the thread that asks does not run any more; restart the exporter and report this";
            return Err(SourceError::unanswered(Path::new("probes"), detail));
        }
        seen.clone_from(&board.seen);
        Ok(())
    }
}

async fn show_life(board: Shared) {
    loop {
        lock(&board).alive = Instant::now();
        tokio::time::sleep(SIGN_OF_LIFE).await;
    }
}

/// A probe that panics is started anew and takes no other with it.
async fn keep_asking(prober: Arc<Prober>, board: Shared, index: usize) {
    loop {
        let asking = tokio::spawn(ask_for_ever(Arc::clone(&prober), Arc::clone(&board), index));
        let Err(error) = asking.await else { return };
        tracing::error!(probe = prober.target.name, %error, "probe panicked; starting it anew");
        tokio::time::sleep(START_ANEW_AFTER).await;
    }
}

/// One question after the other: there is never more than one in flight.
async fn ask_for_ever(prober: Arc<Prober>, board: Shared, index: usize) {
    let interval = prober.target.interval;
    let mut due = Instant::now() + interval.min(FIRST_WITHIN).mul_f64(random());
    let mut log = Log::default();
    loop {
        tokio::time::sleep_until(due.into()).await;
        let began = Instant::now();
        let (answer, trouble) = prober.ask().await;
        note(&board, index, answer, began.elapsed(), prober.shown.take());
        log.tell(&prober.target.name, trouble);
        // Those that were missed while the host slept are not made up for.
        due = (due + interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random())).max(Instant::now());
    }
}

fn note(board: &Shared, index: usize, answer: Answer, took: Duration, expiry: Option<i64>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut board = lock(board);
    let Some(seen) = board.seen.get_mut(index) else { return };
    seen.durations.observe(took.as_secs_f64());
    let counts = Failure::ALL.iter().zip(&mut seen.failures);
    for (_, count) in counts.filter(|(failure, _)| answer.failure == Some(**failure)) {
        *count += 1;
    }
    seen.expiry = expiry.or(seen.expiry);
    seen.ended = Some(now);
    seen.last = Some(answer);
}

/// Says when a probe begins to fail, fails for another reason, or succeeds again.
#[derive(Debug, Default)]
struct Log {
    said: Option<Failure>,
    /// When each reason was last said.
    at: [Option<Instant>; Failure::ALL.len()],
}

impl Log {
    fn tell(&mut self, probe: &str, trouble: Option<Trouble>) {
        let Some(Trouble { failure, detail }) = trouble else {
            if self.said.take().is_some() {
                tracing::info!(probe, "probe succeeds again");
            }
            return;
        };
        let at = Failure::ALL.iter().zip(&mut self.at).find(|(known, _)| **known == failure).map(|(_, at)| at);
        let due = |at: &&mut Option<Instant>| at.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if let Some(at) = at.filter(|_| self.said != Some(failure)).filter(due) {
            *at = Some(Instant::now());
            self.said = Some(failure);
            tracing::warn!(probe, reason = failure.label(), error = detail, "probe fails");
        }
    }
}

/// A number from 0 to 1: enough to spread probes, and nothing else hangs on it.
fn random() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::{Board, DEAD_AFTER, Runner, Seen};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    #[test]
    fn what_a_dead_thread_saw_is_not_served() {
        let board = Arc::new(Mutex::new(Board { alive: Instant::now(), seen: vec![Seen::default()] }));
        let runner = Runner { board: Arc::clone(&board), _stop: tokio::sync::oneshot::channel().0 };
        let mut seen = Vec::new();
        runner.copy(&mut seen).expect("it lives");
        assert_eq!(seen.len(), 1);
        let long_ago =
            Instant::now().checked_sub(DEAD_AFTER + Duration::from_secs(1)).expect("the host is up for long");
        board.lock().expect("lock").alive = long_ago;
        assert!(runner.copy(&mut seen).is_err_and(|error| error.to_string().contains("does not run any more")));
    }
}
