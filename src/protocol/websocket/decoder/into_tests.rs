//! Whether what is received into the message itself is what would have been heard otherwise.

use super::*;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::decoder::{Event, Kind};
use crate::protocol::websocket::frame::{self, Extension, Fin, Opcode, Role};

const KEY: [u8; 4] = [0x11, 0x87, 0xf3, 0x5a];

fn pool() -> Pool {
    Pool::new(limits::MESSAGE_BYTES, limits::MESSAGE_FRAGMENTS)
}

/// What the decoder says to those bytes, by kind and content, or the code of a fault.
type Said = Vec<Result<(Option<Kind>, Vec<u8>), u16>>;

fn next(decoder: &mut Decoder, bytes: &mut [u8], pool: &mut Pool, said: &mut Said) {
    let mut at = 0;
    loop {
        match decoder.next(bytes, &mut at, pool) {
            Ok(Some(Event::Message { kind, bytes, .. })) => {
                said.push(Ok((Some(kind), bytes.to_vec())));
            }
            Ok(Some(Event::Ping(payload) | Event::Pong(payload))) => {
                said.push(Ok((None, payload.to_vec())));
            }
            Ok(Some(Event::Close { .. })) => said.push(Ok((None, Vec::new()))),
            Ok(None) => return,
            Err(Fault::WebSocket { code, .. }) => said.push(Err(code)),
            Err(other) => panic!("{other}"),
        }
    }
}

/// What is heard where nothing is lent, in pieces of those sizes, one after the other.
fn heard(bytes: &[u8], mut decoder: Decoder, size: usize) -> Said {
    let (mut pool, mut said) = (pool(), Said::new());
    for piece in bytes.chunks(size) {
        next(&mut decoder, &mut piece.to_vec(), &mut pool, &mut said);
    }
    said
}

/// The same where all that may be received into the message is, `size` bytes at most at a time;
/// and how many bytes that were.
fn heard_lent(bytes: &[u8], mut decoder: Decoder, size: usize) -> (Said, usize) {
    let (mut pool, mut said, mut lent) = (pool(), Said::new(), 0);
    let mut left = bytes;
    while !left.is_empty() {
        let Some(ReceiveInto { mut buffer, most }) = decoder.receive_into(&mut pool) else {
            let (piece, rest) = left.split_at(left.len().min(size));
            left = rest;
            next(&mut decoder, &mut piece.to_vec(), &mut pool, &mut said);
            continue;
        };
        let (held, capacity) = (decoder.held(), buffer.capacity());
        assert!(
            held >= capacity,
            "what is lent counts: {held} of {capacity}"
        );
        let (piece, rest) = left.split_at(left.len().min(size).min(most));
        left = rest;
        lent += piece.len();
        buffer.extend_from_slice(piece);
        assert_eq!(buffer.capacity(), capacity, "there was room for so many");
        assert_eq!(decoder.received_into(buffer, &mut pool), piece.len());
        next(&mut decoder, &mut [], &mut pool, &mut said);
    }
    decoder.release(&mut pool);
    assert_eq!(pool.held, 0, "all is given back");
    (said, lent)
}

fn masked(opcode: Opcode, payload: &[u8], fin: Fin) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, opcode, payload, Some(KEY));
    if matches!(fin, Fin::More) {
        bytes[0] &= 0x7f;
    }
    bytes
}

