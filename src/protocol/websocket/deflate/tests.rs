//! Deflated messages: the RFC's examples, whatever the split, and what must not get through.

use super::*;
use crate::protocol::websocket::{Decoder, Event, Extension, Fin, Kind, Pool, Role};
use proptest::prelude::*;

type Messages = Vec<(Kind, Vec<u8>)>;

/// What a client's decoder makes of these pieces.
fn decode(pieces: &[&[u8]], pool: &mut Pool) -> Result<Messages, Fault> {
    let mut decoder = Decoder::new(Role::Client).with(Extension::Deflate);
    let mut messages = Vec::new();
    for piece in pieces {
        let (mut bytes, mut at) = (piece.to_vec(), 0);
        while let Some(event) = decoder.next(&mut bytes, &mut at, pool)? {
            if let Event::Message { kind, bytes, .. } = event {
                messages.push((kind, bytes.to_vec()));
            }
        }
    }
    Ok(messages)
}

fn pool() -> Pool {
    Pool::new(limits::MESSAGE_BYTES, 100)
}

fn code(frame: &[u8], pool: &mut Pool) -> u16 {
    match decode(&[frame], pool) {
        Err(Fault::WebSocket { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

/// Raw deflate at the hardest level, as another implementation may send it.
fn packed(message: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::best(), false);
    let mut out = vec![0; message.len() + 100];
    stream
        .compress(message, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(usize::try_from(stream.total_out()).unwrap());
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

fn framed(opcode: Opcode, packed: &[u8]) -> Vec<u8> {
    let header = frame::header(opcode, packed.len(), None).deflated();
    [header.as_bytes(), packed].concat()
}

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    // RFC 7692, 7.2.3.1, 7.2.3.3, 7.2.3.4, 7.2.3.5
    for bytes in [
        &[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[
            0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00,
        ],
        &[
            0xc1, 0x0b, 0, 5, 0, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0,
        ],
        &[0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xc1, 0x0d, 0xf2, 0x48, 5, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
        // A message that is not deflated is always allowed (6.1).
        &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
    ] {
        let hello = Ok(vec![(Kind::Text, b"Hello".to_vec())]);
        assert_eq!(decode(&[bytes], &mut pool()), hello, "{bytes:x?}");
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            assert_eq!(decode(&[a, b], &mut pool()), hello, "{bytes:x?} at {split}");
        }
    }
    // 7.2.3.6: an empty message.
    let empty = Ok(vec![(Kind::Text, Vec::new())]);
    assert_eq!(decode(&[&[0xc1, 0x01, 0x00]], &mut pool()), empty);
    assert_eq!(decode(&[&[0xc1, 0x00]], &mut pool()), empty);
}

proptest! {
    #[test]
    fn what_is_deflated_is_inflated_to_the_same(
        parts in prop::collection::vec("[a-c]{0,20}|\\PC{0,20}", 0..60),
        split in any::<prop::sample::Index>(),
        fragment in any::<prop::sample::Index>(),
    ) {
        let text = parts.concat();
        let mut deflater = Deflater::default();
        let mut bytes = Vec::new();
        encode(&mut bytes, Opcode::Text, text.as_bytes(), None, &mut deflater);
        let whole = packed(text.as_bytes());
        let (a, b) = whole.split_at(fragment.index(whole.len()));
        let first = frame::fragment_header(Opcode::Text, Fin::More, a.len(), None).deflated();
        let last = frame::fragment_header(Opcode::Continuation, Fin::Last, b.len(), None);
        bytes.extend([first.as_bytes(), a, &[0x89, 0], last.as_bytes(), b].concat());
        let wanted = vec![(Kind::Text, text.into_bytes()); 2];
        let (a, b) = bytes.split_at(split.index(bytes.len()));
        prop_assert_eq!(decode(&[a, b], &mut pool()), Ok(wanted));
    }

    #[test]
    fn any_bytes_end_in_a_message_or_a_fault_and_within_the_cap(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut into = Vec::new();
        let _ = Inflater::default().inflate(&bytes, 1000, &mut into);
        prop_assert!(into.len() <= 1001);
    }
}

proptest! {
    /// Found by the simulator: a stream that was given up with bytes to give out panicked later.
    #[test]
    fn one_state_survives_whatever_came_before(
        messages in prop::collection::vec(
            (any::<u64>(), 1..3000_usize, 1..256_u16, any::<bool>()),
            1..40,
        ),
    ) {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let mut into = Vec::new();
        for (seed, len, letters, spoil) in messages {
            let mut dice = fastrand::Rng::with_seed(seed);
            let letter = |_| u8::try_from(dice.u16(..letters)).unwrap();
            let message: Vec<u8> = (0..len).map(letter).collect();
            let mut packed = packed(&message);
            if let Some(ours) = deflater.deflate(&message) {
                packed = ours.to_vec();
                prop_assert!(packed.len() < message.len());
            }
            if spoil {
                let at = dice.usize(..packed.len());
                packed[at] ^= dice.u8(1..);
                let _ = inflater.inflate(&packed, dice.usize(..len), &mut into);
            } else {
                prop_assert_eq!(inflater.inflate(&packed, len, &mut into), Ok(()));
                prop_assert_eq!(&into, &message);
            }
        }
    }
}

#[test]
fn one_state_serves_messages_one_after_the_other() {
    // No context: each message is the same bytes, whatever came before.
    let text = "the same words over and over, the same words over and over".repeat(3);
    let (mut deflater, mut pool) = (Deflater::default(), pool());
    let first = deflater.deflate(text.as_bytes()).unwrap().to_vec();
    assert!(first.len() < text.len() / 2);
    deflater.deflate(&vec![b'x'; 300_000]).unwrap();
    deflater.shrink();
    assert_eq!(deflater.deflate(text.as_bytes()), Some(&*first));
    let frame = framed(Opcode::Text, &first);
    for _ in 0..3 {
        assert_eq!(code(&framed(Opcode::Text, &[0xff; 9]), &mut pool), 1007);
        let wanted = vec![(Kind::Text, text.clone().into_bytes()); 2];
        assert_eq!(decode(&[&frame, &frame], &mut pool), Ok(wanted));
    }
}

#[test]
fn a_narrow_deflater_looks_back_no_more_than_512_bytes() {
    // It repeats after 600 bytes, which a window of 1,024 would show.
    let mut dice = fastrand::Rng::with_seed(5);
    let part: String = (0..600).map(|_| dice.char('a'..='h')).collect();
    let text = part.repeat(20);
    let (mut usual, mut narrow) = (
        Deflater::default(),
        Deflater::with_window(WindowBits::NARROW),
    );
    let mut inflated = Vec::new();
    for _ in 0..2 {
        let usual = usual.deflate(text.as_bytes()).unwrap().len();
        let narrow = narrow.deflate(text.as_bytes()).unwrap();
        assert!(narrow.len() > 4 * usual, "{} and {usual}", narrow.len());
        let result = Inflater::default().inflate(narrow, text.len(), &mut inflated);
        assert_eq!(result, Ok(()));
        assert_eq!(inflated, text.as_bytes());
    }
}

#[test]
fn what_a_large_message_needed_is_freed_and_what_a_small_one_needed_is_not() {
    let (mut deflater, mut frame) = (Deflater::default(), Vec::new());
    let repeats = |len| vec![b'x'; len];
    encode(
        &mut frame,
        Opcode::Text,
        &repeats(5000),
        None,
        &mut deflater,
    );
    let kept = deflater.packed.len();
    assert!((5000..limits::SPARE_BYTES).contains(&kept), "{kept}");
    let large = repeats(limits::SPARE_BYTES);
    encode(&mut frame, Opcode::Text, &large, None, &mut deflater);
    assert_eq!(deflater.packed.capacity(), 0);
    // The same where it did not become smaller.
    let mut random = 1_u64;
    let noise = std::iter::repeat_with(|| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(limits::SPARE_BYTES).collect();
    assert_eq!(deflater.deflate(&noise), None);
    assert_eq!(deflater.packed.capacity(), 0);
}

#[test]
fn what_does_not_become_smaller_is_sent_as_it_is() {
    let noise: Vec<u8> = (0..5000_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[at as usize % 2])
        .collect();
    let mut deflater = Deflater::default();
    for message in [&noise[..], b"short", b""] {
        let (mut bytes, mut plain) = (Vec::new(), Vec::new());
        encode(&mut bytes, Opcode::Binary, message, None, &mut deflater);
        frame::encode(&mut plain, Opcode::Binary, message, None);
        if deflater.deflate(message).is_none() {
            assert_eq!(bytes, plain);
        }
        let wanted = Ok(vec![(Kind::Binary, message.to_vec())]);
        assert_eq!(decode(&[&bytes], &mut pool()), wanted);
    }
    assert_eq!(deflater.deflate(b"short"), None);
}

#[test]
fn a_bomb_is_stopped_while_it_is_inflated() {
    // CVE-2026-27571
    let bomb = packed(&vec![0; 4 << 20]);
    assert!(bomb.len() < 5000);
    for max in [1 << 20, 10_000, (4 << 20) - 1] {
        let mut into = Vec::new();
        let fault = Inflater::default().inflate(&bomb, max, &mut into);
        assert_eq!(fault, Err(TOO_BIG), "{max}");
        assert!(into.len() <= max + 1, "{max}: {}", into.len());
    }
    assert_eq!(code(&framed(Opcode::Binary, &bomb), &mut pool()), 1009);
}

#[test]
fn an_honest_message_of_repeats_comes_through_however_small_it_was() {
    // RFC 1951: deflate makes a repeat up to 1,032 times shorter.
    for message in [vec![b'a'; 1 << 20], vec![0; 1_000_000]] {
        let small = packed(&message);
        assert!(message.len() / small.len() > 900, "{}", small.len());
        let mut pool = Pool::new(1 << 20, 1);
        let frame = framed(Opcode::Binary, &small);
        let len = message.len();
        assert_eq!(
            decode(&[&frame], &mut pool),
            Ok(vec![(Kind::Binary, message)])
        );
        assert!(pool.worked >= len, "it is counted as work");
    }
}

#[test]
fn what_is_discarded_is_neither_inflated_nor_kept() {
    let frame = framed(Opcode::Text, &packed(&vec![b'a'; 1 << 20]));
    let (first, second) = frame.split_at(200);
    for pieces in [&[&frame[..]][..], &[first, second]] {
        let mut pool = pool();
        let mut decoder = Decoder::new(Role::Client)
            .with(Extension::Deflate)
            .discarding();
        let mut events = 0;
        for piece in pieces {
            let (mut bytes, mut at) = (piece.to_vec(), 0);
            while let Some(event) = decoder.next(&mut bytes, &mut at, &mut pool).unwrap() {
                assert!(matches!(event, Event::Message { .. }));
                events += 1;
            }
        }
        assert_eq!((events, pool.worked), (1, 0));
        // What comes next is read as ever.
        let mut plain = framed_plain(b"x");
        let next = decoder.next(&mut plain, &mut 0, &mut pool).unwrap();
        assert!(matches!(
            next,
            Some(Event::Message {
                kind: Kind::Text,
                ..
            })
        ));
    }
}

fn framed_plain(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, Opcode::Text, text, None);
    bytes
}

#[test]
fn the_cap_on_a_message_is_on_what_it_becomes() {
    let message: Vec<u8> = (0..20_000_u32)
        .map(|at| (at / 7).to_le_bytes()[0])
        .collect();
    let frame = framed(Opcode::Binary, &packed(&message));
    let mut exact = Pool::new(message.len(), 1);
    assert_eq!(
        decode(&[&frame], &mut exact),
        Ok(vec![(Kind::Binary, message.clone())])
    );
    let mut less = Pool::new(message.len() - 1, 1);
    assert_eq!(code(&frame, &mut less), 1009);
}

#[test]
fn inflated_text_is_checked() {
    let bad = packed(&[b"ok ".repeat(40), vec![0xc3, 0x28]].concat());
    assert_eq!(code(&framed(Opcode::Text, &bad), &mut pool()), 1007);
    let fine = decode(&[&framed(Opcode::Binary, &bad)], &mut pool());
    assert!(fine.is_ok());
}

#[test]
fn a_masked_frame_is_what_its_key_makes_of_it() {
    let text = "mask me ".repeat(40);
    let key = Some([1, 2, 3, 4]);
    let mut bytes = Vec::new();
    encode(
        &mut bytes,
        Opcode::Text,
        text.as_bytes(),
        key,
        &mut Deflater::default(),
    );
    let mut decoder = Decoder::new(Role::Server).with(Extension::Deflate);
    let event = decoder.next(&mut bytes, &mut 0, &mut pool());
    let expected = Event::Message {
        kind: Kind::Text,
        bytes: text.as_bytes(),
        assembled: None,
    };
    assert_eq!(event, Ok(Some(expected)));
}
