//! WebSockets that say something: echo, fragments, pings, faults, closing.

use crate::script::{Act, Script, first, masked, plain, upgrade};
use crate::{Harness, Setup};
use ringstorm::limits;
use ringstorm::protocol::websocket::Opcode;
use std::time::Duration;

pub(crate) fn an_echo_returns_messages_in_any_pieces<H: Harness>() {
    let mut said = upgrade("/echo").into_bytes();
    let mut heard = Vec::new();
    for (opcode, payload) in [
        (Opcode::Text, "grüße 🎈".as_bytes()),
        (Opcode::Binary, &[0, 159, 255]),
        (Opcode::Text, b""),
        (Opcode::Binary, &[42; 300]),
    ] {
        said.extend(masked(opcode, payload));
        heard.extend(plain(opcode, payload));
    }
    let mut script = Script::default();
    for (peer, size) in [1, 3, 50, said.len()].into_iter().enumerate() {
        for piece in said.chunks(size) {
            script.send(peer, piece);
        }
        script.response(peer, 101, |_, _| {}).expect(peer, &heard);
    }
    let outcomes = H::run(Setup::default(), script);
    let tally = outcomes[0].tally;
    assert_eq!((tally.messages_in, tally.messages_out), (16, 16));
}

pub(crate) fn a_large_message_comes_back_whole<H: Harness>() {
    let payload: Vec<u8> = (0..limits::MESSAGE_BYTES)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let mut fragments = Vec::new();
    for (index, piece) in payload.chunks(100_000).enumerate() {
        let opcode = if index == 0 {
            Opcode::Binary
        } else {
            Opcode::Continuation
        };
        let frame = masked(opcode, piece);
        let byte = frame[0] & 0x0f;
        fragments.push(first(byte, frame));
    }
    let last = fragments.pop().unwrap();
    let byte = last[0] | 0x80;
    fragments.push(first(byte, last));
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .send(0, masked(Opcode::Binary, &payload))
        .expect(0, plain(Opcode::Binary, &payload))
        .send(0, fragments.concat())
        .expect(0, plain(Opcode::Binary, &payload));
    H::run(Setup::default(), script);
}

pub(crate) fn messages_of_many_lengths_come_back_one_after_the_other<H: Harness>() {
    let (large, least) = (64 * 1024, limits::RECEIVE_INTO_BYTES_MIN);
    let lengths = [
        limits::RECEIVE_INTO_BYTES + large + 1,
        limits::RECEIVE_INTO_BYTES + 2 * large,
        5,
        large + least + 3,
        least - 1,
        3 * large,
        2 * large,
        large - 8,
        200_001,
    ];
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for length in lengths {
        let payload: Vec<u8> = (0..length)
            .map(|at| u8::try_from((at + length) % 251).unwrap())
            .collect();
        said.push(masked(Opcode::Binary, &payload));
        heard.push(plain(Opcode::Binary, &payload));
    }
    let mut script = Script::default();
    // Behind each of the second's comes a small one.
    script.upgrade(0, "/echo").upgrade(1, "/echo");
    let small = |said: &[u8], more: Vec<u8>| [said, &more].concat();
    for (said, heard) in said.iter().zip(&heard) {
        script.send(0, said).expect(0, heard);
        let (said, heard) = (
            small(said, masked(Opcode::Text, b"small")),
            small(heard, plain(Opcode::Text, b"small")),
        );
        script.send(1, said).expect(1, heard);
    }
    H::run(Setup::default(), script);
}

pub(crate) fn pings_are_answered_between_fragments<H: Harness>() {
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .send(0, first(0x01, masked(Opcode::Text, b"hel")))
        .send(0, masked(Opcode::Ping, b"now"))
        .expect(0, plain(Opcode::Pong, b"now"))
        .send(0, masked(Opcode::Pong, b"unasked"))
        .send(0, first(0x80, masked(Opcode::Text, b"lo")))
        .expect(0, plain(Opcode::Text, b"hello"));
    H::run(Setup::default(), script);
}

pub(crate) fn a_close_is_answered_with_its_code<H: Harness>() {
    let mut script = Script::default();
    for (peer, code) in [1000_u16, 1001, 3000, 4999].into_iter().enumerate() {
        let payload = code.to_be_bytes();
        script
            .upgrade(peer, "/echo")
            .send(peer, masked(Opcode::Close, &payload))
            .expect(peer, plain(Opcode::Close, &payload))
            .ended(peer);
    }
    script
        .upgrade(4, "/push")
        .send(4, masked(Opcode::Close, b""))
        .expect(4, plain(Opcode::Close, b""))
        .ended(4);
    let outcomes = H::run(
        Setup::with(|config| config.chunk = Duration::from_secs(60)),
        script,
    );
    assert_eq!(outcomes[0].tally.decided.done, 5);
}

