//! Servers that say to be overloaded, by 503 or close code 1013: their clients ask the next one.

use super::returning::{AGAIN, add_up};
use super::world::{Act, Echo, Key, Peer, World};
use super::{MS, config};
use crate::load::measure::failure::{Kind, Stage};
use crate::load::{Config, Outcome, Page, RetryPolicy, Scenario, Target, Transport};
use crate::shard::CloseCause;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const ONE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const OTHER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

const FULL: &[u8] = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";

/// How a server says it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    /// RFC 9110, 15.6.4: 503, and not to come back for 2 s.
    Refused,
    /// Close code 1013, 100 ms after the upgrade.
    Closed,
}

/// Echo servers at several addresses, some of them overloaded.
struct Servers {
    echo: Echo<fn(Key, Instant) -> Option<Instant>>,
    full: Vec<SocketAddr>,
    says: Says,
    at: BTreeMap<Key, SocketAddr>,
    asked: Vec<(Instant, SocketAddr)>,
}

impl Servers {
    fn new(full: &[SocketAddr], says: Says) -> Self {
        Self {
            echo: Echo::new(|_, now| Some(now + MS)),
            full: full.to_vec(),
            says,
            at: BTreeMap::new(),
            asked: Vec::new(),
        }
    }
}

impl Peer for Servers {
    fn connected(&mut self, key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.echo.connected(key, now)
    }

    fn connected_to(&mut self, key: Key, to: SocketAddr, now: Instant) -> Vec<(Instant, Act)> {
        self.at.insert(key, to);
        self.asked.push((now, to));
        self.connected(key, now)
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        let is_full = self.full.contains(&self.at[&key]);
        if is_full && self.says == Says::Refused {
            return vec![(now + MS, Act::Say(FULL.to_vec()))];
        }
        let mut acts = self.echo.received(key, bytes, now);
        if is_full && bytes.starts_with(b"GET") {
            acts.push((now + 100 * MS, Act::Say(vec![0x88, 2, 0x03, 0xf5])));
        }
        acts
    }
}

/// Two servers: of two URLs, and of one name.
fn targets() -> [Vec<Target>; 2] {
    [
        vec![Target::At(ONE), Target::At(OTHER)],
        vec![Target::Any([ONE, OTHER].into())],
    ]
}

fn run(config: &Config, servers: Servers) -> (Outcome, World<Servers>) {
    let mut world = World::new(1, config, servers);
    let (outcome, _) = world.run();
    add_up(&outcome);
    (outcome, world)
}

fn asked(world: &World<Servers>) -> [usize; 2] {
    let to = |address| world.targets.iter().filter(|to| **to == address).count();
    [to(ONE), to(OTHER)]
}

#[test]
fn who_is_refused_with_503_asks_the_next_server_and_does_not_wait_for_the_first() {
    for targets in targets() {
        let config = Config {
            retry: RetryPolicy {
                retries: 1,
                ..AGAIN
            },
            others: vec![Page {
                host: "other".to_owned(),
                target: "/n".to_owned(),
            }],
            targets,
            ..config()
        };
        let (outcome, world) = run(&config, Servers::new(&[ONE], Says::Refused));
        let connects = outcome.connects;
        assert_eq!((connects.up, connects.failed, connects.retries), (4, 0, 2));
        let refused = outcome.failures.of(Stage::Upgrade, Kind::HttpStatus(503));
        assert_eq!((refused, asked(&world)), (2, [2, 4]));
        assert!(outcome.connect_time() < 100 * MS, "RFC 9110, 10.2.3");
        // Of another URL, what that one asks for.
        let mut lines = world.peer.echo.requests.iter();
        let is_other = |request: &String| {
            request.starts_with("GET /n ") && request.contains("\r\nHost: other\r\n")
        };
        assert_eq!(lines.all(is_other), config.targets.len() == 2);
    }
}

#[test]
fn who_is_sent_away_with_1013_goes_to_the_next_server_and_stays_there() {
    for targets in targets() {
        let config = Config {
            retry: AGAIN,
            scenario: Scenario::Idle,
            targets,
            ..config()
        };
        let (outcome, world) = run(&config, Servers::new(&[ONE], Says::Closed));
        let open = outcome.failures.of(Stage::Open, Kind::CloseCode(1013));
        assert_eq!((open, asked(&world)), (2, [2, 4]));
        assert_eq!((outcome.returns.lost, outcome.returns.resumed), (2, 2));
        // 160 ms at least are for who asks the same server again.
        assert!(outcome.latencies.resume.histogram().max() < 25_000_000);
    }
}

