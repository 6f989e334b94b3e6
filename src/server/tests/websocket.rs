//! Echo and push over WebSocket: messages, pings, faults, closing, slow and silent peers.

use super::*;
use crate::app::realtime::RealtimePlan;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_echo_returns_each_message_with_its_type() {
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    let long = vec![7; 70_000];
    let mut all = masked(Opcode::Text, "grüße".as_bytes());
    all.extend(masked(Opcode::Binary, &[0, 255]));
    all.extend(masked(Opcode::Text, b""));
    all.extend(masked(Opcode::Binary, &long));
    rig.receive(id, &all);
    let mut wanted = plain(Opcode::Text, "grüße".as_bytes());
    wanted.extend(plain(Opcode::Binary, &[0, 255]));
    wanted.extend(plain(Opcode::Text, b""));
    wanted.extend(plain(Opcode::Binary, &long));
    assert_eq!(rig.sent(id), wanted);
    assert_eq!((rig.tally().messages_in, rig.tally().messages_out), (4, 4));
}

#[test]
fn frames_that_come_with_the_upgrade_are_heard() {
    let mut bytes = upgrade("/echo").into_bytes();
    bytes.extend(masked(Opcode::Text, b"early"));
    for split in 0..bytes.len() {
        let mut rig = Rig::new(config());
        let id = rig.open();
        rig.receive(id, &bytes[..split]);
        rig.receive(id, &bytes[split..]);
        let sent = rig.sent(id);
        assert!(
            sent.ends_with(&plain(Opcode::Text, b"early")),
            "split at {split}"
        );
    }
}

#[test]
fn the_upgrade_agrees_on_a_subprotocol_it_speaks() {
    let subprotocols = vec!["b".to_owned()];
    let mut rig = Rig::new(Config {
        subprotocols,
        ..config()
    });
    let request = upgrade("/echo").replace("Host: a", "Host: a\r\nSec-WebSocket-Protocol: a, b");
    let id = rig.asked(&request);
    assert!(rig.text(id).contains("Sec-WebSocket-Protocol: b\r\n"));
}

#[test]
fn a_ping_between_fragments_is_answered_at_once() {
    // RFC 6455, 5.4 and 5.5.2.
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    let mut first = masked(Opcode::Text, b"hel");
    first[0] &= 0x7f;
    let mut last = masked(Opcode::Text, b"lo");
    last[0] = 0x80;
    rig.receive(id, &first);
    rig.receive(id, &masked(Opcode::Ping, b"now"));
    assert_eq!(rig.sent(id), plain(Opcode::Pong, b"now"));
    rig.receive(id, &last);
    assert_eq!(rig.sent(id), plain(Opcode::Text, b"hello"));
    rig.receive(id, &masked(Opcode::Pong, b"unasked"));
    assert_eq!(rig.sent(id), b"");
}

#[test]
fn a_close_is_answered_with_its_code_and_the_connection_ends() {
    // RFC 6455, 5.5.1 and 7.1.1.
    let mut rig = Rig::new(config());
    for (payload, answer) in [
        (&b""[..], plain(Opcode::Close, b"")),
        (&1000_u16.to_be_bytes(), close_frame(1000)),
        (&[0x0f, 0xa0, b'b', b'y', b'e'], close_frame(4000)),
    ] {
        let id = rig.socket("/echo");
        let mut bytes = masked(Opcode::Close, payload);
        bytes.extend(masked(Opcode::Text, b"after the close"));
        rig.receive(id, &bytes);
        assert_eq!(rig.sent(id), answer);
        assert_eq!(rig.closed(id), Some(Close::Flush));
    }
    assert_eq!((rig.tally().decided.done, rig.tally().messages_in), (3, 0));
}

