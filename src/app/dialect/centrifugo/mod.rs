//! Centrifugo's client protocol over the hub: `/connection/websocket` and `/connection/uni_sse`.
//!
//! A connection is nothing until its first command connects it. What it is not allowed it is told
//! by the codes of `protocol::centrifugo`; what no client says closes it.

mod connecting;

use super::desk::Desk;
use super::{CENTRIFUGO, CONNECTING, UNIDIRECTIONAL};
use crate::app::hub::Hub;
use crate::app::hub::answer::{Asker, EncodingId, HubAnswer, SubscribeWish};
use crate::app::hub::broker::Broker;
use crate::app::hub::history::Excerpt;
use crate::app::hub::letter::{ChannelQuestion, HubLetter};
use crate::app::hub::position::{Epoch, Since};
use crate::app::hub::publication::Publication;
use crate::app::{Effects, Kind, Message, Seat, User};
use crate::limits;
use crate::protocol::centrifugo::{
    self as codec, ChannelRequest, ClientCommand, CloseAdvice, CommandKind, ConnectReply,
    ConnectRequest, ErrorCode, HistoryRequest, PublishRequest, RpcRequest, SubscribeRequest,
};
use crate::protocol::json;
use connecting::PendingListener;
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
    /// By seat: those who wait for subscriptions that they connect with.
    connecting: BTreeMap<u32, PendingListener>,
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
    pub fn left(&mut self, seat: Seat) {
        self.set(seat, ClientStage::Vacant);
        self.connecting.remove(&seat.0);
    }

    /// A client says something.
    pub fn said<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        message: Message<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let mut close = None;
        let read = match message.kind {
            Kind::Text => codec::read_commands(message.bytes, |command| {
                let done = self.command((user, seat), command, hub, desk);
                close = done.break_value();
                close.is_none()
            }),
            // That is how the protocol's other form comes, which is not spoken here.
            Kind::Binary => Err(crate::protocol::Malformed("not JSON")),
        };
        if read.is_err() {
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
        hub: &Hub<B>,
        users: &mut Vec<User>,
        desk: &mut Desk<'_, E>,
    ) {
        users.clear();
        for at in (stripe..self.stages.len()).step_by(STRIPES) {
            let Some(stage) = self.stages.get_mut(at) else {
                break;
            };
            let Some((_, user, _)) = hub.at(at..at + 1).next() else {
                continue;
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
        let asked = match kind {
            CommandKind::Connect(request) => {
                return self.connect((user, seat), id, &request, hub, desk);
            }
            CommandKind::Pong => {
                self.set(seat, ClientStage::Connected);
                Ok(())
            }
            CommandKind::Send => Ok(()),
            CommandKind::Ping => {
                desk.say(user, |into| {
                    codec::reply(into, id, |into| into.extend_from_slice(b"\"ping\":{}"));
                });
                Ok(())
            }
            CommandKind::Subscribe(request) => self.subscribe(seat, id, &request, hub, desk),
            CommandKind::Unsubscribe(ChannelRequest { channel }) => {
                hub.unsubscribe(seat, &channel, desk);
                desk.say(user, |into| {
                    codec::reply(into, id, |into| {
                        into.extend_from_slice(b"\"unsubscribe\":{}")
                    });
                });
                Ok(())
            }
            CommandKind::Publish(request) => publish(asker, seat, &request, hub, desk),
            CommandKind::Presence(ChannelRequest { channel }) => {
                self.look(asker, &channel, ChannelQuestion::Presence, hub, desk)
            }
            CommandKind::PresenceStats(ChannelRequest { channel }) => {
                self.look(asker, &channel, ChannelQuestion::Headcount, hub, desk)
            }
            CommandKind::History(request) => {
                let question = ChannelQuestion::History(excerpt(&request));
                self.look(asker, &request.channel, question, hub, desk)
            }
            CommandKind::Rpc(request) => self.call(asker, &request, desk),
            CommandKind::Refresh(_) | CommandKind::SubRefresh(_) => Err(ErrorCode::NOT_AVAILABLE),
            CommandKind::Unknown => Err(ErrorCode::METHOD_NOT_FOUND),
        };
        if let Err(error) = asked {
            desk.say(user, |into| {
                codec::reply(into, id, |into| codec::error(into, error));
            });
        }
        ControlFlow::Continue(())
    }

    /// The first command of a connection.
    fn connect<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        id: u32,
        request: &ConnectRequest<'_>,
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> ControlFlow<CloseAdvice> {
        if let Err(advice) = self.admit(request) {
            return ControlFlow::Break(advice);
        }
        self.set(seat, ClientStage::Connected);
        let client = hub.id(seat).unwrap_or_default();
        let reply = connect_reply(&client);
        desk.say(user, |into| {
            codec::reply(into, id, |into| codec::connect(into, reply, b""));
        });
        ControlFlow::Continue(())
    }

    /// Whether a client may connect.
    fn admit(&self, request: &ConnectRequest<'_>) -> Result<(), CloseAdvice> {
        match (request.token.is_empty(), self.rules.anonymous) {
            (true, true) => Ok(()),
            (true, false) => Err(CloseAdvice::PERMISSION_DENIED),
            // Nobody here can tell whether it is good, so it is not.
            (false, _) => Err(CloseAdvice::INVALID_TOKEN),
        }
    }

    fn subscribe<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        seat: Seat,
        id: u32,
        request: &SubscribeRequest<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        if !self.rules.subscribe {
            return Err(ErrorCode::PERMISSION_DENIED);
        }
        let wish = SubscribeWish {
            channel: &request.channel,
            since: since(request),
            ticket: id,
            by_server: false,
            whole: request.rejects_unrecovered(),
        };
        let asked = hub.subscribe(seat, wish, desk);
        asked.map_err(super::views::error)
    }

    /// Asks something about a channel.
    fn look<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        asker: Asker,
        channel: &str,
        question: ChannelQuestion,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        if !self.rules.subscribe {
            return Err(ErrorCode::PERMISSION_DENIED);
        }
        hub.ask(asker, channel, question, desk);
        Ok(())
    }

    /// Calls a procedure.
    fn call<E: Effects<Vec<HubLetter>>>(
        &self,
        asker: Asker,
        request: &RpcRequest<'_>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        if !(self.rules.echo && request.method == "echo") {
            return Err(ErrorCode::METHOD_NOT_FOUND);
        }
        let data = request.data.map_or("null", |data| data.get());
        let data = json::one_line(data);
        desk.say(asker.user, |into| {
            codec::reply(into, asker.ticket, |into| codec::rpc(into, &data));
        });
        Ok(())
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

