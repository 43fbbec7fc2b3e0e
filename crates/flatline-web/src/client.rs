//! Client certificates: who must show one, who signs it, whose names are let in.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;

/// Names of a refused certificate that its error repeats.
const NAMES_SHOWN: usize = 5;

/// The setting `client_auth_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// None is asked for.
    NoClientCert,
    /// Asked for; any or none will do.
    RequestClientCert,
    /// Any will do.
    RequireAnyClientCert,
    /// One that is shown must be signed by the CA.
    VerifyClientCertIfGiven,
    /// One must be shown and be signed by the CA.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// The names in the file.
    pub(crate) const NAMES: [&str; 5] = [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ];

    /// Understands the name in the file; blank is none.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "NoClientCert" => Some(Self::NoClientCert),
            "RequestClientCert" => Some(Self::RequestClientCert),
            // The second is the exporter-toolkit's older name.
            "RequireAnyClientCert" | "RequireClientCert" => Some(Self::RequireAnyClientCert),
            "VerifyClientCertIfGiven" => Some(Self::VerifyClientCertIfGiven),
            "RequireAndVerifyClientCert" => Some(Self::RequireAndVerifyClientCert),
            _ => None,
        }
    }

    /// Whether a client without a certificate is turned away.
    pub(crate) fn is_mandatory(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }

    /// Whether a CA decides.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }
}

/// Names of which a client certificate must carry one.
#[derive(Debug)]
pub(crate) struct AllowedSans(Vec<String>);

impl AllowedSans {
    /// Addresses are compared in their canonical spelling, all else to the letter.
    pub(crate) fn new(names: impl Iterator<Item = String>) -> Self {
        Self(names.map(|name| name.parse::<IpAddr>().map_or(name, |address| address.to_string())).collect())
    }

    fn verify(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let names = names_of(certificate).ok_or(CertificateError::BadEncoding)?;
        if names.iter().any(|name| self.0.contains(name)) {
            return Ok(());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NameNotAllowed::new(names)))).into())
    }
}

/// None of the certificate's names is in `client_allowed_sans`.
#[derive(thiserror::Error)]
#[error("none of the client certificate's names {names:?} is in client_allowed_sans")]
struct NameNotAllowed {
    names: Vec<String>,
}

/// rustls shows the debug form in its errors.
impl fmt::Debug for NameNotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl NameNotAllowed {
    fn new(mut names: Vec<String>) -> Self {
        names.truncate(NAMES_SHOWN);
        Self { names }
    }
}

/// DNS names, mail addresses, URIs and IP addresses of a certificate; `None` if it can't be read.
fn names_of(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let Some(extension) = certificate.subject_alternative_name().ok()? else { return Some(Vec::new()) };
    Some(extension.value.general_names.iter().filter_map(name_text).collect())
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Judges client certificates within the handshake.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    mandatory: bool,
    chain: Option<Arc<dyn ClientCertVerifier>>,
    allowed: Option<AllowedSans>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    /// A verifier that takes any certificate whose key the client holds, signed by one of `roots` if given.
    pub(crate) fn new(
        mandatory: bool,
        roots: Option<RootCertStore>,
        allowed: Option<AllowedSans>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let chain = roots.map(|roots| chain_verifier(roots, provider)).transpose()?;
        Ok(Self { mandatory, chain, allowed, algorithms: provider.signature_verification_algorithms })
    }
}

fn chain_verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build()
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed {
            allowed.verify(end_entity)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whatever a client shows as its certificate.
#[cfg(fuzzing)]
pub(crate) fn fuzz(certificate: &[u8]) {
    assert!(names_of(certificate).is_none_or(|names| names.len() <= certificate.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_certificate_makes_the_name_reader_panic(der in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = names_of(&der);
        }

        #[test]
        fn nor_does_a_certificate_with_one_wrong_byte(at in 0_usize..2000, byte: u8) {
            let mut der = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap().cert.der().to_vec();
            let at = at % der.len();
            der[at] = byte;
            let _ = names_of(&der);
        }
    }
}
