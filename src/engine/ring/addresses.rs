//! Remote addresses, where the kernel reads them.

use socket2::SockAddr;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Remote addresses at stable places: the kernel reads one when it takes the entry.
#[derive(Default)]
pub(super) struct Addresses(BTreeMap<SocketAddr, Box<SockAddr>>);

impl Addresses {
    pub(super) fn place(&mut self, address: SocketAddr) -> &SockAddr {
        self.0
            .entry(address)
            .or_insert_with(|| Box::new(address.into()))
    }
}
