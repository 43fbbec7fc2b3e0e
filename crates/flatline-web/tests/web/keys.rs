//! Every key is understood.

use crate::site::{Site, TLS, block};
use rustls::NamedGroup;

const HASH: &str = "$2y$04$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

#[test]
fn an_empty_file_is_plain_http_for_everybody() {
    let site = Site::new();
    for yaml in ["", "\n", "# nothing\n", "---\n", "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", "{}"]
    {
        let config = site.load(yaml);
        assert!(config.tls().is_none(), "{yaml:?}");
        assert_eq!((config.users(), config.headers().len(), config.notices().len()), (0, 0, 0), "{yaml:?}");
    }
}

#[test]
fn every_key_at_once() {
    let site = Site::new();
    let config = site.load(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384, X25519]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'none'
    Strict-Transport-Security: max-age=3600
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: 1; mode=block
basic_auth_users:
  alice: {HASH}
  bob: {HASH}
"
    ));
    let tls = config.tls().expect("TLS");
    assert_eq!(tls.alpn_protocols, [b"http/1.1".to_vec()]);
    assert!(!tls.ignore_client_order);
    let groups: Vec<_> = tls.crypto_provider().kx_groups.iter().map(|group| group.name()).collect();
    assert_eq!(groups, [NamedGroup::secp384r1, NamedGroup::X25519]);
    assert_eq!(config.users(), 2);
    assert_eq!(config.headers().len(), 5);
    assert_eq!(config.headers()[1].0, "strict-transport-security");
    assert_eq!(config.headers()[1].1, "max-age=3600");
    assert!(config.notices().is_empty(), "{:?}", config.notices());
}

#[test]
fn certificates_and_keys_may_be_written_inline() {
    let site = Site::new();
    let server = site.server_ca.leaf(vec![]);
    let config = site.load(&format!(
        "tls_server_config:\n{}{}{}  client_auth_type: VerifyClientCertIfGiven\n",
        block("cert", &server.cert),
        block("key", &server.key),
        block("client_ca", &site.client_ca.pem)
    ));
    assert!(config.tls().expect("TLS").ignore_client_order, "the server's order is the default");
}

#[test]
fn an_absolute_path_stands_for_itself() {
    let site = Site::new();
    let yaml = format!(
        "tls_server_config: {{cert_file: '{}', key_file: '{}'}}",
        site.path("server.crt").display(),
        site.path("server.key").display()
    );
    assert!(site.load(&yaml).tls().is_some());
}

#[test]
fn blank_values_count_as_unset() {
    let site = Site::new();
    let yaml = format!(
        "{TLS}  cert: ''\n  key: ''\n  client_ca: ''\n  client_ca_file: ''\n  client_auth_type: ''\n  min_version: ''
  cipher_suites: []\n  curve_preferences: []
http_server_config:\n  headers:\n    X-Frame-Options: ''\n    Content-Security-Policy:\n"
    );
    let config = site.load(&yaml);
    assert!(config.tls().is_some());
    assert!(config.headers().is_empty());
}

#[test]
fn every_name_of_client_auth_type_version_suite_and_curve_is_known() {
    let site = Site::new();
    for name in ["NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert"] {
        site.load(&format!("{TLS}  client_auth_type: {name}\n"));
    }
    for name in ["VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] {
        site.load(&format!("{TLS}  client_ca_file: ca.crt\n  client_auth_type: {name}\n"));
    }
    for suite in [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ] {
        site.load(&format!("{TLS}  cipher_suites: [{suite}]\n"));
    }
    for curve in ["CurveP256", "CurveP384", "X25519"] {
        site.load(&format!("{TLS}  curve_preferences: [{curve}]\n"));
    }
}

#[test]
fn what_is_served_otherwise_than_written_is_said() {
    let site = Site::new();
    for old in ["TLS10", "TLS11"] {
        let config = site.load(&format!("{TLS}  min_version: {old}\n"));
        assert_eq!(config.notices(), ["line 4: TLS older than 1.2 is not served; min_version is TLS12"]);
    }
    let config = site.load(&format!("{TLS}  client_auth_type: RequireAnyClientCert\n  client_ca_file: ca.crt\n"));
    assert!(config.notices()[0].starts_with("line 5: the client CA is not used"), "{:?}", config.notices());
    let config =
        site.load(&format!("{TLS}  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a.example]\n"));
    assert!(config.notices()[0].starts_with("line 5: client_allowed_sans protects nothing"), "{:?}", config.notices());
}

#[test]
fn all_three_versions_of_bcrypt_hashes_are_taken() {
    let site = Site::new();
    for version in ["2a", "2b", "2y"] {
        let yaml = format!("basic_auth_users:\n  alice: {}\n", HASH.replacen("2y", version, 1));
        assert_eq!(site.load(&yaml).users(), 1);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let site = Site::new();
    let config = site.load(&format!("{TLS}basic_auth_users:\n  alice: {HASH}\n"));
    let shown = format!("{config:?}");
    assert!(shown.contains("tls: true") && !shown.contains("$2") && !shown.contains(&HASH[10..]), "{shown}");
}
