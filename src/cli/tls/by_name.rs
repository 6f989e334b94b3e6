//! The certificate that a client gets: the first that is for the name it asks for (RFC 6066, 3) and
//! whose key it can check; where none is, the first.

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Certificates and their keys, in the order typed.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let is_named =
            |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
        let schemes = hello.signature_schemes();
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named = self.0.iter().filter(is_named);
        let found = named.chain(&self.0).find(is_usable);
        found.or(self.0.first()).cloned()
    }
}

/// Whether a certificate is for that name.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let end = key.cert.first().map(ParsedCertificate::try_from);
    end.is_some_and(|end| end.is_ok_and(|end| verify_server_name(&end, name).is_ok()))
}
