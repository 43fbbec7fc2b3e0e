//! Where the exporter listens: addresses from flags, or sockets from systemd.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

/// How many connections may wait to be accepted, if the kernel (`net.core.somaxconn`) lets so many. The standard library
/// asks for 128: a burst beyond that is dropped, and a scrape among it comes a second late.
const QUEUE: i32 = 4096;

/// `host:port`, `[v6]:port` or `:port` for every address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    host: Option<String>,
    port: u16,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = || format!("`{text}` is not an address; write :10120, 127.0.0.1:10120 or [::1]:10120");
        let (host, port) = text.rsplit_once(':').ok_or_else(usage)?;
        let port = port.parse().map_err(|_| usage())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.contains(':') != bracketed.is_some() || host.contains(['[', ']', '/', ' ']) {
            return Err(usage());
        }
        Ok(Self { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

impl ListenAddress {
    /// Binds the address. `:port` takes IPv6 and IPv4 at once, or IPv4 alone on a host without IPv6.
    fn bind(&self) -> io::Result<Vec<TcpListener>> {
        let Some(host) = &self.host else {
            let every = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)));
            return match every {
                Err(error) if is_without_ipv6(&error) => {
                    Ok(vec![TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.port)))?])
                }
                listener => Ok(vec![listener?]),
            };
        };
        (host.as_str(), self.port).to_socket_addrs()?.map(TcpListener::bind).collect()
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Binds all addresses.
///
/// # Errors
/// Names the address and the remedy.
pub fn bind(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = address.bind().map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another process has it: stop that one, or choose another --web.listen-address"
                }
                io::ErrorKind::PermissionDenied => "; choose a port above 1023",
                _ => "",
            };
            format!("can't listen on {address}: {error}{remedy}")
        })?;
        for listener in &bound {
            // On a socket that listens already this changes its queue alone; if it can't be, it stays as it was.
            let _ = rustix::net::listen(listener, QUEUE);
        }
        listeners.extend(bound);
    }
    Ok(listeners)
}

/// Takes the sockets systemd passes (`LISTEN_FDS`).
///
/// # Errors
/// When there are none, or one is no TCP listener.
pub fn from_systemd() -> Result<Vec<TcpListener>, String> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let listener =
            passed.take_tcp_listener(index).map_err(|error| format!("socket {index} from systemd: {error}"))?;
        listeners.extend(listener);
    }
    if listeners.is_empty() {
        return Err(
            "--web.systemd-socket is given but systemd passed no socket; start through the .socket unit".to_owned()
        );
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::{ListenAddress, bind};
    use proptest::prelude::*;

    #[test]
    fn addresses_parse_and_print() {
        for text in [":10120", "127.0.0.1:1", "[::1]:65535", "localhost:80"] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "10120", "::1:80", "host:", "host:99999", "[::1]", "[::1:80", "a b:1", "http://a:1"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_the_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = taken.local_addr().expect("address").to_string();
        let error = bind(&[address.parse().expect("address")]).expect_err("taken");
        assert!(error.contains(&address) && error.contains("--web.listen-address"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<ListenAddress>();
        }
    }
}
