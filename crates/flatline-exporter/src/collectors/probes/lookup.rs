//! Names to addresses through the host's own resolver, which blocks and has no deadline: one lookup in flight per
//! probe, on a thread of the runtime's bounded pool. While it hangs, further ones fail at once.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("an earlier lookup still waits for the name server")]
    Busy,
    #[error("looking up {name}: {error}")]
    Failed { name: String, error: std::io::Error },
    #[error("the lookup was given up: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// The lookups of one probe.
#[derive(Debug, Clone, Default)]
pub(super) struct Lookup {
    busy: Arc<AtomicBool>,
}

/// Frees the probe's place when its lookup has returned, however late.
struct Place(Arc<AtomicBool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Lookup {
    /// The addresses of the host.
    pub(super) async fn addresses(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(LookupError::Busy);
        }
        let place = Place(Arc::clone(&self.busy));
        let lookup = move || {
            let _place = place;
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            found.map_err(|error| LookupError::Failed { name, error })
        };
        tokio::task::spawn_blocking(lookup).await?
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
