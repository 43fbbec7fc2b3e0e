//! Basic authentication against bcrypt hashes.

use crate::error::{Problem, shown};
use crate::schema::{Entries, Secret, Text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A longer `Authorization` header is refused unread.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Verdicts kept of each kind.
const MAX_VERDICTS: usize = 100;
/// Costs of bcrypt; above the higher one a single check takes minutes.
const COSTS: std::ops::RangeInclusive<u32> = 4..=18;
/// Cost for unknown users where no user sets one.
const USUAL_COST: u32 = 10;
/// Salt and digest of nobody's password.
const NOBODY: &str = "kQ7vJm2xWc0TzRb9LdYhFuS4nEoPgIa6iUyBtXrDfMwKsHqCjVe1O";

/// Whether a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The credentials are right, or none are asked for.
    Granted,
    /// Answer 401.
    Denied,
}

impl From<bool> for Auth {
    fn from(granted: bool) -> Self {
        if granted { Self::Granted } else { Self::Denied }
    }
}

type Verdict = [u8; 32];

/// The users of one version of the configuration, with its verdicts so far.
pub(crate) struct Users {
    hashes: HashMap<String, Secret>,
    nobody: String,
    key: hmac::Key,
    verdicts: Mutex<Verdicts>,
    /// Held during bcrypt, which costs CPU time: one at a time, and equal requests wait for one answer.
    bcrypt: Mutex<()>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// Right and wrong credentials apart, so that a flood of wrong ones can't push out the right ones.
#[derive(Default)]
struct Verdicts {
    granted: VecDeque<Verdict>,
    denied: VecDeque<Verdict>,
}

impl Verdicts {
    fn get(&self, verdict: &Verdict) -> Option<Auth> {
        let known = |kept: &VecDeque<Verdict>| kept.contains(verdict);
        known(&self.granted).then_some(Auth::Granted).or_else(|| known(&self.denied).then_some(Auth::Denied))
    }

    fn put(&mut self, verdict: Verdict, auth: Auth) {
        let kept = match auth {
            Auth::Granted => &mut self.granted,
            Auth::Denied => &mut self.denied,
        };
        if kept.len() >= MAX_VERDICTS {
            kept.pop_front();
        }
        kept.push_back(verdict);
    }
}

impl Users {
    /// Judges the section `basic_auth_users`.
    pub(crate) fn check(entries: &Entries<Secret>) -> Result<Self, Problem> {
        let mut hashes = HashMap::new();
        let mut highest = None;
        for (name, hash) in &entries.0 {
            let cost = cost_of(name, hash.as_ref().map_or("", |hash| hash.value.reveal()))?;
            highest = highest.max(Some(cost));
            hashes.extend(hash.as_ref().map(|hash| (name.value.clone(), hash.value.clone())));
        }
        Self::new(hashes, highest.unwrap_or(USUAL_COST))
    }

    fn new(hashes: HashMap<String, Secret>, cost: u32) -> Result<Self, Problem> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Problem::of_file("the system gives no random bytes, so passwords can't be checked safely"))?;
        let nobody = format!("$2b${cost:02}${NOBODY}");
        Ok(Self { hashes, nobody, key, verdicts: Mutex::default(), bcrypt: Mutex::default() })
    }

    /// How many users there are; without any, everybody may read.
    pub(crate) fn count(&self) -> usize {
        self.hashes.len()
    }

    /// The verdict, where it takes no bcrypt.
    pub(crate) fn check_cached(&self, header: Option<&[u8]>) -> Option<Auth> {
        if self.hashes.is_empty() {
            return Some(Auth::Granted);
        }
        let Some(credentials) = header.and_then(Credentials::parse) else { return Some(Auth::Denied) };
        self.verdicts().get(&self.verdict_key(&credentials))
    }

    /// The verdict, by bcrypt where it has to be.
    pub(crate) fn check_slow(&self, header: Option<&[u8]>) -> Auth {
        let _one_at_a_time = self.bcrypt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(auth) = self.check_cached(header) {
            return auth;
        }
        let Some(credentials) = header.and_then(Credentials::parse) else { return Auth::Denied };
        let auth = self.verify(&credentials);
        self.verdicts().put(self.verdict_key(&credentials), auth);
        auth
    }

    /// An unknown user takes as long as a known one, or names could be guessed by the clock.
    fn verify(&self, credentials: &Credentials) -> Auth {
        let right = bcrypt::verify(credentials.password(), self.hash_of(credentials)).unwrap_or(false);
        Auth::from(right & self.known_hash(credentials).is_some())
    }

    fn known_hash(&self, credentials: &Credentials) -> Option<&str> {
        let user = std::str::from_utf8(credentials.user()).ok()?;
        self.hashes.get(user).map(Secret::reveal)
    }

    fn hash_of(&self, credentials: &Credentials) -> &str {
        self.known_hash(credentials).unwrap_or(&self.nobody)
    }

    /// Keyed, so that the kept verdicts give away no password, not even to a guesser.
    fn verdict_key(&self, credentials: &Credentials) -> Verdict {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [credentials.user(), self.hash_of(credentials).as_bytes(), credentials.password()] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost_of(name: &Text, hash: &str) -> Result<u32, Problem> {
    let user = shown(&name.value);
    let wrong = |reason: &str| Problem::at(name.referenced.line(), format!("user {user:?}: {reason}"));
    if name.value.contains(':') {
        return Err(wrong("a name with a colon can't log in; choose another"));
    }
    let known_version = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
    let parts = known_version.then(|| bcrypt::HashParts::from_str(hash).ok()).flatten();
    let parts =
        parts.ok_or_else(|| wrong("not a bcrypt hash; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`"))?;
    if !COSTS.contains(&parts.get_cost()) {
        return Err(wrong(&format!(
            "bcrypt cost {} is not between 4 and 18; make a hash of cost 10",
            parts.get_cost()
        )));
    }
    Ok(parts.get_cost())
}

/// What a client sent, decoded.
struct Credentials {
    decoded: Vec<u8>,
    colon: usize,
}

impl Credentials {
    fn parse(header: &[u8]) -> Option<Self> {
        const SCHEME: &[u8] = b"Basic ";
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (scheme, encoded) = header.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self { decoded, colon })
    }

    fn user(&self) -> &[u8] {
        self.decoded.get(..self.colon).unwrap_or_default()
    }

    fn password(&self) -> &[u8] {
        self.decoded.get(self.colon + 1..).unwrap_or_default()
    }
}

