//! What a probe asks for, what it makes of the answer, and how it ends.

use super::program::{Running, Serving, ringstorm};
use super::scripted;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n";

/// RFC 6265, 5.4: one Cookie header; RFC 9110, 5.3: nothing else is there twice.
#[test]
fn headers_that_the_user_gives_replace_those_of_the_probe_and_cookies_join() {
    let (url, serving) = scripted(vec![STREAM]);
    let given = ["Host: x", "accept: */*", "Cookie: a=1", "Origin: http://h"];
    let mut arguments = vec!["probe", &url, "--count", "1", "--cookie", "b=2"];
    arguments.extend(["--origin", "http://other"]);
    given
        .iter()
        .for_each(|header| arguments.extend(["-H", header]));
    let probe = ringstorm(&arguments);
    assert_eq!((probe.code, probe.out.as_str()), (0, "message: one\n"));
    let request = serving.join().unwrap().remove(0);
    for line in [
        "Host: x",
        "accept: */*",
        "Cookie: a=1; b=2",
        "Origin: http://h",
    ] {
        let name = line.split_once(':').unwrap().0.to_ascii_lowercase();
        let all = request
            .lines()
            .filter(|other| other.to_ascii_lowercase().starts_with(&format!("{name}:")));
        assert_eq!(all.collect::<Vec<_>>(), [line], "{request}");
    }
    assert!(
        request.contains("Accept-Encoding: identity\r\n"),
        "{request}"
    );
}

/// What differs by client in a load is the first client's in a probe.
#[test]
fn a_probe_is_the_first_client_of_a_load() {
    let (url, serving) = scripted(vec![STREAM]);
    let url = format!("{url}?n={{number}}&x={{other}}");
    let probe = ringstorm(&["probe", &url, "--count", "1", "-H", "X-R: {rand}-{number}"]);
    assert_eq!(probe.code, 0, "{}", probe.err);
    let request = serving.join().unwrap().remove(0);
    assert!(request.contains("?n=0&x={other} HTTP/1.1\r\n"), "{request}");
    let header = request.lines().find_map(|line| line.strip_prefix("X-R: "));
    let (random, number) = header.and_then(|it| it.split_once('-')).expect("a header");
    assert_eq!((random.len(), number), (16, "0"), "{request}");
}

#[test]
fn a_coding_that_the_probe_does_not_know_is_named() {
    let (url, serving) = scripted(vec![
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br\r\n\r\n",
    ]);
    let probe = ringstorm(&["probe", &url]);
    serving.join().unwrap();
    assert_eq!(probe.code, 1);
    assert!(probe.err.contains("not asked for: br"), "{}", probe.err);
}

#[test]
fn a_probe_that_did_not_get_its_count_in_time_has_failed() {
    let server = Serving::start(&[]);
    let url = format!("ws://{}/echo", server.address);
    let probe = ringstorm(&["probe", &url, "--count", "1", "-d", "300ms"]);
    assert_eq!(probe.code, 99, "{}", probe.err);
    let probe = ringstorm(&["probe", &url, "-d", "300ms"]);
    assert_eq!(probe.code, 0, "{}", probe.err);
}

#[test]
fn a_probe_offers_compression_and_a_list_of_subprotocols() {
    let server = Serving::start(&["--deflate", "--subprotocol", "b"]);
    let url = format!("ws://{}/echo", server.address);
    let text = "long enough to be worth it: ".repeat(9);
    let flags = ["--deflate", "--debug", "--count", "1", "--send", &text];
    let more = ["--subprotocol", "a, b", "--subprotocol", "c"];
    let all = [&["probe", &url], &flags[..], &more].concat();
    let probe = ringstorm(&all);
    assert_eq!(
        (probe.code, probe.out),
        (0, format!("{text}\n")),
        "{}",
        probe.err
    );
    let said = "< Sec-WebSocket-Extensions: permessage-deflate";
    assert!(probe.err.contains(said), "{}", probe.err);
    let offered = "> Sec-WebSocket-Protocol: a, b, c\n";
    assert!(probe.err.contains(offered), "{}", probe.err);
    for wrong in ["a b", "a\r\nX: y", "a,,b", "\u{e4}"] {
        let probe = ringstorm(&["probe", &url, "--subprotocol", wrong]);
        assert_eq!(probe.code, 2, "{wrong:?}: {}", probe.err);
    }
}

