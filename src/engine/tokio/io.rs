//! What the tokio engine lends a shard: links, their outbound batches, messages to other cores.

use super::accept::PolledListeners;
use super::link::{self, Link, LinkState};
use super::signal::{Mailbox, Ready};
use crate::engine::closing::{Closing, LingerStep};
use crate::engine::mail_gauge::MailGauge;
use crate::engine::outbound::{Batch, BatchPool};
use crate::engine::pending::PendingEvent;
use crate::engine::ring::heap;
use crate::engine::slots::SlotTable;
use crate::engine::{cause, vitals};
use crate::limits;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Counters, NoSlot, Payload, Unsent, Vitals, Wire,
};
use crate::time::Instant;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// Pieces of memory that one write takes at most.
const SLICES: usize = 64;

/// What a core may hold.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Connections at once.
    pub(super) slots: u32,
    /// Outbound bytes queued for one connection.
    pub(super) max_backlog: usize,
    /// How long the peer of a closing connection may take nothing.
    pub(super) stall: Duration,
}

/// One core's sockets and queues: the [`Wire`].
pub(super) struct Io<M> {
    core: Core,
    pub(super) now: Instant,
    max_backlog: usize,
    stall: Duration,
    ready: Arc<Ready>,
    mailboxes: Arc<[Mailbox<M>]>,
    pub(super) acceptor: PolledListeners,
    pub(super) links: SlotTable<Link>,
    pool: BatchPool,
    /// Links to write to at the end of the turn.
    dirty: Vec<ConnectionId>,
    /// Tokens that need a turn though nothing new came.
    pub(super) again: Vec<u32>,
    pub(super) events: Vec<PendingEvent>,
    /// Links that were in [`LinkState::Closing`] at the last look, the one to look at next first.
    closing: VecDeque<Closing>,
    /// Messages of this turn, by core, and what they count.
    outbox: Vec<(Vec<M>, usize)>,
    pub(super) counters: Counters,
}

