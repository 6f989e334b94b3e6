//! Channels of one core whose store is on a disk that fails, is late and is torn: whoever comes
//! back is made whole or told that it is not, whenever the program was killed.

mod torn_disk;

use super::*;
use crate::app::hub::broker::{
    Broker as _, BrokerCommand, BrokerEvent, BrokerReply, Memory, OfChannel, Ticket,
};
use crate::app::hub::history::{Catchup, Excerpt};
use crate::app::hub::options::{ChannelOptions, HistoryOptions};
use crate::app::hub::position::{Position, Since};
use crate::app::hub::publication::Publication;
use crate::app::hub::session::SessionId;
use crate::app::hub::store::{RestoredChannel, RestoredChannels};
use crate::limits;
use crate::time::{Instant, WallClock};
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use torn_disk::TornDisk;

const HISTORY: HistoryOptions = HistoryOptions {
    count: 8,
    life: Duration::from_secs(5),
    ..ChannelOptions::DEV.stored().history
};

/// One core and its store.
struct Rig {
    disk: TornDisk,
    now: Instant,
    runs: u64,
    memory: Memory,
    keeper: StoreKeeper,
    file: StoreFile<TornDisk>,
    counts: StoreCounts,
    was_whole: bool,
    secret: [u8; 32],
}

impl Rig {
    fn new(seed: u64) -> Self {
        let now = Instant::from_nanos(3_600_000_000_000);
        Self::open(TornDisk::new(seed), now, 1).expect("a good disk")
    }

    fn open(disk: TornDisk, now: Instant, runs: u64) -> Result<Self, StoreFault> {
        let unix = Duration::from_secs(1_000_000) + now.since(Instant::default());
        let wall = WallClock { unix, at: now };
        let secret = [u8::try_from(runs % 256).unwrap_or(0); 32];
        let (file, contents) = StoreFile::open(disk.clone(), wall, secret)?;
        assert_eq!(contents.unreadable, 0, "no record is torn");
        let counts = StoreCounts::default();
        let plan = StorePlan {
            lines: StoreBell::default().lines(1, &counts),
            counts: counts.clone(),
            restored: RestoredChannels::default(),
            cookie_secret: contents.secret,
        };
        let line = plan.lines.first().cloned();
        let mut memory = Memory::new(runs.wrapping_mul(0x9e37_79b9)).stored_in(line);
        for channel in contents.channels {
            let (name, history) = (&channel.name.clone(), options(&channel));
            memory.restore(OfChannel { name, history, now }, channel);
        }
        Ok(Self {
            keeper: StoreKeeper::new(&plan),
            was_whole: contents.was_whole,
            secret: contents.secret,
            disk,
            now,
            runs,
            memory,
            file,
            counts,
        })
    }

