//! Certificates made for a test, and the configurations that use them.

use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519};
use ringstorm::tls::Role;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;

/// An authority, a server's certificate for `sim`, and a client's.
///
/// Ed25519, because its signatures have one length: the simulator splits by lengths.
pub(crate) struct Certificates {
    root: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Certificates {
    /// New keys for all.
    pub(crate) fn new() -> Self {
        let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = |name: &str| CertificateParams::new(vec![name.to_owned()]).unwrap();
        let mut authority = params("authority");
        // Two authorities of one name would be told apart by their signatures only.
        let name = format!("authority {}", fastrand::u64(..));
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).unwrap();
        let leaf = |name: &str| {
            let key = key();
            let signed = params(name).signed_by(&key, &authority).unwrap();
            let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            (signed.der().clone(), secret)
        };
        Self {
            root: authority.der().clone(),
            server: leaf("sim"),
            client: leaf("client"),
        }
    }

    /// The authority as the only root.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    /// A server of one version.
    pub(crate) fn server(
        &self,
        version: &'static SupportedProtocolVersion,
        mutual: Mutual,
    ) -> Role {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap();
        let builder = match mutual {
            Mutual::No => builder.with_no_client_auth(),
            Mutual::Yes => {
                let roots = Arc::new(self.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (certificate, key) = (self.server.0.clone(), self.server.1.clone_key());
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.enable_secret_extraction = true;
        Role::Server(Arc::new(config))
    }

    /// A client that speaks both versions, trusts these roots and asks for that name.
    pub(crate) fn client(&self, roots: RootCertStore, name: &str, to: SocketAddr) -> Role {
        let (certificate, key) = (self.client.0.clone(), self.client.1.clone_key());
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS12, &TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
        config.enable_secret_extraction = true;
        config.resumption = rustls::client::Resumption::disabled();
        Role::Client {
            config: Arc::new(config),
            names: vec![(to, ServerName::try_from(name.to_owned()).unwrap())],
        }
    }
}

/// Whether the server wants a certificate of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutual {
    No,
    Yes,
}