#[test]
fn each_fault_closes_with_its_code() {
    let text = |bytes: &[u8]| masked(Opcode::Text, bytes);
    let close = |payload: &[u8]| masked(Opcode::Close, payload);
    let with_first = |mut frame: Vec<u8>, first: u8| {
        frame[0] = first;
        frame
    };
    let cases = [
        ("unmasked", plain(Opcode::Text, b"a"), 1002),
        ("reserved bit", with_first(text(b"a"), 0xc1), 1002),
        ("unknown opcode", with_first(text(b"a"), 0x83), 1002),
        (
            "continuation of nothing",
            with_first(text(b"a"), 0x80),
            1002,
        ),
        ("fragmented ping", with_first(text(b"a"), 0x09), 1002),
        ("long ping", with_first(text(&[0; 126]), 0x89), 1002),
        ("not UTF-8", text(&[0xff]), 1007),
        ("one byte of close", close(b"\x03"), 1002),
        ("code 1005", close(&1005_u16.to_be_bytes()), 1002),
        ("code 999", close(&999_u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", close(&[0x03, 0xe8, 0xff]), 1007),
        (
            "length with its top bit",
            vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
            1002,
        ),
        (
            "too big",
            vec![0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4],
            1009,
        ),
    ];
    let mut rig = Rig::new(config());
    for (name, bytes, code) in cases {
        let id = rig.socket("/echo");
        rig.receive(id, &bytes);
        assert_eq!(close_code(&rig.sent(id)), code, "{name}");
        assert_eq!(rig.closed(id), Some(Close::Flush), "{name}");
    }
    assert_eq!(rig.tally().decided.fault, 13);
}

#[test]
fn too_many_fragments_close_with_1009() {
    let mut rig = Rig::new(Config {
        max_fragments: 4,
        ..config()
    });
    let id = rig.socket("/echo");
    let mut first = masked(Opcode::Text, b"");
    first[0] = 0x01;
    rig.receive(id, &first);
    let mut next = masked(Opcode::Text, b"");
    next[0] = 0x00;
    for _ in 0..4 {
        rig.receive(id, &next);
    }
    assert_eq!(close_code(&rig.sent(id)), 1009);
}

#[test]
fn a_push_listener_gets_every_message_until_it_leaves() {
    let mut rig = Rig::new(config());
    let (stays, leaves, third) = (
        rig.socket("/push"),
        rig.socket("/push"),
        rig.socket("/push"),
    );
    rig.pass(Duration::from_millis(250));
    let heard = rig.sent(stays);
    let text = |n: u64| {
        let sent = START + Duration::from_millis(100 * n);
        plain(
            Opcode::Text,
            format!("{{\"seq\":{n},\"sent_ns\":{}}}", sent.as_nanos()).as_bytes(),
        )
    };
    assert_eq!(heard, [text(1), text(2)].concat());
    assert_eq!(rig.sent(leaves), heard);
    rig.receive(leaves, &masked(Opcode::Close, b""));
    rig.sent(leaves);
    rig.receive(third, &masked(Opcode::Text, b"nobody hears this"));
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.sent(stays), text(3));
    assert_eq!(rig.sent(third), [text(1), text(2), text(3)].concat());
    assert_eq!(rig.sent(leaves), b"");
    rig.gone(stays, CloseCause::PeerEnded);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.sent(third), text(4));
    rig.gone(third, CloseCause::PeerEnded);
    rig.gone(leaves, CloseCause::Local);
    assert_eq!(rig.tally().messages_out, 9);
}

#[test]
fn a_push_without_listeners_wakes_nobody() {
    let mut rig = Rig::new(Config {
        silence: None,
        ..config()
    });
    let id = rig.socket("/push");
    rig.gone(id, CloseCause::PeerEnded);
    // What is left is the entry for the head's deadline.
    rig.pass(Duration::from_secs(11));
    assert_eq!(rig.server.deadline(), None);
}

#[test]
fn a_push_listener_that_does_not_read_is_closed_with_1013_and_gets_nothing_more() {
    let mut rig = Rig::new(config());
    let (slow, fast) = (rig.socket("/push"), rig.socket("/push"));
    rig.line(slow).backlog = limits::BACKLOG_BYTES - 10;
    rig.pass(Duration::from_millis(150));
    assert_eq!(rig.sent(slow), close_frame(1013));
    assert_eq!(rig.closed(slow), None);
    assert!(!rig.sent(fast).is_empty());
    rig.line(slow).backlog = 0;
    rig.pass(Duration::from_millis(300));
    assert_eq!(rig.sent(slow), b"");
    // RFC 6455, 7.1.1: the time for the peer's answer is ours to choose.
    rig.pass(limits::CLOSE_TIME);
    assert_eq!(rig.closed(slow), Some(Close::Flush));
    assert_eq!(rig.tally().decided.slow_consumer, 1);
}

#[test]
fn a_listener_without_room_for_a_close_frame_is_reset() {
    let mut rig = Rig::new(config());
    let slow = rig.socket("/push");
    rig.line(slow).backlog = limits::BACKLOG_BYTES;
    rig.pass(Duration::from_millis(150));
    assert_eq!(rig.closed(slow), Some(Close::Abort));
    assert_eq!(rig.tally().decided.slow_consumer, 1);
}

#[test]
fn large_and_small_messages_come_back_in_order_however_they_are_cut() {
    let large: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let said = [
        (Opcode::Binary, &large[..]),
        (Opcode::Text, b"small"),
        (Opcode::Text, &[b'a'; 30_000]),
        (Opcode::Ping, b"?"),
        (Opcode::Binary, &large[..9_000]),
        (Opcode::Binary, b""),
    ];
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for (opcode, payload) in said {
        bytes.extend(masked(opcode, payload));
        let answer = if opcode == Opcode::Ping {
            Opcode::Pong
        } else {
            opcode
        };
        frame::encode(&mut expected, answer, payload, None);
    }
    for piece in [1_000, 4_096, 9_999, 65_536, bytes.len()] {
        let mut rig = Rig::new(config());
        let id = rig.socket("/echo");
        rig.sent(id);
        for piece in bytes.chunks(piece) {
            rig.receive(id, piece);
        }
        assert!(rig.sent(id) == expected, "in pieces of {piece}");
    }
}

