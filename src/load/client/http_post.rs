//! What a dialogue says over HTTP: posts on a second connection, which is kept.

use super::handshake::refused;
use crate::load::barrier::Message;
use crate::load::config::Config;
use crate::load::measure::failure::Kind;
use crate::load::scenario::{Leave, Post};
use crate::load::shard::Load;
use crate::load::timers::Timer;
use crate::protocol::Fault;
use crate::protocol::http::{BodyReader, HeadReader, Request, Response, merged};
use crate::shard::{Close, ConnectionId, Unsent, Wire};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Posts of one client that may wait: a dialogue that says more meanwhile is not listened to.
const WAITING_MAX: usize = 64;

/// The connections that carry the posts of a core's clients. None of them is a client: nothing
/// that counts or limits clients sees them.
#[derive(Debug, Default)]
pub(in crate::load) struct HttpPosts {
    by_connection: BTreeMap<ConnectionId, HttpPost>,
    /// The one connection of each client that has posted.
    by_owner: BTreeMap<ConnectionId, ConnectionId>,
    /// Connections of clients that are gone, to be closed.
    orphans: Vec<ConnectionId>,
}

/// One connection for posts.
///
/// One post at a time: RFC 9112, 9.3.2 lets nobody send a request behind a POST that has no answer
/// yet.
#[derive(Debug)]
struct HttpPost {
    /// The client whose posts they are.
    owner: ConnectionId,
    /// Posts that wait for the connection, or for the answer to the one before.
    waiting: VecDeque<Vec<u8>>,
    state: PostState,
    head: HeadReader,
    /// The body of an answer, while it comes.
    body: Option<BodyReader>,
    /// The server ends the connection after this answer.
    is_last: bool,
    /// Since when what is awaited is: the connection, or the answer to a post.
    since: Instant,
    /// Whether a look at that is set. There is never more than one, whatever is posted.
    is_watched: bool,
}

/// What a connection for posts is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PostState {
    /// It is not there yet.
    Connecting,
    /// A post can go.
    Free,
    /// A post has not been answered.
    Busy,
}

impl HttpPosts {
    /// A client is gone: its connection is to be closed.
    #[inline]
    pub(in crate::load) fn owner_gone(&mut self, owner: ConnectionId) {
        if !self.by_owner.is_empty()
            && let Some(id) = self.by_owner.remove(&owner)
        {
            self.by_connection.remove(&id);
            self.orphans.push(id);
        }
    }

    /// Whose posts go over that connection.
    pub(in crate::load) fn owner(&self, id: ConnectionId) -> Option<ConnectionId> {
        self.by_connection.get(&id).map(|post| post.owner)
    }

    /// Whether that connection is one for posts.
    #[inline]
    pub(in crate::load) fn has(&self, id: ConnectionId) -> bool {
        !self.by_connection.is_empty() && self.by_connection.contains_key(&id)
    }

    fn insert(&mut self, id: ConnectionId, owner: ConnectionId, now: Instant) {
        let post = HttpPost {
            owner,
            waiting: VecDeque::new(),
            state: PostState::Connecting,
            head: HeadReader::of_responses(),
            body: None,
            is_last: false,
            since: now,
            is_watched: false,
        };
        self.by_connection.insert(id, post);
        self.by_owner.insert(owner, id);
    }

    fn remove(&mut self, id: ConnectionId) -> Option<HttpPost> {
        let post = self.by_connection.remove(&id)?;
        self.by_owner.remove(&post.owner);
        Some(post)
    }
}

impl Load {
    /// Sends a client's posts, each when the one before has been answered.
    pub(in crate::load) fn post(
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
        self.queue_posts(owner, requests, wire);
    }

    /// Gives a client's requests to its connection for posts, made if it has none.
    fn queue_posts(
        &mut self,
        owner: ConnectionId,
        requests: VecDeque<Vec<u8>>,
        wire: &mut impl Wire<Message>,
    ) {
        let Some(id) = self.post_connection(owner, wire) else {
            return self.leave(owner, Leave::Failed(Kind::NoSlot), wire);
        };
        let Some(post) = self.posts.by_connection.get_mut(&id) else {
            return;
        };
        post.waiting.extend(requests);
        if post.waiting.len() > WAITING_MAX {
            let kind = Kind::Application("unread");
            return self.leave(owner, Leave::Failed(kind), wire);
        }
        self.send_post(id, wire);
    }

