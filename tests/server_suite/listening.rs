//! Those who listen: push over WebSocket, event streams, resume, heartbeats, slow readers.

use crate::script::{Script, get, masked, plain};
use crate::{Harness, Setup};
use ringstorm::protocol::websocket::Opcode;
use std::time::Duration;

/// An event's fields, as far as a test looks at them.
struct Event {
    id: u64,
    name: String,
    data: serde_json::Value,
}

/// The number in the id of an event of the run that a test's server is.
fn number(id: &str) -> u64 {
    let number = id.strip_prefix("00000000:").expect("this run");
    number.parse().expect("a number")
}

/// Takes an event stream's head, and whatever heartbeats there are, up to the end of an event.
fn event(bytes: &[u8]) -> Option<(Event, usize)> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let data = text.find("\ndata: ")?;
    let end = data + text[data..].find("\n\n")? + 2;
    let field = |name: &str| {
        text[..end]
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(name))
    };
    let event = Event {
        id: number(field("id: ").expect("an id")),
        name: field("event: ").expect("a name").to_owned(),
        data: serde_json::from_str(field("data: ").expect("data")).expect("JSON"),
    };
    Some((event, end))
}

impl Script {
    fn listen(&mut self, peer: usize, last_event_id: &str) -> &mut Self {
        let request = get("/events");
        let resume = format!("Host: a\r\nLast-Event-ID: {last_event_id}\r\n");
        self.send(peer, request.replace("Host: a\r\n", &resume))
            .read(peer, "a head", |bytes| {
                let text = String::from_utf8_lossy(bytes);
                let end = text.find("\r\n\r\n")? + 4;
                assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
                assert!(
                    text.contains("Content-Type: text/event-stream\r\n"),
                    "{text}"
                );
                let retry = "retry: 3000\n";
                text.get(end..end + retry.len()).map(|line| {
                    assert_eq!(line, retry);
                    end + retry.len()
                })
            })
    }

    fn event(&mut self, peer: usize, mut check: impl FnMut(Event) + Send + 'static) -> &mut Self {
        self.read(peer, "an event", move |bytes| {
            let (event, used) = event(bytes)?;
            check(event);
            Some(used)
        })
    }

    /// Expects a push message on a WebSocket.
    fn message(&mut self, peer: usize, mut check: impl FnMut(u64) + Send + 'static) -> &mut Self {
        self.read(peer, "a message", move |bytes| {
            let end = 2 + usize::from(*bytes.get(1)?);
            let frame = bytes.get(..end)?;
            assert_eq!(frame[0], 0x81, "a text frame: {frame:?}");
            let json: serde_json::Value = serde_json::from_slice(&frame[2..]).expect("JSON");
            check(json["seq"].as_u64().expect("a number"));
            Some(end)
        })
    }
}

/// Checks that numbers follow each other, whichever is first.
fn in_order() -> impl FnMut(u64) + Clone {
    let mut last = None;
    move |id| {
        assert!(
            last.is_none_or(|last| id == last + 1),
            "{id} after {last:?}"
        );
        last = Some(id);
    }
}

pub(crate) fn push_and_events_carry_the_same_numbers<H: Harness>() {
    let mut script = Script::default();
    script.listen(0, "").upgrade(1, "/push");
    let order = std::sync::Arc::new(std::sync::Mutex::new([in_order(), in_order()]));
    for _ in 0..10 {
        let (events, messages) = (order.clone(), order.clone());
        script.event(0, move |event| {
            assert_eq!(event.name, "push");
            assert_eq!(event.data["seq"], event.id);
            assert!(event.data["sent_ns"].is_u64());
            assert_eq!(event.data.to_string().len(), 100);
            events.lock().unwrap()[0](event.id);
        });
        script.message(1, move |seq| messages.lock().unwrap()[1](seq));
    }
    let outcomes = H::run(Setup::with(|config| config.chunk_bytes = 100), script);
    assert!(outcomes[0].tally.messages_out >= 20);
}

