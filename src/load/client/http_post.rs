//! What dialogues say over HTTP: posts on a second connection of each client, which is kept.

use super::handshake::ClientRequest;
use crate::load::measure::failure::Kind;
use crate::load::scenario::Post;
use crate::protocol::Fault;
use crate::protocol::http::{BodyReader, HeadReader, Request, Response, merged};
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Posts of one client that may wait: a dialogue that says more meanwhile is not listened to.
const WAITING_MAX: usize = 64;

/// The connections that carry the posts of a core's clients. None of them is a client: nothing
/// that counts or limits clients sees them. Each closes with its owner.
#[derive(Debug)]
pub(super) struct HttpPosts {
    by_connection: BTreeMap<ConnectionId, HttpPost>,
    /// The one connection of each client that has posted.
    by_owner: BTreeMap<ConnectionId, ConnectionId>,
    /// How long a connect, or the answer to a post, may take.
    patience: Duration,
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
    /// A timer is set for that. There is never more than one, whatever is posted.
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

/// What is to be done for a client's posts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PostStep {
    /// Nothing, for now.
    Wait,
    /// A connection is to be made, for these.
    Connect(Requests),
    /// That is to be sent.
    Send(NextPost),
    /// The connection is to be closed; further posts need another one.
    Close(ConnectionId, Requests),
    /// The client has failed.
    Fail(ConnectionId, Kind),
}

/// A client's posts that have no connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::load) struct Requests {
    pub(super) owner: ConnectionId,
    waiting: VecDeque<Vec<u8>>,
}

/// A post that can go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextPost {
    pub(super) id: ConnectionId,
    pub(super) owner: ConnectionId,
    pub(super) request: Vec<u8>,
    /// A timer is to be set: then the answer is overdue.
    pub(super) watch: Option<Instant>,
}

/// What has become of what was awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostWatch {
    /// It has come.
    Done,
    /// It may still come: to be looked at again then.
    Until(Instant),
    /// It did not come in time: the client has failed.
    Overdue(ConnectionId, Kind),
}

impl HttpPosts {
    pub(super) const fn new(patience: Duration) -> Self {
        Self {
            by_connection: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            patience,
        }
    }

    /// A client posts.
    pub(super) fn post(&mut self, owner: ConnectionId, waiting: VecDeque<Vec<u8>>) -> PostStep {
        self.queue(Requests { owner, waiting })
    }

    /// A connection for a client's posts is under way; when it is to be looked at.
    pub(super) fn connecting(
        &mut self,
        id: ConnectionId,
        requests: Requests,
        now: Instant,
    ) -> Instant {
        let Requests { owner, waiting } = requests;
        let post = HttpPost {
            owner,
            waiting,
            state: PostState::Connecting,
            head: HeadReader::of_responses(),
            body: None,
            is_last: false,
            since: now,
            is_watched: true,
        };
        self.by_connection.insert(id, post);
        self.by_owner.insert(owner, id);
        now + self.patience
    }

    /// Posts that have no connection, or have got one meanwhile.
    pub(super) fn queue(&mut self, requests: Requests) -> PostStep {
        let Some(&id) = self.by_owner.get(&requests.owner) else {
            return PostStep::Connect(requests);
        };
        let Some(post) = self.by_connection.get_mut(&id) else {
            return PostStep::Wait;
        };
        post.waiting.extend(requests.waiting);
        if post.waiting.len() > WAITING_MAX {
            return PostStep::Fail(requests.owner, Kind::Application("unread"));
        }
        PostStep::Wait
    }

    /// A connection is there.
    pub(super) fn opened(&mut self, id: ConnectionId) {
        if let Some(post) = self.by_connection.get_mut(&id) {
            post.state = PostState::Free;
        }
    }