    fn post_connection(
        &mut self,
        owner: ConnectionId,
        wire: &mut impl Wire<Message>,
    ) -> Option<ConnectionId> {
        if let Some(id) = self.posts.by_owner.get(&owner) {
            return Some(*id);
        }
        let number = u64::from(self.fleet.get(owner)?.number);
        let (target, turn) = self.config.target_of(number)?;
        let to = self.connecting.choose(target, turn, wire.now())?;
        let from = self.config.source_of(to, number, turn);
        let id = wire.connect(to, from).ok()?;
        self.posts.insert(id, owner, wire.now());
        self.await_post(id, wire);
        Some(id)
    }

    /// Looks whether a connection, or the answer to a post, has been awaited for too long: as long
    /// as a connect may take. Else it looks again when it would have been.
    pub(in crate::load) fn await_post(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(post) = self.posts.by_connection.get_mut(&id) else {
            return;
        };
        post.is_watched = post.state != PostState::Free;
        if !post.is_watched {
            return;
        }
        let by = post.since + self.config.connect_time;
        if wire.now() < by {
            return self.alarms.set(by, Timer::AwaitPost(id));
        }
        let (owner, state) = (post.owner, post.state);
        let kind = match state {
            PostState::Connecting => Kind::TimedOut,
            PostState::Free | PostState::Busy => Kind::Application("post_unanswered"),
        };
        self.leave(owner, Leave::Failed(kind), wire);
        self.posts.owner_gone(owner);
        self.close_orphans(wire);
    }

    /// A connection for posts is there.
    pub(in crate::load) fn post_opened(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        if let Some(post) = self.posts.by_connection.get_mut(&id) {
            post.state = PostState::Free;
            self.send_post(id, wire);
        }
    }

    /// Answers to posts came.
    pub(in crate::load) fn post_answered(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        wire: &mut impl Wire<Message>,
    ) {
        let Some(post) = self.posts.by_connection.get_mut(&id) else {
            return;
        };
        let owner = post.owner;
        let mut at = 0;
        let failed = loop {
            match post.answer(bytes, &mut at) {
                Ok(None) => break None,
                Ok(Some(200..=299)) => {}
                Ok(Some(status)) => break Some(Kind::HttpStatus(status)),
                Err(fault) => break Some(refused(fault)),
            }
        };
        let is_over = post.state == PostState::Free && post.is_last;
        if let Some(kind) = failed {
            self.leave(owner, Leave::Failed(kind), wire);
            self.close_orphans(wire);
        } else if is_over {
            let rest = self.posts.remove(id).map(|post| post.waiting);
            wire.close(id, Close::Flush);
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                self.queue_posts(owner, rest, wire);
            }
        } else {
            self.send_post(id, wire);
        }
    }

    /// A connection for posts is over, or never came.
    pub(in crate::load) fn post_closed(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(post) = self.posts.remove(id) else {
            return;
        };
        // An answer whose body lasts until the connection ends is an answer.
        if post.state != PostState::Free && post.body.is_none() {
            let kind = Kind::Application("post_unanswered");
            self.leave(post.owner, Leave::Failed(kind), wire);
        } else if !post.waiting.is_empty() {
            self.queue_posts(post.owner, post.waiting, wire);
        }
    }

    /// Closes the connections for posts of clients that are gone.
    pub(in crate::load) fn close_orphans(&mut self, wire: &mut impl Wire<Message>) {
        for id in self.posts.orphans.drain(..) {
            wire.close(id, Close::Flush);
        }
    }

    /// Sends the next post, if it may go.
    fn send_post(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let Some(post) = self.posts.by_connection.get_mut(&id) else {
            return;
        };
        if post.state != PostState::Free {
            return;
        }
        let Some(request) = post.waiting.pop_front() else {
            return;
        };
        post.state = PostState::Busy;
        post.since = wire.now();
        let (owner, is_watched) = (post.owner, std::mem::replace(&mut post.is_watched, true));
        if !is_watched {
            let by = wire.now() + self.config.connect_time;
            self.alarms.set(by, Timer::AwaitPost(id));
        }
        if wire.send(id, &request) == Err(Unsent::Full) {
            self.leave(owner, Leave::Failed(Kind::Application("unread")), wire);
        }
    }
}

impl HttpPost {
    /// The status of the next answer whose head is there; `None` when all bytes are used.
    fn answer(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<u16>, Fault> {
        if let Some(body) = &mut self.body {
            while body.next(bytes, at)?.is_some() {}
            if !body.is_done() {
                return Ok(None);
            }
            self.body = None;
            self.state = PostState::Free;
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
    let expanded = |value| config.values.expanded(value, config.seed, number);
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
