//! One question to one target.

use super::blocking::Blocking;
use super::lookup::{Lookup, LookupError};
use super::trust::{self, HostRoots, Shown};
use flatline_sources::probes::{Failure, Place, Target, Verdict, judge};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use std::error::Error;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What came of it, as far as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) failure: Option<Failure>,
    pub(super) status: Option<u16>,
    pub(super) matched: Option<bool>,
    pub(super) capture: Option<String>,
}

/// A failure with the words for the log.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) detail: String,
}

/// Asks one target, again and again.
#[derive(Debug)]
pub(super) struct Prober {
    pub(super) target: Arc<Target>,
    pub(super) shown: Shown,
    means: Means,
    judging: Blocking,
}

#[derive(Debug)]
enum Means {
    Http(Client, Url),
    Tcp(Lookup, String, u16),
}

impl Prober {
    /// # Errors
    /// When the target's file of certificates is no good.
    pub(super) fn new(target: Target, roots: &mut HostRoots) -> Result<Self, String> {
        let shown = Shown::default();
        let means = match &target.place {
            Place::Tcp { host, port } => Means::Tcp(Lookup::default(), host.clone(), *port),
            Place::Http(url) => Means::Http(client(&target, roots, &shown)?, url.clone()),
        };
        Ok(Self { target: Arc::new(target), shown, means, judging: Blocking::default() })
    }

    /// Asks once; gives up at the target's deadline.
    pub(super) async fn ask(&self) -> (Answer, Option<Trouble>) {
        let mut answer = Answer::default();
        // What is known when the deadline passes stays known.
        let outcome = tokio::time::timeout(self.target.timeout, self.ask_patiently(&mut answer)).await;
        let trouble = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(trouble)) => Some(trouble),
            Err(_) => Some(Trouble {
                failure: Failure::Timeout,
                detail: format!("no whole answer within {}", humantime::format_duration(self.target.timeout)),
            }),
        };
        answer.failure = trouble.as_ref().map(|trouble| trouble.failure);
        (answer, trouble)
    }

    async fn ask_patiently(&self, answer: &mut Answer) -> Result<(), Trouble> {
        match &self.means {
            Means::Tcp(lookup, host, port) => connect(lookup, host, *port).await,
            Means::Http(client, url) => self.get(client, url, answer).await,
        }
    }

    async fn get(&self, client: &Client, url: &Url, answer: &mut Answer) -> Result<(), Trouble> {
        let response = client.get(url.clone()).send().await.map_err(Trouble::from)?;
        let status = response.status().as_u16();
        answer.status = Some(status);
        let body = self.body(response).await?;
        let verdict = self.judge(status, body).await?;
        answer.matched = verdict.matched;
        answer.capture = verdict.capture;
        verdict.failure.map_or(Ok(()), |failure| Err(Trouble { failure, detail: describe(failure, status) }))
    }

    /// A regular expression takes seconds for megabytes of what it is bad at: not on the thread of all probes, and not
    /// beyond the deadline.
    async fn judge(&self, status: u16, body: Vec<u8>) -> Result<Verdict, Trouble> {
        if self.target.body.is_none() {
            return Ok(judge(&self.target, status, &body));
        }
        let target = Arc::clone(&self.target);
        let verdict = self.judging.run(move || judge(&target, status, &body)).await;
        verdict.map_err(|error| Trouble { failure: Failure::Timeout, detail: format!("matching the body: {error}") })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let limit = self.target.max_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Trouble::from)? {
            if chunk.len() > limit - body.len() {
                return Err(Trouble {
                    failure: Failure::TooLarge,
                    detail: format!("the body is longer than {limit} bytes; if that is right, raise max-bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn client(target: &Target, roots: &mut HostRoots, shown: &Shown) -> Result<Client, String> {
    let redirects = match target.max_redirects {
        0 => Policy::none(),
        most => Policy::limited(most),
    };
    Client::builder()
        .tls_backend_preconfigured(trust::config(target, roots, shown)?)
        .dns_resolver(Lookup::default())
        .redirect(redirects)
        // Each probe goes the whole way, and what the environment says about proxies is for others.
        .no_proxy()
        .pool_max_idle_per_host(0)
        .retry(reqwest::retry::never())
        .http1_only()
        .referer(false)
        .user_agent(concat!("flatline-exporter/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| chain(&error))
}

async fn connect(lookup: &Lookup, host: &str, port: u16) -> Result<(), Trouble> {
    let lost = |error: &LookupError| Trouble { failure: Failure::Lookup, detail: error.to_string() };
    let addresses = lookup.addresses(host.to_owned(), port).await.map_err(|error| lost(&error))?;
    let mut refused = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) => refused = Some(format!("{address}: {error}")),
        }
    }
    Err(Trouble { failure: Failure::Connect, detail: refused.unwrap_or_else(|| format!("{host} has no address")) })
}

fn describe(failure: Failure, status: u16) -> String {
    match failure {
        Failure::Body => "the body does not match".to_owned(),
        _ => format!("status {status}"),
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        // Its query may hold what does not belong in a log.
        let error = error.without_url();
        let failure = if error.is_redirect() {
            Failure::Redirect
        } else if caused_by(&error, <dyn Error>::is::<LookupError>) {
            Failure::Lookup
        } else if caused_by(&error, <dyn Error>::is::<rustls::Error>) || hung_up(&error) {
            Failure::Tls
        } else if error.is_connect() {
            Failure::Connect
        } else {
            Failure::Protocol
        };
        Self { failure, detail: chain(&error) }
    }
}

/// The causes, outermost first. An I/O error names as its cause the cause of what it wraps, and skips that itself.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn caused_by(error: &(dyn Error + 'static), test: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    causes(error).any(test)
}

/// Whether the other side took the connection and hung up on the handshake: what speaks no TLS does that.
fn hung_up(error: &reqwest::Error) -> bool {
    let eof = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    };
    error.is_connect() && caused_by(error, eof)
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = causes(error).map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}
