//! Socket.IO 5 over the hub: `/socket.io/`.
//!
//! A connection is nothing until it has joined the namespace `/`, perhaps with a token. Rooms are
//! channels. What no client of npm's `socket.io-client` says closes the connection, as at npm's
//! `socket.io`.

mod events;
mod returning;

use super::by_seat::BySeat;
use super::centrifugo::ClientRules;
use super::desk::Desk;
use super::holders::OverdueToken;
use super::{SOCKETIO, views};
use crate::app::hub::Hub;
use crate::app::hub::answer::EncodingId;
use crate::app::hub::broker::Broker;
use crate::app::hub::letter::HubLetter;
use crate::app::rules::Ruling;
use crate::app::tokens::TokenFault;
use crate::app::{Effects, Kind, Message, Seat, User};
use crate::limits;
use crate::protocol::centrifugo::{CloseAdvice, ErrorCode};
use crate::protocol::socketio::{self as codec, ClientSays, IoEvent, OpenSession, Said};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// The clients of one core that speak it.
#[derive(Debug)]
pub struct IoClients {
    rules: ClientRules,
    all: BySeat<IoClient>,
    /// When a part of them is looked at.
    look_at: Option<Instant>,
    part: usize,
    /// Packets whose binary messages have not all come.
    pending: BTreeMap<User, PendingPacket>,
    /// Who is pinged: scratch space.
    users: Vec<User>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct IoClient {
    user: User,
    /// Since when it is in no namespace, or when it was pinged last.
    since: Instant,
    stage: IoStage,
    /// It was sent a ping since, and has not answered.
    is_pinged: bool,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IoStage {
    /// It is not in the namespace.
    Outside,
    /// It is.
    Inside,
}

/// A packet whose binary messages have not all come.
#[derive(Debug)]
struct PendingPacket {
    text: String,
    attachments: Vec<Vec<u8>>,
    missing: u32,
    bytes: usize,
}

/// The connection is closed, as by npm's `socket.io` where a client says that.
struct Closed;

/// How many parts all clients are divided into: one is looked at at a time, each once a second.
const PARTS: usize = 10;
/// Time between two looks.
const LOOK_TIME: Duration = Duration::from_millis(1000 / PARTS as u64);

/// How a client is closed that says what none says.
const CLOSED: CloseAdvice = CloseAdvice {
    code: codec::CLOSE_NORMAL,
    reason: "",
};

impl IoClients {
    /// No client yet.
    #[must_use]
    pub const fn new(rules: ClientRules) -> Self {
        Self {
            rules,
            all: BySeat::new(),
            look_at: None,
            part: 0,
            pending: BTreeMap::new(),
            users: Vec::new(),
        }
    }

    /// A client has come: it is told its session.
    pub fn came<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        let (since, stage) = (now, IoStage::Outside);
        let client = IoClient {
            user,
            since,
            stage,
            is_pinged: false,
        };
        self.all.insert(seat, client);
        self.look_at.get_or_insert(now + LOOK_TIME);
        // Who polls may move to a WebSocket, by a name that nobody else knows.
        let secret = desk.effects().session_of(user);
        let public = hub.id(seat).unwrap_or_default();
        let (sid, upgrades): (&dyn Display, _) = match &secret {
            Some(sid) => (sid, "[\"websocket\"]"),
            None => (&public, "[]"),
        };
        let session = OpenSession {
            sid,
            upgrades,
            ping_interval_ms: limits::IO_PING_TIME.as_millis(),
            ping_timeout_ms: limits::IO_PONG_TIME.as_millis(),
            payload_bytes: limits::IO_PAYLOAD_BYTES,
        };
        desk.say(user, |into| codec::open(into, session));
    }

    /// A client is gone, if it was one of these.
    pub fn left<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if self.all.remove(seat).is_some() {
            self.pending.remove(&user);
            self.lose((user, seat), hub, desk);
        }
        if self.all.is_empty() && desk.recovery().is_none_or(|it| it.is_empty()) {
            self.look_at = None;
        }
    }

    /// Whether a client is one of these.
    #[must_use]
    pub fn has(&self, seat: Seat) -> bool {
        self.all.get(seat).is_some()
    }

