//! The scenarios of message protocols, called as the load client calls them, against what their
//! servers say.

use super::calls::Stamp;
use super::context::{Actions, Leave, Speaker};
use super::{
    Address, Cable, CableOptions, Context, Dialogue, Incoming, Note, Part, Piece, Program, Senders,
    SocketCluster, SocketClusterOptions, Trigger,
};
use crate::limits;
use crate::load::Transport;
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::Recorder;
use crate::load::measure::send_times::SendTimes;
use crate::protocol::websocket::Role;
use crate::protocol::websocket::decoder::{Decoder, Event, Pool};
use crate::shard::{ConnectionId, Core};
use crate::time::Instant;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;

/// One client of a scenario, and everything it is lent.
pub(super) struct Desk {
    dialogue: Box<dyn Dialogue>,
    number: u32,
    now: Instant,
    pub(super) said: Actions,
    pub(super) recorder: Recorder,
    rng: fastrand::Rng,
    begun: u32,
    over: u32,
}

impl Desk {
    pub(super) fn new(program: &dyn Program, number: u32) -> Self {
        Self::of(program.begin(number), number)
    }

    /// After that was answered before the upgrade.
    pub(super) fn after(program: &dyn Program, answer: (&str, &[u8])) -> Self {
        Self::of(program.begin_after(0, answer), 0)
    }

    fn of(dialogue: Box<dyn Dialogue>, number: u32) -> Self {
        let mut recorder = Recorder::new(true);
        recorder.measure(Instant::from_nanos(0), Instant::from_nanos(u64::MAX));
        let mut desk = Self {
            dialogue,
            number,
            now: Instant::from_nanos(SECOND_NS),
            said: Actions::default(),
            recorder,
            rng: fastrand::Rng::with_seed(7),
            begun: 0,
            over: 0,
        };
        desk.call(|dialogue, context| dialogue.on_open(context));
        desk
    }

    pub(super) fn call(&mut self, call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>)) {
        let mut context = Context {
            speaker: Speaker {
                address: address(self.number),
                number: self.number,
                transport: Transport::WebSocket,
                now: self.now,
            },
            said: &mut self.said,
            recorder: &mut self.recorder,
            rng: &mut self.rng,
            begun: &mut self.begun,
            over: &mut self.over,
        };
        call(&mut *self.dialogue, &mut context);
    }

    pub(super) fn hear(&mut self, text: &str) {
        let heard = Incoming::Text(text.as_bytes());
        self.call(|dialogue, context| dialogue.on_message(heard, context));
    }

    pub(super) fn event(&mut self, kind: &str, id: &str, text: &str) {
        let heard = Incoming::Event { kind, text, id };
        self.call(|dialogue, context| dialogue.on_message(heard, context));
    }

    pub(super) fn turn(&mut self) -> String {
        let piece = Piece(SendTimes {
            intended: self.now,
            submitted: self.now,
        });
        self.call(|dialogue, context| dialogue.on_turn(piece, context));
        self.says().concat()
    }

    pub(super) fn note(&mut self, note: Note) {
        self.call(|dialogue, context| dialogue.on_note(note, context));
    }

    pub(super) fn due_after(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.call(|dialogue, context| dialogue.on_timer(context));
    }

    /// The texts that it has said since the last time.
    pub(super) fn says(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.said.bytes);
        let mut decoder = Decoder::new(Role::Server);
        let mut pool = Pool::new(limits::MESSAGE_BYTES, 1);
        let (mut at, mut texts) = (0, Vec::new());
        while let Some(event) = decoder.next(&mut bytes, &mut at, &mut pool).unwrap() {
            let Event::Message { bytes, .. } = event else {
                panic!("{event:?}");
            };
            texts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        texts
    }

    /// Where it has posted what since the last time.
    pub(super) fn posted(&mut self) -> Vec<(String, String)> {
        let posts = self.said.posts.drain(..);
        posts.map(|post| (post.target, post.body)).collect()
    }

    pub(super) fn failure(&mut self) -> &'static str {
        match self.said.leave.take() {
            Some(Leave::Failed(Kind::Application(name))) => name,
            other => panic!("{other:?}"),
        }
    }

    /// Replied, wrong, events received, samples of one way.
    pub(super) fn counts(&self) -> (u64, u64, u64, u64) {
        let outcome = self.recorder.outcome();
        let (messages, one_way) = (outcome.messages, &outcome.latencies.one_way);
        let samples = one_way.histogram().len();
        (
            messages.replied,
            messages.wrong,
            outcome.events.received,
            samples,
        )
    }
}

fn address(number: u32) -> Address {
    Address {
        core: Core(0),
        id: ConnectionId::new(number, 0),
    }
}

fn cable(trigger: Option<Trigger>) -> Cable {
    Cable::new(CableOptions {
        channel: "ChatChannel".to_owned(),
        action: "speak".to_owned(),
        content_bytes: 40,
        senders: Senders(1),
        trigger,
        seed: 1,
    })
}

