//! TLS as a layer between an engine and a shard: [`Tls`] is a shard around a shard. The engine
//! moves ciphertext, the inner shard sees plaintext, and neither knows.
//!
//! ```text
//! engine -> Tls::received -> record (opened in place) -> S::received
//! engine <- Wire::send <- record (sealed in place) <- gather <- Secured::send_parts <- S
//! ```
//! rustls makes the handshake; then its state is taken apart, and what stays are two ciphers and
//! what makes their next keys. An idle connection holds no buffer, and a message allocates
//! nothing. What the inner shard sends to one connection while it handles one event travels in one
//! record, or in as few as hold it.
//!
//! - `opened` comes when the handshake is over; a client is told [`Origin::Secured`].
//! - A handshake that fails gives `closed` with [`CloseCause::Insecure`] alone; a bad record gives
//!   the same to a connection that is open. The peer gets its alert first, nobody else notices.
//! - `Close::Flush` sends `close_notify` after what is queued; the peer's gives `ended` as its FIN
//!   would, and whatever follows it is ignored (RFC 8446, 6.1). Either is answered with ours.
//! - A server's handshakes are bounded in number, bytes and time, and a turn answers few of them,
//!   so that load that a core cannot sign for costs those it can none ([`queue`]). A client bounds
//!   its connects.
//!
//! Pure as far as its own code goes. rustls asks the system for randomness, and its verifier asks
//! the time source that it was configured with.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod book;
mod gather;
mod handshake;
mod names;
mod queue;
mod reason;
mod record;
mod session;
mod spares;
mod stage;
#[cfg(test)]
mod tests;
mod wire;

use crate::limits;
use crate::live::Live;
use crate::shard::{Close, CloseCause, ConnectionId, Core, Half, Origin, Shard, TlsFault, Wire};
use crate::time::Instant;
use book::Book;
use handshake::Progress;
use record::{Content, HEADER_BYTES};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ServerConfig};
use session::Asked;
use stage::Stage;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::Secured;

/// Which side of its connections the inner shard is on. The configurations must allow their
/// secrets to be extracted.
#[derive(Clone, Debug)]
pub enum Role {
    /// It accepts them.
    Server(Arc<ServerConfig>),
    /// It asks for them.
    Client {
        /// Roots, certificates, protocols.
        config: Arc<ClientConfig>,
        /// What the server at each address is to be called and to prove.
        names: Vec<(SocketAddr, ServerName<'static>)>,
    },
}

/// A shard whose connections are secured.
pub struct Tls<S> {
    inner: S,
    book: Book,
    /// Connections there may be before the oldest handshake makes room for a newcomer.
    most: u32,
    /// Connections there are.
    open: u32,
}

impl<S: Shard> Tls<S> {
    /// Secures the connections of `inner`. `max_backlog` is the engine's cap on queued bytes.
    #[must_use]
    pub fn new(inner: S, role: Role, max_backlog: usize) -> Self {
        Self {
            inner,
            book: Book::new(role, max_backlog),
            most: u32::MAX,
            open: 0,
        }
    }

    /// Leaves the connections of one listener as they are: the book does not know them.
    #[must_use]
    pub fn except(mut self, plain: Option<u16>) -> Self {
        self.book.plain = plain;
        self
    }

    /// Newcomers are secured by what is said there, as long as nothing is by the role.
    #[must_use]
    pub fn renewed_by(mut self, renewal: Live<ServerConfig>) -> Self {
        self.book.renewal = renewal;
        self
    }

    /// With so many connections the oldest handshake makes room for each newcomer: handshakes
    /// never keep it from being accepted.
    #[must_use]
    pub fn at_most(self, most: u32) -> Self {
        Self { most, ..self }
    }