fn binary(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn a_message_received_into_itself_is_the_same_as_one_in_pieces() {
    let text = "Grüße aus dem Ring, 𝄞 ".repeat(6_000);
    let large = binary(200_000);
    let mut stream = masked(Opcode::Binary, &large, Fin::Last);
    stream.extend(masked(Opcode::Text, text.as_bytes(), Fin::Last));
    stream.extend(masked(Opcode::Text, b"small", Fin::Last));
    // RFC 6455, 5.4: in fragments, with a control frame between them.
    stream.extend(masked(Opcode::Binary, &large[..90_001], Fin::More));
    stream.extend(masked(Opcode::Ping, b"there?", Fin::Last));
    stream.extend(masked(Opcode::Continuation, &large[90_001..], Fin::Last));
    for size in [1_000, 4_093, 16_384, 65_536, 70_001, 300_000] {
        let whole = heard(&stream, Decoder::new(Role::Server), size);
        assert_eq!(whole.len(), 5);
        let (said, lent) = heard_lent(&stream, Decoder::new(Role::Server), size);
        assert!(said == whole, "in pieces of {size}");
        assert!(lent > 0, "in pieces of {size}");
    }
}

#[test]
fn a_servers_frame_is_not_masked() {
    let large = binary(150_000);
    let mut stream = Vec::new();
    frame::encode(&mut stream, Opcode::Binary, &large, None);
    let (said, lent) = heard_lent(&stream, Decoder::new(Role::Client), 40_000);
    assert_eq!(said, [Ok((Some(Kind::Binary), large))]);
    assert!(lent > 0);
}

#[test]
fn a_deflated_message_is_inflated_when_it_is_whole() {
    let mut rng = fastrand::Rng::with_seed(7);
    let letters: String = (0..120_000).map(|_| rng.alphanumeric()).collect();
    let mut deflater = crate::protocol::websocket::Deflater::default();
    let mut stream = Vec::new();
    let (opcode, key) = (Opcode::Text, Some(KEY));
    crate::protocol::websocket::deflate::encode(
        &mut stream,
        opcode,
        letters.as_bytes(),
        key,
        &mut deflater,
    );
    let decoder = Decoder::new(Role::Server).with(Extension::Deflate);
    let (said, lent) = heard_lent(&stream, decoder, 30_000);
    assert_eq!(said, [Ok((Some(Kind::Text), letters.into_bytes()))]);
    assert!(lent > 0);
}

#[test]
fn a_text_that_is_none_fails_as_soon_as_that_is_received() {
    let mut text = vec![b'a'; 100_000];
    text[70_000] = 0xff;
    let stream = masked(Opcode::Text, &text, Fin::Last);
    for size in [20_000, 50_000] {
        let (said, lent) = heard_lent(&stream, Decoder::new(Role::Server), size);
        assert_eq!(said, [Err(1007)], "in pieces of {size}");
        assert!(lent > 0);
    }
}

#[test]
fn little_is_not_worth_a_receive_and_nothing_is_lent_between_messages() {
    let mut pool = pool();
    let mut decoder = Decoder::new(Role::Server);
    let mut said = Said::new();
    assert_eq!(decoder.receive_into(&mut pool), None);
    let len = 40_000;
    let mut stream = masked(Opcode::Binary, &binary(len), Fin::Last);
    let head = stream.len() - len;
    let (a, b) = stream.split_at_mut(head + len - limits::RECEIVE_INTO_BYTES_MIN + 1);
    next(&mut decoder, a, &mut pool, &mut said);
    assert_eq!(
        decoder.receive_into(&mut pool),
        None,
        "less than is worth it"
    );
    next(&mut decoder, b, &mut pool, &mut said);
    assert_eq!(said.len(), 1);
    assert_eq!(decoder.receive_into(&mut pool), None);
}

#[test]
fn a_message_grows_with_what_came_and_not_with_what_is_declared() {
    let mut pool = pool();
    let mut decoder = Decoder::new(Role::Server);
    let mut stream = masked(Opcode::Binary, &binary(900_000), Fin::Last);
    let mut said = Said::new();
    next(&mut decoder, &mut stream[..40_000], &mut pool, &mut said);
    // A byte at a time does not make it grow by more.
    for byte in &stream[40_000..40_010] {
        let ReceiveInto { mut buffer, most } =
            decoder.receive_into(&mut pool).expect("much is to come");
        assert!(buffer.capacity() <= 80_000, "{}", buffer.capacity());
        assert!(most <= buffer.capacity() - buffer.len());
        buffer.push(*byte);
        assert_eq!(decoder.received_into(buffer, &mut pool), 1);
    }
}

#[test]
fn a_decoder_that_is_released_meanwhile_takes_nothing_back() {
    let mut pool = pool();
    let mut decoder = Decoder::new(Role::Server);
    let mut stream = masked(Opcode::Binary, &binary(900_000), Fin::Last);
    let mut said = Said::new();
    next(&mut decoder, &mut stream[..40_000], &mut pool, &mut said);
    let into = decoder.receive_into(&mut pool).expect("much is to come");
    decoder.release(&mut pool);
    assert_eq!(pool.held, 0);
    assert_eq!(decoder.received_into(into.buffer, &mut pool), 0);
    assert_eq!((pool.held, decoder.held()), (0, 0));
}
