//! permessage-deflate: what is deflated inflates to itself, with or without context, and anything
//! else to no more than its bound.

use super::{Cut, property};
use ringstorm::protocol::websocket::deflate::{
    ContextTakeover, Deflation, Inflater, Kept, Terms, WindowBits, agree, agreed, offer,
};
use ringstorm::protocol::websocket::{
    Decoder, Deflater, Event, Extension, Opcode, Pool, Role, frame, mask,
};

const MAX_MESSAGE: usize = 3000;

#[test]
fn what_is_deflated_inflates_to_itself_and_anything_else_to_no_more_than_its_bound() {
    property!(|input: &[u8]| {
        let cut = Cut::new(input, &[b"aaaaaaaaaaaaaaaa", b"{\"a\":1}", b"\0", b"b"]);
        let mut into = Vec::new();
        if let Some(packed) = Deflater::default().deflate(&cut.bytes) {
            let packed = packed.to_vec();
            Inflater::default()
                .inflate(&packed, cut.bytes.len().max(1), &mut into)
                .expect("what was deflated");
            assert_eq!(into, cut.bytes);
        }
        into.clear();
        let inflated = Inflater::default().inflate(input, MAX_MESSAGE, &mut into);
        assert!(inflated.is_err() || into.len() <= MAX_MESSAGE);
    });
}

#[test]
fn messages_that_refer_to_those_before_inflate_to_themselves() {
    property!(|input: &[u8]| {
        let [bits, asked, rest @ ..] = input else {
            return;
        };
        let takeover = |bits: u8| {
            let bits = WindowBits::new(9 + bits % 7).expect("9 to 15");
            ContextTakeover::Within(bits)
        };
        let (own, wanted) = (takeover(*bits), takeover(*asked));
        let offered = offer(wanted);
        let terms = Terms {
            takeover: own,
            sent: Kept::Last,
            room: usize::MAX,
        };
        let there = agree([offered.as_bytes()].into_iter(), terms).expect("an agreement");
        let answer = there.answer();
        let here = agreed([answer.as_bytes()].into_iter(), wanted);
        let here = here.expect("what was offered").expect("an agreement");
        // What a client says is what a server hears, and the other way round.
        for (says, hears, role) in [(here, there, Role::Client), (there, here, Role::Server)] {
            let (mut deflation, mut pool) = (Deflation::default(), Pool::new(MAX_MESSAGE, 9));
            deflation.open(1, &says, role);
            let other = match role {
                Role::Client => Role::Server,
                Role::Server => Role::Client,
            };
            pool.windows.open(1, hears.received_by(other));
            let mut decoder = Decoder::new(other).with(hears.extension(other)).keyed(1);
            let key = (role == Role::Client).then_some([1, 2, 3, 4]);
            let texts: [&[u8]; 3] = [b"{\"to\":\"all\",\"text\":\"", b"aaaaaaaaaaaaaaaaa", b"b"];
            for part in rest.split(|byte| *byte == b'|').take(20) {
                let message = Cut::new(part, &texts).bytes;
                let message = message.get(..MAX_MESSAGE).unwrap_or(&message);
                let mut bytes = Vec::new();
                let way = (1, Extension::DeflateTakeover);
                match deflation.deflate(way, message) {
                    Some(packed) => {
                        let header = frame::header(Opcode::Binary, packed.len(), key).deflated();
                        bytes.extend_from_slice(header.as_bytes());
                        let start = bytes.len();
                        bytes.extend_from_slice(packed);
                        if let Some(key) = key {
                            mask::apply(&mut bytes[start..], key, 0);
                        }
                    }
                    None => frame::encode(&mut bytes, Opcode::Binary, message, key),
                }
                let mut at = 0;
                match decoder.next(&mut bytes, &mut at, &mut pool) {
                    Ok(Some(Event::Message { bytes, .. })) => assert_eq!(bytes, message),
                    other => panic!("{other:?}"),
                }
                assert_eq!(decoder.next(&mut [], &mut 0, &mut pool), Ok(None));
            }
            decoder.release(&mut pool);
            assert_eq!((pool.held, pool.windows.promised()), (0, 0));
        }
    });
}
