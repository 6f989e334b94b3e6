//! The HTTP API of Centrifugo's servers, `POST /api/METHOD`, for the application's own server, and
//! `POST /publish` for those who only publish.
//!
//! Each call is one or several questions to the hub; it is answered once all of them are.

mod gather;
mod request;

use super::CALLER;
use super::desk::Desk;
use crate::app::hub::Hub;
use crate::app::hub::answer::{Asker, HubAnswer, HubError};
use crate::app::hub::broker::Broker;
use crate::app::hub::history::Excerpt;
use crate::app::hub::letter::{ChannelQuestion, ClientAction, ClientOrder, HubLetter};
use crate::app::hub::publication::{ClientId, Publication};
use crate::app::tokens::{RevokedRecord, TooManyRevoked};
use crate::app::{ApiCall, ApiResponse, Arrival, Effects, Refusal, User};
use crate::protocol::centrifugo::{CloseAdvice, ErrorCode};
use crate::protocol::json;
use gather::{Gathers, Shape};
use request::{ApiRequest, Channel, Clients, PublishOrder, SessionQuestion, session_id};
use serde_json::value::RawValue;

/// Who may call, and what has not been answered.
#[derive(Debug)]
pub struct Api {
    /// What a caller shows; without one nobody may.
    key: Option<Box<str>>,
    gathers: Gathers,
    cores: u16,
    /// Tokens that were taken back, for the store.
    revoked: Vec<RevokedRecord>,
}

/// The methods, as paths.
pub const METHODS: [&str; 20] = [
    "/api/publish",
    "/api/broadcast",
    "/api/subscribe",
    "/api/unsubscribe",
    "/api/disconnect",
    "/api/refresh",
    "/api/presence",
    "/api/presence_stats",
    "/api/history",
    "/api/history_remove",
    "/api/channels",
    "/api/info",
    "/api/batch",
    "/api/sessions/get",
    "/api/sessions/set",
    "/api/sessions/clients",
    "/api/sessions/emit",
    "/api/tokens/revoke",
    PUBLISH,
    BROADCAST,
];

/// Where those publish who know no Centrifugo.
pub const PUBLISH: &str = "/publish";

/// Where those publish who know `AnyCable`.
pub const BROADCAST: &str = "/_broadcast";

/// What whoever calls without the key is told.
pub const NEEDS_API_KEY: &str = "this needs the API key, in X-API-Key";

impl Api {
    /// Who shows that key may call.
    #[must_use]
    pub fn new(key: Option<Box<str>>, cores: u16) -> Self {
        let gathers = Gathers::default();
        Self {
            key,
            gathers,
            cores,
            revoked: Vec::new(),
        }
    }

    /// Who shows that key may call from now on.
    pub fn expect(&mut self, key: Option<Box<str>>) {
        self.key = key;
    }

    /// Tokens that were taken back since the last time.
    pub fn take_revoked(&mut self) -> Vec<RevokedRecord> {
        std::mem::take(&mut self.revoked)
    }

    /// Whether somebody may call.
    ///
    /// # Errors
    /// [`Refusal`] with 401.
    pub fn admit(&self, arrival: &Arrival<'_>) -> Result<(), Refusal> {
        let bearer = (arrival.header)("Authorization");
        let bearer = bearer.and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            let is_known = ["apikey", "bearer"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known));
            is_known.then_some(key.trim())
        });
        let shown = (arrival.header)("X-API-Key").or(bearer);
        match (&self.key, shown) {
            (Some(key), Some(shown)) if is_same(key, shown) => Ok(()),
            _ => Err(Refusal {
                status: 401,
                reason: NEEDS_API_KEY,
            }),
        }
    }

    /// Somebody calls.
    pub fn called<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        asker: User,
        call: ApiCall<'_>,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let requests = match call.path.strip_prefix("/api/") {
            Some("batch") => request::batch(call.text).map(|all| (all, Shape::Batch)),
            Some("broadcast") => request::broadcast(call.text).map(|all| (all, Shape::Broadcast)),
            Some(method) => request::one(method, call.text).map(|it| (vec![it], Shape::One)),
            None if call.path == BROADCAST => {
                request::cable_broadcasts(call.text).map(|all| (all, Shape::Created))
            }
            None => request::publications(call.text).map(|all| (all, Shape::Publish)),
        };
        let Ok((requests, shape)) = requests else {
            let json = gather::failed(ErrorCode::BAD_REQUEST);
            let response = ApiResponse::json(400, json);
            return desk.effects().respond(asker, response);
        };
        let first = self.gathers.begin(asker, shape, &requests);
        for (ticket, request) in (first..).zip(requests) {
            self.carry_out(ticket, request, hub, desk);
        }
        self.finish(desk);
    }

    /// The hub has answered.
    pub fn answered<E: Effects<Vec<HubLetter>>>(
        &mut self,
        ticket: u32,
        answer: HubAnswer,
        desk: &mut Desk<'_, E>,
    ) {
        self.gathers.answered(ticket, answer);
        self.finish(desk);
    }

    fn finish<E: Effects<Vec<HubLetter>>>(&mut self, desk: &mut Desk<'_, E>) {
        while let Some((asker, status, json)) = self.gathers.next() {
            desk.effects()
                .respond(asker, ApiResponse::json(status, json));
        }
    }

    fn carry_out<B: Broker, E: Effects<Vec<HubLetter>>>(
        &mut self,
        ticket: u32,
        request: ApiRequest,
        hub: &mut Hub<B>,
        desk: &mut Desk<'_, E>,
    ) {
        let asker = Asker {
            user: User(u64::MAX),
            encoding: CALLER,
            ticket,
        };
        let (channel, question) = match request {
            ApiRequest::Publish(order) => {
                let said = match publication(&order) {
                    Ok(publication) if order.skip_history => ChannelQuestion::Tell(publication),
                    Ok(publication) => ChannelQuestion::Publish(publication),
                    Err(error) => return self.gathers.refused(ticket, error),
                };
                (order.channel, said)
            }
            ApiRequest::Presence(Channel { channel }) => (channel, ChannelQuestion::Presence),
            ApiRequest::PresenceStats(Channel { channel }) => (channel, ChannelQuestion::Headcount),
            ApiRequest::History(channel, excerpt) => (channel, ChannelQuestion::History(excerpt)),
            ApiRequest::HistoryRemove(Channel { channel }) => {
                (channel, ChannelQuestion::ClearHistory)
            }
            ApiRequest::Clients(clients, want) => {
                let Ok(order) = order(clients, want) else {
                    return self.gathers.refused(ticket, ErrorCode::BAD_REQUEST);
                };
                self.gathers.wait_for(ticket, self.cores);
                return hub.order(asker, order, desk);
            }
            ApiRequest::Session(session, question) => {
                let question = match question {
                    SessionQuestion::Get => ChannelQuestion::History(HELD),
                    SessionQuestion::Set(members) => ChannelQuestion::Merge(members),
                    SessionQuestion::Clients => ChannelQuestion::Presence,
                };
                return hub.ask_session(asker, session, question, desk);
            }
            ApiRequest::Revoke(token) => {
                let now = desk.effects().now();
                return match desk.holders().revoke(&token, now) {
                    Err(TooManyRevoked) => {
                        self.gathers.refused(ticket, ErrorCode::LIMIT_EXCEEDED);
                    }
                    Ok(records) => {
                        self.revoked.extend(records);
                        self.gathers.done(ticket);
                    }
                };
            }
            ApiRequest::Unknown => {
                return self.gathers.refused(ticket, ErrorCode::METHOD_NOT_FOUND);
            }
        };
        hub.ask(asker, &channel, question, desk);
    }
}

