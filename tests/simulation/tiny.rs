//! Two tiny shards, an echo and a talker: what the simulator itself promises.

use ringstorm::engine::sim::{Conditions, Faults, Report, SimConfig, explore, run};
use ringstorm::limits;
use ringstorm::shard::{Close, CloseCause, ConnectionId, Core, Origin, Shard, Wire};
use ringstorm::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Echoes everything; pauses while the backlog is high. Tells the next core of every connection.
#[derive(Default)]
struct Echo {
    open: usize,
    opened: u64,
    told: u64,
    stopped: bool,
}

impl Shard for Echo {
    type Message = u64;
    type Outcome = (u64, u64);

    fn started(&mut self, _: &mut impl Wire<u64>) {}

    fn opened(&mut self, _: ConnectionId, origin: Origin, wire: &mut impl Wire<u64>) {
        assert_eq!(origin, Origin::Accepted { listener: 0 });
        self.open += 1;
        self.opened += 1;
        let next = Core((wire.core().0 + 1) % wire.cores());
        wire.forward(next, self.opened);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<u64>) {
        wire.send(id, bytes)
            .expect("an echo that pauses never fills its backlog");
        if wire.backlog(id) > limits::BACKLOG_HIGH {
            wire.pause(id);
        }
    }

    fn drained(&mut self, id: ConnectionId, wire: &mut impl Wire<u64>) {
        wire.resume(id);
    }

    fn closed(&mut self, _: ConnectionId, _: CloseCause, _: &mut impl Wire<u64>) {
        self.open -= 1;
    }

    fn forwarded(&mut self, from: Core, number: u64, wire: &mut impl Wire<u64>) {
        assert_eq!(from.0, (wire.core().0 + wire.cores() - 1) % wire.cores());
        assert_eq!(number, self.told + 1, "in order, none lost");
        self.told = number;
    }

    fn expired(&mut self, _: &mut impl Wire<u64>) {}

