//! What sessions are told: by their next poll, or by their WebSocket at once.

use super::EngineSessions;
use crate::app::engineio::letter::{Carrier, EngineBatch};
use crate::app::engineio::outward::Outward;
use crate::app::engineio::session::SessionWay;
use crate::app::{Effects, Kind, Message, Notice, User};
use std::sync::Arc;

impl EngineSessions {
    /// Tells one session something.
    pub(in crate::app::engineio) fn say<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        message: Message<'_>,
        out: &mut Outward<'_, E>,
    ) {
        if let Some(socket) = self.put(number, message, out) {
            out.say(socket, message);
        }
    }

    /// Tells users something, of whom some are sessions.
    pub(in crate::app::engineio) fn tell<E: Effects<EngineBatch>>(
        &mut self,
        users: &[User],
        notice: Notice<'_>,
        out: &mut Outward<'_, E>,
    ) {
        let (kind, bytes) = (Kind::Text, notice.text.as_bytes());
        let message = Message { kind, bytes };
        let mut here = std::mem::take(&mut self.users);
        here.clear();
        let mut shared: Option<Arc<[u8]>> = None;
        for user in users {
            let Some(number) = user.own_number() else {
                here.push(*user);
                continue;
            };
            match self.put(number, message, out) {
                Some(socket) if socket.core == out.here => here.push(socket.user),
                Some(socket) => {
                    let bytes = shared.get_or_insert_with(|| bytes.into());
                    out.say_shared(socket, kind, bytes);
                }
                None => {}
            }
        }
        if !here.is_empty() {
            out.effects.tell(&here, notice);
        }
        self.users = here;
    }

    /// Whether a session takes less than it is told.
    pub(in crate::app::engineio) fn is_behind<E: Effects<EngineBatch>>(
        &self,
        number: u64,
        out: &Outward<'_, E>,
    ) -> bool {
        self.all
            .get(&number)
            .is_some_and(|session| match session.way {
                SessionWay::Socket(socket) if socket.core == out.here => {
                    out.effects.is_behind(socket.user)
                }
                SessionWay::Socket(_) => session.is_behind,
                SessionWay::Polling | SessionWay::Over => session.is_late(),
            })
    }

    /// A session is that user's, and so is the WebSocket that it has moved to, or will.
    pub(in crate::app::engineio) fn known_as<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        name: &str,
        out: &mut Outward<'_, E>,
    ) {
        if let Some(session) = self.all.get_mut(&number) {
            session.holder = Some(name.into());
            if let SessionWay::Socket(socket) = session.way {
                out.known_as(socket, name);
            }
        }
    }

    /// Puts something where the next poll finds it; gives the WebSocket that is told instead.
    fn put<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        message: Message<'_>,
        out: &mut Outward<'_, E>,
    ) -> Option<Carrier> {
        let session = self.all.get_mut(&number)?;
        match session.way {
            SessionWay::Socket(socket) => return Some(socket),
            SessionWay::Over => {}
            SessionWay::Polling => {
                let before = session.waiting();
                session.push(message);
                self.waiting += session.waiting() - before;
                self.stirred.push(number);
                self.bound(number, out);
            }
        }
        None
    }
}
