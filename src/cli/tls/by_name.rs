//! The certificate that a client gets: the first that is for the name it asks for (RFC 6066, 3) and
//! whose key it can check; where none is, the first. What its authority said goes with it as long
//! as that holds.

use super::staple::Staple;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::SystemTime;

/// Certificates and their keys, in the order typed.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Vec<NamedKey>);

/// A certificate and its key.
#[derive(Debug)]
pub(super) struct NamedKey {
    key: Arc<CertifiedKey>,
    /// What its authority said of it, and the same key with that.
    stapled: Option<(Staple, Arc<CertifiedKey>)>,
}

impl NamedKey {
    /// That certificate, with what its authority said of it.
    pub(super) fn new(key: CertifiedKey, staple: Option<Staple>) -> Self {
        let stapled = staple.map(|staple| {
            let ocsp = Some(staple.answer.clone());
            let key = key.clone();
            (staple, Arc::new(CertifiedKey { ocsp, ..key }))
        });
        let key = Arc::new(key);
        Self { key, stapled }
    }

    /// What a client gets at that time.
    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let stapled = self.stapled.as_ref();
        let stapled = stapled.filter(|(staple, _)| !staple.has_expired(now));
        Arc::clone(stapled.map_or(&self.key, |(_, key)| key))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let is_named = |it: &&NamedKey| name.as_ref().is_some_and(|name| is_for(&it.key, name));
        let schemes = hello.signature_schemes();
        let is_usable = |it: &&NamedKey| it.key.key.choose_scheme(schemes).is_some();
        let named = self.0.iter().filter(is_named);
        let found = named.chain(&self.0).find(is_usable);
        let found = found.or(self.0.first())?;
        Some(found.at(SystemTime::now()))
    }
}

/// Whether a certificate is for that name.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let end = key.cert.first().map(ParsedCertificate::try_from);
    end.is_some_and(|end| end.is_ok_and(|end| verify_server_name(&end, name).is_ok()))
}
