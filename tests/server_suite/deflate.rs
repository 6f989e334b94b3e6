//! permessage-deflate: agreed on where it is asked for and allowed, and nobody else notices.

use crate::rooms::Told;
use crate::script::{Script, first, get, masked, plain, upgrade};
use crate::{Harness, Setup};
use ringstorm::limits;
use ringstorm::protocol::websocket::deflate::{ContextTakeover, Inflater, OFFER, encode};
use ringstorm::protocol::websocket::{Deflater, Opcode};
use std::time::Duration;

fn setup() -> Setup {
    Setup::with(|config| config.deflate = Some(ContextTakeover::Never))
}

fn deflated(text: &str) -> Vec<u8> {
    let (mut bytes, key) = (Vec::new(), Some([9, 8, 7, 6]));
    encode(
        &mut bytes,
        Opcode::Text,
        text.as_bytes(),
        key,
        &mut Deflater::default(),
    );
    assert_eq!(bytes[0], 0xc1, "it became smaller");
    bytes
}

impl Script {
    /// Opens a WebSocket that offers to deflate; expects that answer, or none.
    fn offer(
        &mut self,
        peer: usize,
        path: &str,
        offer: &str,
        wanted: Option<&'static str>,
    ) -> &mut Self {
        let field = format!("Host: a\r\nSec-WebSocket-Extensions: {offer}\r\n");
        self.send(peer, upgrade(path).replace("Host: a\r\n", &field));
        self.response(peer, 101, move |head, _| {
            let mut lines = head.lines();
            let agreed = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
            assert_eq!(agreed, wanted);
        })
    }

    /// Expects a deflated text frame, and looks at what it was made of.
    fn inflates(&mut self, peer: usize, mut check: impl FnMut(&str) + Send + 'static) -> &mut Self {
        self.read(peer, "a deflated frame", move |bytes| {
            let (start, end) = match bytes {
                [0xc1, 126, a, b, ..] => (4, 4 + usize::from(u16::from_be_bytes([*a, *b]))),
                [0xc1, len @ 0..=125, ..] => (2, 2 + usize::from(*len)),
                [] | [0xc1] | [0xc1, 126, ..] => return None,
                other => panic!("{other:?} is not deflated"),
            };
            let (packed, mut text) = (bytes.get(start..end)?, Vec::new());
            let inflated = Inflater::default().inflate(packed, limits::MESSAGE_BYTES, &mut text);
            assert_eq!(inflated, Ok(()));
            check(std::str::from_utf8(&text).expect("UTF-8"));
            Some(end)
        })
    }
}

pub(crate) fn a_deflated_message_comes_back_deflated_and_a_plain_one_may_be<H: Harness>() {
    let text = "again and again ".repeat(50);
    let bytes = deflated(&text);
    let mut script = Script::default();
    for (peer, offer) in [OFFER, "permessage-deflate; client_max_window_bits"]
        .into_iter()
        .enumerate()
    {
        let wanted = text.clone();
        script
            .offer(peer, "/echo", offer, Some(OFFER))
            .send(peer, &bytes[..10])
            .send(peer, &bytes[10..])
            .inflates(peer, move |text| assert_eq!(text, wanted));
        let wanted = text.clone();
        script
            .send(peer, masked(Opcode::Text, text.as_bytes()))
            .inflates(peer, move |text| assert_eq!(text, wanted))
            .send(peer, masked(Opcode::Text, b"short"))
            .expect(peer, plain(Opcode::Text, b"short"));
    }
    let limited = "permessage-deflate; server_max_window_bits=13";
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                  server_max_window_bits=12";
    script.offer(2, "/echo", limited, Some(answer));
    script.offer(
        3,
        "/echo",
        "permessage-deflate; server_max_window_bits=16",
        None,
    );
    script
        .send(3, masked(Opcode::Text, text.as_bytes()))
        .expect(3, plain(Opcode::Text, text.as_bytes()));
    // RFC 7692, 7.1.2.1: a client that keeps no more to inflate with.
    let narrow = "permessage-deflate; server_max_window_bits=9";
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                  server_max_window_bits=9";
    script
        .offer(4, "/echo", narrow, Some(answer))
        .send(4, &*bytes)
        .inflates(4, move |came| assert_eq!(came, text));
    let outcomes = H::run(setup(), script);
    assert_eq!(outcomes[0].tally.messages_in, 8);
}

