//! Which files a server's TLS is read from.

use super::flags::TlsFlags;
use super::staple;
use crate::cli::Failure;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A chain of certificates, the key of the first, and what goes with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Identity {
    /// PEM.
    pub(super) certificate: PathBuf,
    /// PEM.
    pub(super) key: PathBuf,
    /// Where the passphrase of the key is: `env:NAME` or `file:PATH`.
    pub(super) password: Option<String>,
    /// What the authority says of the certificate (RFC 6960, 4.2.1; DER).
    pub(super) staple: Option<PathBuf>,
}

/// Where a server's certificates and keys are, and whose clients are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct TlsFiles {
    pub(super) identities: Vec<Identity>,
    pub(super) client_ca: Option<PathBuf>,
}

impl Identity {
    /// A certificate and its key, which has no passphrase.
    pub(in crate::cli) const fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            certificate,
            key,
            password: None,
            staple: None,
        }
    }

    /// All files.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let password = self.password.as_deref();
        let password = password.and_then(|place| place.strip_prefix("file:"));
        let others = [self.staple.as_deref(), password.map(Path::new)];
        let pair = [self.certificate.as_path(), self.key.as_path()];
        pair.into_iter().chain(others.into_iter().flatten())
    }
}

impl TlsFiles {
    /// As typed; `None` for a server without TLS.
    pub(in crate::cli) fn new(flags: &TlsFlags) -> Result<Option<Self>, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let (certificates, keys) = (flags.tls_cert.len(), flags.tls_key.len());
        let (passwords, staples) = (&flags.tls_key_password, &flags.tls_ocsp);
        if certificates != keys {
            return usage(format!(
                "--tls-cert, --tls-key: {certificates} and {keys} of them; try: one key for each \
                 certificate, in the same order"
            ));
        }
        if passwords.len() > 1 && passwords.len() != keys {
            return usage(format!(
                "--tls-key-password: {} of them for {keys} of --tls-key; try: one for all keys, or \
                 one for each, in the same order",
                passwords.len()
            ));
        }
        if staples.len() > certificates {
            return usage(format!(
                "--tls-ocsp: {} of them for {certificates} of --tls-cert; try: one for each \
                 certificate, in the same order",
                staples.len()
            ));
        }
        let pairs = flags.tls_cert.iter().zip(&flags.tls_key).enumerate();
        let identities: Vec<Identity> = pairs
            .map(|(place, (certificate, key))| Identity {
                certificate: certificate.clone(),
                key: key.clone(),
                password: passwords.get(place).or(passwords.first()).cloned(),
                staple: staples.get(place).cloned(),
            })
            .collect();
        let is_on = !identities.is_empty();
        Ok(is_on.then_some(Self {
            identities,
            client_ca: flags.tls_client_ca.clone(),
        }))
    }

    /// Files of what authorities said that does not hold any more.
    pub(in crate::cli) fn expired(&self, now: SystemTime) -> impl Iterator<Item = &Path> {
        let staples = self.identities.iter().filter_map(|it| it.staple.as_deref());
        // One that cannot be read is told when it is read to be used.
        staples.filter(move |path| staple::read(path).is_ok_and(|it| it.has_expired(now)))
    }

    /// All files.
    pub(in crate::cli) fn paths(&self) -> impl Iterator<Item = &Path> {
        let identities = self.identities.iter().flat_map(Identity::paths);
        identities.chain(self.client_ca.as_deref())
    }
}
