//! What the simulator lends a shard: the [`Wire`] of one core.

use super::network::SimNetwork;
use super::socket::{Node, SocketIndex};
use crate::engine::closing::{Closing, LingerStep};
use crate::engine::mail_gauge::MailGauge;
use crate::engine::outbound::{BatchPool, Outbound};
use crate::engine::pending::PendingEvent;
use crate::engine::slots::SlotTable;
use crate::limits;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Counters, NoSlot, Payload, Unsent, Vitals, Wire,
};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// One connection of a core.
#[derive(Debug)]
pub(super) struct SimLink {
    pub(super) socket: SocketIndex,
    pub(super) state: SimLinkState,
    pub(super) out: Outbound,
    pub(super) paused: bool,
    pub(super) peer_ended: bool,
    ended: bool,
    dirty: bool,
}

/// How far a connection is, as on the tokio engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimLinkState {
    Connecting,
    Open,
    /// What is queued leaves, then a FIN; the shard will be told the cause.
    Closing {
        cause: CloseCause,
    },
    /// The shard has still to be told.
    Over,
}

impl SimLink {
    pub(super) fn new(socket: SocketIndex, state: SimLinkState) -> Self {
        Self {
            socket,
            state,
            out: Outbound::default(),
            paused: false,
            peer_ended: false,
            ended: false,
            dirty: false,
        }
    }
}

/// One core's tables and queues.
pub(super) struct CoreState<M> {
    pub(super) node: Node,
    core: Core,
    cores: u16,
    pub(super) now: Instant,
    max_backlog: usize,
    pub(super) links: SlotTable<SimLink>,
    pool: BatchPool,
    dirty: Vec<ConnectionId>,
    closing: VecDeque<Closing>,
    pub(super) pending: Vec<PendingEvent>,
    /// Messages for this core, when they come, and what they count in the gauge.
    pub(super) inbox: VecDeque<(Instant, Core, M, usize)>,
    /// Messages of this turn for other cores, and what they count.
    pub(super) outbox: Vec<(Core, M, usize)>,
    /// What waits for all cores of the server, or of the load client.
    pub(super) gauge: MailGauge,
    pub(super) counters: Counters,
}

impl<M> CoreState<M> {
    pub(super) fn new(node: Node, core: Core, cores: u16, slots: u32, max_backlog: usize) -> Self {
        Self {
            node,
            core,
            cores,
            now: super::network::START,
            max_backlog,
            links: SlotTable::new(slots),
            pool: BatchPool::default(),
            dirty: Vec::new(),
            closing: VecDeque::new(),
            pending: Vec::new(),
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            gauge: MailGauge::default(),
            counters: Counters::default(),
        }
    }

    /// Marks a link for the write at the end of the turn.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        if let Some(link) = self.links.get_mut(id)
            && !std::mem::replace(&mut link.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When a closing link is to be looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.closing.front().map(|it| it.at)
    }

    /// Messages queued for the link may not exceed this many bytes; queues by `push`.
    fn queue(
        &mut self,
        id: ConnectionId,
        push: impl FnOnce(&mut Outbound, &mut BatchPool, usize) -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        let open = |link: &&mut SimLink| link.state == SimLinkState::Open;
        let link = self.links.get_mut(id).filter(open).ok_or(Unsent::Gone)?;
        let before = link.out.backlog();
        push(&mut link.out, &mut self.pool, self.max_backlog)?;
        self.counters.backlog_bytes += (link.out.backlog() - before) as u64;
        self.touch(id);
        Ok(())
    }
}

/// A core's state and the network, for the time of a call.
pub(super) struct SimWire<'p, M> {
    pub(super) net: &'p mut SimNetwork,
    pub(super) state: &'p mut CoreState<M>,
}

