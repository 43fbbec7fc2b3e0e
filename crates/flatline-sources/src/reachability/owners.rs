//! Which processes own listening sockets, by what they hold open: `socket:[inode]`.
//!
//! Looking through all processes is dear; it is done on a thread of its own, and only when something new listens.

use crate::HostPath;
use crate::open_files::look_through;
use crate::read::{SMALL_FILE, read_bounded_at};
use crate::value::number;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// The command name of the process that owns each socket, by inode; of several processes the first.
pub type Owners = HashMap<u64, String>;

/// Looks through all processes for the owners of these sockets. Who can't be looked at owns nothing.
#[must_use]
pub fn search(procfs: &HostPath, sockets: &HashSet<u64>) -> Owners {
    let mut found = Owners::new();
    let Ok(root) = procfs.open(OFlags::DIRECTORY) else { return found };
    // A procfs that can't be listed has no owners, and one that was not seen whole has those that were.
    let _ = look_through(&root, |open| {
        let socket = socket_of_target(open.target).filter(|socket| sockets.contains(socket));
        if let Some(socket) = socket.filter(|socket| !found.contains_key(socket)) {
            found.extend(command(&root, open.pid).map(|name| (socket, name)));
        }
        if found.len() == sockets.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

fn socket_of_target(target: &[u8]) -> Option<u64> {
    number(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// The command's name, at most 15 bytes; what is no UTF-8 is replaced.
fn command(root: &OwnedFd, pid: u32) -> Option<String> {
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
        let owners = search(&"/proc".into(), &HashSet::from([inode, 1]));
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
