//! Every refusal names the file, the line and the remedy, and no secret.

use crate::site::{Site, TLS, block};
use flatline_web::WebConfig;

const HASH: &str = "$2y$04$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

/// The message after the path; it must say neither the hash nor a part of it.
fn refusal(site: &Site, yaml: &str) -> String {
    let error = site.try_load(yaml).err().unwrap_or_else(|| panic!("accepted:\n{yaml}")).to_string();
    assert!(!error.contains(&HASH[8..16]) && !error.contains(&HASH[20..30]), "{error}");
    let path = site.config().display().to_string();
    error.strip_prefix(&path).unwrap_or_else(|| panic!("no path in {error}")).trim_start_matches(':').to_owned()
}

fn assert_refused(site: &Site, yaml: &str, expected: &str) {
    let refusal = refusal(site, yaml);
    let folder = site.path("").display().to_string();
    assert_eq!(refusal.trim_start().replace(&folder, "DIR/"), expected, "for\n{yaml}");
}

#[test]
fn unknown_and_repeated_keys() {
    let site = Site::new();
    let sections = "tls_server_config, http_server_config, basic_auth_users, rate_limit";
    assert_refused(
        &site,
        "\nbasic_auth_user:\n  a: b\n",
        &format!("2: unknown key \"basic_auth_user\"; did you mean \"basic_auth_users\"? Valid: {sections}"),
    );
    assert_refused(&site, "zzz: 1\n", &format!("1: unknown key \"zzz\"; valid: {sections}"));
    assert!(
        refusal(&site, "tls_server_config:\n  cert_file: a\n  keyfile: b\n")
            .starts_with("3: unknown key \"keyfile\"; did you mean \"key_file\"? Valid: cert, key, ")
    );
    assert_refused(
        &site,
        "http_server_config:\n  http_2: true\n",
        "2: unknown key \"http_2\"; did you mean \"http2\"? Valid: http2, headers",
    );
    assert_refused(&site, "basic_auth_users:\nbasic_auth_users:\n", "2: basic_auth_users is set twice; remove one");
    assert_refused(
        &site,
        &format!("basic_auth_users:\n  al: {HASH}\n  al: {HASH}\n"),
        "3: al is set twice; remove one",
    );
    assert_refused(
        &site,
        "rate_limit:\n  burst: 1\n",
        "2: rate_limit is not supported; remove it, the exporter bounds concurrent scrapes by a flag",
    );
}

#[test]
fn values_of_the_wrong_kind() {
    let site = Site::new();
    assert_refused(&site, "http_server_config:\n  http2: perhaps\n", "2: must be true or false");
    let section = "lines of the form `key: value`, indented below their section, expected here";
    assert_refused(&site, "- a\n- b\n", &format!("1: {section}"));
    assert_refused(&site, &format!("{TLS}  client_allowed_sans: one\n"), "4: a list of the form [a, b] expected here");
    assert_refused(&site, "tls_server_config:\n  cert_file: [a]\n", "2: a single text expected here");
    assert!(refusal(&site, &format!("{TLS}  cipher_suites: one\n")).starts_with("4: "));
    assert!(refusal(&site, &format!("basic_auth_users: alice:{HASH}\n")).starts_with("1: "));
    assert!(refusal(&site, &format!("basic_auth_users:\n  alice: [{HASH}]\n")).starts_with("2: "));
    assert!(refusal(&site, &format!("basic_auth_users:\n  - {HASH}\n")).starts_with("2: "));
    assert!(refusal(&site, &format!("{HASH}\n")).starts_with("1: "));
    assert!(refusal(&site, &format!("tls_server_config: {HASH}\n")).starts_with("1: "));
}

#[test]
fn text_that_is_no_yaml() {
    let site = Site::new();
    assert!(
        refusal(&site, &format!("basic_auth_users:\n  alice: {HASH}\n bob: {HASH}\n"))
            .starts_with("3: not valid YAML: ")
    );
    assert!(refusal(&site, "tls_server_config: {cert: \"x\n").contains("not valid YAML"));
    assert_refused(&site, "basic_auth_users: *nobody\n", "1: no such YAML anchor; quote a value that starts with *");
    assert_refused(&site, "{}\n---\n{}\n", "3: a second YAML document; keep only one");
    let deep = format!("tls_server_config: {}\n", "[".repeat(100_000));
    assert!(refusal(&site, &deep).starts_with("1: "));
    let deep_key = format!("? {}\n", "[".repeat(100_000));
    assert!(refusal(&site, &deep_key).starts_with("1: "));
    site.write("web.yml", b"a: b\n# \xff\n");
    let error = WebConfig::load(&site.config()).unwrap_err().to_string();
    assert!(error.ends_with("web.yml:2: not UTF-8 text; save the file as UTF-8"), "{error}");
}