    /// A client says something.
    pub fn said<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        message: Message<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if let Some(known) = self.all.get_mut(client.1) {
            known.is_pinged = false;
        }
        let heard = match message.kind {
            _ if message.bytes.len() > limits::IO_PAYLOAD_BYTES => Err(Closed),
            Kind::Text => self.hears(client, message.bytes, hub, desk),
            Kind::Binary => self.attach(client, message.bytes, hub, desk),
        };
        if matches!(heard, Err(Closed)) {
            desk.complain(CloseAdvice::BAD_REQUEST.code);
            desk.dismiss(client.0, CLOSED);
        }
    }

    /// When it wants to be told the time.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// The time has come, perhaps: pings who is to be pinged of a part of all clients, and ends who
    /// does not answer or joins nothing.
    pub fn expired<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        now: Instant,
        hub: &Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let remembers = desk.recovery().is_some_and(|recovery| {
            recovery.expired(now, |room| hub.is_open(room));
            !recovery.is_empty()
        });
        self.look_at = (!self.all.is_empty() || remembers).then_some(now + LOOK_TIME);
        self.users.clear();
        for client in self.all.part(self.part, PARTS) {
            let waited = now.since(client.since);
            let is_inside =
                client.stage == IoStage::Inside || desk.effects().is_elsewhere(client.user);
            if client.is_pinged {
                if waited >= limits::IO_PONG_TIME {
                    desk.dismiss(client.user, CLOSED);
                }
            } else if is_inside && waited >= limits::IO_PING_TIME {
                (client.since, client.is_pinged) = (now, true);
                self.users.push(client.user);
            } else if !is_inside && waited >= limits::IO_CONNECT_TIME {
                desk.complain(CloseAdvice::STALE.code);
                desk.dismiss(client.user, CLOSED);
            }
        }
        self.part = (self.part + 1) % PARTS;
        desk.say_all(&self.users, codec::PING);
    }

    fn hears<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        text: &[u8],
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), Closed> {
        self.look_at_token(client, hub, desk);
        match codec::read_client(text).map_err(|_| Closed)? {
            // Who ends its session closes its connection next.
            ClientSays::Close | ClientSays::Pong | ClientSays::Nothing => {}
            // The binary messages of the one before are missing.
            ClientSays::Message(_) if self.pending.contains_key(&client.0) => return Err(Closed),
            ClientSays::Message(said) if said.attachments > 0 => {
                let text = str::from_utf8(text).unwrap_or_default();
                let pending = PendingPacket {
                    text: text.to_owned(),
                    attachments: Vec::new(),
                    missing: said.attachments,
                    bytes: text.len(),
                };
                self.pending.insert(client.0, pending);
            }
            ClientSays::Message(said) => self.packet(client, (said, &[]), hub, desk)?,
        }
        Ok(())
    }

    /// A binary message: it belongs to a packet before it.
    fn attach<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        bytes: &[u8],
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), Closed> {
        let pending = self.pending.get_mut(&client.0).ok_or(Closed)?;
        pending.bytes += bytes.len();
        if pending.bytes > limits::IO_PAYLOAD_BYTES {
            return Err(Closed);
        }
        pending.attachments.push(bytes.to_vec());
        pending.missing -= 1;
        if pending.missing > 0 {
            return Ok(());
        }
        let whole = self.pending.remove(&client.0).ok_or(Closed)?;
        let read = codec::read_client(whole.text.as_bytes());
        match read.map_err(|_| Closed)? {
            ClientSays::Message(said) => self.packet(client, (said, &whole.attachments), hub, desk),
            ClientSays::Close | ClientSays::Pong | ClientSays::Nothing => Ok(()),
        }
    }

    /// Carries out a packet.
    fn packet<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        client: (User, Seat),
        (said, attachments): (Said<'_>, &[Vec<u8>]),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), Closed> {
        let (user, seat) = client;
        let known = self.all.get(seat);
        let known = known.filter(|known| known.stage == IoStage::Inside);
        let is_inside = known.is_some();
        // In the same turn: before it can have been told so.
        let now = desk.effects().now();
        let has_just_joined = known.is_some_and(|known| known.since == now);
        let is_returning = desk.recovery().is_some_and(|it| it.is_returning(user));
        match said.kind {
            codec::Kind::Connect if said.namespace != "/" => {
                let why = "Invalid namespace";
                desk.say(user, |into| codec::connect_error(into, said.namespace, why));
                Ok(())
            }
            codec::Kind::Connect if !is_inside && !is_returning => {
                self.connect(client, said, hub, desk)
            }
            // Whoever does not wait for the answer gets another (`Client.connect`).
            codec::Kind::Connect if has_just_joined => {
                self.welcome(client, hub, desk);
                Ok(())
            }
            // It is in it, or is not in it, or it is another: `Client.ondecoded`.
            codec::Kind::Connect | codec::Kind::ConnectError => Err(Closed),
            _ if !is_inside || said.namespace != "/" => Err(Closed),
            codec::Kind::Disconnect => {
                for channel in hub.channels_of(seat) {
                    hub.unsubscribe(seat, &channel, desk);
                }
                hub.recode(seat, EncodingId::NOT_YET);
                self.set(seat, IoStage::Outside, desk.effects().now());
                desk.recovery().into_iter().for_each(|it| it.leaves(user));
                Ok(())
            }
            codec::Kind::Event => {
                let event = IoEvent::read(said.data).map_err(|_| Closed)?;
                if let Err(error) = self.event(client, (said, &event, attachments), hub, desk) {
                    desk.io_acknowledge(user, said.id, Some(error));
                }
                Ok(())
            }
            // Nobody here has asked for one.
            codec::Kind::Ack => Ok(()),
        }
    }

    /// A client joins the namespace, or is told why it does not.
    fn connect<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        (user, seat): (User, Seat),
        said: Said<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), Closed> {
        let auth = codec::auth(said.data).map_err(|_| Closed)?;
        match self.admit((user, seat), &auth.token, hub, desk) {
            Ok(()) => self.joins((user, seat), &auth, hub, desk),
            Err(error) => {
                desk.complain(error.code);
                desk.say(user, |into| codec::connect_error(into, "/", error.message));
            }
        }
        Ok(())
    }

    fn admit<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (user, seat): (User, Seat),
        token: &str,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) -> Result<(), ErrorCode> {
        let now = desk.effects().now();
        let shown = match token {
            "" => None,
            token => Some(desk.holders().admit(seat, token, now)),
        };
        let claims = shown.transpose().map_err(|fault| match fault {
            TokenFault::Invalid => ErrorCode::UNAUTHORIZED,
            TokenFault::Expired => ErrorCode::TOKEN_EXPIRED,
        })?;
        if let Some(claims) = &claims {
            desk.gatekeeper().identify(user, claims);
        }
        let may = match desk.gatekeeper().handshake(user) {
            Ruling::Refuse(refusal) => return Err(views::refusal(refusal)),
            Ruling::Allow => true,
            Ruling::Pass => self.rules.anonymous || claims.is_some(),
        };
        if let Some(claims) = claims.filter(|_| may) {
            hub.identify(seat, &claims.user, &claims.info);
            desk.effects().known_as(user, &claims.user);
        }
        may.then_some(()).ok_or(ErrorCode::PERMISSION_DENIED)
    }

    /// Looks whether the time of a client's token is over.
    fn look_at_token<B: Broker, E: Effects<Vec<HubLetter>>>(
        &self,
        (user, seat): (User, Seat),
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let now = desk.effects().now();
        match desk.holders().overdue(seat, now) {
            None => {}
            Some(OverdueToken::Client) => {
                desk.complain(ErrorCode::TOKEN_EXPIRED.code);
                desk.io_disconnect(user);
            }
            Some(OverdueToken::Channels(ended)) => {
                for channel in ended {
                    hub.unsubscribe(seat, &channel, desk);
                }
            }
        }
    }

    fn set(&mut self, seat: Seat, stage: IoStage, since: Instant) {
        if let Some(known) = self.all.get_mut(seat) {
            (known.stage, known.since) = (stage, since);
        }
    }
}
