//! What leaves while one event is handled: replies to the user whose message it is, notices to
//! others, and notes of what is to be done later.

use super::framing::{Framing, connection, user};
use super::members::Members;
use super::outbox::{Ending, Outbox, window_key};
use super::payloads::Payloads;
use super::step::DeferWait;
use super::tally::Tally;
use crate::app::{self, ApiResponse, Goodbye, Notice, User};
use crate::limits;
use crate::protocol::websocket::{Extension, Opcode, frame};
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use crate::time::Instant;
use std::marker::PhantomData;

/// A byte of a window costs a quarter of what it costs to inflate and deflate one.
const WINDOW_DIVISOR: usize = 4;

/// What leaves while one event is handled. `M` is what the wire forwards.
pub struct Outgoing<'s, M, W> {
    wire: &'s mut W,
    outbox: &'s mut Outbox,
    tally: &'s mut Tally,
    /// Whose message the app was given; nobody's if its time had come.
    user: Option<(ConnectionId, Extension)>,
    /// The message that is looked at, if it has a buffer of its own.
    assembled: Option<Payload>,
    /// Why something was not queued for that user.
    unsent: Option<Unsent>,
    /// Something was queued for that user.
    queued: bool,
    /// That user is not heard until it is released.
    held: bool,
    /// That user is to be ended so.
    close: Option<Goodbye>,
    message: PhantomData<fn(M)>,
}

/// What became of what was said to the user whose message it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replied {
    /// Nothing was said.
    Nothing,
    /// It was queued.
    Queued,
    /// Its backlog is full.
    Full,
    /// It is gone.
    Gone,
    /// It is to be ended so.
    Ends(Goodbye),
}

impl<'s, M, W: Wire<M>> Outgoing<'s, M, W> {
    pub(super) fn new(wire: &'s mut W, outbox: &'s mut Outbox, tally: &'s mut Tally) -> Self {
        Self {
            wire,
            outbox,
            tally,
            user: None,
            assembled: None,
            unsent: None,
            queued: false,
            held: false,
            close: None,
            message: PhantomData,
        }
    }

    /// That user is heard.
    #[inline]
    pub(super) const fn hear(&mut self, id: ConnectionId, extension: Extension) {
        self.user = Some((id, extension));
    }

    /// Whose message it is.
    #[inline]
    pub(super) fn heard(&self) -> Option<User> {
        self.user
            .map(|(id, extension)| user(id, Framing::of(extension)))
    }

    /// A message of that user is looked at.
    #[inline]
    pub(super) fn received(&mut self) {
        self.tally.received();
    }

    /// The next message has a buffer of its own: a reply may take it along. `None` after it.
    pub(super) fn assembled(&mut self, message: Option<&Payload>) {
        self.assembled = message.cloned();
    }

