//! How a session reaches what carries it, on its own core at once, on another by letter.

use super::letter::{Carrier, EngineBatch, EngineItem, EngineLetter};
use super::links::EngineLinks;
use crate::app::{ApiResponse, Effects, Goodbye, Kind, Message};
use crate::shard::Core;
use crate::time::Instant;
use std::sync::Arc;

/// The way from the sessions of a core to what carries them.
pub(super) struct Outward<'a, E: Effects<EngineBatch>> {
    pub(super) here: Core,
    pub(super) links: &'a mut EngineLinks,
    pub(super) effects: &'a mut E,
}

impl<'a, E: Effects<EngineBatch>> Outward<'a, E> {
    pub(super) const fn new(here: Core, links: &'a mut EngineLinks, effects: &'a mut E) -> Self {
        Self {
            here,
            links,
            effects,
        }
    }

    /// Answers a request.
    pub(super) fn respond(&mut self, to: Carrier, response: ApiResponse) {
        if to.core != self.here {
            return self.letter(to.core, EngineLetter::Answer(to, response));
        }
        self.links.answered(to.user);
        self.effects.respond(to.user, response);
    }

    /// Tells a WebSocket something.
    pub(super) fn say(&mut self, to: Carrier, message: Message<'_>) {
        if to.core == self.here {
            return self.effects.say(to.user, message);
        }
        self.say_shared(to, message.kind, &message.bytes.into());
    }

    /// Tells a WebSocket of another core something that others are told too.
    pub(super) fn say_shared(&mut self, to: Carrier, kind: Kind, bytes: &Arc<[u8]>) {
        self.letter(to.core, EngineLetter::Say(to, kind, bytes.clone()));
    }

    /// A session has heard so many bytes of what a WebSocket said.
    pub(super) fn heard(&mut self, from: Carrier, bytes: usize) {
        if from.core != self.here {
            return self.letter(from.core, EngineLetter::Heard(from, bytes));
        }
        if self.links.of(from).is_some_and(|link| link.heard(bytes)) {
            self.effects.release(from.user);
        }
    }

    /// A WebSocket is that user's.
    pub(super) fn known_as(&mut self, socket: Carrier, name: &str) {
        if socket.core != self.here {
            return self.letter(socket.core, EngineLetter::Known(socket, name.into()));
        }
        self.effects.known_as(socket.user, name);
    }

    /// Closes a WebSocket.
    pub(super) fn dismiss(&mut self, socket: Carrier, goodbye: Goodbye) {
        if socket.core != self.here {
            return self.letter(socket.core, EngineLetter::Dismiss(socket, goodbye));
        }
        self.effects.dismiss(socket.user, goodbye);
    }

    /// The time.
    pub(super) fn now(&self) -> Instant {
        self.effects.now()
    }

    /// Says something to another core.
    pub(super) fn letter(&mut self, to: Core, letter: EngineLetter) {
        self.effects.forward(to, EngineItem::Own(letter));
    }
}
