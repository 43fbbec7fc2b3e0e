//! Whether a gateway is alive: what the kernel knows of the neighbour (`RTM_GETNEIGH`, rtnetlink(7), Linux 5.0;
//! states: `include/uapi/linux/neighbour.h`), and where that says nothing, an echo.
//!
//! An entry that is merely remembered (`stale`) says nothing about now. The echo makes the kernel ask the neighbour
//! itself, so that a gateway that ignores echoes is still found alive some seconds later, and a dead one `failed`.

use super::echo::{Echo, echo};
use super::netlink;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, netdevice, socket_with};
use std::net::IpAddr;
use std::time::Duration;

/// `NETLINK_ROUTE` is protocol 0, which is how no protocol is said.
const ROUTE: Option<rustix::net::Protocol> = None;

/// What the kernel knows of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// Nothing: nobody has talked to it lately.
    None,
    /// It is being looked for.
    Incomplete,
    /// It has answered within the last half minute.
    Reachable,
    /// It answered some time ago.
    Stale,
    /// Something was sent to it; if nothing comes back it is asked.
    Delay,
    /// It is being asked.
    Probe,
    /// It was asked and did not answer.
    Failed,
    /// Links like this have no neighbours to ask.
    Noarp,
    /// Somebody entered it by hand.
    Permanent,
}

impl Neighbour {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Incomplete,
        Self::Reachable,
        Self::Stale,
        Self::Delay,
        Self::Probe,
        Self::Failed,
        Self::Noarp,
        Self::Permanent,
    ];

    /// The kernel's word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::Noarp => "noarp",
            Self::Permanent => "permanent",
        }
    }

    const fn of(state: NeighbourState) -> Option<Self> {
        Some(match state {
            NeighbourState::None => Self::None,
            NeighbourState::Incomplete => Self::Incomplete,
            NeighbourState::Reachable => Self::Reachable,
            NeighbourState::Stale => Self::Stale,
            NeighbourState::Delay => Self::Delay,
            NeighbourState::Probe => Self::Probe,
            NeighbourState::Failed => Self::Failed,
            NeighbourState::Noarp => Self::Noarp,
            NeighbourState::Permanent => Self::Permanent,
            _ => return None,
        })
    }
}

/// What one look at a gateway found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What the kernel knows; `None` when it does not say.
    pub neighbour: Option<Neighbour>,
    /// What became of an echo; `None` when none was needed or wanted.
    pub echo: Option<Echo>,
}

/// Looks at a gateway, and sends it an echo where that is wanted and the kernel does not know it to be alive.
/// Takes as long as the kernel lets us wait, and `patience` on top.
#[must_use]
pub fn look(address: IpAddr, interface: &str, with_echo: bool, patience: Duration) -> Look {
    let Ok(number) = interface_number(interface) else { return Look { neighbour: None, echo: None } };
    let known = neighbour(address, number).ok().flatten();
    if known == Some(Neighbour::Reachable) || !with_echo {
        return Look { neighbour: known, echo: None };
    }
    let echo = echo(address, number, patience);
    Look { neighbour: neighbour(address, number).ok().flatten().or(known), echo: Some(echo) }
}

fn interface_number(name: &str) -> Result<u32, Errno> {
    let any = socket_with(rustix::net::AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    netdevice::name_to_index(&any, name)
}

/// What the kernel knows of a neighbour; `None` when it says something new.
///
/// # Errors
/// What the kernel says; `EOPNOTSUPP` before Linux 5.0.
pub fn neighbour(address: IpAddr, interface: u32) -> Result<Option<Neighbour>, Errno> {
    let mut state = None;
    let question = RouteNetlinkMessage::GetNeighbour(question(address, interface));
    let asked = netlink::ask(ROUTE, 0, question, &mut |answer| {
        if let RouteNetlinkMessage::NewNeighbour(found) = answer {
            state = Neighbour::of(found.header.state);
        }
    });
    match asked {
        Ok(()) => Ok(state),
        Err(Errno::NOENT) => Ok(Some(Neighbour::None)),
        Err(errno) => Err(errno),
    }
}

fn question(address: IpAddr, interface: u32) -> NeighbourMessage {
    let (family, address) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader { family, ifindex: interface, ..NeighbourHeader::default() };
    message.attributes = vec![NeighbourAttribute::Destination(address)];
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_neighbour_nobody_knows_is_none() {
        let lo = interface_number("lo").expect("every host has one");
        // Documentation addresses (RFC 5737) are nobody's.
        let known = neighbour(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)), lo);
        assert!(matches!(known, Ok(Some(Neighbour::None)) | Err(Errno::OPNOTSUPP)), "{known:?}");
    }

    #[test]
    fn an_interface_that_has_gone_says_nothing() {
        let look = look(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)), "gone0", true, Duration::ZERO);
        assert_eq!(look, Look { neighbour: None, echo: None });
    }
}
