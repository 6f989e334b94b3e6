//! Centrifugo's client protocol over the hub: `/connection/websocket` and `/connection/uni_sse`.
//!
//! A connection is nothing until its first command connects it. What it is not allowed it is told
//! by the codes of `protocol::centrifugo`; what no client says closes it.

mod admission;
mod commands;
mod connecting;

use super::desk::Desk;
use super::holders::OverdueToken;
use super::views;
use super::{CENTRIFUGO, CONNECTING, CONNECTING_CLIENT, UNIDIRECTIONAL};
use crate::app::hub::Hub;
use crate::app::hub::answer::{Asker, EncodingId, HubAnswer, ShownAs, SubscribeWish};
use crate::app::hub::broker::Broker;
use crate::app::hub::history::Excerpt;
use crate::app::hub::letter::{ChannelQuestion, HubLetter};
use crate::app::hub::position::{Epoch, Since};
use crate::app::rules::Ruling;
use crate::app::tokens::{TokenClaims, TokenFault};
use crate::app::{Effects, Kind, Message, Seat, User};
use crate::limits;
use crate::protocol::centrifugo::{
    self as codec, ChannelRequest, ClientCommand, CloseAdvice, CommandKind, ConnectReply,
    ConnectRequest, ErrorCode, HistoryRequest, RpcRequest, SubscribeRequest, TokenRequest,
};
use crate::protocol::json;
use admission::ConnectDenial;
use connecting::PendingClient;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What is allowed to clients without a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientRules {
    /// They may connect.
    pub anonymous: bool,
    /// They may subscribe to whatever there is, and look into it.
    pub subscribe: bool,
    /// The procedure `echo` is answered: for first tries.
    pub echo: bool,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClientStage {
    /// There is none.
    #[default]
    Vacant,
    /// It has not said who it is.
    Fresh,
    /// The same, for at least the time between two pings.
    Stale,
    /// It is connected, and has answered.
    Connected,
    /// It is connected, and was sent a ping.
    Pinged,
    /// It only listens.
    Listening,
}

/// The clients of one core that speak it.
#[derive(Debug)]
pub struct CentrifugoClients {
    rules: ClientRules,
    /// By seat.
    stages: Vec<ClientStage>,
    /// Those who wait for subscriptions that they connect with.
    connecting: BTreeMap<User, PendingClient>,
}

/// How many parts all seats are divided into: one is pinged at a time.
pub const STRIPES: usize = 100;

impl CentrifugoClients {
    /// No client yet.
    #[must_use]
    pub fn new(rules: ClientRules) -> Self {
        Self {
            rules,
            stages: Vec::new(),
            connecting: BTreeMap::new(),
        }
    }

    /// A WebSocket has come.
    pub fn came(&mut self, seat: Seat) {
        self.set(seat, ClientStage::Fresh);
    }

    /// A client is gone.
    pub fn left(&mut self, user: User, seat: Seat) {
        self.set(seat, ClientStage::Vacant);
        self.connecting.remove(&user);
    }

    /// A client says something.
    pub fn said<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        message: Message<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        match message.kind {
            Kind::Text => self.hears((user, seat), message.bytes, hub, desk),
            // That is how the protocol's other form comes, which is not spoken here.
            Kind::Binary => desk.dismiss(user, CloseAdvice::BAD_REQUEST),
        }
    }

    /// Carries out commands, each in a line.
    fn hears<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        text: &[u8],
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let mut close = None;
        let mut any = false;
        let lines = text.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            any = true;
            if let Some(pending) = self.connecting.get_mut(&user) {
                if !pending.hears(line) {
                    close = Some(CloseAdvice::BAD_REQUEST);
                }
            } else {
                let read = codec::read_commands(line, |command| {
                    close = self.command((user, seat), command, hub, desk).break_value();
                    close.is_none()
                });
                close = close.or(read.err().map(|_| CloseAdvice::BAD_REQUEST));
            }
            if close.is_some() {
                break;
            }
        }
        if !any {
            close = Some(CloseAdvice::BAD_REQUEST);
        }
        if let Some(advice) = close {
            desk.dismiss(user, advice);
        }
    }

    /// Pings those of a part of the seats, and ends who has not answered the last.
    pub fn ping<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        stripe: usize,
        hub: &mut Hub<B>,
        users: &mut Vec<User>,
        desk: &mut Desk<'_, E>,
    ) {
        users.clear();
        let now = desk.effects().now();
        for at in (stripe..self.stages.len()).step_by(STRIPES) {
            let Some((seat, user, encoding)) = hub.at(at..at + 1).next() else {
                continue;
            };
            match desk.holders().overdue(seat, now) {
                None => {}
                Some(OverdueToken::Client) => {
                    desk.end(user, encoding, CloseAdvice::EXPIRED);
                    continue;
                }
                Some(OverdueToken::Channels(ended)) => {
                    for channel in ended {
                        if hub.unsubscribe(seat, &channel, desk) {
                            desk.subscription_expired(user, &channel);
                        }
                    }
                }
            }
            let Some(stage) = self.stages.get_mut(at) else {
                break;
            };
            match stage {
                ClientStage::Vacant => {}
                ClientStage::Fresh => *stage = ClientStage::Stale,
                ClientStage::Stale => desk.dismiss(user, CloseAdvice::STALE),
                ClientStage::Connected => {
                    *stage = ClientStage::Pinged;
                    users.push(user);
                }
                ClientStage::Pinged => desk.dismiss(user, CloseAdvice::NO_PONG),
                ClientStage::Listening => users.push(user),
            }
        }
        desk.say_all(users, codec::PING);
    }

    /// Carries out one command, or says how the client is ended.
    fn command<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        command: ClientCommand<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        let ClientCommand { id, kind } = command;
        let stage = self.stage(seat);
        let wants_reply = !matches!(kind, CommandKind::Pong | CommandKind::Send);
        let is_connected = matches!(stage, ClientStage::Connected | ClientStage::Pinged);
        if is_connected == matches!(kind, CommandKind::Connect(_)) || (wants_reply && id == 0) {
            return ControlFlow::Break(CloseAdvice::BAD_REQUEST);
        }
        let asker = Asker {
            user,
            encoding: CENTRIFUGO,
            ticket: id,
        };
        match kind {
            CommandKind::Connect(request) => {
                return self.connect((user, seat), id, &request, hub, desk);
            }
            CommandKind::Pong => self.set(seat, ClientStage::Connected),
            kind => match self.carry_out((asker, seat), kind, hub, desk) {
                Ok(flow) => return flow,
                Err(error) => desk.fail(user, id, error),
            },
        }
        ControlFlow::Continue(())
    }

    /// The first command of a connection.
    fn connect<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        id: u32,
        request: &ConnectRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        let claims = match self.admit((user, seat), request, hub, desk) {
            Ok(claims) => claims,
            Err(denial) => return Self::deny(user, id, denial, desk),
        };
        self.set(seat, ClientStage::Connected);
        let named = claims.as_ref().map_or(0, |claims| claims.channels.len());
        if named > 0 || desk.gatekeeper().wishes() {
            let wanted = (request, Vec::new(), claims.as_deref());
            self.connects((user, seat), Some(id), wanted, hub, desk);
            return ControlFlow::Continue(());
        }
        hub.recode(seat, CENTRIFUGO);
        let client = hub.id(seat).unwrap_or_default();
        let until_s = claims.and_then(|claims| claims.until_s);
        let now = desk.effects().now();
        let ttl_s = desk.holders().ttl_s(until_s, now);
        let reply = connect_reply(&client, ttl_s);
        desk.say(user, |into| {
            codec::reply(into, id, |into| codec::connect(into, reply, b""));
        });
        ControlFlow::Continue(())
    }

    fn stage(&self, seat: Seat) -> ClientStage {
        let stage = self.stages.get(seat.0 as usize);
        stage.copied().unwrap_or_default()
    }

    fn set(&mut self, seat: Seat, stage: ClientStage) {
        let at = seat.0 as usize;
        if self.stages.len() <= at {
            self.stages.resize(at + 1, ClientStage::Vacant);
        }
        if let Some(place) = self.stages.get_mut(at) {
            *place = stage;
        }
    }
}

