//! A folder with a configuration file and certificates made for it.

use flatline_web::{ConfigError, WebConfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The TLS section's first lines, for a server with a certificate.
pub(crate) const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

/// A certificate authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Leaf {
    /// The certificate.
    pub(crate) cert: String,
    /// Its key.
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, format!("CA {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn leaf(&self, names: Vec<SanType>) -> Leaf {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("key");
        let cert = params.signed_by(&key, &self.issuer).expect("certificate").pem();
        Leaf { cert, key: key.serialize_pem() }
    }
}

/// A DNS name for a certificate.
pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

/// The folder.
pub(crate) struct Site {
    folder: TempDir,
    /// Signs the server's certificate.
    pub(crate) server_ca: Ca,
    /// Signs the clients' certificates.
    pub(crate) client_ca: Ca,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let site = Self { folder, server_ca: Ca::new(), client_ca: Ca::new() };
        let server = site.server_ca.leaf(vec![dns("localhost")]);
        site.write("server.crt", &server.cert);
        site.write("server.key", &server.key);
        site.write("ca.crt", &site.client_ca.pem);
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("web.yml")
    }

    /// Replaces a file at once, as certificate managers do.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let fresh = self.path("fresh");
        std::fs::write(&fresh, content).expect("write");
        std::fs::rename(fresh, self.path(name)).expect("rename");
    }

    pub(crate) fn try_load(&self, yaml: &str) -> Result<WebConfig, ConfigError> {
        self.write("web.yml", yaml);
        WebConfig::load(&self.config())
    }

    pub(crate) fn load(&self, yaml: &str) -> WebConfig {
        self.try_load(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
    }
}

/// Text as a YAML block under a key of a section.
pub(crate) fn block(key: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("    {line}\n")).collect();
    format!("  {key}: |\n{}", lines.concat())
}
