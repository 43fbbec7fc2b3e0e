//! Until when a certificate holds (RFC 5280, section 4.1.2.5).

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The end of the certificate's validity as Unix time; nothing when it is no X.509 certificate.
#[must_use]
pub fn expiry(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
