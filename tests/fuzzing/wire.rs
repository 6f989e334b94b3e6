//! A wire that takes what a shard sends, and asserts what a shard must not do.

use ringstorm::shard::{Close, ConnectionId, Core, NoSlot, Payload, Unsent, Vitals, Wire};
use ringstorm::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What was sent to a connection, and how it was closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sent: Vec<u8>,
    pub(super) closed: Option<Close>,
}

/// One core's wire.
pub(super) struct Scripted {
    pub(super) now: Instant,
    pub(super) lines: BTreeMap<ConnectionId, Line>,
    pub(super) connects: u32,
}

impl Scripted {
    pub(super) fn new() -> Self {
        Self {
            now: Instant::from_nanos(1_000_000_000),
            lines: BTreeMap::new(),
            connects: 0,
        }
    }
}

impl<M> Wire<M> for Scripted {
    fn now(&self) -> Instant {
        self.now
    }
    fn core(&self) -> Core {
        Core(0)
    }
    fn cores(&self) -> u16 {
        1
    }
    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        let line = self.lines.get_mut(&id).ok_or(Unsent::Gone)?;
        if line.closed.is_some() {
            return Err(Unsent::Gone);
        }
        parts
            .iter()
            .for_each(|part| line.sent.extend_from_slice(part));
        Ok(())
    }
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        Wire::<M>::send_parts(self, id, &[payload.bytes()])
    }
    fn backlog(&self, _: ConnectionId) -> usize {
        0
    }
    fn pause(&mut self, _: ConnectionId) {}
    fn resume(&mut self, _: ConnectionId) {}
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = ConnectionId::new(self.connects, 1);
        self.connects += 1;
        self.lines.insert(id, Line::default());
        Ok(id)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        let line = self.lines.get_mut(&id).expect("a connection that is known");
        line.closed = Some(how);
    }
    fn forward(&mut self, _: Core, _: M) {}
    fn stop_accepting(&mut self) {}
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}
