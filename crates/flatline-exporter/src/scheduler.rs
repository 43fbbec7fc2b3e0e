//! One OS thread per collector, a deadline per scrape, at most one read in flight per collector.
//!
//! A read of procfs, sysfs or a mount can sleep in the kernel for ever, so it never happens on the
//! thread that answers scrapes. A scrape asks the workers for a round and waits for each until the
//! deadline; who is late is left out of the answer, and is not asked again until its read returns.

use crate::collector::{Collector, Descriptor, Environment, Faults, Init};
use crate::exposition::Reading;
use flatline_sources::Fault;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A collector that found nothing to read, or failed to start, looks again this often.
const RETRY_INIT_EVERY: Duration = Duration::from_secs(60);
/// Collectors parse into buffers on the heap; their stacks stay shallow.
const STACK_BYTES: usize = 256 * 1024;

/// The state of a collector, as `flatline_collector_state` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Init has not returned yet.
    Starting,
    /// It reads its source.
    On,
    /// Nothing to read, or switched off; why.
    Off(String),
    /// It should run but can't; why.
    Failed(String),
}

impl State {
    /// The names in the order they are exported.
    pub const NAMES: [&'static str; 4] = ["on", "off", "failed", "starting"];

    /// The name of this state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off(_) => "off",
            Self::Failed(_) => "failed",
            Self::Starting => "starting",
        }
    }

    /// Why it is not on; empty if it is.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::On => "",
            Self::Starting => "its first look at the source has not returned yet",
            Self::Off(reason) | Self::Failed(reason) => reason,
        }
    }
}

/// What a scrape learns about one collector.
#[derive(Clone)]
pub struct Report {
    /// Name and help.
    pub descriptor: &'static Descriptor,
    /// On, off, failed, starting.
    pub state: State,
    /// The samples, if the collector answered in time.
    pub reading: Option<Arc<dyn Reading>>,
    /// Why there are none, if there should be some.
    pub error: Option<String>,
    /// How long the newest finished collection took.
    pub duration: Option<Duration>,
    /// How long an overdue read has been in flight; zero if none is.
    pub stuck: Duration,
    /// Age of the newest successful collection.
    pub age: Option<Duration>,
    /// Samples left out by a cap since the start.
    pub series_dropped: u64,
    /// Faults since the start, in the order of `Fault::ALL`.
    pub faults: [u64; Fault::ALL.len()],
}

/// The threads of all collectors.
#[derive(Debug)]
pub struct Scheduler {
    workers: Vec<Worker>,
}

