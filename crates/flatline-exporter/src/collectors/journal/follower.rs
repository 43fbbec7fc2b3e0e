//! The thread that follows the journal through its child, and what it keeps over restarts of the exporter.

use super::tally::{Snapshot, Tally};
use crate::collector::Faults;
use crate::kept::Kept;
use flatline_events::Classifier;
use flatline_events::journal::{FIELDS, Found, Lines, Patterns};
use flatline_ledger::StateDirectory;
use flatline_sources::SourceError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, setpriority_process};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long it waits for an entry before it says that it is alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the start waits for what was said since the last entry that was kept: a count that is less than what was shown
/// before the restart looks like a reset, and `increase()` would count everything once more.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Silent for this long, the thread hangs.
const DEAD_AFTER: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After what is read at once it rests this many times as long as that took: a flood costs a fifth of a processor.
const REST: u32 = 4;
const READ_BYTES: usize = 64 * 1024;
/// Children that end one after the other without an entry before the position is taken for the reason.
const FUTILE: u32 = 5;
const SNAPSHOT: &str = "journal";
/// The child yields to whoever needs the processor.
const NICE: i32 = 10;
const STACK_BYTES: usize = 512 * 1024;

/// What follows the journal.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) program: PathBuf,
    /// Where the host's file systems are, if not at `/`.
    pub(super) root: Option<PathBuf>,
    pub(super) max_silence: Duration,
}

impl Reader {
    /// Starts the child behind the entry at `cursor`, or with the next entry there will be.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one process of the exporter; nobody waits for it, and it ends with its pipe"
    )]
    fn spawn(&self, cursor: Option<&str>) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["--follow", "--output=json", "--no-pager", "--quiet"]).arg(format!("--output-fields={FIELDS}"));
        match cursor {
            Some(cursor) => command.arg("--no-tail").arg(format!("--after-cursor={cursor}")),
            None => command.arg("--lines=0"),
        };
        if let Some(root) = &self.root {
            command.arg("--root").arg(root);
        }
        // What it complains about goes where the exporter's log goes; the pauses bound it.
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let _ = setpriority_process(Some(Pid::from_child(&child)), NICE);
        Ok(child)
    }
}

/// What the thread and the collector share.
struct Shared {
    program: PathBuf,
    counted: Mutex<Counted>,
    /// Told when the journal has been read to its end, or can't be read.
    caught_up: Condvar,
}

struct Counted {
    snapshot: Snapshot,
    at_end: bool,
    looked: Instant,
    /// Why the journal is not being followed.
    problem: Option<SourceError>,
}

impl Shared {
    /// Held for one entry at a time: a scrape waits for microseconds.
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, detail: String) -> SourceError {
        SourceError::unanswered(&self.program, detail)
    }

    /// There is nothing more to be read for now.
    fn at_end(&self) {
        self.lock().at_end = true;
        self.caught_up.notify_all();
    }
}

/// Follows the journal until it is dropped.
pub(super) struct Follower {
    shared: Arc<Shared>,
}

impl Follower {
    /// Goes on where the exporter before left off.
    pub(super) fn start(
        reader: Reader,
        classifier: Classifier,
        patterns: Patterns,
        state: Option<&StateDirectory>,
    ) -> Result<Self, String> {
        let mut kept = Kept::<Tally>::new(state, SNAPSHOT);
        let mut tally = kept.load();
        tally.resume(&patterns);
        let snapshot = Snapshot { tally, following: false, restarts: 0 };
        // Without a place to go on from, nothing is missing.
        let at_end = snapshot.tally.cursor.is_none();
        let counted = Counted { snapshot, at_end, looked: Instant::now(), problem: None };
        let program = reader.program.clone();
        let shared = Arc::new(Shared { program, counted: Mutex::new(counted), caught_up: Condvar::new() });
        let follow = Follow { reader, classifier, patterns, shared: Arc::clone(&shared), kept };
        let thread = thread::Builder::new().name("fl-journal".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || follow.run()).map_err(|error| error.to_string())?;
        let waited = shared.caught_up.wait_timeout_while(shared.lock(), FIRST_LOOK, |counted| !counted.at_end);
        drop(waited);
        Ok(Self { shared })
    }

    /// Copies what has been counted.
    pub(super) fn snapshot(&self, into: &mut Snapshot, faults: &mut Faults) -> Result<(), SourceError> {
        let counted = self.shared.lock();
        // Also when the thread has panicked.
        if counted.looked.elapsed() > DEAD_AFTER {
            let silent = counted.looked.elapsed().as_secs();
            return Err(self.shared.error(format!("nobody has followed the journal for {silent} s")));
        }
        into.clone_from(&counted.snapshot);
        let problem = counted.problem.clone();
        drop(counted);
        if let Some(problem) = &problem {
            faults.report(problem);
        }
        Ok(())
    }
}

