//! Certificates and keys as PEM text, inline or in a file.

use crate::error::Problem;
use crate::files::Files;
use crate::schema::Text;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use std::sync::Arc;

/// PEM text and where it stands.
pub(super) struct Source {
    name: String,
    line: u64,
    content: Vec<u8>,
}

impl Source {
    /// PEM text within the configuration file.
    pub(super) fn inline(key: &str, content: &[u8], line: u64) -> Self {
        Self { name: key.to_owned(), line, content: content.to_vec() }
    }

    /// A file named in the configuration file.
    pub(super) fn file(key: &str, file: &Text, files: &mut Files) -> Result<Self, Problem> {
        let path = files.locate(&file.value);
        let mut source =
            Self { name: format!("{key}_file {}", path.display()), line: file.referenced.line(), content: vec![] };
        source.content = files.read(&path).map_err(|reason| {
            source.problem(&format!("{reason}; check that it exists and that the exporter's user may read it"))
        })?;
        Ok(source)
    }

    /// The key in the configuration file, with the path where there is one.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A fault of this text. The reason never quotes it, as it may be a key.
    pub(super) fn problem(&self, reason: &str) -> Problem {
        Problem::at(self.line, format!("{}: {reason}", self.name))
    }

    /// The certificates in it, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.content).collect();
        let found = found.map_err(|_| self.problem("damaged PEM text; copy the certificate again"))?;
        if found.is_empty() {
            return Err(self.problem("no certificate in it; a PEM section -----BEGIN CERTIFICATE----- is needed"));
        }
        Ok(found)
    }

    /// The certificates in it as trust anchors.
    pub(super) fn roots(&self) -> Result<RootCertStore, Problem> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in self.certificates()?.into_iter().enumerate() {
            roots.add(certificate).map_err(|error| {
                self.problem(&format!("certificate {} of the file is no usable CA ({error}); replace it", index + 1))
            })?;
        }
        Ok(roots)
    }

    /// The private key in it.
    pub(super) fn signing_key(&self, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, Problem> {
        let key = PrivateKeyDer::from_pem_slice(&self.content).map_err(|_| self.no_key())?;
        provider.key_provider.load_private_key(key).map_err(|_| {
            self.problem(
                "not a usable private key; RSA of 2048 to 8192 bits, ECDSA P-256 or P-384, or Ed25519 is needed",
            )
        })
    }

    fn no_key(&self) -> Problem {
        let encrypted = self.content.windows(b"ENCRYPTED".len()).any(|window| window == b"ENCRYPTED");
        self.problem(if encrypted {
            "the private key is encrypted; store it decrypted, with `openssl pkey`, readable by the exporter only"
        } else {
            "no intact private key in it; a PEM section -----BEGIN PRIVATE KEY----- is needed"
        })
    }
}
