//! Posts of dialogues: what is asked, and servers that never answer.

use super::peers::Script;
use super::world::{Act, Key, Peer, World};
use super::{MS, config};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::Outcome;
use crate::load::scenario::{Context, Dialogue, Incoming, Part, Piece, Program, Turns};
use crate::load::{Config, Scenario};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";

/// Posts once when it is up, and once more a second later.
#[derive(Clone, Copy, Debug)]
struct Poster;

impl Program for Poster {
    fn name(&self) -> &'static str {
        "post"
    }
    fn turns(&self) -> Turns {
        Turns::Endless
    }
    fn begin(&self, _number: u32) -> Box<dyn Dialogue> {
        Box::new(Self)
    }
}

impl Dialogue for Poster {
    fn on_open(&mut self, context: &mut Context<'_>) {
        context.ready(Part::Listens);
        context.post("/say", "one");
        context.wake_after(Duration::from_secs(1));
    }
    fn on_message(&mut self, _heard: Incoming<'_>, _context: &mut Context<'_>) {}
    fn on_turn(&mut self, _piece: Piece, _context: &mut Context<'_>) {}
    fn on_timer(&mut self, context: &mut Context<'_>) {
        context.post("/say", "two");
    }
}

/// A server whose WebSockets come up; what it does with posts is its habit.
struct Posts {
    sockets: Script,
    opens: bool,
    answers: usize,
    heard: Vec<String>,
    known: Vec<Key>,
}

impl Posts {
    fn new(opens: bool, answers: usize) -> Self {
        Self {
            sockets: Script::answering(vec![(MS, Act::Say(UPGRADED.into()))]),
            opens,
            answers,
            heard: Vec::new(),
            known: Vec::new(),
        }
    }
}

impl Peer for Posts {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.known.push(key);
        let is_for_posts = self.known.len() > 2;
        if is_for_posts && !self.opens {
            return Vec::new();
        }
        self.sockets.connected(key, now)
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        if !bytes.starts_with(b"POST ") {
            return self.sockets.received(key, bytes, now);
        }
        self.heard.push(String::from_utf8_lossy(bytes).into_owned());
        if self.heard.len() > self.answers {
            return Vec::new();
        }
        let answer = "HTTP/1.1 204 No Content\r\n\r\n";
        vec![(now + MS, Act::Say(answer.into()))]
    }
}

/// Two clients, for four seconds.
fn run(server: Posts) -> (Outcome, Vec<String>) {
    let config = Config {
        scenario: Scenario::Dialogue(Arc::new(Poster)),
        connections: 2,
        duration: Duration::from_secs(4),
        connect_time: Duration::from_secs(2),
        headers: vec![("X-Who".to_owned(), "me".to_owned())],
        ..config()
    };
    let mut world = World::new(1, &config, server);
    let (outcome, _) = world.run();
    (outcome, world.peer.heard.clone())
}

#[test]
fn a_post_is_asked_with_the_users_headers_and_each_waits_for_the_answer_before() {
    let (outcome, heard) = run(Posts::new(true, usize::MAX));
    assert_eq!(outcome.failures.total(), 0, "{:?}", outcome.failures);
    assert_eq!(heard.len(), 4);
    for (post, body) in heard.iter().zip(["one", "one", "two", "two"]) {
        assert!(post.starts_with("POST /say HTTP/1.1\r\n"), "{post}");
        assert!(post.contains("\r\nX-Who: me\r\n"), "{post}");
        assert!(post.ends_with(&format!("\r\n\r\n{body}")), "{post}");
    }
}

#[test]
fn a_post_without_an_answer_ends_its_client_when_a_connect_would_have_timed_out() {
    // No post is answered, or the first of each and no second.
    for answers in [0, 2] {
        let (outcome, heard) = run(Posts::new(true, answers));
        let kind = Kind::Application("post_unanswered");
        assert_eq!(outcome.failures.of(Stage::Open, kind), 2, "{answers}");
        assert_eq!(outcome.connects.ended_early, 2);
        assert_eq!(heard.len(), 2 + answers, "one at a time");
    }
}

#[test]
fn a_connection_for_posts_that_never_comes_ends_its_client() {
    let (outcome, heard) = run(Posts::new(false, 0));
    assert_eq!(outcome.failures.of(Stage::Open, Kind::TimedOut), 2);
    assert!(heard.is_empty());
}
