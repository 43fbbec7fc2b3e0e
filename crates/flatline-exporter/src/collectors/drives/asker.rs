//! The thread that asks the drives through `smartctl`, one after the other, and rests for long between rounds.
//!
//! This is one of the places where the exporter starts a process: SMART takes ioctls of three protocols and a database
//! of quirks, which is what smartctl is. There is one child at most. One that does not end in time is killed; one that
//! sleeps in the kernel and can't be is left alone, and nobody is asked until it has ended.

use flatline_sources::drives::{self as source, Report};
use flatline_sources::{Fault, Roots, SourceError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, setpriority_process};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// What a drive says is some kilobytes.
const MAX_BYTES: usize = 1 << 20;
/// How often a child that has been told to end is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A child that has been killed ends within this, or it hangs in the kernel.
const DIES_WITHIN: Duration = Duration::from_secs(2);
/// The thread says so often that it lives while it rests ...
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// ... and after so long without, beyond what a drive may take, what it has learnt is not served any more.
const DEAD_AFTER: Duration = Duration::from_secs(60);
const NICE: i32 = 10;
const STACK_BYTES: usize = 256 * 1024;

/// How the drives are asked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) program: PathBuf,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// What came of asking a drive last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// What smartctl says of it.
    Told(source::State),
    /// smartctl did not end in time.
    NoAnswer,
    /// It can't even be killed.
    Hung,
    /// There was no asking.
    NotAsked,
}

impl State {
    pub(super) const ALL: [Self; 9] = [
        Self::Told(source::State::Answered),
        Self::Told(source::State::Standby),
        Self::Told(source::State::Unsupported),
        Self::Told(source::State::Permission),
        Self::Told(source::State::NoDevice),
        Self::Told(source::State::Failed),
        Self::NoAnswer,
        Self::Hung,
        Self::NotAsked,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Told(source::State::Answered) => "answered",
            Self::Told(source::State::Standby) => "standby",
            Self::Told(source::State::Unsupported) => "unsupported",
            Self::Told(source::State::Permission) => "permission",
            Self::Told(source::State::NoDevice) => "no_device",
            Self::Told(source::State::Failed) => "failed",
            Self::NoAnswer => "no_answer",
            Self::Hung => "hung",
            Self::NotAsked => "not_asked",
        }
    }
}

/// What is known of a drive.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) state: State,
    /// Its last answer, and when it gave it.
    pub(super) answer: Option<(Arc<Report>, SystemTime)>,
}

/// The drives, how long a child has been running, and why none can be started.
type Learnt = (BTreeMap<String, Known>, Duration, Option<SourceError>);

/// What the thread and the collector share.
#[derive(Debug)]
struct Shared {
    /// When the thread last said that it lives.
    looked: Instant,
    drives: BTreeMap<String, Known>,
    /// Since when a child has been running.
    running: Option<Instant>,
    problem: Option<SourceError>,
}

impl Shared {
    fn new() -> Self {
        Self { looked: Instant::now(), drives: BTreeMap::new(), running: None, problem: None }
    }
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(super) struct Asker {
    shared: Arc<Mutex<Shared>>,
    options: Options,
    /// Nothing is ever sent: its end tells the thread to leave.
    _wanted: SyncSender<()>,
}

impl Asker {
    pub(super) fn start(roots: Roots, options: Options) -> Result<Self, String> {
        let shared = Arc::new(Mutex::new(Shared::new()));
        let (wanted, until) = sync_channel(0);
        let asking = Asking { roots, options: options.clone(), shared: Arc::clone(&shared), until };
        let thread = thread::Builder::new().name("fl-smartctl".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || asking.run()).map_err(|error| error.to_string())?;
        Ok(Self { shared, options, _wanted: wanted })
    }

    /// What is known now.
    ///
    /// # Errors
    /// When the thread that asks does not run any more, or hangs: what it last learnt is no news then.
    pub(super) fn known(&self) -> Result<Learnt, SourceError> {
        let shared = lock(&self.shared);
        let silent = shared.looked.elapsed();
        if silent > self.options.timeout.saturating_add(DEAD_AFTER) {
            let detail = format!("nobody has asked the drives for {} s", silent.as_secs());
            return Err(SourceError::unanswered(&self.options.program, detail));
        }
        let running = shared.running.map_or(Duration::ZERO, |since| since.elapsed());
        Ok((shared.drives.clone(), running, shared.problem.clone()))
    }
}

/// Never held while a child or a drive is waited for.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread.
struct Asking {
    roots: Roots,
    options: Options,
    shared: Arc<Mutex<Shared>>,
    /// Ends when the collector does.
    until: Receiver<()>,
}

impl Asking {
    fn run(self) {
        loop {
            let names = source::names(&self.roots).unwrap_or_default();
            lock(&self.shared).drives.retain(|name, _| names.contains(name));
            for name in names {
                let state = if self.wanted() { self.ask(&name) } else { return };
                let mut shared = lock(&self.shared);
                let known = shared.drives.entry(name).or_insert(Known { state: State::NotAsked, answer: None });
                match state {
                    Ok(report) => {
                        known.state = State::Told(report.state);
                        match report.state {
                            source::State::Answered => known.answer = Some((Arc::new(report), SystemTime::now())),
                            // Another drive may have taken the name: this one never answered.
                            source::State::Unsupported | source::State::NoDevice => known.answer = None,
                            _ => {}
                        }
                    }
                    Err(state) => known.state = state,
                }
            }
            if !self.rest() {
                return;
            }
        }
    }

