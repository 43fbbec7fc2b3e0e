//! Names to addresses through the host's own resolver, which blocks and has no deadline: one lookup in flight per
//! probe. While it hangs, further ones fail at once.

use super::blocking::{Blocking, NotDone};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{SocketAddr, ToSocketAddrs};

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("looking up a name: {0}")]
    NotDone(#[from] NotDone),
    #[error("looking up {name}: {error}")]
    Failed { name: String, error: std::io::Error },
}

/// The lookups of one probe.
#[derive(Debug, Clone, Default)]
pub(super) struct Lookup(Blocking);

impl Lookup {
    /// The addresses of the host.
    pub(super) async fn addresses(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let lookup = move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            found.map_err(|error| LookupError::Failed { name, error })
        };
        self.0.run(lookup).await?
    }
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone();
        Box::pin(async move {
            // Port 0 becomes the one of the URL.
            let addresses = lookup.addresses(name.as_str().to_owned(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
