//! The thread that beats. It alone touches the disk; a dead disk stops the heart and nothing else.

use super::seed;
use crate::exposition::Histogram;
use flatline_ledger::jiff::Timestamp;
use flatline_ledger::{Figures, Heartbeat, Identity, Ledger, Moment, StateDirectory, StateError};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const BEAT_EVERY: Duration = Duration::from_secs(15);
/// How long the figures wait for the journal's boots: a counter that grew by years of crashes afterwards would page.
const SEED_PATIENCE: Duration = Duration::from_secs(120);
/// From a fast disk's flush to one that is as good as dead.
const BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    /// Absent until the ledger has been read and the journal, if it is to be, has been asked.
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
        journal: seed::Journal,
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
            let mut diary = Diary {
                state,
                identity,
                short_boot,
                body: beating,
                seed: None,
                seed_deadline: Instant::now() + SEED_PATIENCE,
                may_write: true,
                unwritten: false,
                failing: false,
            };
            diary.live(journal);
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
    /// After that they come too late.
    seed_deadline: Instant,
    /// Whether what is on the disk may be replaced.
    may_write: bool,
    /// Whether the ledger knows more than the disk.
    unwritten: bool,
    failing: bool,
}

impl Diary {
    fn live(&mut self, journal: seed::Journal) {
        let mut ledger = self.waiting(Self::load);
        ledger.enter(&self.identity, Moment::now(), self.short_boot);
        self.unwritten = true;
        if !ledger.seeded() && self.may_write {
            self.seed = seed::ask(journal);
        }
        if self.seed.is_none() {
            self.show(&ledger);
        }
        let mut heartbeat = None;
        loop {
            let next = Instant::now() + BEAT_EVERY;
            self.write(&ledger);
            match self.waiting(|diary| diary.beat(&mut heartbeat, &mut ledger)) {
                Ok(()) => self.failing = self.unwritten && self.may_write,
                Err(error) => self.complain(&error),
            }
            self.take_seed(&mut ledger, next);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Does what may hang, and lets everybody see that it does.
    fn waiting<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        lock(&self.body).waiting_since = Some(Instant::now());
        let outcome = act(self);
        lock(&self.body).waiting_since = None;
        outcome
    }

    /// What is known of earlier boots. A ledger that can't be read at all is left as it is, for somebody to look at.
    fn load(&mut self) -> Ledger {
        match self.state.load_boots() {
            Ok(loaded) => {
                let directory = self.state.path().display();
                for problem in &loaded.problems {
                    let detail = &problem.detail;
                    tracing::warn!(%directory, line = problem.line, detail, "a line of the ledger of boots is lost");
                }
                loaded.ledger
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger of boots can't be read; this boot is not entered into it");
                self.may_write = false;
                Ledger::default()
            }
        }
    }

    /// Writes the ledger if its boots have changed; tried again with each beat until the disk takes it.
    fn write(&mut self, ledger: &Ledger) {
        if !self.unwritten || !self.may_write {
            return;
        }
        match self.waiting(|diary| diary.state.store_boots(ledger)) {
            Ok(()) => self.unwritten = false,
            Err(error) => self.complain(&error),
        }
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
        Ok(())
    }

    /// Waits for the journal's answer until `next`, if one is to come. Without one the next start asks again.
    fn take_seed(&mut self, ledger: &mut Ledger, next: Instant) {
        let Some(seed) = &self.seed else { return };
        match seed.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(boots) => {
                ledger.seed(&boots, self.identity.boot, self.short_boot);
                self.unwritten = true;
                self.write(ledger);
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < self.seed_deadline => return,
            Err(RecvTimeoutError::Timeout) => tracing::warn!("the journal does not say which boots it knows"),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        self.seed = None;
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
            tracing::warn!(%error, "the state directory does not take what is to be kept");
        }
    }
}
