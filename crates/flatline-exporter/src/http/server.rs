//! The accept loop: plain TCP or TLS, HTTP/1.1, bounded in connections, headers and patience.

use super::stream::{ANSWER_WITHIN, Impatient};
use axum::Router;
use flatline_web::Reloader;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections open at once; further ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 512;
/// A request's headers must be complete this long after the connection is ready for them. It is also how
/// long an idle connection is kept, so it is longer than the usual scrape interval.
const HEADERS_WITHIN: Duration = Duration::from_secs(75);
/// A TLS handshake must be done by then.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Pause after `accept` failed, so that an exhausted descriptor table is no busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Most bytes of request head that are read.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// What all connections share.
#[derive(Clone)]
pub struct Server {
    router: Router,
    web: Option<Arc<Reloader>>,
    connections: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Server {
    /// A server that ends its connections once `stopping` is true.
    pub fn new(
        router: Router,
        web: Option<Arc<Reloader>>,
        max_connections: usize,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { router, web, connections: Arc::new(Semaphore::new(max_connections)), stopping }
    }

    /// Accepts until told to stop.
    pub async fn accept(self, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        let mut faulty = false;
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    faulty = false;
                    tokio::spawn(self.clone().serve(stream, peer, permit));
                }
                Err(error) => {
                    if !std::mem::replace(&mut faulty, true) {
                        tracing::warn!(%error, "connections can't be accepted; still trying");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        let outcome = match self.tls() {
            None => self.http(stream).await,
            Some(acceptor) => match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.http(stream).await,
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("TLS handshake took too long".to_owned()),
            },
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, error, "connection ended");
        }
    }

    fn tls(&self) -> Option<TlsAcceptor> {
        self.web.as_ref()?.current().tls().map(TlsAcceptor::from)
    }

    async fn http<S>(mut self, stream: S) -> Result<(), String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(Impatient::new(stream, ANSWER_WITHIN));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(stream, TowerToHyperService::new(self.router.clone()))
        );
        let finished = tokio::select! {
            outcome = connection.as_mut() => Some(outcome),
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
        };
        let outcome = match finished {
            Some(outcome) => outcome,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        outcome.map_err(|error| error.to_string())
    }
}

/// Hands a listener to tokio.
///
/// # Errors
/// What the system says.
pub fn into_tokio(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
