//! Everything that can go wrong is counted by stage and kind, and the run still ends.

use super::world::{Act, Echo, Script, World};
use super::{MS, config};
use crate::limits;
use crate::load::config::GRACE_TIME;
use crate::load::measure::failure::{Kind, Stage};
use crate::load::measure::outcome::{Ending, Outcome};
use crate::load::{Backoff, Config, Refused, RetryPolicy, Scenario, Target, Transport};
use crate::shard::CloseCause;
use std::time::Duration;

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

fn say(bytes: &[u8]) -> (Duration, Act) {
    (MS, Act::Say(bytes.to_vec()))
}

fn run(config: &Config, script: Script) -> (Outcome, Duration, Script) {
    let mut world = World::new(1, config, script);
    let (outcome, took) = world.run();
    let connects = outcome.connects;
    assert_eq!(connects.planned, connects.attempted + connects.dropped);
    assert_eq!(
        connects.attempted,
        connects.up + connects.failed + connects.unfinished
    );
    assert_eq!(
        outcome.messages.sent,
        outcome.messages.replied + outcome.messages.lost
    );
    (outcome, took, world.peer)
}

fn ws() -> Config {
    Config {
        connections: 3,
        ..config()
    }
}

fn sse() -> Config {
    Config {
        transport: Transport::Sse,
        scenario: Scenario::Listen,
        ..ws()
    }
}

fn assert_never_began(config: &Config, script: Script, stage: Stage, kind: Kind) {
    let (outcome, took, _) = run(config, script);
    assert_eq!(
        outcome.failures.of(stage, kind),
        3,
        "{:?}",
        outcome.failures
    );
    assert_eq!(outcome.failures.total(), 3);
    assert_eq!((outcome.connects.up, outcome.connects.failed), (0, 3));
    assert_eq!(outcome.ending, Ending::NeverBegan);
    assert!(took < Duration::from_secs(12), "{took:?}");
}

fn assert_lost(config: &Config, script: Script, kind: Kind) -> Script {
    let (outcome, took, peer) = run(config, script);
    assert_eq!(
        outcome.failures.of(Stage::Open, kind),
        3,
        "{:?}",
        outcome.failures
    );
    assert_eq!(outcome.failures.total(), 3);
    assert_eq!((outcome.connects.up, outcome.connects.ended_early), (3, 3));
    assert_eq!(outcome.ending, Ending::Deserted);
    assert!(took < Duration::from_secs(1), "{took:?}");
    peer
}

#[test]
fn a_connect_that_ends_is_counted_by_its_cause() {
    let causes = [
        (CloseCause::Refused, Kind::Refused),
        (CloseCause::Unreachable, Kind::Unreachable),
        (CloseCause::TimedOut, Kind::TimedOut),
        (CloseCause::Reset, Kind::Reset),
        (CloseCause::NoSourcePort, Kind::NoSourcePort),
        (CloseCause::NoDescriptor, Kind::NoDescriptor),
        (CloseCause::Os(5), Kind::Os(5)),
    ];
    for (cause, kind) in causes {
        let script = Script::new(vec![(MS, Act::End(cause))], Vec::new());
        assert_never_began(&ws(), script, Stage::Connect, kind);
    }
}

#[test]
fn a_connect_that_hangs_is_timed_out() {
    assert_never_began(
        &ws(),
        Script::new(vec![], vec![]),
        Stage::Connect,
        Kind::TimedOut,
    );
}

#[test]
fn an_upgrade_that_hangs_is_timed_out() {
    assert_never_began(
        &ws(),
        Script::answering(vec![]),
        Stage::Upgrade,
        Kind::TimedOut,
    );
    let half = Script::answering(vec![say(b"HTTP/1.1 101 Switching Pro")]);
    assert_never_began(&ws(), half, Stage::Upgrade, Kind::TimedOut);
}

#[test]
fn a_server_that_closes_at_once_is_counted() {
    let ended = Script::answering(vec![(MS, Act::End(CloseCause::PeerEnded))]);
    assert_never_began(&ws(), ended, Stage::Upgrade, Kind::Ended);
    let reset = Script::answering(vec![(MS, Act::End(CloseCause::Reset))]);
    assert_never_began(&ws(), reset, Stage::Upgrade, Kind::Reset);
}

#[test]
fn another_status_is_counted_by_its_number() {
    for status in [200, 301, 404, 426, 503] {
        let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n");
        let script = Script::answering(vec![say(head.as_bytes())]);
        assert_never_began(&ws(), script, Stage::Upgrade, Kind::HttpStatus(status));
    }
    let head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
    let script = Script::answering(vec![say(head)]);
    assert_never_began(&sse(), script, Stage::Upgrade, Kind::HttpStatus(429));
}

