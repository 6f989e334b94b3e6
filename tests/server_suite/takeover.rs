//! permessage-deflate with context takeover: what a connection said before is what its messages
//! refer to, on whichever engine, and nobody else's.

use crate::rooms::Told;
use crate::script::{Script, masked, plain, upgrade};
use crate::{Harness, Setup};
use flate2::{Compress, Compression, FlushCompress};
use ringstorm::limits;
use ringstorm::protocol::websocket::deflate::{ContextTakeover, Inflater, OFFER, WindowBits};
use ringstorm::protocol::websocket::{Opcode, frame, mask};
use std::sync::{Arc, Mutex};

/// As a browser offers it, and what it is answered.
const ABLE: &str = "permessage-deflate; client_max_window_bits";
const KEPT: &str = "permessage-deflate; client_max_window_bits=12";

fn setup() -> Setup {
    let takeover = ContextTakeover::Within(WindowBits::USUAL);
    Setup::with(move |config| config.deflate = Some(takeover))
}

/// A peer's compressor: one stream for all that it says, as zlib keeps it.
struct Said(Compress);

impl Said {
    fn new() -> Self {
        let level = Compression::new(6);
        Self(Compress::new_with_window_bits(level, false, 12))
    }

    /// A masked frame of that text.
    fn frame(&mut self, text: &str) -> Vec<u8> {
        let mut out = vec![0; text.len() + 1_000];
        let before = self.0.total_out();
        let status = self
            .0
            .compress(text.as_bytes(), &mut out, FlushCompress::Sync);
        status.expect("room");
        out.truncate(usize::try_from(self.0.total_out() - before).unwrap());
        let packed = out.strip_suffix(&[0, 0, 0xff, 0xff]).expect("a flush");
        let key = [7, 1, 9, 3];
        let header = frame::header(Opcode::Text, packed.len(), Some(key)).deflated();
        let mut bytes = header.as_bytes().to_vec();
        mask::append(&mut bytes, packed, key, 0);
        bytes
    }
}

/// What a peer has been told so far.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(Inflater, Vec<u8>)>>);

impl Heard {
    /// The text of a whole deflated frame at the start of what came, how long its payload is, and
    /// where the frame ends.
    fn next(&self, bytes: &[u8]) -> Option<(String, usize, usize)> {
        let (start, end) = match bytes {
            [0xc1, 126, a, b, ..] => (4, 4 + usize::from(u16::from_be_bytes([*a, *b]))),
            [0xc1, len @ 0..=125, ..] => (2, 2 + usize::from(*len)),
            [] | [0xc1] | [0xc1, 126, ..] => return None,
            other => panic!("{other:?} is not deflated"),
        };
        let (packed, mut text) = (bytes.get(start..end)?, Vec::new());
        let mut state = self.0.lock().unwrap();
        let (inflater, before) = &mut *state;
        let inflated = inflater.inflate_after(before, packed, limits::MESSAGE_BYTES, &mut text);
        assert_eq!(inflated, Ok(()));
        before.extend_from_slice(&text);
        let text = String::from_utf8(text).expect("UTF-8");
        Some((text, packed.len(), end))
    }
}

