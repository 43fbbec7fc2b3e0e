//! Whether the next crash would leave evidence, and what earlier ones left.
//!
//! Three channels: pstore keeps the last kernel messages in firmware or memory, kdump boots a second kernel that
//! writes the memory of the first to disk, netconsole sends messages to another host. Each has a way to look set up
//! and yet keep nothing, so each gets a verdict. Files are only read, pstore's records never: listing them is enough.

mod arguments;
mod captures;
mod files;
mod netconsole;
mod pstore;
mod reader;
mod settings;
mod taint;
mod verdict;

pub use arguments::is_present as has_argument;
pub use captures::{Capture, PatternError};
pub use files::Evidence;
#[cfg(fuzzing)]
pub use netconsole::fuzz;
pub use netconsole::{Link, Target};
pub use pstore::parse_backend;
pub use reader::Reader;
pub use settings::Setting;
pub use taint::Taint;
pub use verdict::{Channel, Reason, Verdict};

use std::path::PathBuf;

/// Directories, patterns and arguments beyond so many are refused.
pub const MAX_CHOICES: usize = 64;

/// What the operator asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Directories of the host that crash dumps and archived crash records are written to.
    pub dump_directories: Vec<PathBuf>,
    /// Arguments the kernel must have been started with: `name`, with any value or none, or `name=value`.
    pub required_arguments: Vec<String>,
    /// Incident captures of the operator's own.
    pub captures: Vec<Capture>,
}

/// What pstore says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pstore {
    /// Where records are kept; `None` when it can't be read or the kernel has no pstore.
    pub backend: Option<String>,
    /// Whether the file system is mounted; `None` when that can't be known.
    pub mounted: Option<bool>,
    /// The records; `None` when they can't be listed.
    pub records: Option<Evidence>,
}

/// What kdump says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kdump {
    /// `kexec_crash_loaded`.
    pub loaded: Option<bool>,
    /// `kexec_crash_size` in bytes.
    pub reserved_bytes: Option<u64>,
}

/// Everything that was found. Reuse it: most of its memory is kept.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// One verdict per channel, in the order of [`Channel::ALL`]; empty before the first read.
    pub verdicts: Vec<(Channel, Verdict)>,
    /// pstore.
    pub pstore: Pstore,
    /// kdump.
    pub kdump: Kdump,
    /// The targets of netconsole that can be seen.
    pub targets: Vec<Target>,
    /// Settings in the order of [`Setting::ALL`]; `None` when this kernel lacks one or it can't be read.
    pub settings: [Option<i64>; Setting::ALL.len()],
    /// Why the kernel is tainted; `None` when it can't be read.
    pub taint: Option<Taint>,
    /// Whether each of [`Options::required_arguments`] was given; empty when the command line can't be read.
    pub arguments: Vec<bool>,
    /// What is in each of [`Options::dump_directories`]; `None` when there is no such directory or it can't be read.
    pub dumps: Vec<Option<Evidence>>,
    /// What each of [`Options::captures`] matches; `None` when its directory can't be read.
    pub captures: Vec<Option<Evidence>>,
}
