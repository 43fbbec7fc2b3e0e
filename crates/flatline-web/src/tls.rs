//! From the section `tls_server_config` to what rustls serves with.

mod algorithms;
mod pem;

use crate::client::{AllowedSans, ClientAuth, ClientVerifier};
use crate::error::{Problem, unknown};
use crate::files::Files;
use crate::schema::{Text, Tls};
use rustls::crypto::CryptoProvider;
use rustls::server::WantsServerCert;
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, InconsistentKeys, RootCertStore, ServerConfig};
use serde_yaml::Spanned;
use std::sync::Arc;

/// The only protocol spoken within TLS.
const ALPN: &[u8] = b"http/1.1";

/// The section under construction.
pub(crate) struct Builder<'a> {
    tls: &'a Tls,
    line: u64,
    files: &'a mut Files,
    notices: &'a mut Vec<String>,
}

impl<'a> Builder<'a> {
    /// Starts with the section as written; files are read through `files`.
    pub(crate) fn new(section: &'a Spanned<Tls>, files: &'a mut Files, notices: &'a mut Vec<String>) -> Self {
        Self { tls: &section.value, line: section.referenced.line(), files, notices }
    }

    /// Reads the certificates and keys, and judges everything.
    pub(crate) fn build(mut self) -> Result<Arc<ServerConfig>, Problem> {
        self.check_pairs()?;
        let auth = self.client_auth()?;
        let versions = algorithms::versions(self.tls, self.notices)?;
        let provider = Arc::new(algorithms::provider(self.tls, &versions)?);
        let identity = self.identity(&provider)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| self.problem(error.to_string()))?;
        let builder = match auth {
            ClientAuth::NoClientCert => builder.with_no_client_auth(),
            _ => builder.with_client_cert_verifier(self.verifier(auth, &provider)?),
        };
        Ok(self.finish(builder, identity))
    }

    fn finish(
        &self,
        builder: ConfigBuilder<ServerConfig, WantsServerCert>,
        identity: CertifiedKey,
    ) -> Arc<ServerConfig> {
        let resolver = rustls::sign::SingleCertAndKey::from(identity);
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ignore_client_order = self.tls.prefer_server_cipher_suites.unwrap_or(true);
        Arc::new(config)
    }

    fn problem(&self, reason: impl Into<String>) -> Problem {
        Problem::at(self.line, reason)
    }

    /// Each of certificate, key and CA comes from a file or is written inline.
    fn check_pairs(&self) -> Result<(), Problem> {
        let tls = self.tls;
        let key_line = tls.key.as_ref().filter(|key| !key.value.reveal().is_empty()).map(|key| key.referenced.line());
        self.check_pair("cert", line_of(&tls.cert), line_of(&tls.cert_file), true)?;
        self.check_pair("key", key_line, line_of(&tls.key_file), true)?;
        self.check_pair("client_ca", line_of(&tls.client_ca), line_of(&tls.client_ca_file), false)
    }

    fn check_pair(&self, name: &str, inline: Option<u64>, file: Option<u64>, required: bool) -> Result<(), Problem> {
        match (inline, file) {
            (Some(_), Some(line)) => Err(Problem::at(line, format!("both {name} and {name}_file are set; remove one"))),
            (None, None) if required => {
                Err(self.problem(format!("missing one of {name} or {name}_file; add it, or remove tls_server_config")))
            }
            _ => Ok(()),
        }
    }

    fn client_auth(&mut self) -> Result<ClientAuth, Problem> {
        let auth = match set(&self.tls.client_auth_type) {
            None => ClientAuth::NoClientCert,
            Some(name) => ClientAuth::from_name(&name.value).ok_or_else(|| {
                Problem::at(name.referenced.line(), unknown("client_auth_type", &name.value, &ClientAuth::NAMES))
            })?,
        };
        self.check_ca(auth)?;
        self.check_sans(auth)?;
        Ok(auth)
    }

    fn check_ca(&mut self, auth: ClientAuth) -> Result<(), Problem> {
        let ca = line_of(&self.tls.client_ca).or(line_of(&self.tls.client_ca_file));
        match ca {
            Some(line) if auth == ClientAuth::NoClientCert => Err(Problem::at(
                line,
                "a client CA is set but no client certificate is asked for; set client_auth_type: RequireAndVerifyClientCert",
            )),
            None if auth.verifies() => Err(Problem::at(
                line_of(&self.tls.client_auth_type).unwrap_or(self.line),
                "this client_auth_type needs a CA to verify with; set client_ca_file or client_ca",
            )),
            Some(line) if !auth.verifies() => {
                self.notices.push(format!(
                    "line {line}: the client CA is not used, because this client_auth_type takes any certificate"
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_sans(&mut self, auth: ClientAuth) -> Result<(), Problem> {
        let Some(list) = &self.tls.client_allowed_sans else { return Ok(()) };
        let line = list.referenced.line();
        if list.value.is_empty() {
            return Err(Problem::at(
                line,
                "client_allowed_sans is empty, so nobody could connect; add names or remove it",
            ));
        }
        if !auth.is_mandatory() {
            return Err(Problem::at(
                line,
                "client_allowed_sans requires client_auth_type to be one of RequireAnyClientCert or RequireAndVerifyClientCert",
            ));
        }
        if !auth.verifies() {
            self.notices.push(format!(
                "line {line}: client_allowed_sans protects nothing while any certificate is taken, because anybody can make \
                 one with these names; set client_auth_type: RequireAndVerifyClientCert"
            ));
        }
        Ok(())
    }

    fn verifier(&mut self, auth: ClientAuth, provider: &Arc<CryptoProvider>) -> Result<Arc<ClientVerifier>, Problem> {
        // Read even where it isn't used: a broken file is never meant.
        let roots = self.roots()?.filter(|_| auth.verifies());
        let names = self.tls.client_allowed_sans.as_ref().map(|list| list.value.iter().map(|name| name.value.clone()));
        ClientVerifier::new(auth.is_mandatory(), roots, names.map(AllowedSans::new), provider)
            .map(Arc::new)
            .map_err(|error| self.problem(format!("client certificates can't be verified: {error}")))
    }

    fn roots(&mut self) -> Result<Option<RootCertStore>, Problem> {
        let tls = self.tls;
        let inline = set(&tls.client_ca).map(|text| (text.value.as_bytes(), text.referenced.line()));
        let source = self.source("client_ca", inline, set(&tls.client_ca_file))?;
        source.map(|source| source.roots()).transpose()
    }

    fn identity(&mut self, provider: &CryptoProvider) -> Result<CertifiedKey, Problem> {
        let tls = self.tls;
        let inline_cert = set(&tls.cert).map(|text| (text.value.as_bytes(), text.referenced.line()));
        let inline_key = tls.key.as_ref().map(|key| (key.value.reveal().as_bytes(), key.referenced.line()));
        let inline_key = inline_key.filter(|(text, _)| !text.is_empty());
        let cert = self.source("cert", inline_cert, set(&tls.cert_file))?;
        let key = self.source("key", inline_key, set(&tls.key_file))?;
        let (Some(cert), Some(key)) = (cert, key) else { return Err(self.problem("missing certificate or key")) };
        let (chain, signer) = (cert.certificates()?, key.signing_key(provider)?);
        let identity = CertifiedKey::new(chain, signer);
        match identity.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
            Err(rustls::Error::InconsistentKeys(_)) => Err(key
                .problem(&format!("doesn't belong to the certificate in {}; use the pair made together", cert.name()))),
            Err(error) => {
                Err(cert.problem(&format!("unusable certificate ({error}); an X.509 version 3 certificate is needed")))
            }
        }
    }

    fn source(
        &mut self,
        key: &'static str,
        inline: Option<(&'a [u8], u64)>,
        file: Option<&Text>,
    ) -> Result<Option<pem::Source>, Problem> {
        match (inline, file) {
            (Some((content, line)), _) => Ok(Some(pem::Source::inline(key, content, line))),
            (None, Some(file)) => pem::Source::file(key, file, self.files).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// A blank value counts as not set.
fn set(text: &Option<Text>) -> Option<&Text> {
    text.as_ref().filter(|text| !text.value.is_empty())
}

fn line_of(text: &Option<Text>) -> Option<u64> {
    set(text).map(|text| text.referenced.line())
}