    /// The next post of a connection, if one may go: it is under way then.
    pub(super) fn next(&mut self, id: ConnectionId, now: Instant) -> PostStep {
        let Some(post) = self.by_connection.get_mut(&id) else {
            return PostStep::Wait;
        };
        if post.state != PostState::Free {
            return PostStep::Wait;
        }
        let Some(request) = post.waiting.pop_front() else {
            return PostStep::Wait;
        };
        post.state = PostState::Busy;
        post.since = now;
        let is_watched = std::mem::replace(&mut post.is_watched, true);
        PostStep::Send(NextPost {
            id,
            owner: post.owner,
            request,
            watch: (!is_watched).then(|| now + self.patience),
        })
    }

    /// Answers to posts came.
    pub(super) fn answered(&mut self, id: ConnectionId, bytes: &[u8]) -> PostStep {
        let Some(post) = self.by_connection.get_mut(&id) else {
            return PostStep::Wait;
        };
        let mut at = 0;
        loop {
            match post.answer(bytes, &mut at) {
                Ok(None) => break,
                Ok(Some(200..=299)) => {}
                Ok(Some(status)) => return PostStep::Fail(post.owner, Kind::HttpStatus(status)),
                Err(fault) => return PostStep::Fail(post.owner, Kind::of_response(fault)),
            }
        }
        if post.state != PostState::Free || !post.is_last {
            return PostStep::Wait;
        }
        match self.remove(id) {
            Some(HttpPost { owner, waiting, .. }) => {
                PostStep::Close(id, Requests { owner, waiting })
            }
            None => PostStep::Wait,
        }
    }

    /// A connection is over, or never came.
    pub(super) fn closed(&mut self, id: ConnectionId) -> PostStep {
        let Some(post) = self.remove(id) else {
            return PostStep::Wait;
        };
        // An answer whose body lasts until the connection ends is an answer.
        if post.state != PostState::Free && post.body.is_none() {
            return PostStep::Fail(post.owner, Kind::Application("post_unanswered"));
        }
        let HttpPost { owner, waiting, .. } = post;
        if waiting.is_empty() {
            return PostStep::Wait;
        }
        PostStep::Connect(Requests { owner, waiting })
    }

    /// The timer of a connection has come: whether what it awaits is overdue.
    pub(super) fn watch(&mut self, id: ConnectionId, now: Instant) -> PostWatch {
        let Some(post) = self.by_connection.get_mut(&id) else {
            return PostWatch::Done;
        };
        let by = post.since + self.patience;
        let kind = match post.state {
            PostState::Free => {
                post.is_watched = false;
                return PostWatch::Done;
            }
            PostState::Connecting => Kind::TimedOut,
            PostState::Busy => Kind::Application("post_unanswered"),
        };
        if now < by {
            PostWatch::Until(by)
        } else {
            PostWatch::Overdue(post.owner, kind)
        }
    }

    /// A client is gone: its connection, which is to be closed.
    #[inline]
    pub(super) fn owner_gone(&mut self, owner: ConnectionId) -> Option<ConnectionId> {
        if self.by_owner.is_empty() {
            return None;
        }
        let id = self.by_owner.remove(&owner)?;
        self.by_connection.remove(&id);
        Some(id)
    }

    /// The client whose posts go over that connection.
    pub(super) fn owner(&self, id: ConnectionId) -> Option<ConnectionId> {
        self.by_connection.get(&id).map(|post| post.owner)
    }

    /// Whether that connection is one for posts.
    #[inline]
    pub(super) fn has(&self, id: ConnectionId) -> bool {
        !self.by_connection.is_empty() && self.by_connection.contains_key(&id)
    }

    /// The connection of a client's posts.
    pub(super) fn of(&self, owner: ConnectionId) -> Option<ConnectionId> {
        self.by_owner.get(&owner).copied()
    }

    fn remove(&mut self, id: ConnectionId) -> Option<HttpPost> {
        let post = self.by_connection.remove(&id)?;
        self.by_owner.remove(&post.owner);
        Some(post)
    }
}

