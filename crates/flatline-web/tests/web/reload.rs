//! Changed files come into force; unusable ones don't.

use crate::auth::{basic, hash};
use crate::handshake::Client;
use crate::site::{Ca, Site, TLS, dns};
use flatline_web::{Auth, Reloader};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const OFTEN: Duration = Duration::from_millis(5);
const GENEROUS: Duration = Duration::from_secs(60);

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GENEROUS, "never: {what}");
        std::thread::sleep(OFTEN);
    }
}

/// The log of all tests of this process.
#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl io::Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let write = || LOG.wait();
        tracing_subscriber::fmt().with_writer(write).with_ansi(false).init();
        Log::default()
    })
}

/// Lines of the log about a site with a word in them.
fn logged(site: &Site, word: &str) -> usize {
    let text = String::from_utf8_lossy(&log().0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    let path = site.config().display().to_string();
    text.lines().filter(|line| line.contains(&path) && line.contains(word)).count()
}

fn users(password: &str) -> String {
    format!("basic_auth_users:\n  alice: {}\n", hash(password))
}

fn start(site: &Site, yaml: &str) -> Reloader {
    log();
    site.write("web.yml", yaml);
    Reloader::start_with_interval(&site.config(), OFTEN).expect("first load")
}

fn verdict(reloader: &Reloader, password: &str) -> Auth {
    reloader.current().check_slow(Some(&basic("alice", password)))
}

#[test]
fn the_first_load_must_succeed() {
    let site = Site::new();
    site.write("web.yml", "nonsense: 1\n");
    let error = Reloader::start(&site.config()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("web.yml:1: unknown key \"nonsense\""), "{error}");
}

#[test]
fn a_changed_password_takes_effect_and_old_verdicts_are_forgotten() {
    let site = Site::new();
    let reloader = start(&site, &users("old"));
    let before = reloader.current();
    assert_eq!((verdict(&reloader, "old"), verdict(&reloader, "new")), (Auth::Granted, Auth::Denied));
    site.write("web.yml", users("new"));
    eventually("the new version", || !std::sync::Arc::ptr_eq(&before, &reloader.current()));
    assert_eq!(reloader.current().check_cached(Some(&basic("alice", "old"))), None);
    assert_eq!(reloader.current().check_cached(Some(&basic("alice", "new"))), None);
    assert_eq!((verdict(&reloader, "old"), verdict(&reloader, "new")), (Auth::Denied, Auth::Granted));
    assert!(reloader.last_reload_successful());
}

#[test]
fn a_replaced_certificate_takes_effect() {
    let site = Site::new();
    let reloader = start(&site, TLS);
    assert!(Client::new(&site.server_ca).meets(&reloader.current()).is_ok());
    let fresh = Ca::new();
    let leaf = fresh.leaf(vec![dns("localhost")]);
    site.write("server.crt", &leaf.cert);
    site.write("server.key", &leaf.key);
    eventually("the new certificate", || Client::new(&fresh).meets(&reloader.current()).is_ok());
    assert!(Client::new(&site.server_ca).meets(&reloader.current()).is_err());
    eventually("success", || reloader.last_reload_successful());
}

#[test]
fn a_broken_file_keeps_the_old_version_and_a_repaired_one_comes_into_force() {
    let site = Site::new();
    let reloader = start(&site, &users("old"));
    assert!(reloader.last_reload_successful());
    site.write("web.yml", "basic_auth_user:\n");
    eventually("the failure", || !reloader.last_reload_successful());
    assert_eq!(verdict(&reloader, "old"), Auth::Granted);
    eventually("the log line", || logged(&site, "ERROR") == 1);
    site.write("web.yml", "basic_auth_user:\n# the same fault once more\n");
    // Nothing shows that this version was seen; many looks at it are likely enough.
    std::thread::sleep(OFTEN * 40);
    std::fs::remove_file(site.config()).expect("remove");
    eventually("the other fault's log line", || logged(&site, "No such file") == 1);
    assert_eq!(verdict(&reloader, "old"), Auth::Granted);
    site.write("web.yml", users("new"));
    eventually("the repair", || reloader.last_reload_successful());
    assert_eq!(verdict(&reloader, "new"), Auth::Granted);
    assert_eq!(logged(&site, "did you mean"), 1, "a fault is logged once");
    assert_eq!(logged(&site, "$2"), 0, "no hash is logged");
}

#[test]
fn a_missing_key_keeps_the_old_certificate_until_it_is_back() {
    let site = Site::new();
    let reloader = start(&site, TLS);
    let key = std::fs::read(site.path("server.key")).expect("key");
    std::fs::remove_file(site.path("server.key")).expect("remove");
    eventually("the failure", || !reloader.last_reload_successful());
    assert!(Client::new(&site.server_ca).meets(&reloader.current()).is_ok());
    site.write("server.key", key);
    eventually("the repair", || reloader.last_reload_successful());
}

#[test]
fn a_fifo_in_place_of_a_file_holds_up_nothing() {
    let site = Site::new();
    let reloader = start(&site, TLS);
    std::fs::remove_file(site.path("server.crt")).expect("remove");
    mknodat(CWD, site.path("server.crt"), FileType::Fifo, Mode::RUSR, 0).expect("FIFO");
    eventually("the failure", || !reloader.last_reload_successful());
    eventually("the log line", || logged(&site, "not a regular file") == 1);
}

#[test]
fn the_deepest_allowed_file_fits_the_small_stack() {
    let site = Site::new();
    let reloader = start(&site, "");
    site.write("web.yml", format!("tls_server_config: {}\n", "{a: ".repeat(100_000)));
    eventually("the failure", || !reloader.last_reload_successful());
    site.write("web.yml", format!("? {}{}: x\n", "[".repeat(100_000), "]".repeat(100_000)));
    eventually("the second failure", || logged(&site, "ERROR") == 2);
    site.write("web.yml", "");
    eventually("the repair", || reloader.last_reload_successful());
}

#[test]
fn notices_are_logged() {
    let site = Site::new();
    let _reloader = start(&site, &format!("{TLS}  min_version: TLS10\n"));
    assert_eq!(logged(&site, "TLS older than 1.2 is not served"), 1);
}

#[test]
fn dropping_it_ends_the_thread() {
    let site = Site::new();
    let reloader = Reloader::start_with_interval(
        &{
            site.write("web.yml", "");
            site.config()
        },
        GENEROUS * 60,
    )
    .expect("start");
    let config = std::sync::Arc::downgrade(&reloader.current());
    drop(reloader);
    eventually("the thread's share is given back", || config.strong_count() == 0);
}
