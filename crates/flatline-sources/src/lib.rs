//! Reading the host: where its file systems are, bounded reads that hold files open, pure parsers,
//! and one reader per signal that returns plain structs.
//!
//! Parsing is pure (bytes in, typed value out) and apart from reading. Nothing here names a metric,
//! waits for a scrape's deadline or starts a thread: a read that hangs in the kernel hangs its caller, and the
//! scheduler above deals with that. Readings are reused, so a reader allocates nothing once it is warm:
//! inside a throttled cgroup an allocating loop starves.
//!
//! Absent, zero and error are three different things: an absent value is `None`, zero is `Some(0)`, and
//! an error is a [`SourceError`] handed to the caller's `faults` with the path it happened at.

mod error;
mod host_path;
mod open_files;
mod probe;
mod roots;

pub mod boot_status;
pub mod crash_capture;
pub mod drives;
pub mod flat_keyed;
pub mod gpu;
pub mod host_facts;
pub mod kernel_faults;
pub mod kernel_ring;
pub mod memcg;
pub mod meminfo;
pub mod mounts;
pub mod patterns;
pub mod pressure;
pub mod probes;
pub mod psi;
pub mod reachability;
pub mod read;
#[cfg(feature = "synthetic")]
pub mod synthetic;
pub mod tasks;
pub mod udp_drops;
pub mod value;
pub mod vm;
pub mod watchdog;

pub use error::{Fault, SourceError};
pub use host_path::{HostPath, confines_links};
pub use probe::Probe;
pub use roots::Roots;
