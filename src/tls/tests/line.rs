//! A wire that notes what it is asked for, and is what a test says.

use super::*;

/// The wire: what it was asked for.
#[derive(Default)]
pub(super) struct Line {
    pub(super) now: Instant,
    pub(super) sent: Vec<(ConnectionId, Vec<u8>)>,
    pub(super) closes: Vec<(ConnectionId, Close)>,
    /// Bytes that it has queued for a connection, as far as the layer is told.
    pub(super) backlog: usize,
    /// It has no room.
    pub(super) is_full: bool,
    /// What else it was asked for.
    pub(super) asked: Vec<&'static str>,
}

impl Wire<Order> for Line {
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
        if self.is_full {
            return Err(Unsent::Full);
        }
        assert!(!self.closes.iter().any(|(closed, _)| *closed == id));
        self.sent.push((id, parts.concat()));
        Ok(())
    }
    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.send_parts(id, &[payload.bytes()])
    }
    fn backlog(&self, _: ConnectionId) -> usize {
        self.backlog
    }
    fn pause(&mut self, _: ConnectionId) {
        self.asked.push("pause");
    }
    fn resume(&mut self, _: ConnectionId) {
        self.asked.push("resume");
    }
    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        Ok(ID)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.closes.push((id, how));
    }
    fn forward(&mut self, _: Core, _: Order) {
        self.asked.push("forward");
    }
    fn forward_sized(&mut self, _: Core, _: Order, bytes: usize) {
        assert_eq!(bytes, 9);
        self.asked.push("forward_sized");
    }
    fn mail_is_full(&self) -> bool {
        self.is_full
    }
    fn trim_memory(&mut self) {
        self.asked.push("trim_memory");
    }
    fn held_bytes(&self) -> usize {
        self.backlog
    }
    fn held(&self, _: ConnectionId) -> usize {
        self.backlog
    }
    fn progress(&self, _: ConnectionId) -> u64 {
        7
    }
    fn stop_accepting(&mut self) {
        self.asked.push("stop_accepting");
    }
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }
}
