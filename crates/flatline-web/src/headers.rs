//! The response headers that the configuration file may set.

use crate::error::{Problem, unknown};
use crate::schema::{Entries, Text};
use http::{HeaderName, HeaderValue};

/// The headers the exporter-toolkit allows, with their values where those are enumerated.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Judges the section `headers`; a blank value leaves its header unset.
pub(crate) fn check(entries: &Entries<String>) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let mut headers = Vec::new();
    for (name, value) in &entries.0 {
        let values = allowed_values(name)?;
        if let Some(value) = value.as_ref().filter(|value| !value.value.is_empty()) {
            headers.push(header(name, value, values)?);
        }
    }
    Ok(headers)
}

fn allowed_values(name: &Text) -> Result<&'static [&'static str], Problem> {
    let allowed = ALLOWED.iter().find(|(allowed, _)| *allowed == name.value);
    allowed.map(|(_, values)| *values).ok_or_else(|| {
        let reason = unknown("or forbidden header", &name.value, &ALLOWED.map(|(name, _)| name));
        Problem::at(name.referenced.line(), reason)
    })
}

fn header(name: &Text, value: &Text, values: &[&str]) -> Result<(HeaderName, HeaderValue), Problem> {
    let wrong = |reason: String| Problem::at(value.referenced.line(), format!("{}: {reason}", name.value));
    if !values.is_empty() && !values.contains(&value.value.as_str()) {
        return Err(wrong(format!("{:?} is not possible; write {}", value.value, values.join(" or "))));
    }
    let field = HeaderName::try_from(name.value.as_str()).map_err(|error| wrong(error.to_string()))?;
    let content = HeaderValue::try_from(value.value.as_str())
        .map_err(|_| wrong("holds a character that no header may hold; write it in one line of ASCII".to_owned()))?;
    Ok((field, content))
}
