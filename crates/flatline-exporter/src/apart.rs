//! Threads that hold none of the process's files.
//!
//! A thread that hangs in the kernel outlives its process, SIGKILL or not, and with it lives the table of open files:
//! the port stays taken and the state directory locked, and no new exporter can start until the mount answers. So
//! threads that may hang for ever are started from one that has a table of its own (`unshare(CLONE_FILES)`,
//! unshare(2)), made before there was anything in it. Whatever they open goes into that table and dies with them.

use rustix::thread::UnshareFlags;
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;

/// What a thread does.
pub(crate) type Job = Box<dyn FnOnce() + Send>;
/// What is read is small and parsed on the heap.
const STACK_BYTES: usize = 128 * 1024;
/// What a library of others may expect.
const DEEP_STACK_BYTES: usize = 2 * 1024 * 1024;

struct Order {
    name: &'static str,
    job: Job,
    started: SyncSender<bool>,
}

static STARTER: OnceLock<Sender<Order>> = OnceLock::new();

/// To be called before anything is opened that must not outlive the process. Where the system refuses, threads are
/// started as usual, which is logged.
pub(crate) fn prepare() {
    let (send, orders) = channel::<Order>();
    let (ready, prepared) = sync_channel(1);
    let starter = move || {
        let outcome = leave_the_files();
        let refused = outcome.is_err();
        let _ = ready.send(outcome);
        if refused {
            return;
        }
        for Order { name, job, started } in orders {
            let _ = started.send(spawn_beside(name, job));
        }
    };
    let outcome = thread::Builder::new().name("fl-apart".to_owned()).stack_size(STACK_BYTES).spawn(starter);
    let prepared = outcome.and_then(|_| prepared.recv().map_err(io::Error::other)?);
    match prepared {
        Ok(()) => drop(STARTER.set(send)),
        Err(error) => tracing::info!(%error, "an exporter that is killed while a mount hangs may keep its port"),
    }
}

/// Safe although the function is deprecated for what it allows: no file descriptor is known to this thread, and those
/// that it starts take and return plain data.
#[expect(deprecated, reason = "its successor is unsafe, which this workspace forbids; see above")]
fn leave_the_files() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::FILES)?)
}

/// Starts a thread that holds no files of the process; whether it has started. The job must neither bring a file
/// along nor return one: it would be another's number.
pub(crate) fn spawn(name: &'static str, job: Job) -> bool {
    let Some(starter) = STARTER.get() else { return spawn_beside(name, job) };
    let (started, has_started) = sync_channel(1);
    starter.send(Order { name, job, started }).is_ok() && has_started.recv() == Ok(true)
}

/// Starts a thread with the files of this one.
pub(crate) fn spawn_beside(name: &'static str, job: Job) -> bool {
    spawn_here(name, STACK_BYTES, job)
}

/// The same, with a stack for a library of others.
pub(crate) fn spawn_deep(name: &'static str, job: Job) -> bool {
    spawn_here(name, DEEP_STACK_BYTES, job)
}

fn spawn_here(name: &'static str, stack_bytes: usize, job: Job) -> bool {
    thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(job).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{prepare, spawn};
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::channel;

    #[test]
    fn what_is_opened_later_is_not_theirs() {
        prepare();
        let file = File::open("/proc/self/stat").expect("procfs");
        let link = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        let ours = std::fs::read_link(&link).expect("open");
        let (send, told) = channel();
        assert!(spawn("test", Box::new(move || send.send(std::fs::read_link(link).ok()).expect("heard"))));
        assert_ne!(told.recv().expect("told"), Some(ours));
        // And it does its work all the same.
        let (send, told) = channel();
        assert!(spawn("test", Box::new(move || send.send(std::fs::read("/proc/self/stat")).expect("heard"))));
        assert!(!told.recv().expect("told").expect("readable").is_empty());
    }
}