#[test]
fn garbage_instead_of_a_response_is_counted() {
    let endless = vec![b'x'; 70_000];
    let garbage: [&[u8]; 4] = [
        b"\x00\x01\x02\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\n\n\n",
        &endless,
    ];
    let reasons = [
        "an HTTP version but 1.0 and 1.1",
        "an HTTP version but 1.0 and 1.1",
        "empty lines before the head",
        "the head is too long",
    ];
    for (bytes, reason) in garbage.into_iter().zip(reasons) {
        let script = Script::answering(vec![say(bytes)]);
        let kind = Kind::BadResponse(reason);
        assert_eq!(kind.to_string(), format!("bad_response: {reason}"));
        assert_never_began(&ws(), script, Stage::Upgrade, kind);
    }
}

#[test]
fn a_101_that_does_not_verify_is_counted() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    let script = Script::answering(vec![say(head)]);
    assert_never_began(
        &ws(),
        script,
        Stage::Upgrade,
        Kind::BadResponse("101 with another key's Sec-WebSocket-Accept"),
    );
}

#[test]
fn a_200_of_another_type_is_no_event_stream() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n";
    let script = Script::answering(vec![say(head)]);
    assert_never_began(&sse(), script, Stage::Upgrade, Kind::NotEventStream);
}

#[test]
fn interim_responses_are_skipped() {
    let script = Script::answering(vec![
        say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
        (2 * MS, Act::Say(UPGRADED.to_vec())),
    ]);
    let (outcome, ..) = run(
        &Config {
            scenario: Scenario::Idle,
            ..ws()
        },
        script,
    );
    assert_eq!((outcome.connects.up, outcome.failures.total()), (3, 0));
}

#[test]
fn who_finds_no_slot_waits_for_one_and_fails_when_there_is_none_in_time() {
    let mut world = World::new(1, &ws(), Script::answering(vec![say(UPGRADED)]));
    world.cores[0].1.limit(2);
    let (outcome, _) = world.run();
    assert_eq!(outcome.failures.of(Stage::Connect, Kind::NoSlot), 1);
    let connects = outcome.connects;
    assert_eq!((connects.up, connects.failed), (2, 1));
    assert_eq!(connects.waited_for_slot, 1);
}

#[test]
fn who_comes_back_to_a_full_table_waits_until_a_slot_is_free_and_fails_nowhere() {
    // Each connection is closed after 20 ms, and the server keeps the next ones waiting.
    let answers = vec![
        say(UPGRADED),
        (20 * MS, Act::Say(vec![0x88, 2, 0x03, 0xe9])),
    ];
    let config = Config {
        scenario: Scenario::Idle,
        connections: 4,
        retry: RetryPolicy {
            retries: 0,
            reconnects: 1_000,
            backoff: Backoff {
                least: MS,
                most: MS,
            },
            refused: Refused::Again,
        },
        connect_phase: Duration::from_millis(30),
        ..ws()
    };
    let mut world = World::new(1, &config, Script::answering(answers));
    world.cores[0].1.limit(2);
    let (outcome, _) = world.run();
    let (connects, returns) = (outcome.connects, outcome.returns);
    assert!(connects.waited_for_slot > 2, "{connects:?}");
    assert!(returns.resumed > 20, "{returns:?}");
    let open = outcome.failures.of(Stage::Open, Kind::CloseCode(1001));
    let short = outcome.failures.of(Stage::Connect, Kind::NoSlot);
    assert_eq!(
        outcome.failures.total(),
        open + short,
        "{:?}",
        outcome.failures
    );
    assert_eq!(
        short, connects.failed,
        "only what never had a slot has failed"
    );
    assert_eq!(
        returns.lost,
        returns.resumed + returns.given_up + returns.absent
    );
}

