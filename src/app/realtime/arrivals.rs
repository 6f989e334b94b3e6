//! Who may come: by path, token, API key, and in which session.

use super::{
    Admittance, Arrival, CABLE_SOCKET, CENTRIFUGO_SOCKET, CENTRIFUGO_STREAM, CHANNELS, Effects,
    FOREIGN_SESSION, HookedClients, HubLetter, Newcomer, RealtimeApp, Refusal,
    SOCKETCLUSTER_SOCKET, SOCKETIO_SOCKET, Seat, SessionEntry, TRIGGER, TopicRequest, User, query,
    read_connect,
};
use super::{CableEntry, SUBPROTOCOLS};
use crate::app::App as _;
use crate::protocol::cable::EXTENDED;

impl RealtimeApp {
    /// A connection of Socket.IO joins a namespace beside `/`, as a client of its own.
    pub fn joins(
        &mut self,
        user: User,
        of: User,
        effects: &mut impl Effects<Vec<HubLetter>>,
    ) -> Seat {
        self.newcomer = Newcomer::Io;
        self.tools.gatekeeper.certified_as(of);
        self.entry = SessionEntry::default();
        self.hooked
            .iter_mut()
            .for_each(HookedClients::arriving_again);
        self.came(user, effects)
    }

    /// Whether somebody may come.
    pub(super) fn admit(&mut self, arrival: &Arrival<'_>) -> Result<Admittance, Refusal> {
        let refuse = |reason| {
            let status = 400;
            Err(Refusal { status, reason })
        };
        self.newcomer = match arrival.path {
            CENTRIFUGO_SOCKET => Newcomer::Socket,
            SOCKETCLUSTER_SOCKET => Newcomer::Cluster,
            SOCKETIO_SOCKET => Newcomer::Io,
            CABLE_SOCKET => Newcomer::Cable(cable(arrival)),
            CENTRIFUGO_STREAM => {
                let wish = query::values(arrival.query, "cf_connect").next();
                let wish = wish.map_or_else(|| "{}".to_owned(), |wish| wish.into_owned());
                if read_connect(wish.as_bytes()).is_err() {
                    return refuse("cf_connect is a JSON object: {\"subs\":{\"news\":{}}}");
                }
                Newcomer::Listener(wish)
            }
            CHANNELS => {
                let last = (arrival.header)("Last-Event-ID").unwrap_or("");
                let asked = query::values(arrival.query, "lastEventId").next();
                let last = match (last, &asked) {
                    ("", Some(asked)) => asked,
                    (last, _) => last,
                };
                let token = token(arrival);
                if !self.asks_later() {
                    self.let_in(&token)?;
                }
                match TopicRequest::parse(arrival.query, last) {
                    Ok(request) => Newcomer::Stream(request, token),
                    Err(reason) => return refuse(reason),
                }
            }
            TRIGGER => {
                self.may_trigger(arrival)?;
                return Ok(Admittance::default());
            }
            _ => {
                self.api.admit(arrival)?;
                return Ok(Admittance::default());
            }
        };
        if let Some(hooked) = &mut self.hooked {
            hooked.arriving(arrival);
        }
        let cookies = self.cookies.as_mut();
        self.entry = cookies.map_or_else(SessionEntry::default, |it| it.enter(arrival));
        if self.entry.is_foreign {
            self.plan.complaints.count(FOREIGN_SESSION);
        }
        Ok(Admittance {
            permit: 0,
            cookie: self.entry.cookie.take(),
        })
    }
}

/// What a client of `ActionCable` says before it is welcome: its subprotocol is the first that it
/// asks for and the server has (`protocol::websocket`); its token is where `AnyCable` looks for it.
fn cable(arrival: &Arrival<'_>) -> CableEntry {
    let asked = (arrival.header)("Sec-WebSocket-Protocol").unwrap_or_default();
    let asked = || asked.split(',').map(str::trim);
    let agreed = asked().find(|name| SUBPROTOCOLS.contains(name));
    let named = asked().find_map(|name| name.strip_prefix("anycable-token."));
    let jid = query::values(arrival.query, "jid").next();
    let field = (arrival.header)("X-JID");
    let token = match (jid, field.or(named)) {
        (Some(jid), _) => jid.into_owned(),
        (None, Some(shown)) => shown.to_owned(),
        (None, None) => token(arrival),
    };
    CableEntry {
        is_extended: agreed == Some(EXTENDED),
        token,
    }
}

/// The token that an event stream shows: browsers can add no field to it.
fn token(arrival: &Arrival<'_>) -> String {
    let field = (arrival.header)("Authorization").and_then(|value| value.split_once(' '));
    let bearer = field.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let asked = query::values(arrival.query, "token").next();
    match bearer {
        Some((_, token)) => token.trim().to_owned(),
        None => asked.map(|asked| asked.into_owned()).unwrap_or_default(),
    }
}
