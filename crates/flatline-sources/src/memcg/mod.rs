//! Memory cgroups (kernel documentation: `Documentation/admin-guide/cgroup-v2.rst`, for v1
//! `Documentation/admin-guide/cgroup-v1/memory.rst`).
//!
//! The hierarchy is walked with descriptors that stay open: a directory that did not gain or lose a child is not
//! listed again, and the files that make up the livelock's signature are held and re-read with one call each.
//! How many are held is bounded ([`Options::max_held_files`]): a held cgroup file pins about 4 KiB of kernel
//! memory. Beyond the bound a file is opened, read and closed each time, relative to its directory.

pub mod derive;

mod budget;
mod files;
mod mode;
mod options;
mod reader;
mod reading;
mod tree;

#[cfg(fuzzing)]
pub use files::fuzz;
pub use mode::Mode;
pub use options::{Filter, Options};
pub use reader::Reader;
pub use reading::{Cgroup, Events, MAX_SERIES_PER_CGROUP, MAX_SERIES_PER_V1_CGROUP, Reading, Stat, V1Cgroup};
