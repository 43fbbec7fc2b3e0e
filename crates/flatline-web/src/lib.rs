//! The web configuration file shared by the exporters of the Prometheus world: TLS, client
//! certificates, users with bcrypt hashes, and response headers. The format is the
//! [exporter-toolkit's](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
//!
//! It is stricter than the toolkit where the toolkit would serve something else than was written:
//! - unknown and repeated keys, a bcrypt hash that is none, and unreadable certificates are errors at load;
//! - a `tls_server_config` without a certificate is an error, not plain HTTP;
//! - a client certificate is verified against the configured CA only, never the system's;
//! - `rate_limit` is refused, because nothing would enforce it.
//!
//! And it differs where rustls does: TLS 1.2 and 1.3 only, no CBC cipher suites, no P-521;
//! naming TLS 1.3 suites in `cipher_suites` restricts TLS 1.3 to them. `http2` is accepted and
//! without effect: only HTTP/1.1 is spoken.

mod auth;
mod client;
mod error;
mod files;
mod headers;
mod reload;
mod schema;
mod tls;

pub use auth::{Auth, MAX_HEADER_BYTES};
pub use error::ConfigError;
pub use reload::{INTERVAL, Reloader};

use auth::Users;
use error::Problem;
use files::Files;
use http::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use std::path::Path;
use std::sync::Arc;

/// One version of the configuration, with everything read and judged.
///
/// Its debug output shows no secret.
pub struct WebConfig {
    tls: Option<Arc<ServerConfig>>,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    notices: Vec<String>,
}

impl WebConfig {
    /// Reads the file, and the certificates and keys that it names relative to its own folder.
    ///
    /// # Errors
    /// When any of the files can't be read or used, with the line and the remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_from(path).0
    }

    /// Also tells which files were read, whatever came of it.
    pub(crate) fn load_from(path: &Path) -> (Result<Self, ConfigError>, Files) {
        let mut files = Files::beside(path);
        let config = Self::read(path, &mut files).map_err(|problem| problem.in_file(path));
        (config, files)
    }

    fn read(path: &Path, files: &mut Files) -> Result<Self, Problem> {
        let content = files.read(path).map_err(Problem::of_file)?;
        Self::judge(schema::parse(&content)?, files)
    }

    fn judge(file: schema::File, files: &mut Files) -> Result<Self, Problem> {
        if let Some(limit) = &file.rate_limit {
            let reason = "rate_limit is not supported; remove it, the exporter bounds concurrent scrapes by a flag";
            return Err(Problem::at(limit.referenced.line(), reason));
        }
        let mut notices = Vec::new();
        let headers = file.http_server_config.and_then(|http| http.headers);
        let users = file.basic_auth_users.unwrap_or(schema::Entries(Vec::new()));
        let tls = file.tls_server_config.as_ref();
        Ok(Self {
            tls: tls.map(|section| tls::Builder::new(section, files, &mut notices).build()).transpose()?,
            users: Users::check(&users)?,
            headers: headers.as_ref().map_or_else(|| Ok(Vec::new()), headers::check)?,
            notices,
        })
    }

    /// What to serve TLS with; `None` is plain HTTP.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// How many users may log in; with none, no credentials are asked for.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.count()
    }

    /// Headers for every response.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// What the file asks for and gets otherwise, or what it leaves unprotected, each a sentence for the log.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The verdict on an `Authorization` header where it is known without bcrypt; microseconds.
    /// `None` asks for [`WebConfig::check_slow`].
    #[must_use]
    pub fn check_cached(&self, authorization: Option<&[u8]>) -> Option<Auth> {
        self.users.check_cached(authorization)
    }

    /// The verdict on an `Authorization` header, by bcrypt where it is not known yet: some 60 ms or
    /// more of CPU time, one check at a time. Never call it on an async thread.
    #[must_use]
    pub fn check_slow(&self, authorization: Option<&[u8]>) -> Auth {
        self.users.check_slow(authorization)
    }
}

impl std::fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebConfig")
            .field("tls", &self.tls.is_some())
            .field("users", &self.users)
            .field("headers", &self.headers)
            .field("notices", &self.notices)
            .finish()
    }
}

/// Whatever stands in the configuration file, and whatever a client sends. An error names a line that there is.
#[cfg(fuzzing)]
pub fn fuzz(content: &[u8]) {
    let problem = schema::parse(content).err().map(|problem| problem.in_file(Path::new("web.yml")));
    if let Some(ConfigError::Line { line, .. }) = problem {
        // YAML counts the end of the last line as a line.
        let lines = content.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
        assert!(line <= lines + 2, "line {line} of {lines}");
    }
    auth::fuzz(content);
    client::fuzz(content);
}