pub(crate) fn who_comes_back_misses_nothing<H: Harness>() {
    let mut script = Script::default();
    script.listen(0, "");
    for _ in 0..3 {
        script.event(0, |_| {});
    }
    // Two cores number alike, so it does not matter which one they come back to.
    for peer in 1..6 {
        script.wait(60).listen(peer, "00000000:2");
        for id in 3..8 {
            script.event(peer, move |event| {
                assert_eq!((event.id, event.name.as_str()), (id, "push"));
                assert_eq!(event.data["seq"], id);
            });
        }
    }
    H::run(
        Setup {
            cores: 2,
            ..Setup::default()
        },
        script,
    );
}

pub(crate) fn an_id_that_is_too_old_is_told_so<H: Harness>() {
    let mut script = Script::default();
    script.wait(300);
    for (peer, id) in [
        "00000000:1",
        "00000000:999999",
        "0badcafe:1",
        "1",
        "nonsense",
    ]
    .into_iter()
    .enumerate()
    {
        script
            .listen(peer, id)
            .event(peer, move |event| {
                assert_eq!(event.name, "stale");
                assert_eq!(event.data["latest"], event.id);
                assert_eq!(event.data["run"], "00000000");
                assert_eq!(event.data["other_run"], peer > 0);
                assert_eq!(event.data["missed_from"], if peer > 0 { 1 } else { 2 });
            })
            .event(peer, |event| assert_eq!(event.name, "push"));
    }
    H::run(Setup::with(|config| config.history = 4), script);
}

pub(crate) fn a_quiet_stream_gets_heartbeats<H: Harness>() {
    let mut script = Script::default();
    script.listen(0, "").expect(0, ": \n\n: \n\n: \n\n");
    let setup = Setup::with(|config| {
        config.chunk = Duration::from_secs(60);
        config.heartbeat = Duration::from_millis(100);
    });
    H::run(setup, script);
}

pub(crate) fn a_listener_that_does_not_read_is_ended_and_the_others_go_on<H: Harness>() {
    let mut script = Script::default();
    script
        .listen(0, "")
        .send(1, crate::script::upgrade("/push"))
        .upgrade(2, "/echo")
        .listen(3, "")
        .stats(|json| {
            let total = &json["total"];
            total["decided"]["slow_consumer"] == 3 && total["closed"]["local"].as_u64() >= Some(2)
        })
        .send(2, masked(Opcode::Text, b"unmoved"))
        .expect(2, plain(Opcode::Text, b"unmoved"));
    let setup = Setup {
        max_backlog: 256 * 1024,
        ..Setup::with(|config| {
            config.chunk = Duration::from_millis(2);
            config.chunk_bytes = 60_000;
        })
    };
    H::run(setup, script);
}

pub(crate) fn a_draining_server_ends_streams<H: Harness>() {
    let mut script = Script::default();
    script
        .listen(0, "")
        .event(0, |_| {})
        .stop()
        .told_to_return(0);
    script.ended(0);
    let outcomes = H::run(
        Setup::with(|config| config.chunk = Duration::from_millis(200)),
        script,
    );
    assert_eq!((outcomes[0].left, outcomes[0].tally.decided.drain), (0, 1));
}

pub(crate) fn who_does_not_take_what_is_left_in_the_time_to_drain_is_cut_off<H: Harness>() {
    let mut script = Script::default();
    script
        .send(0, get("/events"))
        .read(0, "a head", |bytes| {
            bytes.starts_with(b"HTTP/1.1 200 OK\r\n").then_some(0)
        })
        .wait(1_500)
        .stop()
        .wait(2_500);
    let outcomes = H::run(
        Setup::with(|config| {
            config.chunk = Duration::from_millis(300);
            config.chunk_bytes = 500_000;
            config.drain = Duration::from_secs(1);
        }),
        script,
    );
    let cut_off = outcomes[0].left + outcomes[0].tally.closed.cut_off;
    assert_eq!(cut_off, 1);
}
