//! Handshakes that end well, late, badly or not at all, and who is served when there are too many.

use super::*;
use crate::limits;
use crate::shard::{Handshakes, TlsFault};
use rustls::crypto::ring::kx_group::SECP256R1;
use std::time::Duration;

#[expect(clippy::cast_possible_truncation, reason = "a handful")]
const TURN: u32 = limits::TLS_ANSWERS_PER_TURN as u32;

pub(super) fn id(slot: u32) -> ConnectionId {
    ConnectionId::new(slot, 1)
}

/// A client that has said hello, and its hello.
pub(super) fn hello(spoken: Spoken) -> (Handshake, Vec<u8>) {
    let mut client = Handshake::client(Arc::new(spoken.client()), name()).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(client.go_on(&[], &mut bytes), Progress::Under);
    (client, bytes)
}

/// A server that has accepted connections in these slots, and been greeted on them in one turn that
/// has not ended.
pub(super) fn greeted(slots: std::ops::Range<u32>) -> (Layer, Vec<Handshake>) {
    let mut layer = Layer::new(Side::Server, MODERN);
    let clients = slots.map(|slot| greet(&mut layer, id(slot))).collect();
    (layer, clients)
}

pub(super) fn greet(layer: &mut Layer, id: ConnectionId) -> Handshake {
    layer.open(Side::Server, id);
    let (client, mut bytes) = hello(MODERN);
    layer.tls.received(id, &mut bytes, &mut layer.line);
    client
}

/// One event at the end of a turn.
fn expire(layer: &mut Layer) {
    assert!(layer.tls.deadline().is_some_and(|at| at <= layer.line.now));
    layer.tls.expired(&mut layer.line);
}

/// The slots that something was sent to, in order.
fn answered(layer: &mut Layer) -> Vec<usize> {
    let sent = std::mem::take(&mut layer.line.sent);
    sent.iter().map(|(id, _)| id.slot()).collect()
}

pub(super) fn counts(layer: &mut Layer) -> Handshakes {
    let book = &mut layer.tls.book;
    let line = &mut layer.line;
    let counts = Wire::<Order>::vitals(&mut super::super::wire::Secured { wire: line, book });
    counts.handshakes.unwrap()
}

#[test]
fn a_turn_answers_few_handshakes_and_the_newest_first() {
    let (mut layer, _) = greeted(0..2 * TURN + 1);
    assert_eq!(answered(&mut layer), [] as [usize; 0], "the turn goes on");
    assert_eq!(counts(&mut layer).waiting, u64::from(2 * TURN + 1));
    assert_eq!(layer.tls.deadline(), Some(layer.line.now), "at its end");
    let newest = |range: std::ops::Range<u32>| range.rev().map(|it| it as usize);
    expire(&mut layer);
    let first: Vec<_> = newest(TURN + 1..2 * TURN + 1).collect();
    assert_eq!(answered(&mut layer), first);
    // Whoever comes now is newer still.
    let _client = greet(&mut layer, id(100));
    expire(&mut layer);
    let mut second = vec![100];
    second.extend(newest(2..TURN + 1));
    assert_eq!(answered(&mut layer), second);
    expire(&mut layer);
    assert_eq!(answered(&mut layer), [1, 0]);
    let over = layer.line.now + limits::TLS_HANDSHAKE_TIME;
    assert_eq!(layer.tls.deadline(), Some(over), "nobody waits");
    assert_eq!(counts(&mut layer).waiting, 0);
}

#[test]
fn who_was_answered_does_not_wait_behind_who_was_not() {
    let (mut layer, mut clients) = greeted(0..1);
    expire(&mut layer);
    let flight = layer.sent(id(0));
    let mut finished = Vec::new();
    let progress = clients[0].go_on(&flight, &mut finished);
    assert_eq!(progress, Progress::Done);
    for slot in 1..=3 * TURN {
        greet(&mut layer, id(slot));
    }
    layer.tls.received(id(0), &mut finished, &mut layer.line);
    let opened = Told::Opened(Origin::Accepted { listener: 0 });
    assert_eq!(layer.told(), [opened], "in the turn in which it came");
    let counts = counts(&mut layer);
    assert_eq!((counts.done, counts.under_way), (1, u64::from(3 * TURN)));
}

