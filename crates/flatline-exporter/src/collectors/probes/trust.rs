//! Whom an HTTPS probe trusts, and the certificate it was shown, trusted or not.

use flatline_sources::probes::{Target, expiry};
use flatline_sources::read;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const MAX_CA_FILE: usize = 1 << 20;

/// Until when the certificate of the target's host holds, as last seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown(Arc<Mutex<Option<i64>>>);

impl Shown {
    /// What was shown since the last call.
    pub(super) fn take(&self) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, expiry: Option<i64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
    }
}

/// The certificates the host trusts; read once, for all probes.
#[derive(Debug, Default)]
pub(super) struct HostRoots(Option<Arc<RootCertStore>>);

impl HostRoots {
    fn get(&mut self) -> Arc<RootCertStore> {
        Arc::clone(self.0.get_or_insert_with(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in found.errors {
                tracing::warn!(%error, "a certificate that this host trusts can't be read");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                tracing::warn!("this host trusts no certificate at all (Debian: apt-get install ca-certificates)");
            }
            Arc::new(roots)
        }))
    }
}

/// TLS for one probe: its own certificates or the host's.
///
/// # Errors
/// When its file of certificates can't be read or holds none.
pub(super) fn config(target: &Target, roots: &mut HostRoots, shown: &Shown) -> Result<ClientConfig, String> {
    let roots = target.ca_file.as_deref().map_or_else(|| Ok(roots.get()), file_roots)?;
    let provider = Arc::new(ring::default_provider());
    // Without any root there is nothing to build from, and nothing is trusted.
    let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().ok();
    let host = match &target.place {
        flatline_sources::probes::Place::Http(url) => url.host_str().unwrap_or_default().to_owned(),
        flatline_sources::probes::Place::Tcp { .. } => String::new(),
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    let verifier = Arc::new(Recording { judge, shown: shown.clone(), host, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn file_roots(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut pem = Vec::new();
    read::read_given(path, MAX_CA_FILE, &mut pem).map_err(|error| error.to_string())?;
    let invalid = |reason: String| format!("{}: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() { Err(invalid("holds no certificate in PEM format".to_owned())) } else { Ok(Arc::new(roots)) }
}

/// Looks at the certificate before it is judged, so that one that is not trusted, because it has ended, say, still
/// tells when. The judgement itself is rustls's own.
#[derive(Debug)]
struct Recording {
    judge: Option<Arc<WebPkiServerVerifier>>,
    shown: Shown,
    host: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Not those of hosts it is redirected to.
        if server_name.to_str().eq_ignore_ascii_case(&self.host) {
            self.shown.put(expiry(end_entity));
        }
        let judge = self.judge.as_ref().ok_or_else(|| Error::General("this host trusts no certificate".to_owned()))?;
        judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