impl Scheduler {
    /// Starts a thread for each enabled collector. `disabled` are listed with their reason but have no thread.
    ///
    /// # Errors
    /// When the host refuses a thread.
    pub fn start(
        enabled: &[&'static Descriptor],
        disabled: &[(&'static Descriptor, String)],
        environment: &Environment,
    ) -> std::io::Result<Self> {
        let mut workers = Vec::with_capacity(enabled.len() + disabled.len());
        for descriptor in enabled {
            workers.push(Worker::spawn(descriptor, environment.clone())?);
        }
        for (descriptor, reason) in disabled {
            workers.push(Worker::without_thread(descriptor, State::Off(reason.clone())));
        }
        workers.sort_by_key(|worker| worker.descriptor.name);
        Ok(Self { workers })
    }

    /// The collectors' names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.workers.iter().map(|worker| worker.descriptor.name)
    }

    /// Waits until every collector has started, or failed to, or the deadline has passed.
    pub async fn settled(&self, deadline: Instant) {
        for worker in &self.workers {
            let mut states = worker.shared.settled.subscribe();
            let settled = states.wait_for(|settled| *settled);
            let _ = tokio::time::timeout_at(deadline.into(), settled).await;
        }
    }

    /// Asks the chosen collectors for a fresh reading and waits for each until the deadline.
    pub async fn scrape(&self, chosen: impl Fn(&str) -> bool, deadline: Instant) -> Vec<Report> {
        let budget = deadline.saturating_duration_since(Instant::now());
        let tickets: Vec<_> = self
            .workers
            .iter()
            .filter(|worker| chosen(worker.descriptor.name))
            .map(|worker| (worker, worker.request(budget)))
            .collect();
        let mut reports = Vec::with_capacity(tickets.len());
        for (worker, ticket) in tickets {
            if let Ticket::Round(round) = ticket {
                let mut rounds = worker.shared.rounds.subscribe();
                let finished = rounds.wait_for(|finished| *finished >= round);
                let _ = tokio::time::timeout_at(deadline.into(), finished).await;
            }
            reports.push(worker.report(&ticket));
        }
        reports
    }
}

/// What a scrape waits for.
#[derive(Debug, PartialEq, Eq)]
enum Ticket {
    /// The end of this round.
    Round(u64),
    /// Nothing: the collector is not on, or its read is overdue already.
    None,
}

/// The scrape's side of one collector thread.
#[derive(Debug)]
struct Worker {
    descriptor: &'static Descriptor,
    shared: Arc<Shared>,
}

/// What the collector thread and the scrapes share. The lock is never held during a read.
struct Shared {
    slot: Mutex<Slot>,
    wanted: Condvar,
    /// Number of the last finished round.
    rounds: watch::Sender<u64>,
    /// Whether the first init has returned.
    settled: watch::Sender<bool>,
}

struct Slot {
    state: State,
    /// A scrape wants a round that has not begun.
    requested: bool,
    /// When the work in flight (a round, or init) began.
    in_flight: Option<Instant>,
    /// Number of the last finished round.
    round: u64,
    latest: Option<Result<Arc<dyn Reading>, String>>,
    duration: Option<Duration>,
    /// When the newest successful round began.
    taken: Option<Instant>,
    series_dropped: u64,
    faults: [u64; Fault::ALL.len()],
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("rounds", &*self.rounds.borrow()).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(state: State) -> Self {
        let settled = watch::Sender::new(state != State::Starting);
        Self {
            slot: Mutex::new(Slot {
                state,
                requested: false,
                in_flight: None,
                round: 0,
                latest: None,
                duration: None,
                taken: None,
                series_dropped: 0,
                faults: [0; Fault::ALL.len()],
            }),
            wanted: Condvar::new(),
            rounds: watch::Sender::new(0),
            settled,
        }
    }

    /// A panic while the lock was held can only come from this module's few assignments: carry on.
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn spawn(descriptor: &'static Descriptor, environment: Environment) -> std::io::Result<Self> {
        let worker = Self::without_thread(descriptor, State::Starting);
        let shared = Arc::clone(&worker.shared);
        std::thread::Builder::new()
            .name(format!("fl-{}", descriptor.name))
            .stack_size(STACK_BYTES)
            .spawn(move || Thread { descriptor, environment, shared, faults: Faults::new(descriptor.name) }.run())?;
        Ok(worker)
    }

    fn without_thread(descriptor: &'static Descriptor, state: State) -> Self {
        Self { descriptor, shared: Arc::new(Shared::new(state)) }
    }

    /// Asks for a round, joins the one in flight, or does neither when that one is overdue.
    fn request(&self, budget: Duration) -> Ticket {
        let mut slot = self.shared.lock();
        let overdue = slot.in_flight.is_some_and(|since| since.elapsed() >= budget);
        if overdue {
            return Ticket::None;
        }
        let wanted = slot.round + 1;
        if slot.in_flight.is_none() && !slot.requested {
            slot.requested = true;
            self.shared.wanted.notify_one();
        }
        if slot.state == State::On { Ticket::Round(wanted) } else { Ticket::None }
    }

    fn report(&self, ticket: &Ticket) -> Report {
        let slot = self.shared.lock();
        let answered = matches!(ticket, Ticket::Round(round) if slot.round >= *round);
        let stuck = slot.in_flight.filter(|_| !answered).map(|since| since.elapsed()).unwrap_or_default();
        let (reading, error) = match &slot.latest {
            Some(Ok(reading)) if answered => (Some(Arc::clone(reading)), None),
            Some(Err(error)) if answered => (None, Some(error.clone())),
            _ if slot.state == State::On => (None, Some("the read has not returned in time".to_owned())),
            _ => (None, None),
        };
        Report {
            descriptor: self.descriptor,
            state: slot.state.clone(),
            reading,
            error,
            duration: slot.duration,
            stuck,
            age: slot.taken.map(|taken| taken.elapsed()),
            series_dropped: slot.series_dropped,
            faults: slot.faults,
        }
    }
}

/// The collector's side: runs until the process ends.
struct Thread {
    descriptor: &'static Descriptor,
    environment: Environment,
    shared: Arc<Shared>,
    faults: Faults,
}

impl Thread {
    fn run(mut self) {
        loop {
            let Some(mut collector) = self.start() else {
                self.wait_for_retry();
                continue;
            };
            loop {
                self.wait_for_request();
                if !self.round(collector.as_mut()) {
                    break;
                }
            }
        }
    }

    /// Looks for the source and publishes what came of it.
    fn start(&self) -> Option<Box<dyn Collector>> {
        self.shared.lock().in_flight = Some(Instant::now());
        let init = catch_unwind(AssertUnwindSafe(|| (self.descriptor.init)(&self.environment)))
            .unwrap_or_else(|panic| Init::Failed(describe_panic(panic.as_ref())));
        let (collector, state) = match init {
            Init::On(collector) => (Some(collector), State::On),
            Init::Off(reason) => (None, State::Off(reason)),
            Init::Failed(reason) => (None, State::Failed(reason)),
        };
        let mut slot = self.shared.lock();
        slot.in_flight = None;
        if slot.state != state {
            log_state(self.descriptor.name, &state);
            slot.state = state;
        }
        drop(slot);
        self.shared.settled.send_replace(true);
        collector
    }

    /// Sleeps until a scrape comes at least `RETRY_INIT_EVERY` after the last look.
    fn wait_for_retry(&self) {
        std::thread::sleep(RETRY_INIT_EVERY);
        drop(self.wait_until_requested());
    }

    fn wait_for_request(&self) {
        let mut slot = self.wait_until_requested();
        slot.requested = false;
        slot.in_flight = Some(Instant::now());
    }

    fn wait_until_requested(&self) -> MutexGuard<'_, Slot> {
        self.shared
            .wanted
            .wait_while(self.shared.lock(), |slot| !slot.requested)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects once and publishes the result. False when the collector panicked and must start anew.
    fn round(&mut self, collector: &mut dyn Collector) -> bool {
        let began = Instant::now();
        let faults = &mut self.faults;
        let outcome = catch_unwind(AssertUnwindSafe(|| collector.collect(faults)));
        let duration = began.elapsed();
        let (result, survived) = match outcome {
            Ok(Ok(reading)) => (Ok(reading), true),
            Ok(Err(error)) => {
                self.faults.report(&error);
                (Err(error.to_string()), true)
            }
            Err(panic) => {
                let error = describe_panic(panic.as_ref());
                tracing::error!(collector = self.descriptor.name, error, "collector panicked; starting it anew");
                (Err(error), false)
            }
        };
        self.publish(result, began, duration);
        survived
    }

    fn publish(&self, result: Result<Arc<dyn Reading>, String>, began: Instant, duration: Duration) {
        let mut slot = self.shared.lock();
        if let Ok(reading) = &result {
            slot.taken = Some(began);
            slot.series_dropped += reading.series_dropped();
        }
        slot.latest = Some(result);
        slot.duration = Some(duration);
        slot.faults = self.faults.counts();
        slot.in_flight = None;
        slot.round += 1;
        let round = slot.round;
        drop(slot);
        self.shared.rounds.send_replace(round);
    }
}

fn log_state(collector: &'static str, state: &State) {
    match state {
        State::On => tracing::info!(collector, "collector is on"),
        State::Failed(reason) => tracing::error!(collector, reason, "collector failed to start"),
        State::Off(reason) => tracing::info!(collector, reason, "collector is off"),
        State::Starting => {}
    }
}

fn describe_panic(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    format!("panicked: {message}")
}

#[cfg(test)]
mod tests {
    use super::{Report, Scheduler, State, Ticket};
    use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
    use crate::exposition::{Emitter, Reading};
    use flatline_sources::{Roots, SourceError};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::{Duration, Instant};

    /// Enough for whoever does not wait at a gate.
    const SHORT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(30);

    struct Empty;

    impl Reading for Empty {
        fn emit(&self, _: &mut Emitter<'_>) -> std::fmt::Result {
            Ok(())
        }
    }

    struct FromFn<F>(F);

    impl<F: FnMut() + Send> Collector for FromFn<F> {
        fn collect(&mut self, _: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
            (self.0)();
            Ok(Arc::new(Empty))
        }
    }

    fn on(collect: impl FnMut() + Send + 'static) -> Init {
        Init::On(Box::new(FromFn(collect)))
    }

    const fn descriptor(name: &'static str, init: fn(&Environment) -> Init) -> Descriptor {
        Descriptor { name, help: "test", activation: Activation::Auto, families: &[], flags: Vec::new, init }
    }

    async fn started(descriptors: &[&'static Descriptor]) -> Scheduler {
        let flags = crate::cli::command().get_matches_from(["test"]);
        let environment = Environment { roots: Roots::default(), flags, fd_budget: 64, state: None };
        let scheduler = Scheduler::start(descriptors, &[], &environment).expect("threads");
        scheduler.settled(Instant::now() + LONG).await;
        scheduler
    }

    async fn scrape(scheduler: &Scheduler, budget: Duration) -> Vec<Report> {
        scheduler.scrape(|_| true, Instant::now() + budget).await
    }

    /// A gate that a "kernel read" waits at.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        opened: Condvar,
        entered: AtomicUsize,
    }

    impl Gate {
        const fn new() -> Self {
            Self { open: Mutex::new(false), opened: Condvar::new(), entered: AtomicUsize::new(0) }
        }

        fn pass(&self) {
            self.entered.fetch_add(1, SeqCst);
            drop(self.opened.wait_while(self.open.lock().expect("lock"), |open| !*open).expect("lock"));
        }

        /// Returns when somebody is at the gate.
        async fn reached(&self) {
            while self.entered.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        }

        fn open(&self) {
            *self.open.lock().expect("lock") = true;
            self.opened.notify_all();
        }
    }

    #[tokio::test]
    async fn a_stuck_collector_is_left_out_asked_once_and_comes_back() {
        static GATE: Gate = Gate::new();
        static STUCK: Descriptor = descriptor("stuck", |_| on(|| GATE.pass()));
        static WELL: Descriptor = descriptor("well", |_| on(|| ()));
        let scheduler = started(&[&STUCK, &WELL]).await;
        assert_eq!(scheduler.workers[0].request(LONG), Ticket::Round(1));
        GATE.reached().await;

        let mut last = Duration::ZERO;
        for _ in 0..5 {
            let reports = scrape(&scheduler, SHORT).await;
            assert!(reports[0].reading.is_none() && reports[0].error.is_some());
            assert!(reports[0].stuck > last, "stuck time grows");
            last = reports[0].stuck;
            assert!(reports[1].reading.is_some() && reports[1].stuck.is_zero());
        }
        assert_eq!(GATE.entered.load(SeqCst), 1, "at most one read in flight");

        GATE.open();
        let reports = scrape(&scheduler, LONG).await;
        assert!(reports[0].reading.is_some() && reports[0].stuck.is_zero());
    }

    #[tokio::test]
    async fn an_overdue_read_costs_later_scrapes_no_waiting() {
        static GATE: Gate = Gate::new();
        static STUCK: Descriptor = descriptor("stuck", |_| on(|| GATE.pass()));
        let scheduler = started(&[&STUCK]).await;
        let [worker] = scheduler.workers.as_slice() else { panic!("one collector") };
        assert_eq!(worker.request(LONG), Ticket::Round(1));
        GATE.reached().await;
        assert_eq!(worker.request(LONG), Ticket::Round(1), "in time by this scrape's budget: it joins");
        // Overdue by the budget of a scrape that came when the read began: there is nothing to wait for.
        assert_eq!(worker.request(Duration::ZERO), Ticket::None);
        GATE.open();
    }

    #[tokio::test]
    async fn scrapes_at_once_share_a_round() {
        static GATE: Gate = Gate::new();
        static SHARED: Descriptor = descriptor("shared", |_| on(|| GATE.pass()));
        let scheduler = Arc::new(started(&[&SHARED]).await);
        let scrapes: Vec<_> = (0..50)
            .map(|_| {
                let scheduler = Arc::clone(&scheduler);
                tokio::spawn(async move { scrape(&scheduler, LONG).await })
            })
            .collect();
        GATE.reached().await;
        GATE.open();
        for reports in scrapes {
            assert!(reports.await.expect("no panic")[0].reading.is_some());
        }
        // The first round, and at most one more for scrapes that came after it had ended.
        assert!(GATE.entered.load(SeqCst) <= 2);
    }

    #[tokio::test]
    async fn a_panic_is_reported_and_the_collector_started_anew() {
        static PANIC: AtomicBool = AtomicBool::new(true);
        static PANICS: Descriptor = descriptor("panics", |_| {
            on(|| assert!(!PANIC.swap(false, SeqCst), "the first collection panics (expected in this test)"))
        });
        let scheduler = started(&[&PANICS]).await;
        let reports = scrape(&scheduler, LONG).await;
        assert!(reports[0].error.as_deref().is_some_and(|error| error.contains("the first collection panics")));
        let reports = scrape(&scheduler, LONG).await;
        assert!(reports[0].reading.is_some(), "{:?}", reports[0].error);
    }

    #[tokio::test]
    async fn an_init_that_hangs_or_finds_nothing_is_a_state() {
        static GATE: Gate = Gate::new();
        static HANGS: Descriptor = descriptor("hangs", |_| {
            GATE.pass();
            on(|| ())
        });
        static OFF: Descriptor = descriptor("off", |_| Init::Off("nothing here".to_owned()));
        static FAILS: Descriptor = descriptor("fails", |_| Init::Failed("broken".to_owned()));
        let flags = crate::cli::command().get_matches_from(["test"]);
        let environment = Environment { roots: Roots::default(), flags, fd_budget: 64, state: None };
        let scheduler = Scheduler::start(&[&HANGS, &OFF, &FAILS], &[], &environment).expect("threads");
        scheduler.settled(Instant::now() + SHORT).await;
        GATE.reached().await;
        for decided in [&scheduler.workers[0], &scheduler.workers[2]] {
            let mut settled = decided.shared.settled.subscribe();
            assert!(settled.wait_for(|settled| *settled).await.is_ok());
        }
        let reports = scrape(&scheduler, SHORT).await;
        let states: Vec<_> = reports.iter().map(|report| report.state.clone()).collect();
        // Sorted by name.
        assert_eq!(states[0], State::Failed("broken".to_owned()));
        assert_eq!(states[1], State::Starting);
        assert_eq!(states[2], State::Off("nothing here".to_owned()));
        assert!(reports[1].stuck > Duration::ZERO);
        GATE.open();
        scheduler.settled(Instant::now() + LONG).await;
        assert!(scrape(&scheduler, LONG).await[1].reading.is_some());
    }

    #[tokio::test]
    async fn a_late_round_is_never_served_to_a_later_scrape() {
        static GATE: Gate = Gate::new();
        static ROUNDS: AtomicUsize = AtomicUsize::new(0);
        static SLOW: Descriptor = descriptor("slow", |_| {
            on(|| {
                GATE.pass();
                ROUNDS.fetch_add(1, SeqCst);
            })
        });
        let scheduler = started(&[&SLOW]).await;
        assert_eq!(scheduler.workers[0].request(LONG), Ticket::Round(1));
        GATE.reached().await;
        assert!(scrape(&scheduler, SHORT).await[0].reading.is_none());
        GATE.open();
        let mut rounds = scheduler.workers[0].shared.rounds.subscribe();
        assert!(rounds.wait_for(|finished| *finished == 1).await.is_ok());
        let reports = scrape(&scheduler, LONG).await;
        assert!(reports[0].reading.is_some());
        assert_eq!(ROUNDS.load(SeqCst), 2, "a fresh round was asked for");
    }
}