    /// Queues one frame for the user whose message it is.
    #[inline]
    pub(super) fn frame(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> bool {
        // Once a backlog is full the connection is ended: better nothing than a gap.
        if self.unsent.is_some() {
            return false;
        }
        let header = frame::header(opcode, payload.len(), None);
        let queued = match &self.assembled {
            // The very bytes of the message: they leave from where they were assembled.
            Some(assembled) if std::ptr::eq(assembled.bytes(), payload) => {
                self.wire.share_behind(id, header.as_bytes(), assembled)
            }
            Some(_) | None => self.wire.send_parts(id, &[header.as_bytes(), payload]),
        };
        match queued {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        self.unsent.is_none()
    }

    /// Says something to the user whose message it is.
    #[inline]
    pub(super) fn reply(&mut self, message: app::Message<'_>) {
        let Some((id, extension)) = self.user else {
            return;
        };
        let opcode = match message.kind {
            app::Kind::Text => Opcode::Text,
            app::Kind::Binary => Opcode::Binary,
        };
        let queued = match extension {
            Extension::None => self.frame(id, opcode, message.bytes),
            Extension::Deflate | Extension::DeflateNarrow | Extension::DeflateTakeover => {
                self.deflated((id, extension), opcode, message.bytes)
            }
        };
        self.tally.sent(u64::from(queued));
    }

    /// Queues one frame, deflated if that makes it smaller.
    #[inline(never)]
    fn deflated(
        &mut self,
        (id, extension): (ConnectionId, Extension),
        opcode: Opcode,
        payload: &[u8],
    ) -> bool {
        if self.unsent.is_some() {
            return false;
        }
        let way = (window_key(id), extension);
        let Some(packed) = self.outbox.deflation().deflate(way, payload) else {
            return self.frame(id, opcode, payload);
        };
        let header = frame::header(opcode, packed.len(), None).deflated();
        match self.wire.send_parts(id, &[header.as_bytes(), packed]) {
            Ok(()) => self.queued = true,
            Err(unsent) => self.unsent = Some(unsent),
        }
        self.outbox.deflation().shrink();
        self.unsent.is_none()
    }

    /// What the windows cost that were given to compressors since this was last asked, as
    /// [`limits::SHARE_BYTES`] counts.
    #[inline]
    pub(super) const fn take_work(&mut self) -> usize {
        self.outbox.deflation().take_loaded() / WINDOW_DIVISOR
    }

    /// What that user is told by others may fill its own backlog.
    #[inline]
    pub(super) fn may_come_back(&mut self) {
        self.queued = true;
    }

    /// That user is not heard until it is released.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Tells users what they are named for.
    pub(super) fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        if let [user] = users
            && let Some(queued) = self.outbox.tell_alone(connection(*user), notice, self.wire)
        {
            return self.tally.sent(u64::from(queued));
        }
        self.outbox.begin(users.len());
        let mut queued = 0;
        for &user in users {
            queued += u64::from(self.outbox.tell(connection(user), notice, self.wire));
        }
        self.tally.sent(queued);
        self.outbox.begin(0);
    }

    /// Says something to one user.
    pub(super) fn say(&mut self, user: User, message: app::Message<'_>) {
        match message.kind {
            app::Kind::Text => {
                let text = str::from_utf8(message.bytes).unwrap_or_default();
                self.tell(&[user], Notice::new(0, "", text));
            }
            app::Kind::Binary => {
                let (id, _) = connection(user);
                let queued = self.outbox.say_binary(id, message.bytes, self.wire);
                self.tally.sent(u64::from(queued));
            }
        }
    }

    /// Encodes a notice for one kind of connection, into one of those payloads.
    pub(super) fn encode(
        &mut self,
        framing: Framing,
        notice: Notice<'_>,
        payloads: &mut Payloads,
    ) -> Payload {
        self.outbox.encode(framing, notice, payloads)
    }

    /// What goes round event streams so that no gateway takes them for dead.
    pub(super) fn comment(&self) -> Payload {
        self.outbox.shared_comment()
    }

    /// Takes what goes round to some more of its listeners, at most `most`, which becomes less.
    /// How often a payload was queued.
    pub(super) fn go_round(&mut self, among: &mut Members, most: &mut usize) -> u64 {
        self.outbox.go_round(among, most, self.wire)
    }

    /// So many messages were queued.
    pub(super) fn sent(&mut self, messages: u64) {
        self.tally.sent(messages);
    }

    /// So many messages of an application left late.
    pub(super) fn pushed_late(&mut self, messages: u64) {
        self.tally.pushed_late(messages);
    }

    /// Notes that a connection is to be ended. Of one whose message is looked at nothing more is
    /// heard.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.user.is_some_and(|(id, _)| id == ending.id) {
            self.close.get_or_insert(ending.goodbye);
        } else {
            self.outbox.end(ending);
        }
    }

    /// Notes that a connection is to be ended, and hears it until then.
    pub(super) fn end_later(&mut self, ending: Ending) {
        self.outbox.end(ending);
    }

    /// Notes the answer to a user who posted.
    pub(super) fn answer(&mut self, asker: User, answer: app::Answer) {
        self.outbox.answer(connection(asker).0, answer);
    }

    /// Notes the answer to a call.
    pub(super) fn respond(&mut self, asker: User, response: ApiResponse) {
        self.outbox.respond(connection(asker).0, response);
    }

    /// Notes whose a connection is.
    pub(super) fn name(&mut self, user: User, name: &str) {
        self.outbox.name(connection(user).0, name);
    }

    /// Notes that a user is heard again.
    pub(super) fn release(&mut self, user: User) {
        self.outbox.hear(connection(user).0);
    }

    /// An application wants to know what all cores count.
    pub(super) fn measure(&mut self) {
        self.outbox.measure();
    }

    /// Notes that an application has something to say to itself on another core.
    pub(super) fn note_mail(&mut self) {
        self.outbox.note_mail();
    }

    /// What became of what was said to the user whose message it was.
    #[inline]
    pub(super) const fn replied(&self) -> Replied {
        match (self.close, self.unsent) {
            (Some(goodbye), _) => Replied::Ends(goodbye),
            (None, Some(Unsent::Full)) => Replied::Full,
            (None, Some(Unsent::Gone)) => Replied::Gone,
            (None, None) if self.queued => Replied::Queued,
            (None, None) => Replied::Nothing,
        }
    }

    /// Whether that user is to be ended.
    #[inline]
    pub(super) const fn is_ending(&self) -> bool {
        self.close.is_some()
    }

    /// Whether that user is not heard until it is released.
    #[inline]
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// What that user waits for if it is not heard.
    pub(super) const fn wait(&self) -> DeferWait {
        if self.held {
            DeferWait::Release
        } else {
            DeferWait::Share
        }
    }

    /// Whether a user takes less than it is told.
    pub(super) fn is_behind(&self, user: User) -> bool {
        self.wire.backlog(connection(user).0) > limits::BACKLOG_HIGH
    }

    /// Whether much waits between the cores already.
    pub(super) fn mail_is_full(&self) -> bool {
        self.wire.mail_is_full()
    }

    /// The time.
    pub(super) fn now(&self) -> Instant {
        self.wire.now()
    }
}