    /// Gives the inner shard one event, and sends what it gathered.
    fn pass<W: Wire<S::Message>>(
        &mut self,
        wire: &mut W,
        event: impl FnOnce(&mut S, &mut Secured<'_, W>),
    ) {
        let book = &mut self.book;
        event(&mut self.inner, &mut Secured { wire, book });
        self.book.seal(wire);
    }

    /// Whether a connection of the engine's is left as it is.
    fn is_plain(&mut self, id: ConnectionId) -> bool {
        is_plain(&mut self.book, id)
    }

    fn shake(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<S::Message>) {
        let progress = self.book.shake(id, bytes, wire);
        self.progressed(id, progress, wire);
    }

    fn progressed(
        &mut self,
        id: ConnectionId,
        progress: Progress,
        wire: &mut impl Wire<S::Message>,
    ) {
        match progress {
            Progress::Under => {}
            Progress::Waits => self.book.wait(id, wire.now()),
            Progress::Failed(why) => self.book.fail(id, why, wire),
            Progress::Done => self.secured(id, wire),
        }
    }

    /// The oldest handshakes go if there are too many.
    fn make_room(&mut self, wire: &mut impl Wire<S::Message>) {
        while let Some(id) = self.book.excess(false) {
            self.refuse(id, TlsFault::Overload, wire);
        }
    }

    /// Ends the handshakes whose time is over, then answers some of those that wait.
    fn tend(&mut self, wire: &mut impl Wire<S::Message>) {
        let now = wire.now();
        while let Some(id) = self.book.overdue(now) {
            self.refuse(id, TlsFault::HandshakeTime, wire);
        }
        for _ in 0..limits::TLS_ANSWERS_PER_TURN {
            let Some(id) = self.book.next_waiting() else {
                return;
            };
            let progress = self.book.answer(id, wire);
            self.progressed(id, progress, wire);
        }
    }

    /// Resets a connection that is not secured.
    fn refuse(&mut self, id: ConnectionId, why: TlsFault, wire: &mut impl Wire<S::Message>) {
        self.book.end(id, CloseCause::Insecure(why), wire);
        wire.close(id, Close::Abort);
    }

    /// The handshake is over: the connection is open.
    fn secured(&mut self, id: ConnectionId, wire: &mut impl Wire<S::Message>) {
        match self.book.secure(id) {
            Err(why) => self.book.fail(id, why, wire),
            Ok((origin, mut rest)) => {
                let book = &mut self.book;
                self.inner.opened(id, origin, &mut Secured { wire, book });
                self.read(id, &mut rest, wire);
            }
        }
    }

    /// Reads records of a secured connection, and first what is left of one in pieces.
    fn read(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<S::Message>) {
        let mut rest = bytes;
        while !rest.is_empty()
            && let Some(session) = self.book.session(id)
            && !session.ended
        {
            let begun = !session.partial.is_empty();
            let head: &[u8] = if begun { &session.partial } else { rest };
            let len = match record::length(head) {
                Ok(Some(len)) => len,
                // The header itself is in pieces.
                Ok(None) => HEADER_BYTES,
                Err(bad) => return self.book.fail_record(id, bad, wire),
            };
            if begun || rest.len() < len {
                let missing = len.saturating_sub(session.partial.len()).min(rest.len());
                let (part, behind) = rest.split_at_mut(missing);
                rest = behind;
                self.book.keep(id, part);
                self.read_kept(id, wire);
            } else {
                let (record, behind) = rest.split_at_mut(len);
                rest = behind;
                self.open(id, record, wire);
            }
        }
    }

    /// Opens the record that came in pieces, if it is whole now.
    fn read_kept(&mut self, id: ConnectionId, wire: &mut impl Wire<S::Message>) {
        let Some(session) = self.book.session(id) else {
            return;
        };
        match record::length(&session.partial) {
            Ok(Some(len)) if session.partial.len() == len => {
                let mut record = std::mem::take(&mut session.partial);
                self.open(id, &mut record, wire);
                self.book.spares.put(record);
            }
            Ok(_) => {}
            Err(bad) => self.book.fail_record(id, bad, wire),
        }
    }

    /// Opens a whole record and does what it says.
    fn open(&mut self, id: ConnectionId, record: &mut [u8], wire: &mut impl Wire<S::Message>) {
        let Some(session) = self.book.session(id) else {
            return;
        };
        let (content, place) = match session.opener.open(record) {
            Ok(opened) => opened,
            Err(bad) => return self.book.fail_record(id, bad, wire),
        };
        let plain = record.get_mut(place).unwrap_or(&mut []);
        let may = match content {
            Content::Data if !plain.is_empty() => session.data_came(),
            Content::Data | Content::Handshake | Content::Alert | Content::ChangeCipherSpec => {
                session.quiet_came(content)
            }
        };
        if let Err(bad) = may {
            return self.book.fail_record(id, bad, wire);
        }
        match content {
            Content::Data if plain.is_empty() => {}
            Content::Data => {
                let book = &mut self.book;
                self.inner.received(id, plain, &mut Secured { wire, book });
            }
            Content::Handshake => match session.hear(plain) {
                Ok(Asked::Nothing) => {}
                Ok(Asked::NewKey) => self.book.renew(id, wire),
                Ok(Asked::Renegotiation) => self.book.refuse_renegotiation(id, wire),
                Err(bad) => self.book.fail_record(id, bad, wire),
            },
            Content::Alert => self.alerted(id, plain, wire),
            Content::ChangeCipherSpec => {
                self.book.fail_record(id, record::Bad::Unexpected, wire);
            }
        }
    }

    /// The peer has ended its stream, by `close_notify` or by a FIN: the inner shard decides
    /// whether it has still something to send, and hears of it once.
    fn peer_ended(&mut self, id: ConnectionId, wire: &mut impl Wire<S::Message>) -> Half {
        let Some(session) = self.book.session(id) else {
            self.book.left(id);
            return Half::Close;
        };
        if std::mem::replace(&mut session.ended, true) {
            return Half::Keep;
        }
        let mut half = Half::Close;
        self.pass(wire, |inner, wire| half = inner.ended(id, wire));
        if half == Half::Close {
            // RFC 8446, 6.1: before we end our side, whichever way the peer has ended its own.
            self.book.say_goodbye(id, wire);
            self.book.end(id, CloseCause::PeerEnded, wire);
        }
        half
    }

    /// RFC 8446, 6: the peer closes, or says what it found wrong.
    fn alerted(&mut self, id: ConnectionId, alert: &[u8], wire: &mut impl Wire<S::Message>) {
        let &[level, description] = alert else {
            return self.book.fail_record(id, record::Bad::Unexpected, wire);
        };
        let alert = AlertDescription::from(description);
        if alert == AlertDescription::CloseNotify {
            self.peer_ended(id, wire);
            return;
        }
        let warned = self.book.session(id).map(|it| it.warned(level, alert));
        match warned {
            Some(Ok(true)) | None => {}
            Some(Ok(false)) => {
                let why = CloseCause::Insecure(TlsFault::Alert(description));
                self.book.end(id, why, wire);
            }
            Some(Err(bad)) => self.book.fail_record(id, bad, wire),
        }
    }
}

impl<S: Shard> Shard for Tls<S> {
    type Message = S::Message;
    type Outcome = S::Outcome;

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.started(wire));
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        self.open += 1;
        if self.open > self.most
            && let Some(oldest) = self.book.excess(true)
        {
            self.refuse(oldest, TlsFault::Overload, wire);
        }
        match (origin, self.book.plain) {
            (Origin::Accepted { listener }, Some(plain)) if listener == plain => {
                return self.pass(wire, |inner, wire| inner.opened(id, origin, wire));
            }
            _ => {}
        }
        if let Err(why) = self.book.begin(id, origin, wire.now()) {
            return self.book.fail(id, why, wire);
        }
        self.make_room(wire);
        // A client speaks first.
        if origin == Origin::Connected {
            self.reached(id, wire);
            self.shake(id, &mut [], wire);
        }
    }

