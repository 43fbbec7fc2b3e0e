//! Which processes own listening sockets, by the links in `<procfs>/<pid>/fd` (`proc_pid_fd(5)`): `socket:[inode]`.
//!
//! Looking through all processes is dear; it is done on a thread of its own, and only when something new listens. The
//! links of other users' processes take `CAP_SYS_PTRACE`. Links are read, never followed.

use crate::read::{SMALL_FILE, open_at, read_bounded_at};
use crate::value::number;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, OFlags, RawDir, readlinkat_raw};
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::path::Path;

/// Bounds of one search.
const MAX_PROCESSES: usize = 65_536;
const MAX_LINKS: usize = 1_000_000;
const LISTING_BUFFER: usize = 32 << 10;

/// The command name of the process that owns each socket, by inode; of several processes the first.
pub type Owners = HashMap<u64, String>;

/// Looks through all processes for the owners of these sockets. Who can't be looked at owns nothing.
#[must_use]
pub fn search(procfs: &Path, sockets: &HashSet<u64>) -> Owners {
    let mut found = Owners::new();
    let Ok(root) = open_at(CWD, procfs, OFlags::DIRECTORY) else { return found };
    let (mut links, mut space) = (MAX_LINKS, Vec::with_capacity(LISTING_BUFFER));
    for pid in processes(&root) {
        if found.len() == sockets.len() || links == 0 {
            break;
        }
        let sockets_of_process = sockets_of(&root, pid, &mut space, &mut links);
        let mut ours = sockets_of_process.into_iter().filter(|socket| sockets.contains(socket)).peekable();
        if ours.peek().is_none() {
            continue;
        }
        let Some(name) = command(&root, pid) else { continue };
        ours.for_each(|socket| {
            found.entry(socket).or_insert_with(|| name.clone());
        });
    }
    found
}

fn processes(root: &OwnedFd) -> Vec<u64> {
    let mut space = Vec::with_capacity(LISTING_BUFFER);
    let Ok(fresh) = open_at(root.as_fd(), c".", OFlags::DIRECTORY) else { return Vec::new() };
    let mut entries = RawDir::new(&fresh, space.spare_capacity_mut());
    let mut pids = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        pids.extend(number(entry.file_name().to_bytes()));
        if pids.len() == MAX_PROCESSES {
            break;
        }
    }
    pids
}

fn sockets_of(root: &OwnedFd, pid: u64, space: &mut Vec<u8>, links: &mut usize) -> Vec<u64> {
    let mut sockets = Vec::new();
    let Ok(directory) = open_at(root.as_fd(), format!("{pid}/fd").as_str(), OFlags::DIRECTORY) else { return sockets };
    let mut entries = RawDir::new(&directory, space.spare_capacity_mut());
    while let (Some(Ok(entry)), true) = (entries.next(), *links > 0) {
        *links -= 1;
        sockets.extend(socket_of_link(&directory, entry.file_name()));
    }
    sockets
}

fn socket_of_link(directory: &OwnedFd, link: &CStr) -> Option<u64> {
    let mut target = [0_u8; 40];
    let length = readlinkat_raw(directory, link, &mut target).ok()?;
    socket_of_target(target.get(..length)?)
}

fn socket_of_target(target: &[u8]) -> Option<u64> {
    number(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// The command's name, at most 15 bytes; what is no UTF-8 is replaced.
fn command(root: &OwnedFd, pid: u64) -> Option<String> {
    let mut content = Vec::new();
    read_bounded_at(root.as_fd(), format!("{pid}/comm").as_str(), SMALL_FILE, &mut content).ok()?;
    Some(String::from_utf8_lossy(content.trim_ascii_end()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn our_own_listener_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).expect("link");
        let inode = socket_of_target(link.as_os_str().as_encoded_bytes()).expect("a socket");
        let comm = std::fs::read_to_string("/proc/self/comm").expect("comm");
        let owners = search(Path::new("/proc"), &HashSet::from([inode, 1]));
        assert_eq!(owners, Owners::from([(inode, comm.trim_end().to_owned())]));
    }

    #[test]
    fn only_sockets_are_sockets() {
        assert_eq!(socket_of_target(b"socket:[21873]"), Some(21873));
        for other in [&b"socket:[x]"[..], b"pipe:[21873]", b"/tmp/socket:[1]", b"socket:[1] (deleted)"] {
            assert_eq!(socket_of_target(other), None);
        }
    }
}
