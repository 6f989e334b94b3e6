//! How much a core has of all channels.

use super::Hub;
use super::broker::Broker;
use crate::app::Holdings;

impl<B: Broker> Hub<B> {
    /// The channels and sessions that are at home here, and the clients that are.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        let (channels, sessions) = self.home.counts();
        Holdings {
            channels: channels as u64,
            channel_clients: self.clients.len() as u64,
            sessions: sessions as u64,
        }
    }
}
