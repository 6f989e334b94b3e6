//! What a dialogue is lent for the length of one call: its voice, its measurements, its wishes.

use super::{Address, Note, Part};
use crate::load::measure::deliveries::Delivered;
use crate::load::measure::failure::Kind;
use crate::load::measure::fan_out::Stray;
use crate::load::measure::recorder::Recorder;
use crate::load::measure::send_times::SendTimes;
use crate::load::transport::Transport;
use crate::protocol::websocket::frame::{self, Opcode};
use crate::protocol::websocket::mask;
use crate::time::Instant;
use std::time::Duration;

/// RFC 6455, 5.5: control frames carry at most 125 bytes.
const PING_BYTES_MAX: usize = 125;

/// A piece of work that the pace gives out. Take it with [`Context::begin`], or let it go.
#[derive(Debug)]
pub struct Piece(pub(in crate::load) SendTimes);

/// A piece of work under way. [`Context::finish`] takes it.
#[derive(Debug)]
#[must_use = "keep it until its reply comes"]
pub struct Exchange(SendTimes);

/// What a dialogue is lent for the length of one call. See the module `scenario`.
pub struct Context<'a> {
    pub(in crate::load) speaker: Speaker,
    pub(in crate::load) said: &'a mut Actions,
    pub(in crate::load) recorder: &'a mut Recorder,
    pub(in crate::load) rng: &'a mut fastrand::Rng,
    /// Exchanges begun, and those of them that are over.
    pub(in crate::load) begun: &'a mut u32,
    pub(in crate::load) over: &'a mut u32,
}

/// Who speaks, and when.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) struct Speaker {
    pub(in crate::load) address: Address,
    pub(in crate::load) number: u32,
    pub(in crate::load) transport: Transport,
    pub(in crate::load) now: Instant,
}

/// What a dialogue has said and wished for in a call or some calls: carried out after them.
#[derive(Debug, Default)]
pub(in crate::load) struct Actions {
    /// Frames.
    pub(in crate::load) bytes: Vec<u8>,
    pub(in crate::load) ready: Option<Part>,
    pub(in crate::load) leave: Option<Leave>,
    pub(in crate::load) wake: Option<Wake>,
    pub(in crate::load) flow: Option<Flow>,
    pub(in crate::load) is_done: bool,
    pub(in crate::load) posts: Vec<Post>,
    pub(in crate::load) notes: Vec<(Address, Note)>,
}

/// A text that is said over HTTP.
#[derive(Debug)]
pub(in crate::load) struct Post {
    pub(in crate::load) target: String,
    pub(in crate::load) body: String,
}

/// How a dialogue ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Leave {
    /// It counts as failed.
    Failed(Kind),
    /// With a closing handshake.
    Close(u16),
    /// Without a word.
    Vanish,
}

/// When a dialogue wants to be told that it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Wake {
    At(Instant),
    Never,
}

/// Whether bytes are taken from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Flow {
    Pause,
    Resume,
}

