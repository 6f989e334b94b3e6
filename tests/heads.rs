//! HTTP heads and bodies: random and broken ones, every split, and no bytes that panic a parser.

use crate::config;
use fastrand::Rng;
use proptest::prelude::*;
use ringstorm::limits;
use ringstorm::protocol::http::{BodyLength, BodyReader, HeadReader, Request, Response};
use ringstorm::protocol::websocket::{Decoder, OriginPolicy, Role, handshake};
use ringstorm::protocol::{Fault, sse, websocket};

/// Every head that these pieces hold, until the first fault.
pub(crate) fn heads(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Fault>) {
    let mut reader = HeadReader::default();
    let mut heads = Vec::new();
    for piece in pieces {
        let mut at = 0;
        loop {
            match reader.next(piece, &mut at) {
                Ok(Some(head)) => heads.push(head.to_vec()),
                Ok(None) => break,
                Err(fault) => return (heads, Some(fault)),
            }
        }
        assert_eq!(at, piece.len(), "all is used up");
    }
    (heads, None)
}

/// A request like a browser's, with oddities.
fn request(rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng, from: &[&str]| (*rng.choice(from).unwrap_or(&"")).to_owned();
    let mut head = pick(rng, &["", "", "", "\r\n"]);
    head += &pick(rng, &["GET ", "GET ", "GET ", "POST ", "OPTIONS "]);
    head += &pick(rng, TARGETS);
    head += &pick(rng, &[" HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.0\r\n"]);
    head += &pick(rng, &["Host: h\r\n", "Host: h\r\n", ""]);
    for _ in 0..rng.usize(0..8) {
        head += &pick(rng, FIELDS);
        head += if rng.u8(0..30) == 0 { "\n" } else { "\r\n" };
    }
    head += if rng.u8(0..30) == 0 { "\n" } else { "\r\n" };
    head.into_bytes()
}

const TARGETS: &[&str] = &[
    "/",
    "/echo",
    "/events?x=1",
    "/a",
    "http://h/x",
    "*",
    "/a#b",
    "h:80",
];
const FIELDS: &[&str] = &[
    "Host: h:80",
    "Host: a b",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Connection: close",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: a, b",
    "Content-Length: 5",
    "Content-Length: 6",
    "Content-Length: 5, 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    " folded",
    "X : y",
    "X: a\rb",
    "X: \0",
    "Last-Event-ID: 7",
];

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(0..4) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..3) {
            0 => bytes.insert(at, rng.choice(*b"\r\n \0:\t\xff").unwrap_or(0)),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => {}
        }
    }
}

/// What must hold of a request that is taken, read from its bytes by other means.
fn is_sound(head: &[u8], request: &Request<'_>) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    for (i, byte) in head.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(head.get(i + 1), Some(&b'\n'), "a bare CR"),
            b'\n' => assert_eq!(head.get(i.wrapping_sub(1)), Some(&b'\r'), "a bare LF"),
            byte => assert_ne!(*byte, 0, "a NUL"),
        }
    }
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lines: Vec<&str> = text.split("\r\n").skip(1).collect();
    let count = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
    assert!(
        lines.iter().all(|line| !line.starts_with([' ', '\t'])),
        "a folded line"
    );
    assert_eq!(request.headers.iter().count(), lines.len() - 2);
    if request.minor_version == 1 {
        assert_eq!(count("host:"), 1);
    }
    let (lengths, codings) = (count("content-length:"), count("transfer-encoding:"));
    assert!(lengths == 0 || codings == 0, "both length and coding");
    match request.body {
        BodyLength::None => assert_eq!(lengths + codings, 0),
        BodyLength::Known(_) => assert!(lengths > 0),
        BodyLength::Chunked => assert_eq!(codings, 1),
        BodyLength::UntilEnd => panic!("a request's body has an end"),
    }
}

/// A chunked body's content by plain slicing, `None` if it is malformed or unfinished; and how
/// many bytes it took. Extensions and trailers may have any text.
fn dechunked(mut body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (start, mut content) = (body.len(), Vec::new());
    let line = |body: &mut &[u8]| -> Option<String> {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, rest) = body.split_at(end);
        *body = &rest[2..];
        let is_text = line
            .iter()
            .all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        is_text.then(|| String::from_utf8_lossy(line).into_owned())
    };
    loop {
        let size = line(&mut body)?;
        // RFC 9112, 7.1.1: blanks may stand before the `;`; senders put them at the end too.
        let size = size
            .split(';')
            .next()?
            .trim_end_matches([' ', '\t'])
            .to_owned();
        let is_hex = size.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || size.is_empty() || size.len() > 16 {
            return None;
        }
        let size = usize::from_str_radix(&size, 16).ok()?;
        if size == 0 {
            break;
        }
        content.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        match line(&mut body)? {
            trailer if trailer.is_empty() => return Some((content, start - body.len())),
            trailer if trailer.starts_with([' ', '\t']) => return None,
            _ => {}
        }
    }
}

