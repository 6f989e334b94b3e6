//! WebSocket framing against two other implementations: random and broken traffic, every split.

mod handshake;
mod oracles;
mod traffic;

use crate::config;
use oracles::{End, Heard, Said};
use proptest::prelude::*;
use ringstorm::protocol::Fault;
use ringstorm::protocol::websocket::{Decoder, Event, Kind, Pool, Role, frame};
use std::collections::BTreeMap;
use traffic::Rng;

/// Small, so that random traffic exceeds it too.
const MAX_MESSAGE: usize = 70_000;

/// What our decoder hears in these pieces.
fn hear(role: Role, pieces: &[&[u8]]) -> Heard {
    let mut pool = Pool::new(MAX_MESSAGE, 1000);
    let mut decoder = Decoder::new(role);
    let mut heard = Heard::default();
    for piece in pieces {
        let (mut bytes, mut at) = (piece.to_vec(), 0);
        loop {
            let said = match decoder.next(&mut bytes, &mut at, &mut pool) {
                Ok(Some(event)) => own(&event),
                Ok(None) => break,
                Err(Fault::WebSocket { reason, .. }) => {
                    heard.end = End::Fault(reason.to_owned());
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            assert_eq!(heard.end, End::Starved, "nothing is said after the end");
            if matches!(said, Said::Close(..)) {
                heard.end = End::Closed;
            }
            heard.said.push(said);
        }
        assert_eq!(at, bytes.len(), "all is used up");
    }
    heard
}

fn own(event: &Event<'_>) -> Said {
    match event {
        Event::Message {
            kind: Kind::Text,
            bytes,
            ..
        } => Said::Text(String::from_utf8(bytes.to_vec()).expect("text is UTF-8")),
        Event::Message {
            kind: Kind::Binary,
            bytes,
            ..
        } => Said::Binary(bytes.to_vec()),
        Event::Ping(payload) => Said::Ping(payload.to_vec()),
        Event::Pong(payload) => Said::Pong(payload.to_vec()),
        Event::Close { code, reason } => Said::Close(*code, (*reason).to_owned()),
    }
}

/// Splits at every point (of long traffic: at the first 300 and some random ones), byte by byte
/// and at random points must all say the same.
fn hear_in_every_split(role: Role, bytes: &[u8], rng: &mut Rng) -> Heard {
    let whole = hear(role, &[bytes]);
    let random = std::iter::repeat_with(|| rng.usize(0..=bytes.len())).take(20);
    let splits: Vec<usize> = (0..=bytes.len().min(300)).chain(random).collect();
    for split in splits {
        let (a, b) = bytes.split_at(split);
        assert_eq!(hear(role, &[a, b]), whole, "split at {split}");
    }
    if bytes.len() < 2000 {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(hear(role, &single), whole, "byte by byte");
    }
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(64)));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(
        hear(role, &pieces),
        whole,
        "in {} random pieces",
        pieces.len()
    );
    whole
}

/// Faults that tungstenite does not find, and why that is not our mistake.
const LAX_TUNGSTENITE: &[&str] = &[
    // RFC 6455, 5.2: "the minimal number of bytes MUST be used".
    "a length that is not in its shortest form",
    // The same again: 125 bytes or less, whose length is in a longer form.
    "a control frame over 125 bytes",
];

/// Faults that fastwebsockets does not find.
const LAX_FASTWEBSOCKETS: &[&str] = &[
    "a length that is not in its shortest form",
    // It bounds frames, not messages.
    "a message too big",
    // It takes either from either side.
    "a client's frame without a mask",
    "a server's frame with a mask",
    // It begins anew in the middle of a message.
    "a message within a message",
    // It bounds pings only.
    "a control frame over 125 bytes",
    // It drops an unfinished character at the end of fragments.
    "text that is not UTF-8",
];

/// Whether an oracle that was given the same bytes agrees. `padded` is what it hears if enough
/// bytes follow to complete any frame: we refuse at the first wrong byte, it at the last.
fn agree(ours: &Heard, theirs: &Heard, padded: &Heard, lax: &[&str]) -> Result<bool, String> {
    let End::Fault(reason) = &ours.end else {
        return if ours == theirs {
            Ok(true)
        } else {
            Err("differs".to_owned())
        };
    };
    if !padded.said.starts_with(&ours.said) {
        return Err("heard something else before the fault".to_owned());
    }
    match padded.end {
        End::Fault(_) if padded.said.len() == ours.said.len() => Ok(true),
        _ if lax.contains(&reason.as_str()) => Ok(false),
        _ => Err(format!("does not mind: {reason}")),
    }
}

