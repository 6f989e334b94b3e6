//! A shard around a shard that asserts the contract of the seam (`crate::shard`) at every event
//! and every call. The simulator always runs it; the suite of all engines runs it too.

use crate::limits;
use crate::shard::{
    Close, CloseCause, ConnectionId, Core, Half, NoSlot, Origin, Payload, ReceiveInto, Shard,
    Unsent, Wire, forward_wire,
};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Runs `inner` and panics as soon as its engine breaks the contract.
#[derive(Debug)]
pub struct Checked<S> {
    inner: S,
    book: Book,
}

/// What must be remembered to judge the next event.
#[derive(Debug, Default)]
struct Book {
    started: bool,
    lost: BTreeSet<Core>,
    stopped: bool,
    finished: bool,
    now: Instant,
    live: BTreeMap<ConnectionId, Life>,
    /// Buffers that the engine has, as they were when it got them: address, bytes, bytes to come
    /// at most.
    lent: BTreeMap<ConnectionId, (usize, usize, usize)>,
    /// By slot: the generation that had it last.
    last: BTreeMap<usize, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    phase: Phase,
    /// The backlog has been above the high mark since `drained` was last said.
    high: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// The peer has ended its stream, and the shard has still something to send.
    HalfOpen,
    /// The peer has ended its stream, and the shard had nothing more to send.
    Ended,
    /// The shard asked to close; the flag of [`Close`] does not matter.
    Closing,
}

impl<S> Checked<S> {
    /// Checks what the engine does to this shard.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            book: Book::default(),
        }
    }
}

impl Book {
    /// Every event passes here first.
    fn event(&mut self, now: Instant) {
        assert!(self.started, "started comes first");
        assert!(!self.finished, "nothing comes after finished");
        assert!(now >= self.now, "time does not run backwards");
        self.now = now;
    }

    fn begin(&mut self, id: ConnectionId, phase: Phase) {
        let earlier = self.last.insert(id.slot(), id.generation());
        assert_ne!(earlier, Some(id.generation()), "{id:?} is reused");
        let holder = self.live.keys().find(|live| live.slot() == id.slot());
        assert_eq!(holder, None, "{id:?} takes a slot that is in use");
        self.live.insert(id, Life { phase, high: false });
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin) {
        match (origin, self.live.get_mut(&id)) {
            (Origin::Accepted { .. }, _) => self.begin(id, Phase::Open),
            (Origin::Connected, Some(life)) => {
                assert_eq!(life.phase, Phase::Connecting, "{id:?} opened");
                life.phase = Phase::Open;
            }
            (Origin::Connected, None) => panic!("{id:?} was never asked for"),
            (Origin::Secured { .. }, _) => panic!("{id:?}: an engine secures nothing"),
        }
    }

    fn live(&mut self, id: ConnectionId, event: &str) -> &mut Life {
        let life = self.live.get_mut(&id);
        life.unwrap_or_else(|| panic!("{event} of {id:?}, which is dead"))
    }

    fn open(&mut self, id: ConnectionId, event: &str) -> &mut Life {
        let life = self.live(id, event);
        assert_eq!(life.phase, Phase::Open, "{event} of {id:?}");
        life
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause) {
        let lent = self.lent.remove(&id).is_some();
        let secures = matches!(cause, CloseCause::Insecure(_) | CloseCause::Proxy(_));
        assert!(
            !secures,
            "{id:?}: an engine secures nothing, and knows no proxy"
        );
        let Some(life) = self.live.remove(&id) else {
            panic!("{id:?} closed twice or unknown")
        };
        let asked = life.phase == Phase::Closing;
        assert!(asked || !lent, "{id:?} has lent a buffer");
        match life.phase {
            // Usually `Local`; anything that can have ended it in the same turn, before the shard
            // was told, a connect's failures included.
            Phase::Closing => {}
            Phase::Ended => assert!(
                matches!(cause, CloseCause::PeerEnded | CloseCause::CutOff),
                "{id:?} had ended, but closed by {cause:?}"
            ),
            Phase::Open | Phase::HalfOpen => assert!(
                !matches!(
                    cause,
                    CloseCause::Local
                        | CloseCause::PeerEnded
                        | CloseCause::CutOff
                        | CloseCause::Refused
                        | CloseCause::NoSourcePort
                        | CloseCause::NoDescriptor
                ),
                "{id:?} was open, but closed by {cause:?}"
            ),
            Phase::Connecting => assert!(
                !matches!(
                    cause,
                    CloseCause::Local | CloseCause::PeerEnded | CloseCause::CutOff
                ),
                "{id:?} was connecting, but closed by {cause:?}"
            ),
        }
    }
}

impl<S: Shard> Checked<S> {
    /// Gives the inner shard one event through a wire that is watched.
    fn pass<W: Wire<S::Message>>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut S, &mut Watched<'_, W>),
    ) {
        self.book.event(wire.now());
        event(
            &mut self.inner,
            &mut Watched {
                wire,
                book: &mut self.book,
            },
        );
        self.book.finished = self.inner.finished();
    }
}