impl Script {
    /// Opens a WebSocket with that offer; expects that answer.
    fn takes_over(&mut self, peer: usize, path: &str, (offer, wanted): (&str, &'static str)) {
        let field = format!("Host: a\r\nSec-WebSocket-Extensions: {offer}\r\n");
        self.send(peer, upgrade(path).replace("Host: a\r\n", &field));
        self.response(peer, 101, move |head, _| {
            let mut lines = head.lines();
            let agreed = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
            assert_eq!(agreed, Some(wanted));
        });
    }

    /// Expects a deflated text, whose payload is no longer than that.
    fn inflates_to(&mut self, peer: usize, heard: &Heard, (wanted, most): (&str, usize)) {
        let (heard, wanted) = (heard.clone(), wanted.to_owned());
        self.read(peer, "a deflated frame", move |bytes| {
            let (text, len, end) = heard.next(bytes)?;
            assert_eq!(text, wanted);
            assert!(len <= most, "{text} in {len} bytes");
            Some(end)
        });
    }
}

fn order(number: u32) -> String {
    format!(r#"{{"type":"order","number":{number},"customer":"Ada Lovelace","total":"12.50"}}"#)
}

pub(crate) fn messages_that_refer_to_those_before_come_back_so<H: Harness>() {
    let (mut said, heard) = (Said::new(), Heard::default());
    let mut script = Script::default();
    script.takes_over(0, "/echo", (ABLE, KEPT));
    for number in 0..30 {
        let bytes = said.frame(&order(number));
        let (a, b) = bytes.split_at(bytes.len() / 2);
        script.send(0, a).send(0, b);
        // The first has nothing to refer to.
        let most = if number == 0 { 100 } else { 20 };
        script.inflates_to(0, &heard, (&order(number), most));
        // What travels as it is does not count: the next one refers to the last deflated one.
        script
            .send(0, masked(Opcode::Text, b"short"))
            .expect(0, plain(Opcode::Text, b"short"));
    }
    // More than a window, several in one.
    let long = (0..400).map(order).collect::<Vec<_>>().join(",");
    let many: Vec<u8> = (0..3).flat_map(|_| said.frame(&long)).collect();
    script.send(0, many);
    for _ in 0..3 {
        script.inflates_to(0, &heard, (&long, usize::MAX));
    }
    H::run(setup(), script);
}

pub(crate) fn each_side_keeps_context_only_if_the_other_lets_it<H: Harness>() {
    let mut script = Script::default();
    let none = (OFFER, OFFER);
    script.takes_over(0, "/echo", none);
    let own = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
    script.takes_over(1, "/echo", (own, own));
    let small = "permessage-deflate; server_max_window_bits=8";
    script.takes_over(2, "/echo", (small, small));
    // To all who hear pushed messages the same is said: it is deflated once, each by itself.
    let pushed = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12";
    script.takes_over(3, "/push", (ABLE, pushed));
    let heard: Vec<Heard> = (0..4).map(|_| Heard::default()).collect();
    let text = order(1).repeat(3);
    let mut said: Vec<Said> = (0..3).map(|_| Said::new()).collect();
    for round in 0..3 {
        // Whoever said that nothing is kept begins anew each time.
        said[0] = Said::new();
        for peer in 0..3 {
            let most = if peer == 2 && round > 0 { 40 } else { 150 };
            script.send(peer, said[peer].frame(&text));
            script.inflates_to(peer, &heard[peer], (&text, most));
        }
    }
    H::run(setup(), script);
}

pub(crate) fn what_refers_to_nothing_that_was_said_gets_its_close_code<H: Harness>() {
    let (mut said, mut other) = (Said::new(), Said::new());
    let (heard, text) = (Heard::default(), order(1));
    other.frame(&text);
    let mut script = Script::default();
    script.takes_over(0, "/echo", (ABLE, KEPT));
    script.takes_over(1, "/echo", (ABLE, KEPT));
    script.send(0, said.frame(&text));
    script.inflates_to(0, &heard, (&text, 100));
    // Another connection has said it, and this one has not.
    script.send(1, other.frame(&text)).closes(1, 1007).ended(1);
    script.send(0, said.frame(&text));
    script.inflates_to(0, &heard, (&text, 20));
    let outcomes = H::run(setup(), script);
    assert_eq!(outcomes[0].tally.decided.fault, 1);
}

pub(crate) fn members_of_a_room_hear_each_other_with_context<H: Harness>() {
    let (told, heard) = (Told::default(), Heard::default());
    let mut said = Said::new();
    let mut script = Script::default();
    script.upgrade(0, "/rooms").news(0, &told);
    script.takes_over(1, "/rooms", (ABLE, KEPT));
    let hears = heard.clone();
    script.read(1, "the room", move |bytes| {
        let (text, _, end) = hears.next(bytes)?;
        assert!(text.contains(r#""type":"room","seq":2"#), "{text}");
        Some(end)
    });
    script.tells(0, r#"{"type":"joined"}"#);
    for seq in 3..9 {
        let text = format!("the same words each time, but for the number: {seq}");
        script.send(1, said.frame(&text));
        let wanted = format!(r#"{{"type":"said","seq":{seq},"member":2,"text":"{text}"}}"#);
        script.tells(0, &wanted);
        let most = if seq == 3 { 120 } else { 32 };
        script.inflates_to(1, &heard, (&wanted, most));
    }
    H::run(setup(), script);
}

pub(crate) fn where_many_are_told_it_is_deflated_once_and_is_what_the_next_refers_to<H: Harness>() {
    const MEMBERS: usize = limits::CONTEXT_LISTENERS + 2;
    let heard: Vec<Heard> = (0..MEMBERS).map(|_| Heard::default()).collect();
    let mut said = Said::new();
    let mut script = Script::default();
    for peer in 0..MEMBERS {
        script.takes_over(peer, "/rooms", (ABLE, KEPT));
        for (hears, heard) in heard.iter().enumerate().take(peer + 1) {
            let hears_it = heard.clone();
            script.read(hears, "who is in the room", move |bytes| {
                // Short ones travel as they are.
                match bytes {
                    [0x81, len @ 0..=125, rest @ ..] if rest.len() >= usize::from(*len) => {
                        Some(2 + usize::from(*len))
                    }
                    [0x81, ..] => None,
                    other => hears_it.next(other).map(|(_, _, end)| end),
                }
            });
        }
    }
    let text = order(7).replace('"', "'");
    for _ in 0..2 {
        script.send(0, said.frame(&text));
        for (peer, heard) in heard.iter().enumerate() {
            let (heard, text) = (heard.clone(), text.clone());
            script.read(peer, "what was said", move |bytes| {
                let (told, _, end) = heard.next(bytes)?;
                assert!(told.contains(&text), "{told}");
                Some(end)
            });
        }
    }
    let mut setup = setup();
    setup.config.room_size = u16::try_from(MEMBERS).expect("few");
    H::run(setup, script);
}

pub(crate) fn without_room_in_the_budget_no_context_is_kept<H: Harness>() {
    let (mut said, heard) = (Said::new(), Heard::default());
    let mut script = Script::default();
    // Half of the budget is room for the windows of one connection, 4 KiB each way.
    script.takes_over(0, "/echo", (ABLE, KEPT));
    script.takes_over(1, "/echo", (ABLE, OFFER));
    for number in 0..3 {
        script.send(0, said.frame(&order(number)));
        script.inflates_to(0, &heard, (&order(number), 100));
    }
    script
        .send(0, masked(Opcode::Close, b""))
        .read(0, "the close", |bytes| {
            bytes.ends_with(&[0x88, 0]).then_some(bytes.len())
        });
    script.ended(0);
    // There is room again.
    script.takes_over(2, "/echo", (ABLE, KEPT));
    let mut setup = setup();
    setup.config.memory = 4 * WindowBits::USUAL.bytes();
    H::run(setup, script);
}
