//! Blocked tasks: real ones, ones the kernel hides, and very many.

mod common;

use common::without_rights;
use flatline_sources::synthetic::{Task, write_task};
use flatline_sources::tasks::{Channel, Options, Reader, Reading, State};
use flatline_sources::{Roots, SourceError};
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process and its child by `vfork`, for which it waits uninterruptibly until the child ends.
struct Blocked {
    parent: Child,
}

impl Blocked {
    /// `None` where the number of the system call is not known or Perl is missing.
    #[expect(clippy::disallowed_methods, reason = "tests may start processes")]
    fn start() -> Option<Self> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        // 58 is vfork. The child ends when its parent, which is killed below, is gone.
        let script =
            "my $parent = $$; if (syscall(58) == 0) { syswrite(STDOUT, '!'); sleep 1 while getppid() == $parent }";
        let parent = Command::new("perl").args(["-e", script]).stdout(Stdio::piped()).spawn().ok()?;
        Some(Self { parent })
    }

    fn pid(&self) -> u32 {
        self.parent.id()
    }

    /// The child speaks when nothing is left to its parent but to wait: before that, it may be blocked by a disk for a moment.
    fn wait_until_blocked(&mut self) {
        self.parent.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("the child's word");
        let deadline = Instant::now() + Duration::from_secs(30);
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("alive");
        while !stat().contains(") D ") {
            assert!(Instant::now() < deadline, "never blocked: {}", stat());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn unhurried() -> Options {
    Options { max_duration: Duration::MAX, ..Options::default() }
}

fn read(reader: &mut Reader) -> Reading {
    let mut reading = Reading::default();
    let mut ignore = |_: &SourceError| ();
    reader.read(&mut reading, &mut ignore).expect("a procfs");
    reading
}

fn blocked(reading: &Reading) -> u64 {
    reading.channels.iter().map(|channel| channel.tasks).sum()
}

/// A procfs that holds this one process. No link leads out of it, so it is a copy.
struct Only {
    directory: tempfile::TempDir,
    pid: u32,
}

impl Only {
    fn new(pid: u32) -> Self {
        let host = Self { directory: tempfile::tempdir().expect("a directory"), pid };
        std::fs::create_dir_all(host.directory.path().join(format!("proc/{pid}"))).expect("a directory");
        host.copy();
        host
    }

    /// Takes over what the kernel shows of it now, to this thread.
    fn copy(&self) {
        for file in ["stat", "status", "wchan"] {
            let file = format!("proc/{}/{file}", self.pid);
            let content = std::fs::read(format!("/{file}")).expect("alive");
            std::fs::write(self.directory.path().join(file), content).expect("a file");
        }
    }

    fn reader(&self) -> Reader {
        Reader::probe(&Roots::under(self.directory.path()), &unhurried()).present().expect("a process")
    }
}

#[test]
fn a_task_that_waits_uninterruptibly_is_found_with_its_age() {
    let Some(mut process) = Blocked::start() else {
        flatline_lab::skipped("a blocked task", "no way to block one here (needs x86-64 and perl)");
        return;
    };
    process.wait_until_blocked();
    let host = Only::new(process.pid());
    let mut reader = host.reader();
    let first = read(&mut reader);
    assert_eq!(blocked(&first), 1, "{first:?}");
    // On a busy machine it may still be on its way into the wait, which begins anew then.
    let mut older = || {
        std::thread::sleep(Duration::from_millis(20));
        host.copy();
        let grown = |channel: &Channel| channel.oldest > first.channels[0].oldest;
        Some(read(&mut reader)).filter(|reading| reading.channels.first().is_some_and(grown))
    };
    let second = (0..500).find_map(|_| older()).expect("it grows older");
    let wchan = &*second.channels[0].wchan;
    if second.wchan_readable == Some(true) {
        assert!(wchan.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{wchan}");
    } else {
        flatline_lab::skipped("the name of the wait channel", "this kernel does not tell: no root, or no symbols");
        assert_eq!(wchan, "unreadable");
    }
    without_rights(|| {
        let hidden = read(&mut Only::new(process.pid()).reader());
        if rustix::process::getuid().is_root() {
            assert_eq!((blocked(&hidden), hidden.wchan_readable), (1, Some(false)), "{hidden:?}");
        }
    });
}

#[test]
fn this_host_is_read_without_a_fault() {
    let mut reader = Reader::probe(&Roots::default(), &unhurried()).present().expect("a procfs");
    let mut reading = Reading::default();
    reader.read(&mut reading, &mut |fault| panic!("{fault}")).expect("a procfs");
    let of = |wanted| reading.states().find(|(state, _)| *state == wanted).map_or(0, |(_, tasks)| tasks);
    assert!(of(State::Running) >= 1, "this very thread runs: {reading:?}");
    assert!(reading.scanned > reading.states().filter(|(_, tasks)| *tasks > 0).count() as u64);
}

#[test]
fn thirty_thousand_processes_are_counted_whole() {
    let host = tempfile::tempdir().expect("a directory");
    let procfs = host.path().join("proc");
    // All but one in a thousand are one and the same, which sleeps: 120,000 files would take minutes to write.
    write_task(&procfs.join("asleep"), Task::sleeping(1)).expect("a writable directory");
    for pid in 1..=30_000 {
        if pid % 1000 == 0 {
            let wchan = format!("stuck_{pid}");
            let stuck = Task { state: 'D', wchan: &wchan, ..Task::sleeping(pid) };
            write_task(&procfs, stuck).expect("a writable directory");
        } else {
            std::os::unix::fs::symlink("asleep/1", procfs.join(pid.to_string())).expect("a writable directory");
        }
    }
    let mut reader = Reader::probe(&Roots::under(host.path()), &unhurried()).present().expect("processes");
    let reading = read(&mut reader);
    assert_eq!((reading.scanned, reading.beyond_bound, blocked(&reading)), (30_000, 0, 30));
    assert_eq!(reading.channels.len(), 21, "20 by name and the rest");
}