fn publish<B: Broker, E: Effects<Vec<HubLetter>>>(
    asker: Asker,
    seat: Seat,
    request: &PublishRequest<'_>,
    hub: &mut Hub<B>,
    desk: &mut Desk<'_, E>,
) -> Result<(), ErrorCode> {
    let data = request.data.ok_or(ErrorCode::BAD_REQUEST)?;
    let options = hub.options(&request.channel);
    if !options.ok_or(ErrorCode::UNKNOWN_CHANNEL)?.clients_publish {
        return Err(ErrorCode::PERMISSION_DENIED);
    }
    let publication = Publication {
        offset: 0,
        data: json::one_line(data.get()).as_ref().into(),
        by: hub.info(seat),
        tags: None,
    };
    let question = ChannelQuestion::Publish(publication);
    hub.ask(asker, &request.channel, question, desk);
    Ok(())
}

/// How a connection stands.
fn connect_reply(client: &dyn std::fmt::Display) -> ConnectReply<'_> {
    ConnectReply {
        client,
        version: concat!("ringstorm ", env!("CARGO_PKG_VERSION")),
        ping_s: limits::CLIENT_PING_TIME.as_secs(),
        pong: true,
    }
}

/// Where a client that comes back was.
fn since(request: &SubscribeRequest<'_>) -> Option<Since> {
    request.recover.then(|| Since {
        epoch: Epoch::parse(&request.epoch),
        offset: request.offset,
    })
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
        since: since.map(|since| Since {
            epoch: Epoch::parse(&since.epoch),
            offset: since.offset,
        }),
        limit: limit.min(limits::HISTORY_LISTED),
        reverse: request.reverse,
    }
}
