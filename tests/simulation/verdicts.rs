//! Every scenario against servers and networks that fail: what the verdict is, and the exit code.

use ringstorm::app::realtime::RealtimePlan;
use ringstorm::engine::sim::{Conditions, SimConfig, run};
use ringstorm::load::scenario::custom::{Custom, Script};
use ringstorm::load::scenario::rooms::Rooms;
use ringstorm::load::scenario::{
    Cable, CableOptions, Connect, IoTransport, NumberedChannels, NumberedChannelsOptions, Senders,
    SocketCluster, SocketClusterOptions, SocketIo, SocketIoOptions, StreamedChannels,
    StreamedChannelsOptions,
};
use ringstorm::load::{self, Load, Loop, Outcome, Pace, Rate, Scenario, Transport};
use ringstorm::report::{self, Facts, Record, Verdict, exit_code};
use ringstorm::server::{self, Server};
use ringstorm::shard::{Close, CloseCause, ConnectionId, Core, Half, Origin, Shard, Wire};
use ringstorm::time::Instant;
use std::sync::Arc;
use std::time::Duration;

const CONNECTIONS: u32 = 8;
const MEASURED: Duration = Duration::from_secs(4);

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Refuses,
    /// Connects get no answer.
    Lost,
    /// The server accepts and never says a word.
    Silent,
    /// Every connection is reset, in the second second of the run.
    Dies,
    /// The server stops in the second second and keeps its connections.
    Stalls,
    /// Every other connection is reset as soon as it is accepted.
    Half,
    /// The network goes away within two seconds: nothing arrives any more.
    Gone,
}

const FAULTS: [Fault; 7] = [
    Fault::Refuses,
    Fault::Lost,
    Fault::Silent,
    Fault::Dies,
    Fault::Stalls,
    Fault::Half,
    Fault::Gone,
];

/// A server with a fault around it.
struct Faulty {
    server: Server,
    fault: Fault,
    /// When it breaks.
    at: Instant,
    accepted: u64,
    open: Vec<ConnectionId>,
}

impl Faulty {
    fn is_broken(&self, now: Instant) -> bool {
        match self.fault {
            Fault::Silent => true,
            Fault::Dies | Fault::Stalls => now >= self.at,
            Fault::None | Fault::Refuses | Fault::Lost | Fault::Half | Fault::Gone => false,
        }
    }
}

impl Shard for Faulty {
    type Message = <Server as Shard>::Message;
    type Outcome = ();

    fn started(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.at = wire.now() + Duration::from_millis(1_500);
        self.server.started(wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<Self::Message>) {
        self.accepted += 1;
        self.open.push(id);
        self.server.opened(id, origin, wire);
        if self.fault == Fault::Half && self.accepted.is_multiple_of(2) {
            wire.close(id, Close::Abort);
        }
    }

    fn received(
        &mut self,
        id: ConnectionId,
        bytes: &mut [u8],
        wire: &mut impl Wire<Self::Message>,
    ) {
        if !self.is_broken(wire.now()) {
            self.server.received(id, bytes, wire);
        }
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) {
        self.server.drained(id, wire);
    }

    fn ended(&mut self, id: ConnectionId, wire: &mut impl Wire<Self::Message>) -> Half {
        self.server.ended(id, wire)
    }

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<Self::Message>) {
        self.open.retain(|open| *open != id);
        self.server.closed(id, cause, wire);
    }

    fn forwarded(
        &mut self,
        from: Core,
        message: Self::Message,
        wire: &mut impl Wire<Self::Message>,
    ) {
        self.server.forwarded(from, message, wire);
    }

    fn expired(&mut self, wire: &mut impl Wire<Self::Message>) {
        match (self.is_broken(wire.now()), self.fault) {
            (true, Fault::Dies) => self
                .open
                .iter()
                .for_each(|id| wire.close(*id, Close::Abort)),
            (true, _) => {}
            (false, _) => self.server.expired(wire),
        }
    }

    fn stopped(&mut self, wire: &mut impl Wire<Self::Message>) {
        self.fault = Fault::None;
        self.server.stopped(wire);
    }

    fn deadline(&self) -> Option<Instant> {
        match self.fault {
            Fault::Silent => None,
            Fault::Dies if self.open.is_empty() => None,
            Fault::Dies => Some(self.server.deadline().map_or(self.at, |at| at.min(self.at))),
            Fault::Stalls => self.server.deadline().filter(|at| *at < self.at),
            Fault::None | Fault::Refuses | Fault::Lost | Fault::Half | Fault::Gone => {
                self.server.deadline()
            }
        }
    }

    fn finished(&self) -> bool {
        self.server.finished()
    }

    fn outcome(self) {}
}