impl<M> Io<M> {
    pub(super) fn new(
        core: Core,
        bounds: Bounds,
        ready: Arc<Ready>,
        mailboxes: Arc<[Mailbox<M>]>,
        acceptor: PolledListeners,
    ) -> Self {
        Self {
            core,
            now: crate::engine::now(),
            max_backlog: bounds.max_backlog,
            stall: bounds.stall,
            outbox: mailboxes.iter().map(|_| (Vec::new(), 0)).collect(),
            ready,
            mailboxes,
            acceptor,
            links: SlotTable::new(bounds.slots),
            pool: BatchPool::default(),
            dirty: Vec::new(),
            again: Vec::new(),
            events: Vec::new(),
            closing: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The list that wakers fill.
    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The messages that other cores have sent here, into an empty list.
    pub(super) fn swap_mail(&self, empty: &mut Vec<(Core, M)>) {
        if let Some(mailbox) = self.mailboxes.get(self.core.index()) {
            mailbox.swap(empty);
        }
    }

    /// Puts a connection into a free slot; its waker leads to that slot.
    pub(super) fn adopt(
        &mut self,
        stream: Option<TcpStream>,
        state: LinkState,
    ) -> Result<ConnectionId, NoSlot> {
        let ready = &self.ready;
        self.links
            .insert_with(|slot| Link::new(stream, ready.waker(slot), state))
            .ok_or(NoSlot)
    }

    /// Marks a link for the write at the end of the turn.
    pub(super) fn touch(&mut self, id: ConnectionId) {
        if let Some(link) = self.links.get_mut(id)
            && !std::mem::replace(&mut link.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Writes to every link that was marked, once.
    pub(super) fn flush_all(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            if let Some(link) = self.links.get_mut(id) {
                link.dirty = false;
                self.flush(id);
            }
        }
        // Ending a link marks none.
        self.dirty = dirty;
    }

    /// Hands this turn's messages to the other cores, many in one.
    pub(super) fn post(&mut self) {
        for ((messages, size), mailbox) in self.outbox.iter_mut().zip(self.mailboxes.iter()) {
            if !messages.is_empty() {
                let messages = messages.drain(..).map(|message| (self.core, message));
                mailbox.put(messages, std::mem::take(size));
            }
        }
    }

    /// The peer's FIN came; what is queued is still sent. True if the shard is to be asked whether
    /// it has more to send.
    pub(super) fn peer_ended(&mut self, id: ConnectionId) -> bool {
        let Some(link) = self.links.get_mut(id) else {
            return false;
        };
        link.peer_ended = true;
        match link.state {
            LinkState::Open => return true,
            LinkState::Closing { cause } if link.ended => self.end(id, cause),
            LinkState::Closing { .. } | LinkState::Connecting | LinkState::Over => {}
        }
        false
    }

    /// The peer has ended, and the shard has nothing to add: it is over once all is sent.
    pub(super) fn end_after_peer(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        match link.state {
            LinkState::Open if link.out.is_empty() => self.end(id, CloseCause::PeerEnded),
            LinkState::Open => self.begin_close(id, CloseCause::PeerEnded),
            LinkState::Closing { .. } | LinkState::Connecting | LinkState::Over => {}
        }
    }

    fn begin_close(&mut self, id: ConnectionId, cause: CloseCause) {
        if let Some(link) = self.links.get_mut(id) {
            link.state = LinkState::Closing { cause };
            let closing = Closing::new(id, link.out.backlog(), self.now);
            self.closing.push_back(closing);
            self.touch(id);
        }
    }

    /// The connection is over: the socket is dropped, the shard will be told once. A link that
    /// was closing keeps the cause it closes for.
    pub(super) fn end(&mut self, id: ConnectionId, cause: CloseCause) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let cause = match link.state {
            LinkState::Over => return,
            LinkState::Closing { cause } => cause,
            LinkState::Connecting | LinkState::Open => cause,
        };
        link.state = LinkState::Over;
        link.stream = None;
        self.counters.backlog_bytes -= link.out.clear(&mut self.pool) as u64;
        self.events.push(PendingEvent::Closed(id, cause));
    }

    /// Drops what is queued and resets.
    fn abort(&mut self, id: ConnectionId, cause: CloseCause) {
        if let Some(stream) = self.links.get(id).and_then(|link| link.stream.as_ref()) {
            // Fails only on a socket that is dead anyway.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.end(id, cause);
    }

    /// Frees the slot of a link that is over; accepting goes on if it waited for one.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.links.remove(id);
        if self.acceptor.unfill() {
            self.again.extend(self.acceptor.tokens());
        }
    }

    /// Looks at the closing links whose time has come; wakes accepting after its pause.
    pub(super) fn expire(&mut self) {
        while let Some(mut closing) = self.closing.pop_front_if(|it| it.at <= self.now) {
            let id = closing.id;
            let Some(link) = self.links.get_mut(id) else {
                continue;
            };
            let LinkState::Closing { cause } = &mut link.state else {
                continue;
            };
            let told = *cause;
            match closing.look(link.left(), self.stall, self.now) {
                LingerStep::Wait => self.closing.push_back(closing),
                LingerStep::Done => self.end(id, told),
                LingerStep::CutOff => {
                    let cause = CloseCause::CutOff;
                    link.state = LinkState::Closing { cause };
                    self.abort(id, cause);
                }
            }
        }
        if self.acceptor.retries(self.now) {
            self.again.extend(self.acceptor.tokens());
        }
    }

    /// When [`Io::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let closing = self.closing.front().map(|it| it.at);
        closing.into_iter().chain(self.acceptor.retry()).min()
    }

    /// Whether another turn is due at once.
    pub(super) fn is_busy(&self) -> bool {
        !self.again.is_empty() || !self.events.is_empty() || !self.dirty.is_empty()
    }

    /// Writes what is queued, until the kernel takes no more; then closes on if it is closing.
    fn flush(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        let Link {
            stream: Some(stream),
            waker,
            out,
            ..
        } = link
        else {
            return;
        };
        let mut context = Context::from_waker(waker);
        let mut written = 0;
        while let Some((batch, sent)) = out.flight(&self.pool) {
            if written >= limits::SEND_BYTES {
                self.again.extend(u32::try_from(id.slot()));
                return;
            }
            match write(stream, &mut context, batch, sent) {
                Poll::Pending => return,
                Poll::Ready(Ok(bytes)) => {
                    written += bytes;
                    self.counters.sends += 1;
                    self.counters.bytes_out += bytes as u64;
                    self.counters.backlog_bytes -= bytes as u64;
                    if out.took(&mut self.pool, bytes).drained {
                        self.events.push(PendingEvent::Drained(id));
                    }
                }
                Poll::Ready(Err(error)) => return self.end(id, cause::from_error(&error)),
            }
        }
        if let LinkState::Closing { cause } = link.state {
            if link.peer_ended {
                return self.end(id, cause);
            }
            if !link.ended {
                link.ended = true;
                let stream = link.stream.as_ref();
                let ended = stream.map(|it| socket2::SockRef::from(it).shutdown(END));
                if let Some(Err(error)) = ended {
                    self.end(id, cause::from_error(&error));
                }
            }
        }
    }

    /// Queues by `push` if the shard may, and marks the link.
    fn queue(
        &mut self,
        id: ConnectionId,
        push: impl FnOnce(&mut Link, &mut BatchPool, usize) -> Result<(), Unsent>,
    ) -> Result<(), Unsent> {
        let open = |link: &&mut Link| link.state == LinkState::Open;
        let link = self.links.get_mut(id).filter(open).ok_or(Unsent::Gone)?;
        let before = link.out.backlog();
        push(link, &mut self.pool, self.max_backlog)?;
        self.counters.backlog_bytes += (link.out.backlog() - before) as u64;
        self.touch(id);
        Ok(())
    }
}

const END: std::net::Shutdown = std::net::Shutdown::Write;

/// One write of what follows the first `sent` bytes of the batch.
fn write(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    batch: &Batch,
    sent: usize,
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let Some(bytes) = batch.single() {
        let rest = bytes.get(sent..).unwrap_or_default();
        let part = rest.get(..limits::SEND_BYTES).unwrap_or(rest);
        return stream.poll_write(context, part);
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut used = 0;
    for (slice, piece) in slices.iter_mut().zip(batch.pieces(sent)) {
        *slice = IoSlice::new(piece);
        used += 1;
    }
    stream.poll_write_vectored(context, &slices[..used])
}

impl<M> Wire<M> for Io<M> {
    fn now(&self) -> Instant {
        self.now
    }

    fn core(&self) -> Core {
        self.core
    }

    fn cores(&self) -> u16 {
        u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX)
    }

    fn peer(&self, id: ConnectionId) -> Option<IpAddr> {
        self.links.get(id)?.peer()
    }

    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        self.queue(id, |link, pool, cap| link.out.push_parts(pool, cap, parts))
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.queue(id, |link, pool, cap| link.out.share(pool, cap, payload))
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        self.queue(id, |link, pool, cap| {
            link.out.share_behind(pool, cap, head, payload)
        })
    }