impl<M> SimWire<'_, M> {
    /// Writes to every link that was marked, once.
    pub(super) fn flush_all(&mut self) {
        let mut dirty = std::mem::take(&mut self.state.dirty);
        self.net.random.shuffle(&mut dirty);
        for id in dirty {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: ConnectionId) {
        let CoreState {
            links,
            pool,
            counters,
            pending,
            ..
        } = &mut *self.state;
        let Some(link) = links.get_mut(id) else {
            return;
        };
        link.dirty = false;
        if link.state == SimLinkState::Over {
            return;
        }
        while let Some((batch, sent)) = link.out.flight(pool) {
            let bytes = self.net.write(link.socket, batch, sent);
            if bytes == 0 {
                return;
            }
            counters.sends += 1;
            counters.bytes_out += bytes as u64;
            counters.backlog_bytes -= bytes as u64;
            if link.out.took(pool, bytes).drained {
                pending.push(PendingEvent::Drained(id));
            }
        }
        if let SimLinkState::Closing { cause } = link.state {
            if link.peer_ended {
                self.end(id, cause);
            } else if !std::mem::replace(&mut link.ended, true) {
                self.net.shut_down(link.socket);
            }
        }
    }

    /// The peer's FIN came; what is queued is still sent. True if the shard is to be asked whether
    /// it has more to send.
    pub(super) fn peer_ended(&mut self, id: ConnectionId) -> bool {
        let Some(link) = self.state.links.get_mut(id) else {
            return false;
        };
        link.peer_ended = true;
        match link.state {
            SimLinkState::Open => return true,
            SimLinkState::Closing { cause } if link.ended => self.end(id, cause),
            SimLinkState::Closing { .. } | SimLinkState::Connecting | SimLinkState::Over => {}
        }
        false
    }

    /// The peer has ended, and the shard has nothing to add: it is over once all is sent.
    pub(super) fn end_after_peer(&mut self, id: ConnectionId) {
        let Some(link) = self.state.links.get(id) else {
            return;
        };
        match link.state {
            SimLinkState::Open if link.out.is_empty() => self.end(id, CloseCause::PeerEnded),
            SimLinkState::Open => self.begin_close(id, CloseCause::PeerEnded),
            SimLinkState::Closing { .. } | SimLinkState::Connecting | SimLinkState::Over => {}
        }
    }

    fn begin_close(&mut self, id: ConnectionId, cause: CloseCause) {
        if let Some(link) = self.state.links.get_mut(id) {
            link.state = SimLinkState::Closing { cause };
            let closing = Closing::new(id, link.out.backlog(), self.state.now);
            self.state.closing.push_back(closing);
            self.state.touch(id);
        }
    }

    /// The connection is over; a link that was closing keeps its cause.
    pub(super) fn end(&mut self, id: ConnectionId, cause: CloseCause) {
        self.drop_link(id, cause, false);
    }

    fn drop_link(&mut self, id: ConnectionId, cause: CloseCause, reset: bool) {
        let Some(link) = self.state.links.get_mut(id) else {
            return;
        };
        let cause = match link.state {
            SimLinkState::Over => return,
            SimLinkState::Closing { cause } => cause,
            SimLinkState::Connecting | SimLinkState::Open => cause,
        };
        link.state = SimLinkState::Over;
        self.net.drop_socket(link.socket, reset);
        self.state.counters.backlog_bytes -= link.out.clear(&mut self.state.pool) as u64;
        self.state.pending.push(PendingEvent::Closed(id, cause));
    }

    /// Looks at the closing links whose time has come.
    pub(super) fn expire(&mut self) {
        let now = self.state.now;
        while let Some(mut closing) = self.state.closing.pop_front_if(|it| it.at <= now) {
            let id = closing.id;
            let Some(link) = self.state.links.get_mut(id) else {
                continue;
            };
            let SimLinkState::Closing { cause } = link.state else {
                continue;
            };
            let left = link.out.backlog() + self.net.unacknowledged(link.socket);
            match closing.look(left as u64, limits::STALL_TIME, now) {
                LingerStep::Wait => self.state.closing.push_back(closing),
                LingerStep::Done => self.drop_link(id, cause, false),
                LingerStep::CutOff => {
                    let cause = CloseCause::CutOff;
                    link.state = SimLinkState::Closing { cause };
                    self.drop_link(id, cause, true);
                }
            }
        }
    }
}

impl<M> Wire<M> for SimWire<'_, M> {
    fn now(&self) -> Instant {
        self.state.now
    }

    fn core(&self) -> Core {
        self.state.core
    }

    fn cores(&self) -> u16 {
        self.state.cores
    }

    fn peer(&self, id: ConnectionId) -> Option<IpAddr> {
        let link = self.state.links.get(id)?;
        let other = self.net.sockets.get(link.socket)?.peer?;
        self.net.sockets.get(other)?.address
    }

    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.state
            .queue(id, |out, pool, cap| out.push_parts(pool, cap, parts))
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.state
            .queue(id, |out, pool, cap| out.share(pool, cap, payload))
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.state.queue(id, |out, pool, cap| {
            out.share_behind(pool, cap, head, payload)
        })
    }

    fn backlog(&self, id: ConnectionId) -> usize {
        self.state
            .links
            .get(id)
            .map_or(0, |link| link.out.backlog())
    }

    fn held_bytes(&self) -> usize {
        self.state.pool.held()
    }

    fn held(&self, id: ConnectionId) -> usize {
        let link = self.state.links.get(id);
        link.map_or(0, |link| link.out.held(&self.state.pool))
    }

    fn progress(&self, id: ConnectionId) -> u64 {
        let link = self.state.links.get(id);
        link.map_or(0, |link| link.out.progress(&self.state.pool))
    }

    fn pause(&mut self, id: ConnectionId) {
        if let Some(link) = self.state.links.get_mut(id)
            && link.state == SimLinkState::Open
        {
            link.paused = true;
        }
    }

    fn resume(&mut self, id: ConnectionId) {
        if let Some(link) = self.state.links.get_mut(id)
            && std::mem::take(&mut link.paused)
        {
            self.net.ready(link.socket);
        }
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let link = SimLink::new(SocketIndex::MAX, SimLinkState::Connecting);
        let id = self.state.links.insert_with(|_| link).ok_or(NoSlot)?;
        let socket = self.net.connect(self.state.node, id, to);
        self.net.sockets[socket].address = from;
        if let Some(link) = self.state.links.get_mut(id) {
            link.socket = socket;
        }
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let Some(link) = self.state.links.get(id) else {
            return;
        };
        match (how, link.state) {
            (_, SimLinkState::Over) | (Close::Flush, SimLinkState::Closing { .. }) => {}
            (Close::Flush, SimLinkState::Open) => {
                self.resume(id);
                self.begin_close(id, CloseCause::Local);
            }
            (Close::Flush | Close::Abort, SimLinkState::Connecting)
            | (Close::Abort, SimLinkState::Open | SimLinkState::Closing { .. }) => {
                self.drop_link(id, CloseCause::Local, true);
            }
        }
    }

    fn forward(&mut self, to: Core, message: M) {
        self.forward_sized(to, message, 0);
    }

    fn forward_sized(&mut self, to: Core, message: M, bytes: usize) {
        let size = MailGauge::size(bytes);
        self.state.outbox.push((to, message, size));
    }

    fn mail_is_full(&self) -> bool {
        self.state.gauge.is_full()
    }

    fn stop_accepting(&mut self) {
        self.net.stop_accepting(self.state.node);
    }

    fn vitals(&mut self) -> Vitals {
        Vitals {
            counters: self.state.counters,
            ..Vitals::default()
        }
    }
}
