//! What TLS is to be: files of certificates and keys become the configurations of the layer.
//!
//! The crypto provider is ring: it builds with a C compiler alone. Roots are those of the system
//! unless a file says otherwise.

mod by_name;
mod files;
mod flags;
mod private_key;
mod staple;
mod unverified;

use super::Failure;
use crate::report::remedy;
use crate::tls::Role;
use by_name::{ByName, NamedKey};
pub(super) use files::{Identity, TlsFiles};
pub(super) use flags::TlsFlags;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, OtherError, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unverified::Unverifiable;

/// What is spoken inside (RFC 7301); HTTP/2 is not.
const HTTP: &[u8] = b"http/1.1";

/// What rustls says of an authority's certificate where a server's should be (RFC 5280, 4.2.1.9).
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Whom a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Whom this system trusts.
    System,
    /// Whom the certificates in this PEM file name.
    File(PathBuf),
    /// Everybody.
    Anybody,
}

/// The names of flags, for refusals.
struct Named {
    certificate: &'static str,
    key: &'static str,
}

/// The server's side.
pub(super) fn server(files: &TlsFiles) -> Result<Role, Failure> {
    let named = Named {
        certificate: "--tls-cert",
        key: "--tls-key",
    };
    let provider = Arc::new(ring::default_provider());
    let mut keys = Vec::new();
    for identity in &files.identities {
        let (chain, key) = read(identity, &named)?;
        let certified = CertifiedKey::from_der(chain, key, &provider);
        let certified = certified.map_err(|error| mismatch(&named, &error))?;
        let staple = identity.staple.as_deref().map(staple::read).transpose()?;
        keys.push(NamedKey::new(certified, staple));
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots("--tls-client-ca", path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName(keys)));
    config.alpn_protocols = vec![HTTP.to_vec()];
    // Who comes back is known by what he brings, not by a table that all cores share.
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    config.enable_secret_extraction = true;
    Ok(Role::Server(Arc::new(config)))
}

/// The client's side.
pub(super) fn client(
    trust: &Trust,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::File(path) => builder.with_root_certificates(roots("--ca", path)?),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(unverified::Verifier::new(&provider))),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let named = Named {
                certificate: "--client-cert",
                key: "--client-key",
            };
            let (chain, key) = read(identity, &named)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| mismatch(&named, &error))?
        }
    };
    config.alpn_protocols = vec![HTTP.to_vec()];
    // Each connection stands for a client that has not been here before.
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// A server's name as certificates have it: a DNS name or an address.
pub(super) fn name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "write a host name or an address, such as example.org".to_owned())
}

/// What is wrong with a certificate where rustls has no word of its own for it, and what to do.
pub(super) fn explained(error: &OtherError) -> String {
    if let Some(why) = error.0.downcast_ref::<Unverifiable>() {
        return format!("{why}; try: another certificate for it");
    }
    match error.to_string().as_str() {
        AUTHORITY => format!(
            "the server's certificate is that of an authority, as plain `openssl req -x509` makes \
             them, and no server may show it; try: {}",
            remedy::CA_CERTIFICATE
        ),
        other => format!("{other}; try: another certificate for it, or --insecure"),
    }
}

fn read(
    identity: &Identity,
    named: &Named,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let chain = certificates(&identity.certificate, named.certificate)?;
    let key = private_key::read(named.key, &identity.key, identity.password.as_deref())?;
    Ok((chain, key))
}

fn certificates(path: &Path, flag: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let refuse = |error: &pem::Error| unreadable(flag, path, error, "a certificate");
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| refuse(&error))?
        .collect();
    let found = found.map_err(|error| refuse(&error))?;
    if found.is_empty() {
        return Err(refuse(&pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn roots(flag: &str, path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, flag)? {
        roots.add(certificate).map_err(|error| {
            let text = format!("{flag}: {}: {error}", path.display());
            Failure::Usage(format!("{text}; try: the certificate of an authority"))
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let text = "this system has no certificates of authorities; try: --ca FILE, or the \
                    package ca-certificates";
        return Err(Failure::Run(text.to_owned()));
    }
    Ok(roots)
}

fn unreadable(flag: &str, path: &Path, error: &pem::Error, what: &str) -> Failure {
    let (path, why) = match error {
        pem::Error::Io(error) => (path.display(), error.to_string()),
        pem::Error::NoItemsFound => (path.display(), format!("{what} is not in it")),
        other => (path.display(), other.to_string()),
    };
    let remedy = format!("{what} as PEM: -----BEGIN ...-----");
    Failure::Usage(format!("{flag}: {path}: {why}; try: a file with {remedy}"))
}

fn mismatch(named: &Named, error: &Error) -> Failure {
    let (certificate, key) = (named.certificate, named.key);
    Failure::Usage(format!(
        "{certificate}, {key}: {error}; try: the key that this certificate was made for"
    ))
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::Run(format!("TLS cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::UnixTime;

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// RFC 5280, 4.2.1.9; plain `openssl req -x509` makes such certificates.
    #[test]
    fn a_servers_certificate_that_is_an_authoritys_is_told_how_to_be_made_right() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.der().clone()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(ring::default_provider()),
        );
        let found = verifier.build().unwrap().verify_server_cert(
            made.der(),
            &[],
            &name("a.test").unwrap(),
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(1 << 30)),
        );
        let Err(Error::InvalidCertificate(CertificateError::Other(error))) = found else {
            panic!("{found:?}");
        };
        let text = explained(&error);
        assert!(
            text.contains("basicConstraints=critical,CA:FALSE"),
            "{text}"
        );
        assert!(text.ends_with(remedy::CA_CERTIFICATE), "{text}");
    }

    #[test]
    fn a_file_that_will_not_do_is_named_with_its_flag_and_what_would() {
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let certificate = file("certificate.pem", &made.cert.pem());
        let key = file("key.pem", &made.signing_key.serialize_pem());
        let other = file("other.pem", &other.serialize_pem());
        let empty = file("empty.pem", "nothing\n");
        let with = |certificate: &Path, key: &Path| {
            let identity = Identity::new(certificate.to_owned(), key.to_owned());
            let files = TlsFiles {
                identities: vec![identity],
                client_ca: None,
            };
            server(&files).map_err(|failure| failure.to_string())
        };
        assert!(with(&certificate, &key).is_ok());
        for (result, flag, remedy) in [
            (with(Path::new("/no"), &key), "--tls-cert: /no", "PEM"),
            (with(&empty, &key), "--tls-cert", "certificate as PEM"),
            (
                with(&certificate, &empty),
                "--tls-key",
                "private key as PEM",
            ),
            (with(&certificate, &other), "--tls-key", "made for"),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(flag) && error.contains(remedy), "{error}");
        }
        let error = client(&Trust::File(empty.clone()), None).unwrap_err();
        assert!(error.to_string().contains("--ca"), "{error}");
        assert!(client(&Trust::File(certificate.clone()), None).is_ok());
        assert!(client(&Trust::Anybody, None).is_ok());
        for path in [certificate, key, other, empty] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
