//! Cgroup trees that look real, for tests, benches and measuring scripts.
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

fn make_directory(path: &Path) -> Result<(), SourceError> {
    fs::create_dir_all(path).map_err(|error| failed(path, &error))
}

fn write_file(path: &Path, content: &str) -> Result<(), SourceError> {
    fs::write(path, content).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    SourceError::os(path, Errno::from_io_error(error).unwrap_or(Errno::IO))
}
