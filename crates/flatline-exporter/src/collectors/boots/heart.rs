//! The thread that beats. It alone touches the disk; a dead disk stops the heart and nothing else.

use super::seed;
use crate::exposition::Histogram;
use flatline_ledger::jiff::Timestamp;
use flatline_ledger::{Figures, Heartbeat, Identity, Ledger, Moment, StateDirectory, StateError};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const BEAT_EVERY: Duration = Duration::from_secs(15);
/// From a fast disk's flush to one that is as good as dead.
const BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    /// Absent until the ledger has been read.
    pub(super) figures: Option<Figures>,
    pub(super) kernel: String,
    pub(super) previous_kernel: Option<String>,
    /// When a beat last reached the disk.
    pub(super) beaten: Option<Timestamp>,
    pub(super) writes: Histogram,
    /// For how long the disk has been waited for.
    pub(super) stalled: Duration,
}

#[derive(Debug)]
struct Shared {
    pulse: Pulse,
    waiting_since: Option<Instant>,
}

type Body = Arc<Mutex<Shared>>;

fn lock(body: &Body) -> MutexGuard<'_, Shared> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beating thread.
#[derive(Debug)]
pub(super) struct Heart {
    body: Body,
}

impl Heart {
    /// Enters this boot into the ledger and beats from then on.
    pub(super) fn start(
        state: StateDirectory,
        identity: Identity,
        short_boot: Duration,
        journalctl: String,
    ) -> std::io::Result<Self> {
        let pulse = Pulse {
            figures: None,
            kernel: identity.kernel.clone(),
            previous_kernel: None,
            beaten: None,
            writes: Histogram::new(BOUNDS),
            stalled: Duration::ZERO,
        };
        let body = Arc::new(Mutex::new(Shared { pulse, waiting_since: None }));
        let beating = Arc::clone(&body);
        thread::Builder::new().name("fl-heartbeat".to_owned()).stack_size(256 * 1024).spawn(move || {
            let mut diary = Diary { state, identity, short_boot, body: beating, seed: None, failing: false };
            diary.live(journalctl);
        })?;
        Ok(Self { body })
    }

    /// What is known now. Never waits for the disk.
    pub(super) fn pulse(&self) -> Pulse {
        let shared = lock(&self.body);
        let stalled = shared.waiting_since.map(|since| since.elapsed()).unwrap_or_default();
        Pulse { stalled, ..shared.pulse.clone() }
    }
}

/// The ledger on its disk.
struct Diary {
    state: StateDirectory,
    identity: Identity,
    short_boot: Duration,
    body: Body,
    /// The journal's boots, which come when they come.
    seed: Option<Receiver<seed::Boots>>,
    failing: bool,
}

impl Diary {
    fn live(&mut self, journalctl: String) {
        let mut ledger = loop {
            match self.waiting(Self::open) {
                Ok(ledger) => break ledger,
                Err(error) => self.complain(&error),
            }
            thread::sleep(BEAT_EVERY);
        };
        if !ledger.seeded() {
            self.seed = seed::ask(journalctl);
        }
        let mut heartbeat = None;
        loop {
            let next = Instant::now() + BEAT_EVERY;
            match self.waiting(|diary| diary.beat(&mut heartbeat, &mut ledger)) {
                Ok(()) => self.failing = false,
                Err(error) => self.complain(&error),
            }
            self.take_seed(&mut ledger, next);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Does what may hang, and lets everybody see that it does.
    fn waiting<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, StateError>) -> Result<T, StateError> {
        lock(&self.body).waiting_since = Some(Instant::now());
        let outcome = act(self);
        lock(&self.body).waiting_since = None;
        outcome
    }

    fn open(&mut self) -> Result<Ledger, StateError> {
        let loaded = self.state.load_boots()?;
        for problem in &loaded.problems {
            let directory = self.state.path().display();
            tracing::warn!(%directory, line = problem.line, problem.detail, "a line of the ledger of boots is lost");
        }
        let mut ledger = loaded.ledger;
        ledger.enter(&self.identity, Moment::now(), self.short_boot);
        self.state.store_boots(&ledger)?;
        self.show(&ledger);
        Ok(ledger)
    }

    fn beat(&mut self, heartbeat: &mut Option<Heartbeat>, ledger: &mut Ledger) -> Result<(), StateError> {
        let heartbeat = match heartbeat {
            Some(heartbeat) => heartbeat,
            none => none.insert(self.state.heartbeat(self.identity.boot)?),
        };
        let now = Moment::now();
        let took = heartbeat.beat(now)?;
        ledger.beat(now);
        let mut shared = lock(&self.body);
        shared.pulse.writes.observe(took.as_secs_f64());
        shared.pulse.beaten = Some(now.wall);
        shared.pulse.figures = Some(ledger.figures());
        Ok(())
    }

    /// Waits for the journal's answer until `next`, if one is to come.
    fn take_seed(&mut self, ledger: &mut Ledger, next: Instant) {
        let Some(seed) = &self.seed else { return };
        let Ok(boots) = seed.recv_timeout(next.saturating_duration_since(Instant::now())) else { return };
        self.seed = None;
        ledger.seed(&boots, self.identity.boot, self.short_boot);
        if let Err(error) = self.waiting(|diary| diary.state.store_boots(ledger)) {
            self.complain(&error);
        }
        self.show(ledger);
    }

    fn show(&self, ledger: &Ledger) {
        let before = ledger.boots().iter().rev().find(|boot| boot.boot != self.identity.boot);
        let mut shared = lock(&self.body);
        shared.pulse.previous_kernel = before.and_then(|boot| boot.kernel.clone());
        shared.pulse.figures = Some(ledger.figures());
    }

    fn complain(&mut self, error: &StateError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "the heartbeat does not reach the disk");
        }
    }
}