    fn backlog(&self, id: ConnectionId) -> usize {
        self.links.get(id).map_or(0, |link| link.out.backlog())
    }

    fn trim_memory(&mut self) {
        self.pool.trim();
        heap::trim();
    }

    fn held_bytes(&self) -> usize {
        self.pool.held()
    }

    fn held(&self, id: ConnectionId) -> usize {
        let link = self.links.get(id);
        link.map_or(0, |link| link.out.held(&self.pool))
    }

    fn progress(&self, id: ConnectionId) -> u64 {
        let link = self.links.get(id);
        link.map_or(0, |link| link.out.progress(&self.pool))
    }

    fn pause(&mut self, id: ConnectionId) {
        if let Some(link) = self.links.get_mut(id)
            && link.state == LinkState::Open
        {
            link.paused = true;
        }
    }

    fn resume(&mut self, id: ConnectionId) {
        if let Some(link) = self.links.get_mut(id)
            && std::mem::take(&mut link.paused)
        {
            self.again.extend(u32::try_from(id.slot()));
        }
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = self.adopt(None, LinkState::Connecting)?;
        match link::connect(to, from) {
            Ok(stream) => {
                if let Some(link) = self.links.get_mut(id) {
                    link.stream = Some(stream);
                }
                // The turn asks whether it is connected, and so registers the waker.
                self.again.extend(u32::try_from(id.slot()));
            }
            Err(error) => self.end(id, cause::from_error(&error)),
        }
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let Some(link) = self.links.get(id) else {
            return;
        };
        match (how, link.state) {
            (_, LinkState::Over) | (Close::Flush, LinkState::Closing { .. }) => {}
            (Close::Flush, LinkState::Connecting) => self.end(id, CloseCause::Local),
            (Close::Abort, LinkState::Connecting | LinkState::Open | LinkState::Closing { .. }) => {
                self.abort(id, CloseCause::Local);
            }
            (Close::Flush, LinkState::Open) => {
                self.begin_close(id, CloseCause::Local);
                // Input has to be thrown away from now on, or a peer that only writes never ends.
                self.resume(id);
            }
        }
    }

    fn forward(&mut self, to: Core, message: M) {
        self.forward_sized(to, message, 0);
    }

    fn forward_sized(&mut self, to: Core, message: M, bytes: usize) {
        if let Some((messages, size)) = self.outbox.get_mut(to.index()) {
            messages.push(message);
            *size += MailGauge::size(bytes);
        }
    }

    fn mail_is_full(&self) -> bool {
        self.mailboxes.first().is_some_and(Mailbox::all_are_full)
    }

    fn stop_accepting(&mut self) {
        self.acceptor.stop();
    }

    fn vitals(&mut self) -> Vitals {
        vitals::read(self.counters, vec![self.links.table()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::AcceptFailures;

    #[test]
    fn memory_that_is_given_back_is_that_of_spare_batches() {
        let ready = Arc::new(Ready::default());
        let failures = AcceptFailures::default();
        let acceptor = PolledListeners::new(Vec::new(), &ready, failures).unwrap();
        let bounds = Bounds {
            slots: 1,
            max_backlog: 1 << 20,
            stall: Duration::from_secs(30),
        };
        let mut io: Io<()> = Io::new(Core(0), bounds, ready, Arc::default(), acceptor);
        let id = io.adopt(None, LinkState::Open).unwrap();
        io.send(id, &[7; 5000]).unwrap();
        io.end(id, CloseCause::Local);
        assert!(io.pool.kept() >= 5000, "for the next send");
        io.trim_memory();
        assert_eq!(io.pool.kept(), 0);
    }
}
