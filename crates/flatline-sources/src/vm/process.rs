//! A process from `<procfs>/<pid>/stat` (`proc_pid_stat(5)`), which never waits for the process's memory lock.
//!
//! The `procfs` crate is not used: its parser panics on content that is cut off.

use crate::error::ReadError;
use crate::read::{SMALL_FILE, parsed, read_whole};
use crate::value::number;
use crate::{Roots, SourceError};
use rustix::io::Errno;

/// What the kernel says a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// `R`: on a processor or waiting for one.
    Running,
    /// `S`: waits for something that may take long.
    Sleeping,
    /// `D`: waits and can't be interrupted, as a rule for a disk.
    DiskSleep,
    /// `T`: stopped by a signal.
    Stopped,
    /// `t`: stopped by a debugger.
    TracingStop,
    /// `Z`: dead, its parent has not looked yet.
    Zombie,
    /// `X`: dead.
    Dead,
    /// `I`: an idle kernel thread.
    Idle,
    /// `P`: parked.
    Parked,
    /// Anything a later kernel may say.
    Other,
}

impl State {
    /// Every state, in the order of the catalogue.
    pub const ALL: [Self; 10] = [
        Self::Running,
        Self::Sleeping,
        Self::DiskSleep,
        Self::Stopped,
        Self::TracingStop,
        Self::Zombie,
        Self::Dead,
        Self::Idle,
        Self::Parked,
        Self::Other,
    ];

    /// The value of the catalogue's label `state`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::DiskSleep => "disk_sleep",
            Self::Stopped => "stopped",
            Self::TracingStop => "tracing_stop",
            Self::Zombie => "zombie",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::Parked => "parked",
            Self::Other => "other",
        }
    }

    pub(crate) const fn of(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::DiskSleep,
            b'T' => Self::Stopped,
            b't' => Self::TracingStop,
            b'Z' => Self::Zombie,
            b'X' | b'x' => Self::Dead,
            b'I' => Self::Idle,
            b'P' => Self::Parked,
            _ => Self::Other,
        }
    }

    /// Whether it does nothing until a signal or a debugger lets it go on.
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        matches!(self, Self::Stopped | Self::TracingStop)
    }
}

/// A process now.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Its name, at most 15 bytes; any process may call itself anything.
    pub comm: String,
    /// What its main thread is doing.
    pub state: State,
    /// Processor time of all its threads in seconds, user and system; of a QEMU the guest's time is in it.
    pub cpu_seconds: f64,
    /// Its threads.
    pub threads: u64,
    /// When it started, in clock ticks since boot: with the process id it names a process for good.
    pub start_ticks: u64,
}

impl Process {
    /// Whether it still runs: a zombie has nothing but its number left.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        !matches!(self.state, State::Zombie | State::Dead)
    }

    /// Whether it goes by a name QEMU has: `qemu-system-x86_64` (cut to 15 bytes), `qemu-kvm`, Proxmox VE's `kvm`.
    #[must_use]
    pub fn is_qemu(&self) -> bool {
        self.comm == "kvm" || self.comm.starts_with("qemu")
    }
}

