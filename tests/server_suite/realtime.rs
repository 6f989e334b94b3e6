//! Channels, on several cores: whoever speaks whichever protocol is told what anybody publishes.

use crate::script::{Script, get, masked, upgrade};
use crate::{Harness, Setup};
use jsonwebtoken::{EncodingKey, Header, encode};
use ringstorm::app::hub::session::SessionId;
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::app::sessions::{SessionCookies, SessionPlan};
use ringstorm::app::tokens::TokenKeys;
use ringstorm::protocol::websocket::Opcode;
use ringstorm::shard::Core;
use std::sync::Arc;

const SECRET: &[u8] = b"a secret of more than sixteen bytes";
const CLIENTS: usize = 6;
const STREAM: usize = CLIENTS;
const LISTENER: usize = CLIENTS + 1;
const CALLER: usize = CLIENTS + 2;

fn setup() -> Setup {
    let mut setup = Setup::with(|config| {
        config.realtime = Some(RealtimePlan::dev([3; 32]));
    });
    setup.cores = 3;
    setup
}

fn post(path: &str, key: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Script {
    /// Reads until that text has come, with all before it.
    fn hears(&mut self, peer: usize, text: &'static str) -> &mut Self {
        self.read(peer, text, move |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            // Frames and lines after it are for the next reading.
            heard.contains(text).then_some(bytes.len())
        })
    }

    /// A client of Centrifugo's connects and subscribes, with both commands in one message.
    fn subscribes(&mut self, peer: usize) -> &mut Self {
        let commands = "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}";
        self.upgrade(peer, "/connection/websocket");
        self.send(peer, masked(Opcode::Text, commands.as_bytes()));
        self.hears(peer, "\"id\":2,\"subscribe\"")
    }
}

pub(crate) fn what_is_published_is_heard_in_every_protocol_on_every_core<H: Harness>() {
    let mut script = Script::default();
    for peer in 0..CLIENTS {
        script.subscribes(peer);
    }
    script.send(STREAM, get("/channels?topic=a&topic=b"));
    script.hears(STREAM, "event: ready");
    let wish = "cf_connect=%7B%22subs%22:%7B%22a%22:%7B%7D%7D%7D";
    script.send(LISTENER, get(&format!("/connection/uni_sse?{wish}")));
    script.hears(LISTENER, "\"connect\":{");
    let body = r#"{"topic":"a","data":"by the application"}"#;
    script.send(CALLER, post("/publish", "dev", body));
    script.response(CALLER, 200, |_, body| {
        let answer: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(answer["connections"], CLIENTS as u64 + 2, "{body}");
        assert_eq!(answer["results"][0]["result"]["offset"], 1, "{body}");
    });
    for peer in 0..=LISTENER {
        script.hears(peer, "by the application");
    }
    let publish = r#"{"id":3,"publish":{"channel":"a","data":"by a client"}}"#;
    script.send(0, masked(Opcode::Text, publish.as_bytes()));
    for peer in 0..=LISTENER {
        script.hears(peer, "by a client");
    }
    let history = post("/api/history", "dev", r#"{"channel":"a","limit":10}"#);
    script
        .send(CALLER, history)
        .response(CALLER, 200, |_, body| {
            let answer: serde_json::Value = serde_json::from_str(body).unwrap();
            let said = answer["result"]["publications"].as_array().unwrap();
            let data: Vec<_> = said.iter().map(|it| it["data"].as_str().unwrap()).collect();
            assert_eq!(data, ["by the application", "by a client"]);
        });
    H::run(setup(), script);
}

pub(crate) fn what_no_client_says_gets_its_close_code_and_the_others_go_on<H: Harness>() {
    let mut script = Script::default();
    script.subscribes(0);
    for (peer, said, code) in [
        (1, "{\"id\":1,\"subscribe\":{\"channel\":\"a\"}}", 3501),
        (2, "nonsense", 3501),
        (3, "{\"id\":1,\"connect\":{\"token\":\"a.b.c\"}}", 3500),
    ] {
        script.upgrade(peer, "/connection/websocket");
        script.send(peer, masked(Opcode::Text, said.as_bytes()));
        script.read(peer, "a close frame", move |bytes| {
            let [0x88, length, high, low, ..] = bytes else {
                return None;
            };
            assert_eq!(u16::from_be_bytes([*high, *low]), code, "{said}");
            let end = 2 + usize::from(*length);
            (bytes.len() >= end).then_some(end)
        });
    }
    script.send(4, post("/api/info", "wrong", "{}"));
    script.response(4, 401, |head, _| {
        assert!(head.to_lowercase().contains("www-authenticate"), "{head}");
    });
    script.ask(5, &get("/channels"), 400);
    script.ask(6, &get("/connection/uni_sse?cf_connect=x"), 400);
    script.send(
        7,
        post("/api/publish", "dev", "{\"channel\":\"a\",\"data\":1}"),
    );
    script.response(7, 200, |_, _| {});
    script.hears(0, "\"pub\":{\"data\":1");
    H::run(setup(), script);
}

pub(crate) fn tokens_say_who_may_be_told_what<H: Harness>() {
    let mut setup = setup();
    let mut keys = TokenKeys::default();
    keys.add_secret(SECRET).unwrap();
    let mut plan = RealtimePlan::with_tokens([3; 32]);
    plan.tokens = Arc::new(keys);
    plan.api_key = Some("dev".into());
    setup.config.realtime = Some(plan);
    let token = |claims: serde_json::Value| {
        let key = EncodingKey::from_secret(SECRET).unwrap();
        encode(&Header::default(), &claims, &key).unwrap()
    };
    let own = token(serde_json::json!({"sub": "ann", "channels": ["a"]}));
    let other = token(serde_json::json!({"sub": "ann", "channel": "b"}));
    let mut script = Script::default();
    let commands = format!(
        "{{\"id\":1,\"connect\":{{\"token\":\"{own}\"}}}}\n\
         {{\"id\":2,\"subscribe\":{{\"channel\":\"b\"}}}}\n\
         {{\"id\":3,\"subscribe\":{{\"channel\":\"b\",\"token\":\"{other}\"}}}}"
    );
    for peer in 0..CLIENTS {
        script.upgrade(peer, "/connection/websocket");
        script.send(peer, masked(Opcode::Text, commands.as_bytes()));
        script.read(peer, "a refusal and a subscription", |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            let is_all = ["\"subs\":{\"a\"", "\"code\":103", "\"id\":3,\"subscribe\""]
                .iter()
                .all(|text| heard.contains(text));
            is_all.then_some(bytes.len())
        });
    }
    script.ask(CALLER + 1, &get("/channels?topic=a"), 401);
    script.send(STREAM, get(&format!("/channels?topic=a&token={own}")));
    script.hears(STREAM, "event: ready");
    for topic in ["a", "b"] {
        let body = format!("{{\"topic\":\"{topic}\",\"data\":\"said in {topic}\"}}");
        script.send(CALLER, post("/publish", "dev", &body));
        script.response(CALLER, 200, |_, _| {});
    }
    for peer in 0..CLIENTS {
        script.read(peer, "what is said in both", |bytes| {
            let heard = String::from_utf8_lossy(bytes);
            let is_all = heard.contains("said in a") && heard.contains("said in b");
            is_all.then_some(bytes.len())
        });
    }
    script.hears(STREAM, "said in a");
    H::run(setup, script);
}

