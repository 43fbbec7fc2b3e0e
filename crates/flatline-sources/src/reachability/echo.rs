//! One ICMP echo over a socket that needs no privilege (icmp(7), "ICMP echo sockets"): the kernel lets the groups of
//! `net.ipv4.ping_group_range` send echo requests, fills in identifier and checksum, and hands back only our answers.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrV4, SocketAddrV6, SocketFlags, SocketType, connect, ipproto, recv,
    send, socket_with, sockopt,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443), then something to carry.
const LENGTH: usize = 8 + 16;
const REQUEST: [u8; 2] = [8, 128];
const ANSWER: [u8; 2] = [0, 129];

/// What became of an echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It was answered after so long.
    Answered(Duration),
    /// It was sent and not answered, or could not even leave.
    Silent,
    /// The kernel does not let us send one.
    NotAllowed,
}

/// Sends one and waits for its answer, at most `patience`. `scope` is the interface's number, for addresses that hold
/// on one link only.
#[must_use]
pub fn echo(address: IpAddr, scope: u32, patience: Duration) -> Echo {
    match exchange(address, scope, patience) {
        Ok(Some(took)) => Echo::Answered(took),
        Err(Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::MFILE | Errno::NFILE) => {
            Echo::NotAllowed
        }
        Ok(None) | Err(_) => Echo::Silent,
    }
}

fn exchange(address: IpAddr, scope: u32, patience: Duration) -> Result<Option<Duration>, Errno> {
    let (family, protocol, version) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 0),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 1),
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(protocol))?;
    match address {
        IpAddr::V4(address) => connect(&socket, &SocketAddrV4::new(address, 0))?,
        IpAddr::V6(address) => connect(&socket, &SocketAddrV6::new(address, 0, 0, scope))?,
    }
    let begun = Instant::now();
    let mut request = [0; LENGTH];
    request[0] = REQUEST[version];
    request[7] = 1;
    send(&socket, &request, SendFlags::empty())?;
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(left))?;
        let mut answer = [0; LENGTH];
        match recv(&socket, &mut answer[..], RecvFlags::empty()) {
            Ok((length, _)) if length >= 8 && answer[0] == ANSWER[version] => return Ok(Some(begun.elapsed())),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn this_host_answers_itself_where_asking_is_allowed() {
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let answer = echo(address, 0, Duration::from_secs(20));
            // Hosts without IPv6, and kernels that allow nobody, are no failure of ours.
            let allowed = matches!(answer, Echo::Answered(_));
            let known_reason = answer == Echo::NotAllowed || (answer == Echo::Silent && address.is_ipv6());
            assert!(allowed || known_reason, "{address}: {answer:?}");
        }
    }
}
