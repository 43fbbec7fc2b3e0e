//! The accept loop: plain TCP or TLS, HTTP/1.1, bounded in connections, headers and patience.

use super::App;
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
use tokio::time::Instant;
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
/// How often it is said that `accept` fails: with few descriptors it may fail and succeed by turns.
const WARN_EVERY: Duration = Duration::from_secs(60);
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
    pub fn new(app: Arc<App>, max_connections: usize, stopping: watch::Receiver<bool>) -> Self {
        let (web, connections) = (app.web.clone(), Arc::clone(&app.connections));
        let places = Arc::new(Semaphore::new(max_connections));
        Self { router: super::router(app), web, places, connections, stopping }
    }

    /// Accepts until told to stop.
    pub async fn accept(self, listener: TcpListener) {
        let mut stopping = self.stopping.clone();
        let mut warned: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let place = tokio::select! {
                        place = self.place() => place,
                        _ = stopping.wait_for(|stopping| *stopping) => return,
                    };
                    let Some(place) = place else { return };
                    tokio::spawn(self.clone().serve(stream, peer, place));
                }
                Err(error) => {
                    if warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
                        tracing::warn!(%error, "connections can't be accepted; still trying");
                        warned = Some(Instant::now());
                    }
                    self.recover(&error).await;
                }
            }
        }
    }

    /// Waits a while after `accept` failed. Where descriptors are wanting, somebody has to go, and then it waits no longer:
    /// they are out before the places are where the limit is low or others have taken them.
    async fn recover(&self, error: &io::Error) {
        if is_without_descriptors(error) {
            let _ = tokio::time::timeout(ACCEPT_RETRY, self.connections.room_made(ROOM)).await;
        } else {
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }

    /// A place among the connections, made by asking somebody to go where there is none.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            self.connections.make_room(ROOM);
            // Asked again after a while: nobody may have been there yet who could go.
            let place = tokio::time::timeout(ACCEPT_RETRY, Arc::clone(&self.places).acquire_owned()).await;
            if let Ok(place) = place {
                return place.ok();
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        let entered = self.connections.enter();
        let outcome = tokio::select! {
            outcome = self.talk(stream, Arc::clone(&entered.connection)) => outcome,
            () = entered.connection.is_cut_off() => Err("did not take its answer while others wanted one".to_owned()),
        };
        if let Err(error) = outcome {
            tracing::debug!(%peer, error, "connection ended");
        }
    }

    async fn talk(self, stream: TcpStream, known: Arc<Connection>) -> Result<(), String> {
        match self.tls() {
            None => self.http(stream, known).await,
            Some(acceptor) => self.http(shake_hands(&acceptor, stream, &known).await?, known).await,
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

/// Whether the process or the host has no file descriptor left; one of ours would help in either case.
fn is_without_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Hands a listener to tokio.
///
/// # Errors
/// What the system says.
pub fn into_tokio(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::Server;
    use axum::Router;
    use axum::routing::get;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::{Semaphore, watch};

    /// A client of a server that runs as long as the sender is kept.
    fn client() -> (DuplexStream, watch::Sender<bool>) {
        let (stop, stopping) = watch::channel(false);
        let router = Router::new().route("/", get(|| async { "here" }));
        let places = Arc::new(Semaphore::new(1));
        let server = Server { router, web: None, places, connections: Arc::default(), stopping };
        let (client, stream) = tokio::io::duplex(64 * 1024);
        tokio::spawn(server.http(stream, Arc::default()));
        (client, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_never_finished_is_ended_however_busily_it_drips() {
        let (mut client, _stop) = client();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("open");
        while client.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("ended");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_answered_and_then_says_nothing_is_ended() {
        let (mut client, _stop) = client();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("answered, and ended");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    }
}
