//! What a dialogue says over HTTP: posts on a second connection, which is kept.

use super::config::Config;
use super::failure::Kind;
use super::fleet::{Client, State, Stream};
use super::flight::Flight;
use super::heads::refused;
use super::run::{Load, Message};
use super::scenario::{Leave, Post};
use super::template;
use crate::protocol::Fault;
use crate::protocol::http::{BodyReader, HeadReader, Request, Response, merged};
use crate::shard::{Close, ConnectionId, Unsent, Wire};
use std::collections::VecDeque;

/// Posts of one client that may wait: a dialogue that says more meanwhile is not listened to.
const WAITING_MAX: usize = 64;

/// The connection that carries a client's posts, as the client beside it.
///
/// One at a time: RFC 9112, 9.3.2 lets nobody send a request behind a POST that has no answer yet.
#[derive(Debug)]
pub(super) struct Courier {
    /// Whose posts they are.
    owner: ConnectionId,
    /// Posts that wait for the connection, or for the answer to the one before.
    waiting: VecDeque<Vec<u8>>,
    road: Road,
    head: HeadReader,
    /// The body of an answer, while it comes.
    body: Option<BodyReader>,
    /// The server ends the connection after this answer.
    is_last: bool,
}

/// What a courier's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Road {
    /// It is not there yet.
    Coming,
    /// A post can go.
    Free,
    /// A post has not been answered.
    Taken,
}

impl Load {
    /// Sends a client's posts, each when the one before has been answered.
    pub(super) fn post(
        &mut self,
        owner: ConnectionId,
        posts: &mut Vec<Post>,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(number) = self.fleet.get(owner).map(|client| client.number) else {
            return;
        };
        let config = &self.config;
        let requests = posts.drain(..).map(|post| request(config, number, &post));
        let requests: VecDeque<Vec<u8>> = requests.collect();
        self.send_off(owner, requests, wire);
    }

    /// Gives a client's requests to its courier.
    fn send_off(
        &mut self,
        owner: ConnectionId,
        requests: VecDeque<Vec<u8>>,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(id) = self.courier_of(owner, wire) else {
            return self.leave(owner, Leave::Failed(Kind::NoSlot), wire);
        };
        let Some(courier) = self.courier(id) else {
            return;
        };
        courier.waiting.extend(requests);
        if courier.waiting.len() > WAITING_MAX {
            let kind = Kind::Application("unread");
            return self.leave(owner, Leave::Failed(kind), wire);
        }
        self.send_next(id, wire);
    }

    /// A courier's connection is there.
    pub(super) fn courier_came(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(courier) = self.courier(id) {
            courier.road = Road::Free;
            self.send_next(id, wire);
        }
    }

    /// A courier brings answers.
    pub(super) fn courier_read(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        wire: &mut impl Wire<Message>,
    ) {
        let Some(courier) = self.courier(id) else {
            return;
        };
        let owner = courier.owner;
        let mut at = 0;
        let failed = loop {
            match courier.answer(bytes, &mut at) {
                Ok(None) => break None,
                Ok(Some(200..=299)) => {}
                Ok(Some(status)) => break Some(Kind::HttpStatus(status)),
                Err(fault) => break Some(refused(fault)),
            }
        };
        if let Some(kind) = failed {
            self.leave(owner, Leave::Failed(kind), wire);
            return self.dismiss(id, wire);
        }
        if courier.road == Road::Free && courier.is_last {
            let rest = std::mem::take(&mut courier.waiting);
            self.part_from(owner, id);
            self.dismiss(id, wire);
            if !rest.is_empty() {
                self.send_off(owner, rest, wire);
            }
            return;
        }
        self.send_next(id, wire);
    }

    /// A courier's connection is over, or never came.
    pub(super) fn courier_went(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(courier) = self.courier(id) else {
            return;
        };
        // An answer whose body lasts until the connection ends is an answer.
        let is_missed = courier.road != Road::Free && courier.body.is_none();
        let (owner, rest) = (courier.owner, std::mem::take(&mut courier.waiting));
        if !self.part_from(owner, id) {
            return;
        }
        if is_missed {
            let kind = Kind::Application("post_unanswered");
            self.leave(owner, Leave::Failed(kind), wire);
        } else if !rest.is_empty() {
            self.send_off(owner, rest, wire);
        }
    }

