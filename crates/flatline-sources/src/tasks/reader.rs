//! The sweep through all tasks.

use super::ages::Ages;
use super::look::Look;
use super::tally::Tally;
use super::walk::{Task, Walk};
use super::{Options, Reading, State};
use crate::error::ReadError;
use crate::read::SMALL_FILE;
use crate::{HostPath, Probe, Roots, SourceError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// The parent of all kernel threads, which does nothing but sleep in the function of its name: what shows whether
/// wait channels can be read at all.
const KTHREADD: u32 = 2;

/// Looks at every task, a part at a time on a large host.
#[derive(Debug)]
pub struct Reader {
    procfs: HostPath,
    options: Options,
    walk: Walk,
    tally: Tally,
    ages: Ages,
    last: Option<Complete>,
    buffer: Vec<u8>,
}

/// The last complete sweep.
#[derive(Debug)]
struct Complete {
    began: Instant,
    reading: Reading,
}

type Faults<'a> = &'a mut dyn FnMut(&SourceError);

impl Reader {
    /// Looks for processes.
    #[must_use]
    pub fn probe(roots: &Roots, options: &Options) -> Probe<Self> {
        let mut walk = Walk::default();
        let procfs = roots.procfs.clone();
        let listed = open_procfs(&procfs).and_then(|dir| walk.begin(dir.as_fd(), 1));
        match listed {
            Ok(_) if walk.left() == 0 => Probe::Absent(format!("no process in {}: it is no procfs", procfs.display())),
            Ok(_) => {
                walk.stop();
                let tally = Tally::new(Instant::now());
                let (options, buffer) = (options.clone(), Vec::with_capacity(SMALL_FILE));
                Probe::Present(Self { procfs, options, walk, tally, ages: Ages::default(), last: None, buffer })
            }
            Err(Errno::NOENT) => Probe::Absent(format!("no {}", procfs.display())),
            Err(errno) => Probe::Broken(SourceError::os(&procfs, errno)),
        }
    }

    /// Goes on with the sweep, or begins a new one when the last is complete, and shows the last complete one. Files
    /// that can't be read go to `faults`, of tasks that can't be seen at all only the first of a sweep.
    ///
    /// # Errors
    /// When the processes can't be listed.
    pub fn read(&mut self, into: &mut Reading, faults: &mut dyn FnMut(&SourceError)) -> Result<(), SourceError> {
        self.read_by(&Instant::now, into, faults)
    }

    /// [`Reader::read`] by a given clock: ages and the time a read may take depend on it.
    ///
    /// # Errors
    /// When the processes can't be listed.
    pub fn read_by(
        &mut self,
        clock: &dyn Fn() -> Instant,
        into: &mut Reading,
        faults: &mut dyn FnMut(&SourceError),
    ) -> Result<(), SourceError> {
        let started = clock();
        let procfs = open_procfs(&self.procfs).map_err(|errno| SourceError::os(&self.procfs, errno))?;
        if self.walk.left() == 0 {
            self.begin(procfs.as_fd(), started)?;
        }
        let mut now = started;
        while let Some(task) = self.walk.next() {
            self.look_at(procfs.as_fd(), task, now, faults);
            now = clock();
            // At least one task is looked at, so a sweep ends whatever happens.
            if now.saturating_duration_since(started) >= self.options.max_duration {
                break;
            }
        }
        if self.walk.left() == 0 {
            self.complete();
        }
        self.show(clock(), into);
        Ok(())
    }

    fn begin(&mut self, procfs: BorrowedFd<'_>, now: Instant) -> Result<(), SourceError> {
        self.tally.begin(now);
        let beyond = self.walk.begin(procfs, self.options.max_tasks);
        self.tally.beyond_bound = beyond.map_err(|errno| SourceError::os(&self.procfs, errno))?;
        Ok(())
    }

    fn complete(&mut self) {
        self.ages.end_sweep();
        let complete =
            self.last.get_or_insert_with(|| Complete { began: self.tally.began, reading: Reading::default() });
        complete.began = self.tally.began;
        self.tally.finish(&self.options, &mut complete.reading);
    }

    fn show(&self, now: Instant, into: &mut Reading) {
        match &self.last {
            Some(last) => {
                into.copy(&last.reading);
                into.age = Some(now.saturating_duration_since(last.began));
            }
            None => into.age = None,
        }
    }

    fn look_at(&mut self, procfs: BorrowedFd<'_>, task: Task, now: Instant, faults: Faults<'_>) {
        let left = self.left_of_bound();
        if left == 0 {
            self.tally.beyond_bound += 1 + self.walk.left() as u64;
            self.walk.stop();
            return;
        }
        let Self { procfs: path, walk, tally, ages, buffer, .. } = self;
        let mut look = Look { procfs, path, buffer };
        let stat = match look.stat(task) {
            Ok(Some(stat)) => stat,
            Ok(None) => return,
            Err(error) => {
                tally.unreadable += 1;
                // Where one process is hidden thousands are.
                if tally.unreadable == 1 {
                    faults(&error);
                }
                return;
            }
        };
        let (state, threads, start_ticks) = (stat.state, stat.threads, stat.start_ticks);
        let is_kthreadd = task.pid == KTHREADD && stat.comm == b"kthreadd";
        tally.count(state);
        tally.processes_visible |= task.pid == 1;
        if state == State::DiskSleep {
            let age = |switches| ages.observe((task.tid, start_ticks), switches, now);
            blocked(&mut look, task, age, tally, faults);
        } else if is_kthreadd {
            tally.note_wchan(matches!(look.wchan(task), Ok(Some(_))));
        }
        if task.tid == task.pid && threads > 1 {
            match walk.descend(procfs, task.pid, left - 1) {
                Ok(beyond) => tally.beyond_bound += beyond,
                Err(errno) if ReadError::Os(errno).is_absent() || errno == Errno::SRCH => {}
                Err(errno) => {
                    tally.unreadable += threads - 1;
                    faults(&SourceError::os(&self.procfs.join(format!("{}/task", task.pid)), errno));
                }
            }
        }
    }

    fn left_of_bound(&self) -> usize {
        let looked_at = self.tally.scanned + self.tally.unreadable;
        self.options.max_tasks.saturating_sub(usize::try_from(looked_at).unwrap_or(usize::MAX))
    }
}

/// Counts a blocked task where it waits, unless it has moved on in the meantime.
fn blocked(
    look: &mut Look<'_>,
    task: Task,
    age: impl FnOnce(u64) -> Option<Duration>,
    tally: &mut Tally,
    faults: Faults<'_>,
) {
    let status = match look.status(task) {
        Ok(None) => return,
        Ok(Some(status)) if status.state != State::DiskSleep => return,
        Ok(Some(status)) => Some(status),
        Err(error) => {
            faults(&error);
            None
        }
    };
    let age = status.and_then(|status| age(status.switches));
    match look.wchan(task) {
        Ok(Some(wchan)) => return tally.block(Some(wchan), age),
        Ok(None) => {}
        Err(error) => faults(&error),
    }
    // A task that runs has no wait channel: not the same as one the kernel hides.
    if look.status(task).is_ok_and(|now| now == status) {
        tally.block(None, age);
    }
}

fn open_procfs(path: &HostPath) -> Result<OwnedFd, Errno> {
    path.open(OFlags::DIRECTORY)
}

impl Reading {
    /// Takes over what another found, keeping the memory.
    fn copy(&mut self, other: &Self) {
        let Self { age, states, scanned, beyond_bound, unreadable, channels, wchan_readable, processes_visible } =
            other;
        self.channels.clone_from(channels);
        (self.age, self.states) = (*age, *states);
        (self.scanned, self.beyond_bound, self.unreadable) = (*scanned, *beyond_bound, *unreadable);
        (self.wchan_readable, self.processes_visible) = (*wchan_readable, *processes_visible);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
