//! What the application behind the server is asked before a client is heard: by each dialect, what
//! a message asks for. What a token answers is not asked.

use super::channels::TopicRequest;
use super::holders::TokenHolders;
use crate::app::backend::{HookKind, HookQuestion};
use crate::app::tokens::TokenClaims;
use crate::app::{Kind, Message};
use crate::protocol::centrifugo::{self, CommandKind, ConnectRequest};
use crate::protocol::socketcluster::{self, ClientPacket, ClusterHandshake, Subscription};
use crate::protocol::socketio::{self, ClientSays, IoEvent, Said};
use serde_json::value::RawValue;
use std::sync::Arc;

/// What is asked first.
#[derive(Debug, Default)]
pub struct AskedFirst {
    /// The questions, in the order of what they are about.
    pub questions: Vec<HookQuestion>,
    /// The token of who connects.
    pub claims: Option<Arc<TokenClaims>>,
}

/// What a message of a Centrifugo client asks for.
pub fn of_centrifugo(message: Message<'_>, holders: &mut TokenHolders) -> AskedFirst {
    let mut asked = AskedFirst::default();
    // What is no command ends the client, once it comes to that.
    let _ = centrifugo::read_commands(message.bytes, |command| {
        match command.kind {
            CommandKind::Connect(request) => asked.connects(&request, holders),
            CommandKind::Subscribe(request) if request.token.is_empty() => {
                asked.ask(HookKind::Subscribe, &request.channel, None);
            }
            CommandKind::Publish(request) => {
                let data = request.data.map(RawValue::get);
                asked.ask(HookKind::Publish, &request.channel, data);
            }
            CommandKind::Rpc(request) => {
                let data = request.data.map_or("null", RawValue::get);
                asked.ask(HookKind::Call, &request.method, Some(data));
            }
            CommandKind::Subscribe(_)
            | CommandKind::Pong
            | CommandKind::Ping
            | CommandKind::Send
            | CommandKind::Unknown
            | CommandKind::Unsubscribe(_)
            | CommandKind::Presence(_)
            | CommandKind::PresenceStats(_)
            | CommandKind::History(_)
            | CommandKind::Refresh(_)
            | CommandKind::SubRefresh(_) => {}
        }
        true
    });
    asked
}

/// What an event stream of Centrifugo's kind asks for.
pub fn of_listener(request: &ConnectRequest<'_>, holders: &mut TokenHolders) -> AskedFirst {
    let mut asked = AskedFirst::default();
    asked.connects(request, holders);
    let claims = asked.claims.clone();
    let named = claims.as_ref().map_or(&[][..], |claims| &claims.channels);
    for channel in request.subs.keys() {
        if !named.iter().any(|name| **name == **channel) {
            asked.ask(HookKind::Subscribe, channel, None);
        }
    }
    asked
}

/// What an event stream of channels asks for.
pub fn of_topics(request: &TopicRequest, token: &str, holders: &mut TokenHolders) -> AskedFirst {
    let mut asked = AskedFirst::default();
    if !asked.shows(token, holders) {
        return asked;
    }
    asked.ask(HookKind::Connect, "", None);
    let claims = asked.claims.clone();
    for (channel, _) in &request.topics {
        if !claims.as_ref().is_some_and(|claims| claims.takes(channel)) {
            asked.ask(HookKind::Subscribe, channel, None);
        }
    }
    asked
}

/// What a message of a `SocketCluster` client asks for.
pub fn of_cluster(message: Message<'_>, holders: &mut TokenHolders) -> AskedFirst {
    let mut asked = AskedFirst::default();
    // What is no packet is passed over, once it comes to that.
    let _ = socketcluster::read_packets(message.bytes, |packet| {
        asked.packet(&packet, holders);
        true
    });
    asked
}

/// What a client of `ActionCable` asks for that comes with that token.
pub fn of_cable(token: &str, holders: &mut TokenHolders) -> AskedFirst {
    let mut asked = AskedFirst::default();
    // A bad token ends the client.
    if asked.shows(token, holders) {
        asked.ask(HookKind::Connect, "", None);
    }
    asked
}

/// What a message of a Socket.IO client asks for. Events with binary arguments are for nobody.
pub fn of_io(
    message: Message<'_>,
    namespace: Option<&str>,
    holders: &mut TokenHolders,
) -> AskedFirst {
    let mut asked = AskedFirst::default();
    if message.kind == Kind::Text
        && let Ok(ClientSays::Message(said)) = socketio::read_client(message.bytes)
    {
        asked.says(said, namespace, holders);
    }
    asked
}

