//! What the parser makes of event streams, rule by rule of WHATWG HTML, 9.2.5 and 9.2.6.

use super::*;
use crate::limits;
use crate::protocol::sse::{self, encode};

/// An item that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Event {
        event: String,
        data: String,
        id: String,
    },
    Retry(u64),
    Comment,
    Fault,
}

fn event(event: &str, data: &str, id: &str) -> Said {
    Said::Event {
        event: event.to_owned(),
        data: data.to_owned(),
        id: id.to_owned(),
    }
}

fn message(data: &str) -> Said {
    event("message", data, "")
}

fn hear(parser: &mut Parser, pieces: &[&[u8]], pool: &mut Pool) -> Vec<Said> {
    let mut said = Vec::new();
    for piece in pieces {
        let mut at = 0;
        loop {
            match parser.next(piece, &mut at, pool) {
                Ok(Some(Item::Event(it))) => said.push(event(it.event, it.data, it.last_event_id)),
                Ok(Some(Item::Retry(ms))) => said.push(Said::Retry(ms)),
                Ok(Some(Item::Comment)) => said.push(Said::Comment),
                Ok(None) => break,
                Err(Fault::Response { .. }) => said.push(Said::Fault),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(at, piece.len(), "all is used up");
    }
    said
}

/// What a stream says, having checked that every split says the same; and its last event ID.
fn heard_within(stream: &[u8], pool: &mut Pool) -> (Vec<Said>, String) {
    let mut parser = Parser::new();
    let whole = hear(&mut parser, &[stream], pool);
    let id = parser.last_event_id().to_owned();
    for split in 0..=stream.len() {
        let (a, b) = stream.split_at(split);
        let mut parser = Parser::new();
        let said = hear(&mut parser, &[a, b], pool);
        assert_eq!(
            said,
            whole,
            "split at {split} of {:?}",
            stream.escape_ascii().to_string()
        );
        assert_eq!(parser.last_event_id(), id);
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(
        hear(&mut Parser::new(), &single, pool),
        whole,
        "byte by byte"
    );
    (whole, id)
}

fn heard(stream: &str) -> Vec<Said> {
    heard_within(stream.as_bytes(), &mut Pool::new(limits::MESSAGE_BYTES)).0
}

#[test]
fn the_examples_of_the_standard_are_understood() {
    // WHATWG HTML, 9.2.6
    assert_eq!(
        heard("data: YHOO\ndata: +2\ndata: 10\n\n"),
        [message("YHOO\n+2\n10")]
    );
    let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n\
                  data:  third event\n";
    let expected = [
        Said::Comment,
        event("message", "first event", "1"),
        message("second event"),
    ];
    assert_eq!(heard(stream), expected, "the third never ended");
    assert_eq!(
        heard("data\n\ndata\ndata\n\ndata:"),
        [message(""), message("\n")]
    );
    assert_eq!(
        heard("data:test\n\ndata: test\n\n"),
        [message("test"), message("test")]
    );
}

#[test]
fn lines_end_with_cr_lf_or_both_also_across_receives() {
    // 9.2.5: end-of-line = ( cr lf / cr / lf )
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("data:a{end}{end}data:b{end}data:c{end}{end}:x{end}");
        assert_eq!(
            heard(&stream),
            [message("a"), message("b\nc"), Said::Comment],
            "{end:?}"
        );
    }
    assert_eq!(heard("data:a\r\rdata:b\n\r"), [message("a"), message("b")]);
    assert_eq!(
        heard("data:a\r\n\rdata:b\r\r\n"),
        [message("a"), message("b")]
    );
    assert_eq!(heard("data:a\n\r\n\r"), [message("a")]);
}

#[test]
fn an_event_that_ends_with_cr_does_not_wait_for_the_next_byte() {
    let mut pool = Pool::new(1000);
    let mut parser = Parser::new();
    assert_eq!(
        hear(&mut parser, &[b"data:a\r\r"], &mut pool),
        [message("a")]
    );
    assert_eq!(
        hear(&mut parser, &[b"\ndata:b\r\n\r"], &mut pool),
        [message("b")]
    );
}

#[test]
fn one_byte_order_mark_is_skipped_and_only_at_the_start() {
    // 9.2.5: stream = [ bom ] *event
    assert_eq!(heard("\u{feff}data:a\n\n"), [message("a")]);
    assert_eq!(heard("\u{feff}\u{feff}data:a\n\n"), []);
    assert_eq!(heard("\u{feff}"), []);
    assert_eq!(heard("data:a\n\n\u{feff}data:b\n\n"), [message("a")]);
    assert_eq!(heard("\u{feff}:\n\u{feff}data:b\n\n"), [Said::Comment]);
    assert_eq!(heard("data:\u{feff}\n\n"), [message("\u{feff}")]);
    let mut pool = Pool::new(1000);
    let almost = b"\xef\xbbdata:a\ndata:b\n\n";
    assert_eq!(heard_within(almost, &mut pool).0, [message("b")]);
    assert_eq!(
        heard_within(b"\xef\n\ndata:b\n\n", &mut pool).0,
        [message("b")]
    );
}

#[test]
fn fields_are_read_as_they_are_spelt() {
    // 9.2.6: names are compared exactly; one space after the colon is dropped.
    let one = |line: &str| heard(&format!("{line}\n\n"));
    assert_eq!(one("data:  a "), [message(" a ")]);
    assert_eq!(one("data:\ta"), [message("\ta")]);
    assert_eq!(one("data:a:b"), [message("a:b")]);
    for ignored in [
        "Data:a", " data:a", "data :a", "dataa:b", "dat:a", "x", "", "d", "ata:a",
    ] {
        assert_eq!(one(ignored), [], "{ignored:?}");
    }
    assert_eq!(
        heard("event:x\ndata:a\n\ndata:b\n\n"),
        [event("x", "a", ""), message("b")]
    );
    assert_eq!(heard("event:x\nevent\ndata:a\n\n"), [message("a")]);
    assert_eq!(
        heard("event:x\n\ndata:a\n\n"),
        [message("a")],
        "dropped with its event"
    );
    assert_eq!(
        heard("event:x\nevent: y\ndata:a\n\n"),
        [event("y", "a", "")]
    );
    assert_eq!(heard("data:a\0b\n\n"), [message("a\0b")]);
}

#[test]
fn an_event_without_data_is_none() {
    // 9.2.6, dispatch, step 2
    assert_eq!(heard("\n\n\nevent:x\nid:1\n\n"), []);
    assert_eq!(heard("data\n\n"), [message("")]);
    assert_eq!(heard("data:a"), []);
    assert_eq!(heard("data:a\n"), []);
}

#[test]
fn the_last_event_id_counts_from_the_end_of_its_event() {
    // 9.2.6, dispatch, step 1
    let id = |stream: &str| heard_within(stream.as_bytes(), &mut Pool::new(1000)).1;
    assert_eq!(id("id:1\ndata:a\n\n"), "1");
    assert_eq!(id("id:1\n\n"), "1", "an event without data sets it too");
    assert_eq!(id("id:1\ndata:a\n"), "", "this event never ended");
    assert_eq!(id("id:1\n\nid:2\n"), "1");
    assert_eq!(id("id:1\n\nid\n\n"), "", "an empty one resets it");
    assert_eq!(id("id:1\nid:2\n\n"), "2");
    assert_eq!(id("id:1\n\ndata:a\n\n"), "1", "it stays");
    assert_eq!(
        id("id:1\n\nid:a\0b\ndata:a\n\n"),
        "1",
        "one with NUL is ignored"
    );
    assert_eq!(id("id:1\nid:\0\n\n"), "1");
    let stream = "id:1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\n";
    let ids = [
        event("message", "a", "1"),
        event("message", "b", "1"),
        event("message", "c", "2"),
    ];
    assert_eq!(heard(stream), ids);
}

#[test]
fn retry_is_digits_and_counts_at_once() {
    // 9.2.6: "If the field value consists of only ASCII digits"
    assert_eq!(heard("retry:10\n"), [Said::Retry(10)]);
    assert_eq!(
        heard("data:a\nretry: 007\n\n"),
        [Said::Retry(7), message("a")]
    );
    for ignored in [
        "", " ", "1.5", "-1", "+1", "1s", "1 ", "  1", "\u{661}", "0x1", "1e3",
    ] {
        assert_eq!(heard(&format!("retry:{ignored}\n\n")), [], "{ignored:?}");
    }
    assert_eq!(heard("retry\n"), []);
    assert_eq!(
        heard("retry:99999999999999999999999\n"),
        [Said::Retry(u64::MAX)]
    );
}

#[test]
fn what_is_not_utf8_becomes_the_replacement_character() {
    // 9.2.5: streams are decoded as UTF-8.
    let mut pool = Pool::new(1000);
    for (data, expected) in [
        (&b"a\xffb"[..], "a\u{fffd}b"),
        (b"\xe2\x82", "\u{fffd}"),
        (b"\xe2\x82x", "\u{fffd}x"),
        (b"\xf0\x90\xe2\x82\xac", "\u{fffd}\u{20ac}"),
        (b"\xc0\x80", "\u{fffd}\u{fffd}"),
    ] {
        let stream = [b"event:", data, b"\nid:", data, b"\ndata:", data, b"\n\n"].concat();
        let expected = event(expected, expected, expected);
        assert_eq!(heard_within(&stream, &mut pool).0, [expected]);
    }
}

#[test]
fn an_event_is_bounded() {
    let mut pool = Pool::new(20);
    let fits = format!("data:{}\n\n", "x".repeat(15));
    assert_eq!(
        heard_within(fits.as_bytes(), &mut pool).0,
        [message(&"x".repeat(15))]
    );
    let big = format!("data:{}\n\ndata:late\n\n", "x".repeat(16));
    assert_eq!(heard_within(big.as_bytes(), &mut pool).0, [Said::Fault]);
    let many = "data:x\n".repeat(9);
    assert_eq!(heard_within(many.as_bytes(), &mut pool).0, [Said::Fault]);
    let endless = [b'x'; 21];
    assert_eq!(heard_within(&endless, &mut pool).0, [Said::Fault]);
    let comment = format!(":{}\ndata:a\n\n", "x".repeat(100));
    let said = heard_within(comment.as_bytes(), &mut pool).0;
    assert_eq!(said, [Said::Comment, message("a")], "comments are not kept");
    let repeated = "event:0123456789\n".repeat(5) + "data:x\n\n";
    let said = heard_within(repeated.as_bytes(), &mut pool).0;
    assert_eq!(said, [Said::Fault]);
    let separate = "id:0123\ndata:a\n\n".repeat(5);
    assert_eq!(heard_within(separate.as_bytes(), &mut pool).0.len(), 5);
}

#[test]
fn a_simple_event_is_borrowed_and_nothing_is_kept_between_events() {
    let mut pool = Pool::new(1000);
    let mut parser = Parser::new();
    hear(&mut parser, &[b":\n"], &mut pool);
    let bytes = b"id: 7\nevent: push\ndata: {}\n\n";
    let range = bytes.as_ptr_range();
    match parser.next(bytes, &mut 0, &mut pool) {
        Ok(Some(Item::Event(it))) => assert!(range.contains(&it.data.as_ptr())),
        other => panic!("{other:?}"),
    }
    assert!(parser.pieces.is_none() && pool.spare.is_empty());
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        assert_eq!(hear(&mut parser, &[a, b], &mut pool).len(), 1);
        assert!(parser.pieces.is_none(), "split at {split}");
        assert!(pool.spare.len() <= 1, "one buffer, used again and again");
    }
}

#[test]
fn what_follows_something_in_pieces_is_borrowed_again() {
    let mut pool = Pool::new(1000);
    for (begun, rest) in [("data:a", "\n\n"), (":a", "\n"), ("retry:1", "\n")] {
        let mut parser = Parser::new();
        hear(&mut parser, &[begun.as_bytes()], &mut pool);
        let bytes = format!("{rest}data: {{}}\n\n").into_bytes();
        let (range, mut at) = (bytes.as_ptr_range(), 0);
        let mut borrowed = None;
        while let Some(item) = parser.next(&bytes, &mut at, &mut pool).unwrap() {
            if let Item::Event(it) = item {
                borrowed = Some((it.data.to_owned(), range.contains(&it.data.as_ptr())));
            }
        }
        assert_eq!(borrowed, Some(("{}".to_owned(), true)), "behind {begun}");
    }
}

#[test]
fn a_stream_that_says_nothing_more_for_now_keeps_nothing() {
    let mut pool = Pool::new(1000);
    // In pieces, and whole: what waits after each is a parser of a quiet stream.
    for quiet in [
        "event:x\n\n",
        "unknown\n",
        ":\n",
        "retry:x\n",
        "event:x\n\n\n",
    ] {
        for split in 0..=quiet.len() {
            let mut parser = Parser::new();
            let (a, b) = quiet.as_bytes().split_at(split);
            hear(&mut parser, &[a, b], &mut pool);
            assert!(parser.pieces.is_none(), "{quiet:?} split at {split}");
            assert_eq!(
                parser.state,
                ParserState::Ready,
                "{quiet:?} split at {split}"
            );
        }
    }
    assert_eq!(pool.spare.len(), 1, "one buffer, used again and again");
}

#[test]
fn the_memory_of_a_line_in_pieces_is_used_again_and_only_so_much_of_it_is_kept() {
    let mut pool = Pool::new(4 * limits::SPARE_BYTES);
    let line = |len| vec![b'x'; len];
    hear(&mut Parser::new(), &[&line(500), b"\n"], &mut pool);
    assert!(pool.spare[0].capacity() >= 500, "no other buffer has grown");
    hear(
        &mut Parser::new(),
        &[&line(limits::SPARE_BYTES + 1), b"\n"],
        &mut pool,
    );
    assert!(pool.spare.is_empty(), "too large to be kept");
    let mut parsers: Vec<_> = (0..=limits::SPARE_BUFFERS).map(|_| Parser::new()).collect();
    for parser in &mut parsers {
        hear(parser, &[b"data:a"], &mut pool);
    }
    for parser in &mut parsers {
        parser.restart(&mut pool);
    }
    assert_eq!(pool.spare.len(), limits::SPARE_BUFFERS);
}

#[test]
fn a_new_stream_keeps_the_id_and_forgets_the_unfinished_event() {
    let mut pool = Pool::new(1000);
    let mut parser = Parser::new();
    hear(
        &mut parser,
        &[b"id:1\ndata:a\n\nid:2\ndata:lost\r"],
        &mut pool,
    );
    parser.restart(&mut pool);
    assert_eq!(parser.last_event_id(), "1");
    let said = hear(&mut parser, &["\u{feff}data:b\n\n".as_bytes()], &mut pool);
    assert_eq!(said, [event("message", "b", "1")]);
    assert_eq!(
        hear(&mut parser, &[&[b'x'; 1001]], &mut pool),
        [Said::Fault]
    );
    assert_eq!(hear(&mut parser, &[b"data:c\n\n"], &mut pool), [], "dead");
    parser.restart(&mut pool);
    let said = hear(&mut parser, &[b"data:c\n\n"], &mut pool);
    assert_eq!(said, [event("message", "c", "1")]);
}

#[test]
fn ids_of_every_length_are_kept_whole() {
    let mut pool = Pool::new(1000);
    let mut parser = Parser::new();
    for len in (0..70).chain((0..70).rev()) {
        let id = "x".repeat(len);
        let said = hear(
            &mut parser,
            &[format!("id:{id}\ndata\n\n").as_bytes()],
            &mut pool,
        );
        assert_eq!(said, [event("message", "", &id)]);
        assert_eq!(parser.last_event_id(), id);
    }
}

#[test]
fn what_is_encoded_is_parsed_to_the_same() {
    for data in [
        "",
        "a",
        "a\nb",
        "\n",
        "\n\n",
        " a",
        ": b",
        "id: 7",
        "\u{feff}",
        "data: x\n\nid: 1",
    ] {
        let mut stream = Vec::new();
        sse::comment(&mut stream, data);
        let written = sse::Event {
            id: Some("7"),
            event: Some("x"),
            retry_ms: Some(5),
            data,
        };
        encode::encode(&mut stream, &written).unwrap();
        let said = heard_within(&stream, &mut Pool::new(1000)).0;
        let mut expected = vec![Said::Comment; data.split('\n').count()];
        expected.extend([Said::Retry(5), event("x", data, "7")]);
        assert_eq!(said, expected, "{data:?}");
    }
}
