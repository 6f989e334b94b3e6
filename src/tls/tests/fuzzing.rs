//! A secured peer that says anything: records of all kinds, sealed, forged and cut.

use super::*;
use std::time::Duration;

/// What came of it: what the inner shard heard, how the connection was closed, how many records
/// the layer sent.
type Course = (Vec<Told>, Vec<Close>, usize);

/// Seals and sends what the input says, in pieces of that many bytes.
fn run(side: Side, spoken: Spoken, input: &[u8], piece: usize) -> Course {
    let mut pair = Pair::new(side, spoken);
    let (mut bytes, mut records, mut text) = (Vec::new(), 0, 0);
    let mut rest = input.iter().copied();
    let mut is_sound = true;
    while let Some(kind) = rest.next() {
        let len = usize::from(rest.next().unwrap_or(0));
        let content: Vec<u8> = rest.by_ref().take(len % 24).collect();
        records += 1;
        bytes.extend(match kind % 8 {
            0..=2 => {
                text += content.len();
                pair.sealed(Content::Data, &content)
            }
            3 if spoken.version == &TLS13 => {
                let record = pair.sealed(Content::Handshake, &[24, 0, 0, 1, kind / 8 % 2]);
                pair.peer.sealer = pair.peer.next_sealer().unwrap();
                record
            }
            3 | 4 => pair.sealed(Content::Handshake, &content),
            5 => pair.sealed(Content::Alert, &content),
            6 => pair.sealed(Content::ChangeCipherSpec, &content),
            _ => {
                is_sound = false;
                content
            }
        });
    }
    for part in bytes.chunks(piece) {
        pair.layer.receive(ID, part);
    }
    let told = pair.layer.told();
    let closes = pair.layer.closes();
    let heard: usize = told
        .iter()
        .map(|told| match told {
            Told::Received(bytes) => bytes.len(),
            Told::Opened(_) | Told::Drained | Told::Ended | Told::Closed(_) => 0,
        })
        .sum();
    assert!(heard <= text);
    assert!(closes.len() <= 1);
    if closes.is_empty() && is_sound {
        assert_eq!(heard, text, "nothing is lost on the way");
    }
    // Nobody gets more out of it than was put in.
    let sent = pair.heard().len();
    assert!(sent <= records + 1);
    (told, closes, sent)
}

#[test]
fn whatever_a_secured_peer_says_is_heard_alike_in_any_pieces_and_answered_once_at_most() {
    let check = |input: &[u8]| {
        let (&seed, rest) = input.split_first().unwrap_or((&0, &[]));
        let (side, spoken) = ALL[usize::from(seed) % ALL.len()];
        let whole = run(side, spoken, rest, usize::MAX);
        let piece = usize::from(seed / 4) + 1;
        assert_eq!(run(side, spoken, rest, piece), whole);
    };
    for seed in 0..4 {
        check(&[
            seed, 0, 3, 1, 2, 3, 3, 0, 11, 0, 0, 2, 9, 9, 0, 0, 5, 2, 1, 90, 0, 1, 7,
        ]);
        check(&[seed, 0, 1, 1, 5, 2, 1, 0, 0, 1, 1]);
        check(&[seed, 7, 5, 23, 3, 3, 0, 9, 0, 2, 1, 1]);
    }
    bolero::check!()
        .with_test_time(Duration::from_millis(700))
        .with_iterations(1_000_000)
        .with_max_len(300)
        .for_each(check);
}

#[test]
fn whatever_comes_before_a_handshake_is_over_opens_nothing() {
    let mut hello = Vec::new();
    let mut client = Handshake::client(Arc::new(MODERN.client()), name()).unwrap();
    client.go_on(&[], &mut hello);
    let check = |input: &[u8]| {
        let (&seed, rest) = input.split_first().unwrap_or((&0, &[]));
        let mut bytes = Vec::new();
        for &byte in rest {
            match byte {
                0..32 => bytes.extend_from_slice(&hello[..]),
                32..64 => bytes.extend_from_slice(&[22, 3, 1, 0, byte % 8]),
                64..96 => bytes.extend_from_slice(&[20, 3, 3, 0, 1, 1]),
                _ => bytes.push(byte),
            }
        }
        let course = |piece: usize| {
            let mut layer = Layer::new(Side::Server, MODERN);
            layer.open(Side::Server, ID);
            for part in bytes.chunks(piece) {
                layer.receive(ID, part);
            }
            assert_eq!(layer.told(), []);
            let closes = layer.closes();
            layer.closed(ID, CloseCause::Reset);
            let counts = layer.tls.book.handshakes().unwrap();
            assert_eq!(counts.under_way + counts.waiting, 0);
            assert_eq!(counts.failed + counts.left, 1);
            (closes, layer.told())
        };
        assert_eq!(course(usize::from(seed) + 1), course(usize::MAX));
    };
    for seed in [
        &[0, 0][..],
        &[9, 0, 64, 0],
        &[1, 36, 1, 2, 3, 4],
        &[2, 80, 80],
    ] {
        check(seed);
    }
    bolero::check!()
        .with_test_time(Duration::from_millis(700))
        .with_iterations(1_000_000)
        .with_max_len(60)
        .for_each(check);
}
