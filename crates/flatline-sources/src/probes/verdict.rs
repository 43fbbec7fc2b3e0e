//! What an HTTP answer tells.

use super::Target;

/// Longer captures are cut, in characters: a label is no place for a page.
const MAX_CAPTURE: usize = 128;

/// Why a probe failed. A probe has one reason: the first that stood in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The name has no address, or nobody says which.
    Lookup,
    /// No connection: refused, unreachable, reset.
    Connect,
    /// The certificate is not to be trusted or the handshake failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// More redirects than allowed.
    Redirect,
    /// What came is no HTTP answer, or only a part of one.
    Protocol,
    /// The body is longer than allowed.
    TooLarge,
    /// The status is not one of those expected.
    Status,
    /// The body does not match.
    Body,
}

impl Failure {
    /// Every reason, in the order of the catalogue.
    pub const ALL: [Self; 9] = [
        Self::Lookup,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Redirect,
        Self::Protocol,
        Self::TooLarge,
        Self::Status,
        Self::Body,
    ];

    /// The value of the catalogue's label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Status => "status",
            Self::Body => "body",
        }
    }
}

/// What a whole answer tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is no good answer, if it is none.
    pub failure: Option<Failure>,
    /// Whether the body matches; nothing when any body will do.
    pub matched: Option<bool>,
    /// What the pattern's first group caught: at most 128 characters, none of them a control character.
    pub capture: Option<String>,
}

/// Judges a whole answer.
#[must_use]
pub fn judge(target: &Target, status: u16, body: &[u8]) -> Verdict {
    let Some(pattern) = &target.body else {
        let failure = (!target.statuses.contains(status)).then_some(Failure::Status);
        return Verdict { failure, ..Verdict::default() };
    };
    let mut groups = pattern.create_captures();
    pattern.captures(body, &mut groups);
    let matched = groups.is_match();
    let failure = match (target.statuses.contains(status), matched) {
        (false, _) => Some(Failure::Status),
        (true, false) => Some(Failure::Body),
        (true, true) => None,
    };
    let capture = groups.get_group(1).and_then(|span| body.get(span.range())).map(label_of);
    Verdict { failure, matched: Some(matched), capture: capture.filter(|text| !text.is_empty()) }
}

fn label_of(bytes: &[u8]) -> String {
    // No character has more than four bytes.
    let head = bytes.get(..MAX_CAPTURE * 4).unwrap_or(bytes);
    String::from_utf8_lossy(head).trim().chars().filter(|character| !character.is_control()).take(MAX_CAPTURE).collect()
}