/// The content of a chunked body that these pieces hold, up to the first fault; and without one,
/// how many bytes it took and whether it is over.
pub(crate) fn chunked(pieces: &[&[u8]]) -> (Vec<u8>, Option<(usize, bool)>) {
    let mut reader = BodyReader::new(BodyLength::Chunked);
    let (mut content, mut used) = (Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        loop {
            match reader.next(piece, &mut at) {
                Ok(Some(part)) => {
                    assert!(!part.is_empty());
                    content.extend_from_slice(part);
                }
                Ok(None) => break,
                Err(_) => return (content, None),
            }
        }
        used += at;
    }
    (content, Some((used, reader.is_done())))
}

fn whole_body(pieces: &[&[u8]]) -> Option<(Vec<u8>, usize)> {
    match chunked(pieces) {
        (content, Some((used, true))) => Some((content, used)),
        (_, Some((_, false)) | None) => None,
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn heads_are_found_alike_at_every_split_and_taken_only_if_sound(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = Vec::new();
        for _ in 0..rng.usize(1..4) {
            let mut head = request(&mut rng);
            mutate(&mut head, &mut rng);
            bytes.extend(head);
        }
        let whole = heads(&[&bytes]);
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            prop_assert_eq!(&heads(&[a, b]), &whole, "split at {}", split);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&heads(&single), &whole);
        for head in &whole.0 {
            if let Ok(request) = Request::parse(head) {
                is_sound(head, &request);
                let (path, _) = (request.path(), request.query());
                prop_assert!(!path.is_empty() && !path.contains('?'));
                // Whatever it says: 101 or a refusal, no panic.
                let answer = handshake::accept(&request, &["a".to_owned()], &OriginPolicy::Any);
                assert!(matches!(answer, Ok(_) | Err(Fault::Http { .. })));
            }
        }
    }

    #[test]
    fn chunked_bodies_are_read_as_by_slicing_at_every_split(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = Vec::new();
        for _ in 0..rng.usize(0..4) {
            let len = rng.usize(1..20);
            let blank = rng.choice(["", " ", "\t "]).expect("one of three");
            let size = match rng.bool() {
                true => format!("{len:x}{blank}"),
                false => format!("{len:04X}{blank};a=\"b\""),
            };
            bytes.extend(format!("{size}\r\n{}\r\n", "x".repeat(len)).into_bytes());
        }
        bytes.extend(b"0\r\n");
        if rng.bool() {
            bytes.extend(b"A: b\r\n");
        }
        bytes.extend(b"\r\nGET");
        mutate(&mut bytes, &mut rng);
        let expected = dechunked(&bytes);
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            prop_assert_eq!(&whole_body(&[a, b]), &expected, "split at {}", split);
        }
    }

    /// Every parser, in pieces: nothing a peer sends panics.
    #[test]
    fn no_bytes_panic_a_parser(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let len = rng.usize(0..600);
        let mut bytes: Vec<u8> = match rng.u8(0..3) {
            0 => std::iter::repeat_with(|| rng.u8(..)).take(len).collect(),
            1 => std::iter::repeat_with(|| rng.choice(*b"\r\n:; \0adt0\x81\x89\x80\xef\xbb\xbf"))
                .take(len).flatten().collect(),
            _ => request(&mut rng),
        };
        mutate(&mut bytes, &mut rng);
        let _ = (Request::parse(&bytes).is_ok(), Response::parse(&bytes).is_ok());
        let mut head = HeadReader::default();
        let mut body = BodyReader::new(BodyLength::Chunked);
        let mut decoders = [Decoder::new(Role::Server), Decoder::new(Role::Client)];
        let mut frames = websocket::Pool::new(rng.usize(0..200), rng.u32(0..4));
        let mut parser = sse::Parser::new();
        let mut events = sse::Pool::new(rng.usize(0..200));
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_mut(rng.usize(1..=rest.len()));
            rest = after;
            let mut at = 0;
            while let Ok(Some(head)) = head.next(piece, &mut at) {
                prop_assert!(head.len() <= limits::HEAD_BYTES);
            }
            let mut at = 0;
            while let Ok(Some(part)) = body.next(piece, &mut at) {
                prop_assert!(!part.is_empty());
            }
            let mut at = 0;
            while at < piece.len() {
                let _ = parser.next(piece, &mut at, &mut events);
            }
            for decoder in &mut decoders {
                let mut piece = piece.to_vec();
                let mut at = 0;
                while at < piece.len() {
                    let _ = decoder.next(&mut piece, &mut at, &mut frames);
                }
            }
        }
    }
}

/// The tests above mean little if nothing is taken, or everything.
#[test]
fn some_requests_are_taken_and_some_refused_for_each_reason() {
    let mut verdicts = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..20_000 {
        let head = request(&mut Rng::with_seed(seed));
        let verdict = match Request::parse(&head) {
            Ok(_) => "taken",
            Err(Fault::Http { reason, .. }) => reason,
            Err(other) => panic!("{other}"),
        };
        *verdicts.entry(verdict).or_default() += 1;
    }
    println!("{verdicts:#?}");
    assert!(
        verdicts.len() >= 14 && verdicts.values().all(|count| *count > 10),
        "{verdicts:#?}"
    );
}