#[test]
fn an_echo_stops_reading_a_peer_that_does_not_read() {
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    rig.line(id).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(id, &masked(Opcode::Text, b"a"));
    assert!(rig.line(id).paused);
    // What the kernel had handed over already is still answered.
    rig.receive(id, &masked(Opcode::Text, b"b"));
    assert_eq!(rig.tally().messages_out, 2);
    rig.line(id).backlog = limits::BACKLOG_LOW;
    rig.server.drained(id, &mut rig.wire);
    assert!(!rig.line(id).paused);
    rig.receive(id, &masked(Opcode::Text, b"c"));
    assert!(!rig.line(id).paused);
}

#[test]
fn a_paused_echo_is_resumed_to_see_the_answer_to_our_close() {
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    rig.line(id).backlog = limits::BACKLOG_HIGH + 1;
    rig.receive(id, &masked(Opcode::Text, b"a"));
    rig.stop();
    assert!(!rig.line(id).paused);
}

#[test]
fn a_silent_websocket_is_pinged_at_half_its_time_and_closed_at_the_end() {
    let mut rig = Rig::new(Config {
        idle_timeout: Some(20 * SECOND),
        ..config()
    });
    let id = rig.socket("/echo");
    rig.pass(9 * SECOND);
    rig.receive(id, &masked(Opcode::Text, b"a"));
    rig.sent(id);
    rig.pass(9 * SECOND);
    assert_eq!(rig.sent(id), b"");
    rig.pass(2 * SECOND);
    assert_eq!(rig.sent(id), plain(Opcode::Ping, b""));
    rig.receive(id, &masked(Opcode::Pong, b""));
    rig.pass(9 * SECOND);
    assert_eq!(rig.sent(id), b"");
    rig.pass(SECOND * 3 / 2);
    assert_eq!(rig.sent(id), plain(Opcode::Ping, b""));
    rig.pass(9 * SECOND);
    assert_eq!(rig.sent(id), b"");
    rig.pass(SECOND);
    assert_eq!(rig.sent(id), close_frame(1001));
    rig.pass(limits::CLOSE_TIME + SECOND);
    assert_eq!(rig.closed(id), Some(Close::Flush));
    assert_eq!(rig.tally().decided.idle, 1);
}

/// RFC 6455, 5.5.2: a ping is a keepalive, and tells whether the peer is still there.
#[test]
fn by_default_a_silent_websocket_is_pinged_within_a_minute_and_closed_if_it_stays_silent() {
    let mut rig = Rig::new(config());
    let (lively, gone) = (rig.socket("/echo"), rig.socket("/echo"));
    for _ in 0..4 {
        rig.pass(59 * SECOND);
        assert_eq!(rig.sent(lively), plain(Opcode::Ping, b""));
        rig.receive(lively, &masked(Opcode::Pong, b""));
    }
    assert_eq!(rig.closed(lively), None);
    let ping = plain(Opcode::Ping, b"");
    assert_eq!(rig.sent(gone), [ping, close_frame(1001)].concat());
    assert_eq!(rig.closed(gone), Some(Close::Flush));
    assert_eq!(rig.tally().decided.idle, 1);
}

#[test]
fn without_an_idle_timeout_a_silent_websocket_costs_no_wake() {
    let mut rig = Rig::new(Config {
        silence: None,
        ..config()
    });
    let id = rig.socket("/echo");
    rig.pass(11 * SECOND);
    assert_eq!(rig.server.deadline(), None);
    assert_eq!((rig.sent(id), rig.closed(id)), (Vec::new(), None));
}

#[test]
fn after_our_close_frame_nothing_is_sent_whatever_comes() {
    // RFC 6455, 5.5.1.
    let mut rig = Rig::new(config());
    let id = rig.socket("/echo");
    rig.stop();
    rig.sent(id);
    rig.receive(id, &masked(Opcode::Text, b"late"));
    rig.receive(id, &masked(Opcode::Ping, b"late"));
    assert_eq!(rig.sent(id), b"");
    rig.receive(id, &[0xff, 0xff]);
    assert_eq!(rig.sent(id), b"");
    assert_eq!(rig.closed(id), Some(Close::Flush));
}

#[test]
fn whom_an_application_ends_is_ended_by_it_whatever_came_behind() {
    // Centrifugo's code for what is no command, as if the rest had come later.
    for behind in [
        masked(Opcode::Close, &1000_u16.to_be_bytes()),
        masked(Opcode::Ping, b"x"),
        vec![0xff; 9],
    ] {
        let mut rig = Rig::new(Config {
            realtime: Some(RealtimePlan::dev([7; 32])),
            ..config()
        });
        let id = rig.socket("/connection/websocket");
        let bytes = [masked(Opcode::Text, b"["), behind].concat();
        rig.receive(id, &bytes);
        let sent = rig.sent(id);
        assert_eq!(
            (close_code(&sent), sent.len()),
            (3501, 2 + 2 + 11),
            "{sent:?}"
        );
    }
}
