//! Limits: who is not let in, who is ended, what is told and counted of it.

use super::*;
use crate::app::realtime::RealtimePlan;
use crate::door::{DoorLimits, DoorRate};
use crate::protocol::websocket::OriginPolicy;
use crate::server::{Barred, ServerNews};
use crate::shard::ReceiveInto;
use std::sync::atomic::Ordering::Relaxed;

fn limited(limits: DoorLimits) -> Rig {
    Rig::new(Config {
        limits,
        admin_listener: Some(1),
        ..config()
    })
}

#[test]
fn who_comes_from_a_crowded_address_gets_429_and_a_place_that_is_left_is_the_next_ones() {
    let mut rig = limited(DoorLimits {
        per_address: Some(2),
        ..DoorLimits::default()
    });
    rig.wire.from = Some(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
    let first = rig.socket("/echo");
    rig.socket("/echo");
    for _ in 0..2 {
        let late = rig.asked(&upgrade("/echo"));
        let answer = rig.text(late);
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        // RFC 6585, 4.
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
        assert_eq!(rig.closed(late), Some(Close::Flush));
        rig.gone(late, CloseCause::Local);
    }
    let barred = Barred {
        address: 2,
        ..Barred::default()
    };
    let tally = rig.tally();
    assert_eq!(
        (tally.barred, tally.decided.barred, tally.refused),
        (barred, 2, 0)
    );
    assert_eq!(
        rig.server
            .core
            .shared
            .config()
            .refusals
            .barred
            .load(Relaxed),
        2
    );
    rig.gone(first, CloseCause::Reset);
    rig.socket("/echo");
}

/// A request that a trusted proxy passes on for that client.
fn passed_on(path: &str, client: &str) -> String {
    let field = format!("\r\nX-Forwarded-For: {client}\r\n\r\n");
    upgrade(path).replace("\r\n\r\n", &field)
}

fn one_each() -> DoorLimits {
    DoorLimits {
        per_address: Some(1),
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
        ..DoorLimits::default()
    }
}

#[test]
fn a_websocket_beside_requests_is_looked_through_to_its_client_too() {
    let mut rig = Rig::new(Config {
        limits: one_each(),
        realtime: Some(RealtimePlan::dev([7; 32])),
        ..config()
    });
    rig.wire.from = Some(std::net::Ipv4Addr::new(10, 0, 0, 1).into());
    let path = "/socket.io/?EIO=4&transport=websocket";
    for (client, status) in [
        ("192.0.2.1", "101"),
        ("192.0.2.1", "429"),
        ("192.0.2.2", "101"),
    ] {
        let asked = rig.asked(&passed_on(path, client));
        let answer = rig.sent(asked);
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(line.as_bytes()), "{client}: {status}");
    }
}

#[test]
fn a_trusted_proxy_is_looked_through_and_others_are_not() {
    let from = |client: &str| passed_on("/echo", client);
    let mut rig = limited(one_each());
    rig.wire.from = Some(std::net::Ipv4Addr::new(10, 0, 0, 1).into());
    for (client, status) in [
        ("192.0.2.1", "101"),
        ("192.0.2.1", "429"),
        // Whatever it says of itself, the proxy has appended who it is.
        ("198.51.100.1, 192.0.2.1", "429"),
        ("192.0.2.2", "101"),
    ] {
        let asked = rig.asked(&from(client));
        let answer = rig.text(asked);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{client}: {answer}"
        );
    }
    assert_eq!(
        (rig.tally().barred.address, rig.tally().decided.barred),
        (2, 2)
    );
    rig.wire.from = Some(std::net::Ipv4Addr::new(192, 0, 2, 3).into());
    for (client, status) in [("192.0.2.4", "101"), ("192.0.2.5", "429")] {
        let asked = rig.asked(&from(client));
        assert!(
            rig.text(asked).starts_with(&format!("HTTP/1.1 {status} ")),
            "{client}"
        );
    }
}

#[test]
fn newcomers_that_come_too_fast_get_503_and_those_for_health_do_not() {
    let mut rig = limited(DoorLimits {
        connects: DoorRate::per_second(2),
        ..DoorLimits::default()
    });
    rig.socket("/echo");
    rig.socket("/echo");
    let late = rig.asked(&get("/"));
    assert!(rig.text(late).starts_with("HTTP/1.1 503 "));
    assert_eq!(rig.tally().barred.connects, 1);
    rig.wire.now += Duration::from_millis(500);
    rig.socket("/echo");
}