#[test]
fn the_next_address_of_a_name_is_tried_at_once_and_a_dead_one_is_passed_over() {
    // RFC 8305: what refuses costs nothing, what is silent 250 ms.
    let echo = || Echo::new(|_, now| Some(now + MS));
    let all = ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"].map(|at| at.parse().unwrap());
    for silent in [None, Some(CloseCause::Refused)] {
        let config = Config {
            connections: 30,
            targets: vec![Target::Any(all.into())],
            ..config()
        };
        let mut world = World::new(1, &config, echo());
        world.dead = Some((all[1], silent));
        let (outcome, took) = world.run();
        let connects = outcome.connects;
        assert_eq!((connects.up, connects.failed), (30, 0));
        assert_eq!(outcome.failures.total(), 0, "{:?}", outcome.failures);
        let to = |address| world.targets.iter().filter(|to| **to == address).count();
        // Those that were under way when it was found out, and none after.
        assert_eq!([to(all[0]), to(all[1]), to(all[2])], [10, 10, 20]);
        assert!(took < Duration::from_millis(2_500), "{took:?}");
    }
    let config = Config {
        connections: 2,
        targets: vec![Target::Any(all[1..2].into())],
        ..config()
    };
    let mut world = World::new(1, &config, echo());
    world.dead = Some((all[1], Some(CloseCause::Refused)));
    let (outcome, _) = world.run();
    assert_eq!(outcome.failures.of(Stage::Connect, Kind::Refused), 2);
}

