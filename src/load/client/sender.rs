//! What echoing clients send: batches of messages, in as few calls as their size allows.

use super::handshake::Begun;
use super::in_flight::InFlight;
use super::payload::Template;
use super::stream::Stream;
use super::tools::{SendTools, Tools};
use crate::limits;
use crate::load::config::Config;
use crate::load::measure::recorder::{Cause, Recorder};
use crate::load::measure::send_times::SendTimes;
use crate::load::wording::MessageId;
use crate::protocol::websocket::deflate::{Agreement, Deflation, Kept};
use crate::protocol::websocket::{Decoder, Extension, Pool, Role};
use crate::shard::{ConnectionId, Unsent, Wire};

/// Bytes of frames built for one connection before they are handed over.
const BATCH_BYTES: usize = 64 * 1024;

/// The messages of a core's clients.
pub(super) struct Sender {
    template: Template,
    /// If messages are deflated.
    deflation: Option<Box<Deflation>>,
    /// Messages under way on one connection at most.
    in_flight_max: u32,
    /// Messages to send next on one connection.
    batch: Vec<SendTimes>,
}

impl Sender {
    pub(super) fn new(config: &Config) -> Self {
        let mut filler = config.filler();
        let (kind, bytes) = config.payload();
        Self {
            template: Template::new(kind, bytes, &mut filler).worded(config.wording()),
            deflation: config.is_deflated().then(Box::default),
            in_flight_max: config.in_flight_max(),
            batch: Vec::new(),
        }
    }

    /// Sends the batch on an open connection as far as it may; counts the rest.
    pub(super) fn send_planned<M>(
        &mut self,
        (id, number): (ConnectionId, u32),
        in_flight: &mut InFlight,
        (tools, recorder): (&mut Tools, &mut Recorder),
        wire: &mut impl Wire<M>,
    ) {
        let room = self.room(in_flight.len()) as usize;
        if room < self.batch.len() {
            let over = self.batch.get(room..).unwrap_or_default();
            recorder.dropped(over, Cause::InFlight);
            self.batch.truncate(room);
        }
        let (sent, result) = self.send_batch((id, number), in_flight, (tools, recorder), wire);
        if let Err(unsent) = result {
            let rest = self.batch.get(sent..).unwrap_or_default();
            let cause = match unsent {
                Unsent::Full => Cause::Backlog,
                Unsent::Gone => Cause::NoConnection,
            };
            recorder.dropped(rest, cause);
        }
    }

    /// Sends as many messages as an open connection has room for.
    pub(super) fn fill<M>(
        &mut self,
        (id, number): (ConnectionId, u32),
        in_flight: &mut InFlight,
        (tools, recorder): (&mut Tools, &mut Recorder),
        wire: &mut impl Wire<M>,
    ) {
        let times = SendTimes::at(wire.now());
        let room = self.room(in_flight.len()) as usize;
        self.batch.clear();
        self.batch.extend(std::iter::repeat_n(times, room));
        // What does not fit now is sent when the backlog is low, or at the next reply.
        let _ = self.send_batch((id, number), in_flight, (tools, recorder), wire);
    }

    /// No connection takes the batch.
    pub(super) fn drop_batch(&self, cause: Cause, recorder: &mut Recorder) {
        recorder.dropped(&self.batch, cause);
    }

    /// A connection is open: what reads it.
    pub(super) fn stream(&mut self, id: ConnectionId, begun: Begun, pool: &mut Pool) -> Stream {
        match begun {
            Begun::Events(stream) => Stream::Sse(stream),
            Begun::Frames(agreed) => Stream::WebSocket(self.decoder(id, agreed, pool)),
        }
    }

    /// What reads the frames of a connection, with what was agreed on.
    fn decoder(
        &mut self,
        id: ConnectionId,
        agreement: Option<Agreement>,
        pool: &mut Pool,
    ) -> Decoder {
        let extension = agreement.map_or(Extension::None, |it| it.extension(Role::Client));
        let decoder = Decoder::new(Role::Client).with(extension);
        let Some((agreement, deflation)) = agreement.zip(self.deflation.as_mut()) else {
            return decoder;
        };
        let key = window_key(id);
        deflation.open(key, &agreement, Role::Client);
        let heard = agreement.received_by(Role::Client);
        match heard.1 {
            Kept::Nothing => decoder,
            Kept::Last => {
                pool.windows.open(key, heard);
                decoder.keyed(key)
            }
        }
    }

    /// The connection is over.
    pub(super) fn end(&mut self, id: ConnectionId) {
        if let Some(deflation) = &mut self.deflation {
            deflation.close(window_key(id));
        }
    }

    /// Messages to send next on one connection, to be filled by the pace.
    pub(super) const fn batch_mut(&mut self) -> &mut Vec<SendTimes> {
        &mut self.batch
    }

    /// What echoes are compared with.
    #[inline]
    pub(super) const fn template(&self) -> &Template {
        &self.template
    }

    /// How many more may be under way on a connection.
    #[inline]
    pub(super) const fn room(&self, in_flight: u32) -> u32 {
        self.in_flight_max.saturating_sub(in_flight)
    }

    /// Sends the batch's messages on an open connection, in order; how many were queued, and why
    /// not all.
    fn send_batch<M>(
        &mut self,
        (id, number): (ConnectionId, u32),
        in_flight: &mut InFlight,
        (tools, recorder): (&mut Tools, &mut Recorder),
        wire: &mut impl Wire<M>,
    ) -> (usize, Result<(), Unsent>) {
        let (mut sent, window) = (0, window_key(id));
        let Self {
            template,
            deflation,
            batch,
            ..
        } = self;
        let SendTools {
            pool,
            rings,
            rng,
            scratch,
        } = tools.sending();
        let per_call = (BATCH_BYTES / template.frame_bytes()).max(1);
        for messages in batch.chunks(per_call) {
            scratch.clear();
            let mut sequence = in_flight.next();
            for _ in messages {
                let key = rng.u32(..).to_ne_bytes();
                let message = MessageId { number, sequence };
                match deflation {
                    None => template.encode(scratch, message, key),
                    Some(deflation) => {
                        template.encode_deflated(scratch, message, key, (window, deflation));
                    }
                }
                sequence = sequence.wrapping_add(1);
            }
            let queued = if scratch.len() < limits::LARGE_BYTES {
                wire.send(id, scratch)
            } else {
                // Much: it leaves from where it was built, and comes back to be built into again.
                let built = std::mem::replace(scratch, pool.shelf.buffer());
                wire.share(id, &pool.shelf.wrap(built))
            };
            if let Err(unsent) = queued {
                if let Some(deflation) = deflation {
                    deflation.restart(window);
                }
                return (sent, Err(unsent));
            }
            for &times in messages {
                in_flight.sent(times, rings);
                recorder.sent(times);
            }
            sent += messages.len();
        }
        (sent, Ok(()))
    }
}

/// The key of a connection among the windows of its core.
fn window_key(id: ConnectionId) -> u32 {
    u32::try_from(id.slot()).unwrap_or(u32::MAX - 1)
}
