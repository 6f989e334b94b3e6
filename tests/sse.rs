//! Event streams against two other parsers and the standard's own words: random streams, every
//! split.

use crate::config;
use bytes::Bytes;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use ringstorm::protocol::sse::{self, Item, Parser, Pool};
use std::convert::Infallible;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    event: String,
    data: String,
    id: String,
}

/// What a stream said: events, every reconnection time, the number of comments, the last ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard {
    events: Vec<Event>,
    retries: Vec<u64>,
    comments: usize,
    last_event_id: String,
}

fn hear(pieces: &[&[u8]]) -> Heard {
    let mut pool = Pool::new(1 << 20);
    let mut parser = Parser::new();
    let mut heard = Heard::default();
    for piece in pieces {
        let mut at = 0;
        while let Some(item) = parser.next(piece, &mut at, &mut pool).expect("no fault") {
            match item {
                Item::Event(it) => heard.events.push(Event {
                    event: it.event.to_owned(),
                    data: it.data.to_owned(),
                    id: it.last_event_id.to_owned(),
                }),
                Item::Retry(ms) => heard.retries.push(ms),
                Item::Comment => heard.comments += 1,
            }
        }
        assert_eq!(at, piece.len(), "all is used up");
    }
    parser.last_event_id().clone_into(&mut heard.last_event_id);
    heard
}

fn hear_in_every_split(stream: &[u8], rng: &mut Rng) -> Heard {
    let whole = hear(&[stream]);
    for split in 0..=stream.len() {
        let (a, b) = stream.split_at(split);
        assert_eq!(hear(&[a, b]), whole, "split at {split}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(hear(&single), whole, "byte by byte");
    let mut pieces = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(40)));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(hear(&pieces), whole, "in {} random pieces", pieces.len());
    whole
}

