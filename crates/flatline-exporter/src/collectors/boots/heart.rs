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
    /// Absent until the ledger has been read and the journal, if it is to be, has been asked; and when it can't be read.
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
        let mut diary = Diary::new(state, identity, short_boot);
        let body = Arc::clone(&diary.body);
        let thread = thread::Builder::new().name("fl-heartbeat".to_owned()).stack_size(256 * 1024);
        thread.spawn(move || diary.live(journal))?;
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
    /// Nothing has been read or written yet.
    fn new(state: StateDirectory, identity: Identity, short_boot: Duration) -> Self {
        let pulse = Pulse {
            figures: None,
            kernel: identity.kernel.clone(),
            previous_kernel: None,
            beaten: None,
            writes: Histogram::new(BOUNDS),
            stalled: Duration::ZERO,
        };
        Self {
            state,
            identity,
            short_boot,
            body: Arc::new(Mutex::new(Shared { pulse, waiting_since: None })),
            seed: None,
            seed_deadline: Instant::now() + SEED_PATIENCE,
            may_write: true,
            unwritten: false,
            failing: false,
        }
    }

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
        let now = Moment::now();
        self.live_at(ledger, now);
        let heartbeat = match heartbeat {
            Some(heartbeat) => heartbeat,
            none => none.insert(self.state.heartbeat(self.identity.boot)?),
        };
        let took = heartbeat.beat(now)?;
        let mut shared = lock(&self.body);
        shared.pulse.writes.observe(took.as_secs_f64());
        shared.pulse.beaten = Some(now.wall);
        Ok(())
    }

    /// The clock may have been set, and the boot begun at another time than it seemed: also on a disk that takes nothing.
    fn live_at(&self, ledger: &mut Ledger, now: Moment) {
        let began = |ledger: &Ledger| ledger.boots().last().map(|boot| boot.start);
        let before = began(ledger);
        ledger.beat(now);
        if began(ledger) != before
            && let Some(figures) = &mut lock(&self.body).pulse.figures
        {
            *figures = ledger.figures();
        }
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

    /// A ledger that can't be read shows nothing: counters that begin anew, and are back after the repair, would page.
    fn show(&self, ledger: &Ledger) {
        if !self.may_write {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use flatline_ledger::BootId;
    use std::path::Path;

    fn diary(directory: &Path) -> Diary {
        let identity = Identity { boot: BootId(7), kernel: "6.1".to_owned(), command_line: String::new() };
        Diary::new(StateDirectory::open(directory).expect("state"), identity, Duration::ZERO)
    }

    fn start(diary: &Diary) -> Option<Timestamp> {
        lock(&diary.body).pulse.figures.and_then(|figures| figures.start)
    }

    #[test]
    fn the_start_that_is_shown_moves_when_the_clock_is_set() {
        let directory = tempfile::tempdir().expect("directory");
        let mut diary = diary(directory.path());
        let mut ledger = diary.load();
        let now = Moment::now();
        let wrong = Moment { wall: now.wall - Duration::from_secs(7200), ..now };
        ledger.enter(&diary.identity, wrong, diary.short_boot);
        diary.show(&ledger);
        assert_eq!(start(&diary), Some(wrong.boot_start()));
        diary.beat(&mut None, &mut ledger).expect("a disk");
        let shown = start(&diary).expect("a start");
        assert!(shown.duration_since(now.boot_start()).abs().as_secs() < 60, "{shown}");
    }

    #[test]
    fn a_ledger_that_can_not_be_read_shows_no_counts_and_stays_as_it_is() {
        let directory = tempfile::tempdir().expect("directory");
        // No file takes the place of a directory, not even root's.
        std::fs::create_dir(directory.path().join("boots")).expect("directory");
        let mut diary = diary(directory.path());
        let mut ledger = diary.load();
        ledger.enter(&diary.identity, Moment::now(), diary.short_boot);
        diary.unwritten = true;
        diary.show(&ledger);
        diary.write(&ledger);
        diary.beat(&mut None, &mut ledger).expect("a disk");
        assert_eq!(lock(&diary.body).pulse.figures, None);
        assert!(directory.path().join("boots").is_dir());
    }
}