/// Answers a command that is done, with nothing to tell.
fn done<E: Effects<Vec<HubLetter>>>(to: Asker, content: &[u8], desk: &mut Desk<'_, E>) {
    desk.say(to.user, |into| {
        codec::reply(into, to.ticket, |into| into.extend_from_slice(content));
    });
}

/// How a connection stands.
fn connect_reply(client: &dyn std::fmt::Display, ttl_s: Option<u64>) -> ConnectReply<'_> {
    ConnectReply {
        client,
        version: concat!("ringstorm ", env!("CARGO_PKG_VERSION")),
        ping_s: limits::CLIENT_PING_TIME.as_secs(),
        pong: true,
        ttl_s,
    }
}

/// Where a client that comes back was.
fn since(request: &SubscribeRequest<'_>) -> Option<Since> {
    let epoch = Epoch::parse(&request.epoch);
    request.recover.then(|| Since::place(epoch, request.offset))
}

/// Which part of a history is meant.
#[must_use]
pub fn excerpt(request: &HistoryRequest<'_>) -> Excerpt {
    // A negative number stands for all.
    let limit = usize::try_from(request.limit).unwrap_or(limits::HISTORY_LISTED);
    let since = request.since.as_ref();
    // The beginning of whatever there is.
    let since = since.filter(|since| !(since.epoch.is_empty() && since.offset == 0));
    Excerpt {
        since: since.map(|since| Since::place(Epoch::parse(&since.epoch), since.offset)),
        limit: limit.min(limits::HISTORY_LISTED),
        reverse: request.reverse,
    }
}
