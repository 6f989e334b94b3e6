//! Flags of `serve` for TLS: certificates, their keys, and whose clients are let in.

use clap::Args;
use std::path::PathBuf;

/// Flags of a server's TLS.
#[derive(Args, Debug)]
pub(in crate::cli) struct TlsFlags {
    /// Certificates of the server, its own first (PEM): all listeners speak TLS, wss:// and
    /// https://. May be given several times: a client gets the first that is for the name it asks
    /// for.
    #[arg(long, value_name = "FILE", requires = "tls_key", value_delimiter = ',')]
    pub(super) tls_cert: Vec<PathBuf>,
    /// Private key of the first certificate of --tls-cert (PEM); one for each, in their order.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        value_delimiter = ','
    )]
    pub(super) tls_key: Vec<PathBuf>,
    /// Passphrase of keys that are encrypted (PKCS #8): env:NAME of the environment, or file:PATH.
    /// One for all of them, or one for each key, in their order.
    #[arg(
        long,
        value_name = "WHERE",
        requires = "tls_key",
        value_delimiter = ','
    )]
    pub(super) tls_key_password: Vec<String>,
    /// What a certificate's authority says of it (OCSP, DER), for clients that ask with their
    /// handshake; one for each of the first certificates of --tls-cert, in their order.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        value_delimiter = ','
    )]
    pub(super) tls_ocsp: Vec<PathBuf>,
    /// Lets only clients in whose certificates one of these authorities has signed (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// Whether the server speaks TLS.
    pub(in crate::cli) const fn is_on(&self) -> bool {
        !self.tls_cert.is_empty()
    }
}
