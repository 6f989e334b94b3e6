//! A session moves from polls to a WebSocket (npm's `engine.io`, `Socket._maybeUpgrade`).

use super::{EngineSessions, SessionEnd, UNWANTED};
use crate::app::engineio::letter::{Carrier, EngineBatch, SocketEvent};
use crate::app::engineio::outward::Outward;
use crate::app::engineio::session::{EngineUpgrade, SessionWay};
use crate::app::{Effects, Kind, Message, User};
use crate::limits;
use crate::protocol::socketio::polling::{
    NOOP, PROBE, PROBED, PolledPacket, UPGRADE, next_packet, push_text,
};

impl EngineSessions {
    /// The WebSocket of a session, or one that it may move to, has come or is gone.
    pub(in crate::app::engineio) fn socket_did<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        socket: Carrier,
        event: &SocketEvent,
        out: &mut Outward<'_, E>,
    ) {
        match event {
            SocketEvent::Came => self.socket_came(number, socket, out),
            SocketEvent::Left => self.socket_left(number, socket, out),
            SocketEvent::Behind | SocketEvent::CaughtUp => {
                let is_behind = matches!(event, SocketEvent::Behind);
                if let Some(session) = self.all.get_mut(&number)
                    && session.way == SessionWay::Socket(socket)
                {
                    session.is_behind = is_behind;
                    if let (false, Some(seat)) = (is_behind, session.seat) {
                        self.caught_up.push((number, seat));
                    }
                }
            }
            // Whoever calls has heard it.
            SocketEvent::Said(..) => {}
        }
    }

    /// A WebSocket says something. Whether it is that of the session, whose client is to hear it.
    pub(in crate::app::engineio) fn socket_said<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        socket: Carrier,
        message: Message<'_>,
        out: &mut Outward<'_, E>,
    ) -> bool {
        let Some(session) = self.all.get_mut(&number) else {
            out.dismiss(socket, UNWANTED);
            return false;
        };
        if session.way == SessionWay::Socket(socket) {
            return true;
        }
        let Some(upgrade) = session.upgrade.as_mut().filter(|it| it.socket == socket) else {
            // It was told to go.
            return false;
        };
        let is_text = message.kind == Kind::Text;
        if is_text && message.bytes == PROBE.as_bytes() {
            upgrade.is_probed = true;
            let (kind, bytes) = (Kind::Text, PROBED.as_bytes());
            out.say(socket, Message { kind, bytes });
            self.stirred.push(number);
        } else if is_text && message.bytes == UPGRADE.as_bytes() {
            self.move_to(number, socket, out);
        } else {
            session.upgrade = None;
            out.dismiss(socket, UNWANTED);
        }
        false
    }

    /// The time of a WebSocket is over, unless the session has moved to it.
    pub(super) fn give_up<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        user: User,
        out: &mut Outward<'_, E>,
    ) {
        let session = self.all.get_mut(&number);
        let given_up = session.and_then(|it| it.upgrade.take_if(|it| it.socket.user == user));
        if let Some(EngineUpgrade { socket, .. }) = given_up {
            out.dismiss(socket, UNWANTED);
        }
    }

    fn socket_came<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        socket: Carrier,
        out: &mut Outward<'_, E>,
    ) {
        match self.all.get_mut(&number) {
            Some(session) if session.way == SessionWay::Polling && session.upgrade.is_none() => {
                session.upgrade = Some(EngineUpgrade {
                    socket,
                    is_probed: false,
                });
                let until = out.now() + limits::IO_UPGRADE_TIME;
                self.upgrades.push_back((until, number, socket.user));
            }
            // `Server.onWebSocket`: it has moved, or is about to.
            Some(_) | None => out.dismiss(socket, UNWANTED),
        }
    }

    fn socket_left<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        socket: Carrier,
        out: &mut Outward<'_, E>,
    ) {
        let Some(session) = self.all.get_mut(&number) else {
            return;
        };
        session.upgrade.take_if(|it| it.socket == socket);
        if session.way == SessionWay::Socket(socket) {
            self.end(number, SessionEnd::Left, out);
        }
    }

    /// The session moves: what waits for a poll is told first.
    fn move_to<E: Effects<EngineBatch>>(
        &mut self,
        number: u64,
        socket: Carrier,
        out: &mut Outward<'_, E>,
    ) {
        let Some(session) = self.all.get_mut(&number) else {
            return;
        };
        session.upgrade = None;
        session.way = SessionWay::Socket(socket);
        if let Some(name) = &session.holder {
            out.known_as(socket, name);
        }
        // Its WebSocket is a connection, which counts for itself.
        let address = session.address.take();
        self.moved += 1;
        let was_late = session.is_late();
        let queue = session.take_queue();
        self.waiting -= queue.len();
        if let Some(poll) = session.poll.take() {
            let mut nothing = String::new();
            push_text(&mut nothing, NOOP);
            out.respond(poll, super::payload(nothing, session.cookie.take()));
        }
        let mut rest = (!queue.is_empty()).then_some(&*queue);
        while let Some(payload) = rest {
            // It was written here.
            let Ok((packet, behind)) = next_packet(payload) else {
                break;
            };
            let bytes;
            let (kind, told) = match packet {
                PolledPacket::Text(text) => (Kind::Text, text.as_bytes()),
                PolledPacket::Binary(binary) => {
                    bytes = binary;
                    (Kind::Binary, &bytes[..])
                }
                PolledPacket::Close => break,
            };
            out.say(socket, Message { kind, bytes: told });
            rest = behind;
        }
        if let (true, Some(seat)) = (was_late, session.seat) {
            self.caught_up.push((number, seat));
        }
        self.ready.push(number);
        self.uncount(address);
    }
}
