//! The one place where the lab starts processes: each in a process group of its own, which is killed when its handle
//! is dropped, or when the process that holds the handle dies in whatever way.
#![expect(clippy::disallowed_methods, reason = "every process of the lab is started in this module")]

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, Log, Result};

/// How long the last words of a process may take on their way, and may be waited for where somebody else has its output
/// open as well.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A program of the host, with its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
    scratch: Vec<PathBuf>,
}

impl Program {
    /// The program of this name; an error that names `package` where it is not installed.
    pub fn find(tool: &str, package: &'static str) -> Result<Self> {
        let search = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&search)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from)) // not on the PATH of users
            .map(|directory| directory.join(tool))
            .find(|path| path.is_file())
            .map(Self::at)
            .ok_or_else(|| Error::MissingTool { tool: tool.to_owned(), package })
    }

    /// The program at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), arguments: Vec::new(), directory: None, scratch: Vec::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs in this directory.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Removes this directory, too, when the holder of the started process dies without dropping it.
    #[must_use]
    pub fn scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch.push(directory.into());
        self
    }

    /// Starts it. Standard input is empty; standard output and error go to the handle's [`Log`].
    pub fn start(&self) -> Result<Running> {
        let log = Log::default();
        let mut child =
            self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(self.unstartable())?;
        let stdout = child.stdout.take().map(|stdout| log.capture(stdout));
        let stderr = child.stderr.take().map(|stderr| log.capture(stderr));
        let captures = stdout.into_iter().chain(stderr).collect();
        // `running` exists before the guard is started, so that a failure there kills the child.
        let mut running = Running { child, guard: None, log, captures, command: self.to_string() };
        running.guard = Some(guard(running.id(), &self.scratch)?);
        Ok(running)
    }

    /// Runs it to its end and returns its standard output; a failure is an error with what it said.
    pub fn run(&self) -> Result<String> {
        let output = self.command().output().map_err(self.unstartable())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Failed {
            command: self.to_string(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn unstartable(&self) -> impl FnOnce(std::io::Error) -> Error {
        Error::file(&self.path)
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", argument.display()))
    }
}

/// A shell that kills the process group as soon as our end of its standard input closes: `Drop` does not run in a
/// process that is killed, and the kernel's parent death signal follows the thread that forked, not the process.
fn guard(group: u32, scratch: &[PathBuf]) -> Result<Child> {
    Command::new("/bin/sh")
        .args([
            "-c",
            r#"read -r _; kill -KILL -"$1"; shift; [ $# = 0 ] || rm -rf -- "$@""#,
            "guard",
            &group.to_string(),
        ])
        .args(scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::file("/bin/sh"))
}

/// A started process; dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    guard: Option<Child>,
    log: Log,
    /// Those that write into it.
    captures: Vec<JoinHandle<()>>,
    command: String,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output and standard error, interleaved as it came.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Stops it (`SIGSTOP`) and returns when it stands still. It can be dropped like this: `SIGKILL` ends it all the same.
    pub fn suspend(&self) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.id()));
        let stop = || {
            self.signal(rustix::process::Signal::STOP)?;
            std::thread::sleep(Duration::from_millis(20));
            let stat = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            Ok(stat.contains(") T ").then_some(()))
        };
        crate::wait_for(format!("{} to stop", self.command), Duration::from_secs(60), || {
            let stopped = stop()?;
            if stopped.is_none() {
                // A shell in vfork(2) waits, unstoppable, for a child that has stopped: that must go on first.
                self.resume()?;
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(stopped)
        })
    }

    /// Lets it go on after [`Running::suspend`] (`SIGCONT`).
    pub fn resume(&self) -> Result<()> {
        self.signal(rustix::process::Signal::CONT)
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let sent = self.group().map_or(Err(rustix::io::Errno::SRCH), |group| {
            rustix::process::kill_process_group(group, signal) // one that has ended is still ours until it is waited for
        });
        sent.map_err(|error| Error::peer(&self.command)(format!("signal {}: {error}", signal.as_raw())))
    }

    fn group(&self) -> Option<rustix::process::Pid> {
        i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw)
    }

    /// Waits until `pick` finds something in the log; an error when the process ends or the deadline passes first.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + deadline;
        let log = self.log.clone();
        loop {
            // In slices, because a process that ends says nothing more.
            let left = end.saturating_duration_since(Instant::now());
            if let Some(found) = log.wait_for(left.min(Duration::from_millis(200)), &mut pick) {
                return Ok(found);
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if left.is_zero() {
                return Err(Error::Deadline { what: what.to_owned(), deadline, seen: log.tail(30) });
            }
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The error of a process that ended and should not have; `None` while it runs.
    pub fn failure(&mut self) -> Option<Error> {
        let status = self.ended()?;
        // Its last words may still be in the pipes.
        let end = Instant::now() + LAST_WORDS;
        while !self.captures.iter().all(JoinHandle::is_finished) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = status.signal().map_or_else(|| status.to_string(), |signal| format!("killed by signal {signal}"));
        Some(Error::Failed { command: self.command.clone(), status, output: self.log.tail(30) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The guard goes first: once the group is gone its number may belong to somebody else.
        if let Some(guard) = &mut self.guard {
            let _ = guard.kill();
            let _ = guard.wait();
        }
        if let Some(group) = self.group() {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_for;

    const SOON: Duration = Duration::from_secs(60);

    fn alive(id: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn shell(script: &str) -> Running {
        Program::find("sh", "dash").unwrap().args(["-c", script]).start().unwrap()
    }

    fn first_word(running: &Running) -> String {
        let complete = |text: &str| text.ends_with('\n').then(|| text.trim().to_owned());
        running.log().wait_for(SOON, complete).unwrap()
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Program::find("no-such-program", "some-package").unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("some-package"), "{error}");
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = Program::at("/bin/sh").args(["-c", "echo sorry >&2; exit 3"]).run().unwrap_err().to_string();
        assert!(error.contains("sorry") && error.contains('3'), "{error}");
        let mut running = shell("echo sorry; exit 3");
        wait_for("end", SOON, || Ok(running.ended())).unwrap();
        assert!(running.failure().unwrap().to_string().contains("sorry"));
    }

    #[test]
    fn drop_kills_children_of_children() {
        let running = shell("sleep 1000 & echo $!; wait");
        let grandchild = first_word(&running);
        assert!(alive(&grandchild));
        drop(running);
        wait_for("the grandchild's end", SOON, || Ok((!alive(&grandchild)).then_some(()))).unwrap();
    }

    #[test]
    fn a_suspended_process_stands_still_goes_on_and_can_be_dropped() {
        let running = shell("while :; do echo tick; sleep 0.05; done");
        let ticks = || running.log().text().len();
        wait_for("a tick", SOON, || Ok((ticks() > 0).then_some(()))).unwrap();
        running.suspend().unwrap();
        // What was in the pipe may still come.
        let still = wait_for("a standstill", SOON, || {
            let before = ticks();
            std::thread::sleep(Duration::from_millis(300));
            Ok((ticks() == before).then_some(before))
        });
        let still = still.unwrap();
        running.resume().unwrap();
        wait_for("another tick", SOON, || Ok((ticks() > still).then_some(()))).unwrap();
        running.suspend().unwrap();
        let id = running.id().to_string();
        drop(running);
        assert!(!alive(&id));
    }

    #[test]
    fn a_shell_is_suspended_in_the_middle_of_starting_a_program() {
        let running = shell("while :; do /bin/true; done");
        for _ in 0..50 {
            running.suspend().unwrap();
            running.resume().unwrap();
        }
    }

    #[test]
    fn nothing_survives_a_killed_holder() {
        // The holder is this very test binary, running the ignored test below.
        let holder = Program::at(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "process::tests::holder"])
            .start()
            .unwrap();
        let held = holder.log().wait_for(SOON, |text| {
            let (id, directory) = text.split_once("held=")?.1.lines().next()?.split_once(' ')?;
            Some((id.to_owned(), PathBuf::from(directory)))
        });
        let (held, scratch) = held.unwrap();
        assert!(alive(&held) && scratch.is_dir());
        drop(holder); // SIGKILL to the holder's group; what it held is in another group
        let gone = || Ok((!alive(&held) && !scratch.exists()).then_some(()));
        wait_for("the end of the held process and its directory", SOON, gone).unwrap();
    }

    #[test]
    #[ignore = "run by nothing_survives_a_killed_holder"]
    fn holder() {
        let scratch = tempfile::tempdir().unwrap();
        let running = Program::at("/bin/sleep").args(["1000"]).scratch(scratch.path()).start().unwrap();
        println!("held={} {}", running.id(), scratch.path().display());
        std::thread::sleep(SOON);
    }
}