    /// Closes a courier's connection.
    pub(super) fn dismiss(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(client) = self.fleet.get(id)
            && client.state == State::Aside
        {
            client.state = State::Over;
            wire.close(id, Close::Flush);
        }
    }

    /// Sends the next post, if it may go.
    fn send_next(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(courier) = self.courier(id) else {
            return;
        };
        if courier.road != Road::Free {
            return;
        }
        let Some(request) = courier.waiting.pop_front() else {
            return;
        };
        courier.road = Road::Taken;
        let owner = courier.owner;
        if wire.send(id, &request) == Err(Unsent::Full) {
            self.leave(owner, Leave::Failed(Kind::Application("unread")), wire);
        }
    }

    /// A client has that courier no longer; whether it had.
    fn part_from(&mut self, owner: ConnectionId, id: ConnectionId) -> bool {
        if let Some(client) = self.fleet.get(owner)
            && let Flight::Dialogue(conversation) = &mut client.talk.flight
            && conversation.courier == Some(id)
        {
            conversation.courier = None;
            return true;
        }
        false
    }

    fn courier(&mut self, id: ConnectionId) -> Option<&mut Courier> {
        match &mut self.fleet.get(id)?.stream {
            Stream::Courier(courier) => Some(courier),
            Stream::Head(_) | Stream::WebSocket(_) | Stream::Sse(_) => None,
        }
    }

    /// The courier of a client, called if it has none.
    fn courier_of(
        &mut self,
        owner: ConnectionId,
        wire: &mut impl Wire<Message>,
    ) -> Option<ConnectionId> {
        let client = self.fleet.get(owner)?;
        let number = client.number;
        let Flight::Dialogue(conversation) = &mut client.talk.flight else {
            return None;
        };
        if let Some(id) = conversation.courier {
            return Some(id);
        }
        let (to, from) = self.config.endpoints(u64::from(number))?;
        let id = wire.connect(to, from).ok()?;
        conversation.courier = Some(id);
        let now = wire.now();
        let mut client = Client::new(number, 0, now, now);
        client.state = State::Aside;
        client.stream = Stream::Courier(Box::new(Courier {
            owner,
            waiting: VecDeque::new(),
            road: Road::Coming,
            head: HeadReader::of_responses(),
            body: None,
            is_last: false,
        }));
        self.fleet.insert(id, client);
        Some(id)
    }
}

impl Courier {
    /// The status of the next answer whose head is there; `None` when all bytes are used.
    fn answer(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<u16>, Fault> {
        if let Some(body) = &mut self.body {
            while body.next(bytes, at)?.is_some() {}
            if !body.is_done() {
                return Ok(None);
            }
            self.body = None;
            self.road = Road::Free;
        }
        let Some(head) = self.head.next(bytes, at)? else {
            return Ok(None);
        };
        let response = Response::parse(head)?;
        if (100..200).contains(&response.status) {
            // RFC 9110, 15.2: the real one follows.
            return Ok(Some(200));
        }
        self.is_last = !response.keep_alive;
        self.body = Some(BodyReader::new(response.body));
        Ok(Some(response.status))
    }
}

/// What a client posts, of the server that it is connected to.
fn request(config: &Config, number: u32, post: &Post) -> Vec<u8> {
    let (host, _) = config.page(u64::from(number));
    let length = post.body.len().to_string();
    let own = [
        ("Host", host),
        ("Content-Type", "text/plain; charset=utf-8"),
        // RFC 9110, 12.5.3: without it, any coding is welcome.
        ("Accept-Encoding", "identity"),
    ];
    let expanded = |value| template::expanded(value, config.seed, number);
    let given: Vec<_> = config
        .headers
        .iter()
        .map(|(name, value)| (name, expanded(value)))
        .collect();
    let given: Vec<(&str, &str)> = given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_ref()))
        .collect();
    let mut headers = merged(&own, &given);
    // How long the body is, is not the user's to say: it would cut the next request in two.
    let is_framing = |name: &str| {
        ["Content-Length", "Transfer-Encoding"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
    };
    headers.retain(|(name, _)| !is_framing(name));
    headers.push(("Content-Length", length.as_str()));
    let mut bytes = Vec::new();
    Request::encode(&mut bytes, "POST", &post.target, &headers);
    bytes.extend_from_slice(post.body.as_bytes());
    bytes
}
