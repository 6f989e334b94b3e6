//! What sessions say: heard at once, or kept until it may be heard.

use super::{
    Carrier, Effects, EngineApp, EngineBatch, Kind, Message, Seat, SessionEnd, Unheard,
    UnheardPacket, User, sessions,
};
use crate::app::App as _;
use crate::limits;

impl EngineApp {
    /// Hears what sessions have said that could not be heard before.
    pub(super) fn go_on(&mut self, effects: &mut impl Effects<EngineBatch>) {
        for number in self.sessions.take_ready() {
            self.work(number, effects);
        }
        self.settle(effects);
    }

    /// Hears what a session has said, as much as it may say in a turn.
    fn work(&mut self, number: u64, effects: &mut impl Effects<EngineBatch>) {
        let mut left = limits::IO_TURN_PACKETS;
        while left > 0 {
            let Some(seat) = self.sessions.hearer(number) else {
                return;
            };
            if !self.inner.hears(User::own(number), seat) {
                return self.sessions.hold(number);
            }
            let Some(mut inbound) = self.sessions.take_inbound(number) else {
                return;
            };
            left -= 1;
            let is_over = match inbound.next() {
                None => true,
                Some(Ok(UnheardPacket::Text(text))) => {
                    let (kind, bytes) = (Kind::Text, text.as_bytes());
                    self.hear((number, seat), Message { kind, bytes }, effects);
                    false
                }
                Some(Ok(UnheardPacket::Whole(kind, bytes))) => {
                    let bytes = &bytes[..];
                    self.hear((number, seat), Message { kind, bytes }, effects);
                    false
                }
                Some(Ok(UnheardPacket::Close)) => {
                    let (sessions, mut out) = self.sessions(effects);
                    sessions.end(number, SessionEnd::Left, &mut out);
                    true
                }
                Some(Err(_)) => {
                    let (sessions, mut out) = self.sessions(effects);
                    sessions.end(number, SessionEnd::Fault, &mut out);
                    true
                }
            };
            let heard = match is_over || inbound.is_done() {
                true => Err(inbound),
                false => self.sessions.put_back(number, inbound),
            };
            if let Err(inbound) = heard {
                let (_, mut out) = self.sessions(effects);
                sessions::accept(&inbound, &mut out);
            }
        }
        self.sessions.go_on(number);
    }

    /// The client of a session is heard.
    fn hear(
        &mut self,
        (number, seat): (u64, Seat),
        message: Message<'_>,
        effects: &mut impl Effects<EngineBatch>,
    ) {
        self.sessions.speaking = Some(number);
        let (inner, mut carrying) = self.parts(effects);
        inner.said(User::own(number), seat, message, &mut carrying);
        self.sessions.speaking = None;
    }

    /// A WebSocket that is for a session has said something.
    pub(super) fn socket_said(
        &mut self,
        (number, socket): (u64, Carrier),
        message: Message<'_>,
        effects: &mut impl Effects<EngineBatch>,
    ) {
        let (sessions, mut out) = self.sessions(effects);
        let len = message.bytes.len();
        if !sessions.socket_said(number, socket, message, &mut out) {
            out.heard(socket, len);
            return self.settle(effects);
        }
        let seat = sessions.hearer_at_once(number);
        if let Some(seat) = seat
            && self.inner.hears(User::own(number), seat)
        {
            self.hear((number, seat), message, effects);
            let (_, mut out) = self.sessions(effects);
            out.heard(socket, len);
        } else {
            if seat.is_some() {
                self.sessions.hold(number);
            }
            let kept = Unheard::message(message.kind, message.bytes.into(), socket);
            let (sessions, mut out) = self.sessions(effects);
            sessions.keep(number, kept, &mut out);
        }
        self.settle(effects);
    }
}
