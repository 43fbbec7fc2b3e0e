//! Default routes, from `<procfs>/net/route` and `<procfs>/net/ipv6_route` (`Documentation/networking/proc_net_tcp.rst`
//! lists the directory; formats: `net/ipv4/fib_trie.c: fib_route_seq_show`, `net/ipv6/route.c: rt6_info_route`).
//!
//! Of a route over several next hops the files show the first. Routes of other tables than `main` are not in the first.

use super::read_lines;
use crate::{HostPath, SourceError};
use procfs_core::FromBufRead;
use procfs_core::net::RouteEntries;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The default route has the smallest key, so it comes first however many routes a router has.
const IPV4_BYTES: usize = 64 << 10;
/// Here other tables may come before it.
const IPV6_BYTES: usize = 1 << 20;

/// Flags of `include/uapi/linux/route.h`, `ipv6_route.h`.
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// Which protocol a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The value of the label `family`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// A way to everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// For which protocol.
    pub family: Family,
    /// The interface it leaves by.
    pub interface: String,
    /// Who passes it on; `None` where the link itself leads to everywhere.
    pub gateway: Option<IpAddr>,
    /// The lower, the more it is preferred.
    pub metric: u32,
}

/// Reads the default routes of both protocols, preferred ones first; a kernel without IPv6 has none of those.
pub(super) fn read(net: &HostPath, buffer: &mut Vec<u8>, most: usize) -> Result<Vec<Route>, SourceError> {
    let mut routes = Vec::new();
    let path = net.join("route");
    read_lines(&path, IPV4_BYTES, buffer)?;
    routes.extend(parse_ipv4(buffer).map_err(|detail| SourceError::invalid(&path, detail))?);
    let path = net.join("ipv6_route");
    match read_lines(&path, IPV6_BYTES, buffer) {
        Ok(_) => routes.extend(parse_ipv6(buffer).map_err(|detail| SourceError::invalid(&path, detail))?),
        Err(error) if error.fault == crate::Fault::NotFound => {}
        Err(error) => return Err(error),
    }
    routes.sort_by_key(|route| (route.family, route.metric));
    let mut seen: Vec<Route> = Vec::new();
    for route in routes {
        let same = |known: &Route| (known.gateway, &known.interface) == (route.gateway, &route.interface);
        if seen.len() < most && !seen.iter().any(|known| known.family == route.family && same(known)) {
            seen.push(route);
        }
    }
    Ok(seen)
}

/// The default routes in `/proc/net/route`.
///
/// # Errors
/// When a line is not what the kernel writes, in words.
pub fn parse_ipv4(content: &[u8]) -> Result<Vec<Route>, String> {
    let RouteEntries(entries) = RouteEntries::from_buf_read(content).map_err(|error| error.to_string())?;
    let is_default = |route: &procfs_core::net::RouteEntry| {
        let flags = u32::from(route.flags);
        flags & UP != 0 && flags & REJECT == 0 && route.destination.is_unspecified() && route.mask.is_unspecified()
    };
    let default = entries.into_iter().filter(is_default).map(|route| Route {
        family: Family::Ipv4,
        gateway: gateway(u32::from(route.flags), route.gateway),
        interface: route.iface,
        metric: route.metrics,
    });
    Ok(default.collect())
}

fn gateway(flags: u32, address: Ipv4Addr) -> Option<IpAddr> {
    (flags & GATEWAY != 0 && !address.is_unspecified()).then_some(IpAddr::V4(address))
}

/// The default routes in `/proc/net/ipv6_route`, which the crate `procfs` does not read.
///
/// # Errors
/// When a line is not what the kernel writes, in words.
pub fn parse_ipv6(content: &[u8]) -> Result<Vec<Route>, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let mut routes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let route = parse_ipv6_line(line).ok_or_else(|| format!("line {}: not a route: {line:?}", number + 1))?;
        routes.extend(route);
    }
    Ok(routes)
}

