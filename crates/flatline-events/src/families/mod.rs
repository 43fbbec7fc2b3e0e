//! The patterns, one file per family of kinds.
//!
//! A table follows the kernel's own format strings over versions 4.x to 7.x. Adding a kind touches one table and
//! its line in `kind.rs`. Where two patterns fit a line, the one that stands first here wins.

mod faults;
mod filesystem;
mod gpu;
mod hardware;
mod lockups;
mod memory;
mod network;
mod storage;
mod userspace;

use crate::pattern::Pattern;

/// All tables. `faults` is first because its patterns for user-space crashes begin with a process name,
/// which an attacker chooses: whatever that name looks like, the line is a crash and nothing else.
pub(crate) const TABLES: &[&[Pattern]] = &[
    faults::PATTERNS,
    memory::PATTERNS,
    lockups::PATTERNS,
    hardware::PATTERNS,
    gpu::PATTERNS,
    storage::PATTERNS,
    filesystem::PATTERNS,
    network::PATTERNS,
    userspace::PATTERNS,
];
