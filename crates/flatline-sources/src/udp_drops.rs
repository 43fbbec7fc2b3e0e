//! How many packets the kernel threw away that came for one of our own UDP sockets, because its buffer was full or they were
//! damaged: the last column of `/proc/self/net/udp` and `udp6` (`net/ipv4/udp.c`, `udp4_format_sock`).
//!
//! Our own process's files whatever the roots are: the socket is in our network namespace. `SO_RXQ_OVFL` would tell with
//! each packet what was dropped before it, and so nothing of the end of a flood.

use crate::SourceError;
use crate::read::read_given;
use crate::value::number;
use rustix::fs::fstat;
use std::net::UdpSocket;
use std::path::Path;

/// Some 20,000 sockets.
const TABLE_BYTES: usize = 4 << 20;
/// Columns, counted from 0.
const INODE: usize = 9;
const DROPS: usize = 12;

/// Reads the drops of one socket, which may be closed meanwhile.
#[derive(Debug)]
pub struct Reader {
    table: &'static Path,
    inode: u64,
    buffer: Vec<u8>,
}

impl Reader {
    /// For this socket.
    ///
    /// # Errors
    /// What the kernel says about the socket.
    pub fn new(socket: &UdpSocket) -> std::io::Result<Self> {
        let table = if socket.local_addr()?.is_ipv6() { "/proc/self/net/udp6" } else { "/proc/self/net/udp" };
        Ok(Self { table: Path::new(table), inode: fstat(socket)?.st_ino, buffer: Vec::new() })
    }

    /// Packets dropped since the socket was made; the kernel counts in 32 bits.
    ///
    /// # Errors
    /// When the table can't be read or does not hold the socket.
    pub fn read(&mut self) -> Result<u64, SourceError> {
        read_given(self.table, TABLE_BYTES, &mut self.buffer)?;
        parse(&self.buffer, self.inode).ok_or_else(|| SourceError::invalid(self.table, "no line tells of our socket"))
    }
}

/// The drops of the socket with this inode; `None` when no line tells them.
#[must_use]
pub fn parse(content: &[u8], inode: u64) -> Option<u64> {
    content.split(|byte| *byte == b'\n').find_map(|line| {
        let mut columns = line.split(u8::is_ascii_whitespace).filter(|column| !column.is_empty());
        let ours = columns.nth(INODE).and_then(number) == Some(inode);
        ours.then(|| columns.nth(DROPS - INODE - 1).and_then(number))
    })?
}

#[cfg(test)]
mod tests {
    use super::{Reader, parse};
    use proptest::prelude::*;
    use std::net::UdpSocket;

    // Linux 6.18, addresses and sockets made up.
    const RECORDED: &[u8] = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n\
  417: 0100007F:1A0A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 0         \n\
 1231: 00000000:1A0A 00000000:0000 07 00000000:00034100 00:00000000 00000000   997        0 12399 2 0000000000000000 723       \n";

    #[test]
    fn reads_recorded_lines() {
        assert_eq!(parse(RECORDED, 12345), Some(0));
        assert_eq!(parse(RECORDED, 12399), Some(723));
        assert_eq!(parse(RECORDED, 2), None);
        assert_eq!(parse(b"1: a b c d e f 0 0 7 2 0 x\n", 7), None);
        assert_eq!(parse(b"1: a b c d e f 0 0 7 2\n", 7), None);
    }

    #[test]
    fn a_socket_that_nobody_reads_loses_what_does_not_fit() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(loopback) else { continue };
            let mut reader = Reader::new(&socket).expect("a socket");
            assert_eq!(reader.read(), Ok(0));
            let sender = UdpSocket::bind((socket.local_addr().expect("address").ip(), 0)).expect("a socket");
            for _ in 0..10_000 {
                sender.send_to(&[0; 1000], socket.local_addr().expect("address")).expect("sent");
            }
            assert!(reader.read().is_ok_and(|drops| (1..10_000).contains(&drops)), "{:?}", reader.read());
            drop(socket);
            assert!(reader.read().is_err());
        }
    }

    proptest! {
        #[test]
        fn survives_any_bytes(content in proptest::collection::vec(any::<u8>(), 0..300), inode: u64) {
            let _ = parse(&content, inode);
        }

        #[test]
        fn finds_what_is_there(inode: u64, drops: u32) {
            let line = format!("1: 0:1 0:0 07 0:0 00:0 0 0 0 {inode} 2 0 {drops}    \n");
            prop_assert_eq!(parse(line.as_bytes(), inode), Some(u64::from(drops)));
        }
    }
}
