//! What leaves this core beside what it is the answer to: notices encoded once for each kind of
//! connection, and what is to be done at the end of the event, when no connection is in use.

use super::event;
use super::framing::Framing;
use super::members::Members;
use super::payloads::{EncodedOnce, Payloads};
use super::tally::CloseReason;
use crate::app::{self, ApiResponse, Goodbye, Notice};
use crate::limits;
use crate::protocol::sse;
use crate::protocol::websocket::deflate::{self, Deflation};
use crate::protocol::websocket::{Extension, Opcode, frame};
use crate::shard::{ConnectionId, Payload, Unsent, Wire};
use std::collections::VecDeque;

/// A connection that an application wants to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) id: ConnectionId,
    pub(super) goodbye: Goodbye,
    pub(super) why: CloseReason,
}

/// One thing to be done at the end of an event.
pub(super) enum Task {
    /// End a connection whose backlog was full when it was told something.
    EndSlow(ConnectionId),
    /// End one as its application wants it.
    End(Ending),
    /// Answer one that posted.
    Answer(ConnectionId, app::Answer),
    /// Hear one again that was held.
    Hear(ConnectionId),
    /// Answer one that called.
    Respond(ConnectionId, ApiResponse),
    /// Note whose one is.
    Name(ConnectionId, Box<str>),
    /// Ask all cores what they count, for an application.
    Measure,
}

/// What is to be done, and scratch space for it.
pub(super) struct Outbox {
    slow: Vec<ConnectionId>,
    ending: Vec<Ending>,
    answers: Vec<(ConnectionId, app::Answer)>,
    /// Connections that were held and are heard again, in their order.
    released: VecDeque<ConnectionId>,
    responses: Vec<(ConnectionId, ApiResponse)>,
    names: Vec<(ConnectionId, Box<str>)>,
    /// Somebody wants to know whose connections are.
    wants_names: bool,
    /// An application wants to know what all cores count.
    measures: bool,
    /// An application has something to say to itself on another core.
    has_mail: bool,
    deflation: Deflation,
    /// How many connections are told the notice.
    listeners: usize,
    /// Tells an event stream nothing, so that no gateway takes it for dead.
    comment: Payload,
    frame: EncodedOnce,
    deflated: EncodedOnce,
    event: EncodedOnce,
}

impl Default for Outbox {
    fn default() -> Self {
        let mut comment = Vec::new();
        sse::comment(&mut comment, "");
        // Ends the block: nothing of it waits in a client that splits at empty lines.
        comment.push(b'\n');
        Self {
            slow: Vec::new(),
            ending: Vec::new(),
            answers: Vec::new(),
            released: VecDeque::new(),
            responses: Vec::new(),
            names: Vec::new(),
            wants_names: false,
            measures: false,
            has_mail: false,
            deflation: Deflation::default(),
            listeners: 0,
            comment: Payload::new(comment),
            frame: EncodedOnce::default(),
            deflated: EncodedOnce::default(),
            event: EncodedOnce::default(),
        }
    }
}

impl Outbox {
    /// The next thing to do. Doing it may add others, also of the kinds that come first.
    pub(super) fn next(&mut self) -> Option<Task> {
        if let Some((id, name)) = self.names.pop() {
            Some(Task::Name(id, name))
        } else if let Some(id) = self.slow.pop() {
            Some(Task::EndSlow(id))
        } else if let Some(ending) = self.ending.pop() {
            Some(Task::End(ending))
        } else if let Some((id, answer)) = self.answers.pop() {
            Some(Task::Answer(id, answer))
        } else if let Some(id) = self.released.pop_front() {
            Some(Task::Hear(id))
        } else if let Some((id, response)) = self.responses.pop() {
            Some(Task::Respond(id, response))
        } else {
            std::mem::take(&mut self.measures).then_some(Task::Measure)
        }
    }

