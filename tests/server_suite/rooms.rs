//! Rooms: both transports, several cores, what is refused, slow members, draining.

use crate::script::{Act, Script, get, masked, plain};
use crate::{Harness, Setup};
use ringstorm::limits;
use ringstorm::protocol::websocket::Opcode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The JSON of a text frame or of an event with data at the start of what was received, and how
/// many bytes it took.
fn news(bytes: &[u8]) -> Option<(Value, usize)> {
    let (text, end) = match bytes {
        [0x81, 127, rest @ ..] => {
            let len = u64::from_be_bytes(*rest.first_chunk()?);
            (rest.get(8..)?, 10 + usize::try_from(len).unwrap())
        }
        [0x81, 126, a, b, rest @ ..] => (rest, 4 + usize::from(u16::from_be_bytes([*a, *b]))),
        [0x81, len @ 0..=125, rest @ ..] => (rest, 2 + usize::from(*len)),
        [0x81, ..] => return None,
        _ => return event(bytes),
    };
    bytes.get(..end)?;
    let text = &text[..end - (bytes.len() - text.len())];
    Some((serde_json::from_slice(text).expect("JSON"), end))
}

fn event(bytes: &[u8]) -> Option<(Value, usize)> {
    // A character may be cut.
    let text = std::str::from_utf8(bytes).ok()?;
    let data = text.find("\ndata: ")? + 7;
    let end = data + text[data..].find("\n\n")?;
    let json: Value = serde_json::from_str(&text[data..end]).expect("JSON");
    let name = format!("event: {}\n", json["type"].as_str().unwrap());
    let id = format!("id: {}\n", json["seq"]);
    assert!(
        text[..data].contains(&name) && text[..data].contains(&id),
        "{text}"
    );
    Some((json, end + 2))
}

/// What one member was told: kept for a check or an answer later.
#[derive(Clone, Default)]
pub(crate) struct Told(pub(crate) Arc<Mutex<Vec<Value>>>);

impl Told {
    pub(crate) fn last(&self, key: &str) -> Value {
        self.0.lock().unwrap().last().unwrap()[key].clone()
    }
}

impl Script {
    pub(crate) fn news(&mut self, peer: usize, told: &Told) -> &mut Self {
        let told = told.clone();
        self.read(peer, "news of the room", move |bytes| {
            let (json, used) = news(bytes)?;
            told.0.lock().unwrap().push(json);
            Some(used)
        })
    }

    /// Expects that next.
    pub(crate) fn tells(&mut self, peer: usize, wanted: &str) -> &mut Self {
        let what = wanted.to_owned();
        self.read(peer, wanted, move |bytes| {
            let (json, used) = news(bytes)?;
            let wanted: Value = serde_json::from_str(&what).unwrap();
            for (key, value) in wanted.as_object().unwrap() {
                assert_eq!(&json[key], value, "{json}");
            }
            Some(used)
        })
    }

    fn stream(&mut self, peer: usize) -> &mut Self {
        self.send(peer, get("/rooms"))
            .read(peer, "a head", |bytes| {
                let text = String::from_utf8_lossy(bytes);
                let end = text.find("\r\n\r\n")? + 4;
                assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
                text.get(end..end + 12).map(|_| end)
            })
    }

    fn say(&mut self, peer: usize, text: &str) -> &mut Self {
        self.send(peer, masked(Opcode::Text, text.as_bytes()))
    }

    fn post(&mut self, peer: usize, member: &Told, text: &'static str) -> &mut Self {
        let member = member.clone();
        self.act(
            peer,
            Act::Make(Box::new(move || post(&member.last("say"), text))),
        )
    }
}

pub(crate) fn post(say: &Value, text: &str) -> Vec<u8> {
    let (path, len) = (say.as_str().unwrap(), text.len());
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{text}").into_bytes()
}