#[test]
fn who_says_more_while_it_waits_is_in_the_queue_once() {
    let (mut layer, _) = greeted(0..1);
    layer.tls.received(id(0), &mut [22], &mut layer.line);
    assert_eq!(counts(&mut layer).waiting, 1);
    expire(&mut layer);
    assert_eq!(answered(&mut layer), [0]);
    assert_eq!(counts(&mut layer).waiting, 0);
    let over = layer.line.now + limits::TLS_HANDSHAKE_TIME;
    assert_eq!(layer.tls.deadline(), Some(over), "nobody waits");
    layer.closed(id(0), CloseCause::Reset);
    let counts = counts(&mut layer);
    assert_eq!((counts.under_way, counts.left), (0, 1));
}

#[test]
fn a_peer_that_has_left_or_is_out_of_time_is_not_answered() {
    let (mut layer, _) = greeted(0..3);
    layer.closed(id(2), CloseCause::Reset);
    let half = layer.tls.ended(id(1), &mut layer.line);
    assert_eq!(half, Half::Close);
    layer.line.now += limits::TLS_HANDSHAKE_TIME;
    let _client = greet(&mut layer, id(9));
    expire(&mut layer);
    assert_eq!(answered(&mut layer), [9]);
    let closes = [(id(0), Close::Flush), (id(0), Close::Abort)];
    assert_eq!(layer.line.closes, closes);
    layer.closed(id(1), CloseCause::PeerEnded);
    layer.closed(id(0), CloseCause::Local);
    let insecure = |fault| Told::Closed(CloseCause::Insecure(fault));
    assert_eq!(
        layer.told(),
        [
            insecure(TlsFault::Reset),
            insecure(TlsFault::Ended),
            insecure(TlsFault::HandshakeTime)
        ]
    );
    let counts = counts(&mut layer);
    assert_eq!((counts.left, counts.timed_out), (2, 1));
    assert_eq!((counts.under_way, counts.waiting), (1, 0));
}

#[test]
fn a_peer_that_says_nothing_or_not_all_is_out_of_time_too() {
    for said in [0, 1, 100] {
        let mut layer = Layer::new(Side::Server, MODERN);
        layer.open(Side::Server, ID);
        layer.receive(ID, &hello(MODERN).1[..said]);
        layer.line.now = layer.line.now + limits::TLS_HANDSHAKE_TIME - Duration::from_nanos(1);
        layer.end_turn();
        assert_eq!(layer.closes(), []);
        layer.line.now += Duration::from_nanos(1);
        layer.end_turn();
        assert_eq!(layer.closes(), [Close::Flush, Close::Abort]);
        assert_eq!(layer.tls.deadline(), None);
        assert_eq!(counts(&mut layer).timed_out, 1);
    }
}

#[test]
fn the_oldest_handshake_makes_room_when_there_are_too_many() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls.book.queue.handshakes_max = 3;
    for slot in 0..4 {
        assert_eq!(layer.closes(), []);
        layer.open(Side::Server, id(slot));
    }
    let closes = [(id(0), Close::Flush), (id(0), Close::Abort)];
    assert_eq!(layer.line.closes, closes);
    layer.closed(id(0), CloseCause::Local);
    let why = Told::Closed(CloseCause::Insecure(TlsFault::Overload));
    assert_eq!(layer.told(), [why]);
    let counts = counts(&mut layer);
    assert_eq!((counts.refused, counts.under_way), (1, 3));
}

