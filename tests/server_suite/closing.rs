//! Peers that end their half of the connection and still read, or read slowly while it closes.

use crate::rooms::{Told, post};
use crate::script::{Act, Script, get, masked, plain};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;
use ringstorm::server::Outcome;
use std::time::Duration;

fn on_two_cores() -> Setup {
    Setup {
        cores: 2,
        ..Setup::default()
    }
}

/// RFC 9112, 9.6: a client may half-close after its last request, and reads its answer.
pub(crate) fn a_half_closed_peer_gets_the_answer_that_waits_for_another_core<H: Harness>() {
    const ASKED: usize = 20;
    let mut script = Script::default();
    for (peer, path) in (0..ASKED).zip(["/stats", "/metrics"].into_iter().cycle()) {
        script
            .send(peer, get(path))
            .half_close(peer)
            .response(peer, 200, move |_, body| {
                assert!(!body.is_empty(), "{path}")
            })
            .ended(peer);
    }
    // Requests before the one that waits are answered too.
    script
        .send(ASKED, get("/healthz") + &get("/stats"))
        .half_close(ASKED)
        .response(ASKED, 200, |_, body| assert_eq!(body, "ok\n"))
        .response(ASKED, 200, |_, _| {})
        .ended(ASKED);
    let outcomes = H::run(on_two_cores(), script);
    // An answer that was out before the FIN came leaves the end to the peer.
    let (total, _) = Outcome::total(&outcomes);
    assert_eq!(total.decided.done, total.closed.local);
    assert_eq!(
        total.closed.local + total.closed.peer_ended,
        ASKED as u64 + 1
    );
}

/// What is said is answered, whichever core the room is on.
pub(crate) fn a_half_closed_post_is_answered<H: Harness>() {
    let member = Told::default();
    let mut script = Script::default();
    script.upgrade(0, "/rooms").news(0, &member);
    for peer in 1..13 {
        let member = member.clone();
        let say = move || post(&member.last("say"), "and gone");
        script
            .act(peer, Act::Make(Box::new(say)))
            .half_close(peer)
            .response(peer, 200, |_, body| {
                assert!(body.starts_with(r#"{"seq":"#), "{body}");
            })
            .ended(peer)
            .tells(0, r#"{"type":"said","text":"and gone"}"#);
    }
    H::run(on_two_cores(), script);
}

/// RFC 6455, 7.1.1: nothing follows a FIN; and a listener that has left is not told more.
pub(crate) fn a_half_closed_websocket_or_stream_is_over<H: Harness>() {
    let mut script = Script::default();
    script.upgrade(0, "/echo").half_close(0).ended(0);
    script
        .send(1, get("/rooms"))
        .half_close(1)
        .read(1, "what was queued, then the end", |bytes| {
            bytes.ends_with(b"\n\n").then_some(bytes.len())
        })
        .ended(1);
    script.stats(|json| {
        let total = &json["total"];
        let ended = total["closed"]["peer_ended"].as_u64().unwrap();
        (ended, total["open"]["sse"].as_u64().unwrap()) == (2, 0)
    });
    H::run(Setup::default(), script);
}

/// RFC 9112, 8: an incomplete request is dropped.
pub(crate) fn half_a_request_and_a_half_close_get_no_answer<H: Harness>() {
    let whole = "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell";
    let mut script = Script::default();
    for (peer, end) in [0, 1, 30, whole.len()].into_iter().enumerate() {
        script
            .send(peer, &whole[..end])
            .half_close(peer)
            .ended(peer);
    }
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.closed.peer_ended, 4);
}

/// RFC 8446, 6.1: an end without `close_notify` may be anybody's, so nothing is taken for whole
/// that is not: no record, no message, no request.
pub(crate) fn what_was_cut_off_is_not_heard<H: Harness>() {
    let mut script = Script::default();
    let request = "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    script
        .ask(1, &get("/healthz"), 200)
        .act(1, Act::Cut(request.into()))
        .ended(1);
    let hello = masked(Opcode::Text, b"hello");
    script
        .upgrade(2, "/echo")
        .send(2, &hello)
        .expect(2, plain(Opcode::Text, b"hello"))
        .act(2, Act::Cut(hello))
        .ended(2);
    script.stats(|json| json["total"]["closed"]["peer_ended"].as_u64() == Some(2));
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.messages_in, 1);
}

/// RFC 9112, 9.6 and RFC 6455, 7.1.1: what the kernel took is not what the peer has.
pub(crate) fn a_slow_steady_reader_gets_what_was_said_before_a_close<H: Harness>() {
    let message: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let mut close = Vec::new();
    ringstorm::protocol::websocket::frame::close_payload(&mut close, 1000, "");
    let mut both = masked(Opcode::Binary, &message);
    both.extend(masked(Opcode::Close, &close));
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        // Far longer in all than a close without progress is let linger.
        .act(0, Act::Pace(160_000))
        .send(0, both)
        .expect(0, plain(Opcode::Binary, &message))
        .closes(0, 1000)
        .ended(0);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.closed.cut_off, 0);
}

/// The same where the server is told to end.
pub(crate) fn a_draining_server_waits_for_a_slow_steady_reader<H: Harness>() {
    let mut script = Script::default();
    script
        .send(0, get("/events"))
        .act(0, Act::Pace(160_000))
        .wait(1_200)
        .stop()
        .told_to_return(0)
        .ended(0);
    let outcomes = H::run(
        Setup::with(|config| {
            config.chunk = Duration::from_millis(300);
            config.chunk_bytes = 300_000;
            config.drain = Duration::from_secs(60);
        }),
        script,
    );
    assert_eq!(outcomes[0].left, 0);
    assert_eq!(outcomes[0].tally.closed.cut_off, 0);
}