/// A scenario against the server's route for it, if it has one.
fn config(scenario: Scenario, transport: Transport, path: &str) -> load::Config {
    let address = SimConfig::new(0).listeners[0];
    load::Config {
        scenario,
        transport,
        connections: CONNECTIONS,
        connect_time: Duration::from_secs(1),
        duration: MEASURED,
        messages: Loop::Open {
            pace: Pace::Constant(Rate::per_second(100.0).unwrap()),
            burst: 1,
        },
        in_flight: 1_024,
        seed: 7,
        ..load::Config::new(address, "sim".to_owned(), path.to_owned())
    }
}

fn dialogue(program: impl load::scenario::Program + 'static) -> Scenario {
    Scenario::Dialogue(Arc::new(program))
}

fn rooms() -> Scenario {
    dialogue(Rooms {
        iterations: None,
        payload_bytes: 32,
        size: None,
        comes_and_goes: false,
    })
}

fn custom() -> Scenario {
    let text = "[[client]]\nturn = [{ send = 'hello' }, { wait = {}, within_ms = 1000 }]\n";
    let script = Script::parse(text, &mut |_| Err("no files".into())).expect("a script");
    dialogue(Custom {
        iterations: None,
        script: Arc::new(script),
    })
}

fn channels() -> Scenario {
    dialogue(NumberedChannels::new(NumberedChannelsOptions {
        channel: "news".to_owned(),
        channels: 2,
        auth_token: None,
        content_bytes: 32,
        senders: Senders::ALL,
        seed: 7,
    }))
}

fn sse_channels() -> Scenario {
    dialogue(StreamedChannels::new(StreamedChannelsOptions {
        topics: vec!["news".to_owned()],
        content_bytes: 32,
        senders: Senders::ALL,
        seed: 7,
    }))
}

/// The scenarios, and whether they expect to hear something while they are up.
fn scenarios() -> Vec<(&'static str, load::Config, bool)> {
    let (ws, sse) = (Transport::WebSocket, Transport::Sse);
    let closed = load::Config {
        messages: Loop::Closed,
        in_flight: 1,
        ..config(Scenario::Echo, ws, "/echo")
    };
    // A core without a speaker would drop its share of a plan.
    let of_rooms = |transport| load::Config {
        messages: Loop::Closed,
        in_flight: 1,
        ..config(rooms(), transport, "/rooms")
    };
    let connect = load::Config {
        duration: Duration::from_millis(1),
        ..config(dialogue(Connect), ws, "/echo")
    };
    vec![
        ("echo", config(Scenario::Echo, ws, "/echo"), true),
        ("echo, closed", closed, true),
        (
            "listen, websocket",
            config(Scenario::Listen, ws, "/push"),
            true,
        ),
        (
            "listen, events",
            config(Scenario::Listen, sse, "/events"),
            true,
        ),
        ("idle", config(Scenario::Idle, ws, "/echo"), false),
        ("rooms, websocket", of_rooms(ws), true),
        ("rooms, events", of_rooms(sse), true),
        ("connect", connect, false),
        ("custom", config(custom(), ws, "/echo"), true),
        (
            "channels",
            config(channels(), ws, "/connection/websocket"),
            true,
        ),
        (
            "sse-channels",
            load::Config {
                headers: vec![("X-API-Key".to_owned(), "dev".to_owned())],
                ..config(sse_channels(), sse, "/channels?topic=news")
            },
            true,
        ),
    ]
}

fn judged(config: &load::Config, fault: Fault, facts: &Facts) -> Record {
    let mut plan = SimConfig::new(11);
    plan.loads = 2;
    plan.conditions = Conditions::calm();
    match fault {
        Fault::Refuses => plan.conditions.refuse = 1.0,
        Fault::Lost => plan.conditions.lose_connect = 1.0,
        Fault::Gone => {
            plan.conditions.silence = 1.0;
            plan.conditions.fault_max = Duration::from_secs(2);
        }
        Fault::None | Fault::Silent | Fault::Dies | Fault::Stalls | Fault::Half => {}
    }
    let mut server = server::Config::new("sim", Instant::from_nanos(1_000_000_000));
    server.chunk = Duration::from_millis(20);
    server.realtime = Some(RealtimePlan::dev([9; 32]));
    let report = run(
        &plan,
        |core| Faulty {
            server: Server::new(core, server.clone()),
            fault,
            at: Instant::default(),
            accepted: 0,
            open: Vec::new(),
        },
        |core| Load::new(core, config.clone(), None),
    );
    let outcomes: Vec<Outcome> = report
        .loads
        .into_iter()
        .map(|load| load.expect("every load finishes"))
        .collect();
    report::judged(facts, config, &Outcome::merged(&outcomes))
}

#[test]
fn every_scenario_passes_where_nothing_fails() {
    for (name, config, _) in scenarios() {
        let record = judged(&config, Fault::None, &Facts::default());
        assert_eq!(
            (record.verdict.verdict, exit_code(&record)),
            (Verdict::Pass, 0),
            "{name}: {:?} {:?}",
            record.verdict,
            record.failures
        );
        assert!(record.verdict.failed_share <= 0.0, "{name}");
    }
}