    fn stopped(&mut self, wire: &mut impl Wire<u64>) {
        wire.stop_accepting();
        self.stopped = true;
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn finished(&self) -> bool {
        self.stopped
    }

    fn outcome(self) -> (u64, u64) {
        (self.opened, self.told)
    }
}

/// Connects several times, sends a stream of known bytes, expects it back, closes.
struct Talkers {
    random: fastrand::Rng,
    to: SocketAddr,
    live: BTreeMap<ConnectionId, Talk>,
    left: usize,
    ends: Ends,
    /// After so long without a byte a connection is given up.
    patience: Duration,
    deadline: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Talk {
    total: usize,
    sent: usize,
    verified: usize,
    heard_at: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    whole: u64,
    cut: u64,
}

fn byte_at(place: usize) -> u8 {
    ((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

impl Talkers {
    fn new(seed: u64, to: SocketAddr) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            to,
            live: BTreeMap::new(),
            left: 6,
            ends: Ends::default(),
            patience: Duration::from_secs(200),
            deadline: None,
        }
    }

    fn begin(&mut self, wire: &mut impl Wire<()>) {
        while self.live.len() < 3 && self.left > 0 {
            let id = wire.connect(self.to, None).expect("slots are plenty");
            let total = [1, 900, 30_000, 300_000][self.random.usize(..4)];
            let total = self.random.usize(1..=total);
            let talk = Talk {
                total,
                sent: 0,
                verified: 0,
                heard_at: wire.now(),
            };
            self.live.insert(id, talk);
            self.left -= 1;
        }
        self.deadline = self
            .live
            .values()
            .map(|talk| talk.heard_at + self.patience)
            .min();
    }

    fn send(&mut self, id: ConnectionId, wire: &mut impl Wire<()>) {
        let talk = self.live.get_mut(&id).unwrap();
        // Some in flight, not all: the pace of the echo.
        while talk.sent < talk.total && talk.sent - talk.verified < 100_000 {
            let most = (talk.total - talk.sent).min(20_000);
            let len = self.random.usize(1..=most);
            let bytes: Vec<u8> = (talk.sent..talk.sent + len).map(byte_at).collect();
            wire.send(id, &bytes).unwrap();
            talk.sent += len;
        }
    }
}

impl Shard for Talkers {
    type Message = ();
    type Outcome = Ends;

    fn started(&mut self, wire: &mut impl Wire<()>) {
        self.begin(wire);
    }

    fn opened(&mut self, id: ConnectionId, origin: Origin, wire: &mut impl Wire<()>) {
        assert_eq!(origin, Origin::Connected);
        self.send(id, wire);
    }

    fn received(&mut self, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire<()>) {
        let talk = self.live.get_mut(&id).unwrap();
        for (place, &byte) in (talk.verified..).zip(bytes.iter()) {
            assert_eq!(byte, byte_at(place), "at {place}");
        }
        talk.verified += bytes.len();
        talk.heard_at = wire.now();
        assert!(talk.verified <= talk.sent, "more came back than was sent");
        if talk.verified == talk.total {
            wire.close(id, Close::Flush);
        } else {
            self.send(id, wire);
        }
    }

    fn drained(&mut self, _: ConnectionId, _: &mut impl Wire<()>) {}

    fn closed(&mut self, id: ConnectionId, cause: CloseCause, wire: &mut impl Wire<()>) {
        let talk = self.live.remove(&id).unwrap();
        if talk.verified == talk.total {
            assert_eq!(cause, CloseCause::Local);
            self.ends.whole += 1;
        } else {
            self.ends.cut += 1;
        }
        self.begin(wire);
    }

    fn forwarded(&mut self, _: Core, (): (), _: &mut impl Wire<()>) {}

    fn expired(&mut self, wire: &mut impl Wire<()>) {
        let patience = self.patience;
        for (&id, talk) in &mut self.live {
            if talk.heard_at + patience <= wire.now() {
                wire.close(id, Close::Abort);
                talk.heard_at = wire.now();
            }
        }
        self.begin(wire);
    }

    fn stopped(&mut self, _: &mut impl Wire<()>) {}

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn finished(&self) -> bool {
        self.left == 0 && self.live.is_empty()
    }

    fn outcome(self) -> Ends {
        self.ends
    }
}

fn talk(seed: u64, conditions: Conditions) -> Report<(u64, u64), Ends> {
    let mut plan = SimConfig::new(seed);
    plan.conditions = conditions;
    plan.servers = 2;
    plan.loads = 2;
    plan.slots = 8;
    plan.stop_servers = Some(Duration::from_secs(1));
    let to = plan.listeners[0];
    run(
        &plan,
        |_| Echo::default(),
        |core| Talkers::new(seed ^ u64::from(core.0), to),
    )
}

fn total(report: &Report<(u64, u64), Ends>) -> Ends {
    let sum = |mut sum: Ends, ends: &Option<Ends>| {
        let ends = ends.expect("every load finishes");
        sum.whole += ends.whole;
        sum.cut += ends.cut;
        sum
    };
    report.loads.iter().fold(Ends::default(), sum)
}

#[test]
fn in_calm_weather_every_echo_comes_back_whole() {
    explore(0..1000, |seed| {
        let report = talk(seed, Conditions::calm());
        assert_eq!(total(&report), Ends { whole: 12, cut: 0 });
        assert_eq!(report.faults, Faults::default());
        let servers: Vec<_> = report
            .servers
            .iter()
            .map(|server| server.unwrap())
            .collect();
        assert_eq!(servers.iter().map(|server| server.0).sum::<u64>(), 12);
        // What one core told the other has arrived.
        assert_eq!((servers[0].0, servers[1].0), (servers[1].1, servers[0].1));
    });
}

#[test]
fn in_rough_weather_every_cut_echo_has_its_fault() {
    let (whole, cut) = (AtomicU64::new(0), AtomicU64::new(0));
    explore(0..1500, |seed| {
        let report = talk(seed, Conditions::rough());
        let ends = total(&report);
        assert_eq!(ends.whole + ends.cut, 12);
        assert!(
            ends.cut <= report.faults.total(),
            "{ends:?}, but {:?}",
            report.faults
        );
        whole.fetch_add(ends.whole, Ordering::Relaxed);
        cut.fetch_add(ends.cut, Ordering::Relaxed);
    });
    // Faults do happen, and not to everybody.
    if crate::are_many() {
        assert!(cut.into_inner() > 500 && whole.into_inner() > 5000);
    }
}

#[test]
fn a_seed_is_a_run() {
    explore(0..50, |seed| {
        let runs = [(); 2].map(|()| talk(seed, Conditions::rough()));
        assert_eq!(runs[0].digest, runs[1].digest);
        assert_eq!(
            (total(&runs[0]), runs[0].took),
            (total(&runs[1]), runs[1].took)
        );
        assert_ne!(runs[0].digest, talk(seed + 1, Conditions::rough()).digest);
    });
}

#[test]
fn a_failing_seed_is_named() {
    let failed = std::panic::catch_unwind(|| {
        explore(0..100, |seed| assert_ne!(seed, 37, "on purpose"));
    });
    if crate::are_many() {
        let text = *failed.unwrap_err().downcast::<String>().unwrap();
        assert!(
            text.contains("RINGSTORM_SEED=37") && text.contains("on purpose"),
            "{text}"
        );
    }
}
