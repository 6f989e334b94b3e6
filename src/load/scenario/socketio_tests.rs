//! The scenario `socketio`, called as the load client calls it, against what a server says: on a
//! WebSocket, on one to which the session moves, and by polls.

use super::realtime_tests::Desk;
use super::{
    AskedThen, Incoming, IoTransport, Part, Program as _, Senders, SocketIo, SocketIoOptions,
};

fn socketio(namespace: &str, token: Option<&str>) -> SocketIo {
    socketio_by(IoTransport::WebSocket, namespace, token)
}

fn socketio_by(begins_by: IoTransport, namespace: &str, token: Option<&str>) -> SocketIo {
    SocketIo::new(SocketIoOptions {
        namespace: namespace.to_owned(),
        event: "say".to_owned(),
        auth_token: token.map(str::to_owned),
        content_bytes: 32,
        senders: Senders::ALL,
        begins_by,
        seed: 1,
    })
}

const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";
const SESSION: &str = r#"0{"sid":"x","pingInterval":2000,"pingTimeout":1000,"upgrades":[]}"#;

#[test]
fn an_event_of_socketio_is_answered_by_its_acknowledgement() {
    let mut desk = Desk::new(&socketio("/chat", Some("t")), 0);
    desk.hear(SESSION);
    assert_eq!(desk.says(), [r#"40/chat,{"token":"t"}"#]);
    desk.hear(r#"40/chat,{"sid":"y"}"#);
    assert_eq!(desk.said.ready, Some(Part::Speaks));
    let said = desk.turn();
    let (id, content) = said
        .strip_prefix("42/chat,")
        .unwrap()
        .split_once('[')
        .unwrap();
    desk.hear("43/chat,1[]");
    desk.hear(&format!("43/other,{id}[]"));
    assert_eq!(desk.counts(), (0, 2, 0, 0));
    desk.hear(&format!("43/chat,{id}[]"));
    assert_eq!(desk.counts(), (1, 2, 0, 0));
    desk.hear(&format!("42/chat,9[{content}"));
    assert_eq!(desk.counts(), (1, 2, 1, 1));
    assert_eq!(desk.says(), ["43/chat,9[]"]);
}

#[test]
fn a_client_of_socketio_answers_pings_and_misses_them() {
    let mut desk = Desk::new(&socketio("/", None), 0);
    desk.hear(SESSION);
    desk.hear(r#"40{"sid":"y"}"#);
    assert_eq!(desk.says(), ["40"]);
    desk.hear("2");
    assert_eq!(desk.says(), ["3"]);
    desk.hear(r#"451-["x",{"_placeholder":true,"num":0}]"#);
    desk.call(|dialogue, context| dialogue.on_message(Incoming::Binary(b"abc"), context));
    assert_eq!(desk.counts(), (0, 0, 1, 0));
    desk.call(|dialogue, context| dialogue.on_message(Incoming::Binary(b"abc"), context));
    assert_eq!(desk.counts(), (0, 1, 1, 0), "nothing announced it");
    desk.due_after(3);
    assert_eq!(desk.failure(), "no_ping");
}

#[test]
fn a_client_of_socketio_says_what_its_server_lacks() {
    let mut desk = Desk::new(&socketio("/", None), 0);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_session");
    let mut desk = Desk::new(&socketio("/", None), 0);
    desk.hear("hello");
    assert_eq!(desk.failure(), "not_socketio");
    let mut desk = Desk::new(&socketio("/", None), 0);
    desk.hear(SESSION);
    desk.hear(r#"44{"message":"not authorized"}"#);
    assert_eq!(desk.failure(), "namespace_refused");
    // Of Engine.IO 3 the server joins its client to the namespace unasked.
    let mut desk = Desk::new(&socketio("/", None), 0);
    desk.hear(SESSION);
    desk.hear("40");
    assert_eq!(desk.failure(), "engine_io_3");
}

#[test]
fn a_session_of_socketio_that_begins_with_a_poll_moves_and_then_joins() {
    let program = socketio_by(IoTransport::Upgrade, "/chat", None);
    let target = TARGET;
    let poll = program.asks_first(target);
    assert_eq!(poll.as_deref(), Some("/socket.io/?EIO=4&transport=polling"));
    let answer = SESSION.replace("[]", r#"["websocket"]"#);
    assert_eq!(
        program.asks_then(target, answer.as_bytes()),
        Ok(AskedThen::Upgrade(format!("{target}&sid=x")))
    );
    assert_eq!(
        program.asks_then(target, SESSION.as_bytes()),
        Err("no_upgrade")
    );
    assert_eq!(program.asks_then(target, b"hello"), Err("no_session"));
    let mut desk = Desk::after(&program, (TARGET, answer.as_bytes()));
    assert_eq!(desk.says(), ["2probe"]);
    desk.hear("3probe");
    assert_eq!(desk.says(), ["5", "40/chat,"]);
    desk.hear(r#"40/chat,{"sid":"y"}"#);
    assert_eq!(desk.said.ready, Some(Part::Speaks));
    desk.due_after(3);
    assert_eq!(desk.failure(), "no_ping", "after the times of the poll");
    let mut desk = Desk::after(&program, (TARGET, answer.as_bytes()));
    desk.hear(SESSION);
    assert_eq!(desk.failure(), "not_socketio");
    let mut desk = Desk::after(&program, (TARGET, answer.as_bytes()));
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_probe");
    assert_eq!(socketio("/", None).asks_first(target), None);
}

#[test]
fn a_session_of_socketio_that_polls_posts_what_it_says_and_hears_packets_together() {
    let program = socketio_by(IoTransport::Polling, "/", None);
    assert!(program.polls() && !socketio("/", None).polls());
    let polled = "/socket.io/?EIO=4&transport=polling&sid=x";
    assert_eq!(
        program.asks_then(TARGET, SESSION.as_bytes()),
        Ok(AskedThen::Poll(polled.to_owned())),
        "whether it may move or not"
    );
    let mut desk = Desk::after(&program, (TARGET, SESSION.as_bytes()));
    assert_eq!(desk.posted(), [(polled.to_owned(), "40".to_owned())]);
    desk.hear("40{\"sid\":\"y\"}\u{1e}2");
    assert_eq!(desk.said.ready, Some(Part::Speaks));
    assert_eq!(desk.posted(), [(polled.to_owned(), "3".to_owned())]);
    let before = desk.counts();
    desk.turn();
    let (_, said) = desk.posted().pop().unwrap();
    let (id, _) = said.strip_prefix("42").unwrap().split_once('[').unwrap();
    desk.hear(&format!("6\u{1e}43{id}[]\u{1e}bAAAA"));
    assert_eq!(
        desk.counts(),
        (1, before.1 + 1, 0, 0),
        "nothing announced it"
    );
    assert!(desk.says().is_empty(), "no frame");
    desk.hear("1");
    assert_eq!(desk.failure(), "disconnected");
}