#[test]
fn a_misplaced_secret_is_not_repeated() {
    let site = Site::new();
    assert!(refusal(&site, &format!("{HASH}: x\n")).starts_with("1: unknown key \"$2y$04$b…\""));
    let key = site.server_ca.leaf(vec![]).key;
    for yaml in [
        format!("tls_server_config:\n  key: {key}"),
        format!("tls_server_config:\n  key: |\n{key}"),
        format!("tls_server_config:\n  cert_file: server.crt\n{}", block("key", &key.replace("PRIVATE", "SECRET"))),
        key.clone(),
    ] {
        let error = refusal(&site, &yaml);
        let leaked = key.lines().filter(|line| !line.starts_with("---")).any(|line| error.contains(&line[..20]));
        assert!(!leaked, "{error}");
    }
}

#[test]
fn the_file_itself() {
    let site = Site::new();
    let message = |path: &std::path::Path| WebConfig::load(path).unwrap_err().to_string();
    assert!(message(&site.path("absent.yml")).ends_with("absent.yml: No such file or directory (os error 2)"));
    assert!(message(&site.path("")).ends_with(": not a regular file"));
    site.write("web.yml", vec![b'#'; 2 << 20]);
    assert!(message(&site.config()).contains("web.yml: larger than 1048576 bytes"));
}

#[test]
fn pairs_that_do_not_fit() {
    let site = Site::new();
    let section = |rest: &str| format!("tls_server_config:\n{rest}");
    let remedy = "add it, or remove tls_server_config";
    assert_refused(
        &site,
        &section("  key_file: server.key\n"),
        &format!("2: missing one of cert or cert_file; {remedy}"),
    );
    assert_refused(
        &site,
        &section("  cert_file: server.crt\n"),
        &format!("2: missing one of key or key_file; {remedy}"),
    );
    assert_refused(
        &site,
        &section("  min_version: TLS13\n"),
        &format!("2: missing one of cert or cert_file; {remedy}"),
    );
    assert_refused(&site, &format!("{TLS}  cert: x\n"), "2: both cert and cert_file are set; remove one");
    assert_refused(&site, &format!("{TLS}  key: x\n"), "3: both key and key_file are set; remove one");
    assert_refused(
        &site,
        &format!("{TLS}  client_ca: x\n  client_ca_file: y\n"),
        "5: both client_ca and client_ca_file are set; remove one",
    );
    assert_refused(
        &site,
        &format!("{TLS}  client_ca_file: ca.crt\n"),
        "4: a client CA is set but no client certificate is asked for; set client_auth_type: RequireAndVerifyClientCert",
    );
    assert_refused(
        &site,
        &format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"),
        "4: this client_auth_type needs a CA to verify with; set client_ca_file or client_ca",
    );
    for auth in ["NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven\n  client_ca_file: ca.crt"] {
        let error = refusal(&site, &format!("{TLS}  client_allowed_sans: [a]\n  client_auth_type: {auth}\n"));
        assert!(error.starts_with("4: client_allowed_sans requires client_auth_type to be one of"), "{error}");
    }
    assert_refused(
        &site,
        &format!("{TLS}  client_allowed_sans: []\n"),
        "4: client_allowed_sans is empty, so nobody could connect; add names or remove it",
    );
}

#[test]
fn names_of_algorithms() {
    let site = Site::new();
    let curves = "X25519, CurveP256, CurveP384";
    let versions = "TLS10, TLS11, TLS12, TLS13";
    let cases = [
        ("min_version: TLS1.3", format!("4: unknown min_version \"TLS1.3\"; did you mean \"TLS13\"? Valid: {versions}")),
        ("max_version: SSL", format!("4: unknown max_version \"SSL\"; valid: {versions}")),
        ("max_version: TLS11", "4: max_version is older than TLS 1.2, which is not served; write TLS12 or TLS13".to_owned()),
        (
            "max_version: TLS12\n  min_version: TLS13",
            "5: min_version is newer than max_version; swap them or remove one".to_owned(),
        ),
        ("curve_preferences: [CurveP521]", format!("4: curve CurveP521 is not supported; valid: {curves}")),
        (
            "curve_preferences:\n  - X25519\n  - P256",
            format!("6: unknown curve \"P256\"; valid: {curves}"),
        ),
        (
            "cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12",
            "4: none of these cipher suites works with the TLS versions from min_version to max_version; add one".to_owned(),
        ),
        (
            "client_auth_type: RequireAndVerify",
            "4: unknown client_auth_type \"RequireAndVerify\"; did you mean \"RequireAndVerifyClientCert\"? Valid: NoClientCert, \
             RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"
                .to_owned(),
        ),
    ];
    for (line, expected) in cases {
        assert_refused(&site, &format!("{TLS}  {line}\n"), &expected);
    }
    for suite in ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_INVENTED"] {
        let error = refusal(&site, &format!("{TLS}  cipher_suites:\n    - {suite}\n"));
        assert!(error.starts_with(&format!("5: unknown or unsupported cipher suite \"{suite}\"")), "{error}");
        assert!(error.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{error}");
    }
}