#[test]
fn every_scenario_fails_where_servers_or_networks_do() {
    for (name, config, hears) in scenarios() {
        for fault in FAULTS {
            // Those that expect nothing cannot tell a silence after they are up.
            let shows = match fault {
                Fault::Stalls | Fault::Gone => hears,
                // A round of connects is over before.
                Fault::Dies => name != "connect",
                Fault::None | Fault::Refuses | Fault::Lost | Fault::Silent | Fault::Half => true,
            };
            if !shows {
                continue;
            }
            let record = judged(&config, fault, &Facts::default());
            let what = format!(
                "{name}, {fault:?}: {:?} {:?} {:?} {:?}",
                record.verdict, record.connects, record.messages, record.events
            );
            assert_eq!(record.verdict.verdict, Verdict::Fail, "{what}");
            assert_eq!(exit_code(&record), 99, "{what}");
            assert!(record.verdict.failed_share > 0.0, "{what}");
        }
    }
}

#[test]
fn dialects_that_the_server_does_not_speak_fail_in_every_weather() {
    let ws = Transport::WebSocket;
    let cable = Cable::new(CableOptions {
        channel: "ChatChannel".to_owned(),
        action: "speak".to_owned(),
        content_bytes: 32,
        senders: Senders::ALL,
        trigger: None,
        seed: 7,
    });
    let socketcluster = SocketCluster::new(SocketClusterOptions {
        channel: None,
        procedure: Some("echo".to_owned()),
        auth_token: None,
        content_bytes: 32,
        senders: Senders::ALL,
        seed: 7,
    });
    let socketio = |begins_by| {
        SocketIo::new(SocketIoOptions {
            namespace: "/".to_owned(),
            event: "message".to_owned(),
            auth_token: None,
            content_bytes: 32,
            senders: Senders::ALL,
            begins_by,
            seed: 7,
        })
    };
    let socketio_moves = socketio(IoTransport::Upgrade);
    let socketio_polls = socketio(IoTransport::Polling);
    let socketio = socketio(IoTransport::WebSocket);
    let dialects = [
        ("cable", dialogue(cable)),
        ("socketcluster", dialogue(socketcluster)),
        ("socketio", dialogue(socketio)),
        ("socketio that polls first", dialogue(socketio_moves)),
        ("socketio that polls", dialogue(socketio_polls)),
    ];
    for (name, scenario) in dialects {
        let config = config(scenario, ws, "/echo");
        for fault in FAULTS.into_iter().chain([Fault::None]) {
            let record = judged(&config, fault, &Facts::default());
            let verdict = (record.verdict.verdict, exit_code(&record));
            assert_eq!(
                verdict,
                (Verdict::Fail, 99),
                "{name}, {fault:?}: {record:?}"
            );
        }
    }
}

#[test]
fn a_listening_run_on_a_dead_network_has_the_reach_of_what_it_heard() {
    for (path, transport) in [("/push", Transport::WebSocket), ("/events", Transport::Sse)] {
        let config = config(Scenario::Listen, transport, path);
        let facts = Facts {
            thresholds: vec!["reach>=99%".parse().unwrap()],
            ..Facts::default()
        };
        let record = judged(&config, Fault::Gone, &facts);
        let reach = record.thresholds[0].measured.unwrap();
        let events = record.events.as_ref().unwrap();
        assert_eq!(record.thresholds[0].result, Verdict::Fail, "{events:?}");
        assert_eq!(events.silent, u64::from(CONNECTIONS), "{events:?}");
        // 50 a second for 4 s and each connection; the network went within 2 s.
        let due = events.received + events.missing_at_end;
        assert!((1_500..1_700).contains(&due), "{events:?}");
        assert!(reach < 0.6 && events.longest_silence_s > 1.9, "{events:?}");
        let notes = record.verdict.notes.join("\n");
        assert!(notes.contains("had heard nothing for up to"), "{notes}");
        let calm = judged(&config, Fault::None, &facts);
        assert_eq!(
            calm.thresholds[0].result,
            Verdict::Pass,
            "{:?}",
            calm.events
        );
    }
}

#[test]
fn what_is_allowed_to_fail_does_not_fail_the_run() {
    let allowing = |allowed_failures| Facts {
        allowed_failures,
        ..Facts::default()
    };
    let echo = config(Scenario::Echo, Transport::WebSocket, "/echo");
    for (allowed, verdict) in [(0.5, Verdict::Pass), (0.49, Verdict::Fail)] {
        let record = judged(&echo, Fault::Half, &allowing(allowed));
        assert_eq!(record.verdict.verdict, verdict, "{:?}", record.verdict);
        assert!((record.verdict.failed_share - 0.5).abs() < 1e-9);
    }
}