    fn reached(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.reached(id, wire));
    }

    #[inline]
    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        match self.book.stage(id) {
            Some(Stage::Open(_)) => self.read(id, bytes, wire),
            Some(Stage::Handshake(_)) => {
                self.shake(id, bytes, wire);
                self.make_room(wire);
            }
            Some(Stage::Closing(_)) => {}
            Some(Stage::Free) | None => {
                if self.is_plain(id) {
                    self.pass(wire, |inner, wire| inner.received(id, bytes, wire));
                }
            }
        }
        self.book.seal(wire);
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        if self.is_plain(id) || self.book.session(id).is_some() {
            self.pass(wire, |inner, wire| inner.drained(id, wire));
        }
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        if self.is_plain(id) {
            let mut half = Half::Close;
            self.pass(wire, |inner, wire| half = inner.ended(id, wire));
            return half;
        }
        self.peer_ended(id, wire)
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        self.open = self.open.saturating_sub(1);
        let cause = self.book.forget(id, cause);
        self.pass(wire, |inner, wire| inner.closed(id, cause, wire));
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        self.pass(wire, |inner, wire| inner.forwarded(from, message, wire));
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.tend(wire);
        let now = wire.now();
        if self.inner.deadline().is_some_and(|at| at <= now) {
            self.pass(wire, |inner, wire| inner.expired(wire));
        }
    }

    fn lost(&mut self, core: Core, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.lost(core, wire));
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.pass(wire, |inner, wire| inner.stopped(wire));
    }

    fn may_coalesce(&self) -> bool {
        self.inner.may_coalesce()
    }

    fn deadline(&self) -> Option<Instant> {
        let both = [self.inner.deadline(), self.book.queue.deadline()];
        both.into_iter().flatten().min()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }

    fn outcome(self) -> Self::Outcome {
        self.inner.outcome()
    }
}

/// Whether a connection that the engine knows is not secured: then the book does not know it.
fn is_plain(book: &mut Book, id: ConnectionId) -> bool {
    book.plain.is_some() && matches!(book.stage(id), None | Some(Stage::Free))
}

/// What `len` bytes of plaintext are on the wire at most.
#[must_use]
pub const fn sealed_bytes(len: usize) -> usize {
    let records = len.div_ceil(limits::TLS_RECORD_BYTES);
    len.saturating_add(records.saturating_mul(limits::TLS_RECORD_EXTRA))
}