impl<S: Shard> Shard for Checked<S> {
    type Message = S::Message;
    type Outcome = S::Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        assert!(
            !std::mem::replace(&mut self.book.started, true),
            "started comes once"
        );
        self.pass(wire, |inner, wire| inner.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        self.book.opened(id, origin);
        self.pass(wire, |inner, wire| inner.opened(id, origin, wire));
    }

    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        assert!(!bytes.is_empty(), "received something");
        assert!(
            !self.book.lent.contains_key(&id),
            "{id:?} has lent a buffer"
        );
        self.book.open(id, "received");
        self.pass(wire, |inner, wire| inner.received(id, bytes, wire));
    }

    fn receive_into(&mut self, id: ConnectionId) -> Option<ReceiveInto> {
        self.book.open(id, "asked for a buffer");
        let into = self.inner.receive_into(id)?;
        let ReceiveInto { buffer, most } = &into;
        let room = buffer.capacity() - buffer.len();
        assert!(
            (1..=room).contains(most),
            "{id:?}: {most} bytes into {room}"
        );
        let lent = (buffer.as_ptr().addr(), buffer.len(), *most);
        assert_eq!(
            self.book.lent.insert(id, lent),
            None,
            "{id:?} was asked twice"
        );
        Some(into)
    }

    fn received_into(
        &mut self,
        id: ConnectionId,
        buffer: Vec<u8>,
        wire: &mut impl Wire<Self::Message>,
    ) {
        self.book.open(id, "received into a buffer");
        let Some((at, len, most)) = self.book.lent.remove(&id) else {
            panic!("{id:?} has lent no buffer")
        };
        assert_eq!(
            buffer.as_ptr().addr(),
            at,
            "{id:?} gets another buffer back"
        );
        assert!(
            (len..=len + most).contains(&buffer.len()),
            "{id:?}: {most} at most"
        );
        self.pass(wire, |inner, wire| inner.received_into(id, buffer, wire));
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        let life = self.book.live(id, "drained");
        let open = matches!(life.phase, Phase::Open | Phase::HalfOpen);
        assert!(open, "drained of {id:?}, which is closing");
        assert!(
            std::mem::take(&mut life.high),
            "{id:?} was not above the high mark"
        );
        self.pass(wire, |inner, wire| inner.drained(id, wire));
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        self.book.open(id, "ended").phase = Phase::HalfOpen;
        assert!(
            !self.book.lent.contains_key(&id),
            "{id:?} has lent a buffer"
        );
        let mut half = Half::Close;
        self.pass(wire, |inner, wire| half = inner.ended(id, wire));
        let life = self.book.live(id, "ended");
        if (life.phase, half) == (Phase::HalfOpen, Half::Close) {
            life.phase = Phase::Ended;
        }
        half
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        self.book.closed(id, cause);
        self.pass(wire, |inner, wire| inner.closed(id, cause, wire));
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        assert!(
            from.0 < wire.cores(),
            "{from:?} is not among {} cores",
            wire.cores()
        );
        self.pass(wire, |inner, wire| inner.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        let deadline = self.inner.deadline();
        assert!(
            deadline.is_some_and(|at| at <= wire.now()),
            "expired before {deadline:?}"
        );
        self.pass(wire, |inner, wire| inner.expired(wire));
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Self::Message>) {
        assert!(self.book.lost.insert(core), "{core:?} is lost once");
        self.pass(wire, |inner, wire| inner.lost(core, wire));
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        assert!(
            !std::mem::replace(&mut self.book.stopped, true),
            "stopped comes once"
        );
        self.pass(wire, |inner, wire| inner.stopped(wire));
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.deadline()
    }

    fn may_coalesce(&self) -> bool {
        self.inner.may_coalesce()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }

    fn outcome(self) -> Self::Outcome {
        assert!(self.book.finished, "the outcome comes after finished");
        self.inner.outcome()
    }
}

/// The wire as the inner shard sees it.
struct Watched<'w, W> {
    wire: &'w mut W,
    book: &'w mut Book,
}

impl<W> Watched<'_, W> {
    /// Checks what the wire answered to `len` bytes for that connection.
    fn judge<M>(
        &mut self,
        id: ConnectionId,
        len: usize,
        queue: impl FnOnce(&mut W) -> Result<(), Unsent>,
    ) -> Result<(), Unsent>
    where
        W: Wire<M>,
    {
        let before = self.wire.backlog(id);
        let answer = queue(self.wire);
        let after = self.wire.backlog(id);
        let life = self.book.live.get_mut(&id);
        match answer {
            Ok(()) => {
                let life = life.unwrap_or_else(|| panic!("sent to {id:?}, which is dead"));
                let open = matches!(life.phase, Phase::Open | Phase::HalfOpen);
                assert!(open, "sent to {id:?}, which is closing");
                assert_eq!(after, before + len, "{id:?}: a call only queues");
                life.high |= after > limits::BACKLOG_HIGH;
            }
            Err(Unsent::Full | Unsent::Gone) => assert_eq!(after, before, "{id:?}: not queued"),
        }
        answer
    }
}

impl<M, W: Wire<M>> Wire<M> for Watched<'_, W> {
    forward_wire!(M:
        now core cores peer peer_names backlog trim_memory held_bytes held progress pause resume
        forward forward_sized mail_is_full stop_accepting vitals
    );

    fn send_parts(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Result<(), Unsent> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.judge(id, len, |wire| wire.send_parts(id, parts))
    }

    fn share(&mut self, id: ConnectionId, payload: &Payload) -> Result<(), Unsent> {
        self.judge(id, payload.bytes().len(), |wire| wire.share(id, payload))
    }

    fn share_behind(
        &mut self,
        id: ConnectionId,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        let len = head.len() + payload.bytes().len();
        self.judge(id, len, |wire| wire.share_behind(id, head, payload))
    }

    fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> Result<ConnectionId, NoSlot> {
        let id = self.wire.connect(to, from)?;
        self.book.begin(id, Phase::Connecting);
        Ok(id)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        if let Some(life) = self.book.live.get_mut(&id) {
            life.phase = Phase::Closing;
        }
        self.wire.close(id, how);
    }
}