/// Reads a process; `None` when there is none of that number.
///
/// # Errors
/// When `<procfs>/<pid>/stat` can't be read or understood.
pub fn read_process(roots: &Roots, pid: u32) -> Result<Option<Process>, SourceError> {
    let path = roots.procfs.join(pid.to_string()).join("stat");
    let mut content = Vec::new();
    match read_whole(&path, SMALL_FILE, &mut content) {
        Ok(()) => {}
        // It may also end between opening and reading.
        Err(error) if error.is_absent() || error == ReadError::Os(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(SourceError::io(&path, error)),
    }
    let process = parse(&content, rustix::param::clock_ticks_per_second());
    parsed(process, &path, &content, "a process's stat").map(Some)
}

/// Parses `stat`; `None` when it is anything else. The name stands in parentheses and may hold any byte, so the
/// numbers begin after the last one.
#[must_use]
pub fn parse(content: &[u8], ticks_per_second: u64) -> Option<Process> {
    let open = content.iter().position(|byte| *byte == b'(')?;
    let close = content.iter().rposition(|byte| *byte == b')')?;
    let comm = content.get(open + 1..close)?;
    let mut fields = content[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let &[state] = fields.next()? else { return None };
    // Fields are numbered as in the manual: the state is 3, so the next one is 4.
    let utime = number(fields.nth(14 - 4)?)?;
    let stime = number(fields.next()?)?;
    let threads = number(fields.nth(20 - 16)?)?;
    let start_ticks = number(fields.nth(22 - 21)?)?;
    Some(Process {
        comm: String::from_utf8_lossy(comm).into_owned(),
        state: State::of(state),
        cpu_seconds: utime.saturating_add(stime) as f64 / ticks_per_second.max(1) as f64,
        threads,
        start_ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stat(comm: &str, state: char) -> String {
        format!(
            "2811 ({comm}) {state} 1 2811 2811 0 -1 138412416 52 0 0 0 4321 1234 0 0 20 0 9 0 55190 1374 25 184 1 1\n"
        )
    }

    #[test]
    fn reads_time_threads_and_start() {
        let process = parse(stat("kvm", 'D').as_bytes(), 100).expect("a stat");
        let expected =
            Process { comm: "kvm".into(), state: State::DiskSleep, cpu_seconds: 55.55, threads: 9, start_ticks: 55190 };
        assert_eq!(process, expected);
        assert!(process.is_alive() && process.is_qemu());
    }

    #[test]
    fn a_name_may_hold_anything() {
        for comm in ["a b", ") R 1 1", "((", "tmux: server", "a\nb", ""] {
            let process = parse(stat(comm, 'S').as_bytes(), 100).expect("a stat");
            assert_eq!((process.comm.as_str(), process.state, process.threads), (comm, State::Sleeping, 9));
            assert!(!process.is_qemu(), "{comm}");
        }
        assert!(parse(stat("qemu-system-x86", 'S').as_bytes(), 100).expect("a stat").is_qemu());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = stat("kvm", 'S');
        let end_of_start = whole.find("55190").expect("the start") + 5;
        for length in 0..end_of_start - 5 {
            assert_eq!(parse(&whole.as_bytes()[..length], 100), None, "{length}");
        }
        assert!(parse(&whole.as_bytes()[..end_of_start], 100).is_some());
        assert_eq!(parse(b")(", 100), None);
    }

    #[test]
    fn knows_every_letter_of_the_kernel() {
        let states: Vec<_> = b"RSDTtZXIPK".iter().map(|letter| State::of(*letter)).collect();
        assert_eq!(states, State::ALL);
        let labels: std::collections::BTreeSet<_> = State::ALL.iter().map(|state| state.label()).collect();
        assert_eq!(labels.len(), State::ALL.len());
    }

    #[test]
    fn reads_this_process_and_no_other() {
        let roots = Roots::default();
        let process = read_process(&roots, std::process::id()).expect("readable").expect("this process");
        assert!(process.threads >= 1 && process.start_ticks > 0 && process.is_alive());
        // Beyond the kernel's largest process id (2^22).
        assert_eq!(read_process(&roots, u32::MAX).expect("nothing to read"), None);
    }

    #[test]
    fn garbage_is_an_error_with_its_path() {
        let tree = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(tree.path().join("proc/7")).expect("a directory");
        std::fs::write(tree.path().join("proc/7/stat"), "garbage").expect("a file");
        let error = read_process(&Roots::under(tree.path()), 7).expect_err("no stat");
        assert_eq!((error.fault, error.path.ends_with("proc/7/stat")), (crate::Fault::InvalidContent, true));
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, 100);
        }

        #[test]
        fn any_name_any_state(comm in "[ -~]{0,15}", letter in "[A-Za-z]") {
            let letter = letter.chars().next().expect("one");
            let process = parse(stat(&comm, letter).as_bytes(), 100).expect("a stat");
            prop_assert_eq!(process.comm, comm);
            prop_assert_eq!(process.start_ticks, 55190);
        }
    }
}
