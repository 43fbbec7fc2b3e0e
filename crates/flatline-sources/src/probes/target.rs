//! One probe as the operator writes it: `NAME=URL`, or `NAME={"url": URL, ...}`, which is what the configuration file's
//! mapping of that name becomes.

use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use url::{Host, Url};

const KEYS: &[&str] = &["url", "status", "body", "interval", "timeout", "max-bytes", "max-redirects", "ca-file"];
const MAX_NAME: usize = 64;
const MAX_URL: usize = 1024;
/// Compiled patterns may be so large; longer ones are certainly not meant.
const MAX_REGEX_BYTES: usize = 1 << 20;
const INTERVAL: Duration = Duration::from_secs(30);
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
const BYTES: usize = 1 << 20;
const MAX_BYTES: RangeInclusive<usize> = 1..=4 << 20;
const REDIRECTS: usize = 5;
const MAX_REDIRECTS: RangeInclusive<usize> = 0..=20;

/// One probe.
#[derive(Debug, Clone)]
pub struct Target {
    /// The label `probe`: letters, digits, `.`, `_`, `-`, at most 64.
    pub name: String,
    /// Whom to ask.
    pub place: Place,
    /// Statuses that are good; 200 to 299 unless told.
    pub statuses: Statuses,
    /// What the body must match, anywhere in it.
    pub body: Option<Regex>,
    /// How often it is asked; 30 s unless told.
    pub interval: Duration,
    /// How long it may take in all, never longer than the interval; 5 s unless told.
    pub timeout: Duration,
    /// Longest body that is read; 1 MiB unless told, 4 MiB at most.
    pub max_bytes: usize,
    /// Redirects that are followed; 5 unless told, 20 at most.
    pub max_redirects: usize,
    /// The certificates to trust instead of the host's.
    pub ca_file: Option<PathBuf>,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An HTTP or HTTPS resource.
    Http(Url),
    /// A TCP port that must take a connection.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Place {
    /// Without query and fragment, which may hold what nobody should see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => {
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                url.port().map_or(Ok(()), |port| write!(f, ":{port}"))?;
                f.write_str(url.path())
            }
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// HTTP statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl Statuses {
    /// Whether the status is among them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|part| range(part.trim()))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| format!("status: `{text}` is none; write it like 200, 200-299 or 200,401 (100 to 599)"))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range: RangeInclusive<u16> = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    (*range.start() >= 100 && range.start() <= range.end() && *range.end() <= 599).then_some(range)
}

/// A probe that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {detail}")]
pub struct TargetError {
    /// The probe's name, or what stands in its place.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (name, spec) = text.split_once('=').unwrap_or((text, ""));
        parse(name, spec).map_err(|detail| TargetError { name: name.chars().take(MAX_NAME).collect(), detail })
    }
}

fn parse(name: &str, spec: &str) -> Result<Target, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(legal) {
        return Err("the name must be of A-Z a-z 0-9 . _ - and at most 64".to_owned());
    }
    let keys = keys(spec)?;
    let place = place(keys.get("url").ok_or("has no url")?)?;
    check_keys(&keys, &place)?;
    let interval = duration(&keys, "interval", &INTERVALS)?.unwrap_or(INTERVAL);
    let timeout = duration(&keys, "timeout", &TIMEOUTS)?;
    if timeout.is_some_and(|timeout| timeout > interval) {
        return Err("timeout: is longer than the interval; the next probe would be due before this one ends".to_owned());
    }
    Ok(Target {
        name: name.to_owned(),
        place,
        statuses: keys.get("status").map_or_else(|| Ok(Statuses::default()), |text| text.parse())?,
        body: keys.get("body").map(|text| regex(text)).transpose()?,
        interval,
        timeout: timeout.unwrap_or(TIMEOUT.min(interval)),
        max_bytes: number(&keys, "max-bytes", &MAX_BYTES)?.unwrap_or(BYTES),
        max_redirects: number(&keys, "max-redirects", &MAX_REDIRECTS)?.unwrap_or(REDIRECTS),
        ca_file: keys.get("ca-file").map(PathBuf::from),
    })
}

type Keys = BTreeMap<String, String>;

fn keys(spec: &str) -> Result<Keys, String> {
    if spec.starts_with('{') {
        return serde_json::from_str(spec).map_err(|error| format!("is no mapping of keys to values: {error}"));
    }
    Ok([("url".to_owned(), spec.to_owned())].into())
}

fn check_keys(keys: &Keys, place: &Place) -> Result<(), String> {
    let tcp = matches!(place, Place::Tcp { .. });
    for key in keys.keys() {
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("unknown key `{key}`; there are {}", KEYS.join(", ")));
        }
        if tcp && !["url", "interval", "timeout"].contains(&key.as_str()) {
            return Err(format!("{key}: means nothing to a TCP probe"));
        }
    }
    Ok(())
}

fn place(text: &str) -> Result<Place, String> {
    let fail = |detail: &str| Err(format!("url: `{text}` {detail}"));
    if text.len() > MAX_URL {
        return Err(format!("url: is longer than {MAX_URL}"));
    }
    let Ok(url) = Url::parse(text) else {
        return fail("is no URL; write it like https://host/path, http://host:8080/health or tcp://host:22");
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: an error goes to the log.
        return Err("url: must not hold a user or a password".to_owned());
    }
    match (url.scheme(), url.host(), url.port()) {
        ("http" | "https", Some(_), _) => Ok(Place::Http(url)),
        ("tcp", Some(host), Some(port)) if ["", "/"].contains(&url.path()) => {
            let host = match host {
                Host::Domain(name) => name.to_owned(),
                Host::Ipv4(address) => address.to_string(),
                Host::Ipv6(address) => address.to_string(),
            };
            Ok(Place::Tcp { host, port })
        }
        ("tcp", ..) => fail("must be tcp://HOST:PORT"),
        _ => fail("must be http, https or tcp"),
    }
}

fn duration(keys: &Keys, key: &str, bounds: &RangeInclusive<Duration>) -> Result<Option<Duration>, String> {
    let Some(text) = keys.get(key) else { return Ok(None) };
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{key}: {error}; write it like 30s or 5m"))?;
    let show = humantime::format_duration;
    let outside = || format!("{key}: must be between {} and {}", show(*bounds.start()), show(*bounds.end()));
    bounds.contains(&duration).then_some(Some(duration)).ok_or_else(outside)
}

fn number(keys: &Keys, key: &str, bounds: &RangeInclusive<usize>) -> Result<Option<usize>, String> {
    let Some(text) = keys.get(key) else { return Ok(None) };
    let within = text.parse().ok().filter(|number| bounds.contains(number));
    within.map(Some).ok_or_else(|| format!("{key}: must be a number between {} and {}", bounds.start(), bounds.end()))
}

fn regex(text: &str) -> Result<Regex, String> {
    // A page is bytes, and need not be UTF-8.
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    let limits = Config::new().utf8_empty(false).nfa_size_limit(Some(MAX_REGEX_BYTES));
    Regex::builder().syntax(syntax).configure(limits).build(text).map_err(|error| {
        let reason = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
        format!("body: {}", reason.replace('\n', " "))
    })
}
