//! Cgroup trees and processes that look real, for tests, benches and measuring scripts.
//!
//! Every file's content was recorded in a memcg livelock on a Debian 6.1 guest.

use crate::SourceError;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Services per slice.
const PER_SLICE: usize = 50;

macro_rules! recorded {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!(
            "../../../fixtures/memcg/livelock/at-60s/sys/fs/cgroup/p/w/",
            $name
        )))),*]
    };
}

/// The files of a cgroup below the root and what they hold.
pub const FILES: [(&str, &str); 13] = recorded![
    "cgroup.events",
    "cpu.pressure",
    "io.pressure",
    "memory.current",
    "memory.events",
    "memory.events.local",
    "memory.high",
    "memory.max",
    "memory.pressure",
    "memory.stat",
    "memory.swap.current",
    "memory.swap.max",
    "pids.current"
];

/// Makes `root` the root of a cgroup-v2 hierarchy with `cgroups` cgroups below it: slices of 50 services, so that
/// a tree of a thousand is two levels deep. Returns the directories, parents first.
///
/// # Errors
/// When a directory or file can't be written; it names the path.
pub fn write_tree(root: &Path, cgroups: usize) -> Result<Vec<PathBuf>, SourceError> {
    make_directory(root)?;
    write_file(&root.join("cgroup.controllers"), "cpuset cpu io memory pids\n")?;
    let mut made = Vec::with_capacity(cgroups);
    let mut slice = root.to_path_buf();
    for index in 0..cgroups {
        if index % (PER_SLICE + 1) == 0 {
            slice = root.join(format!("work{:03}.slice", index / (PER_SLICE + 1)));
            made.push(slice.clone());
        } else {
            made.push(slice.join(format!("job-{index:05}.service")));
        }
        write_cgroup(&made[index])?;
    }
    Ok(made)
}

/// Makes one cgroup directory with all its files.
///
/// # Errors
/// When a directory or file can't be written; it names the path.
pub fn write_cgroup(directory: &Path) -> Result<(), SourceError> {
    make_directory(directory)?;
    FILES.iter().try_for_each(|(name, content)| write_file(&directory.join(name), content))
}

/// What tells one made-up task from another.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// Its process.
    pub pid: u32,
    /// Itself; the process's number for the main thread.
    pub tid: u32,
    /// The letter of its state.
    pub state: char,
    /// The threads of its process.
    pub threads: u32,
    /// Its context switches.
    pub switches: u64,
    /// Where it waits.
    pub wchan: &'a str,
}

impl Task<'_> {
    /// A process of one thread that sleeps.
    #[must_use]
    pub const fn sleeping(pid: u32) -> Self {
        Self { pid, tid: pid, state: 'S', threads: 1, switches: 7, wchan: "do_epoll_wait" }
    }
}

/// Writes the files of a task below `procfs`.
///
/// # Errors
/// When a directory or file can't be written; it names the path.
pub fn write_task(procfs: &Path, task: Task<'_>) -> Result<(), SourceError> {
    let Task { pid, tid, state, threads, switches, wchan } = task;
    let process = procfs.join(pid.to_string());
    let directory = if pid == tid { process } else { process.join(format!("task/{tid}")) };
    make_directory(&directory)?;
    let stat = format!(
        "{tid} (hog) {state} 1 0 0 0 -1 4194304 56992 0 0 0 47 142 0 0 20 0 {threads} 0 3324 240951296 57037 \
         18446744073709551615 4198400 4760785 140728020234320 0 0 0 0 6 0 1 0 0 17 0 0 0 0 0 0 4932824 4957232 \
         265363456 140728020242352 140728020242374 140728020242374 140728020242416 0\n"
    );
    write_file(&directory.join("stat"), &stat)?;
    let status = format!(
        "Name:\thog\nUmask:\t0022\nState:\t{state}\nTgid:\t{pid}\nPid:\t{tid}\nThreads:\t{threads}\n\
         voluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t0\n"
    );
    write_file(&directory.join("status"), &status)?;
    write_file(&directory.join("wchan"), wchan)
}

fn make_directory(path: &Path) -> Result<(), SourceError> {
    fs::create_dir_all(path).map_err(|error| failed(path, &error))
}

fn write_file(path: &Path, content: &str) -> Result<(), SourceError> {
    fs::write(path, content).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    SourceError::os(path, Errno::from_io_error(error).unwrap_or(Errno::IO))
}
