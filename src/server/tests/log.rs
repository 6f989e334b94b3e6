//! What is told of connections: who opens, closes and is refused, from which level on.

use super::*;
use crate::door::{DoorLimits, DoorRate};
use crate::server::log::{ConnectionEnd, LogDeed, LogEvent, LogLevel, LogQueue};

fn logged(level: LogLevel) -> (Rig, LogQueue) {
    let log = LogQueue::new(1, level);
    let mut rig = Rig::new(Config {
        log: log.clone(),
        limits: DoorLimits {
            messages: DoorRate::per_second(2),
            ..DoorLimits::default()
        },
        ..config()
    });
    rig.wire.from = Some("192.0.2.7".parse().unwrap());
    (rig, log)
}

fn told(log: &LogQueue) -> Vec<LogEvent> {
    let mut all = Vec::new();
    log.take(|event| all.push(event));
    all
}

fn end(event: &LogEvent) -> &ConnectionEnd {
    match &event.what {
        LogDeed::Closed(end) => end,
        LogDeed::Opened(_) | LogDeed::Refused { .. } => panic!("{event:?}"),
    }
}

#[test]
fn a_websocket_is_told_of_with_peer_route_cause_duration_and_bytes() {
    let (mut rig, log) = logged(LogLevel::Info);
    let request = upgrade("/echo").replace("/echo ", "/echo?token=secret ");
    let id = rig.asked(&request);
    let head = rig.sent(id).len() as u64;
    let message = masked(Opcode::Text, b"hello");
    rig.receive(id, &message);
    rig.wire.now += Duration::from_millis(1500);
    rig.gone(id, CloseCause::Reset);
    let all = told(&log);
    let [opened, closed] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(opened.what, LogDeed::Opened("websocket"));
    assert_eq!(opened.peer, rig.wire.from);
    // A query may have secrets.
    assert_eq!(opened.route.as_deref(), Some("/echo"));
    assert_eq!((opened.connection, closed.connection), (Some(1), Some(1)));
    let came = (request.len() + message.len()) as u64;
    // A frame of five bytes has a head of two.
    let left = head + 7;
    assert_eq!(
        end(closed),
        &ConnectionEnd {
            transport: "websocket",
            cause: "reset",
            code: None,
            duration: Duration::from_millis(1500),
            received_bytes: came,
            sent_bytes: left,
        }
    );
}

#[test]
fn who_is_ended_here_is_told_of_with_the_reason_and_the_code() {
    let (mut rig, log) = logged(LogLevel::Info);
    let id = rig.socket("/echo");
    rig.receive(id, &masked(Opcode::Text, b"1").repeat(3));
    rig.receive(id, &masked(Opcode::Close, &1008_u16.to_be_bytes()));
    rig.gone(id, CloseCause::Local);
    let all = told(&log);
    let closed = end(all.last().unwrap());
    assert_eq!((closed.cause, closed.code), ("overuse", Some(1008)));
}

#[test]
fn refusals_are_told_from_warn_on_and_plain_connections_from_debug_on() {
    for (level, expected) in [
        (LogLevel::Off, &[][..]),
        (
            LogLevel::Warn,
            &[("refused", "no such route; / lists them")],
        ),
        (
            LogLevel::Info,
            &[("refused", "no such route; / lists them")],
        ),
        (
            LogLevel::Debug,
            &[
                ("refused", "no such route; / lists them"),
                ("closed", "peer_ended"),
            ],
        ),
    ] {
        let (mut rig, log) = logged(level);
        let id = rig.asked(&get("/nowhere"));
        rig.gone(id, CloseCause::PeerEnded);
        let all = told(&log);
        let kinds: Vec<_> = all.iter().map(|event| event.what.kind()).collect();
        assert_eq!(kinds, expected, "{level:?}");
        let routes = all.iter().all(|it| it.route.as_deref() == Some("/nowhere"));
        assert!(routes, "{all:?}");
    }
}

#[test]
fn the_level_is_another_from_the_next_connection_on_and_off_forgets_all() {
    let (mut rig, log) = logged(LogLevel::Off);
    let before = rig.socket("/echo");
    log.set_level(LogLevel::Info);
    let during = rig.socket("/echo");
    rig.gone(before, CloseCause::Reset);
    rig.gone(during, CloseCause::Reset);
    let known: Vec<_> = told(&log).iter().map(|it| it.connection).collect();
    assert_eq!(known, [Some(1), Some(1)], "opened and closed, of one");
    let last = rig.socket("/echo");
    log.set_level(LogLevel::Off);
    rig.socket("/echo");
    rig.gone(last, CloseCause::Reset);
    assert_eq!(told(&log).len(), 1);
}

#[test]
fn what_finds_no_room_is_lost_and_counted() {
    let (mut rig, log) = logged(LogLevel::Warn);
    for _ in 0..limits::LOG_EVENTS + 3 {
        rig.server.closed(
            ConnectionId::new(9, 9),
            CloseCause::Insecure(FAULT),
            &mut rig.wire,
        );
    }
    assert_eq!(told(&log).len(), limits::LOG_EVENTS);
    let id = rig.asked(&get("/stats"));
    assert!(rig.text(id).contains("\"log_lost\":3"));
}

const FAULT: crate::shard::TlsFault = crate::shard::TlsFault::Ended;