pub(crate) fn members_hear_each_other_over_either_transport<H: Harness>() {
    let (first, second) = (Told::default(), Told::default());
    let mut script = Script::default();
    script.upgrade(0, "/rooms").news(0, &first);
    script.stream(1).news(1, &second);
    script
        .tells(0, r#"{"type":"joined","seq":2,"member":2,"members":2}"#)
        .say(0, "grüße \"\\\n\u{1} 🎈")
        .tells(
            0,
            r#"{"type":"said","seq":3,"member":1,"text":"grüße \"\\\n\u0001 🎈"}"#,
        )
        .tells(
            1,
            r#"{"type":"said","seq":3,"member":1,"text":"grüße \"\\\n\u0001 🎈"}"#,
        )
        .post(2, &second, "from the stream")
        .response(2, 200, |_, body| assert_eq!(body, r#"{"seq":4}"#))
        .post(2, &first, "from the socket")
        .response(2, 200, |_, body| assert_eq!(body, r#"{"seq":5}"#));
    for peer in 0..2 {
        script
            .tells(peer, r#"{"seq":4,"member":2,"text":"from the stream"}"#)
            .tells(peer, r#"{"seq":5,"member":1,"text":"from the socket"}"#);
    }
    script
        .send(0, masked(Opcode::Close, b""))
        .expect(0, plain(Opcode::Close, b""))
        .ended(0)
        .tells(1, r#"{"type":"left","seq":6,"member":1,"members":1}"#);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!(outcomes[0].tally.messages_in, 3);
    let welcomes = [first, second].map(|told| told.0.lock().unwrap()[0].clone());
    assert_eq!(welcomes[0]["room"], welcomes[1]["room"]);
    assert_eq!(
        (&welcomes[1]["members"], &welcomes[1]["size"]),
        (&2.into(), &6.into())
    );
}

pub(crate) fn members_on_several_cores_hear_everything_in_one_order<H: Harness>() {
    const PEERS: usize = 12;
    let mut script = Script::default();
    let told: Vec<Told> = (0..PEERS).map(|_| Told::default()).collect();
    for (peer, told) in told.iter().enumerate() {
        if peer % 3 == 0 {
            script.stream(peer);
        } else {
            script.upgrade(peer, "/rooms");
        }
        script.news(peer, told);
    }
    // Rooms of four: four, three, two, one joined after the first, the second ...
    for (peer, told) in told.iter().enumerate() {
        for _ in peer % 4..3 {
            script.news(peer, told);
        }
    }
    let mut spoken = BTreeMap::<usize, usize>::new();
    for round in 0..5 {
        for (peer, told) in told.iter().enumerate() {
            let text = format!("{peer} in round {round}");
            *spoken.entry(peer / 4).or_default() += 1;
            if peer % 3 == 0 {
                let (told, at) = (told.clone(), 100 + peer);
                let say = move || post(&told.0.lock().unwrap()[0]["say"], &text);
                script.act(at, Act::Make(Box::new(say)));
                script.response(at, 200, |_, _| {});
            } else {
                script.say(peer, &text);
            }
        }
    }
    for (peer, told) in told.iter().enumerate() {
        for _ in 0..spoken[&(peer / 4)] {
            script.news(peer, told);
        }
    }
    let setup = Setup {
        cores: 3,
        ..Setup::with(|config| config.room_size = 4)
    };
    H::run(setup, script);
    let mut rooms: BTreeMap<String, BTreeMap<u64, Value>> = BTreeMap::new();
    for (peer, told) in told.iter().enumerate() {
        let told = told.0.lock().unwrap();
        let (welcome, rest) = told.split_first().unwrap();
        let newest = welcome["seq"].as_u64().unwrap();
        assert_eq!(
            newest,
            1 + peer as u64 % 4,
            "rooms fill one after the other"
        );
        let room = rooms.entry(welcome["room"].to_string()).or_default();
        for (event, seq) in rest.iter().zip(newest + 1..) {
            assert_eq!(event["seq"], seq, "client {peer}: {event}");
            assert_eq!(room.entry(seq).or_insert_with(|| event.clone()), event);
        }
        assert_eq!(
            newest + rest.len() as u64,
            4 + 20,
            "client {peer} misses nothing"
        );
    }
    assert_eq!(rooms.len(), 3);
}

pub(crate) fn what_cannot_be_said_gets_its_status_or_close_code<H: Harness>() {
    let told = Told::default();
    let long = "x".repeat(limits::SAID_BYTES + 1);
    let mut script = Script::default();
    script
        .upgrade(0, "/rooms")
        .news(0, &told)
        .upgrade(1, "/rooms")
        .send(1, masked(Opcode::Binary, b"bytes"))
        .read(1, "the room", |bytes| news(bytes).map(|(_, used)| used))
        .closes(1, 1003)
        .tells(0, r#"{"type":"joined"}"#)
        .tells(0, r#"{"type":"left"}"#)
        .upgrade(2, "/rooms")
        .send(2, masked(Opcode::Text, long.as_bytes()))
        .read(2, "the room", |bytes| news(bytes).map(|(_, used)| used))
        .closes(2, 1009)
        .ask(3, &get("/rooms/say"), 405)
        .ended(3)
        .ask(4, &get("/rooms/say?room=0-0").replace("GET", "POST"), 404)
        .ended(4)
        .tells(0, r#"{"type":"joined"}"#)
        .tells(0, r#"{"type":"left"}"#);
    let wrong = told.clone();
    let wrong = move || {
        let say = wrong
            .last("say")
            .as_str()
            .unwrap()
            .replace("member=1", "member=2");
        post(&say.into(), "not me")
    };
    script
        .act(5, Act::Make(Box::new(wrong)))
        .response(5, 404, |_, body| {
            assert!(body.contains("no such member"), "{body}")
        });
    let (chunked, big, spoiled) = (told.clone(), told.clone(), told.clone());
    let chunked = move || {
        let say = chunked.last("say");
        let say = say.as_str().unwrap();
        let head = "Host: a\r\nTransfer-Encoding: chunked";
        format!("POST {say} HTTP/1.1\r\n{head}\r\n\r\n3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n").into()
    };
    let big = move || {
        let bytes = post(&big.last("say"), "");
        let text = String::from_utf8(bytes).unwrap();
        text.replace("Content-Length: 0", "Content-Length: 65537")
            .into()
    };
    let spoiled = move || {
        let mut bytes = post(&spoiled.last("say"), "!");
        *bytes.last_mut().unwrap() = 0xff;
        bytes
    };
    script
        .act(6, Act::Make(Box::new(chunked)))
        .response(6, 200, |_, _| {})
        .tells(0, r#"{"type":"said","text":"in pieces"}"#)
        .act(6, Act::Make(Box::new(big)))
        .response(6, 413, |_, _| {})
        .ended(6)
        .act(7, Act::Make(Box::new(spoiled)))
        .response(7, 400, |_, _| {});
    H::run(Setup::default(), script);
}

pub(crate) fn a_room_that_empties_is_used_again<H: Harness>() {
    let told = Told::default();
    let mut script = Script::default();
    for peer in 0..4 {
        script
            .upgrade(peer, "/rooms")
            .news(peer, &told)
            .send(peer, masked(Opcode::Close, b""))
            .expect(peer, plain(Opcode::Close, b""))
            .ended(peer)
            .stats(|json| json["total"]["open"]["websocket"] == 0);
    }
    H::run(
        Setup {
            cores: 2,
            ..Setup::default()
        },
        script,
    );
    let told = told.0.lock().unwrap();
    assert!(
        told.iter()
            .all(|welcome| welcome["room"] == told[0]["room"])
    );
    let members: Vec<_> = told
        .iter()
        .map(|welcome| welcome["member"].clone())
        .collect();
    assert_eq!(members, [1, 2, 3, 4], "no number is given twice");
}

pub(crate) fn a_member_that_does_not_read_is_ended_and_the_others_go_on<H: Harness>() {
    let told = Told::default();
    let text = "x".repeat(60_000);
    let mut script = Script::default();
    script.upgrade(0, "/rooms").news(0, &told);
    script.upgrade(1, "/rooms").news(0, &told);
    script.stream(2).news(0, &told);
    let read_until_left = Arc::new(Mutex::new(0));
    for _ in 0..200 {
        let left = Arc::clone(&read_until_left);
        script.say(0, &text).read(0, "the text", move |bytes| {
            let (mut at, mut went) = (0, 0);
            loop {
                let (json, used) = news(&bytes[at..])?;
                at += used;
                match json["type"].as_str() {
                    Some("said") => {
                        *left.lock().unwrap() += went;
                        return Some(at);
                    }
                    Some("left") => went += 1,
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    script.stats(|json| json["total"]["decided"]["slow_consumer"] == 2);
    let setup = Setup {
        max_backlog: 256 * 1024,
        ..Setup::default()
    };
    H::run(setup, script);
    assert_eq!(*read_until_left.lock().unwrap(), 2, "the others were told");
}

/// RFC 6585, 4.
pub(crate) fn a_post_to_a_room_whose_members_are_behind_gets_429<H: Harness>() {
    let (member, said) = (Told::default(), Arc::new(Mutex::new(0)));
    let text: &str = Box::leak("x".repeat(60_000).into_boxed_str());
    let mut script = Script::default();
    script.upgrade(0, "/rooms").news(0, &member);
    let refused = Arc::new(Mutex::new(0));
    for _ in 0..250 {
        let (said, refused) = (Arc::clone(&said), Arc::clone(&refused));
        script
            .post(1, &member, text)
            .read(1, "an answer", move |bytes| {
                let text = std::str::from_utf8(bytes).expect("UTF-8");
                let end = text.find("\r\n\r\n")? + 4;
                let (_, length) = text[..end].split_once("Content-Length: ")?;
                let length: usize = length.split_once("\r\n")?.0.parse().expect("a number");
                text.get(end..end + length)?;
                if text.starts_with("HTTP/1.1 200 ") {
                    *said.lock().unwrap() += 1;
                } else {
                    assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
                    assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
                    *refused.lock().unwrap() += 1;
                }
                Some(end + length)
            });
    }
    // It has not read so far, and is not ended for it.
    let count = Arc::clone(&said);
    script.read(0, "all that was said", move |bytes| {
        let (mut at, wanted) = (0, *count.lock().unwrap());
        for _ in 0..wanted {
            at += news(&bytes[at..])?.1;
        }
        Some(at)
    });
    script.post(1, &member, "hello").response(1, 200, |_, _| {});
    script.tells(0, r#"{"type":"said","text":"hello"}"#);
    H::run(Setup::default(), script);
    let (said, refused) = (*said.lock().unwrap(), *refused.lock().unwrap());
    assert!(said > 0 && refused > 0, "{said} {refused}");
}

pub(crate) fn a_quiet_member_gets_heartbeats<H: Harness>() {
    let told = Told::default();
    let mut script = Script::default();
    script
        .upgrade(1, "/rooms")
        .news(1, &told)
        .stream(0)
        .news(0, &told)
        .expect(0, ": \n\n: \n\n: \n\n");
    H::run(
        Setup::with(|config| config.heartbeat = Duration::from_millis(100)),
        script,
    );
}

pub(crate) fn a_draining_server_ends_members<H: Harness>() {
    let told = Told::default();
    let mut script = Script::default();
    script
        .upgrade(0, "/rooms")
        .news(0, &told)
        .stream(1)
        .news(1, &told)
        .news(0, &told)
        .stop()
        .told_to_return(1)
        .read(0, "the close", |bytes| {
            let close = bytes
                .windows(4)
                .position(|four| four == [0x88, 2, 0x03, 0xe9]);
            close.map(|at| at + 4)
        })
        .send(0, masked(Opcode::Close, &1001_u16.to_be_bytes()))
        .ended(0);
    script.ended(1);
    let outcomes = H::run(Setup::default(), script);
    assert_eq!((outcomes[0].left, outcomes[0].tally.decided.drain), (0, 2));
}
