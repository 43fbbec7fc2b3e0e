//! What is served: `/metrics`, the landing page and the two probes.

mod connections;
mod landing;
pub mod listen;
pub mod server;
mod stream;

pub use connections::Connections;

use crate::exposition::{self, Format};
use crate::scheduler::{Report, Scheduler};
use crate::self_metrics::SelfMetrics;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use flatline_web::{Auth, Reloader, WebConfig};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The header by which Prometheus says how long it waits.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Kept back from Prometheus's timeout for encoding and the way home.
const MARGIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Passwords that are being checked or wait for it. One takes some 60 ms, so the last waits about a second; without a bound
/// whoever sends wrong ones and leaves would keep those that nobody has seen yet waiting for ever.
pub const MAX_PASSWORD_CHECKS: usize = 16;
/// Answer buffers kept for the next scrape.
const KEPT_BUFFERS: usize = 2;
/// A larger one is not kept: a single scrape that was so long would cost its memory for good. 5,000 cgroups with 165,000
/// series stay below, as allocating tens of megabytes at every scrape is what a throttled host can't do.
const KEPT_BUFFER_BYTES: usize = 32 << 20;

/// What the handlers need.
#[derive(Debug)]
pub struct App {
    /// The collectors.
    pub scheduler: Scheduler,
    /// The exporter's own counters.
    pub self_metrics: SelfMetrics,
    /// TLS and users.
    pub web: Option<Arc<Reloader>>,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// How long a scrape waits for late collectors.
    pub deadline: Duration,
    /// Whether to compress for clients that accept it.
    pub gzip: bool,
    /// One permit a scrape; `None` is no limit.
    pub scrapes: Option<Arc<Semaphore>>,
    /// The limit behind `scrapes`, for the message.
    pub max_requests: usize,
    /// Set once all collectors have started, or their time for that is over.
    pub ready: AtomicBool,
    /// Buffers of answered scrapes.
    pub buffers: Arc<Buffers>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// One permit a password that is checked or waits for it.
    pub password_checks: Arc<Semaphore>,
}

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(landing_page))
        .route("/-/healthy", get(|| async { "Healthy\n" }))
        .route("/-/ready", get(ready))
        .route(&app.telemetry_path, get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here; see / for what there is.\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Users first, then the answer, then the configured headers; every answer is counted.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(web) = app.web.as_ref().map(|web| web.current()) else {
        return count(&app, next.run(request).await);
    };
    let header = request.headers().get(AUTHORIZATION).map(|header| header.as_bytes().to_vec());
    let mut response = match app.judge(&web, header).await {
        Some(Auth::Granted) => next.run(request).await,
        Some(Auth::Denied) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"flatline\"")], "Unauthorized\n")
                .into_response()
        }
        None => {
            let reason = "Too many passwords are being checked, try again later.\n";
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], reason).into_response()
        }
    };
    for (name, value) in web.headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    count(&app, response)
}

fn count(app: &App, response: Response) -> Response {
    app.self_metrics.count_request(response.status().as_u16());
    response
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.ready.load(Ordering::Relaxed) {
        "Ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Collectors are still starting\n").into_response()
    }
}

async fn landing_page(State(app): State<Arc<App>>) -> Response {
    let Ok(_permit) = app.permit().await else { return app.too_many() };
    let reports = app.scheduler.scrape(|_| true, Instant::now() + app.deadline).await;
    Html(landing::page(&reports, &app.telemetry_path).into_string()).into_response()
}

