//! Plain requests, good and bad.

use crate::script::{Script, get, upgrade};
use crate::{Harness, Setup};
use ringstorm::limits;

pub(crate) fn plain_routes_answer_on_one_connection<H: Harness>() {
    let mut script = Script::default();
    script
        .send(0, get("/"))
        .response(0, 200, |_, body| {
            assert!(body.contains("/echo") && body.contains("/events"))
        })
        .send(0, get("/healthz"))
        .response(0, 200, |_, body| assert_eq!(body, "ok\n"))
        .send(0, get("/stats"))
        .response(0, 200, |head, _| {
            assert!(head.contains("application/json"), "{head}")
        })
        .ask(0, &get("/nowhere"), 404)
        .ask(
            0,
            &get("/healthz").replace("Host", "Connection: close\r\nHost"),
            200,
        )
        .ended(0)
        .ask(1, "GET / HTTP/1.0\r\n\r\n", 200)
        .ended(1);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.requests, 6);
    assert_eq!(outcomes[0].left, 0);
}

pub(crate) fn pipelined_requests_are_answered_in_order_however_they_are_split<H: Harness>() {
    let all = get("/healthz") + &get("/nope") + &get("/stats") + &get("/healthz");
    let mut script = Script::default();
    for (peer, split) in (0..all.len()).step_by(7).enumerate() {
        script
            .send(peer, &all[..split])
            .wait(2)
            .send(peer, &all[split..]);
        for status in [200, 404, 200, 200] {
            script.response(peer, status, |_, _| {});
        }
    }
    H::run(Setup::default(), script);
}

pub(crate) fn each_bad_request_gets_its_status_and_the_end<H: Harness>() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(limits::HEAD_BYTES)
    );
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(70));
    let cases = [
        ("nonsense\r\n\r\n", 400),
        // RFC 8446, 5.1: how a handshake begins. It is not waited for.
        ("\x16\x03\x01\x02", 400),
        ("\0", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (&long, 431),
        (&many, 431),
        (&upgrade("/echo").replace(": 13", ": 8"), 426),
        (&upgrade("/echo").replace("GET", "POST"), 405),
        (&upgrade("/push").replace("dGhl", "x"), 400),
        (&upgrade("/events"), 400),
    ];
    let mut script = Script::default();
    for (peer, (request, status)) in cases.into_iter().enumerate() {
        script.ask(peer, request, status).ended(peer);
    }
    // What is wrong with these is not the request itself: the connection goes on.
    script.ask(99, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405);
    script.send(99, get("/echo")).response(99, 426, |head, _| {
        assert!(head.contains("Upgrade: websocket\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Version: 13\r\n"), "{head}");
    });
    script.ask(99, &get("/healthz"), 200);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.decided.fault, cases_len());
}

/// As many as `cases` above.
const fn cases_len() -> u64 {
    17
}

pub(crate) fn a_body_is_skipped_or_refused<H: Harness>() {
    let with = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let mut script = Script::default();
    script
        .send(0, with("Content-Length: 10") + "GET / HTTP")
        .response(0, 200, |_, body| assert_eq!(body, "ok\n"))
        .send(
            0,
            with("Transfer-Encoding: chunked") + "5\r\nGET /\r\n0\r\n",
        )
        .wait(20)
        .send(0, "\r\n")
        .response(0, 200, |_, body| assert_eq!(body, "ok\n"))
        .ask(0, &with("Content-Length: 1000000"), 413)
        .ended(0)
        .ask(1, &(with("Transfer-Encoding: chunked") + "zz\r\n"), 400)
        .ended(1);
    H::run(Setup::default(), script);
}

pub(crate) fn a_head_that_trickles_gets_408<H: Harness>() {
    let head = get("/");
    let ms = u64::try_from(limits::HEAD_TIME.as_millis()).unwrap();
    let mut script = Script::default();
    // Connects the silent one.
    script.send(1, "");
    for byte in head.bytes().take(8) {
        script.send(0, [byte]).wait(ms / 10);
    }
    for peer in [0, 1] {
        script.response(peer, 408, |_, _| {}).ended(peer);
    }
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.decided.request_time, 2);
}

pub(crate) fn stats_add_up_over_two_cores<H: Harness>() {
    const SOCKETS: usize = 8;
    let mut script = Script::default();
    for peer in 0..SOCKETS {
        script.upgrade(peer, "/echo");
    }
    script
        .send(SOCKETS, get("/events"))
        .read(SOCKETS, "a stream", |bytes| {
            bytes.ends_with(b"\n\n").then_some(bytes.len())
        });
    script.stats(|json| {
        let of = |place: &serde_json::Value, key| place["open"][key].as_u64().unwrap();
        let (cores, total) = (json["cores"].as_array().unwrap(), &json["total"]);
        assert_eq!(
            (cores.len(), json["missing"].as_array().unwrap().len()),
            (2, 0)
        );
        for key in ["websocket", "sse", "http"] {
            assert_eq!(
                cores.iter().map(|core| of(core, key)).sum::<u64>(),
                of(total, key)
            );
        }
        assert!(json["process"]["cpu_s"].is_f64());
        assert!(total["bytes_in"].as_u64().unwrap() > 1000);
        (of(total, "websocket"), of(total, "sse")) == (SOCKETS as u64, 1)
    });
    // Asked again on the same connection: whichever core has it asks the other.
    for _ in 0..3 {
        script.ask(SOCKETS + 1, &get("/stats"), 200);
    }
    let outcomes = H::run(
        Setup {
            cores: 2,
            ..Setup::default()
        },
        script,
    );
    assert_eq!(outcomes.len(), 2);
}

pub(crate) fn a_draining_server_answers_what_has_begun<H: Harness>() {
    let mut script = Script::default();
    script
        .upgrade(0, "/echo")
        .send(1, "GET /healthz HTTP/1.1\r\nHo")
        .ask(2, &get("/"), 200)
        .wait(50)
        .stop()
        .ended(2)
        .send(1, "st: a\r\n\r\n")
        .response(1, 503, |head, body| {
            assert!(head.contains("Connection: close"), "{head}");
            assert_eq!(body, "draining\n");
        })
        .ended(1);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].left, 0);
}