#[test]
fn who_was_led_past_a_dead_address_is_sent_on_to_the_one_after_it() {
    const DEAD: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 3);
    for says in [Says::Refused, Says::Closed] {
        let config = Config {
            retry: RetryPolicy {
                retries: 1,
                ..AGAIN
            },
            scenario: Scenario::Idle,
            connections: 6,
            targets: vec![Target::Any([DEAD, ONE, OTHER].into())],
            ..config()
        };
        let mut world = World::new(1, &config, Servers::new(&[ONE], says));
        world.dead = Some((DEAD, Some(CloseCause::Refused)));
        let (outcome, _) = world.run();
        add_up(&outcome);
        // Two each had the turn of the dead one and of the one behind it: all four are sent on
        // once, and none is sent to where it was.
        assert_eq!(
            (outcome.connects.up, asked(&world)),
            (6, [4, 6]),
            "{says:?}"
        );
    }
}

#[test]
fn where_all_are_overloaded_they_are_left_alone_for_as_long_as_they_ask() {
    for targets in targets() {
        let config = Config {
            retry: RetryPolicy {
                retries: 3,
                ..AGAIN
            },
            connections: 1,
            targets,
            ..config()
        };
        let (outcome, world) = run(&config, Servers::new(&[ONE, OTHER], Says::Refused));
        assert_eq!((outcome.connects.failed, outcome.connects.retries), (1, 3));
        let to: Vec<SocketAddr> = world.peer.asked.iter().map(|(_, to)| *to).collect();
        assert_eq!(to, [ONE, OTHER, ONE, OTHER]);
        let at: Vec<Instant> = world.peer.asked.iter().map(|(at, _)| *at).collect();
        let waits: Vec<Duration> = at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(waits[0] < 100 * MS && waits[2] < 200 * MS, "{waits:?}");
        assert!(waits[1] >= Duration::from_secs(2), "{waits:?}");
        let closed = Config {
            retry: AGAIN,
            scenario: Scenario::Idle,
            ..config
        };
        let (outcome, world) = run(&closed, Servers::new(&[ONE, OTHER], Says::Closed));
        assert!(outcome.returns.resumed > 2);
        let at: Vec<Instant> = world.peer.asked.iter().map(|(at, _)| *at).collect();
        let waits: Vec<Duration> = at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        // 100 ms after the upgrade, then 20 ms at most, or 160 ms at least.
        for (nth, wait) in waits.iter().enumerate() {
            let is_long = *wait >= 260 * MS;
            assert_eq!(is_long, nth % 2 == 1, "{waits:?}");
        }
    }
}

/// Event streams: the first ends after two events, and its server is full then.
struct Streams {
    requests: Vec<(SocketAddr, String)>,
    at: BTreeMap<Key, SocketAddr>,
}

impl Peer for Streams {
    fn connected(&mut self, _key: Key, now: Instant) -> Vec<(Instant, Act)> {
        vec![(now, Act::Open)]
    }

    fn connected_to(&mut self, key: Key, to: SocketAddr, now: Instant) -> Vec<(Instant, Act)> {
        self.at.insert(key, to);
        self.connected(key, now)
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        let nth = self.requests.len();
        let request = String::from_utf8(bytes.to_vec()).unwrap();
        self.requests.push((self.at[&key], request));
        if nth == 1 {
            return vec![(now, Act::Say(FULL.to_vec()))];
        }
        let event = |n: u64| format!("id: {n}\ndata: {{\"seq\":{n},\"sent_ns\":{}}}\n\n", n);
        let first = if nth == 0 { 6 } else { 50 };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let said = [head, &event(first), &event(first + 1)].concat();
        let mut acts = vec![(now, Act::Say(said.into_bytes()))];
        if nth == 0 {
            acts.push((now + 100 * MS, Act::End(CloseCause::PeerEnded)));
        }
        acts
    }
}

#[test]
fn a_listener_asks_another_url_for_its_own_events_and_another_address_for_those_it_missed() {
    for (targets, last, missed) in targets().into_iter().zip([None, Some("7")]).map(|it| {
        let missed = if it.1.is_some() { 42 } else { 0 };
        (it.0, it.1, missed)
    }) {
        let config = Config {
            retry: AGAIN,
            transport: Transport::Sse,
            scenario: Scenario::Listen,
            connections: 1,
            targets,
            ..config()
        };
        let streams = Streams {
            requests: Vec::new(),
            at: BTreeMap::new(),
        };
        let mut world = World::new(1, &config, streams);
        let (outcome, _) = world.run();
        add_up(&outcome);
        let asked: Vec<(SocketAddr, Option<&str>)> = world
            .peer
            .requests
            .iter()
            .map(|(to, text)| {
                let id = text
                    .lines()
                    .find_map(|it| it.strip_prefix("Last-Event-ID: "));
                (*to, id)
            })
            .collect();
        assert_eq!(asked, [(ONE, None), (ONE, Some("7")), (OTHER, last)]);
        assert_eq!(outcome.returns.missed, missed, "{:?}", outcome.returns);
        assert_eq!((outcome.events.gaps, outcome.events.repeated), (0, 0));
    }
}