#[test]
fn what_cannot_be_printed_ends_a_probe_and_a_reader_that_has_gone_too() {
    let server = Serving::start(&[]);
    let url = format!("ws://{}/echo", server.address);
    let program = env!("CARGO_BIN_EXE_ringstorm");
    let full = std::fs::File::create("/dev/full").expect("Linux has it");
    let mut probe = Command::new(program);
    probe.args(["probe", &url, "--send", "x", "--count", "1"]);
    let full = probe.stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(full.code(), Some(1));
    let mut probe = Command::new(program)
        .args(["probe", &url, "--send", "x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // As `| head -0` does; nothing comes after the first message.
    drop(probe.stdout.take());
    let by = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        match probe.try_wait().expect("it can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() > by => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let _ = probe.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_load_sends_what_the_user_gives_and_fits_large_messages() {
    let server = Serving::start(&["--max-message", "16M", "--max-backlog", "64M"]);
    let url = format!("ws://{}/echo", server.address);
    let large = [
        "load",
        &url,
        "-c",
        "1",
        "-d",
        "1s",
        "--payload",
        "5M",
        "--json",
    ];
    let ran = Running::start(&[&large[..], &["-H", "Host: elsewhere"]].concat()).end();
    let record: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.err);
    let sent = record["messages"]["sent"].as_u64();
    assert!(sent.is_some_and(|sent| sent > 0), "{}", ran.out);
    assert_eq!(record["connects"]["failed"], 0, "{}", ran.out);
}

#[test]
fn a_redirect_of_an_event_stream_is_followed_if_it_is_to_be() {
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /other?x\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n";
    let (url, serving) = scripted(vec![moved, STREAM]);
    let probe = ringstorm(&["probe", &url, "--follow", "--count", "1"]);
    assert_eq!((probe.code, probe.out.as_str()), (0, "message: one\n"));
    let request = serving.join().unwrap().remove(1);
    assert!(
        request.starts_with("GET /other?x HTTP/1.1\r\n"),
        "{request}"
    );
    let (url, serving) = scripted(vec![moved]);
    let probe = ringstorm(&["probe", &url]);
    serving.join().unwrap();
    assert_eq!(probe.code, 1);
    assert!(probe.err.contains("Location, /other?x"), "{}", probe.err);
}

#[test]
fn what_a_refusal_says_is_shown() {
    let (url, serving) = scripted(vec![
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"x\"\r\n\
         Content-Length: 22\r\n\r\n\r\ntoken has expired\r\nx",
    ]);
    let url = url.replace("http://", "HTTP://ann:secret@");
    let probe = ringstorm(&["probe", &url]);
    let request = serving.join().unwrap().remove(0);
    let basic = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
    assert!(request.contains(basic), "{request}");
    assert_eq!(probe.code, 1);
    for part in ["401 Unauthorized", "Bearer realm=", "token has expired"] {
        assert!(probe.err.contains(part), "{part}: {}", probe.err);
    }
}

/// RFC 6455, 5: a text frame of 8 bytes each way, its payload in the clear.
#[test]
fn a_load_shows_what_its_first_clients_send_and_receive_and_no_others() {
    let server = Serving::start(&["--cores", "0", "--chunk-ms", "50"]);
    let common = [
        "-c", "5", "-d", "200ms", "--cores", "0", "--quiet", "--debug",
    ];
    for engine in ["ring", "tokio"] {
        for (path, more, sent, received) in [
            (
                "ws|echo",
                &[
                    "--text",
                    "--payload",
                    "8",
                    "-r",
                    "50",
                    "-H",
                    "X-Client: {number}",
                ][..],
                "text frame, 8 bytes, masked: \"",
                "text frame, 8 bytes: \"",
            ),
            (
                "http|events",
                &["-H", "X-Client: {number}"],
                "GET /events HTTP/1.1",
                "event: push",
            ),
        ] {
            let (scheme, path) = path.split_once('|').expect("both");
            let url = format!("{scheme}://{}/{path}", server.address);
            let flags = ["load", &url, "--engine", engine, "--debug-clients", "2"];
            let ran = ringstorm(&[&flags[..], &common, more].concat());
            for client in ["0", "1"] {
                for part in [
                    format!("{client} * connecting to {}", server.address),
                    format!("{client} > X-Client: {client}"),
                    format!("{client} > {sent}"),
                    format!("{client} < {received}"),
                    format!("{client} * closed"),
                ] {
                    let mut lines = ran.err.lines();
                    assert!(
                        lines.any(|line| line.starts_with(&part)),
                        "{part}: {}",
                        ran.err
                    );
                }
            }
            let other = ran
                .err
                .lines()
                .find(|line| line.starts_with(['2', '3', '4']));
            assert_eq!(other, None, "{engine}, {path}");
        }
    }
    let refused = ringstorm(&["load", "ws://127.0.0.1:9/", "--debug-clients", "2"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}