#[test]
fn the_oldest_handshake_makes_room_when_they_hold_too_many_bytes() {
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls.book.queue.bytes_max = 1000;
    for slot in 0..5 {
        layer.open(Side::Server, id(slot));
        layer.receive(id(slot), &[&[22, 3, 1, 2, 0][..], &[0; 195]].concat());
    }
    assert_eq!(layer.closes(), []);
    layer.receive(id(4), &[0]);
    let closes = [(id(0), Close::Flush), (id(0), Close::Abort)];
    assert_eq!(layer.line.closes, closes);
    // What they held is free again once they are over.
    for slot in 1..5 {
        layer.closed(id(slot), CloseCause::Reset);
    }
    layer.open(Side::Server, id(9));
    layer.receive(id(9), &[&[22, 3, 1, 16, 0][..], &[0; 995]].concat());
    assert_eq!(layer.line.closes, closes);
    layer.receive(id(9), &[0]);
    assert_eq!(layer.line.closes.len(), 4);
}

#[test]
fn a_hello_may_come_in_pieces_and_is_answered_when_it_is_whole() {
    for spoken in [MODERN, CLASSIC] {
        let (_, bytes) = hello(spoken);
        for at in 1..bytes.len() {
            let mut layer = Layer::new(Side::Server, spoken);
            layer.open(Side::Server, ID);
            layer.receive(ID, &bytes[..at]);
            assert!(layer.sent(ID).is_empty(), "{at}");
            assert_eq!(counts(&mut layer).waiting, 0);
            layer.receive(ID, &bytes[at..]);
            assert!(!layer.sent(ID).is_empty(), "{at}");
        }
    }
}

/// RFC 8446, 4.1.4: the second hello is answered with a signature, so it waits as the first did.
#[test]
fn who_is_asked_for_another_hello_waits_for_both_answers() {
    let mut provider = default_provider();
    provider.kx_groups = vec![SECP256R1];
    let mut config = MODERN.server();
    let resolver = Arc::clone(&config.cert_resolver);
    config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.enable_secret_extraction = true;
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.tls = Tls::new(Inner::default(), Role::Server(Arc::new(config)), CAP);
    let mut client = greet(&mut layer, ID);
    expire(&mut layer);
    let retry = layer.sent(ID);
    let mut again = Vec::new();
    assert_eq!(client.go_on(&retry, &mut again), Progress::Under);
    layer.tls.received(ID, &mut again, &mut layer.line);
    assert!(layer.line.sent.is_empty());
    layer.end_turn();
    let flight = layer.sent(ID);
    let mut finished = Vec::new();
    assert_eq!(client.go_on(&flight, &mut finished), Progress::Done);
    // What follows is not made to wait.
    layer.tls.received(ID, &mut finished, &mut layer.line);
    assert_eq!(layer.told().len(), 1);
}

#[test]
fn what_is_no_hello_is_refused_and_counted() {
    let oversized = vec![22, 3, 1, 80, 0];
    let cases = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), TlsFault::NotTls),
        (oversized, TlsFault::NotTls),
        // A `server_hello_done`.
        (
            vec![22, 3, 1, 0, 4, 14, 0, 0, 0],
            TlsFault::UnexpectedMessage,
        ),
        (vec![23, 3, 3, 0, 1, 0], TlsFault::UnexpectedMessage),
        (vec![22, 3, 1, 0, 4, 1, 255, 255, 255], TlsFault::BadMessage),
    ];
    for (bytes, fault) in cases {
        let mut layer = Layer::new(Side::Server, MODERN);
        layer.open(Side::Server, ID);
        layer.receive(ID, &bytes);
        assert_eq!(layer.closes(), [Close::Flush], "{bytes:?}");
        layer.closed(ID, CloseCause::Local);
        let told = [Told::Closed(CloseCause::Insecure(fault))];
        assert_eq!(layer.told(), told, "{bytes:?}");
        assert_eq!(counts(&mut layer).failed, 1);
    }
}