pub(crate) fn each_bad_frame_gets_its_close_code<H: Harness>() {
    let text = |bytes: &[u8]| masked(Opcode::Text, bytes);
    let cases = [
        (plain(Opcode::Text, b"unmasked"), 1002),
        (first(0xc1, text(b"reserved bit")), 1002),
        (first(0x83, text(b"unknown opcode")), 1002),
        (first(0x80, text(b"continuation of nothing")), 1002),
        (first(0x09, text(b"fragmented ping")), 1002),
        (first(0x89, text(&[b'x'; 126])), 1002),
        (masked(Opcode::Close, b"\x03"), 1002),
        (masked(Opcode::Close, &1006_u16.to_be_bytes()), 1002),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
        (text(b"\xc3\x28"), 1007),
        (first(0x01, text(b"ok \xff")), 1007),
        (
            vec![0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4],
            1009,
        ),
        (
            [first(0x01, text(b"")), first(0x00, text(b"")).repeat(9)].concat(),
            1009,
        ),
    ];
    let count = cases.len() as u64;
    let mut script = Script::default();
    let witness = cases.len();
    script.upgrade(witness, "/echo");
    for (peer, (frame, code)) in cases.into_iter().enumerate() {
        script
            .upgrade(peer, "/echo")
            .send(peer, frame)
            .closes(peer, code)
            .ended(peer);
        script.send(witness, masked(Opcode::Text, b"still there"));
        script.expect(witness, plain(Opcode::Text, b"still there"));
    }
    let outcomes = H::run(Setup::with(|config| config.max_fragments = 8), script);
    assert_eq!(outcomes[0].tally.decided.fault, count);
}

pub(crate) fn an_echo_that_is_not_read_stops_reading_and_loses_nothing<H: Harness>() {
    let payload: Vec<u8> = (0..5000)
        .map(|at| u8::try_from(at % 249).unwrap())
        .collect();
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .act(
            0,
            Act::Pump {
                bytes: masked(Opcode::Binary, &payload),
                reply: plain(Opcode::Binary, &payload),
            },
        )
        .send(0, masked(Opcode::Text, b"on it goes"))
        .expect(0, plain(Opcode::Text, b"on it goes"));
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.decided.slow_consumer, 0);
}

pub(crate) fn a_silent_websocket_is_pinged_and_then_closed<H: Harness>() {
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .upgrade(1, "/echo")
        .expect(0, plain(Opcode::Ping, b""))
        .expect(1, plain(Opcode::Ping, b""))
        .send(1, masked(Opcode::Pong, b""))
        .closes(0, 1001)
        .send(0, masked(Opcode::Close, &1001_u16.to_be_bytes()))
        .ended(0)
        .expect(1, plain(Opcode::Ping, b""))
        .send(1, masked(Opcode::Text, b"here"))
        .expect(1, plain(Opcode::Text, b"here"));
    let setup = Setup::with(|config| config.idle_timeout = Some(Duration::from_millis(1500)));
    let outcomes = H::run(setup, script);
    assert_eq!(outcomes[0].tally.decided.idle, 1);
}

pub(crate) fn a_draining_server_closes_with_1001<H: Harness>() {
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .upgrade(1, "/echo")
        .upgrade(2, "/echo")
        .stop();
    for peer in 0..2 {
        script
            .closes(peer, 1001)
            .send(peer, masked(Opcode::Text, b"too late"))
            .send(peer, masked(Opcode::Close, &1001_u16.to_be_bytes()))
            .ended(peer);
    }
    // This one never answers: it is reset when the time is over.
    script.closes(2, 1001).ended(2);
    let setup = Setup::with(|config| config.drain = Duration::from_millis(600));
    let outcomes = H::run(setup, script);
    assert_eq!((outcomes[0].left, outcomes[0].tally.decided.drain), (1, 3));
}

/// The drain's time is the limit, not what the kernel took: RFC 6455, 7.1.1.
pub(crate) fn a_draining_server_waits_for_who_reads_late<H: Harness>() {
    let message: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .send(0, masked(Opcode::Binary, &message))
        .wait(500)
        .stop()
        // Longer than the time for a close frame and then for a FIN.
        .wait(9_000)
        .expect(0, plain(Opcode::Binary, &message))
        .closes(0, 1001)
        .ended(0);
    let outcomes = H::run(
        Setup::with(|config| config.drain = Duration::from_secs(60)),
        script,
    );
    assert_eq!(outcomes[0].left, 0);
    assert_eq!(outcomes[0].tally.closed.cut_off, 0);
}