const CHAT: &str = r#""{\"channel\":\"ChatChannel\"}""#;

fn subscribed(program: &Cable, number: u32) -> Desk {
    let mut desk = Desk::new(program, number);
    assert!(desk.says().is_empty(), "the server speaks first");
    desk.hear(r#"{"type":"welcome"}"#);
    let wanted = format!("{{\"command\":\"subscribe\",\"identifier\":{CHAT}}}");
    assert_eq!(desk.says(), [wanted]);
    assert_eq!(desk.said.ready, None);
    desk.hear(&format!(
        "{{\"identifier\":{CHAT},\"type\":\"confirm_subscription\"}}"
    ));
    desk
}

/// A channel's message with that text in it.
fn broadcast(text: &str) -> String {
    format!("{{\"identifier\":{CHAT},\"message\":{{\"body\":\"{text}\"}}}}")
}

fn stamp(client: u32, number: u32) -> String {
    let sent = Instant::from_nanos(SECOND_NS / 2);
    let stamp = Stamp {
        client,
        number,
        sent,
    }
    .encode();
    String::from_utf8(stamp.to_vec()).unwrap()
}

#[test]
fn a_cable_is_ready_when_its_subscription_is_confirmed() {
    let program = cable(None);
    assert_eq!(subscribed(&program, 0).said.ready, Some(Part::Speaks));
    assert_eq!(subscribed(&program, 1).said.ready, Some(Part::Listens));
}

#[test]
fn what_a_cable_performs_is_answered_by_its_own_words_and_by_no_others() {
    let mut desk = subscribed(&cable(None), 0);
    let performed = desk.turn();
    let command: serde_json::Value = serde_json::from_str(&performed).unwrap();
    let data: serde_json::Value = serde_json::from_str(command["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["action"], "speak");
    let content = data["message"].as_str().unwrap();
    assert_eq!(content.len(), 40);
    desk.hear(&broadcast(&stamp(3, 77)));
    desk.hear(&broadcast("no stamp"));
    assert_eq!(desk.counts(), (0, 0, 2, 1));
    desk.hear(&broadcast(content));
    assert_eq!(desk.counts(), (1, 0, 2, 1));
    // It comes twice: then it is no answer any more.
    desk.hear(&broadcast(content));
    assert_eq!(desk.counts(), (1, 0, 3, 2));
    desk.hear("garbage");
    assert_eq!(desk.counts(), (1, 1, 3, 2));
}

#[test]
fn a_cable_says_what_its_server_lacks() {
    let mut desk = Desk::new(&cable(None), 0);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_welcome");
    let mut desk = Desk::new(&cable(None), 0);
    desk.hear("hello");
    assert_eq!(desk.failure(), "not_actioncable");
    let mut desk = Desk::new(&cable(None), 0);
    desk.hear(r#"{"type":"disconnect","reason":"unauthorized","reconnect":false}"#);
    assert_eq!(desk.failure(), "unauthorized");
    let mut desk = Desk::new(&cable(None), 0);
    desk.hear(r#"{"type":"welcome"}"#);
    desk.hear(&format!(
        "{{\"identifier\":{CHAT},\"type\":\"reject_subscription\"}}"
    ));
    assert_eq!(desk.failure(), "subscription_rejected");
    let mut desk = Desk::new(&cable(None), 0);
    desk.hear(r#"{"type":"welcome"}"#);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_confirmation");
}

#[test]
fn a_cable_without_pings_is_dead_after_six_seconds() {
    let mut desk = subscribed(&cable(None), 0);
    desk.due_after(5);
    desk.hear(r#"{"type":"ping","message":1}"#);
    desk.due_after(5);
    assert!(desk.said.leave.is_none());
    desk.due_after(1);
    assert_eq!(desk.failure(), "no_ping");
}

#[test]
fn a_trigger_is_measured_until_every_subscriber_has_heard() {
    let fired = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&fired);
    let fire = Box::new(move |stamp: &str| log.lock().unwrap().push(stamp.to_owned()));
    let failed = Arc::new(AtomicU32::new(0));
    let program = cable(Some(Trigger::new(fire, Arc::clone(&failed))));
    let mut clients: Vec<Desk> = (0..3).map(|number| subscribed(&program, number)).collect();
    let parts = [0, 1, 2].map(|it: usize| clients[it].said.ready);
    assert_eq!(
        parts,
        [Some(Part::Speaks), Some(Part::Listens), Some(Part::Listens)]
    );

    assert_eq!(clients[0].turn(), "", "it fires and says nothing");
    let stamp = fired.lock().unwrap().concat();
    clients[0].turn();
    assert_eq!(fired.lock().unwrap().len(), 1, "one at a time");
    for number in [1, 1, 0, 2] {
        clients[number].now = Instant::from_nanos(SECOND_NS + 1_000_000 * (number as u64 + 1));
        clients[number].hear(&broadcast(&stamp));
        for (to, note) in std::mem::take(&mut clients[number].said.notes) {
            assert_eq!(to, address(0));
            clients[0].call(|dialogue, context| dialogue.on_note(note, context));
        }
    }
    let outcome = clients[0].recorder.outcome();
    assert_eq!((outcome.messages.sent, outcome.messages.replied), (1, 1));
    let fan_out = outcome.fan_out.as_ref().unwrap();
    assert_eq!(
        (fan_out.expected, fan_out.received, fan_out.duplicates),
        (3, 3, 1)
    );
    assert_eq!(outcome.latencies.response.histogram().max() / 10_000, 300);

    failed.store(1, std::sync::atomic::Ordering::Relaxed);
    clients[0].due_after(1);
    assert_eq!(clients[0].failure(), "trigger_failed");
}

#[test]
fn a_note_about_an_earlier_broadcast_changes_nothing() {
    let failed = Arc::new(AtomicU32::new(0));
    let program = cable(Some(Trigger::new(Box::new(|_| {}), failed)));
    let mut leader = subscribed(&program, 0);
    leader.turn();
    let note = Note {
        sequence: 99,
        from: 0,
        at: leader.now,
    };
    leader.call(|dialogue, context| dialogue.on_note(note, context));
    assert_eq!(leader.recorder.outcome().messages.replied, 0);
    leader.due_after(5);
    leader.hear(r#"{"type":"ping","message":1}"#);
    leader.due_after(5);
    assert_eq!(
        (leader.begun, leader.over),
        (1, 1),
        "given up after ten seconds"
    );
}

fn cluster(procedure: Option<&str>, channel: Option<&str>, token: Option<&str>) -> SocketCluster {
    SocketCluster::new(SocketClusterOptions {
        channel: channel.map(str::to_owned),
        procedure: procedure.map(str::to_owned),
        auth_token: token.map(str::to_owned),
        content_bytes: 32,
        senders: Senders::ALL,
        seed: 1,
    })
}

const GREETING: &str = r#"{"rid":1,"data":{"id":"x","pingTimeout":9000,"isAuthenticated":false}}"#;

#[test]
fn a_cluster_s_client_shakes_hands_subscribes_and_answers_pings() {
    let mut desk = Desk::new(&cluster(None, Some("news"), None), 0);
    let hello = r##"{"event":"#handshake","data":{"authToken":null},"cid":1}"##;
    assert_eq!(desk.says(), [hello]);
    desk.hear(GREETING);
    let subscribe = r##"{"event":"#subscribe","data":{"channel":"news"},"cid":2}"##;
    assert_eq!(desk.says(), [subscribe]);
    assert_eq!(desk.said.ready, None);
    desk.hear(r#"{"rid":2}"#);
    assert_eq!(desk.said.ready, Some(Part::Speaks));
    desk.hear("");
    desk.hear("#1");
    assert_eq!(desk.says(), ["", "#2"]);
    desk.due_after(8);
    assert!(desk.said.leave.is_none());
    desk.due_after(1);
    assert_eq!(desk.failure(), "no_ping");
}

#[test]
fn what_a_cluster_s_client_publishes_is_answered_and_heard() {
    let mut desk = Desk::new(&cluster(None, Some("news"), None), 0);
    desk.hear(GREETING);
    desk.hear(r#"{"rid":2}"#);
    desk.says();
    let said: serde_json::Value = serde_json::from_str(&desk.turn()).unwrap();
    assert_eq!(said["event"], "#publish");
    let data = said["data"].to_string();
    desk.hear(&format!(
        "[{{\"event\":\"#publish\",\"data\":{data}}},{{\"rid\":{}}}]",
        said["cid"]
    ));
    assert_eq!(desk.counts(), (1, 0, 1, 1));
    let refused: serde_json::Value = serde_json::from_str(&desk.turn()).unwrap();
    desk.hear(&format!("{{\"rid\":{},\"error\":{{}}}}", refused["cid"]));
    assert_eq!(desk.counts(), (1, 0, 1, 1));
    assert_eq!((desk.begun, desk.over), (2, 2));
}

#[test]
fn a_cluster_s_client_says_what_its_server_lacks() {
    let mut desk = Desk::new(&cluster(Some("echo"), None, Some("t")), 0);
    let hello = desk.says().concat();
    desk.hear(GREETING);
    assert_eq!(desk.failure(), "not_authenticated");
    let mut desk = Desk::new(&cluster(None, None, None), 0);
    desk.hear(&hello);
    assert_eq!(desk.failure(), "not_socketcluster");
    let mut desk = Desk::new(&cluster(None, None, None), 0);
    desk.due_after(5);
    assert_eq!(desk.failure(), "no_handshake");
    let mut desk = Desk::new(&cluster(None, Some("secret"), None), 0);
    desk.hear(GREETING);
    desk.hear(r#"{"rid":2,"error":{"message":"no"}}"#);
    assert_eq!(desk.failure(), "subscription_rejected");
}
