//! What other cores say about sessions.

use super::{
    Carrier, Effects, EngineApp, EngineBatch, EngineLetter, Message, SessionKey, SocketEvent,
};

impl EngineApp {
    /// Another core says something about a session.
    pub(super) fn take(&mut self, letter: &EngineLetter, effects: &mut impl Effects<EngineBatch>) {
        let (sessions, mut out) = self.sessions(effects);
        match letter {
            EngineLetter::Asked(number, from, request) => {
                sessions.asked(*number, *from, request.clone(), &mut out);
                self.go_on(effects);
            }
            EngineLetter::HungUp(number, from) => sessions.hung_up(*number, *from, &mut out),
            EngineLetter::Socket(number, from, SocketEvent::Said(kind, bytes)) => {
                let (kind, bytes) = (*kind, &bytes[..]);
                self.socket_said((*number, *from), Message { kind, bytes }, effects);
            }
            EngineLetter::Socket(number, from, event) => {
                sessions.socket_did(*number, *from, event, &mut out);
            }
            EngineLetter::Answer(to, response) => {
                if out.links.answered(to.user).is_some() {
                    out.effects.respond(to.user, response.clone());
                }
            }
            EngineLetter::Say(to, kind, bytes) => {
                let (kind, bytes) = (*kind, &bytes[..]);
                out.effects.say(to.user, Message { kind, bytes });
                if out.effects.is_behind(to.user)
                    && let Some(link) = out.links.of(*to)
                    && link.fell_behind()
                {
                    let session = link.session;
                    self.tell_session(session, *to, SocketEvent::Behind, effects);
                }
            }
            EngineLetter::Heard(to, bytes) => out.heard(*to, *bytes),
            EngineLetter::Known(to, name) => out.effects.known_as(to.user, name),
            EngineLetter::Dismiss(to, goodbye) => out.effects.dismiss(to.user, *goodbye),
        }
    }

    /// Tells a session what its WebSocket did, which is here.
    pub(super) fn tell_session(
        &mut self,
        session: SessionKey,
        socket: Carrier,
        event: SocketEvent,
        effects: &mut impl Effects<EngineBatch>,
    ) {
        let (sessions, mut out) = self.sessions(effects);
        if session.core == out.here {
            sessions.socket_did(session.number, socket, &event, &mut out);
            self.settle(effects);
        } else {
            let letter = EngineLetter::Socket(session.number, socket, event);
            out.letter(session.core, letter);
        }
    }
}