impl Context<'_> {
    /// Says a WebSocket text message. Over an event stream there is no way to: the client fails.
    pub fn text(&mut self, text: &str) {
        self.frame(Opcode::Text, text.as_bytes());
    }

    /// Says a WebSocket text message that lies in pieces; together they are UTF-8.
    pub fn text_parts(&mut self, parts: &[&[u8]]) {
        match self.speaker.transport {
            Transport::WebSocket => {
                let key = self.rng.u32(..).to_ne_bytes();
                let bytes = parts.iter().map(|part| part.len()).sum();
                let into = &mut self.said.bytes;
                into.extend_from_slice(frame::header(Opcode::Text, bytes, Some(key)).as_bytes());
                let start = into.len();
                for part in parts {
                    into.extend_from_slice(part);
                }
                if let Some(payload) = into.get_mut(start..) {
                    mask::apply(payload, key, 0);
                }
            }
            Transport::Sse => self.fail("needs_websocket"),
        }
    }

    /// Says a WebSocket binary message.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.frame(Opcode::Binary, bytes);
    }

    /// Says a WebSocket ping, of at most 125 bytes: what is longer is cut off.
    pub fn ping(&mut self, payload: &[u8]) {
        let fits = payload.len().min(PING_BYTES_MAX);
        self.frame(Opcode::Ping, payload.get(..fits).unwrap_or_default());
    }

    /// Posts a text to that path and query of the same server, on a second connection that is kept.
    /// Any other answer than a 2xx is a failure of this client.
    pub fn post(&mut self, target: &str, text: &str) {
        if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return self.fail("bad_address");
        }
        self.said.posts.push(Post {
            target: target.to_owned(),
            body: text.to_owned(),
        });
    }

    /// The application's handshake is done: the connection is up. Once; but one that listens may
    /// speak from now on.
    pub fn ready(&mut self, part: Part) {
        self.said.ready = Some(part);
    }

    /// Takes a piece of work: it is under way from now.
    pub fn begin(&mut self, piece: Piece) -> Exchange {
        *self.begun = self.begun.wrapping_add(1);
        self.recorder.sent(piece.0);
        Exchange(piece.0)
    }

    /// The reply has come now, and is right.
    pub fn finish(&mut self, exchange: Exchange) {
        self.finish_at(exchange, self.speaker.now);
    }

    /// The reply came at that time, which may be earlier: another dialogue told it.
    pub fn finish_at(&mut self, exchange: Exchange, at: Instant) {
        if self.ends_one() {
            self.recorder.replied(exchange.0, at);
        }
    }

    /// The reply has come now, after so much time that was the client's own and is not measured.
    pub(in crate::load) fn finish_but(&mut self, exchange: Exchange, own: Duration) {
        let now = self.speaker.now.as_nanos();
        let own = u64::try_from(own.as_nanos()).unwrap_or(u64::MAX);
        self.finish_at(exchange, Instant::from_nanos(now.saturating_sub(own)));
    }

    /// The exchange is over, and there was no reply to time.
    pub(in crate::load) fn finish_unmeasured(&mut self, exchange: Exchange) {
        if self.ends_one() {
            self.recorder.done(exchange.0);
        }
    }

    /// The reply will not come, or was not right: the exchange counts as lost.
    pub fn lose(&mut self, exchange: Exchange) {
        let Exchange(_) = exchange;
        if self.ends_one() {
            self.recorder.gone(1);
        }
    }

    /// A message of so many bytes came that answers nothing.
    pub fn received(&mut self, bytes: usize) {
        self.recorder.event(bytes, self.speaker.now);
    }

    /// What was heard was said at that time, on this host's clock.
    pub fn one_way(&mut self, sent: Instant) {
        self.recorder.one_way(sent, self.speaker.now);
    }

    /// What was heard should not have come.
    pub fn wrong(&mut self) {
        self.recorder.wrong();
    }

    /// What an exchange says is to reach so many clients.
    pub fn broadcast(&mut self, exchange: &Exchange, expected: u32) {
        self.recorder.broadcast(exchange.0, expected);
    }

    /// It has reached one more of them.
    pub fn delivered(&mut self, exchange: &Exchange) {
        self.recorder.delivered(exchange.0);
    }

    /// One that it was to reach has left by the plan.
    pub fn excused(&mut self, exchange: &Exchange) {
        self.recorder.excused(exchange.0);
    }

    /// It has reached all of them, each so long after it was said. Sorts them.
    pub fn spread(&mut self, exchange: &Exchange, delays_ns: &mut [u64]) {
        delays_ns.sort_unstable();
        self.recorder.spread(exchange.0, delays_ns);
    }

    /// Something is wrong with a delivery that was heard now.
    pub fn stray(&mut self, stray: Stray) {
        self.recorder.stray(stray, self.speaker.now);
    }

    /// What is known of a numbered publication that came now, or of those before it.
    pub fn delivery(&mut self, what: Delivered) {
        self.recorder.delivery(what, self.speaker.now);
    }

    /// Calls [`super::Dialogue::on_timer`] after that time, to a millisecond, instead of at
    /// whatever time was asked for before.
    pub fn wake_after(&mut self, time: Duration) {
        self.said.wake = Some(Wake::At(self.speaker.now + time));
    }

    /// Does not call it any more.
    pub fn sleep(&mut self) {
        self.said.wake = Some(Wake::Never);
    }

    /// Tells another dialogue of the run, or this one; nothing happens if that one is gone.
    pub fn tell(&mut self, who: Address, note: Note) {
        self.said.notes.push((who, note));
    }

    /// Hears nothing more until [`Context::resume`], but what is on its way already: the peer's
    /// backlog grows.
    pub fn pause(&mut self) {
        self.said.flow = Some(Flow::Pause);
    }

    /// Hears again.
    pub fn resume(&mut self) {
        self.said.flow = Some(Flow::Resume);
    }

    /// Takes no more turns. Of [`super::Turns::Limited`] programs the run ends when all have.
    pub fn done(&mut self) {
        self.said.is_done = true;
    }

    /// Ends the connection as failed. The name is what the report counts it under: a few words
    /// with underscores, never a peer's.
    pub fn fail(&mut self, name: &'static str) {
        self.leave(Leave::Failed(Kind::Application(name)));
    }

    /// Ends the connection in good order, with a close code (RFC 6455, 7.4).
    pub fn close(&mut self, code: u16) {
        self.leave(Leave::Close(code));
    }

    /// Ends the connection without a word: what is queued is dropped and the peer sees a reset.
    pub fn vanish(&mut self) {
        self.leave(Leave::Vanish);
    }

    /// Draws from the run's seed.
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        self.rng
    }

    /// When this happens: to stamp what is said, and never to wait.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.speaker.now
    }

    /// This dialogue's name within the run.
    #[must_use]
    pub fn address(&self) -> Address {
        self.speaker.address
    }

    /// The number of this connection in the whole run, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.speaker.number
    }

    /// What carries the dialogue.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.speaker.transport
    }

    /// Exchanges under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.begun.wrapping_sub(*self.over)
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        match self.speaker.transport {
            Transport::WebSocket => {
                let key = self.rng.u32(..).to_ne_bytes();
                frame::encode(&mut self.said.bytes, opcode, payload, Some(key));
            }
            Transport::Sse => self.fail("needs_websocket"),
        }
    }

    fn leave(&mut self, leave: Leave) {
        // The first reason is the one.
        self.said.leave.get_or_insert(leave);
    }

    fn ends_one(&mut self) -> bool {
        let is_one = self.in_flight() > 0;
        debug_assert!(
            is_one,
            "an exchange ends once, on the connection that began it"
        );
        *self.over = self.over.wrapping_add(u32::from(is_one));
        is_one
    }
}

impl Actions {
    /// Whether the dialogue ends its connection.
    pub(in crate::load) const fn is_leaving(&self) -> bool {
        self.leave.is_some()
    }

    /// Whether there is nothing to carry out.
    pub(in crate::load) fn is_nothing(&self) -> bool {
        let Self {
            bytes,
            ready,
            leave,
            wake,
            flow,
            is_done,
            posts,
            notes,
        } = self;
        let is_silent = bytes.is_empty() && posts.is_empty() && notes.is_empty();
        let wishes = ready.is_some() || leave.is_some() || wake.is_some() || flow.is_some();
        is_silent && !wishes && !is_done
    }
}