pub(crate) fn a_broadcast_reaches_deflating_and_plain_listeners_alike<H: Harness>() {
    let mut script = Script::default();
    script
        .offer(0, "/push", OFFER, Some(OFFER))
        .upgrade(1, "/push")
        .offer(2, "/push", OFFER, Some(OFFER));
    for _ in 0..3 {
        for peer in [0, 2] {
            script.inflates(peer, |text| {
                let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
                assert!(json["seq"].is_u64() && text.len() == 300);
            });
        }
        script.read(1, "a plain frame", |bytes| {
            let frame = bytes.get(..304)?;
            assert_eq!(frame[..4], [0x81, 126, 1, 44]);
            Some(304)
        });
    }
    // Its place among the others is free again.
    script
        .send(0, masked(Opcode::Close, b""))
        .read(0, "the close", |bytes| {
            bytes.ends_with(&[0x88, 0]).then_some(bytes.len())
        });
    script.ended(0);
    script.inflates(2, |_| {});
    let mut setup = setup();
    setup.config.chunk_bytes = 300;
    setup.config.chunk = Duration::from_millis(200);
    H::run(setup, script);
}

pub(crate) fn members_of_a_room_may_deflate_or_not<H: Harness>() {
    let (told, text) = (Told::default(), "to be read by all ".repeat(9));
    let mut script = Script::default();
    script
        .upgrade(0, "/rooms")
        .news(0, &told)
        .offer(1, "/rooms", OFFER, Some(OFFER))
        .inflates(1, |text| {
            assert!(text.contains(r#""type":"room","seq":2"#), "{text}")
        })
        .tells(0, r#"{"type":"joined"}"#)
        .send(1, deflated(&text));
    let wanted = format!(r#"{{"type":"said","seq":3,"member":2,"text":"{text}"}}"#);
    script.tells(0, &wanted);
    script.inflates(1, move |text| assert_eq!(text, wanted));
    H::run(setup(), script);
}

pub(crate) fn a_large_message_of_repeats_comes_back<H: Harness>() {
    // As `socket.send('a'.repeat(1 << 20))` of a browser with permessage-deflate.
    let text = "a".repeat(limits::MESSAGE_BYTES);
    let mut script = Script::default();
    script
        .offer(0, "/echo", OFFER, Some(OFFER))
        .send(0, deflated(&text))
        .inflates(0, move |echo| assert!(echo == text));
    H::run(setup(), script);
}

pub(crate) fn who_makes_much_work_keeps_nobody_waiting<H: Harness>() {
    let bulk = deflated(&"a".repeat(100_000));
    let mut script = Script::default();
    script
        .offer(0, "/echo", OFFER, Some(OFFER))
        .upgrade(1, "/echo")
        .offer(2, "/push", OFFER, Some(OFFER))
        .send(0, bulk.repeat(50))
        .send(2, bulk.repeat(50))
        .send(1, masked(Opcode::Text, b"quick"))
        .expect(1, plain(Opcode::Text, b"quick"));
    for _ in 0..50 {
        script.inflates(0, |echo| assert_eq!(echo.len(), 100_000));
    }
    script
        .send(0, masked(Opcode::Text, b"after"))
        .expect(0, plain(Opcode::Text, b"after"));
    let outcomes = H::run(setup(), script);
    assert_eq!(outcomes[0].tally.decided.fault, 0);
}

pub(crate) fn what_cannot_be_inflated_gets_its_close_code<H: Harness>() {
    let bomb = {
        let (mut bytes, zeroes) = (Vec::new(), vec![0; limits::MESSAGE_BYTES + 1]);
        let key = Some([1, 1, 1, 1]);
        encode(
            &mut bytes,
            Opcode::Binary,
            &zeroes,
            key,
            &mut Deflater::default(),
        );
        bytes
    };
    let cases = [
        (first(0xc1, masked(Opcode::Text, &[0xff; 20])), 1007),
        (first(0xc9, masked(Opcode::Ping, b"x")), 1002),
        (first(0xa1, masked(Opcode::Text, b"x")), 1002),
        (bomb, 1009),
    ];
    let mut script = Script::default();
    for (peer, (frame, code)) in cases.into_iter().enumerate() {
        script
            .offer(peer, "/echo", OFFER, Some(OFFER))
            .send(peer, frame)
            .closes(peer, code)
            .ended(peer);
    }
    H::run(setup(), script);
}

pub(crate) fn without_the_flag_nothing_is_agreed_on<H: Harness>() {
    let mut script = Script::default();
    script
        .offer(0, "/echo", OFFER, None)
        .send(0, deflated(&"x".repeat(200)))
        .closes(0, 1002)
        .ended(0)
        .ask(1, &get("/healthz"), 200);
    H::run(Setup::default(), script);
}