    /// Until the next round; whether there is to be one.
    fn rest(&self) -> bool {
        let begun = Instant::now();
        while self.wanted() {
            let left = self.options.interval.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return true;
            }
            let _ = self.until.recv_timeout(left.min(SIGN_OF_LIFE));
        }
        false
    }

    /// Whether to go on: a collector that is started anew has a thread of its own. Whoever wants to know lives.
    fn wanted(&self) -> bool {
        lock(&self.shared).looked = Instant::now();
        self.until.try_recv() == Err(TryRecvError::Empty)
    }

    fn ask(&self, name: &str) -> Result<Report, State> {
        let device = self.roots.rootfs.join("dev").join(name);
        let begun = Instant::now();
        let mut child = match spawn(&self.options.program, &device) {
            Ok(child) => child,
            Err(error) => {
                lock(&self.shared).problem = Some(self.problem(&error));
                return Err(State::NotAsked);
            }
        };
        let mut shared = lock(&self.shared);
        (shared.running, shared.problem) = (Some(begun), None);
        drop(shared);
        let output = child.stdout.take().and_then(|output| listen(output, begun + self.options.timeout));
        // Whatever it has left to say, it is not wanted.
        let _ = child.kill();
        self.bury(&mut child, name);
        lock(&self.shared).running = None;
        match output {
            Some(output) => Report::parse(&output).ok_or(State::Told(source::State::Failed)),
            None => Err(State::NoAnswer),
        }
    }

    /// Waits for the child's end, however long that takes: there is never a second one.
    fn bury(&self, child: &mut Child, name: &str) {
        let killed = Instant::now();
        let mut said = false;
        while let Ok(None) = child.try_wait() {
            if !self.wanted() {
                return;
            }
            if killed.elapsed() > DIES_WITHIN && !said {
                said = true;
                tracing::warn!(device = name, "smartctl hangs in the kernel; no drive is asked until it ends");
                let mut shared = lock(&self.shared);
                let known = shared.drives.entry(name.to_owned());
                known.or_insert(Known { state: State::Hung, answer: None }).state = State::Hung;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn problem(&self, error: &std::io::Error) -> SourceError {
        let fault = match error.kind() {
            ErrorKind::NotFound => Fault::NotFound,
            ErrorKind::PermissionDenied => Fault::PermissionDenied,
            _ => Fault::IoError,
        };
        let remedy =
            if fault == Fault::NotFound { "; install smartmontools or set --collector.drives.program" } else { "" };
        let detail = format!("can't be started: {error}{remedy}");
        SourceError { path: self.options.program.as_path().into(), fault, detail }
    }
}

#[expect(clippy::disallowed_methods, reason = "one child at a time, on a thread nobody waits for; see above")]
fn spawn(program: &Path, device: &Path) -> std::io::Result<Child> {
    let child = Command::new(program)
        .args(["--json=c", "--info", "--health", "--attributes", "--nocheck=standby"])
        .arg(device)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let _ = setpriority_process(Some(Pid::from_child(&child)), NICE);
    Ok(child)
}

/// What the child says until it closes its output; `None` when it has not by then, or says too much.
fn listen(mut output: ChildStdout, deadline: Instant) -> Option<Vec<u8>> {
    let (mut said, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok()?;
        match poll(&mut [PollFd::new(&output, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        match output.read(&mut buffer).ok()? {
            0 => return Some(said),
            bytes => said.extend_from_slice(buffer.get(..bytes)?),
        }
        if said.len() > MAX_BYTES {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asker, DEAD_AFTER, Options, Shared, State, lock};
    use std::sync::mpsc::sync_channel;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    #[test]
    fn labels_are_those_of_the_catalogue() {
        assert_eq!(State::ALL.map(State::label).join(", "), flatline_catalog::drives::STATE.bound);
    }

    #[test]
    fn what_a_dead_thread_learnt_is_not_served() {
        let options =
            Options { program: "smartctl".into(), interval: Duration::from_secs(600), timeout: Duration::from_secs(1) };
        let shared = Arc::new(Mutex::new(Shared::new()));
        let asker = Asker { shared: Arc::clone(&shared), options, _wanted: sync_channel(0).0 };
        asker.known().expect("it lives");
        let long_ago = Instant::now().checked_sub(DEAD_AFTER + Duration::from_secs(3));
        lock(&shared).looked = long_ago.expect("the host is up for long");
        assert!(asker.known().is_err_and(|error| error.detail.contains("nobody has asked")));
    }
}
