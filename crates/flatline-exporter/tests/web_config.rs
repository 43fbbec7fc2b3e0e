//! TLS, client certificates and users, with real clients (curl, Prometheus) and reloads.

mod common;

use common::{Exporter, PATIENCE, Samples, Stop, command, request};
use flatline_lab::{Prometheus, Scrape, TargetHealth};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// As `htpasswd -nBC 4` makes it: the lowest cost, these are tests.
fn open_sesame() -> String {
    bcrypt::hash("open sesame", 4).expect("bcrypt")
}

struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// A CA, a server certificate for localhost and a client certificate, as PEM files.
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().expect("directory") };
        let ca_key = rcgen::KeyPair::generate().expect("key");
        let mut ca = rcgen::CertificateParams::default();
        ca.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("certificate");
        let issuer = rcgen::Issuer::new(ca, ca_key);
        site.write("ca.crt", &ca_certificate.pem());
        for (name, host) in [("server", "localhost"), ("client", "prometheus")] {
            let key = rcgen::KeyPair::generate().expect("key");
            let mut params = rcgen::CertificateParams::new([host.to_owned()]).expect("name");
            // OpenSSL takes a certificate with its issuer's name for self-signed.
            params.distinguished_name.push(rcgen::DnType::CommonName, host);
            site.write(&format!("{name}.crt"), &params.signed_by(&key, &issuer).expect("signed").pem());
            site.write(&format!("{name}.key"), &key.serialize_pem());
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the file in one step, as configuration management does.
    fn write(&self, name: &str, content: &str) {
        let fresh = self.path(&format!("{name}.new"));
        std::fs::write(&fresh, content).expect("write");
        std::fs::rename(fresh, self.path(name)).expect("rename");
    }

    fn exporter(&self, config: &str) -> Exporter {
        self.write("web.yml", config);
        Exporter::start(&[
            "--collector.disable-defaults".to_owned(),
            format!("--web.config.file={}", self.path("web.yml").display()),
        ])
    }

    /// What curl gets: the status code, or 000 when there was no answer.
    fn curl(&self, exporter: &Exporter, scheme: &str, extra: &[&str]) -> String {
        let url = format!("{scheme}://localhost:{}/metrics", exporter.address().port());
        let output = command("curl")
            .args([
                "--silent",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_code}",
                "--max-time",
                "30",
                "--noproxy",
                "*",
            ])
            .arg("--cacert")
            .arg(self.path("ca.crt"))
            .args(extra)
            .arg(url)
            .output()
            .expect("curl is installed (apt-get install curl)");
        String::from_utf8(output.stdout).expect("a code")
    }

    fn until(&self, exporter: &Exporter, extra: &[&str], wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.curl(exporter, "http", extra) != wanted {
            assert!(Instant::now() < deadline, "never answered {wanted}; log:\n{}", exporter.log());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn tls_with_client_certificates() {
    let site = Site::new();
    let exporter = site.exporter(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n",
    );
    let (certificate, key) = (display(&site.path("client.crt")), display(&site.path("client.key")));
    assert_eq!(site.curl(&exporter, "https", &["--cert", &certificate, "--key", &key]), "200");
    assert_eq!(site.curl(&exporter, "https", &[]), "000", "no certificate, no answer");
    assert_eq!(site.curl(&exporter, "http", &[]), "000", "no plain text");
}

#[test]
fn prometheus_scrapes_with_certificate_and_password() {
    let site = Site::new();
    let exporter = site.exporter(&format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: \
         RequireAndVerifyClientCert\n  client_ca_file: ca.crt\nbasic_auth_users:\n  prometheus: {}\n",
        open_sesame()
    ));
    let tls = json!({
        "ca_file": site.path("ca.crt"), "cert_file": site.path("client.crt"), "key_file": site.path("client.key"),
        "server_name": "localhost",
    });
    let anonymous = json!({ "ca_file": site.path("ca.crt"), "server_name": "localhost" });
    let job = |name: &str, tls: &serde_json::Value, password: &str| {
        Scrape::new(name, exporter.address())
            .setting("scheme", "https")
            .setting("tls_config", tls.clone())
            .setting("basic_auth", json!({ "username": "prometheus", "password": password }))
    };
    let prometheus = Prometheus::builder()
        .scrape(job("welcome", &tls, "open sesame"))
        .scrape(job("wrong-password", &tls, "sesame"))
        .scrape(job("no-certificate", &anonymous, "open sesame"))
        .start()
        .expect("Prometheus starts");
    prometheus.wait_until("up{job=\"welcome\"} == 1", PATIENCE).expect("scraped");
    prometheus.wait_until("count(up == 0) == 2", PATIENCE).expect("the others are refused");
    let targets = prometheus.targets().expect("targets");
    let refused = |job: &str| {
        let target = targets.iter().find(|target| target.labels["job"] == job).expect("target");
        assert_eq!(target.health, TargetHealth::Down, "{target:?}");
        target.last_error.clone()
    };
    assert!(refused("wrong-password").contains("401"), "{}", refused("wrong-password"));
    assert!(!refused("no-certificate").contains("401"), "{}", refused("no-certificate"));
}

#[test]
fn users_and_headers_and_their_reload() {
    let site = Site::new();
    let exporter = site.exporter(&format!(
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\nbasic_auth_users:\n  prometheus: {}\n",
        open_sesame()
    ));
    let good = ["--user", "prometheus:open sesame"];
    assert_eq!(site.curl(&exporter, "http", &good), "200");
    assert_eq!(site.curl(&exporter, "http", &good), "200", "from the cache as well");
    assert_eq!(site.curl(&exporter, "http", &["--user", "prometheus:wrong"]), "401");
    assert_eq!(site.curl(&exporter, "http", &["--user", "nobody:open sesame"]), "401");
    let refused = exporter.get("/metrics");
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["www-authenticate"], "Basic realm=\"flatline\"");
    assert_eq!(refused.headers["x-frame-options"].to_ascii_lowercase(), "deny");
    assert!(!refused.body.contains("flatline_build_info"));
    for page in ["/", "/-/healthy", "/-/ready"] {
        assert_eq!(exporter.get(page).status, 401, "{page}");
    }

    site.write("web.yml", "basic_auth_users: [this is wrong\n");
    let reload = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let url = format!("http://localhost:{}/metrics", exporter.address().port());
            let output = command("curl")
                .args(["--silent", "--noproxy", "*", "--user", "prometheus:open sesame", &url])
                .output()
                .expect("curl");
            let body = String::from_utf8(output.stdout).expect("text");
            if body.contains(&format!("flatline_web_config_last_reload_successful {wanted}\n")) {
                return;
            }
            assert!(Instant::now() < deadline, "the reload metric never became {wanted}:\n{body}\n{}", exporter.log());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    };
    reload("0");
    site.write("web.yml", &format!("basic_auth_users:\n  prometheus: {}\n", open_sesame()));
    reload("1");
    site.write("web.yml", "");
    site.until(&exporter, &[], "200");
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