    fn ask(&mut self, name: &str, command: BrokerCommand) -> BrokerReply {
        let (name, now) = (&Arc::from(name), self.now);
        let history = match SessionId::of_channel(name) {
            Some(_) => ChannelOptions::SESSION.history,
            None => HISTORY,
        };
        let mut events = VecDeque::new();
        let channel = OfChannel { name, history, now };
        self.memory.ask(Ticket(1), channel, command, &mut events);
        match events.pop_back() {
            Some(BrokerEvent::Reply { reply, .. }) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn publish(&mut self, name: &str, text: &str) -> Position {
        let publication = Publication {
            offset: 0,
            data: text.into(),
            by: None,
            tags: None,
            spares_author: false,
        };
        match self.ask(name, BrokerCommand::Publish(publication)) {
            BrokerReply::Published(position) => position,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, name: &str, command: BrokerCommand) -> Catchup {
        match self.ask(name, command) {
            BrokerReply::Read(caught) => caught,
            other => panic!("{other:?}"),
        }
    }

    /// Time goes by, and what is due is written.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.keeper.turn(self.now, &mut self.file);
            match self.keeper.deadline() {
                Some(at) if at <= until => self.now = self.now.max(at),
                Some(_) | None => break,
            }
        }
        self.now = until;
        self.memory.expired(until, &mut VecDeque::new());
    }

    /// It is killed, and what the disk had not written is there or not, or in part.
    fn kill(self) -> Self {
        self.disk.crash();
        Self::open(self.disk, self.now, self.runs + 1).expect("the disk is good again")
    }

    /// It ends as it should, and begins anew later.
    fn restart(self, later: Duration) -> Self {
        let Self {
            keeper, mut file, ..
        } = self;
        keeper.finish(self.now, &mut file, StoreEnd::Whole);
        drop(file);
        Self::open(self.disk, self.now + later, self.runs + 1).expect("it is free")
    }
}

fn options(channel: &RestoredChannel) -> HistoryOptions {
    match SessionId::of_channel(&channel.name) {
        Some(_) => ChannelOptions::SESSION.history,
        None => HISTORY,
    }
}

fn texts(caught: &Catchup) -> Vec<String> {
    let all = caught.publications.iter();
    all.map(|it| it.data.to_string()).collect()
}

const ALL: BrokerCommand = BrokerCommand::Read(Excerpt {
    since: None,
    limit: 100,
    reverse: false,
});

fn since(position: Position) -> BrokerCommand {
    BrokerCommand::CatchUp(Some(Since::from(position)))
}

#[test]
fn channels_and_sessions_go_on_where_they_were() {
    let mut rig = Rig::new(1);
    let session = SessionId(7).channel();
    for number in 1..=10 {
        rig.publish("a", &number.to_string());
    }
    rig.ask(&session, BrokerCommand::Merge(r#"{"cart":[1]}"#.into()));
    rig.wait(Duration::from_secs(1));
    let last = rig.publish("a", "11");
    let (secret, before) = (rig.secret, rig.counts.figures());
    assert_eq!((before.written, before.commits, before.lost), (11, 1, 0));
    let mut rig = rig.restart(Duration::from_secs(2));
    assert!(rig.was_whole && rig.secret == secret);
    let missed = rig.read("a", since(Position { offset: 9, ..last }));
    assert_eq!(
        (missed.whole, texts(&missed)),
        (true, vec!["10".into(), "11".into()])
    );
    assert_eq!(texts(&rig.read(&session, ALL)), [r#"{"cart":[1]}"#]);
    let next = rig.publish("a", "12");
    assert_eq!((next.epoch, next.offset), (last.epoch, 12));
    // Eleven seconds and more after the first ten, and not so long after the others.
    rig.now += Duration::from_millis(2500);
    assert_eq!(texts(&rig.read("a", ALL)), ["11", "12"]);
    // What is forgotten is forgotten there too.
    rig.ask(&session, BrokerCommand::Forget);
    rig.ask("a", BrokerCommand::Clear);
    let mut rig = rig.restart(Duration::ZERO);
    assert!(rig.read(&session, ALL).publications.is_empty());
    assert!(rig.read("a", ALL).publications.is_empty());
    let next = rig.publish("a", "13");
    assert_eq!(
        (next.epoch, next.offset),
        (last.epoch, 13),
        "no number twice"
    );
}

#[test]
fn after_a_crash_nobody_is_taken_for_whole_and_what_was_written_can_be_read() {
    let mut rig = Rig::new(2);
    rig.publish("quiet", "1");
    let known = rig.publish("a", "1");
    rig.wait(limits::STORE_GATHER_TIME);
    let lost = rig.publish("a", "2");
    let mut rig = rig.kill();
    assert!(!rig.was_whole);
    assert_eq!(texts(&rig.read("a", ALL)), ["1"]);
    let anew = rig.publish("a", "3");
    assert_ne!(anew.epoch, lost.epoch);
    for place in [known, lost] {
        assert!(!rig.read("a", since(place)).whole, "{place:?}");
    }
    let time = Since::time(rig.now - Duration::from_secs(1));
    let caught = rig.read("a", BrokerCommand::CatchUp(Some(time)));
    assert!(!caught.whole, "something of that time is missing");
    // Nor after an end as it should be: of what nobody publishes in, nobody knows either.
    let mut rig = rig.restart(Duration::ZERO);
    assert!(rig.was_whole);
    let quiet = Position { offset: 1, ..known };
    assert!(!rig.read("quiet", since(quiet)).whole && !rig.read("a", since(known)).whole);
    assert!(rig.read("a", since(anew)).whole);
}

#[test]
fn a_disk_that_is_full_loses_nothing_once_there_is_room() {
    let mut rig = Rig::new(3);
    rig.disk.fill();
    let first = rig.publish("a", "0");
    rig.now += limits::STORE_GATHER_TIME;
    assert_eq!(
        rig.keeper.turn(rig.now, &mut rig.file),
        None,
        "it is gathered"
    );
    rig.now += limits::STORE_GATHER_TIME;
    let news = rig.keeper.turn(rig.now, &mut rig.file);
    let Some(StoreNews::Failing(why)) = news else {
        panic!("{news:?}");
    };
    assert!(
        why.contains("No space left") && why.contains("try:"),
        "{why}"
    );
    for number in 1..1000 {
        rig.publish("a", &number.to_string());
    }
    rig.now += limits::STORE_RETRY_TIME;
    assert_eq!(
        rig.keeper.turn(rig.now, &mut rig.file),
        None,
        "it is said once"
    );
    rig.disk.free();
    rig.now += limits::STORE_RETRY_TIME;
    let news = rig.keeper.turn(rig.now, &mut rig.file);
    assert_eq!(news, Some(StoreNews::Written { lost: 0 }));
    let figures = rig.counts.figures();
    assert_eq!(
        (figures.written, figures.failed, figures.failing),
        (1000, 2, 0)
    );
    let mut rig = rig.restart(Duration::ZERO);
    let place = Position {
        offset: 998,
        ..first
    };
    assert_eq!(texts(&rig.read("a", since(place))), ["998", "999"]);
}

#[test]
fn what_found_no_room_is_counted_and_nobody_is_whole_after_it() {
    let mut rig = Rig::new(4);
    let known = rig.publish("a", "1");
    for _ in 0..=limits::STORE_ENTRIES {
        rig.ask("b", BrokerCommand::Clear);
    }
    assert_eq!(rig.counts.figures().lost, 2);
    rig.wait(Duration::from_secs(1));
    let mut rig = rig.restart(Duration::ZERO);
    assert!(!rig.was_whole && !rig.read("a", since(known)).whole);
}

/// What was published in each channel in all runs, and places that somebody had come to, with how
/// much had been published by then.
#[derive(Default)]
struct Truth {
    all: BTreeMap<&'static str, Vec<(Instant, String)>>,
    places: Vec<(&'static str, Position, usize)>,
    /// How much had been published in each when this run began.
    before: BTreeMap<&'static str, usize>,
    recovered: usize,
    told: usize,
}

impl Truth {
    fn publish(&mut self, name: &'static str, rig: &mut Rig) {
        let all = self.all.entry(name).or_default();
        let text = format!("{name}{}", all.len());
        let position = rig.publish(name, &text);
        all.push((rig.now, text));
        self.places.push((name, position, all.len()));
    }

    /// A run begins.
    fn begin(&mut self) {
        let all = self.all.iter();
        self.before = all.map(|(name, all)| (*name, all.len())).collect();
    }

    /// Somebody comes back to a place that it had.
    fn check(&mut self, rig: &mut Rig, rng: &mut Rng) {
        let newest = self.places.len().saturating_sub(30);
        let Some(&(name, place, seen)) = rng.choice(self.places.iter().skip(newest)) else {
            return;
        };
        let caught = rig.read(name, since(place));
        if !caught.whole {
            self.told += 1;
            return;
        }
        self.recovered += 1;
        let missed: Vec<String> = self.all[name][seen..]
            .iter()
            .map(|it| it.1.clone())
            .collect();
        assert_eq!(texts(&caught), missed, "{name} from {place:?}");
    }

    /// Whatever was published so long ago that it had to be written is there.
    fn check_window(&self, rig: &mut Rig, killed: Instant) {
        for (name, all) in &self.all {
            let is_due =
                |(made, _): &&(Instant, String)| *made + limits::STORE_GATHER_TIME < killed;
            let before = self.before.get(name).copied().unwrap_or(0);
            let Some((made, due)) = all.iter().skip(before).rev().find(is_due) else {
                continue;
            };
            if *made + HISTORY.life <= rig.now {
                continue;
            }
            let kept = texts(&rig.read(name, ALL));
            let is_there = kept.contains(due)
                || kept
                    .last()
                    .is_some_and(|it| all.iter().any(|(at, text)| text == it && at >= made));
            assert!(is_there, "{name}: {due} is not in {kept:?}");
        }
    }
}

#[test]
fn whenever_it_is_killed_nobody_misses_anything_without_being_told() {
    let (mut recovered, mut told, mut runs) = (0, 0, 0);
    for seed in 0..12 {
        let mut rng = Rng::with_seed(seed);
        let (mut rig, mut truth) = (Rig::new(seed), Truth::default());
        let mut has_failed = false;
        for _ in 0..400 {
            match rng.u32(0..100) {
                0..50 => {
                    let name = ["a", "b", "c", "d"][rng.usize(0..4)];
                    truth.publish(name, &mut rig);
                }
                50..80 => rig.wait(Duration::from_millis(rng.u64(0..40))),
                80..83 => rig.wait(Duration::from_millis(rng.u64(0..4000))),
                83..88 => {
                    has_failed = true;
                    rig.disk.fill();
                }
                88..93 => rig.disk.free(),
                93..97 => {
                    rig.disk.free();
                    let killed = rig.now;
                    rig = rig.kill();
                    if !has_failed {
                        truth.check_window(&mut rig, killed);
                    }
                    has_failed = false;
                    truth.begin();
                }
                _ => {
                    rig.disk.free();
                    rig = rig.restart(Duration::from_millis(rng.u64(0..1000)));
                    assert!(rig.was_whole, "seed {seed}");
                    has_failed = false;
                    truth.begin();
                }
            }
            truth.check(&mut rig, &mut rng);
        }
        recovered += truth.recovered;
        told += truth.told;
        runs += rig.runs;
    }
    assert!(
        recovered > 500 && told > 500 && runs > 100,
        "{recovered} {told} {runs}"
    );
}
