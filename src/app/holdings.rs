//! What an application holds on one core beside connections.

use serde::Serialize;

/// How much there is now. `Serialize` gives the keys that `/stats` documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// Channels that are at home here and have subscribers, patterns and sessions not among them.
    pub channels: u64,
    /// Clients of channels here.
    pub channel_clients: u64,
    /// Sessions that are at home here.
    pub sessions: u64,
}

impl Holdings {
    /// Both together.
    pub const fn add(&mut self, other: Self) {
        self.channels += other.channels;
        self.channel_clients += other.channel_clients;
        self.sessions += other.sessions;
    }
}
