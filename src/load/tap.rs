//! A tap on the first clients of a run: everything that they send and receive is shown to an
//! observer, as it passes between the load client and what is below it.

use super::barrier::CoreMessage;
use super::measure::outcome::Outcome;
use super::shard::Load;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, NoSlot, Origin, Payload, Shard, Unsent, Wire,
    forward_wire,
};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What happened on a connection of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed<'b> {
    /// It connects to that address.
    Connecting(SocketAddr),
    /// It is connected, and secured if it is to be.
    Opened,
    /// It sends these bytes.
    Sent(&'b [u8]),
    /// It received these bytes.
    Received(&'b [u8]),
    /// It is over.
    Closed(CloseCause),
}

/// Is told what passes: the client's number in the run, its connection, and what.
pub type TapObserver = Box<dyn FnMut(u32, ConnectionId, Passed<'_>)>;

/// One core's share of a run whose first clients are shown.
pub struct Tapped {
    load: Load,
    taps: Taps,
}

/// Whose connections are shown.
struct Taps {
    /// Clients below that number.
    clients: u32,
    observer: TapObserver,
    /// Connections of those clients.
    shown: BTreeMap<ConnectionId, u32>,
    /// Connects whose client is not known yet.
    begun: Vec<(ConnectionId, SocketAddr)>,
}

impl Taps {
    #[inline]
    fn tell(&mut self, id: ConnectionId, what: Passed<'_>) {
        if let Some(number) = self.shown.get(&id) {
            (self.observer)(*number, id, what);
        }
    }
}

impl Tapped {
    /// Shows what passes on the connections of the first `clients` of the run.
    #[must_use]
    pub fn new(load: Load, clients: u32, observer: TapObserver) -> Self {
        Self {
            load,
            taps: Taps {
                clients,
                observer,
                shown: BTreeMap::new(),
                begun: Vec::new(),
            },
        }
    }

    /// Gives the load one event, and learns whose connects it has begun.
    fn pass<W: Wire<CoreMessage>, T>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut Load, &mut TapWire<'_, W>) -> T,
    ) -> T {
        let taps = &mut self.taps;
        let done = event(&mut self.load, &mut TapWire { wire, taps });
        for (id, to) in std::mem::take(&mut self.taps.begun) {
            let number = self.load.client_of(id);
            if let Some(number) = number.filter(|number| *number < self.taps.clients) {
                self.taps.shown.insert(id, number);
                self.taps.tell(id, Passed::Connecting(to));
            }
        }
        done
    }
}

impl Shard for Tapped {
    type Message = CoreMessage;
    type Outcome = Outcome;

    fn started(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<CoreMessage>) {
        self.taps.tell(id, Passed::Opened);
        self.pass(wire, |load, wire| load.opened(id, origin, wire));
    }

    fn reached(&mut self, id: ConnectionId, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.reached(id, wire));
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<CoreMessage>) {
        self.taps.tell(id, Passed::Received(bytes));
        self.pass(wire, |load, wire| load.received(id, bytes, wire));
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.drained(id, wire));
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<CoreMessage>) -> Half {
        self.pass(wire, |load, wire| Shard::ended(load, id, wire))
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<CoreMessage>) {
        self.taps.tell(id, Passed::Closed(cause));
        self.taps.shown.remove(&id);
        self.pass(wire, |load, wire| load.closed(id, cause, wire));
    }

    fn forwarded(&mut self, from: Core, message: CoreMessage, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.expired(wire));
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.lost(core, wire));
    }

    fn stopped(&mut self, wire: &mut impl Wire<CoreMessage>) {
        self.pass(wire, |load, wire| load.stopped(wire));
    }

    fn deadline(&self) -> Option<Instant> {
        self.load.deadline()
    }

    fn may_coalesce(&self) -> bool {
        self.load.may_coalesce()
    }

    fn finished(&self) -> bool {
        self.load.finished()
    }

    fn outcome(self) -> Outcome {
        self.load.outcome()
    }
}

/// The wire as the load sees it.
struct TapWire<'w, W> {
    wire: &'w mut W,
    taps: &'w mut Taps,
}

impl<W: Wire<CoreMessage>> Wire<CoreMessage> for TapWire<'_, W> {
    forward_wire!(CoreMessage:
        now core cores peer peer_names backlog held_bytes held progress trim_memory pause resume
        forward forward_sized mail_is_full stop_accepting vitals
    );

    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.wire.send_parts(id, parts)?;
        if self.taps.shown.contains_key(&id) {
            self.taps.tell(id, Passed::Sent(&parts.concat()));
        }
        Ok(())
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.wire.share(id, payload)?;
        self.taps.tell(id, Passed::Sent(payload.bytes()));
        Ok(())
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.wire.share_behind(id, head, payload)?;
        if self.taps.shown.contains_key(&id) {
            self.taps
                .tell(id, Passed::Sent(&[head, payload.bytes()].concat()));
        }
        Ok(())
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = self.wire.connect(to, from)?;
        self.taps.begun.push((id, to));
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.wire.close(id, how);
    }
}
