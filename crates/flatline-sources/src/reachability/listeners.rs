//! Listening TCP sockets and their accept queues.
//!
//! A connection waits in its listener's accept queue from the end of the handshake until the program accepts it. Where
//! nobody accepts any more, connections still open, and rot there. The kernel tells queue and limit over netlink
//! (sock_diag(7); `net/ipv4/tcp_diag.c`: for a listener `idiag_rqueue` is the queue and `idiag_wqueue` its limit), for
//! the listeners alone. `<procfs>/net/tcp`, `tcp6` (`Documentation/networking/proc_net_tcp.rst`) list those first and
//! have no limit. What was dropped at full queues is in `<procfs>/net/netstat`.

use super::{netlink, read_lines};
use crate::read::{STATISTICS_FILE, read_bounded};
use crate::value::number;
use crate::{Fault, HostPath, SourceError};
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use procfs_core::net::{TcpNetEntries, TcpState};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI as _};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Some 1,700 listeners; whoever has more shows the first.
const TABLE_BYTES: usize = 256 << 10;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// Where listeners are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Of the kernel, else from the files.
    Kernel,
    /// From the files alone: a recorded tree.
    Files,
}

/// One address and port that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// Connections that nobody has accepted yet, of the fullest socket where several share the port.
    pub backlog: u32,
    /// Its queue's limit; one more than this fits. `None` where the files had to do.
    pub limit: Option<u32>,
    /// How many sockets share the port (`SO_REUSEPORT`).
    pub sockets: u32,
    /// That socket's inode, by which its owner is found.
    pub inode: u64,
}

/// What listens, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners {
    /// At most as many as were asked for.
    pub listeners: Vec<Listener>,
    /// How many there was no room for.
    pub left_out: usize,
}

/// What TCP has dropped because an accept queue was full, since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Connections dropped at full queues (`ListenOverflows`).
    pub overflows: Option<u64>,
    /// All dropped at listeners, those included (`ListenDrops`).
    pub drops: Option<u64>,
}

/// Reads what listens, at most `most` addresses. A kernel that does not answer over netlink is told to `faults`, and
/// the files are read instead.
///
/// # Errors
/// When neither way works.
pub fn read_listeners(
    source: Source,
    procfs: &HostPath,
    most: usize,
    faults: &mut dyn FnMut(&SourceError),
) -> Result<Listeners, SourceError> {
    if source == Source::Kernel {
        match ask_kernel(most) {
            Ok(listeners) => return Ok(listeners),
            // A kernel without `CONFIG_INET_DIAG`.
            Err(Errno::NOENT | Errno::PROTONOSUPPORT) => {}
            Err(errno) => faults(&SourceError::os(Path::new("netlink: sock_diag"), errno)),
        }
    }
    read_files(&procfs.join("net"), most)
}

fn ask_kernel(most: usize) -> Result<Listeners, Errno> {
    let mut gathered = Gathered::new(most);
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let extensions = ExtensionFlags::empty();
        let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states: StateFlags::LISTEN, socket_id };
        let question = SockDiagMessage::InetRequest(request);
        netlink::ask(Some(rustix::net::netlink::SOCK_DIAG), NLM_F_DUMP, question, &mut |answer| {
            if let SockDiagMessage::InetResponse(found) = answer {
                gathered.add(listener(&found));
            }
        })?;
    }
    Ok(gathered.finish())
}

fn listener(InetResponse { header, .. }: &InetResponse) -> Listener {
    Listener {
        address: SocketAddr::new(header.socket_id.source_address, header.socket_id.source_port),
        backlog: header.recv_queue,
        limit: Some(header.send_queue),
        sockets: 1,
        inode: u64::from(header.inode),
    }
}

fn read_files(net: &HostPath, most: usize) -> Result<Listeners, SourceError> {
    let (mut gathered, mut buffer) = (Gathered::new(most), Vec::new());
    for name in ["tcp", "tcp6"] {
        let path = net.join(name);
        let whole = match read_lines(&path, TABLE_BYTES, &mut buffer) {
            Ok(whole) => whole,
            // A kernel without IPv6.
            Err(error) if error.fault == Fault::NotFound && name == "tcp6" => break,
            Err(error) => return Err(error),
        };
        let listeners = parse_table(&buffer).map_err(|detail| SourceError::invalid(&path, detail))?;
        let all_listen = listeners.len() == buffer.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
        listeners.into_iter().for_each(|listener| gathered.add(listener));
        // Listeners come first: where the last line that was read is one, there may be more, nobody knows how many.
        gathered.left_out += usize::from(!whole && all_listen);
    }
    Ok(gathered.finish())
}

/// The listeners in `/proc/net/tcp` or `tcp6`.
///
/// # Errors
/// When a line is not what the kernel writes, in words.
pub fn parse_table(content: &[u8]) -> Result<Vec<Listener>, String> {
    let little = cfg!(target_endian = "little");
    // Only the byte order matters for addresses.
    let system =
        ExplicitSystemInfo { boot_time_secs: 0, ticks_per_second: 100, page_size: 4096, is_little_endian: little };
    let TcpNetEntries(entries) = TcpNetEntries::from_buf_read(content, &system).map_err(|error| error.to_string())?;
    let listening = entries.into_iter().take_while(|entry| entry.state == TcpState::Listen);
    let listeners = listening.map(|entry| Listener {
        address: entry.local_address,
        backlog: entry.rx_queue,
        limit: None,
        sockets: 1,
        inode: entry.inode,
    });
    Ok(listeners.collect())
}