#[test]
fn a_peer_that_leaves_within_the_handshake_is_said_to_have() {
    for (cause, fault) in [
        (CloseCause::PeerEnded, TlsFault::Ended),
        (CloseCause::Reset, TlsFault::Reset),
        (CloseCause::TimedOut, TlsFault::Other),
    ] {
        let mut layer = Layer::new(Side::Server, MODERN);
        layer.open(Side::Server, ID);
        layer.closed(ID, cause);
        let insecure = CloseCause::Insecure(fault);
        assert_eq!(layer.told(), [Told::Closed(insecure)]);
        assert_eq!(counts(&mut layer).left, 1);
        let mut layer = Layer::new(Side::Client, MODERN);
        layer.open(Side::Client, ID);
        layer.closed(ID, cause);
        let told = if fault == TlsFault::Other {
            cause
        } else {
            insecure
        };
        assert_eq!(layer.told(), [Told::Closed(told)]);
    }
}

#[test]
fn a_connect_that_fails_is_told_as_the_engine_tells_it() {
    for cause in [CloseCause::Refused, CloseCause::Reset, CloseCause::TimedOut] {
        let mut layer = Layer::new(Side::Client, MODERN);
        layer.order(Order::Connect);
        layer.closed(ID, cause);
        assert_eq!(layer.told(), [Told::Closed(cause)]);
    }
}

#[test]
fn who_is_not_what_its_role_says_has_no_name() {
    let no_name = Told::Closed(CloseCause::Insecure(TlsFault::NoName));
    // A server that connects, a client that accepts.
    let mut layer = Layer::new(Side::Server, MODERN);
    layer.order(Order::Connect);
    assert_eq!(layer.closes(), [Close::Flush]);
    layer.closed(ID, CloseCause::Local);
    assert_eq!(layer.told(), std::slice::from_ref(&no_name));
    let mut layer = Layer::new(Side::Client, MODERN);
    let accepted = Origin::Accepted { listener: 0 };
    layer.tls.opened(ID, accepted, &mut layer.line);
    assert_eq!(layer.closes(), [Close::Flush]);
    layer.closed(ID, CloseCause::Local);
    assert_eq!(layer.told(), [no_name]);
}

#[test]
fn sides_without_a_version_in_common_both_say_why() {
    for side in [Side::Server, Side::Client] {
        let mut layer = Layer::new(side, MODERN);
        layer.open(side, ID);
        let heard = match side {
            Side::Server => {
                let (mut client, bytes) = hello(CLASSIC);
                layer.receive(ID, &bytes);
                client.go_on(&layer.sent(ID), &mut Vec::new())
            }
            Side::Client => {
                let origin = Origin::Accepted { listener: 0 };
                let mut server = Handshake::server(Arc::new(CLASSIC.server()), origin);
                let mut out = Vec::new();
                let progress = server.go_on(&layer.sent(ID), &mut out);
                assert_eq!(progress, Progress::Waits);
                let failed = server.answer(&mut out);
                layer.receive(ID, &out);
                failed
            }
        };
        let theirs = match side {
            // protocol_version
            Side::Server => TlsFault::Alert(70),
            Side::Client => TlsFault::Incompatible,
        };
        assert_eq!(heard, Progress::Failed(theirs));
        let ours = match side {
            Side::Server => TlsFault::Incompatible,
            Side::Client => TlsFault::Alert(70),
        };
        assert_eq!(layer.closes(), [Close::Flush]);
        layer.closed(ID, CloseCause::Local);
        let told = [Told::Closed(CloseCause::Insecure(ours))];
        assert_eq!(layer.told(), told);
    }
}

#[test]
fn what_a_client_sends_right_behind_its_handshake_is_read() {
    for spoken in [MODERN, CLASSIC] {
        let mut layer = Layer::new(Side::Server, spoken);
        layer.open(Side::Server, ID);
        let (mut client, mut out) = hello(spoken);
        let mut done = false;
        while !done {
            layer.receive(ID, &out);
            out.clear();
            done = client.go_on(&layer.sent(ID), &mut out) == Progress::Done;
        }
        let (mut session, rest) = client.into_session().unwrap();
        assert!(rest.is_empty());
        let mut record = vec![0; session.sealer.room()];
        record.extend_from_slice(b"early bird");
        session.sealer.seal(Content::Data, &mut record).unwrap();
        out.extend(record);
        layer.receive(ID, &out);
        assert_eq!(layer.text(), b"early bird", "{spoken:?}");
    }
}