#[test]
fn certificates_and_keys_that_can_not_be_used() {
    let site = Site::new();
    site.write("junk", "junk\n");
    site.write("damaged", "-----BEGIN CERTIFICATE-----\n!!!\n");
    site.write("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    site.write("nokey", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    site.write("other.key", site.server_ca.leaf(vec![]).key);
    site.write("noder", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let config = |cert: &str, key: &str| format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n");
    let cases = [
        (
            "absent",
            "server.key",
            "2: cert_file DIR/absent: No such file or directory (os error 2); check that it exists and that the exporter's \
             user may read it",
        ),
        (
            "junk",
            "server.key",
            "2: cert_file DIR/junk: no certificate in it; a PEM section -----BEGIN CERTIFICATE----- is needed",
        ),
        ("damaged", "server.key", "2: cert_file DIR/damaged: damaged PEM text; copy the certificate again"),
        (
            "server.crt",
            "junk",
            "3: key_file DIR/junk: no intact private key in it; a PEM section -----BEGIN PRIVATE KEY----- is needed",
        ),
        (
            "server.crt",
            "encrypted",
            "3: key_file DIR/encrypted: the private key is encrypted; store it decrypted, with `openssl pkey`, readable by the \
             exporter only",
        ),
        (
            "server.crt",
            "nokey",
            "3: key_file DIR/nokey: not a usable private key; RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519 is \
             needed",
        ),
        (
            "server.crt",
            "other.key",
            "3: key_file DIR/other.key: doesn't belong to the certificate in cert_file DIR/server.crt; use the pair made \
             together",
        ),
    ];
    for (cert, key, expected) in cases {
        assert_refused(&site, &config(cert, key), expected);
    }
    let error = refusal(&site, &config("noder", "server.key"));
    assert!(
        error.starts_with("2: cert_file") && error.ends_with("an X.509 version 3 certificate is needed"),
        "{error}"
    );
    let ca = |file: &str| format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {file}\n");
    assert!(refusal(&site, &ca("junk")).contains("junk: no certificate in it"));
    let error = refusal(&site, &ca("noder"));
    assert!(
        error.starts_with("5: client_ca_file") && error.contains("certificate 1 of the file is no usable CA"),
        "{error}"
    );
}

#[test]
fn response_headers() {
    let site = Site::new();
    let config = |header: &str| format!("http_server_config:\n  headers:\n    {header}\n");
    let valid =
        "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection";
    assert_refused(&site, &config("Server: me"), &format!("3: unknown or forbidden header \"Server\"; valid: {valid}"));
    assert_refused(
        &site,
        &config("X-Frame-Option: deny"),
        &format!("3: unknown or forbidden header \"X-Frame-Option\"; did you mean \"X-Frame-Options\"? Valid: {valid}"),
    );
    assert_refused(
        &site,
        &config("X-Frame-Options: maybe"),
        "3: X-Frame-Options: \"maybe\" is not possible; write deny or sameorigin",
    );
    assert_refused(
        &site,
        &config("Content-Security-Policy: \"a\\r\\nb\""),
        "3: Content-Security-Policy: holds a character that no header may hold; write it in one line of ASCII",
    );
}

#[test]
fn users_without_a_usable_hash() {
    let site = Site::new();
    let remedy = "not a bcrypt hash; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`";
    for wrong in ["secret", "", &HASH[..59], "'{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='", &HASH.replacen("2y", "2x", 1)] {
        let yaml = format!("basic_auth_users:\n  alice: {HASH}\n  bob: {wrong}\n");
        assert_refused(&site, &yaml, &format!("3: user \"bob\": {remedy}"));
    }
    for cost in ["03", "19", "31"] {
        let error = refusal(&site, &format!("basic_auth_users:\n  bob: {}\n", HASH.replacen("04", cost, 1)));
        assert!(error.starts_with("2: user \"bob\": bcrypt cost "), "{error}");
    }
    assert_refused(
        &site,
        &format!("basic_auth_users:\n  'a:b': {HASH}\n"),
        "2: user \"a:b\": a name with a colon can't log in; choose another",
    );
}