    /// A connection is to be ended.
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.push(ending);
    }

    /// One that posted is to be answered.
    pub(super) fn answer(&mut self, id: ConnectionId, answer: app::Answer) {
        self.answers.push((id, answer));
    }

    /// The answer to a connection that has just posted, if there is one already.
    pub(super) fn take_answer(&mut self, id: ConnectionId) -> Option<app::Answer> {
        let own = self.answers.pop_if(|(asker, _)| *asker == id);
        own.map(|(_, answer)| answer)
    }

    /// One that called is to be answered.
    pub(super) fn respond(&mut self, id: ConnectionId, response: ApiResponse) {
        self.responses.push((id, response));
    }

    /// The answer to a connection that has just called, if there is one already.
    pub(super) fn take_response(&mut self, id: ConnectionId) -> Option<ApiResponse> {
        let own = self.responses.pop_if(|(asker, _)| *asker == id);
        own.map(|(_, response)| response)
    }

    /// Whether it is noted whose connections are.
    #[inline]
    pub(super) const fn want_names(&mut self, wants: bool) {
        self.wants_names = wants;
    }

    /// One is that user's.
    pub(super) fn name(&mut self, id: ConnectionId, name: &str) {
        if self.wants_names && !name.is_empty() {
            self.names.push((id, name.into()));
        }
    }

    /// One that was held is heard again.
    pub(super) fn hear(&mut self, id: ConnectionId) {
        self.released.push_back(id);
    }

    /// An application wants to know what all cores count.
    pub(super) fn measure(&mut self) {
        self.measures = true;
    }

    /// An application has something to say to itself on another core.
    pub(super) fn note_mail(&mut self) {
        self.has_mail = true;
    }

    /// What they had to say is on its way.
    pub(super) fn mail_left(&mut self) {
        self.has_mail = false;
    }

    /// Sends a comment to one event stream.
    pub(super) fn comment<M>(&mut self, id: ConnectionId, wire: &mut impl Wire<M>) {
        match wire.share(id, &self.comment) {
            Err(Unsent::Full) => self.slow.push(id),
            Ok(()) | Err(Unsent::Gone) => {}
        }
    }

    /// A comment, to be sent round.
    pub(super) fn shared_comment(&self) -> Payload {
        self.comment.clone()
    }

    /// What deflates messages.
    #[inline]
    pub(super) const fn deflation(&mut self) -> &mut Deflation {
        &mut self.deflation
    }

    /// Encodes a notice for one kind of connection, into one of those payloads.
    pub(super) fn encode(
        &mut self,
        framing: Framing,
        notice: Notice<'_>,
        payloads: &mut Payloads,
    ) -> Payload {
        let text = notice.text.as_bytes();
        payloads.encode(|into| match framing {
            Framing::Frames | Framing::Takeover => frame::encode(into, Opcode::Text, text, None),
            Framing::Deflated => encode_shared(into, text, &mut self.deflation),
            Framing::Events => event::encode(into, notice),
        })
    }

    /// Another notice is told to so many, or none for now: see [`Outbox::tell`].
    pub(super) fn begin(&mut self, connections: usize) {
        self.listeners = connections;
        for once in [&mut self.frame, &mut self.deflated, &mut self.event] {
            once.begin(connections);
        }
    }

    /// Tells one connection a notice, which is encoded for the first of each kind since
    /// [`Outbox::begin`]. Whether it was queued.
    pub(super) fn tell<M>(
        &mut self,
        (id, framing): (ConnectionId, Framing),
        notice: Notice<'_>,
        wire: &mut impl Wire<M>,
    ) -> bool {
        let (size, text) = (notice.text.len(), notice.text.as_bytes());
        let deflation = &mut self.deflation;
        let sent = match framing {
            Framing::Takeover => self.send_in_context(id, text, wire),
            Framing::Frames => self.frame.send(id, size, wire, |into| {
                frame::encode(into, Opcode::Text, text, None);
            }),
            Framing::Deflated => self.deflated.send(id, size, wire, |into| {
                encode_shared(into, text, deflation);
            }),
            Framing::Events => self.event.send(id, size, wire, |into| {
                event::encode(into, notice);
            }),
        };
        self.queued(id, sent)
    }

    /// Tells one WebSocket what no other is told: it is copied once, as a reply is. Whether it was
    /// queued; `None` if that is no way to tell it.
    #[inline]
    pub(super) fn tell_alone<M>(
        &mut self,
        (id, framing): (ConnectionId, Framing),
        notice: Notice<'_>,
        wire: &mut impl Wire<M>,
    ) -> Option<bool> {
        let text = notice.text.as_bytes();
        if framing != Framing::Frames || text.len() >= limits::LARGE_BYTES {
            return None;
        }
        let header = frame::header(Opcode::Text, text.len(), None);
        let sent = wire.send_parts(id, &[header.as_bytes(), text]);
        Some(self.queued(id, sent))
    }

    /// Sends a text to a connection that keeps context: deflated with it, unless so many are told
    /// that it is deflated once for all of them. That one is in the peer's window all the same.
    #[inline(never)]
    fn send_in_context<M>(
        &mut self,
        id: ConnectionId,
        text: &[u8],
        wire: &mut impl Wire<M>,
    ) -> Result<(), Unsent> {
        let (key, deflation) = (window_key(id), &mut self.deflation);
        if self.listeners <= limits::CONTEXT_LISTENERS {
            return match deflation.deflate((key, Extension::DeflateTakeover), text) {
                Some(packed) => {
                    let header = frame::header(Opcode::Text, packed.len(), None).deflated();
                    wire.send_parts(id, &[header.as_bytes(), packed])
                }
                None => {
                    let header = frame::header(Opcode::Text, text.len(), None);
                    wire.send_parts(id, &[header.as_bytes(), text])
                }
            };
        }
        if !deflation.takes_shared(key) {
            return self.frame.send(id, text.len(), wire, |into| {
                frame::encode(into, Opcode::Text, text, None);
            });
        }
        self.deflated.send(id, text.len(), wire, |into| {
            encode_shared(into, text, deflation);
        })?;
        if self.deflated.is_deflated() {
            self.deflation.remember(key, text);
        }
        Ok(())
    }

    /// Whether something was queued. One whose backlog is full is to be ended.
    fn queued(&mut self, id: ConnectionId, sent: Result<(), Unsent>) -> bool {
        if sent == Err(Unsent::Full) {
            self.slow.push(id);
        }
        // One that is gone ended in this turn; `closed` is under way.
        sent.is_ok()
    }

    /// Sends one WebSocket a binary message, as it is (RFC 7692, 6.1). Whether it was queued.
    pub(super) fn say_binary<M>(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        wire: &mut impl Wire<M>,
    ) -> bool {
        let header = frame::header(Opcode::Binary, bytes.len(), None);
        let sent = wire.send_parts(id, &[header.as_bytes(), bytes]);
        self.queued(id, sent)
    }

    /// Takes what goes round to some more of its listeners, at most `most`, which becomes less.
    /// How often a payload was queued.
    pub(super) fn go_round<M>(
        &mut self,
        among: &mut Members,
        most: &mut usize,
        wire: &mut impl Wire<M>,
    ) -> u64 {
        let share = |id, payload: &Payload| wire.share(id, payload);
        among.step(most, &mut self.slow, share)
    }

    /// Frees what is kept to be encoded into.
    pub(super) fn trim(&mut self) {
        for once in [&mut self.frame, &mut self.deflated, &mut self.event] {
            once.trim();
        }
    }

    /// Whether nothing is left to do.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let lists = self.slow.is_empty() && self.ending.is_empty() && self.answers.is_empty();
        let others = self.released.is_empty() && self.responses.is_empty();
        lists && others && self.names.is_empty() && !self.has_mail && !self.measures
    }
}