#[test]
fn a_peer_that_takes_nothing_of_the_handshake_is_given_up() {
    let (mut layer, _) = greeted(0..1);
    layer.line.is_full = true;
    expire(&mut layer);
    assert_eq!(layer.closes(), [Close::Flush]);
    layer.closed(id(0), CloseCause::Local);
    let why = CloseCause::Insecure(TlsFault::Backlog);
    assert_eq!(layer.told(), [Told::Closed(why)]);
}

#[test]
fn the_inner_shards_time_is_kept_beside_that_of_handshakes() {
    let (mut layer, _) = greeted(0..1);
    let later = layer.line.now + Duration::from_secs(1);
    layer.tls.inner.deadline = Some(later);
    layer.end_turn();
    assert_eq!(layer.tls.inner.expired, 0);
    assert_eq!(layer.tls.deadline(), Some(later));
    layer.line.now = later;
    layer.end_turn();
    assert_eq!(layer.tls.inner.expired, 1);
}

#[test]
fn what_comes_for_the_last_connection_of_a_slot_does_not_reach_the_next() {
    let (old, new) = (ConnectionId::new(0, 1), ConnectionId::new(0, 2));
    let mut layer = Layer::new(Side::Server, MODERN);
    let _client = greet(&mut layer, old);
    layer.closed(old, CloseCause::Reset);
    layer.open(Side::Server, new);
    layer.told();
    layer.receive(old, b"no TLS");
    layer.closed(old, CloseCause::Local);
    assert_eq!(layer.closes(), []);
    assert_eq!(counts(&mut layer).under_way, 1);
}

/// One core on a clock that only work moves: an answer takes a millisecond, any other event 20 us.
/// Clients come at that many a second, give up after their patience, and finish as soon as they are
/// answered. Returns how many were served in time.
fn served(per_second: u32, lasting: Duration) -> usize {
    const PATIENCE: Duration = Duration::from_millis(40);
    let hello = hello(MODERN).1;
    let mut layer = Layer::new(Side::Server, MODERN);
    let start = layer.line.now;
    let gap = Duration::from_secs(1) / per_second;
    let (mut next, mut served) = (0, 0);
    let mut here: Vec<(u32, Instant)> = Vec::new();
    let mut answered: Vec<u32> = Vec::new();
    while layer.line.now < start + lasting {
        let mut events = 0;
        // Those that were answered say the rest: it is all there is to do for them.
        for slot in answered.drain(..) {
            events += 1;
            if let Some(at) = here.iter().position(|(it, _)| *it == slot) {
                here.swap_remove(at);
                layer.closed(id(slot), CloseCause::PeerEnded);
                served += 1;
            }
        }
        while start + gap * next <= layer.line.now {
            events += 2;
            layer.open(Side::Server, id(next));
            layer
                .tls
                .received(id(next), &mut hello.clone(), &mut layer.line);
            here.push((next, start + gap * next + PATIENCE));
            next += 1;
        }
        let now = layer.line.now;
        here.retain(|(slot, until)| {
            let stays = *until > now;
            if !stays {
                events += 1;
                layer.closed(id(*slot), CloseCause::Reset);
            }
            stays
        });
        if layer.tls.deadline().is_some_and(|at| at <= now) {
            layer.tls.expired(&mut layer.line);
        }
        let sent = std::mem::take(&mut layer.line.sent);
        answered.extend(
            sent.iter()
                .filter_map(|(id, _)| u32::try_from(id.slot()).ok()),
        );
        let work =
            Duration::from_millis(answered.len() as u64) + events * Duration::from_micros(20);
        layer.line.now = now + work.max(Duration::from_micros(50));
    }
    served
}

#[test]
fn under_twice_the_load_as_many_are_served_in_time_as_at_the_limit() {
    let lasting = Duration::from_millis(250);
    let limit = served(900, lasting);
    assert!(limit >= 200, "{limit}");
    let twice = served(2000, lasting);
    assert!(10 * twice >= 9 * limit, "{twice} instead of {limit}");
}
