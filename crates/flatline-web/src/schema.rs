//! The file as written: keys, values and their lines, nothing judged yet.

use crate::error::{Problem, shown, unknown};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_yaml::{Error, Options, Spanned, budget};
use std::fmt;

/// Deepest sensible nesting is three; the parser must not use up a small stack.
const MAX_DEPTH: usize = 16;

/// A string and its line.
pub(crate) type Text = Spanned<String>;
/// A list of strings and the line of each.
pub(crate) type List = Spanned<Vec<Text>>;

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) tls_server_config: Option<Spanned<Tls>>,
    pub(crate) http_server_config: Option<Http>,
    pub(crate) basic_auth_users: Option<Entries<Secret>>,
    pub(crate) rate_limit: Option<Spanned<IgnoredAny>>,
}

/// The section `tls_server_config`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) cert: Option<Text>,
    pub(crate) key: Option<Spanned<Secret>>,
    pub(crate) client_ca: Option<Text>,
    pub(crate) cert_file: Option<Text>,
    pub(crate) key_file: Option<Text>,
    pub(crate) client_auth_type: Option<Text>,
    pub(crate) client_ca_file: Option<Text>,
    pub(crate) client_allowed_sans: Option<List>,
    pub(crate) min_version: Option<Text>,
    pub(crate) max_version: Option<Text>,
    pub(crate) cipher_suites: Option<List>,
    pub(crate) prefer_server_cipher_suites: Option<bool>,
    pub(crate) curve_preferences: Option<List>,
}

/// The section `http_server_config`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Accepted and without effect: only HTTP/1.1 is spoken.
    #[serde(rename = "http2")]
    pub(crate) _http2: Option<bool>,
    pub(crate) headers: Option<Entries<String>>,
}

/// A string that never shows up in logs or errors.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// A secret of a test.
    #[cfg(test)]
    pub(crate) fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A mapping whose keys are free, in the order of the file.
pub(crate) struct Entries<T>(pub(crate) Vec<(Text, Option<Spanned<T>>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}

struct EntriesVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names to strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// Reads the YAML. An empty file is an empty configuration.
pub(crate) fn parse(content: &[u8]) -> Result<File, Problem> {
    let text = std::str::from_utf8(content).map_err(|error| not_utf8(content, error.valid_up_to()))?;
    let file: Option<File> = serde_yaml::from_str_with_options(text, options()).map_err(|error| describe(&error))?;
    Ok(file.unwrap_or_default())
}

fn options() -> Options {
    // A snippet in an error would show the hashes around the faulty line.
    serde_yaml::options! { with_snippet: false, budget: budget! { max_depth: MAX_DEPTH } }
}

fn not_utf8(content: &[u8], valid: usize) -> Problem {
    let line = 1 + content.iter().take(valid).filter(|byte| **byte == b'\n').count() as u64;
    Problem::at(line, "not UTF-8 text; save the file as UTF-8")
}

fn describe(error: &Error) -> Problem {
    let line = error.location().map_or(0, |location| location.line());
    Problem::at(line, reason(error))
}

/// Only what can't hold a value of the file: serde would quote an unexpected one, perhaps a hash.
fn reason(error: &Error) -> String {
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("{} is set twice; remove one", shown(key)),
        Error::DuplicateMappingKey { .. } => "a key is set twice; remove one".to_owned(),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => wanted(expected),
        Error::Unexpected { expected, .. } => wanted(expected),
        Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { ty: "boolean", .. } => {
            "must be true or false".to_owned()
        }
        Error::NullIntoString { .. } => "has no value; give one or remove the line".to_owned(),
        Error::MultipleDocuments { .. } => "a second YAML document; keep only one".to_owned(),
        Error::UnknownAnchor { .. } => "no such YAML anchor; quote a value that starts with *".to_owned(),
        Error::Budget { .. } => "nested too deep or too large for a web configuration".to_owned(),
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::AliasError { error, .. } => reason(error),
        _ => "not valid YAML for a web configuration; compare with the exporter-toolkit's documentation".to_owned(),
    }
}

/// The parser's word for what it wants, in the user's.
fn wanted(expected: &str) -> String {
    let kind = match expected {
        "mapping start" => "lines of the form `key: value`, indented below their section,",
        "sequence start" => "a list of the form [a, b]",
        "string scalar" => "a single text",
        other => other,
    };
    format!("{kind} expected here")
}
