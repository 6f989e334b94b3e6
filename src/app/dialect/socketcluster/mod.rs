//! `SocketCluster`, protocol 2, over the hub: `/socketcluster/`.
//!
//! A connection is nothing until its handshake, whose token may be bad: then it is told so, and may
//! show another. What it is not allowed it is told as an error of a call; what comes before the
//! handshake closes it, what is no packet is passed over, as by `socketcluster-server`.

mod calls;
mod requests;
mod tokens;

use super::SOCKETCLUSTER;
use super::by_seat::BySeat;
use super::centrifugo::ClientRules;
use super::desk::Desk;
use super::holders::OverdueToken;
use super::views;
use crate::app::hub::Hub;
use crate::app::hub::broker::Broker;
use crate::app::hub::letter::HubLetter;
use crate::app::rules::Ruling;
use crate::app::{Effects, Message, Seat, User};
use crate::limits;
use crate::protocol::centrifugo::{CloseAdvice, ErrorCode};
use crate::protocol::socketcluster::{
    self as codec, CallNumber, ClientPacket, ClusterError, ClusterHandshake, HandshakeReply, close,
};
use crate::time::Instant;
use std::ops::ControlFlow;
use std::time::Duration;

/// The clients of one core that speak it.
#[derive(Debug)]
pub struct ClusterClients {
    rules: ClientRules,
    all: BySeat<ClusterClient>,
    /// When a part of them is looked at.
    look_at: Option<Instant>,
    part: usize,
    /// Responses to what is being heard: a `[`, and one behind the other.
    responses: Vec<u8>,
    /// How many they are.
    responded: usize,
    /// Who is pinged: scratch space.
    users: Vec<User>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct ClusterClient {
    user: User,
    /// When it came, or said something last.
    heard: Instant,
    /// When it was pinged last.
    pinged: Instant,
    stage: ClusterStage,
    /// Events `ping` that it has sent.
    pings: u32,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterStage {
    /// There is none.
    Vacant,
    /// It has not said who it is.
    Fresh,
    /// It has.
    Open,
}

/// How many parts all clients are divided into: one is looked at at a time, each once a second.
const PARTS: usize = 10;
/// Time between two looks.
const LOOK_TIME: Duration = Duration::from_millis(1000 / PARTS as u64);

/// Closes that say no more than their code: a client has words of its own for each.
const fn advice(code: u16) -> CloseAdvice {
    CloseAdvice { code, reason: "" }
}

impl ClusterClients {
    /// No client yet.
    #[must_use]
    pub const fn new(rules: ClientRules) -> Self {
        Self {
            rules,
            all: BySeat::new(),
            look_at: None,
            part: 0,
            responses: Vec::new(),
            responded: 0,
            users: Vec::new(),
        }
    }

    /// A WebSocket has come.
    pub fn came(&mut self, (user, seat): (User, Seat), now: Instant) {
        let client = ClusterClient {
            user,
            heard: now,
            pinged: now,
            stage: ClusterStage::Fresh,
            pings: 0,
        };
        self.all.insert(seat, client);
        self.look_at.get_or_insert(now + LOOK_TIME);
    }

    /// A client is gone, if it was one of these.
    pub fn left(&mut self, seat: Seat) {
        self.all.remove(seat);
        if self.all.is_empty() {
            self.look_at = None;
        }
    }

    /// Whether a client is one of these.
    #[must_use]
    pub fn has(&self, seat: Seat) -> bool {
        self.stage(seat) != ClusterStage::Vacant
    }

    /// A client says something.
    pub fn said<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        message: Message<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        let Some(known) = self.get(client.1) else {
            return;
        };
        known.heard = now;
        if message.bytes.is_empty() {
            match known.stage {
                ClusterStage::Open => self.look_at_token(client, hub, desk),
                ClusterStage::Fresh => desk.dismiss(client.0, advice(close::TOO_EARLY)),
                ClusterStage::Vacant => {}
            }
            return;
        }
        let mut end = None;
        // Of either kind: a text in a binary message is read as one (`JSON.parse`).
        let read = codec::read_packets(message.bytes, |packet| {
            end = self.packet(client, &packet, hub, desk).break_value();
            end.is_none()
        });
        self.flush(client.0, desk);
        match (end, read, self.stage(client.1)) {
            (Some(end), _, _) => desk.dismiss(client.0, end),
            (None, Err(_), ClusterStage::Fresh) => {
                desk.dismiss(client.0, advice(close::TOO_EARLY));
            }
            (None, Err(_), _) => desk.complain(CloseAdvice::BAD_REQUEST.code),
            (None, Ok(()), _) => {}
        }
    }

    /// When it wants to be told the time.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// The time has come, perhaps: pings who is to be pinged of a part of all clients, and ends who
    /// has been silent for too long.
    pub fn expired<E: Effects<Vec<HubLetter>>>(&mut self, now: Instant, desk: &mut Desk<'_, E>) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.look_at = (!self.all.is_empty()).then_some(now + LOOK_TIME);
        self.users.clear();
        for client in self.all.part(self.part, PARTS) {
            let silence = now.since(client.heard);
            match client.stage {
                ClusterStage::Vacant => {}
                ClusterStage::Fresh if silence >= limits::CLUSTER_HANDSHAKE_TIME => {
                    desk.dismiss(client.user, advice(close::NO_HANDSHAKE));
                }
                ClusterStage::Fresh => {}
                ClusterStage::Open if silence >= limits::CLUSTER_PONG_TIME => {
                    desk.dismiss(client.user, advice(close::PONG_TIMEOUT));
                }
                ClusterStage::Open if now.since(client.pinged) >= limits::CLUSTER_PING_TIME => {
                    client.pinged = now;
                    self.users.push(client.user);
                }
                ClusterStage::Open => {}
            }
        }
        self.part = (self.part + 1) % PARTS;
        desk.say_all(&self.users, codec::PING);
    }

    /// Carries out one packet, or says how the client is ended.
    fn packet<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        packet: &ClientPacket<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        match (packet.event.as_deref(), packet.call, self.stage(client.1)) {
            (Some("#handshake"), Some(call), _) => {
                return self.handshake(client, (packet, call), hub, desk);
            }
            (Some("#handshake"), None, _) => return ControlFlow::Break(advice(close::REJECTED)),
            (_, _, ClusterStage::Fresh | ClusterStage::Vacant) => {
                return ControlFlow::Break(advice(close::TOO_EARLY));
            }
            (Some("#authenticate"), Some(call), _) => {
                self.authenticate(client, (packet, call), hub, desk);
            }
            (Some("#authenticate"), None, _) => {
                return ControlFlow::Break(advice(close::REJECTED));
            }
            (Some("#removeAuthToken"), _, _) => self.forget(client, hub, desk),
            (Some(event), _, _) => {
                self.look_at_token(client, hub, desk);
                if let Err(error) = self.carry_out(client, (event, packet), hub, desk) {
                    self.fail(packet.call, error, desk);
                }
            }
            // It is no event: nobody here asked for a response.
            (None, _, _) => {}
        }
        ControlFlow::Continue(())
    }