impl AskedFirst {
    fn says(&mut self, said: Said<'_>, namespace: Option<&str>, holders: &mut TokenHolders) {
        if said.namespace != "/" || said.attachments > 0 {
            return;
        }
        if said.kind == socketio::Kind::Connect
            && let Ok(auth) = socketio::auth(said.data)
            && self.shows(&auth.token, holders)
        {
            self.ask(HookKind::Connect, "", None);
        }
        if said.kind != socketio::Kind::Event {
            return;
        }
        let Ok(event) = IoEvent::read(said.data) else {
            return;
        };
        let room = socketio::namespace::room(namespace, &event);
        match (&*event.name, room, said.id) {
            ("join", Some(room), _) => self.ask(HookKind::Subscribe, &room, None),
            ("say", Some(room), _) => {
                let data = event.json(1).unwrap_or("null");
                self.ask(HookKind::Publish, &room, Some(data));
            }
            ("join" | "say" | "leave", _, _) => {}
            (name, _, Some(_)) => {
                let data = event.json(0).unwrap_or("null");
                self.ask(HookKind::Call, name, Some(data));
            }
            (_, _, None) => {}
        }
    }

    /// One more question.
    pub(super) fn ask(&mut self, kind: HookKind, about: &str, data: Option<&str>) {
        self.questions.push(HookQuestion::new(kind, about, data));
    }

    /// Whether a token, if one is shown, is good.
    fn shows(&mut self, token: &str, holders: &mut TokenHolders) -> bool {
        if token.is_empty() {
            return true;
        }
        self.claims = holders.signed(token).ok();
        self.claims.is_some()
    }

    fn connects(&mut self, request: &ConnectRequest<'_>, holders: &mut TokenHolders) {
        // A bad token ends the client.
        if self.shows(&request.token, holders) {
            self.ask(HookKind::Connect, "", request.data.map(RawValue::get));
        }
    }

    fn packet(&mut self, packet: &ClientPacket<'_>, holders: &mut TokenHolders) {
        let data = packet.data.map_or("null", RawValue::get);
        let said = || Subscription::read(packet.data).ok();
        match (packet.event.as_deref(), packet.call) {
            (Some("#handshake"), Some(_)) => {
                if let Some(token) = ClusterHandshake::read(packet.data).token() {
                    // A bad one is none.
                    self.shows(&token, holders);
                }
                self.ask(HookKind::Connect, "", None);
            }
            (Some("#publish"), _) => {
                if let Some(said) = said() {
                    let data = said.data.map_or("null", RawValue::get);
                    self.ask(HookKind::Publish, &said.channel, Some(data));
                }
            }
            (Some("#subscribe"), Some(_)) => {
                if let Some(said) = said().filter(|said| said.token().is_none()) {
                    self.ask(HookKind::Subscribe, &said.channel, None);
                }
            }
            (Some(event), Some(_)) if !event.starts_with('#') => {
                self.ask(HookKind::Call, event, Some(data));
            }
            (_, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tokens::{TokenBook, TokenKeys};
    use crate::time::WallClock;

    fn holders() -> TokenHolders {
        let book = TokenBook::new(Arc::new(TokenKeys::default()), WallClock::default());
        TokenHolders::new(book)
    }

    fn text(text: &str) -> Message<'_> {
        Message {
            kind: Kind::Text,
            bytes: text.as_bytes(),
        }
    }

    fn shown(asked: &AskedFirst) -> Vec<(&str, &str, &str)> {
        let all = asked.questions.iter();
        all.map(|it| (it.kind.word(), &*it.about, &*it.data))
            .collect()
    }

    #[test]
    fn commands_of_a_message_are_asked_about_in_order_and_those_with_tokens_are_not() {
        let said = [
            r#"{"id":1,"connect":{"data":{"a":1}}}"#,
            r#"{"id":2,"subscribe":{"channel":"a"}}"#,
            r#"{"id":3,"subscribe":{"channel":"b","token":"t"}}"#,
            r#"{"id":4,"publish":{"channel":"a","data":[1]}}"#,
            r#"{"id":5,"rpc":{"method":"m"}}"#,
            r#"{"id":6,"history":{"channel":"a"}}"#,
        ]
        .join("\n");
        let asked = of_centrifugo(text(&said), &mut holders());
        assert_eq!(
            shown(&asked),
            [
                ("connect", "", r#"{"a":1}"#),
                ("subscribe", "a", ""),
                ("publish", "a", "[1]"),
                ("call", "m", "null"),
            ]
        );
        let bad = of_centrifugo(text(r#"{"id":1,"connect":{"token":"x"}}"#), &mut holders());
        assert_eq!(shown(&bad), []);
    }

    #[test]
    fn packets_of_a_batch_are_asked_about_in_order() {
        let said = r##"[{"event":"#handshake","cid":1,"data":{"authToken":"bad"}},
            {"event":"#subscribe","cid":2,"data":{"channel":"a"}},
            {"event":"#publish","data":{"channel":"a","data":"x"}},
            {"event":"sum","cid":3,"data":{"a":1}},
            {"event":"tell","data":{"a":1}},
            {"event":"#unsubscribe","cid":4,"data":"a"}]"##;
        let asked = of_cluster(text(said), &mut holders());
        assert_eq!(
            shown(&asked),
            [
                ("connect", "", ""),
                ("subscribe", "a", ""),
                ("publish", "a", "\"x\""),
                ("call", "sum", r#"{"a":1}"#),
            ]
        );
    }
}
