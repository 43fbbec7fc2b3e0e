//! Small HTTP peers on the loopback interface: a client, a server, and a relay that observes and forces negotiation.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tiny_http::{Header, Request, Response};

use crate::{Error, Result};

/// The longest body anybody here passes on.
const MOST: u64 = 256 << 20;

fn client() -> ureq::Agent {
    // Everything is on this machine, which may be busy, so no proxy of the environment applies.
    let timeout = Some(Duration::from_secs(60));
    ureq::Agent::config_builder().proxy(None).http_status_as_error(false).timeout_global(timeout).build().into()
}

/// Fetches JSON; other statuses than 200 are errors with the body.
pub(crate) fn get_json(url: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    let mut answer = client().get(url).query_pairs(parameters.iter().copied()).call().map_err(Error::peer(url))?;
    let body = answer.body_mut().with_config().limit(MOST).read_to_string().map_err(Error::peer(url))?;
    if answer.status() != 200 {
        return Err(Error::peer(url)(format!("{}: {body}", answer.status())));
    }
    serde_json::from_str(&body).map_err(Error::peer(url))
}

/// Whether this answers 200.
pub(crate) fn answers(url: &str) -> bool {
    client().get(url).call().is_ok_and(|answer| answer.status() == 200)
}

/// Posts nothing and expects 200.
pub(crate) fn post(url: &str) -> Result<()> {
    let mut answer = client().post(url).send_empty().map_err(Error::peer(url))?;
    if answer.status() == 200 {
        return Ok(());
    }
    Err(Error::peer(url)(answer.body_mut().read_to_string().unwrap_or_default()))
}

/// A server on a free port of the loopback interface, with one thread, stopped on drop.
pub(crate) struct Server {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(mut answer: impl FnMut(Request) + Send + 'static) -> Result<Self> {
        let server = tiny_http::Server::http("127.0.0.1:0").map(Arc::new).map_err(Error::peer("HTTP server"))?;
        let address = server.server_addr().to_ip().ok_or_else(|| Error::peer("HTTP server")("not on an IP address"))?;
        let serving = Arc::clone(&server);
        let thread = std::thread::spawn(move || serving.incoming_requests().for_each(&mut answer));
        Ok(Self { server, address, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Server({})", self.address)
    }
}

/// Whatever the peer did with the answer is its own affair.
pub(crate) fn respond(request: Request, status: u16, content_type: &str, body: impl Into<Vec<u8>>) {
    let response = Response::from_data(body).with_status_code(status);
    let _ = request.respond(match Header::from_bytes("Content-Type", content_type) {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    });
}

/// Serves one body, which can be changed while it runs, at every path.
#[derive(Debug)]
pub struct StaticServer {
    server: Server,
    body: Arc<Mutex<String>>,
}

impl StaticServer {
    /// Serves `body` with this Content-Type.
    pub fn start(content_type: &str, body: &str) -> Result<Self> {
        let shared = Arc::new(Mutex::new(body.to_owned()));
        let (served, content_type) = (Arc::clone(&shared), content_type.to_owned());
        let server = Server::start(move |request| {
            let body = served.lock().unwrap_or_else(PoisonError::into_inner).clone();
            respond(request, 200, &content_type, body);
        })?;
        Ok(Self { server, body: shared })
    }

    /// Serves this from now on.
    pub fn set(&self, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// One exchange that went through a [`Relay`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Path and query.
    pub path: String,
    /// The client's `Accept` header, before it was replaced.
    pub accept: String,
    /// The upstream's status; 502 where it could not be reached.
    pub status: u16,
    /// The upstream's `Content-Type`.
    pub content_type: String,
}

/// An upstream's answer, read whole.
type Answer = Response<std::io::Cursor<Vec<u8>>>;

/// Stands between Prometheus and a target: records what they negotiate, and can force the format by replacing the
/// `Accept` header, which this Prometheus (2.42) has no setting for.
#[derive(Debug)]
pub struct Relay {
    server: Server,
    exchanges: Arc<Mutex<Vec<Relayed>>>,
}

impl Relay {
    /// Relays GET requests to `upstream`; `accept` replaces the client's `Accept` header.
    pub fn start(upstream: SocketAddr, accept: Option<&str>) -> Result<Self> {
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let (record, accept) = (Arc::clone(&exchanges), accept.map(str::to_owned));
        let server = Server::start(move |request| {
            let (relayed, answer) = fetch(&request, upstream, accept.as_deref());
            // Recorded before it is passed on: whoever has the answer finds the exchange.
            record.lock().unwrap_or_else(PoisonError::into_inner).push(relayed);
            match answer {
                Ok(response) => drop(request.respond(response)),
                Err(error) => respond(request, 502, "text/plain", error.to_string()),
            }
        })?;
        Ok(Self { server, exchanges })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// All exchanges so far.
    pub fn exchanges(&self) -> Vec<Relayed> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the upstream answers to this, and what there is to record about it.
fn fetch(request: &Request, upstream: SocketAddr, accept: Option<&str>) -> (Relayed, Result<Answer, ureq::Error>) {
    let mut relayed = Relayed { path: request.url().to_owned(), status: 502, ..Relayed::default() };
    let mut forward = client().get(format!("http://{upstream}{}", request.url()));
    for header in request.headers() {
        let (name, value) = (header.field.as_str().as_str(), header.value.as_str());
        match name.to_ascii_lowercase().as_str() {
            "accept" => value.clone_into(&mut relayed.accept),
            "host" | "connection" => {}
            _ => forward = forward.header(name, value),
        }
    }
    let answer = forward.header("Accept", accept.unwrap_or(&relayed.accept)).call();
    let response = answer.and_then(|mut answer| {
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        relayed.status = answer.status().as_u16();
        header("content-type").clone_into(&mut relayed.content_type);
        let headers = [
            ("Content-Type", relayed.content_type.clone()),
            ("Content-Encoding", header("content-encoding").to_owned()),
        ];
        let mut response = Response::from_data(answer.body_mut().with_config().limit(MOST).read_to_vec()?);
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        Ok(response.with_status_code(relayed.status))
    });
    (relayed, response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_forces_and_records() {
        let heard = Arc::new(Mutex::new(String::new()));
        let hearing = Arc::clone(&heard);
        let upstream = Server::start(move |request| {
            let accept = request.headers().iter().find(|header| header.field.equiv("Accept"));
            *hearing.lock().unwrap() = accept.unwrap().value.to_string();
            respond(request, 200, "application/json", "{\"a\":1}");
        })
        .unwrap();
        let relay = Relay::start(upstream.address(), Some("text/plain")).unwrap();
        let body = get_json(&format!("http://{}/metrics", relay.address()), &[("x", "a b")]).unwrap();
        assert_eq!(body["a"], 1);
        assert_eq!(*heard.lock().unwrap(), "text/plain");
        let exchange = &relay.exchanges()[0];
        assert_eq!((exchange.path.as_str(), exchange.status), ("/metrics?x=a%20b", 200));
        assert_eq!((exchange.accept.as_str(), exchange.content_type.as_str()), ("*/*", "application/json"));
    }

    #[test]
    fn an_absent_upstream_is_a_bad_gateway() {
        let gone = StaticServer::start("text/plain", "").unwrap().address();
        let relay = Relay::start(gone, None).unwrap();
        let error = get_json(&format!("http://{}/", relay.address()), &[]).unwrap_err();
        assert!(error.to_string().contains("502"), "{error}");
    }
}
