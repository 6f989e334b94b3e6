//! The loop of one core: each poll of its future is a turn over everything that became ready.

use super::accept::Accept;
use super::alarm::Alarm;
use super::io::Io;
use super::link::{self, Link, LinkState};
use super::signal::{ALARM, LISTENERS, NUDGE};
use crate::engine::pending::PendingEvent;
use crate::engine::{Stop, cause};
use crate::limits;
use crate::shard::{ConnectionId, Core, Half, Origin, ReceiveInto, Shard};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::{io, mem};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Bytes of the one receive buffer of a core.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Receives from one connection per turn: a flood waits for the others. Each has a time of its own,
/// and a shard that bounds what it does for one connection at one time does so as often.
const RECEIVES_PER_TURN: usize = 2;
/// Accepts from one listener per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// A shard and what it runs on.
pub(super) struct CoreLoop<S: Shard> {
    shard: S,
    io: Io<S::Message>,
    alarm: Alarm,
    stop: Stop,
    /// The shard was told to stop.
    stopped: bool,
    /// How many failed cores it was told of.
    lost: usize,
    /// The shard has finished: it gets nothing more.
    over: bool,
    tokens: Vec<u32>,
    mail: Vec<(Core, S::Message)>,
    events: Vec<PendingEvent>,
    scratch: Box<[u8]>,
}

impl<S: Shard> CoreLoop<S> {
    pub(super) fn new(shard: S, io: Io<S::Message>, alarm: Alarm, stop: Stop) -> Self {
        Self {
            shard,
            io,
            alarm,
            stop,
            stopped: false,
            lost: 0,
            over: false,
            tokens: Vec::new(),
            mail: Vec::new(),
            events: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        }
    }

    /// Takes turns until the shard has finished.
    pub(super) async fn run(mut self) -> S::Outcome {
        self.tell(|shard, io| shard.started(io));
        std::future::poll_fn(|context| self.turn(context)).await;
        drop(self.io);
        self.shard.outcome()
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.io.ready().wakes(context.waker());
        self.io.now = crate::engine::now();
        self.io.counters.turns += 1;
        let before = self.io.counters.events;
        self.tell_events();
        self.serve_ready();
        self.tell_mail();
        if self.stop.is_thrown() {
            while let Some(core) = self.stop.failed(self.lost) {
                self.lost += 1;
                self.tell(|shard, io| shard.lost(core, io));
            }
            if !mem::replace(&mut self.stopped, true) {
                self.tell(|shard, io| shard.stopped(io));
            }
        }
        if self.shard.deadline().is_some_and(|at| at <= self.io.now) {
            self.tell(|shard, io| shard.expired(io));
        }
        self.io.expire();
        self.tell_events();
        self.io.flush_all();
        self.io.post();
        let counters = &mut self.io.counters;
        counters.note_turn_of(counters.events - before);
        if self.over {
            return Poll::Ready(());
        }
        let next = self
            .shard
            .deadline()
            .into_iter()
            .chain(self.io.deadline())
            .min();
        if self.io.is_busy() || next.is_some_and(|at| at <= self.io.now) {
            // The runtime polls epoll without waiting and comes back.
            context.waker().wake_by_ref();
        } else if let Some(at) = next {
            self.alarm.set(at);
        }
        Poll::Pending
    }

    /// Gives the shard one event, unless it has finished. What it tells of may have happened since
    /// the turn began: with a time before that, latencies would be too short.
    fn tell(&mut self, event: impl FnOnce(&mut S, &mut Io<S::Message>)) {
        if !self.over {
            self.io.now = crate::engine::now();
            self.io.counters.events += 1;
            event(&mut self.shard, &mut self.io);
            self.over = self.shard.finished();
        }
    }