#[test]
fn a_tls_connection_that_never_says_hello_is_ended() {
    let site = Site::new();
    let exporter = site.exporter(TLS);
    let mut silent = TcpStream::connect(exporter.address()).expect("connects");
    silent.set_read_timeout(Some(PATIENCE)).expect("timeout");
    assert_eq!(silent.read(&mut [0; 1]).expect("ended"), 0, "nothing was said to it");
    assert_eq!(site.curl(&exporter, "https", &[]), "200");
}

#[test]
fn more_silent_connections_than_there_are_places_hold_nobody_up_over_tls() {
    let site = Site::new();
    let exporter = site.exporter(TLS);
    let silent: Vec<_> = (0..700).map(|_| TcpStream::connect(exporter.address()).expect("connects")).collect();
    assert_eq!(site.curl(&exporter, "https", &[]), "200");
    drop(silent);
}

/// `name:open sesame`, as base64.
const KNOWN: &str = "Basic cHJvbWV0aGV1czpvcGVuIHNlc2FtZQ==";
const NEW: &str = "Basic Z3JhZmFuYTpvcGVuIHNlc2FtZQ==";

/// Sends a wrong password that was never sent before, and leaves. Any eight digits are base64 of something.
fn guess_and_leave(address: SocketAddr, number: u32) -> std::io::Result<()> {
    let guess = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp4{number:08}\r\n\r\n");
    TcpStream::connect(address)?.write_all(guess.as_bytes())
}

#[test]
fn wrong_passwords_of_clients_that_leave_keep_neither_known_users_waiting_nor_new_ones_for_ever() {
    let site = Site::new();
    let hash = open_sesame();
    let exporter = site.exporter(&format!("basic_auth_users:\n  prometheus: {hash}\n  grafana: {hash}\n"));
    let get = |credentials| request(exporter.address(), "GET", "/metrics", &[("Authorization", credentials)]);
    assert_eq!(get(KNOWN).status, 200);
    let turned_away = |samples: &Samples| samples.any("flatline_http_requests_total{code=\"503\"}");
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let _stop = stop.at_end();
        scope.spawn(|| {
            for number in (0..).take_while(|_| !stop.is_told()) {
                let _ = guess_and_leave(exporter.address(), number); // it may have had to go already
            }
        });
        until("somebody is turned away", &|| {
            let answer = get(KNOWN);
            assert_eq!(answer.status, 200, "who is known is served throughout");
            turned_away(&Samples::parse(&answer.body))
        });
    });
    until("the new user is let in", &|| get(NEW).status == 200);
}

fn until(what: &str, holds: &dyn Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
    }
}

#[test]
fn a_wrong_file_is_refused_at_start_with_its_line() {
    let site = Site::new();
    site.write("web.yml", "tls_server_config:\n  cert_fil: server.crt\n");
    let refused = common::refusal(&[&format!("--web.config.file={}", site.path("web.yml").display())], &[]);
    assert!(refused.contains("web.yml:2") && refused.contains("cert_file"), "{refused}");
}