/// WHATWG HTML, 9.2.5 and 9.2.6, word by word, on a whole stream.
fn standard(stream: &[u8]) -> Heard {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What no line end follows is no line.
    lines.pop();
    let (mut data, mut event, mut id) = (String::new(), String::new(), String::new());
    let mut heard = Heard::default();
    for line in lines {
        if line.is_empty() {
            heard.last_event_id.clone_from(&id);
            let (data, event) = (std::mem::take(&mut data), std::mem::take(&mut event));
            if !data.is_empty() {
                let event = if event.is_empty() {
                    "message".to_owned()
                } else {
                    event
                };
                let data = data.strip_suffix('\n').unwrap_or(&data).to_owned();
                heard.events.push(Event {
                    event,
                    data,
                    id: id.clone(),
                });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => heard.comments += 1,
            "event" => value.clone_into(&mut event),
            "data" => {
                data += value;
                data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                heard.retries.push(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    heard
}

/// What both crates say, one receive a line. They give no comments; retries only with an event.
fn crates(stream: &[u8]) -> [Vec<Event>; 2] {
    // The first strips a byte order mark by slicing through it, and so panics: it gets none.
    let unmarked = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let unmarked = [b":\n", unmarked].concat();
    let pieces = |stream: &[u8]| {
        let pieces = stream.split_inclusive(|byte| *byte == b'\n');
        stream::iter(
            pieces
                .map(|piece| Ok::<_, Infallible>(piece.to_vec()))
                .collect::<Vec<_>>(),
        )
    };
    let first = eventsource_stream::EventStream::new(pieces(&unmarked)).map(|event| {
        let event = event.expect("no fault");
        Event {
            event: event.event,
            data: event.data,
            id: event.id,
        }
    });
    let second = pieces(stream).map(|piece| piece.map(Bytes::from));
    let second = sseer::event_stream::EventStream::new(second).map(|event| {
        let event = event.expect("no fault");
        Event {
            event: event.event.to_string(),
            data: event.data.to_string(),
            id: event.id.to_string(),
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async { [first.collect().await, second.collect().await] })
}

/// A stream of fields, comments, near misses and all line ends.
fn stream(rng: &mut Rng) -> String {
    let mut stream = String::new();
    if rng.u8(0..4) == 0 {
        stream.push('\u{feff}');
    }
    for _ in 0..rng.usize(0..14) {
        let name = rng.choice(NAMES).unwrap_or(&"");
        stream += name;
        if rng.u8(0..8) > 0 && !name.is_empty() {
            stream += rng.choice([":", ": ", ": ", ":  "]).unwrap_or(":");
            stream += rng.choice(VALUES).unwrap_or(&"");
        }
        stream += rng.choice(["\n", "\n", "\r\n", "\r"]).unwrap_or("\n");
        if rng.u8(0..3) == 0 {
            stream += rng.choice(["\n", "\n", "\r\n", "\r"]).unwrap_or("\n");
        }
    }
    stream
}

const NAMES: &[&str] = &[
    "data",
    "data",
    "data",
    "data",
    "event",
    "event",
    "id",
    "id",
    "retry",
    "",
    "",
    ":",
    "Data",
    "dat",
    "datas",
    "idx",
    "i",
    "e",
    "\u{feff}data",
    " data",
    "\u{e9}",
];
const VALUES: &[&str] = &[
    "",
    "x",
    "a longer value",
    "{\"seq\":1}",
    "a:b",
    ":",
    " ",
    "1",
    "1500",
    "0012",
    "-1",
    "1.5",
    "99999999999999999999",
    "\0",
    "a\0b",
    "\u{e9}\u{20ac}\u{10348}",
    "\u{feff}",
    "push",
];

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn streams_are_heard_as_the_standard_and_others_hear_them(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        // Where a stream breaks off in the middle of a line end, the others wait.
        let stream = stream(&mut rng) + "\n:\n";
        let heard = hear_in_every_split(stream.as_bytes(), &mut rng);
        prop_assert_eq!(&heard, &standard(stream.as_bytes()), "{:?}", stream);
        let [first, second] = crates(stream.as_bytes());
        prop_assert_eq!(&heard.events, &first, "{:?}", stream);
        // The second does not reset the type at a field "event" without a colon.
        let lines = stream.split(['\r', '\n']);
        if !lines.map(|line| line.trim_start_matches('\u{feff}')).any(|line| line == "event") {
            prop_assert_eq!(&heard.events, &second, "{:?}", stream);
        }
    }

    #[test]
    fn broken_streams_are_heard_as_the_standard_hears_them(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut stream = stream(&mut rng).into_bytes();
        for _ in 0..rng.usize(0..8) {
            let at = rng.usize(0..=stream.len());
            match rng.u8(0..4) {
                0 => stream.insert(at, rng.u8(..)),
                1 => stream.insert(at, rng.choice(*b"\r\n: \0\xff\xe2").unwrap_or(b'\n')),
                2 => stream.truncate(at),
                _ if at < stream.len() => stream[at] = rng.u8(..),
                _ => {}
            }
        }
        let heard = hear_in_every_split(&stream, &mut rng);
        prop_assert_eq!(&heard, &standard(&stream), "{}", stream.escape_ascii());
    }

    #[test]
    fn what_is_encoded_is_heard_by_all(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let (mut bytes, mut expected, mut last) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..rng.usize(1..6) {
            let value = |rng: &mut Rng| (*rng.choice(VALUES).unwrap_or(&"")).to_owned();
            let data: Vec<String> = (0..rng.usize(1..4)).map(|_| value(&mut rng)).collect();
            let end = rng.choice(["\n", "\r\n", "\r"]).unwrap_or("\n");
            let id = rng.bool().then(|| value(&mut rng).replace('\0', ""));
            let event = rng.bool().then(|| value(&mut rng).replace('\0', ""));
            sse::encode(&mut bytes, &sse::Event {
                id: id.as_deref(),
                event: event.as_deref(),
                retry_ms: rng.bool().then(|| rng.u64(..)),
                data: &data.join(end),
            }).expect("no CR, LF or NUL");
            if rng.bool() {
                sse::comment(&mut bytes, &data.join(end));
            }
            last = id.unwrap_or(last);
            let event = event.filter(|event| !event.is_empty()).unwrap_or("message".to_owned());
            expected.push(Event { event, data: data.join("\n"), id: last.clone() });
        }
        let heard = hear_in_every_split(&bytes, &mut rng);
        prop_assert_eq!(&heard.events, &expected);
        prop_assert_eq!(&heard, &standard(&bytes));
        prop_assert_eq!(crates(&bytes), [expected.clone(), expected]);
    }

    #[test]
    fn the_limit_does_not_depend_on_the_split(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let stream = stream(&mut rng).into_bytes();
        let max = rng.usize(0..60);
        let run = |pieces: &[&[u8]]| {
            let (mut pool, mut parser) = (Pool::new(max), Parser::new());
            let (mut items, mut faults) = (0, 0);
            for piece in pieces {
                let mut at = 0;
                loop {
                    match parser.next(piece, &mut at, &mut pool) {
                        Ok(Some(_)) => items += 1,
                        Ok(None) => break,
                        Err(_) => faults += 1,
                    }
                }
            }
            (items, faults)
        };
        let whole = run(&[&stream]);
        for split in 0..=stream.len() {
            let (a, b) = stream.split_at(split);
            prop_assert_eq!(run(&[a, b]), whole, "split at {} with {} bytes", split, max);
        }
    }
}
