//! Real handshakes, in memory.

use crate::site::{Ca, Leaf, Site, TLS, dns};
use flatline_web::WebConfig;
use rcgen::SanType;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConnectionCommon, ProtocolVersion, RootCertStore, ServerConnection,
    SideData, SupportedProtocolVersion,
};
use std::sync::Arc;

/// How a handshake went, seen from the server.
pub(crate) type Outcome = Result<(ProtocolVersion, CipherSuite), String>;

/// A client under construction.
pub(crate) struct Client<'a> {
    trusts: &'a Ca,
    shows: Option<&'a Leaf>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Option<CipherSuite>,
    groups: Option<rustls::NamedGroup>,
    alpn: Option<&'a str>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(trusts: &'a Ca) -> Self {
        Self { trusts, shows: None, versions: vec![&TLS12, &TLS13], suites: None, groups: None, alpn: None }
    }

    fn showing(self, leaf: &'a Leaf) -> Self {
        Self { shows: Some(leaf), ..self }
    }

    fn speaking(self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self { versions: versions.to_vec(), ..self }
    }

    fn config(&self) -> ClientConfig {
        let mut provider = ring::default_provider();
        if let Some(only) = self.suites {
            provider.cipher_suites.retain(|suite| suite.suite() == only);
        }
        if let Some(only) = self.groups {
            provider.kx_groups.retain(|group| group.name() == only);
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.pem.as_bytes()).expect("CA")).expect("CA");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let chain = vec![CertificateDer::from_pem_slice(leaf.cert.as_bytes()).expect("certificate")];
                let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("key");
                builder.with_client_auth_cert(chain, key).expect("client certificate")
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// Shakes hands with a server of this configuration.
    pub(crate) fn meets(&self, server: &WebConfig) -> Outcome {
        let name = "localhost".try_into().expect("name");
        let mut client = ClientConnection::new(Arc::new(self.config()), name).map_err(|error| error.to_string())?;
        let mut server = ServerConnection::new(server.tls().expect("TLS")).expect("server");
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server).map_err(|error| format!("server: {error}"))?;
            pass(&mut server, &mut client).map_err(|error| format!("client: {error}"))?;
        }
        let suite = server.negotiated_cipher_suite().expect("suite").suite();
        Ok((server.protocol_version().expect("version"), suite))
    }
}

fn pass<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).expect("memory");
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).expect("memory");
        to.process_new_packets()?;
    }
    Ok(())
}

fn assert_fails(outcome: &Outcome, reason: &str) {
    assert!(outcome.as_ref().is_err_and(|error| error.contains(reason)), "{outcome:?} is not {reason}");
}

const BOTH: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// Expected outcomes: without a certificate, with one of the right CA, with one of another.
fn assert_auth(auth: &str, expected: [Result<(), &str>; 3]) {
    let site = Site::new();
    let ca = if auth.contains("Verify") { "  client_ca_file: ca.crt\n" } else { "" };
    let server = site.load(&format!("{TLS}  client_auth_type: {auth}\n{ca}"));
    let (right, wrong) = (site.client_ca.leaf(vec![dns("prometheus")]), Ca::new().leaf(vec![dns("prometheus")]));
    for versions in BOTH {
        for (shown, expected) in [None, Some(&right), Some(&wrong)].into_iter().zip(expected) {
            let client = Client { shows: shown, ..Client::new(&site.server_ca).speaking(versions) };
            match expected {
                Ok(()) => assert!(client.meets(&server).is_ok(), "{auth}: {:?}", client.meets(&server)),
                Err(reason) => assert_fails(&client.meets(&server), reason),
            }
        }
    }
}

const NONE_SHOWN: Result<(), &str> = Err("server: peer sent no certificates");
const WRONG_CA: Result<(), &str> = Err("server: invalid peer certificate: UnknownIssuer");

#[test]
fn no_client_certificate_is_asked_for() {
    assert_auth("NoClientCert", [Ok(()), Ok(()), Ok(())]);
}