pub(crate) fn sessions_of_engine_io_begin_with_a_request_that_has_no_body<H: Harness>() {
    let mut script = Script::default();
    let path = "/socket.io/?EIO=4&transport=polling";
    for peer in 0..CLIENTS {
        script.send(peer, get(path));
        script.response(peer, 200, |head, body| {
            assert!(
                head.contains("Content-Type: text/plain; charset=utf-8"),
                "{head}"
            );
            assert!(head.contains("Cache-Control: no-store"), "{head}");
            assert!(body.starts_with("0{\"sid\":\""), "{body}");
            assert!(body.contains("\"upgrades\":[\"websocket\"]"), "{body}");
        });
        // Its connection serves the next request, which may come to any session.
        script.send(peer, post(&format!("{path}&sid=x"), "", "40"));
        script.response(peer, 400, |_, body| {
            assert_eq!(body, r#"{"code":1,"message":"Session ID unknown"}"#);
        });
        script.ask(
            peer,
            &upgrade(&format!("{}&sid=x", path.replace("polling", "websocket"))),
            400,
        );
    }
    let with_body = get(path).replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx");
    script.ask(STREAM, &with_body, 400);
    script.ask(LISTENER, &get(path).replace("GET", "PUT"), 405);
    H::run(setup(), script);
}

pub(crate) fn without_a_plan_there_are_no_channels<H: Harness>() {
    let mut script = Script::default();
    for path in [
        "/connection/websocket",
        "/channels?topic=a",
        "/api/info",
        "/publish",
    ] {
        script.ask(0, &get(path), 404);
    }
    H::run(Setup::default(), script);
}

/// Two tabs of one browser, and an event stream of it, on several cores.
pub(crate) fn sockets_of_one_browser_share_a_session_over_cores<H: Harness>() {
    const SESSION: &str = "00000000000000000000000000000000";
    let mut setup = setup();
    let mut plan = RealtimePlan::dev([3; 32]);
    plan.sessions = Some(SessionPlan::new("shop"));
    // What this server makes for its sessions, with its secret.
    let cookies = SessionCookies::new(SessionPlan::new("shop"), &plan.secret, Core(0));
    let pair = cookies.pair(SessionId::parse(SESSION).unwrap());
    setup.config.realtime = Some(plan);
    let mut script = Script::default();
    let with_cookie = |request: &str| {
        let head = request.strip_suffix("\r\n").unwrap();
        format!("{head}Cookie: {pair}\r\n\r\n")
    };
    let upgrade = upgrade("/connection/websocket");
    for peer in 0..CLIENTS {
        script.send(peer, with_cookie(&upgrade));
        script.hears(peer, "101 Switching");
        script.send(peer, masked(Opcode::Text, b"{\"id\":1,\"connect\":{}}"));
        script.hears(peer, "\"id\":1,\"connect\"");
    }
    script.send(STREAM, with_cookie(&get("/channels?topic=a")));
    script.hears(STREAM, "event: ready");
    // Somebody else gets a session of its own.
    script.send(LISTENER, get("/channels?topic=a"));
    script.read(LISTENER, "a new cookie", |bytes| {
        let heard = String::from_utf8_lossy(bytes);
        let is_new = heard.contains("Set-Cookie: shop=") && heard.contains("event: ready");
        is_new.then_some(bytes.len())
    });
    let body = format!("{{\"session\":\"{SESSION}\",\"data\":{{\"n\":1}}}}");
    for (method, reached) in [("set", "connections"), ("emit", "clients")] {
        let path = format!("/api/sessions/{method}");
        script.send(CALLER, post(&path, "dev", &body));
        script.response(CALLER, 200, move |_, body| {
            let answer: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(answer["result"][reached], CLIENTS as u64 + 1, "{body}");
        });
    }
    for peer in 0..CLIENTS {
        script.hears(peer, "\"message\":{\"data\":{\"n\":1}}");
    }
    script.hears(STREAM, "event: emit\ndata: {\"n\":1}");
    H::run(setup, script);
}