/// Destination, its prefix, source, its prefix, next hop, metric, references, use, flags, device.
fn parse_ipv6_line(line: &str) -> Option<Option<Route>> {
    let mut words = line.split_ascii_whitespace();
    let destination = address(words.next()?)?;
    let prefix = u8::from_str_radix(words.next()?, 16).ok()?;
    let mut words = words.skip(2);
    let hop = address(words.next()?)?;
    let metric = u32::from_str_radix(words.next()?, 16).ok()?;
    let mut words = words.skip(2);
    let flags = u32::from_str_radix(words.next()?, 16).ok()?;
    let interface = words.next()?;
    // The kernel keeps a default route to nowhere on the loopback interface.
    let is_default = destination.is_unspecified() && prefix == 0 && flags & UP != 0 && flags & REJECT == 0;
    Some((is_default && interface != "lo").then(|| Route {
        family: Family::Ipv6,
        interface: interface.to_owned(),
        gateway: (flags & GATEWAY != 0 && !hop.is_unspecified()).then_some(IpAddr::V6(hop)),
        metric,
    }))
}

fn address(hex: &str) -> Option<Ipv6Addr> {
    (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       
enp7s0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0                                                                             
wg0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0                                                                             
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0                                                                            
enp7s0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0                                                                           
*\t00000000\t00000000\t0201\t0\t0\t9999\t00000000\t0\t0\t0
";
    const IPV6: &str = "\
2a0100000000000000000000000000aa 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000064 00000001 00000000 00000001   enp7s0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000064 00000003 00000000 00450003   enp7s0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn default_routes_are_told_from_all_others() {
        let routes = parse_ipv4(IPV4.as_bytes()).expect("parses");
        let gateway = "192.168.0.1".parse().ok();
        let expected = [("enp7s0", gateway, 100), ("wg0", None, 50)];
        assert_eq!(routes.iter().map(|r| (r.interface.as_str(), r.gateway, r.metric)).collect::<Vec<_>>(), expected);
        let routes = parse_ipv6(IPV6.as_bytes()).expect("parses");
        let gateway = "fe80::1".parse().ok();
        assert_eq!(routes.iter().map(|r| (r.interface.as_str(), r.gateway)).collect::<Vec<_>>(), [("enp7s0", gateway)]);
    }

    #[test]
    fn without_routes_there_are_none() {
        assert_eq!(parse_ipv4(IPV4.lines().next().unwrap_or_default().as_bytes()), Ok(Vec::new()));
        assert_eq!(parse_ipv6(b""), Ok(Vec::new()));
    }

    #[test]
    fn the_same_way_counts_once_and_the_preferred_comes_first() {
        let tree = tempfile::tempdir().expect("directory");
        let twice =
            IPV4.replace("wg0\t00000000\t00000000\t0001\t0\t0\t50", "enp7s0\t00000000\t0100A8C0\t0003\t0\t0\t7");
        std::fs::write(tree.path().join("route"), twice).expect("written");
        let routes = read(&tree.path().into(), &mut Vec::new(), 8).expect("read");
        assert_eq!(routes.iter().map(|route| route.metric).collect::<Vec<_>>(), [7]);
        std::fs::write(tree.path().join("ipv6_route"), "junk\n").expect("written");
        let error = read(&tree.path().into(), &mut Vec::new(), 8).expect_err("junk");
        assert!(error.to_string().contains("ipv6_route: line 1"), "{error}");
    }

    #[test]
    fn a_router_with_a_million_routes_still_has_its_default_route() {
        let tree = tempfile::tempdir().expect("directory");
        let line = "eth1\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        std::fs::write(tree.path().join("route"), IPV4.to_owned() + &line.repeat(10_000)).expect("written");
        assert_eq!(read(&tree.path().into(), &mut Vec::new(), 8).expect("read").len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_content_makes_the_parsers_panic(content: Vec<u8>, words in "[0-9a-f ]{0,200}\n[0-9a-f]{32} 00 [ -~]{0,60}") {
            for content in [&content[..], words.as_bytes()] {
                let _ = parse_ipv4(content);
                let _ = parse_ipv6(content);
            }
        }
    }
}