/// The key of a connection among the windows of its core.
pub(super) fn window_key(id: ConnectionId) -> u32 {
    u32::try_from(id.slot()).unwrap_or(u32::MAX - 1)
}

/// A text in a frame for all who inflate each message by itself.
fn encode_shared(into: &mut Vec<u8>, text: &[u8], deflation: &mut Deflation) {
    match deflation.shared() {
        Some(deflater) => deflate::encode(into, Opcode::Text, text, None, deflater),
        None => frame::encode(into, Opcode::Text, text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_be_ended_comes_first_and_who_is_released_in_its_order() {
        let [a, b, c] = [1, 2, 3].map(|slot| ConnectionId::new(slot, 1));
        let mut outbox = Outbox::default();
        assert!(outbox.is_empty());
        outbox.hear(a);
        outbox.hear(b);
        outbox.answer(b, Ok(7));
        outbox.end(Ending {
            id: c,
            goodbye: Goodbye {
                code: 1013,
                reason: "",
            },
            why: CloseReason::Full,
        });
        assert!(!outbox.is_empty());
        assert!(matches!(outbox.next(), Some(Task::End(ending)) if ending.id == c));
        assert!(matches!(outbox.next(), Some(Task::Answer(id, Ok(7))) if id == b));
        assert!(matches!(outbox.next(), Some(Task::Hear(id)) if id == a));
        assert!(matches!(outbox.next(), Some(Task::Hear(id)) if id == b));
        assert!(outbox.next().is_none() && outbox.is_empty());
    }

    #[test]
    fn only_its_own_answer_is_taken_at_once() {
        let [a, b] = [1, 2].map(|slot| ConnectionId::new(slot, 1));
        let mut outbox = Outbox::default();
        outbox.answer(a, Ok(7));
        assert_eq!(outbox.take_answer(b), None);
        assert_eq!(outbox.take_answer(a), Some(Ok(7)));
        assert!(outbox.is_empty());
    }
}