    fn tell_events(&mut self) {
        mem::swap(&mut self.io.events, &mut self.events);
        let mut events = mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                PendingEvent::Drained(id) => {
                    if self
                        .io
                        .links
                        .get(id)
                        .is_some_and(|link| link.state == LinkState::Open)
                    {
                        self.tell(|shard, io| shard.drained(id, io));
                    }
                }
                PendingEvent::Closed(id, cause) => {
                    self.io.forget(id);
                    self.tell(|shard, io| shard.closed(id, cause, io));
                }
            }
        }
        self.events = events;
    }

    fn tell_mail(&mut self) {
        let mut mail = mem::take(&mut self.mail);
        self.io.swap_mail(&mut mail);
        for (from, message) in mail.drain(..) {
            self.tell(|shard, io| shard.forwarded(from, message, io));
        }
        self.mail = mail;
    }

    fn serve_ready(&mut self) {
        let mut tokens = mem::take(&mut self.tokens);
        let mut scratch = mem::take(&mut self.scratch);
        self.io.ready().swap(&mut tokens);
        tokens.append(&mut self.io.again);
        for token in tokens.drain(..) {
            match token {
                NUDGE => {}
                ALARM => self.alarm.rang(),
                LISTENERS.. => self.accept(token - LISTENERS, &mut scratch),
                slot => {
                    if let Some(id) = self.io.links.holder(slot) {
                        self.serve(id, &mut scratch);
                    }
                }
            }
        }
        self.tokens = tokens;
        self.scratch = scratch;
    }

    fn accept(&mut self, listener: u32, scratch: &mut [u8]) {
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.io.links.has_free() {
                self.io.counters.accept_pauses += u64::from(self.io.acceptor.fill());
                return;
            }
            match self.io.acceptor.accept(listener as usize, self.io.now) {
                Accept::Nothing => return,
                Accept::Lost => {}
                Accept::Paused => {
                    self.io.counters.accept_failures += 1;
                    return;
                }
                Accept::Stream(stream) => {
                    let Ok(id) = self.io.adopt(Some(stream), LinkState::Open) else {
                        return;
                    };
                    let listener = u16::try_from(listener).unwrap_or(u16::MAX);
                    self.tell(|shard, io| shard.opened(id, Origin::Accepted { listener }, io));
                    self.serve(id, scratch);
                }
            }
        }
        self.io.again.push(LISTENERS + listener);
    }

    /// Something moved on that connection: readable, writable, or asked to look again.
    fn serve(&mut self, id: ConnectionId, scratch: &mut [u8]) {
        let Some(link) = self.io.links.get_mut(id) else {
            return;
        };
        match link.state {
            LinkState::Connecting => self.finish_connect(id, scratch),
            LinkState::Open | LinkState::Closing { .. } => {
                if !link.out.is_empty() {
                    self.io.touch(id);
                }
                self.receive(id, scratch);
            }
            LinkState::Over => {}
        }
    }

    fn finish_connect(&mut self, id: ConnectionId, scratch: &mut [u8]) {
        let Some(Link {
            stream: Some(stream),
            waker,
            state,
            ..
        }) = self.io.links.get_mut(id)
        else {
            return;
        };
        match link::connected(
            stream,
            stream.poll_write_ready(&mut Context::from_waker(waker)),
        ) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => self.io.end(id, cause::from_error(&error)),
            Poll::Ready(Ok(())) => {
                *state = LinkState::Open;
                self.tell(|shard, io| shard.opened(id, Origin::Connected, io));
                self.serve(id, scratch);
            }
        }
    }

    /// Receives until nothing is left or it is another connection's turn. Ends registered with
    /// the runtime, unless it is paused.
    fn receive(&mut self, id: ConnectionId, scratch: &mut [u8]) {
        for _ in 0..RECEIVES_PER_TURN {
            let Some(link) = self.io.links.get_mut(id) else {
                return;
            };
            let receives = link.state == LinkState::Open && !link.paused && !link.peer_ended;
            let lent = (receives && !self.over).then(|| self.shard.receive_into(id));
            let received = match lent.flatten() {
                None => self.receive_here(id, scratch),
                Some(into) => self.receive_into(id, into),
            };
            match received {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => return self.io.end(id, cause::from_error(&error)),
                Poll::Ready(Ok(0)) => return self.peer_ended(id),
                Poll::Ready(Ok(_)) => {}
            }
        }
        self.io.again.extend(u32::try_from(id.slot()));
    }

    /// Receives into the core's buffer, which the shard is shown.
    fn receive_here(&mut self, id: ConnectionId, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(link) = self.io.links.get_mut(id) else {
            return Poll::Pending;
        };
        let open = link.state == LinkState::Open;
        let received = poll_receive(link, scratch);
        if let Poll::Ready(Ok(bytes @ 1..)) = received {
            self.io.counters.bytes_in += bytes as u64;
            if open {
                self.tell(|shard, io| shard.received(id, &mut scratch[..bytes], io));
            }
        }
        received
    }

    /// Receives into a buffer of the shard, which gets it back whatever came.
    fn receive_into(&mut self, id: ConnectionId, into: ReceiveInto) -> Poll<io::Result<usize>> {
        let ReceiveInto { mut buffer, most } = into;
        let link = self.io.links.get_mut(id);
        let received = link.map_or(Poll::Pending, |link| poll_append(link, &mut buffer, most));
        if let Poll::Ready(Ok(bytes)) = received {
            self.io.counters.bytes_in += bytes as u64;
        }
        self.tell(|shard, io| shard.received_into(id, buffer, io));
        received
    }

    /// The peer's FIN came: the shard decides whether it has still something to send.
    fn peer_ended(&mut self, id: ConnectionId) {
        if self.io.peer_ended(id) {
            let mut half = Half::Close;
            self.tell(|shard, io| half = shard.ended(id, io));
            if half == Half::Close {
                self.io.end_after_peer(id);
            }
        }
    }
}

/// Pending also if the shard does not want to receive, or the peer has ended.
fn poll_receive(link: &mut Link, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
    if link.paused || link.peer_ended {
        return Poll::Pending;
    }
    let Some(stream) = &mut link.stream else {
        return Poll::Pending;
    };
    let mut buffer = ReadBuf::new(scratch);
    let context = &mut Context::from_waker(&link.waker);
    // A short read clears the readiness, so the next one costs no system call.
    Pin::new(stream)
        .poll_read(context, &mut buffer)
        .map_ok(|()| buffer.filled().len())
}

/// Appends what there is to the buffer, so many bytes at most and within its capacity.
fn poll_append(link: &mut Link, buffer: &mut Vec<u8>, most: usize) -> Poll<io::Result<usize>> {
    let Some(stream) = &mut link.stream else {
        return Poll::Pending;
    };
    let most = most.min(limits::RECEIVE_INTO_BYTES) as u64;
    let context = &mut Context::from_waker(&link.waker);
    let mut part = stream.take(most);
    pin!(part.read_buf(buffer)).poll(context)
}
