//! A connection whose request is passed on.

use super::Connection;
use crate::server::apps::Apps;
use crate::server::shared::Shared;
use crate::server::state::ConnectionState;
use crate::server::stats::Message;
use crate::server::step::{Stamp, Step};
use crate::shard::{ConnectionId, Wire};

impl Connection {
    /// Something has come of it, or the client has read what came before.
    pub(in crate::server) fn passed<A: Apps>(
        &mut self,
        id: ConnectionId,
        shared: &mut Shared<A>,
        wire: &mut impl Wire<Message<A::Letters>>,
    ) -> Step {
        let ConnectionState::Http(http) = &mut self.state else {
            return Step::Stay;
        };
        self.since = Stamp::new(wire.now());
        http.passed((id, self.place), shared, wire)
    }
}
