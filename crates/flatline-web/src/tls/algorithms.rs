//! Protocol versions, cipher suites and curves under the names of Go's `crypto/tls`.

use crate::error::{Problem, unknown};
use crate::schema::{List, Text, Tls};
use rustls::crypto::ring::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// The curves that ring has.
const CURVES: [(&str, &dyn SupportedKxGroup); 3] =
    [("X25519", kx_group::X25519), ("CurveP256", kx_group::SECP256R1), ("CurveP384", kx_group::SECP384R1)];
/// What Go has besides.
const OTHER_CURVES: [&str; 2] = ["CurveP521", "X25519MLKEM768"];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    const NAMES: [(&str, Self); 4] =
        [("TLS10", Self::Tls10), ("TLS11", Self::Tls11), ("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];

    fn read(key: &str, text: Option<&Text>, default: Self) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(default) };
        let found = Self::NAMES.iter().find(|(name, _)| *name == text.value);
        found.map(|(_, version)| *version).ok_or_else(|| {
            Problem::at(text.referenced.line(), unknown(key, &text.value, &Self::NAMES.map(|(name, _)| name)))
        })
    }
}

/// The versions from `min_version` to `max_version`, as far as rustls has them.
pub(super) fn versions(
    tls: &Tls,
    notices: &mut Vec<String>,
) -> Result<Vec<&'static SupportedProtocolVersion>, Problem> {
    let (min_text, max_text) = (super::set(&tls.min_version), super::set(&tls.max_version));
    let min = Version::read("min_version", min_text, Version::Tls12)?;
    let max = Version::read("max_version", max_text, Version::Tls13)?;
    let line = |text: Option<&Text>| text.map_or(0, |text| text.referenced.line());
    if max < Version::Tls12 {
        return Err(Problem::at(
            line(max_text),
            "max_version is older than TLS 1.2, which is not served; write TLS12 or TLS13",
        ));
    }
    if min > max {
        return Err(Problem::at(line(min_text), "min_version is newer than max_version; swap them or remove one"));
    }
    if min < Version::Tls12 {
        notices.push(format!("line {}: TLS older than 1.2 is not served; min_version is TLS12", line(min_text)));
    }
    let served = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    Ok(served.into_iter().filter(|(version, _)| (min..=max).contains(version)).map(|(_, served)| served).collect())
}

/// ring with the wanted cipher suites and curves, in the wanted order.
pub(super) fn provider(tls: &Tls, versions: &[&'static SupportedProtocolVersion]) -> Result<CryptoProvider, Problem> {
    let mut provider = ring::default_provider();
    if let Some(list) = wanted(tls.cipher_suites.as_ref()) {
        provider.cipher_suites = suites(list, versions)?;
    }
    if let Some(list) = wanted(tls.curve_preferences.as_ref()) {
        provider.kx_groups = list.value.iter().map(curve).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

/// An empty list leaves the defaults.
fn wanted(list: Option<&List>) -> Option<&List> {
    list.filter(|list| !list.value.is_empty())
}

/// As in Go, the suites of TLS 1.3 stay on unless some of them are named.
fn suites(list: &List, versions: &[&SupportedProtocolVersion]) -> Result<Vec<SupportedCipherSuite>, Problem> {
    let mut suites: Vec<_> = list.value.iter().map(suite).collect::<Result<_, _>>()?;
    if !suites.iter().any(|suite| suite.tls13().is_some()) {
        suites.extend(ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some()));
    }
    if versions.iter().any(|version| suites.iter().any(|suite| suite.version() == *version)) {
        return Ok(suites);
    }
    let reason = "none of these cipher suites works with the TLS versions from min_version to max_version; add one";
    Err(Problem::at(list.referenced.line(), reason))
}

fn suite(name: &Text) -> Result<SupportedCipherSuite, Problem> {
    let found = ring::ALL_CIPHER_SUITES.iter().find(|suite| go_name(suite) == name.value);
    found.copied().ok_or_else(|| {
        let valid: Vec<_> = ring::ALL_CIPHER_SUITES.iter().map(go_name).collect();
        let valid: Vec<_> = valid.iter().map(String::as_str).collect();
        Problem::at(name.referenced.line(), unknown("or unsupported cipher suite", &name.value, &valid))
    })
}

/// rustls spells `TLS13_AES_128_GCM_SHA256` what IANA and Go spell `TLS_AES_128_GCM_SHA256`.
fn go_name(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

fn curve(name: &Text) -> Result<&'static dyn SupportedKxGroup, Problem> {
    let found = CURVES.iter().find(|(curve, _)| *curve == name.value);
    found.map(|(_, group)| *group).ok_or_else(|| {
        let valid = CURVES.map(|(curve, _)| curve);
        let reason = if OTHER_CURVES.contains(&name.value.as_str()) {
            format!("curve {} is not supported; valid: {}", name.value, valid.join(", "))
        } else {
            unknown("curve", &name.value, &valid)
        };
        Problem::at(name.referenced.line(), reason)
    })
}