/// Sockets by address, of several the fullest.
struct Gathered {
    most: usize,
    found: BTreeMap<(u16, IpAddr), Listener>,
    left_out: usize,
}

impl Gathered {
    const fn new(most: usize) -> Self {
        Self { most, found: BTreeMap::new(), left_out: 0 }
    }

    fn add(&mut self, listener: Listener) {
        let key = (listener.address.port(), listener.address.ip());
        if let Some(known) = self.found.get_mut(&key) {
            let sockets = known.sockets.saturating_add(1);
            let fuller = listener.backlog > known.backlog;
            *known = Listener { sockets, ..if fuller { listener } else { *known } };
        } else if self.found.len() < self.most {
            self.found.insert(key, listener);
        } else {
            self.left_out += 1;
        }
    }

    fn finish(self) -> Listeners {
        Listeners { listeners: self.found.into_values().collect(), left_out: self.left_out }
    }
}

pub(super) fn read_drops(path: &HostPath, buffer: &mut Vec<u8>) -> Result<Drops, SourceError> {
    read_bounded(path, STATISTICS_FILE, buffer)?;
    parse_drops(buffer).ok_or_else(|| SourceError::invalid(path, "no pair of lines that begin with `TcpExt:`"))
}

/// `ListenOverflows` and `ListenDrops` in `/proc/net/netstat`: a line of names, then one of numbers. `None` when there
/// is no such pair.
#[must_use]
pub fn parse_drops(content: &[u8]) -> Option<Drops> {
    let text = std::str::from_utf8(content).ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| {
        let place = names.split_ascii_whitespace().position(|known| known == name)?;
        number(values.split_ascii_whitespace().nth(place)?.as_bytes())
    };
    Some(Drops { overflows: value("ListenOverflows"), drops: value("ListenDrops") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21873 1 ffff8f9f 100 0 0 10 0
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000081 00:00000000 00000000  1000        0 40960 1 ffff8f9f 100 0 0 10 0
   2: 0B00A8C0:0016 1400A8C0:D2F0 01 00000024:00000000 01:00000014 00000000     0        0 52311 4 ffff8f9f 20 4 31 10 -1
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 21875 1 ffff8f9f 100 0 0 10 0
";

    fn shown(listeners: &[Listener]) -> Vec<(String, u32, Option<u32>, u64)> {
        listeners.iter().map(|l| (l.address.to_string(), l.backlog, l.limit, l.inode)).collect()
    }

    #[test]
    fn listeners_are_those_before_the_first_connection() {
        let expected = [("0.0.0.0:22".to_owned(), 0, None, 21873), ("127.0.0.1:3000".to_owned(), 129, None, 40960)];
        assert_eq!(shown(&parse_table(TCP.as_bytes()).expect("parses")), expected);
        assert_eq!(shown(&parse_table(TCP6.as_bytes()).expect("parses")), [("[::]:22".to_owned(), 2, None, 21875)]);
        assert!(parse_table(b"header\n   0: 0000").is_err());
    }

    #[test]
    fn of_sockets_that_share_a_port_the_fullest_is_shown() {
        let one = |backlog, inode| Listener {
            address: "0.0.0.0:80".parse().expect("address"),
            backlog,
            limit: Some(128),
            sockets: 1,
            inode,
        };
        let mut gathered = Gathered::new(1);
        [one(0, 1), one(129, 2), one(3, 3)].into_iter().for_each(|listener| gathered.add(listener));
        gathered.add(Listener { address: "0.0.0.0:81".parse().expect("address"), ..one(0, 4) });
        let found = gathered.finish();
        assert_eq!((found.listeners.as_slice(), found.left_out), (&[Listener { sockets: 3, ..one(129, 2) }][..], 1));
    }

    #[test]
    fn both_ways_see_a_queue_that_nobody_accepts_from() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("address");
        let waiting: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).expect("queued")).collect();
        for source in [Source::Kernel, Source::Files] {
            let mut faults = Vec::new();
            let mut faulty = |error: &SourceError| faults.push(error.to_string());
            let found = read_listeners(source, &"/proc".into(), 10_000, &mut faulty).expect("listeners");
            let ours = found.listeners.iter().find(|found| found.address == address).expect("ours");
            assert_eq!((ours.backlog, ours.sockets), (3, 1), "{source:?}");
            assert!(source == Source::Files || ours.limit.is_none_or(|limit| limit >= 128), "{ours:?}");
            assert!(faults.is_empty(), "{faults:?}");
        }
        drop(waiting);
    }

    #[test]
    fn drops_are_found_by_name() {
        let content =
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 12 34\nIpExt: InNoRoutes\nIpExt: 5\n";
        assert_eq!(parse_drops(content.as_bytes()), Some(Drops { overflows: Some(12), drops: Some(34) }));
        assert_eq!(parse_drops(b"TcpExt: A\nTcpExt: 1\n"), Some(Drops::default()));
        assert_eq!(parse_drops(b"IpExt: A\nIpExt: 1\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_content_makes_the_parsers_panic(content: Vec<u8>, text in "h\n[ -~]{0,80}\nTcpExt:[ -~]{0,20}\nTcpExt:[ 0-9]{0,20}") {
            for content in [&content[..], text.as_bytes()] {
                let _ = parse_table(content);
                let _ = parse_drops(content);
                let mut left = 10;
                let _ = netlink::messages::<SockDiagMessage>(content, NLM_F_DUMP, &mut left, &mut |_| ());
            }
        }
    }
}
