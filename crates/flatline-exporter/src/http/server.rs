//! The accept loop: plain TCP or TLS, HTTP/1.1, bounded in connections, headers and patience.

use super::connections::{Connection, Connections};
use super::stream::{ANSWER_WITHIN, Impatient};
use axum::Router;
use flatline_web::Reloader;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections open at once. For a further one somebody who waits for a request has to go.
pub const MAX_CONNECTIONS: usize = 512;
/// How many have to go at once: whoever opens connections in a flood must not be faster than room is made.
const ROOM: usize = 32;
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
    places: Arc<Semaphore>,
    connections: Arc<Connections>,
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
        let places = Arc::new(Semaphore::new(max_connections));
        Self { router, web, places, connections: Arc::default(), stopping }
    }

    /// Accepts until told to stop.
    pub async fn accept(self, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        let mut faulty = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    faulty = false;
                    let place = tokio::select! {
                        place = self.place() => place,
                        _ = stopping.wait_for(|stopping| *stopping) => return,
                    };
                    let Some(place) = place else { return };
                    tokio::spawn(self.clone().serve(stream, peer, place));
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

    /// A place among the connections, made by asking somebody to go where there is none.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.connections.make_room(ROOM);
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        let entered = self.connections.enter();
        let connection = Arc::clone(&entered.connection);
        let outcome = match self.tls() {
            None => self.http(stream, connection).await,
            Some(acceptor) => match shake_hands(&acceptor, stream, &connection).await {
                Ok(stream) => self.http(stream, connection).await,
                Err(reason) => Err(reason),
            },
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, error, "connection ended");
        }
    }

    fn tls(&self) -> Option<TlsAcceptor> {
        self.web.as_ref()?.current().tls().map(TlsAcceptor::from)
    }

    async fn http<S>(mut self, stream: S, known: Arc<Connection>) -> Result<(), String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(Impatient::new(stream, Arc::clone(&known), ANSWER_WITHIN));
        let service = Noting { inner: TowerToHyperService::new(self.router.clone()), known: Arc::clone(&known) };
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(stream, service)
        );
        let finished = tokio::select! {
            outcome = connection.as_mut() => Some(outcome),
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
            () = known.asked_to_go() => {
                if known.waits() {
                    return Err("had to go: others want to be served".to_owned());
                }
                None
            }
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

/// Makes a TLS connection of one, unless the client takes too long or its place is wanted by others.
async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    known: &Connection,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, String> {
    tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)) => match shaken {
            Ok(shaken) => shaken.map_err(|error| error.to_string()),
            Err(_) => Err("TLS handshake took too long".to_owned()),
        },
        () = known.asked_to_go() => Err("had to go before its TLS handshake was done".to_owned()),
    }
}

/// Notes which connection is being answered.
struct Noting<S> {
    inner: S,
    known: Arc<Connection>,
}

impl<R, S: Service<R>> Service<R> for Noting<S>
where
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, request: R) -> Self::Future {
        let being_answered = self.known.request();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(being_answered);
            answer
        })
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