#[test]
fn any_or_no_client_certificate_will_do() {
    assert_auth("RequestClientCert", [Ok(()), Ok(()), Ok(())]);
}

#[test]
fn any_client_certificate_will_do() {
    assert_auth("RequireAnyClientCert", [NONE_SHOWN, Ok(()), Ok(())]);
}

#[test]
fn a_client_certificate_that_is_shown_is_verified() {
    assert_auth("VerifyClientCertIfGiven", [Ok(()), Ok(()), WRONG_CA]);
}

#[test]
fn a_client_certificate_is_required_and_verified() {
    assert_auth("RequireAndVerifyClientCert", [NONE_SHOWN, Ok(()), WRONG_CA]);
}

#[test]
fn any_certificate_will_do_but_its_key_must_be_held() {
    let site = Site::new();
    let server = site.load(&format!("{TLS}  client_auth_type: RequireAnyClientCert\n"));
    let stolen = site.client_ca.leaf(vec![]);
    let thief = Leaf { cert: stolen.cert, key: site.client_ca.leaf(vec![]).key };
    for versions in BOTH {
        let mut config = Client::new(&site.server_ca).speaking(versions).config();
        config.client_auth_cert_resolver = Arc::new(thief_resolver(&thief));
        let mut client =
            ClientConnection::new(Arc::new(config), "localhost".try_into().expect("name")).expect("client");
        let mut server = ServerConnection::new(server.tls().expect("TLS")).expect("server");
        let failure =
            (0..5).find_map(|_| pass(&mut client, &mut server).err().or(pass(&mut server, &mut client).err()));
        assert_eq!(failure, Some(rustls::CertificateError::BadSignature.into()));
    }
}

/// rustls itself refuses to pair a certificate with another's key, so the check is gone around.
fn thief_resolver(thief: &Leaf) -> rustls::sign::SingleCertAndKey {
    let chain = vec![CertificateDer::from_pem_slice(thief.cert.as_bytes()).expect("certificate")];
    let key = PrivateKeyDer::from_pem_slice(thief.key.as_bytes()).expect("key");
    let signer = ring::sign::any_supported_type(&key).expect("key");
    rustls::sign::CertifiedKey::new(chain, signer).into()
}

fn assert_sans(auth: &str) {
    let site = Site::new();
    let server = site.load(&format!(
        "{TLS}  client_auth_type: {auth}
  client_allowed_sans:
    - prometheus.example
    - 2001:DB8:0::1
    - 10.0.0.1
    - ops@example.org
    - spiffe://example.org/prometheus
"
    ));
    let text = |text: &str| text.try_into().expect("ASCII");
    let allowed = [
        dns("prometheus.example"),
        SanType::IpAddress("2001:db8::1".parse().expect("address")),
        SanType::IpAddress("10.0.0.1".parse().expect("address")),
        SanType::Rfc822Name(text("ops@example.org")),
        SanType::URI(text("spiffe://example.org/prometheus")),
    ];
    for versions in BOTH {
        let outcome = |names: Vec<SanType>| {
            Client::new(&site.server_ca).speaking(versions).showing(&site.client_ca.leaf(names)).meets(&server)
        };
        for name in &allowed {
            assert!(outcome(vec![name.clone()]).is_ok(), "{name:?}");
            assert!(outcome(vec![dns("other.example"), name.clone()]).is_ok(), "{name:?} is one of two");
        }
        let refusal = "none of the client certificate's names [\"other.example\"] is in client_allowed_sans";
        assert_fails(&outcome(vec![dns("other.example")]), refusal);
        assert_fails(&outcome(vec![]), "none of the client certificate's names [] is");
        assert_fails(&outcome(vec![dns("*.example")]), "is in client_allowed_sans");
        assert_fails(&Client::new(&site.server_ca).speaking(versions).meets(&server), "no certificates");
    }
}

