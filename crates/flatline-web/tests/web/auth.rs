//! Verdicts on `Authorization` headers.

use crate::site::Site;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flatline_web::{Auth, MAX_HEADER_BYTES, WebConfig};

/// A hash that is cheap to check.
pub(crate) fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("hash")
}

/// What a client sends.
pub(crate) fn basic(user: &str, password: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).into_bytes()
}

fn alice_and_bob() -> WebConfig {
    Site::new().load(&format!("basic_auth_users:\n  alice: {}\n  bob: {}\n", hash("wonder"), hash("build:er")))
}

#[test]
fn without_users_everybody_is_let_in() {
    let config = Site::new().load("");
    assert_eq!(config.check_cached(None), Some(Auth::Granted));
    assert_eq!(config.check_slow(Some(b"nonsense")), Auth::Granted);
}

#[test]
fn the_right_password_is_granted_and_then_known() {
    let config = alice_and_bob();
    for header in [basic("alice", "wonder"), basic("bob", "build:er")] {
        assert_eq!(config.check_cached(Some(&header)), None);
        assert_eq!(config.check_slow(Some(&header)), Auth::Granted);
        assert_eq!(config.check_cached(Some(&header)), Some(Auth::Granted));
    }
}

#[test]
fn a_wrong_password_or_unknown_user_is_denied_and_then_known() {
    let config = alice_and_bob();
    for header in [basic("alice", "build:er"), basic("carol", "wonder"), basic("", ""), basic("alice", "")] {
        assert_eq!(config.check_cached(Some(&header)), None, "an unknown user costs the same work as a known one");
        assert_eq!(config.check_slow(Some(&header)), Auth::Denied);
        assert_eq!(config.check_cached(Some(&header)), Some(Auth::Denied));
    }
}

#[test]
fn malformed_and_oversized_headers_are_denied_at_once() {
    let config = alice_and_bob();
    let oversized = basic("alice", &"x".repeat(MAX_HEADER_BYTES));
    let no_colon = format!("Basic {}", STANDARD.encode("alice"));
    let headers: [&[u8]; 9] = [
        b"",
        b"Basic",
        b"Basic ",
        b"Bearer YWxpY2U6d29uZGVy",
        b"Basic not base64!",
        b"Basic YWxpY2U6d29uZGV",
        b"\xff\xfe",
        no_colon.as_bytes(),
        &oversized,
    ];
    for header in headers {
        assert_eq!(config.check_cached(Some(header)), Some(Auth::Denied), "{:?}", String::from_utf8_lossy(header));
        assert_eq!(config.check_slow(Some(header)), Auth::Denied);
    }
    assert_eq!(config.check_cached(None), Some(Auth::Denied));
}

#[test]
fn the_hashes_of_other_tools_are_understood() {
    // A test vector of OpenBSD; the other versions are the same algorithm under another name.
    let tail = "$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";
    for version in ["$2a", "$2b", "$2y"] {
        let config = Site::new().load(&format!("basic_auth_users:\n  alice: {version}{tail}\n"));
        assert_eq!(config.check_slow(Some(&basic("alice", "a"))), Auth::Granted);
        assert_eq!(config.check_slow(Some(&basic("alice", "b"))), Auth::Denied);
    }
}

#[test]
fn many_at_once_get_the_same_answer() {
    let config = alice_and_bob();
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(config.check_slow(Some(&basic("alice", "wonder"))), Auth::Granted));
        }
    });
}