#[test]
fn who_says_too_much_is_closed_with_1008_and_nobody_else() {
    let messages = DoorLimits {
        messages: DoorRate::per_second(3),
        ..DoorLimits::default()
    };
    let bytes = DoorLimits {
        bytes: DoorRate::per_second(400),
        ..DoorLimits::default()
    };
    for (limits, reason) in [(messages, "too many messages"), (bytes, "too many bytes")] {
        let mut rig = limited(limits);
        let (loud, quiet) = (rig.socket("/echo"), rig.socket("/echo"));
        for _ in 0..3 {
            rig.receive(loud, &masked(Opcode::Text, b"1234"));
        }
        assert_eq!(rig.sent(loud).len(), 3 * 6);
        rig.receive(loud, &masked(Opcode::Text, &[b'x'; 300]));
        let close = [&1008_u16.to_be_bytes()[..], reason.as_bytes()].concat();
        assert!(rig.sent(loud).ends_with(&plain(Opcode::Close, &close)));
        rig.receive(loud, &masked(Opcode::Close, &1008_u16.to_be_bytes()));
        assert_eq!(rig.closed(loud), Some(Close::Flush));
        rig.receive(quiet, &masked(Opcode::Text, b"1234"));
        assert_eq!(rig.sent(quiet).len(), 6);
        let decided = rig.tally().decided;
        assert_eq!((decided.overuse, decided.fault), (1, 0));
    }
}

/// What the kernel puts into the message itself has been said as well.
#[test]
fn a_large_message_counts_whole_however_it_is_received() {
    let mut rig = limited(DoorLimits {
        bytes: DoorRate::per_second(100_000),
        ..DoorLimits::default()
    });
    let loud = rig.socket("/echo");
    let message = masked(Opcode::Binary, &[b'x'; 300_000]);
    let (first, mut rest) = message.split_at(50_000);
    rig.receive(loud, first);
    while let Some(ReceiveInto { mut buffer, most }) = rig.server.receive_into(loud) {
        let (came, later) = rest.split_at(most.min(rest.len()));
        buffer.extend_from_slice(came);
        rest = later;
        rig.server.received_into(loud, buffer, &mut rig.wire);
    }
    assert_eq!(close_code(&rig.sent(loud)), 1008);
    rig.receive(loud, &masked(Opcode::Close, &1008_u16.to_be_bytes()));
    assert_eq!(rig.closed(loud), Some(Close::Flush));
    assert_eq!(rig.tally().decided.overuse, 1);
}

#[test]
fn who_says_nothing_and_whose_time_is_over_is_closed_and_counted() {
    let silence = DoorLimits {
        first_message: Some(Duration::from_secs(2)),
        ..DoorLimits::default()
    };
    let lifetime = DoorLimits {
        lifetime: Some(Duration::from_secs(5)),
        ..DoorLimits::default()
    };
    for (limits, code, expected) in [(silence, 1008, (1, 0)), (lifetime, 1001, (0, 2))] {
        let mut rig = limited(limits);
        let (speaks, silent) = (rig.socket("/echo"), rig.socket("/echo"));
        rig.receive(speaks, &masked(Opcode::Text, b"1234"));
        rig.sent(speaks);
        rig.pass(Duration::from_secs(6));
        assert_eq!(close_code(&rig.sent(silent)), code);
        for socket in [speaks, silent] {
            rig.receive(socket, &masked(Opcode::Close, &code.to_be_bytes()));
        }
        let decided = rig.tally().decided;
        assert_eq!((decided.unheard, decided.lifetime), expected);
    }
}

#[test]
fn limits_can_be_others_while_the_server_runs() {
    let mut rig = limited(DoorLimits::default());
    rig.socket("/echo");
    let news = rig.server.core.shared.config().news.clone();
    news.say(ServerNews {
        origins: OriginPolicy::Any,
        limits: DoorLimits {
            connects: DoorRate::per_second_milli(1),
            ..DoorLimits::default()
        },
        head_time: Duration::from_secs(1),
        public: std::sync::Arc::default(),
    });
    rig.socket("/echo");
    let late = rig.asked(&get("/"));
    assert!(rig.text(late).starts_with("HTTP/1.1 503 "));
}