    /// The first packet of a connection.
    fn handshake<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        (packet, call): (&ClientPacket<'_>, CallNumber<'_>),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        let token = ClusterHandshake::read(packet.data).token();
        let shown = token.map(|token| self.show((user, seat), &token, hub, desk));
        if let Ruling::Refuse(refusal) = desk.gatekeeper().handshake(user) {
            self.fail(Some(call), views::refusal(refusal), desk);
            return ControlFlow::Break(CloseAdvice {
                code: refusal
                    .code
                    .filter(|code| *code >= 4000)
                    .unwrap_or(close::REJECTED),
                reason: refusal.reason,
            });
        }
        let fault = shown.and_then(Result::err);
        if fault.is_some() {
            self.note(|into| codec::event(into, "#removeAuthToken", None));
        }
        hub.recode(seat, SOCKETCLUSTER);
        if let Some(known) = self.get(seat) {
            known.stage = ClusterStage::Open;
        }
        let id = hub.id(seat).unwrap_or_default();
        let reply = HandshakeReply {
            id: &id,
            ping_timeout_ms: limits::CLUSTER_PONG_TIME.as_millis(),
            is_authenticated: desk.holders().claims(seat).is_some(),
            fault,
        };
        self.note(|into| codec::handshake_reply(into, &call, reply));
        ControlFlow::Continue(())
    }

    /// Answers a call that is not carried out; who wants no answer gets none.
    fn fail<E: Effects<Vec<HubLetter>>>(
        &mut self,
        call: Option<CallNumber<'_>>,
        error: ErrorCode,
        desk: &mut Desk<'_, E>,
    ) {
        desk.complain(error.code);
        if let Some(call) = call {
            self.note(|into| codec::failure(into, &call, views::cluster_error(error)));
        }
    }

    /// Notes a response: all to one message leave in one.
    fn note(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let behind = if self.responded == 0 { b'[' } else { b',' };
        self.responses.push(behind);
        self.responded += 1;
        write(&mut self.responses);
    }

    /// Tells a client the responses so far, before anything else is said to it.
    fn flush<E: Effects<Vec<HubLetter>>>(&mut self, user: User, desk: &mut Desk<'_, E>) {
        let responses = match self.responded {
            0 => return,
            1 => self.responses.get(1..).unwrap_or_default(),
            _ => {
                self.responses.push(b']');
                &self.responses
            }
        };
        desk.say(user, |into| into.extend_from_slice(responses));
        self.responses.clear();
        self.responses.shrink_to(limits::SPARE_BYTES);
        self.responded = 0;
    }

    fn stage(&self, seat: Seat) -> ClusterStage {
        let known = self.all.get(seat);
        known.map_or(ClusterStage::Vacant, |known| known.stage)
    }

    fn get(&mut self, seat: Seat) -> Option<&mut ClusterClient> {
        self.all.get_mut(seat)
    }
}
