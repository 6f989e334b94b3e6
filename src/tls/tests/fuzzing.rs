//! A secured peer that says anything: records of all kinds, sealed, forged and cut.

mod handshakes;

use super::*;
use std::time::Duration;

/// One of the ciphers of that version.
fn with_cipher(spoken: Spoken, number: u8) -> Spoken {
    let all = default_provider().cipher_suites;
    let mut all: Vec<_> = all
        .into_iter()
        .filter(|suite| suite.version() == spoken.version && !is_for_rsa(suite))
        .collect();
    let cipher = Some(all.swap_remove(usize::from(number) % all.len()));
    Spoken { cipher, ..spoken }
}

/// The certificates here have keys of elliptic curves.
fn is_for_rsa(suite: &SupportedCipherSuite) -> bool {
    format!("{:?}", suite.suite()).starts_with("TLS_ECDHE_RSA")
}

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
            // RFC 5246, 7.4.1.1 and 7.4.1.2: another handshake is asked for.
            3 if side == Side::Client => pair.sealed(Content::Handshake, &[0, 0, 0, 0]),
            3 => {
                let hello = [
                    &[1, 0, 0, u8::try_from(content.len()).unwrap()],
                    &content[..],
                ]
                .concat();
                pair.sealed(Content::Handshake, &hello)
            }
            4 => pair.sealed(Content::Handshake, &content),
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
        let spoken = with_cipher(spoken, seed / 4);
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

/// What has been said, heard and seen of one connection among all that may happen to it.
struct Life {
    pair: Pair,
    /// What the shard was let say.
    said: Vec<u8>,
    /// What the peer heard of it.
    heard: Vec<u8>,
    is_ended: bool,
    is_gone: bool,
}

impl Life {
    /// Something happens, as that byte says.
    fn happens(&mut self, what: u8, length: usize) {
        let text = vec![what; length * length];
        let is_closed = !self.pair.layer.closes().is_empty();
        if self.is_gone || is_closed && what % 16 < 12 {
            return;
        }
        let before = self.pair.layer.tls.inner.sent.len();
        let layer = &mut self.pair.layer;
        match what % 16 {
            0 | 1 if !self.is_ended => self
                .pair
                .say(Content::Data, &text[..text.len().min(16_000)]),
            2 => layer.order(Order::Send(text.clone())),
            3 => layer.order(Order::Share(text.clone())),
            4 => layer.order(Order::ShareBehind(text.clone())),
            5 => layer.order(Order::Twice(text.clone())),
            6 => layer.order(Order::Close(Close::Flush)),
            7 => layer.order(Order::Close([Close::Flush, Close::Abort][length % 2])),
            8 => layer.line.backlog = [0, CAP - 300, CAP][length % 3],
            9 => layer.tls.drained(ID, &mut layer.line),
            10 if !self.is_ended => {
                self.is_ended = true;
                layer.tls.inner.keeps = length.is_multiple_of(2);
                layer.tls.ended(ID, &mut layer.line);
            }
            11 if !self.is_ended => self.pair.say(Content::Alert, &[1 + what % 2, what / 16]),
            12 => layer.tls.stopped(&mut layer.line),
            13 => layer.line.now += Duration::from_secs(length as u64),
            14 if length.is_multiple_of(2) => layer.order(Order::Trim),
            14 => layer.tls.lost(Core(1), &mut layer.line),
            15 => {
                self.is_gone = true;
                layer.closed(ID, [CloseCause::Reset, CloseCause::PeerEnded][length % 2]);
            }
            _ => {}
        }
        self.pair.layer.end_turn();
        for sent in &self.pair.layer.tls.inner.sent[before..] {
            if sent.is_ok() {
                self.said.extend_from_slice(&text);
            }
        }
    }
}

#[test]
fn what_a_shard_was_let_say_arrives_whole_and_in_order_whatever_happens_between() {
    let check = |input: &[u8]| {
        let (&seed, rest) = input.split_first().unwrap_or((&0, &[]));
        let (side, spoken) = ALL[usize::from(seed) % ALL.len()];
        let mut life = Life {
            pair: Pair::new(side, spoken),
            said: Vec::new(),
            heard: Vec::new(),
            is_ended: false,
            is_gone: false,
        };
        for pair in rest.chunks(2) {
            life.happens(pair[0], usize::from(*pair.get(1).unwrap_or(&9)));
        }
        let closes = life.pair.layer.closes();
        assert!(closes.len() <= 1, "{closes:?}");
        let records = life.pair.heard();
        let text = records
            .iter()
            .filter(|(content, _)| *content == Content::Data);
        life.heard = text.flat_map(|(_, text)| text.clone()).collect();
        assert!(
            life.heard == life.said,
            "{} of {}",
            life.heard.len(),
            life.said.len()
        );
    };
    for seed in 0..4 {
        check(&[
            seed, 2, 9, 0, 5, 5, 3, 2, 200, 9, 0, 8, 1, 2, 1, 8, 1, 9, 0, 6, 4, 13, 70, 15, 0,
        ]);
        check(&[seed, 3, 8, 10, 2, 4, 7, 7, 0, 12, 0, 14, 1, 15, 1]);
        check(&[seed, 3, 8, 10, 1, 4, 7, 13, 99, 15, 1]);
    }
    bolero::check!()
        .with_test_time(Duration::from_millis(700))
        .with_iterations(1_000_000)
        .with_max_len(80)
        .for_each(check);
}
