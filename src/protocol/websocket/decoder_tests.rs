//! What the decoder makes of received bytes, section by section of RFC 6455.

use super::*;
use crate::limits;
use crate::protocol::websocket::frame::{self, Fin};

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Fault(u16),
}

fn own(event: Event<'_>) -> Said {
    match event {
        Event::Message {
            kind: Kind::Text,
            bytes,
            ..
        } => Said::Text(String::from_utf8(bytes.to_vec()).unwrap()),
        Event::Message {
            kind: Kind::Binary,
            bytes,
            ..
        } => Said::Binary(bytes.to_vec()),
        Event::Ping(payload) => Said::Ping(payload.to_vec()),
        Event::Pong(payload) => Said::Pong(payload.to_vec()),
        Event::Close { code, reason } => Said::Close(code, reason.to_owned()),
    }
}

/// Everything said in these pieces, until the first fault.
fn hear(decoder: &mut Decoder, pieces: &[&[u8]], pool: &mut Pool) -> Vec<Said> {
    let mut said = Vec::new();
    for piece in pieces {
        let (mut bytes, mut at) = (piece.to_vec(), 0);
        loop {
            match decoder.next(&mut bytes, &mut at, pool) {
                Ok(Some(event)) => said.push(own(event)),
                Ok(None) => break,
                Err(Fault::WebSocket { code, .. }) => said.push(Said::Fault(code)),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(at, bytes.len(), "all is used up");
    }
    said
}

fn pool() -> Pool {
    Pool::new(limits::MESSAGE_BYTES, limits::MESSAGE_FRAGMENTS)
}

/// What a client hears in the bytes, having checked that every split gives the same.
fn heard(bytes: &[u8]) -> Vec<Said> {
    heard_within(bytes, &mut pool())
}

fn heard_within(bytes: &[u8], pool: &mut Pool) -> Vec<Said> {
    let whole = hear(&mut Decoder::new(Role::Client), &[bytes], pool);
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        let mut decoder = Decoder::new(Role::Client);
        assert_eq!(
            hear(&mut decoder, &[a, b], pool),
            whole,
            "split at {split} of {bytes:x?}"
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(
        hear(&mut Decoder::new(Role::Client), &single, pool),
        whole,
        "byte by byte"
    );
    whole
}

fn frames(frames: &[(Opcode, Fin, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (opcode, fin, payload) in frames {
        let header = frame::fragment_header(*opcode, *fin, payload.len(), None);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

#[test]
fn the_examples_of_the_rfc_are_understood() {
    // RFC 6455, 5.7
    assert_eq!(
        heard(&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]),
        [text("Hello")]
    );
    assert_eq!(
        heard(&[1, 3, 0x48, 0x65, 0x6c, 0x80, 2, 0x6c, 0x6f]),
        [text("Hello")]
    );
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(heard(&ping), [Said::Ping(b"Hello".to_vec())]);
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    for split in 0..masked.len() {
        let (a, b) = masked.split_at(split);
        let mut decoder = Decoder::new(Role::Server);
        assert_eq!(hear(&mut decoder, &[a, b], &mut pool()), [text("Hello")]);
    }
    assert_eq!(heard(&masked), [Said::Fault(1002)], "RFC 6455, 5.1");
}

#[test]
fn messages_of_every_form_of_length_are_understood() {
    for len in [0, 1, 125, 126, 127, 300, 65535, 65536, 100_000] {
        let payload: Vec<u8> = (0..len).map(|i: u32| (i % 251) as u8).collect();
        let mut masked = Vec::new();
        frame::encode(&mut masked, Opcode::Binary, &payload, Some([9, 8, 7, 0xff]));
        for split in [0, 1, 2, 5, 9, 13, 14, 15, 100, 4096, masked.len()] {
            let (a, b) = masked.split_at(split.min(masked.len()));
            let mut decoder = Decoder::new(Role::Server);
            let said = hear(&mut decoder, &[a, b], &mut pool());
            assert_eq!(
                said,
                [Said::Binary(payload.clone())],
                "{len} bytes, split at {split}"
            );
        }
    }
}

/// RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length".
#[test]
fn a_length_in_a_longer_form_than_it_needs_is_refused_though_its_message_is_whole() {
    for (len, is_minimal) in [(0, false), (1, false), (125, false), (126, true)] {
        let of_16_bits = [&[0x82, 126, 0, len][..], &vec![7; usize::from(len)]].concat();
        let of_64_bits = [
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, len][..],
            &vec![7; usize::from(len)],
        ];
        let said = if is_minimal {
            Said::Binary(vec![7; usize::from(len)])
        } else {
            Said::Fault(1002)
        };
        assert_eq!(heard(&of_16_bits), [said], "{len} bytes");
        assert_eq!(
            heard(&of_64_bits.concat()),
            [Said::Fault(1002)],
            "{len} bytes"
        );
    }
}

/// What lies whole in a receive has the same bounds as what comes in pieces.
#[test]
fn a_whole_message_of_the_greatest_length_is_heard_and_one_byte_more_is_not() {
    let mut pool = Pool::new(200, limits::MESSAGE_FRAGMENTS);
    for (len, said) in [(200, Said::Binary(vec![7; 200])), (201, Said::Fault(1009))] {
        let bytes = frames(&[(Opcode::Binary, Fin::Last, &vec![7; len])]);
        assert_eq!(heard_within(&bytes, &mut pool), [said], "{len} bytes");
    }
}

#[test]
fn a_message_inside_one_receive_is_borrowed_from_there() {
    let mut pool = pool();
    for (role, key) in [(Role::Server, Some([1, 2, 3, 4])), (Role::Client, None)] {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, Opcode::Text, b"abc", key);
        frame::encode(&mut bytes, Opcode::Binary, &[7; 70_000], key);
        let range = bytes.as_ptr_range();
        let (mut at, mut decoder) = (0, Decoder::new(role));
        for _ in 0..2 {
            match decoder.next(&mut bytes, &mut at, &mut pool) {
                Ok(Some(Event::Message { bytes, .. })) => assert!(range.contains(&bytes.as_ptr())),
                other => panic!("{other:?}"),
            }
            assert!(decoder.pieces.is_none());
        }
    }
}

#[test]
fn fragments_are_joined_and_control_frames_pass_between_them() {
    // RFC 6455, 5.4
    let bytes = frames(&[
        (Opcode::Text, Fin::More, b"a"),
        (Opcode::Ping, Fin::Last, b"p"),
        (Opcode::Continuation, Fin::More, b""),
        (Opcode::Pong, Fin::Last, b""),
        (Opcode::Continuation, Fin::Last, b"b"),
        (Opcode::Binary, Fin::Last, b""),
        (Opcode::Binary, Fin::More, b""),
        (Opcode::Continuation, Fin::Last, b""),
    ]);
    let expected = [
        Said::Ping(b"p".to_vec()),
        Said::Pong(Vec::new()),
        text("ab"),
        Said::Binary(Vec::new()),
        Said::Binary(Vec::new()),
    ];
    assert_eq!(heard(&bytes), expected);
}

#[test]
fn close_frames_are_checked() {
    // RFC 6455, 5.5.1 and 7.4
    let close = |payload: &[u8]| heard(&frames(&[(Opcode::Close, Fin::Last, payload)]));
    assert_eq!(close(b""), [Said::Close(None, String::new())]);
    assert_eq!(close(b"\x03"), [Said::Fault(1002)]);
    assert_eq!(close(b"\x03\xe8"), [Said::Close(Some(1000), String::new())]);
    assert_eq!(
        close(b"\x03\xe8bye"),
        [Said::Close(Some(1000), "bye".to_owned())]
    );
    assert_eq!(close(b"\x03\xe8\xff"), [Said::Fault(1007)]);
    assert_eq!(close(b"\x03\xe8\xe2\x82"), [Said::Fault(1007)]);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
        assert_eq!(close(&code.to_be_bytes()), [Said::Fault(1002)], "{code}");
    }
}

#[test]
fn nothing_counts_after_a_close_or_a_fault() {
    // RFC 6455, 5.5.1 and 7.1.7
    let late = frames(&[
        (Opcode::Close, Fin::Last, b""),
        (Opcode::Text, Fin::Last, b"late"),
    ]);
    assert_eq!(heard(&late), [Said::Close(None, String::new())]);
    let late = [
        &[0xc1, 0][..],
        &frames(&[(Opcode::Text, Fin::Last, b"late")]),
    ]
    .concat();
    assert_eq!(heard(&late), [Said::Fault(1002)]);
}

#[test]
fn a_close_within_a_message_is_heard() {
    let bytes = frames(&[
        (Opcode::Text, Fin::More, b"a"),
        (Opcode::Close, Fin::Last, b"\x03\xe9x"),
    ]);
    assert_eq!(heard(&bytes), [Said::Close(Some(1001), "x".to_owned())]);
}

#[test]
fn text_is_utf8_over_the_whole_message_and_not_by_fragment() {
    // RFC 6455, 5.6 and 8.1
    let source = "a\u{e9}\u{20ac}\u{10348}z".as_bytes();
    for split in 0..=source.len() {
        let (a, b) = source.split_at(split);
        let bytes = frames(&[
            (Opcode::Text, Fin::More, a),
            (Opcode::Continuation, Fin::Last, b),
        ]);
        assert_eq!(heard(&bytes), [text(std::str::from_utf8(source).unwrap())]);
    }
    for bad in [
        &b"\xff"[..],
        b"a\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\x80",
    ] {
        let long = [&[b'x'; 200], bad].concat();
        for bad in [bad, &long] {
            assert_eq!(
                heard(&frames(&[(Opcode::Text, Fin::Last, bad)])),
                [Said::Fault(1007)]
            );
            let binary = heard(&frames(&[(Opcode::Binary, Fin::Last, bad)]));
            assert_eq!(binary, [Said::Binary(bad.to_vec())]);
        }
    }
}

#[test]
fn text_fails_at_the_first_byte_that_cannot_be_utf8() {
    // RFC 6455, 8.1; as Autobahn's 6.4 wants it.
    let mut decoder = Decoder::new(Role::Client);
    let (mut pool, mut header) = (
        pool(),
        frame::header(Opcode::Text, 1000, None).as_bytes().to_vec(),
    );
    header.extend_from_slice(b"ok\xf4");
    assert_eq!(hear(&mut decoder, &[&header], &mut pool), []);
    assert_eq!(
        hear(&mut decoder, &[b"\x90"], &mut pool),
        [Said::Fault(1007)]
    );
}

#[test]
fn a_message_is_bounded_before_its_bytes_come() {
    // RFC 6455, 7.4.1: 1009
    let mut pool = Pool::new(10, 3);
    let big = frame::header(Opcode::Binary, 11, None);
    assert_eq!(heard_within(big.as_bytes(), &mut pool), [Said::Fault(1009)]);
    let whole = frames(&[(Opcode::Binary, Fin::Last, &[1; 11])]);
    assert_eq!(heard_within(&whole, &mut pool), [Said::Fault(1009)]);
    let fits = frames(&[(Opcode::Binary, Fin::Last, &[1; 10])]);
    assert_eq!(heard_within(&fits, &mut pool), [Said::Binary(vec![1; 10])]);
    let sum = frames(&[
        (Opcode::Binary, Fin::More, &[1; 6]),
        (Opcode::Ping, Fin::Last, &[1; 20]),
        (Opcode::Continuation, Fin::Last, &[1; 5]),
    ]);
    let heard = heard_within(&sum, &mut pool);
    assert_eq!(heard, [Said::Ping(vec![1; 20]), Said::Fault(1009)]);
}

#[test]
fn empty_fragments_are_counted_too() {
    // ws 8.21.0: endless tiny fragments ate the memory.
    let mut pool = Pool::new(10, 3);
    let more = (Opcode::Continuation, Fin::More, &b""[..]);
    let last = (Opcode::Continuation, Fin::Last, &b"x"[..]);
    let first = (Opcode::Text, Fin::More, &b""[..]);
    assert_eq!(
        heard_within(&frames(&[first, more, last]), &mut pool),
        [text("x")]
    );
    assert_eq!(heard_within(&frames(&[first, more, more]), &mut pool), []);
    let many = frames(&[first, more, more, last]);
    assert_eq!(heard_within(&many, &mut pool), [Said::Fault(1009)]);
    let twice = frames(&[first, more, last, first, more, last]);
    assert_eq!(heard_within(&twice, &mut pool), [text("x"), text("x")]);
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut pool = pool();
    let bytes = frames(&[
        (Opcode::Text, Fin::More, b"abc"),
        (Opcode::Ping, Fin::Last, b"p"),
        (Opcode::Continuation, Fin::Last, b"def"),
        (Opcode::Ping, Fin::Last, b"0123456789"),
    ]);
    for split in 0..=bytes.len() {
        let mut decoder = Decoder::new(Role::Client);
        let (a, b) = bytes.split_at(split);
        assert_eq!(hear(&mut decoder, &[a, b], &mut pool).len(), 3);
        assert!(decoder.pieces.is_none(), "split at {split}");
        assert_eq!(pool.spare.len(), 1, "one buffer, used again and again");
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    // RUSTSEC-2022-0035: the declared length was allocated.
    let mut pool = Pool::new(usize::MAX, 3);
    let mut decoder = Decoder::new(Role::Client);
    let header = frame::header(Opcode::Binary, 1 << 62, None);
    let bytes = [header.as_bytes(), &[1; 100]].concat();
    assert_eq!(hear(&mut decoder, &[&bytes], &mut pool), []);
    let kept = decoder
        .pieces
        .as_ref()
        .map_or(0, |pieces| pieces.message.capacity());
    assert!((100..=256).contains(&kept), "{kept} bytes for 100");
}

#[test]
fn the_buffer_of_a_large_message_returns_to_the_shelf_and_is_used_again() {
    let mut pool = pool();
    let payload = vec![1; 100_000];
    let mut bytes = frames(&[(Opcode::Binary, Fin::Last, &payload)]);
    let mut places = Vec::new();
    for _ in 0..3 {
        let mut decoder = Decoder::new(Role::Client);
        let (a, b) = bytes.split_at_mut(100);
        assert_eq!(decoder.next(a, &mut 0, &mut pool), Ok(None));
        let event = decoder.next(b, &mut 0, &mut pool);
        let Ok(Some(Event::Message {
            bytes,
            assembled: Some(assembled),
            ..
        })) = event
        else {
            panic!("{event:?}");
        };
        assert!(std::ptr::eq(bytes, assembled.bytes()));
        places.push(bytes.as_ptr());
        // Somebody sends it, and is done with it after the decoder is.
        let sent = assembled.clone();
        assert_eq!(decoder.next(&mut [], &mut 0, &mut pool), Ok(None));
        assert_eq!(sent.bytes(), payload);
    }
    assert_eq!(pool.shelf.bytes() / 100_000, 1);
    assert_eq!(places[0], places[2]);
    assert_eq!(pool.held, 0);
}

#[test]
fn only_so_many_spares_are_kept() {
    let mut pool = pool();
    let bytes = frames(&[(Opcode::Binary, Fin::Last, &[1; 1000])]);
    let mut decoders: Vec<_> = (0..100).map(|_| Decoder::new(Role::Client)).collect();
    for decoder in &mut decoders {
        hear(decoder, &[&bytes[..100]], &mut pool);
    }
    for decoder in &mut decoders {
        decoder.release(&mut pool);
    }
    assert_eq!(pool.spare.len(), limits::SPARE_BUFFERS);
}

#[test]
fn nothing_counts_after_a_release_wherever_it_was() {
    let message = frames(&[(Opcode::Text, Fin::Last, b"abc")]);
    for split in 0..=message.len() {
        let (mut decoder, mut pool) = (Decoder::new(Role::Client), pool());
        let (a, b) = message.split_at(split);
        hear(&mut decoder, &[a], &mut pool);
        let is_kept = !a.is_empty() && a != message;
        assert_eq!(decoder.held() > 0, is_kept, "{split}");
        decoder.release(&mut pool);
        assert_eq!(decoder.held(), 0);
        let said = hear(&mut decoder, &[b, &message, &message], &mut pool);
        assert_eq!(said, [], "released at {split}");
        assert!(decoder.pieces.is_none());
    }
}

#[test]
fn a_dead_decoder_keeps_nothing() {
    let close = frames(&[(Opcode::Close, Fin::Last, b"\x03\xe8bye")]);
    let broken = frames(&[(Opcode::Text, Fin::Last, b"abc\xff")]);
    for bytes in [close, broken] {
        for split in 1..bytes.len() {
            let (mut decoder, mut pool) = (Decoder::new(Role::Client), pool());
            let (a, b) = bytes.split_at(split);
            assert_eq!(hear(&mut decoder, &[a, b], &mut pool).len(), 1);
            assert!(decoder.pieces.is_none());
            assert_eq!(pool.spare.len(), 1, "given back");
        }
    }
}