async fn metrics(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let chosen = match Chosen::from_query(&query, &app.scheduler) {
        Ok(chosen) => chosen,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let Ok(permit) = app.permit().await else { return app.too_many() };
    let reports = app.scheduler.scrape(|name| chosen.has(name), deadline(&headers, app.deadline)).await;
    let format = Format::negotiate(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    match app.encode(reports, format, permit) {
        Ok(answer) => respond(answer, format, app.gzip && accepts_gzip(&headers)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn respond(answer: Answer, format: Format, gzip: bool) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    let body = match gzip.then(|| compress(answer.as_ref())).flatten() {
        Some(bytes) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Bytes::from_owner(answer.into_compressed(bytes))
        }
        None => Bytes::from_owner(answer),
    };
    *response.body_mut() = Body::from(body);
    response
}

fn compress(body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    // The fastest level: the default one costs five times the CPU for a few per cent.
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offers = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    offers.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next() == Some("gzip")
            && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// The exporter's own deadline, or Prometheus's less a margin if that is shorter.
fn deadline(headers: &HeaderMap, own: Duration) -> Instant {
    let theirs = headers
        .get(SCRAPE_TIMEOUT)
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|timeout| !timeout.is_zero())
        .map(|timeout| timeout.saturating_sub((timeout / 5).clamp(MARGIN.0, MARGIN.1)));
    Instant::now() + theirs.map_or(own, |theirs| theirs.min(own))
}

impl App {
    /// The verdict on an `Authorization` header; `None` where too many wait for theirs. Who is known never waits.
    async fn judge(&self, web: &Arc<WebConfig>, header: Option<Vec<u8>>) -> Option<Auth> {
        if let Some(auth) = web.check_cached(header.as_deref()) {
            return Some(auth);
        }
        let permit = Arc::clone(&self.password_checks).try_acquire_owned().ok()?;
        let web = Arc::clone(web);
        let check = tokio::task::spawn_blocking(move || {
            // The check's and not the request's: it is made even when the client has gone.
            let _permit = permit;
            web.check_slow(header.as_deref())
        });
        Some(check.await.unwrap_or(Auth::Denied))
    }

    /// A scrape's permit. Where there is none left, who does not take the answer to an earlier scrape has to go, or as many
    /// clients as there are permits could keep all scrapes away by never reading. That rather than a share for each
    /// address: one address may be many clients behind a proxy, and one client may have many addresses.
    async fn permit(&self) -> Result<Option<OwnedSemaphorePermit>, ()> {
        let Some(scrapes) = &self.scrapes else { return Ok(None) };
        loop {
            if let Ok(permit) = Arc::clone(scrapes).try_acquire_owned() {
                return Ok(Some(permit));
            }
            if !self.connections.end_a_laggard().await {
                return Err(());
            }
        }
    }

    fn too_many(&self) -> Response {
        let reason = format!("Limit of concurrent requests reached ({}), try again later.\n", self.max_requests);
        (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
    }

    /// The permit is kept until the last byte is with the kernel: what bounds the scrapes in flight bounds
    /// the memory their answers take.
    fn encode(
        &self,
        reports: Vec<Report>,
        format: Format,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer, std::fmt::Error> {
        let mut readings: Vec<_> = reports.iter().filter_map(|report| report.reading.clone()).collect();
        let reload = self.web.as_ref().map(|web| web.last_reload_successful());
        readings.push(Arc::new(self.self_metrics.reading(reports, reload)));
        let mut text = self.buffers.take();
        exposition::encode(readings, format, &mut text)?;
        Ok(Answer { text, buffers: Arc::clone(&self.buffers), permit })
    }
}

/// An answer under way.
struct Answer {
    text: String,
    buffers: Arc<Buffers>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Answer {
    /// These bytes in its stead, under the same permit; its buffer is free for the next scrape.
    fn into_compressed(mut self, bytes: Vec<u8>) -> Compressed {
        Compressed { bytes, _permit: self.permit.take() }
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.text));
    }
}

/// An answer under way, compressed.
struct Compressed {
    bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Compressed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Answer buffers to use again: in steady state a scrape allocates none.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<String>>);

impl Buffers {
    fn take(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, buffer: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_BUFFERS && buffer.capacity() <= KEPT_BUFFER_BYTES {
            kept.push(buffer);
        }
    }
}

/// The collectors a scrape is about.
#[derive(Debug)]
enum Chosen {
    All,
    Only(Vec<String>),
    Without(Vec<String>),
}

impl Chosen {
    /// Reads `collect[]` and `exclude[]`, as node_exporter has them.
    fn from_query(query: &[(String, String)], scheduler: &Scheduler) -> Result<Self, String> {
        let named = |key: &str| -> Vec<String> {
            query.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
        };
        let (only, without) = (named("collect[]"), named("exclude[]"));
        if let Some(unknown) = only.iter().chain(&without).find(|name| !scheduler.names().any(|known| known == *name)) {
            let known: Vec<_> = scheduler.names().collect();
            return Err(format!("unknown collector `{unknown}`; there are: {}\n", known.join(", ")));
        }
        match (only.is_empty(), without.is_empty()) {
            (true, true) => Ok(Self::All),
            (false, true) => Ok(Self::Only(only)),
            (true, false) => Ok(Self::Without(without)),
            (false, false) => Err("collect[] and exclude[] can't be combined\n".to_owned()),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|chosen| chosen == name),
            Self::Without(names) => !names.iter().any(|left_out| left_out == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Buffers, KEPT_BUFFER_BYTES, accepts_gzip, deadline, respond};
    use crate::exposition::Format;
    use axum::http::HeaderMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::sync::Semaphore;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("name"), value.parse().expect("value"))])
    }

    #[test]
    fn a_shorter_timeout_of_prometheus_wins_less_a_margin() {
        let own = Duration::from_millis(500);
        for (timeout, expected) in
            [("0.2", 160), ("10", 500), ("0.55", 440), ("nonsense", 500), ("-1", 500), ("0", 500)]
        {
            let before = Instant::now();
            let budget = deadline(&headers(super::SCRAPE_TIMEOUT, timeout), own) - before;
            let took = before.elapsed();
            let excess = budget.checked_sub(Duration::from_millis(expected)).expect("not earlier than promised");
            assert!(excess <= took, "{timeout}: {budget:?} after {took:?}");
        }
    }

    #[test]
    fn a_buffer_of_the_usual_size_is_kept() {
        let buffers = Buffers::default();
        buffers.give_back(String::with_capacity(KEPT_BUFFER_BYTES));
        buffers.give_back(String::with_capacity(KEPT_BUFFER_BYTES + 1));
        assert_eq!([buffers.take(), buffers.take()].map(|buffer| buffer.capacity()), [KEPT_BUFFER_BYTES, 0]);
    }

    #[test]
    fn gzip_only_where_it_is_accepted() {
        assert!(accepts_gzip(&headers("accept-encoding", "deflate, gzip;q=0.5")));
        assert!(!accepts_gzip(&headers("accept-encoding", "gzip;q=0, deflate")));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn an_answer_keeps_its_permit_as_long_as_its_bytes_compressed_or_not() {
        for gzip in [false, true] {
            let scrapes = Arc::new(Semaphore::new(1));
            let permit = Arc::clone(&scrapes).try_acquire_owned().ok();
            let answer = Answer { text: "up 1\n".to_owned(), buffers: Arc::new(Buffers::default()), permit };
            let response = respond(answer, Format::negotiate(None), gzip);
            assert_eq!(response.headers().contains_key("content-encoding"), gzip);
            assert_eq!(scrapes.available_permits(), 0, "gzip: {gzip}");
            drop(response);
            assert_eq!(scrapes.available_permits(), 1, "gzip: {gzip}");
        }
    }
}