/// Why a child is no more.
struct Ended {
    why: String,
    /// Whether we ended it.
    by_us: bool,
}

impl Ended {
    const fn by_itself(why: String) -> Self {
        Self { why, by_us: false }
    }
}

/// The thread.
struct Follow {
    reader: Reader,
    classifier: Classifier,
    patterns: Patterns,
    shared: Arc<Shared>,
    kept: Kept<Tally>,
}

impl Follow {
    fn run(mut self) {
        let (mut pause, mut futile) = (FIRST_PAUSE, 0);
        while self.wanted() {
            let before = self.shared.lock().snapshot.tally.entries;
            let ended = self.follow_child();
            self.shared.at_end();
            let mut counted = self.shared.lock();
            counted.snapshot.following = false;
            counted.snapshot.restarts += 1;
            counted.problem = Some(self.shared.error(ended.why));
            let delivered = counted.snapshot.tally.entries > before;
            (pause, futile) = match ended.by_us {
                _ if delivered => (FIRST_PAUSE, 0),
                // A journal in which nothing is written looks the same, and its place is as good as ever.
                true => (FIRST_PAUSE, futile),
                false => (pause, futile + 1),
            };
            if futile == FUTILE && counted.snapshot.tally.cursor.take().is_some() {
                tracing::warn!("the journal can't be read from where it was left; going on with what comes now");
            }
            drop(counted);
            self.rest(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A collector that is started anew has a thread of its own.
    fn wanted(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    fn rest(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.wanted() && Instant::now() < until {
            self.alive();
            thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Says so, and saves what is due.
    fn alive(&mut self) {
        let mut counted = self.shared.lock();
        counted.looked = Instant::now();
        if self.kept.is_due() {
            let tally = counted.snapshot.tally.clone();
            drop(counted);
            self.kept.save(tally);
        }
    }

    /// Follows one child to its end.
    fn follow_child(&mut self) -> Ended {
        let cursor = self.shared.lock().snapshot.tally.cursor.clone();
        let mut child = match self.reader.spawn(cursor.as_deref()) {
            Ok(child) => child,
            Err(error) => return Ended::by_itself(format!("can't be started: {error}")),
        };
        let ended = match child.stdout.take() {
            Some(output) => self.listen(output),
            None => Ended::by_itself("has no output".to_owned()),
        };
        let _ = child.kill();
        self.shared.lock().snapshot.following = false;
        // One that sleeps in the kernel gets no successor: there is one at most.
        loop {
            match child.try_wait() {
                Ok(None) if self.wanted() => self.rest(Duration::from_millis(100)),
                Ok(Some(status)) => return Ended { why: format!("{} ({status})", ended.why), ..ended },
                Ok(None) | Err(_) => return ended,
            }
        }
    }

    /// Counts what the child says until it ends, hangs, or nobody wants it any more.
    fn listen(&mut self, mut output: ChildStdout) -> Ended {
        let (mut buffer, mut lines) = (vec![0; READ_BYTES], Lines::default());
        let mut heard = Instant::now();
        let mut counted = self.shared.lock();
        counted.snapshot.following = true;
        counted.problem = None;
        drop(counted);
        while self.wanted() {
            self.alive();
            match has_output(&output) {
                Ok(false) if heard.elapsed() > self.reader.max_silence => {
                    return Ended { why: "has said nothing for long".to_owned(), by_us: true };
                }
                Ok(false) => {
                    self.shared.at_end();
                    continue;
                }
                Ok(true) => {}
                Err(error) => return Ended::by_itself(error.to_string()),
            }
            let begun = Instant::now();
            match output.read(&mut buffer) {
                Ok(0) => return Ended::by_itself("has ended".to_owned()),
                Ok(bytes) => self.take(&buffer[..bytes], &mut lines),
                Err(error) => return Ended::by_itself(error.to_string()),
            }
            heard = Instant::now();
            thread::sleep((begun.elapsed() * REST).min(LOOK_EVERY));
        }
        Ended { why: "is not wanted any more".to_owned(), by_us: true }
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Lines) {
        let (shared, classifier, patterns) = (&self.shared, &self.classifier, &mut self.patterns);
        lines.push(bytes, |found| {
            let tally = &mut shared.lock().snapshot.tally;
            match found {
                Found::Line(line) => _ = tally.take(line, classifier, patterns),
                Found::TooLong => tally.unreadable += 1,
            }
        });
    }
}

fn has_output(output: &ChildStdout) -> std::io::Result<bool> {
    let mut fds = [PollFd::new(output, PollFlags::IN)];
    let timeout = Timespec { tv_sec: i64::try_from(LOOK_EVERY.as_secs()).unwrap_or(1), tv_nsec: 0 };
    match poll(&mut fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
