//! Whether this host can be reached: default routes, links, gateways, and the accept queues of what listens.
//!
//! Everything is read in the network namespace of the exporter. Routes, links and drop counts come from files. Accept
//! queues and neighbours are asked of the kernel over netlink, which says what the files don't: the limit of a queue,
//! and whether a neighbour is merely remembered or known to be alive. A recorded tree has files only.

mod echo;
mod gateway;
mod links;
mod listeners;
mod netlink;
mod owners;
mod routes;

pub use echo::{Echo, echo};
pub use gateway::{Look, Neighbour, look, neighbour};
pub use links::{Link, Operstate};
pub use listeners::{Drops, Listener, Listeners, Source, parse_drops, parse_table, read_listeners};
#[cfg(fuzzing)]
pub use netlink::fuzz;
pub use owners::{Owners, search};
pub use routes::{Family, Route, parse_ipv4, parse_ipv6};

use crate::patterns::GlobSet;
use crate::{HostPath, Probe, Roots, SourceError};
use rustix::fs::OFlags;

/// Default routes and links beyond these are no host's; a router's are not shown.
const MAX_ROUTES: usize = 64;
const MAX_LINKS: usize = 256;

/// Interfaces that come and go with containers and guests; what matters of them is seen inside those.
pub const EXCLUDED_INTERFACES: &[&str] =
    &["lo", "veth*", "cali*", "lxc*", "cni*", "flannel*", "fwbr*", "fwln*", "fwpr*", "tap*", "vnet*", "dummy*", "ifb*"];

/// What the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Default routes, the preferred one of each family first; `None` when they could not be read.
    pub routes: Option<Vec<Route>>,
    /// The links that are not excluded, by name; `None` when they could not be listed.
    pub links: Option<Vec<Link>>,
    /// What TCP has dropped at full queues.
    pub drops: Drops,
}

/// Reads the files.
#[derive(Debug)]
pub struct Reader {
    procfs: HostPath,
    sysfs: HostPath,
    excluded: GlobSet,
    buffer: Vec<u8>,
}

impl Reader {
    /// Looks for the kernel's network files.
    #[must_use]
    pub fn probe(roots: &Roots, excluded: GlobSet) -> Probe<Self> {
        let net = roots.procfs.join("net");
        match net.stat() {
            Ok(_) => {
                let (procfs, sysfs) = (roots.procfs.clone(), roots.sysfs.clone());
                Probe::Present(Self { procfs, sysfs, excluded, buffer: Vec::new() })
            }
            Err(rustix::io::Errno::NOENT) => Probe::Absent(format!("no {}: no network", net.display())),
            Err(errno) => Probe::Broken(SourceError::os(&net, errno)),
        }
    }

    /// Whether procfs is this kernel's, so that what is asked over netlink is about the same host.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.procfs
            .open(OFlags::PATH)
            .and_then(rustix::fs::fstatfs)
            .is_ok_and(|procfs| procfs.f_type == rustix::fs::PROC_SUPER_MAGIC)
    }

    /// Reads everything. What can't be read goes to `faults` and is absent.
    pub fn read(&mut self, faults: &mut dyn FnMut(&SourceError)) -> Network {
        let Self { procfs, sysfs, excluded, buffer } = self;
        let net = procfs.join("net");
        let drops = note(listeners::read_drops(&net.join("netstat"), buffer), faults);
        let routes = note(routes::read(&net, buffer, MAX_ROUTES), faults);
        let links = links::read(&sysfs.join("class/net"), excluded, MAX_LINKS, buffer, faults);
        Network { routes, links, drops: drops.unwrap_or_default() }
    }

    /// Whether an interface passes packets, though it may be one that is not shown. One that is not there does not;
    /// `None` when that can't be known.
    pub fn is_up(&mut self, interface: &str, faults: &mut dyn FnMut(&SourceError)) -> Option<bool> {
        links::is_up(&self.sysfs.join("class/net"), interface, &mut self.buffer, faults)
    }
}

fn note<T>(result: Result<T, SourceError>, faults: &mut dyn FnMut(&SourceError)) -> Option<T> {
    result.map_err(|error| faults(&error)).ok()
}

/// Reads the first `limit` bytes, whole lines only; whether that was everything.
fn read_lines(path: &HostPath, limit: usize, buffer: &mut Vec<u8>) -> Result<bool, SourceError> {
    use std::io::Read as _;
    buffer.clear();
    let file = std::fs::File::from(path.open(OFlags::empty()).map_err(|errno| SourceError::os(path, errno))?);
    file.take(limit as u64).read_to_end(buffer).map_err(|error| SourceError::os(path, errno_of(&error)))?;
    if buffer.len() < limit {
        return Ok(true);
    }
    buffer.truncate(last_line(buffer));
    Ok(false)
}

/// Where the last line that has an end ends.
fn last_line(buffer: &[u8]) -> usize {
    buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn errno_of(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}