/// Whatever a client sends as credentials: a user has no colon, and nothing is longer than what was sent.
#[cfg(fuzzing)]
pub(crate) fn fuzz(header: &[u8]) {
    let Some(credentials) = Credentials::parse(header) else { return };
    assert!(!credentials.user().contains(&b':'));
    assert!(credentials.user().len() + credentials.password().len() < header.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        Credentials::parse(header).map(|found| (found.user().to_vec(), found.password().to_vec()))
    }

    fn users(names: &[&str], cost: u32) -> Users {
        let hash = || Secret::new(bcrypt::hash("secret", cost).unwrap());
        Users::new(names.iter().map(|name| ((*name).to_owned(), hash())).collect(), cost).unwrap()
    }

    fn basic(user: &str, password: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).into_bytes()
    }

    #[test]
    fn nobodys_hash_is_well_formed_so_that_an_unknown_user_costs_the_same_work() {
        let users = users(&["alice"], 4);
        assert_eq!(bcrypt::HashParts::from_str(&users.nobody).unwrap().get_cost(), 4);
        assert!(!bcrypt::verify("secret", &users.nobody).unwrap());
    }

    #[test]
    fn an_unknown_user_is_denied_even_with_nobodys_password() {
        let mut users = users(&["alice"], 4);
        users.nobody = bcrypt::hash("guessed", 4).unwrap();
        assert_eq!(users.check_slow(Some(&basic("carol", "guessed"))), Auth::Denied);
    }

    #[test]
    fn the_first_colon_ends_the_user() {
        assert_eq!(parsed(&basic("a", "b:c")), Some((b"a".to_vec(), b"b:c".to_vec())));
        assert_eq!(parsed(&basic("", "")), Some((vec![], vec![])));
        assert_eq!(parsed(b"bAsIc YTpi"), Some((b"a".to_vec(), b"b".to_vec())));
    }

    #[test]
    fn a_flood_of_wrong_passwords_leaves_the_right_one_cached_and_the_cache_bounded() {
        let users = users(&["alice"], 4);
        assert_eq!(users.check_slow(Some(&basic("alice", "secret"))), Auth::Granted);
        for guess in 0..MAX_VERDICTS + 20 {
            assert_eq!(users.check_slow(Some(&basic("alice", &guess.to_string()))), Auth::Denied);
        }
        assert_eq!(users.check_cached(Some(&basic("alice", "secret"))), Some(Auth::Granted));
        assert_eq!(users.check_cached(Some(&basic("alice", "0"))), None, "the oldest is forgotten");
        assert_eq!(users.verdicts().denied.len(), MAX_VERDICTS);
        assert_eq!(users.verdicts().granted.len(), 1);
    }

    #[test]
    fn equal_bytes_split_differently_between_user_and_password_are_different_credentials() {
        let users = users(&["ab", "a"], 4);
        let key = |header: &[u8]| users.verdict_key(&Credentials::parse(header).unwrap());
        assert_ne!(key(&basic("ab", "c")), key(&basic("a", "bc")));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parsed(&header);
            let _ = parsed(&[b"Basic ".as_slice(), &header].concat());
            let _ = parsed(format!("Basic {}", STANDARD.encode(&header)).as_bytes());
        }

        #[test]
        fn what_a_client_encodes_is_what_is_read(user in "[^:]{0,20}", password in ".{0,40}") {
            let expected = Some((user.clone().into_bytes(), password.clone().into_bytes()));
            prop_assert_eq!(parsed(&basic(&user, &password)), expected);
        }
    }
}
