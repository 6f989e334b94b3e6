//! Where a URL leads: to one address, to several of one name, or nowhere that is known.

use std::net::SocketAddr;
use std::sync::Arc;

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// There.
    At(SocketAddr),
    /// To several addresses of one name: connections take them in turn, and the next one where one
    /// does not answer (RFC 8305).
    Any(Arc<[SocketAddr]>),
    /// Nobody knows: its name was not found. Whoever is to go there has failed.
    Unknown,
}

impl Target {
    /// The first address, if one is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses().first().copied()
    }

    /// All addresses that are known.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::At(address) => std::slice::from_ref(address),
            Self::Any(addresses) => addresses,
            Self::Unknown => &[],
        }
    }
}

/// What a URL asks for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Host header.
    pub host: String,
    /// The request target: path and query; `Values` says what may stand in it.
    pub target: String,
}