impl Requests {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The client whose posts they are.
    pub(in crate::load) const fn owner(&self) -> ConnectionId {
        self.owner
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
pub(super) fn request(asked: &ClientRequest<'_>, post: &Post) -> Vec<u8> {
    let length = post.body.len().to_string();
    let own = [
        ("Host", asked.host()),
        ("Content-Type", "text/plain; charset=utf-8"),
        // RFC 9110, 12.5.3: without it, any coding is welcome.
        ("Accept-Encoding", "identity"),
    ];
    let given = asked.headers();
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

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const NOW: Instant = Instant::from_nanos(1_000);
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    fn ids() -> [ConnectionId; 2] {
        [1, 2].map(|slot| ConnectionId::new(slot, 1))
    }

    fn requests<const N: usize>(texts: [&str; N]) -> VecDeque<Vec<u8>> {
        texts.map(|text| text.as_bytes().to_vec()).into()
    }

    /// A client's connection for posts that is up, with these to send.
    fn up<const N: usize>(texts: [&str; N]) -> HttpPosts {
        let [owner, id] = ids();
        let mut posts = HttpPosts::new(S);
        let PostStep::Connect(waiting) = posts.post(owner, requests(texts)) else {
            panic!("it has no connection yet");
        };
        assert_eq!(posts.connecting(id, waiting, NOW), NOW + S);
        posts.opened(id);
        posts
    }

    fn sent(posts: &mut HttpPosts, now: Instant) -> Option<Vec<u8>> {
        match posts.next(ids()[1], now) {
            PostStep::Send(next) => Some(next.request),
            PostStep::Wait => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_post_waits_for_the_answer_to_the_one_before() {
        let [owner, id] = ids();
        let mut posts = up(["one", "two"]);
        assert!(posts.has(id) && posts.of(owner) == Some(id));
        assert_eq!(sent(&mut posts, NOW).as_deref(), Some(&b"one"[..]));
        assert_eq!(sent(&mut posts, NOW), None, "RFC 9112, 9.3.2");
        assert_eq!(posts.answered(id, &OK[..20]), PostStep::Wait);
        assert_eq!(sent(&mut posts, NOW), None, "half a head is no answer");
        assert_eq!(posts.answered(id, &OK[20..]), PostStep::Wait);
        assert_eq!(sent(&mut posts, NOW).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn what_is_not_answered_in_time_or_well_fails_the_owner() {
        let [owner, id] = ids();
        let mut posts = up(["one"]);
        assert_eq!(
            posts.watch(id, NOW + S),
            PostWatch::Done,
            "nothing is awaited"
        );
        assert!(sent(&mut posts, NOW + S).is_some());
        assert_eq!(posts.watch(id, NOW + S), PostWatch::Until(NOW + 2 * S));
        let unanswered = Kind::Application("post_unanswered");
        let overdue = posts.watch(id, NOW + 2 * S);
        assert_eq!(overdue, PostWatch::Overdue(owner, unanswered));
        let refusal = posts.answered(id, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(refusal, PostStep::Fail(owner, Kind::HttpStatus(403)));
        assert_eq!(posts.closed(id), PostStep::Wait, "it was an answer");
        let mut posts = up(["one"]);
        assert!(sent(&mut posts, NOW).is_some());
        assert_eq!(posts.closed(id), PostStep::Fail(owner, unanswered));
        assert!(!posts.has(id));
    }

    #[test]
    fn a_server_that_ends_the_connection_gets_the_rest_on_another() {
        let [owner, id] = ids();
        let mut posts = up(["one", "two"]);
        assert!(sent(&mut posts, NOW).is_some());
        let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let step = posts.answered(id, last);
        let waiting = requests(["two"]);
        assert_eq!(step, PostStep::Close(id, Requests { owner, waiting }));
        assert!(!posts.has(id) && posts.of(owner).is_none());
    }

    #[test]
    fn the_connection_goes_with_its_owner_and_too_many_posts_are_unread() {
        let [owner, id] = ids();
        let mut posts = up([]);
        let all = vec![b"x".to_vec(); WAITING_MAX];
        assert_eq!(posts.post(owner, all.into()), PostStep::Wait);
        let unread = PostStep::Fail(owner, Kind::Application("unread"));
        assert_eq!(posts.post(owner, requests(["more"])), unread);
        assert_eq!(posts.owner_gone(owner), Some(id));
        assert_eq!(posts.owner_gone(owner), None);
        assert!(!posts.has(id));
    }
}
