//! What a dialogue says over HTTP: posts on a second connection, which is kept.

use super::config::Config;
use super::failure::Kind;
use super::fleet::{Client, State, Stream};
use super::flight::Flight;
use super::run::{Load, Message};
use super::scenario::{Leave, Post};
use crate::protocol::Fault;
use crate::protocol::http::{BodyReader, HeadReader, Request, Response};
use crate::shard::{Close, ConnectionId, Unsent, Wire};

/// The connection that carries a client's posts, as the client beside it.
#[derive(Debug)]
pub(super) struct Courier {
    /// Whose posts they are.
    owner: ConnectionId,
    /// Posts that wait for the connection; `None` once it is there.
    waiting: Option<Vec<u8>>,
    /// Posts without an answer.
    unanswered: u32,
    head: HeadReader,
    /// The body of an answer, while it comes.
    body: Option<BodyReader>,
}

impl Load {
    /// Sends a client's posts.
    pub(super) fn post(
        &mut self,
        owner: ConnectionId,
        posts: &mut Vec<Post>,
        wire: &mut impl Wire<Message>,
    ) {
        let mut bytes = Vec::new();
        let mut count = 0;
        for post in posts.drain(..) {
            encode(&mut bytes, &self.config, &post);
            count += 1;
        }
        let Some(id) = self.courier_of(owner, wire) else {
            return self.leave(owner, Leave::Failed(Kind::NoSlot), wire);
        };
        let Some(Client {
            stream: Stream::Courier(courier),
            ..
        }) = self.fleet.get(id)
        else {
            return;
        };
        courier.unanswered += count;
        match &mut courier.waiting {
            Some(waiting) => waiting.extend_from_slice(&bytes),
            None => {
                if wire.send(id, &bytes) == Err(Unsent::Full) {
                    let kind = Kind::Application("unread");
                    self.leave(owner, Leave::Failed(kind), wire);
                }
            }
        }
    }

    /// A courier's connection is there.
    pub(super) fn courier_came(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(client) = self.fleet.get(id)
            && let Stream::Courier(courier) = &mut client.stream
            && let Some(waiting) = courier.waiting.take()
        {
            // The first posts of one client are far below what may wait.
            let _ = wire.send(id, &waiting);
        }
    }

    /// A courier brings answers.
    pub(super) fn courier_read(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        wire: &mut impl Wire<Message>,
    ) {
        let Some(Client {
            stream: Stream::Courier(courier),
            ..
        }) = self.fleet.get(id)
        else {
            return;
        };
        let owner = courier.owner;
        let mut at = 0;
        let failed = loop {
            match courier.answer(bytes, &mut at) {
                Ok(None) => return,
                Ok(Some(200..=299)) => {}
                Ok(Some(status)) => break Kind::HttpStatus(status),
                Err(_) => break Kind::BadResponse,
            }
        };
        self.leave(owner, Leave::Failed(failed), wire);
        self.dismiss(id, wire);
    }

    /// A courier's connection is over, or never came.
    pub(super) fn courier_went(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(Client {
            stream: Stream::Courier(courier),
            ..
        }) = self.fleet.get(id)
        else {
            return;
        };
        let (owner, is_missed) = (courier.owner, courier.unanswered > 0);
        if let Some(client) = self.fleet.get(owner)
            && let Flight::Dialogue(conversation) = &mut client.talk.flight
            && conversation.courier == Some(id)
        {
            conversation.courier = None;
            if is_missed {
                let kind = Kind::Application("post_unanswered");
                self.leave(owner, Leave::Failed(kind), wire);
            }
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
            waiting: Some(Vec::new()),
            unanswered: 0,
            head: HeadReader::default(),
            body: None,
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
        }
        let Some(head) = self.head.next(bytes, at)? else {
            return Ok(None);
        };
        let response = Response::parse(head)?;
        if (100..200).contains(&response.status) {
            // RFC 9110, 15.2: the real one follows.
            return Ok(Some(200));
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        self.body = Some(BodyReader::new(response.body));
        Ok(Some(response.status))
    }
}

fn encode(into: &mut Vec<u8>, config: &Config, post: &Post) {
    let length = post.body.len().to_string();
    let mut headers = vec![
        ("Host", config.host.as_str()),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", length.as_str()),
    ];
    let own = config.headers.iter();
    headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
    Request::encode(into, "POST", &post.target, &headers);
    into.extend_from_slice(post.body.as_bytes());
}
