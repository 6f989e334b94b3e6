//! For many seeds: letters are late, brokers fail, cores begin anew, clients come, go and come
//! back. Each client is told each publication once and in order, or is told that it missed some.

use super::world::{Heard, Place, World, publication};
use crate::app::hub::answer::{HubAnswer, ShownAs, SubscribeWish, Subscribed};
use crate::app::hub::broker::{BrokerWeather, Unreliable};
use crate::app::hub::letter::ChannelQuestion;
use crate::app::hub::options::{ChannelOptions, Namespaces};
use crate::app::hub::position::{Epoch, Position};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of each property.
const SEEDS: u64 = 150;
const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// What one client knows of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Standing {
    #[default]
    Out,
    /// It has asked, with that ticket.
    Asked(u32),
    In,
}

#[derive(Debug, Default)]
struct Knowledge {
    standing: Standing,
    position: Option<Position>,
}

struct Course {
    seed: u64,
    rng: Rng,
    world: World<Unreliable>,
    clients: Vec<(Place, BTreeMap<&'static str, Knowledge>)>,
    /// What was published in each place.
    said: BTreeMap<(&'static str, Epoch, u64), String>,
    next: u64,
    told_gaps: u64,
    delivered: u64,
}

impl Course {
    fn new(seed: u64, weather: BrokerWeather) -> Self {
        let rng = Rng::with_seed(seed);
        let namespaces = Namespaces::all(ChannelOptions::DEV);
        let world = World::of(3, namespaces, |core| {
            Unreliable::new(seed << 8 | u64::from(core), weather)
        });
        Self {
            seed,
            rng,
            world,
            clients: Vec::new(),
            said: BTreeMap::new(),
            next: 0,
            told_gaps: 0,
            delivered: 0,
        }
    }

    fn step(&mut self, failures: bool) {
        let cores = self.world.hubs.len();
        match self.rng.u32(0..100) {
            0..50 => {
                let (from, to) = (self.rng.usize(0..cores), self.rng.usize(0..cores));
                self.world.carry(from, to);
            }
            50..70 => self.publish(),
            70..75 if self.clients.len() < 12 => {
                let place = self.world.came(self.rng.usize(0..cores));
                self.clients.push((place, BTreeMap::new()));
            }
            75..85 if !self.clients.is_empty() => self.subscribe(),
            85..88 if !self.clients.is_empty() => self.unsubscribe(),
            88..90 if !self.clients.is_empty() => self.come_back(),
            90 if failures => self.fail(),
            _ => {
                let time = Duration::from_millis(self.rng.u64(0..30));
                self.pass(time);
            }
        }
        self.check();
    }

    fn pass(&mut self, time: Duration) {
        self.world.post.now += time;
        let now = self.world.post.now;
        for core in 0..self.world.hubs.len() {
            if self.world.hubs[core].deadline().is_some_and(|at| at <= now) {
                self.world.on(core, |hub, post| hub.expired(post));
            }
        }
    }

    fn publish(&mut self) {
        self.next += 1;
        let core = self.rng.usize(0..self.world.hubs.len());
        let channel = CHANNELS[self.rng.usize(0..CHANNELS.len())];
        let question = ChannelQuestion::Publish(publication(&self.next.to_string()));
        let asker = self.world.asker();
        self.world
            .on(core, |hub, post| hub.ask(asker, channel, question, post));
    }

    fn subscribe(&mut self) {
        let at = self.rng.usize(0..self.clients.len());
        let channel = CHANNELS[self.rng.usize(0..CHANNELS.len())];
        self.ask_for(at, channel);
    }

    /// Subscribes, from where the client was if it was ever there.
    fn ask_for(&mut self, at: usize, channel: &'static str) {
        self.world.tickets += 1;
        let ticket = self.world.tickets;
        let ((core, seat, _), known) = &mut self.clients[at];
        let (core, seat) = (*core, *seat);
        let known = known.entry(channel).or_default();
        if known.standing != Standing::Out {
            return;
        }
        let wish = SubscribeWish {
            channel,
            since: known.position.map(Into::into),
            ticket,
            by_server: false,
            whole: false,
            shown: ShownAs::Itself,
        };
        known.standing = Standing::Asked(ticket);
        let asked = self
            .world
            .on(core, |hub, post| hub.subscribe(seat, wish, post));
        asked.expect("it is allowed, and not subscribed");
    }

    fn unsubscribe(&mut self) {
        let at = self.rng.usize(0..self.clients.len());
        let channel = CHANNELS[self.rng.usize(0..CHANNELS.len())];
        let ((core, seat, _), known) = &mut self.clients[at];
        let (core, seat) = (*core, *seat);
        let known = known.entry(channel).or_default();
        let stood = known.standing != Standing::Out;
        known.standing = Standing::Out;
        let ended = self
            .world
            .on(core, |hub, post| hub.unsubscribe(seat, channel, post));
        assert_eq!(ended, stood, "seed {}", self.seed);
    }

    /// A client's connection is cut: it comes back on any core, with what it knows.
    fn come_back(&mut self) {
        let at = self.rng.usize(0..self.clients.len());
        let (core, seat, _) = self.clients[at].0;
        self.world.on(core, |hub, post| hub.left(seat, post));
        self.return_to(at);
    }

    fn return_to(&mut self, at: usize) {
        let core = self.rng.usize(0..self.world.hubs.len());
        self.clients[at].0 = self.world.came(core);
        for channel in CHANNELS {
            let known = self.clients[at].1.entry(channel).or_default();
            if std::mem::take(&mut known.standing) != Standing::Out {
                self.ask_for(at, channel);
            }
        }
    }

    /// A core fails with all it has.
    fn fail(&mut self) {
        let core = self.rng.usize(0..self.world.hubs.len());
        let mut broker = Unreliable::new(self.rng.u64(..), CALM);
        broker.calm();
        self.world.replace(core, broker);
        self.check();
        for at in 0..self.clients.len() {
            if self.clients[at].0.0 == core {
                self.return_to(at);
            }
        }
    }

    /// Looks at what clients were told since the last look.
    fn check(&mut self) {
        let answers = std::mem::take(&mut self.world.post.answers);
        let heard = std::mem::take(&mut self.world.post.heard);
        // A subscription's answer comes before what follows it, and what came before it was of an
        // earlier one: within one step a client is told one or the other of a channel, but for a
        // home on its own core, where the answer is first.
        for (asker, answer) in answers {
            let found = self
                .clients
                .iter()
                .position(|(place, _)| place.2 == asker.user);
            let Some(at) = found else { continue };
            for channel in CHANNELS {
                let known = self.clients[at].1.entry(channel).or_default();
                if known.standing == Standing::Asked(asker.ticket) {
                    match &answer {
                        HubAnswer::Subscribed(it) => self.begin(at, channel, it),
                        HubAnswer::Refused(_) => known.standing = Standing::Out,
                        other => panic!("seed {}: {other:?}", self.seed),
                    }
                }
            }
        }
        for (user, heard) in heard {
            let found = self.clients.iter().position(|(place, _)| place.2 == user);
            let Some(at) = found else { continue };
            for heard in heard {
                self.hear(at, heard);
            }
        }
    }

    fn begin(&mut self, at: usize, channel: &'static str, it: &Subscribed) {
        let known = self.clients[at].1.entry(channel).or_default();
        known.standing = Standing::In;
        let before = known.position.replace(it.position);
        match (&it.missed, before) {
            (Some(caught), Some(before)) if caught.whole => {
                assert_eq!(before.epoch, it.position.epoch, "seed {}", self.seed);
                let offsets: Vec<u64> = caught.publications.iter().map(|it| it.offset).collect();
                let wanted: Vec<u64> = (before.offset + 1..=it.position.offset).collect();
                assert_eq!(offsets, wanted, "seed {}: not whole", self.seed);
                for publication in &caught.publications {
                    self.same(channel, before.epoch, publication.offset, &publication.data);
                }
            }
            (Some(_), _) => self.told_gaps += 1,
            (None, before) => assert!(before.is_none(), "seed {}: it asked", self.seed),
        }
    }

    fn hear(&mut self, at: usize, heard: Heard) {
        let seed = self.seed;
        let (channel, epoch, publication) = match heard {
            Heard::Publication(channel, epoch, publication) => (channel, epoch, publication),
            Heard::Interrupted(channel) => {
                let known = self.clients[at].1.get_mut(&*channel).expect("known");
                assert_eq!(known.standing, Standing::In, "seed {seed}");
                known.standing = Standing::Out;
                let channel = CHANNELS.into_iter().find(|it| *it == channel).expect("one");
                return self.ask_for(at, channel);
            }
            Heard::Joined(_) | Heard::Left(_) => return,
            Heard::Missed(..) | Heard::Unsubscribed(_) | Heard::Matched(..) => {
                panic!("seed {seed}: {heard:?}")
            }
        };
        let channel = CHANNELS.into_iter().find(|it| *it == channel).expect("one");
        let known = self.clients[at].1.get_mut(channel).expect("known");
        let offset = publication.offset;
        assert_eq!(
            known.standing,
            Standing::In,
            "seed {seed}: told though it is not in {channel}"
        );
        let before = known.position.replace(Position { epoch, offset });
        let wanted = before.map(|it| Position {
            offset: it.offset + 1,
            ..it
        });
        assert_eq!(
            wanted, known.position,
            "seed {seed}: repeated, lost or out of order"
        );
        self.delivered += 1;
        self.same(channel, epoch, offset, &publication.data);
    }

    /// One place has one content, whoever is told it.
    fn same(&mut self, channel: &'static str, epoch: Epoch, offset: u64, data: &str) {
        let place = (channel, epoch, offset);
        let known = self.said.entry(place).or_insert_with(|| data.to_owned());
        assert_eq!(known, data, "seed {}: {place:?}", self.seed);
    }

    /// Everything that is under way arrives, and nothing fails any more.
    fn end(&mut self) {
        for hub in &mut self.world.hubs {
            hub.home.broker.calm();
        }
        for _ in 0..40 {
            self.pass(Duration::from_millis(50));
            while (0..9).any(|way| self.world.carry(way / 3, way % 3)) {
                self.check();
            }
            self.check();
            for at in 0..self.clients.len() {
                for channel in CHANNELS {
                    self.ask_for(at, channel);
                    self.check();
                }
            }
        }
        for channel in CHANNELS {
            let all = self.clients.iter().map(|(_, known)| &known[channel]);
            let places: Vec<_> = all.map(|known| (known.standing, known.position)).collect();
            let is_in = |(standing, _): &(Standing, _)| *standing == Standing::In;
            assert!(places.iter().all(is_in), "seed {}: {places:?}", self.seed);
            let first = places.first();
            let same = places.iter().all(|place| Some(place) == first);
            assert!(
                same,
                "seed {}: someone is behind in {channel}: {places:?}",
                self.seed
            );
        }
        let waiting: usize = self.world.hubs.iter().map(|hub| hub.home.waiting()).sum();
        assert_eq!(
            waiting, 0,
            "seed {}: a command without an answer",
            self.seed
        );
    }
}

const CALM: BrokerWeather = BrokerWeather {
    late: 0,
    repeated: 0,
    lost: 0,
};

fn run(weather: BrokerWeather, failures: bool) -> (u64, u64) {
    let mut sum = (0, 0);
    for seed in 0..SEEDS {
        let mut course = Course::new(seed, weather);
        for _ in 0..600 {
            course.step(failures);
        }
        course.end();
        sum = (sum.0 + course.delivered, sum.1 + course.told_gaps);
    }
    sum
}

#[test]
fn nothing_is_lost_or_told_twice_while_letters_are_late() {
    let (delivered, gaps) = run(CALM, false);
    assert!(delivered > 1000, "{delivered}");
    assert_eq!(gaps, 0, "the history reaches back far enough");
}

#[test]
fn a_broker_that_fails_leaves_no_silent_gap() {
    let weather = BrokerWeather {
        late: 60,
        repeated: 20,
        lost: 2,
    };
    let (delivered, _) = run(weather, false);
    assert!(delivered > 1000, "{delivered}");
}

#[test]
fn cores_that_begin_anew_leave_no_silent_gap() {
    let weather = BrokerWeather {
        late: 30,
        repeated: 10,
        lost: 1,
    };
    let (delivered, gaps) = run(weather, true);
    assert!(delivered > 1000 && gaps > 10, "{delivered}, {gaps}");
}
