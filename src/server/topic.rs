//! Everyone who came to one application on one core, and how a notice reaches all of them: encoded
//! once for each kind of connection, shared by reference.

use super::framing::Framing;
use super::members::{Members, STEP};
use super::outgoing::Outgoing;
use super::payloads::Payloads;
use super::spread::Spread;
use crate::app::Notice;
use crate::shard::Wire;
use crate::time::Instant;
use std::time::Duration;

/// The connections that listen on this core.
#[derive(Default)]
pub(super) struct Topic {
    sockets: Members,
    /// WebSockets that take deflated messages.
    deflating: Members,
    streams: Members,
    frames: Payloads,
    deflated: Payloads,
    events: Payloads,
    /// A comment goes round the event streams: in which steps, and when the next one is due.
    commenting: Option<(Spread, Instant)>,
    /// When what goes round began to.
    began: Instant,
    /// When the event streams last got something.
    spoken: Instant,
}

impl Topic {
    /// Sends a notice round: it leaves in steps.
    pub(super) fn broadcast<M, W: Wire<M>>(
        &mut self,
        notice: Notice<'_>,
        out: &mut Outgoing<'_, M, W>,
    ) {
        self.make_way(out);
        if !self.sockets.is_empty() {
            let frame = out.encode(Framing::Frames, notice, &mut self.frames);
            self.sockets.tell(frame);
        }
        if !self.deflating.is_empty() {
            let frame = out.encode(Framing::Deflated, notice, &mut self.deflated);
            self.deflating.tell(frame);
        }
        if !self.streams.is_empty() {
            let event = out.encode(Framing::Events, notice, &mut self.events);
            self.streams.tell(event);
            self.spoken = out.now();
        }
    }

    /// Sends a comment round the event streams, so that no gateway takes them for dead.
    pub(super) fn heartbeat<M, W: Wire<M>>(
        &mut self,
        every: Duration,
        out: &mut Outgoing<'_, M, W>,
    ) {
        self.streams.tell(out.comment());
        self.commenting = Some((self.spread(every), out.now()));
    }

    /// The next step of what goes round, if anything does.
    pub(super) fn step<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        let now = out.now();
        match self.commenting {
            None => self.tell(STEP, out),
            Some((spread, at)) if at <= now => {
                let mut most = spread.each;
                out.go_round(&mut self.streams, &mut most);
                self.commenting = Some((spread, at + spread.gap));
                if !self.streams.is_telling() {
                    (self.commenting, self.spoken) = (None, now);
                }
            }
            Some(_) => {}
        }
    }

    /// Ends what goes round at once.
    pub(super) fn finish<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        if self.commenting.take().is_some() {
            self.streams.cancel();
        }
        self.tell(usize::MAX, out);
    }

    /// A connection is about to listen: heartbeats are counted from now if it is the first stream.
    pub(super) fn awake(&mut self, now: Instant) {
        if self.streams.is_empty() {
            self.spoken = now;
        }
    }

    /// Those of one kind.
    pub(super) fn members(&mut self, framing: Framing) -> &mut Members {
        match framing {
            // To all the same is said, and each of these has another context: as it is.
            Framing::Frames | Framing::Takeover => &mut self.sockets,
            Framing::Deflated => &mut self.deflating,
            Framing::Events => &mut self.streams,
        }
    }

    /// Since when a message goes round, if one does.
    pub(super) fn telling_since(&self) -> Option<Instant> {
        let kinds = [&self.sockets, &self.deflating, &self.streams];
        let telling = kinds.into_iter().any(Members::is_telling);
        (telling && self.commenting.is_none()).then_some(self.began)
    }

    /// When the event streams are to be sent a comment, the first of them or some more: each of
    /// them is silent for that long at most.
    pub(super) fn heartbeat_at(&self, every: Duration) -> Option<Instant> {
        match self.commenting {
            Some((_, at)) => Some(at),
            None if self.streams.is_empty() => None,
            None => Some(self.spoken + every.saturating_sub(self.spread(every).span())),
        }
    }

    /// Whether a comment goes round.
    pub(super) fn is_commenting(&self) -> bool {
        self.commenting.is_some()
    }

    /// Frees what is kept to be encoded into.
    pub(super) fn trim(&mut self) {
        for payloads in [&mut self.frames, &mut self.deflated, &mut self.events] {
            payloads.trim();
        }
    }

    /// Nobody listens any more.
    pub(super) fn forget(&mut self) {
        for kind in [&mut self.sockets, &mut self.deflating, &mut self.streams] {
            kind.forget();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.deflating.is_empty() && self.streams.is_empty()
    }

    fn tell<M, W: Wire<M>>(&mut self, mut most: usize, out: &mut Outgoing<'_, M, W>) {
        for kind in [&mut self.sockets, &mut self.deflating, &mut self.streams] {
            if kind.is_telling() {
                let shared = out.go_round(kind, &mut most);
                out.sent(shared);
            }
        }
    }

    fn spread(&self, every: Duration) -> Spread {
        Spread::new(self.streams.len(), every / 2)
    }

    /// Something else is to go round: what has been told to some is told to the others first, what
    /// has been told to nobody yet leaves in one with it. After it no comment is needed.
    fn make_way<M, W: Wire<M>>(&mut self, out: &mut Outgoing<'_, M, W>) {
        let kinds = [&self.sockets, &self.deflating, &self.streams];
        if self.commenting.is_some() || !kinds.into_iter().all(Members::is_open) {
            self.finish(out);
        }
        if self.telling_since().is_none() {
            self.began = out.now();
        }
    }
}