#[test]
fn only_certificates_with_an_allowed_name_of_the_ca_are_let_in() {
    assert_sans("RequireAndVerifyClientCert\n  client_ca_file: ca.crt");
}

#[test]
fn only_certificates_with_an_allowed_name_are_let_in_whoever_signed() {
    assert_sans("RequireAnyClientCert");
}

#[test]
fn the_right_name_does_not_make_up_for_the_wrong_ca() {
    let site = Site::new();
    let server = site.load(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [prometheus]\n"
    ));
    let wrong = Ca::new().leaf(vec![dns("prometheus")]);
    assert_fails(&Client::new(&site.server_ca).showing(&wrong).meets(&server), "UnknownIssuer");
}

#[test]
fn versions_outside_the_range_are_refused() {
    let site = Site::new();
    let cases = [("min_version: TLS13", &TLS13, &TLS12), ("max_version: TLS12", &TLS12, &TLS13)];
    for (setting, inside, outside) in cases {
        let server = site.load(&format!("{TLS}  {setting}\n"));
        let outcome = |version| Client::new(&site.server_ca).speaking(&[version]).meets(&server);
        assert_eq!(outcome(inside).map(|(version, _)| version), Ok(inside.version));
        assert_fails(&outcome(outside), "server: peer is incompatible");
    }
    let server = site.load(&format!("{TLS}  min_version: TLS10\n"));
    for versions in BOTH {
        assert!(Client::new(&site.server_ca).speaking(versions).meets(&server).is_ok());
    }
}

#[test]
fn only_the_named_cipher_suites_are_used_and_tls_1_3_keeps_its_own() {
    let site = Site::new();
    let server = site.load(&format!("{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n"));
    let client = Client::new(&site.server_ca).speaking(&[&TLS12]);
    let named = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    assert_eq!(client.meets(&server).map(|(_, suite)| suite), Ok(named));
    let other = Client { suites: Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), ..client };
    assert_fails(&other.meets(&server), "server: peer is incompatible: NoCipherSuitesInCommon");
    assert!(Client::new(&site.server_ca).speaking(&[&TLS13]).meets(&server).is_ok());
}

#[test]
fn naming_a_suite_of_tls_1_3_restricts_tls_1_3() {
    let site = Site::new();
    let server = site.load(&format!("{TLS}  cipher_suites: [TLS_CHACHA20_POLY1305_SHA256]\n"));
    let outcome = Client::new(&site.server_ca).meets(&server);
    assert_eq!(outcome, Ok((ProtocolVersion::TLSv1_3, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)));
}

#[test]
fn the_order_of_cipher_suites_is_the_servers_unless_given_up() {
    let site = Site::new();
    let suites =
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    let client = Client::new(&site.server_ca).speaking(&[&TLS12]);
    let chosen = |rest: &str| client.meets(&site.load(&format!("{TLS}  {suites}\n{rest}"))).map(|(_, suite)| suite);
    assert_eq!(chosen(""), Ok(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256));
    let given_up = chosen("  prefer_server_cipher_suites: false\n");
    assert_eq!(given_up, Ok(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384));
}

#[test]
fn only_the_named_curves_are_used() {
    let site = Site::new();
    let server = site.load(&format!("{TLS}  curve_preferences: [CurveP384]\n"));
    let with = |group| Client { groups: Some(group), ..Client::new(&site.server_ca) };
    assert!(with(rustls::NamedGroup::secp384r1).meets(&server).is_ok());
    assert_fails(&with(rustls::NamedGroup::X25519).meets(&server), "NoKxGroupsInCommon");
}

#[test]
fn only_http_1_1_is_negotiated() {
    let site = Site::new();
    let server = site.load(TLS);
    let with = |alpn| Client { alpn: Some(alpn), ..Client::new(&site.server_ca) }.meets(&server);
    assert!(with("http/1.1").is_ok());
    assert_fails(&with("h2"), "server");
}
