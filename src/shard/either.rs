//! One of two shards that say the same to others and leave the same behind.

use super::{CloseCause, ConnectionId, Core, Half, Origin, ReceiveInto, Shard, Wire};
use crate::time::Instant;

/// One of two shards.
pub enum Either<A, B> {
    /// The first.
    A(A),
    /// The second.
    B(B),
}

/// The same call of whichever it is.
macro_rules! of_either {
    ($either:expr, $shard:ident => $call:expr) => {
        match $either {
            Either::A($shard) => $call,
            Either::B($shard) => $call,
        }
    };
}

impl<A, B> Shard for Either<A, B>
where
    A: Shard,
    B: Shard<Message = A::Message, Outcome = A::Outcome>,
{
    type Message = A::Message;
    type Outcome = A::Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.opened(id, origin, wire));
    }

    fn reached(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.reached(id, wire));
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        of_either!(self, shard => shard.received(id, bytes, wire));
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        of_either!(self, shard => shard.receive_into(id))
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<Self::Message>,
    ) {
        of_either!(self, shard => shard.received_into(id, buffer, wire));
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.drained(id, wire));
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        of_either!(self, shard => shard.ended(id, wire))
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.closed(id, cause, wire));
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        of_either!(self, shard => shard.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.expired(wire));
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.lost(core, wire));
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        of_either!(self, shard => shard.stopped(wire));
    }

    fn deadline(&self) -> Option<Instant> {
        of_either!(self, shard => shard.deadline())
    }

    fn may_coalesce(&self) -> bool {
        of_either!(self, shard => shard.may_coalesce())
    }

    fn finished(&self) -> bool {
        of_either!(self, shard => shard.finished())
    }

    fn outcome(self) -> Self::Outcome {
        of_either!(self, shard => shard.outcome())
    }
}