/// Checks one traffic with both oracles; which faults of ours were confirmed goes into `seen`.
fn check(role: Role, bytes: &[u8], rng: &mut Rng, seen: &mut BTreeMap<String, u32>) {
    let ours = hear_in_every_split(role, bytes, rng);
    let padded = [bytes, &vec![0; MAX_MESSAGE + 64]].concat();
    let verdicts = [
        agree(
            &ours,
            &oracles::tungstenite(role, bytes),
            &oracles::tungstenite(role, &padded),
            LAX_TUNGSTENITE,
        ),
        agree(
            &ours,
            &oracles::fastwebsockets(role, bytes),
            &oracles::fastwebsockets(role, &padded),
            LAX_FASTWEBSOCKETS,
        ),
    ];
    for (name, verdict) in ["tungstenite", "fastwebsockets"].iter().zip(verdicts) {
        match verdict {
            Ok(true) => {
                let end = match &ours.end {
                    End::Fault(reason) => reason.clone(),
                    End::Starved | End::Closed => "none".to_owned(),
                };
                *seen.entry(format!("{name}: {end}")).or_default() += 1;
            }
            Ok(false) => {}
            Err(what) => panic!("{name} {what}\nbytes {bytes:02x?}\nwe heard {ours:?}"),
        }
    }
}

fn role(rng: &mut Rng) -> Role {
    if rng.bool() {
        Role::Server
    } else {
        Role::Client
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn valid_traffic_is_heard_alike_at_every_split(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let role = role(&mut rng);
        let (bytes, expected) = traffic::valid(role, &mut rng);
        let ours = hear_in_every_split(role, &bytes, &mut rng);
        prop_assert_eq!(&ours.said, &expected);
        prop_assert_eq!(&ours, &oracles::tungstenite(role, &bytes));
        prop_assert_eq!(&ours, &oracles::fastwebsockets(role, &bytes));
    }

    #[test]
    fn broken_traffic_is_judged_alike_at_every_split(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let role = role(&mut rng);
        let (mut bytes, _) = traffic::valid(role, &mut rng);
        traffic::mutate(&mut bytes, &mut rng);
        check(role, &bytes, &mut rng, &mut BTreeMap::new());
    }

    #[test]
    fn random_bytes_are_judged_alike_at_every_split(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let role = role(&mut rng);
        let bytes = traffic::noise(&mut rng);
        check(role, &bytes, &mut rng, &mut BTreeMap::new());
    }

    #[test]
    fn what_is_encoded_is_heard_by_others(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let role = role(&mut rng);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for said in traffic::messages(&mut rng) {
            let key = (role == Role::Server).then(|| rng.u32(..).to_le_bytes());
            let (opcode, payload) = said.parts();
            frame::encode(&mut bytes, opcode, &payload, key);
            expected.push(said);
        }
        prop_assert_eq!(&oracles::tungstenite(role, &bytes).said, &expected);
        prop_assert_eq!(&oracles::fastwebsockets(role, &bytes).said, &expected);
        prop_assert_eq!(&hear(role, &[&bytes]).said, &expected);
    }
}

/// The tests above mean little if their traffic never breaks a rule: each fault is seen and
/// confirmed by an oracle, but those which neither finds.
#[test]
fn every_fault_is_provoked_and_confirmed() {
    let mut seen = BTreeMap::new();
    for seed in 0..3000 {
        let mut rng = Rng::with_seed(seed);
        let role = role(&mut rng);
        let (mut bytes, _) = traffic::short(role, &mut rng);
        traffic::mutate(&mut bytes, &mut rng);
        check(role, &bytes, &mut rng, &mut seen);
    }
    println!("{seen:#?}");
    for fault in [
        "none",
        "a client's frame without a mask",
        "a close code that may not travel",
        "a close frame of one byte",
        "a continuation of no message",
        "a control frame in fragments",
        "a control frame over 125 bytes",
        "a length with its top bit set",
        "a message too big",
        "a message within a message",
        "a reserved bit",
        "a server's frame with a mask",
        "an unknown opcode",
        "text that is not UTF-8",
    ] {
        assert!(
            seen.contains_key(&format!("tungstenite: {fault}")),
            "never confirmed: {fault}"
        );
    }
}