#[test]
fn the_last_address_of_a_name_has_all_the_time_that_there_is() {
    let silent = "127.0.0.1:1".parse().unwrap();
    let config = Config {
        targets: vec![Target::Any([silent, silent].into())],
        connect_time: Duration::from_secs(2),
        ..config()
    };
    let mut world = World::new(1, &config, Echo::new(|_, now| Some(now + MS)));
    world.dead = Some((silent, None));
    let (outcome, took) = world.run();
    let timed_out = outcome.failures.of(Stage::Connect, Kind::TimedOut);
    assert_eq!(timed_out, u64::from(config.connections));
    // RFC 8305: 250 ms for the one before it.
    assert!((2_250..2_500).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_close_code_is_counted_and_answered() {
    let answers = vec![say(UPGRADED), (3 * MS, Act::Say(vec![0x88, 2, 0x03, 0xf4]))];
    let peer = assert_lost(&ws(), Script::answering(answers), Kind::CloseCode(1012));
    let closes = peer.heard.iter().filter(|byte| **byte == 0x88).count();
    assert!(closes >= 3, "RFC 6455, 5.5.1");
    let bare = vec![say(UPGRADED), (3 * MS, Act::Say(vec![0x88, 0]))];
    assert_lost(&ws(), Script::answering(bare), Kind::CloseCode(1005));
}

#[test]
fn an_open_connection_that_ends_without_a_word_is_counted() {
    for (cause, kind) in [
        (CloseCause::PeerEnded, Kind::Ended),
        (CloseCause::Reset, Kind::Reset),
    ] {
        let answers = vec![say(UPGRADED), (3 * MS, Act::End(cause))];
        assert_lost(&ws(), Script::answering(answers), kind);
    }
}

#[test]
fn broken_frames_are_counted_by_the_code_they_are_closed_with() {
    let masked = vec![0x81, 0x80, 0, 0, 0, 0];
    let not_utf8 = vec![0x81, 1, 0xff];
    let huge = [&[0x82, 127][..], &(1_u64 << 40).to_be_bytes()].concat();
    for (frame, kind) in [
        (masked, Kind::Protocol(1002)),
        (not_utf8, Kind::Protocol(1007)),
        (huge, Kind::TooLarge),
    ] {
        let answers = vec![say(UPGRADED), (3 * MS, Act::Say(frame))];
        assert_lost(&ws(), Script::answering(answers), kind);
    }
}

#[test]
fn what_is_too_large_for_this_client_is_not_the_servers_mistake() {
    let idle = Config {
        scenario: Scenario::Idle,
        message_bytes_max: 100,
        fragments_max: 3,
        payload_bytes: 32,
        ..ws()
    };
    let large = [&[0x82, 101][..], &[0; 101]].concat();
    let pieces = [&[0x02, 0][..], &[0, 0, 0, 0, 0, 0]].concat();
    for frames in [large, pieces] {
        let answers = vec![say(UPGRADED), (3 * MS, Act::Say(frames))];
        let peer = assert_lost(&idle, Script::answering(answers), Kind::TooLarge);
        // RFC 6455, 7.4.1: 1009 says so.
        let [0x88, 0x82, k0, k1, _, _, a, b, ..] = peer.heard[..] else {
            panic!("no close frame: {:?}", peer.heard);
        };
        assert_eq!([a ^ k0, b ^ k1], 1009_u16.to_be_bytes());
    }
    let events = Config {
        message_bytes_max: 100,
        ..sse()
    };
    let event = format!("80\r\ndata: {}\r\n", "x".repeat(122));
    let answers = vec![say(STREAM), (3 * MS, Act::Say(event.into_bytes()))];
    assert_lost(&events, Script::answering(answers), Kind::TooLarge);
    assert_eq!(Kind::TooLarge.to_string(), "too_large");
}

#[test]
fn an_event_stream_that_ends_is_counted_as_its_framing_says() {
    let last_chunk = vec![say(STREAM), (3 * MS, Act::Say(b"0\r\n\r\n".to_vec()))];
    assert_lost(&sse(), Script::answering(last_chunk), Kind::StreamEnded);
    let cut = vec![say(STREAM), (3 * MS, Act::End(CloseCause::PeerEnded))];
    assert_lost(&sse(), Script::answering(cut), Kind::Ended);
    let plain = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let to_the_end = vec![say(plain), (3 * MS, Act::End(CloseCause::PeerEnded))];
    assert_lost(&sse(), Script::answering(to_the_end), Kind::StreamEnded);
    let bad_chunk = vec![say(STREAM), (3 * MS, Act::Say(b"zz\r\n".to_vec()))];
    assert_lost(&sse(), Script::answering(bad_chunk), Kind::BadStream);
}

#[test]
fn a_flood_of_wrong_messages_is_counted_and_changes_nothing() {
    let flood = [0x81, 5, b'h', b'e', b'l', b'l', b'o'].repeat(10_000);
    let answers = vec![say(UPGRADED), (3 * MS, Act::Say(flood))];
    let (outcome, took, _) = run(&ws(), Script::answering(answers));
    assert_eq!(outcome.messages.wrong, 30_000);
    assert_eq!((outcome.messages.sent, outcome.messages.lost), (3, 3));
    assert!(took < Duration::from_millis(2_100) + GRACE_TIME, "{took:?}");
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    // RFC 6455, 5.5.2
    let answers = vec![
        say(UPGRADED),
        (3 * MS, Act::Say(vec![0x89, 3, b'a', b'b', b'c'])),
    ];
    let idle = Config {
        scenario: Scenario::Idle,
        connections: 1,
        ..ws()
    };
    let (outcome, _, peer) = run(&idle, Script::answering(answers));
    assert_eq!(outcome.failures.total(), 0);
    let [0x8a, 0x83, k0, k1, k2, _, a, b, c, ..] = peer.heard[..] else {
        panic!("no masked pong: {:?}", peer.heard);
    };
    assert_eq!([a ^ k0, b ^ k1, c ^ k2], *b"abc");
}

/// RFC 6455, 5.5.3: the latest ping is answered, once there is room for it.
#[test]
fn pings_of_a_peer_that_does_not_read_are_not_answered() {
    for (backlog, answered) in [
        (limits::BACKLOG_HIGH - 1, true),
        (limits::BACKLOG_HIGH, false),
    ] {
        let answers = vec![
            say(UPGRADED),
            (3 * MS, Act::Say(vec![0x89, 3, b'a', b'b', b'c'])),
        ];
        let idle = Config {
            scenario: Scenario::Idle,
            connections: 1,
            ..ws()
        };
        let mut world = World::new(1, &idle, Script::answering(answers));
        world.cores[0].1.backlog = backlog;
        world.run();
        // A pong, or else the close frame at the end.
        let first = if answered { 0x8a } else { 0x88 };
        assert_eq!(world.peer.heard.first(), Some(&first), "{backlog}");
    }
}

#[test]
fn a_name_that_was_not_found_fails_its_connections_and_no_others() {
    let echo = || Echo::new(|_, now| Some(now + MS));
    let known = config().targets.remove(0);
    let config = Config {
        targets: vec![known, Target::Unknown],
        retry: RetryPolicy {
            retries: 3,
            ..RetryPolicy::NEVER
        },
        ..config()
    };
    for cores in [1, 2, 3] {
        let (outcome, took) = World::new(cores, &config, echo()).run();
        let connects = outcome.connects;
        assert_eq!((connects.up, connects.failed), (2, 2));
        // Looking it up again would find no more.
        assert_eq!(outcome.failures.of(Stage::Connect, Kind::Dns), 2);
        assert_eq!((outcome.failures.total(), connects.retries), (2, 0));
        assert_eq!(outcome.ending, Ending::Complete);
        assert!(took >= Duration::from_secs(1));
    }
    let nowhere = Config {
        targets: vec![Target::Unknown],
        connections: 1_000,
        ..config
    };
    let (outcome, _) = World::new(2, &nowhere, echo()).run();
    assert_eq!(outcome.failures.of(Stage::Connect, Kind::Dns), 1_000);
    assert_eq!(outcome.ending, Ending::NeverBegan);
}