/// All that a session holds.
const HELD: Excerpt = Excerpt {
    since: None,
    limit: 1,
    reverse: true,
};

fn publication(order: &PublishOrder) -> Result<Publication, ErrorCode> {
    let tags = order.tags.as_ref().filter(|tags| !tags.is_empty());
    let tags = tags.and_then(|tags| serde_json::to_string(tags).ok());
    let data = order.data.as_deref().map(RawValue::get);
    Ok(Publication {
        offset: 0,
        data: json::one_line(data.ok_or(ErrorCode::BAD_REQUEST)?)
            .as_ref()
            .into(),
        by: None,
        tags: tags.map(Into::into),
        spares_author: false,
    })
}

/// Which clients are meant: without a user and a client, those of no user in particular.
fn order(clients: Clients, what: ClientAction) -> Result<ClientOrder, HubError> {
    let named = |text: &str| match text {
        "" => Ok(None),
        text => ClientId::parse(text).map(Some).ok_or(HubError::BadRequest),
    };
    let session = match clients.session.as_str() {
        "" => None,
        text => Some(session_id(text).ok_or(HubError::BadRequest)?),
    };
    let (client, except) = (named(&clients.client)?, named(&clients.except)?);
    let is_named = client.is_some() || session.is_some() || clients.all;
    let everyone = matches!(what, ClientAction::Channels(_) | ClientAction::Count) || is_named;
    let user = Some(clients.user.into_boxed_str());
    Ok(ClientOrder {
        user: user.filter(|user| !(everyone && user.is_empty())),
        client,
        session,
        except,
        what,
    })
}

/// The advice that goes with an order to disconnect.
fn advice(code: Option<u16>) -> u16 {
    code.unwrap_or(CloseAdvice::FORCE_NO_RECONNECT.code)
}

/// Whether two keys are the same, in a time that tells nothing of where they differ.
fn is_same(key: &str, shown: &str) -> bool {
    let pairs = key.bytes().zip(shown.bytes());
    let differ = pairs.fold(0, |differ, (a, b)| differ | (a ^ b));
    key.len() == shown.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_the_key_may_call() {
        let api = Api::new(Some("secret".into()), 1);
        let shows = |api: &Api, name: &str, value: &'static str| {
            let header = |field: &str| (field == name).then_some(value);
            let (path, query) = ("/api/info", "");
            let header = &header;
            api.admit(&Arrival {
                share: None,
                path,
                query,
                header,
                purpose: crate::app::ArrivalPurpose::Call,
            })
            .is_ok()
        };
        assert!(shows(&api, "X-API-Key", "secret"));
        assert!(shows(&api, "Authorization", "apikey secret"));
        assert!(shows(&api, "Authorization", "Bearer secret"));
        for value in ["", "secre", "secrets", "Secret"] {
            assert!(!shows(&api, "X-API-Key", value), "{value}");
        }
        assert!(!shows(&api, "Authorization", "Basic secret"));
        assert!(!shows(&Api::new(None, 1), "X-API-Key", ""), "nobody may");
    }
}
