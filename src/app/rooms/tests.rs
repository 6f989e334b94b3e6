//! Rooms over several cores whose messages take their time, for many seeds.

mod credit;

use super::*;
use crate::app::{Answer, Batch as _};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const CORES: u16 = 3;

/// What users have been told, and what is to be carried out.
#[derive(Default)]
struct Town {
    heard: BTreeMap<User, Vec<serde_json::Value>>,
    away: Vec<User>,
    answers: BTreeMap<User, Answer>,
    /// Messages under way, by sender and addressee.
    under_way: BTreeMap<(u16, u16), VecDeque<MessageBatch>>,
    here: u16,
    now: Instant,
    /// Bytes that users were told and have not read.
    unread: BTreeMap<User, usize>,
    held: bool,
    released: Vec<User>,
}

impl Effects<MessageBatch> for Town {
    fn tell(&mut self, users: &[User], notice: Notice<'_>) {
        let json: serde_json::Value = serde_json::from_str(notice.text).expect("JSON");
        assert_eq!(
            (&json["seq"], &json["type"]),
            (&notice.id.into(), &notice.name.into())
        );
        for user in users {
            self.heard.entry(*user).or_default().push(json.clone());
            *self.unread.entry(*user).or_default() += notice.text.len();
        }
    }

    fn say(&mut self, user: User, message: Message<'_>) {
        panic!("{user:?}: {message:?}");
    }

    fn turn_away(&mut self, user: User) {
        self.away.push(user);
    }

    fn reply(&mut self, message: Message<'_>) {
        panic!("rooms replied {message:?}");
    }

    fn broadcast(&mut self, notice: Notice<'_>) {
        panic!("rooms told everyone {notice:?}");
    }

    fn dismiss(&mut self, user: User, goodbye: crate::app::Goodbye) {
        panic!("{user:?} was closed with {goodbye:?}");
    }

    fn respond(&mut self, asker: User, _: crate::app::ApiResponse) {
        panic!("{asker:?} did not call");
    }

    fn forward(&mut self, to: Core, message: RoomMessage<&str>) {
        assert_ne!(to.0, self.here, "what is said to oneself is done at once");
        let mut batch = MessageBatch::default();
        batch.push(message);
        let batches = self.under_way.entry((self.here, to.0)).or_default();
        batches.push_back(batch);
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn is_behind(&self, user: User) -> bool {
        let unread = self.unread.get(&user);
        unread.is_some_and(|unread| *unread > limits::BACKLOG_HIGH)
    }

    fn hold(&mut self) {
        self.held = true;
    }

    fn release(&mut self, user: User) {
        self.released.push(user);
    }

    fn answer(&mut self, asker: User, answer: Answer) {
        assert_eq!(self.answers.insert(asker, answer), None, "one answer");
    }
}

struct World {
    cores: Vec<Rooms>,
    town: Town,
    dice: fastrand::Rng,
}

impl World {
    fn new(size: u16, seed: u64) -> Self {
        let config = |core| RoomsConfig {
            here: Core(core),
            cores: CORES,
            size,
            secret: [7; 32],
        };
        Self {
            cores: (0..CORES).map(|core| Rooms::new(config(core))).collect(),
            town: Town::default(),
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    fn on<R>(&mut self, core: u16, act: impl FnOnce(&mut Rooms, &mut Town) -> R) -> R {
        self.town.here = core;
        act(&mut self.cores[usize::from(core)], &mut self.town)
    }

    /// Lets some message arrive. False if there is none.
    fn arrive(&mut self) -> bool {
        let pairs: Vec<_> = self.town.under_way.keys().copied().collect();
        let Some(&(from, to)) = self.dice.choice(&pairs) else {
            return false;
        };
        let posts = self.town.under_way.get_mut(&(from, to)).expect("a pair");
        let post = posts.pop_front().expect("not empty");
        if posts.is_empty() {
            self.town.under_way.remove(&(from, to));
        }
        self.on(to, |rooms, town| {
            rooms.took(Core(from), &post, town);
        });
        true
    }

    fn quiet(&mut self) {
        while self.arrive() {}
    }

    fn welcome(&self, user: User) -> Option<&serde_json::Value> {
        self.town.heard.get(&user)?.first()
    }
}

#[derive(Clone, Copy)]
struct Person {
    core: u16,
    user: User,
    seat: Seat,
}

/// Everyone says what it wants, comes and goes at random: then who heard what?
fn live(size: u16, seed: u64) -> World {
    let mut world = World::new(size, seed);
    let mut people: Vec<Person> = Vec::new();
    for step in 0..400_u64 {
        match world.dice.u8(..12) {
            0..3 => {
                let (core, user) = (world.dice.u16(..CORES), User(step));
                let seat = world.on(core, |rooms, town| rooms.came(user, town));
                people.push(Person { core, user, seat });
            }
            3 if !people.is_empty() => {
                let gone = people.swap_remove(world.dice.usize(..people.len()));
                world.on(gone.core, |rooms, town| {
                    rooms.left(User(0), gone.seat, town)
                });
            }
            4..7 if !people.is_empty() => {
                let at = world.dice.usize(..people.len());
                let Person { core, user, seat } = people[at];
                let text = format!("{} at {step}", user.0);
                let said = world.on(core, |rooms, town| rooms.say(seat, &text, town));
                let early = world.welcome(user).is_none();
                assert_eq!(said, if early { Err(Unsaid::Early) } else { Ok(()) });
            }
            _ => {
                world.arrive();
            }
        }
    }
    world.quiet();
    for Person { core, user, seat } in people {
        let text = format!("{} at the end", user.0);
        let said = world.on(core, |rooms, town| rooms.say(seat, &text, town));
        assert_eq!(said, Ok(()), "everyone has a room");
    }
    world.quiet();
    world
}

#[test]
fn everyone_hears_what_its_room_hears_once_and_in_one_order() {
    for seed in 0..60 {
        let world = live(1 + u16::try_from(seed % 7).unwrap(), seed);
        assert_eq!(world.town.away, []);
        let mut rooms: BTreeMap<String, BTreeMap<u64, &serde_json::Value>> = BTreeMap::new();
        for (user, heard) in &world.town.heard {
            let (welcome, rest) = heard.split_first().unwrap();
            assert_eq!(welcome["type"], "room", "seed {seed}");
            let room = rooms.entry(welcome["room"].to_string()).or_default();
            for (event, seq) in rest.iter().zip(welcome["seq"].as_u64().unwrap() + 1..) {
                assert_eq!(event["seq"], seq, "seed {seed}: {user:?} has a gap");
                let same = room.entry(seq).or_insert(event);
                assert_eq!(*same, event, "seed {seed}: one order");
            }
        }
    }
}

#[test]
fn a_room_never_has_more_members_than_its_size_and_is_used_again() {
    for seed in 0..20 {
        let size = 1 + u16::try_from(seed % 4).unwrap();
        let mut world = live(size, seed);
        let counts = world.town.heard.values().flatten();
        let most = counts.filter_map(|event| event["members"].as_u64()).max();
        assert_eq!(most, Some(u64::from(size)), "seed {seed}");
        let before = world.cores[0].directory.made();
        let free: Vec<_> = world.cores.iter().map(|rooms| rooms.home.total()).collect();
        let taken: usize = free.iter().sum();
        let room_for = usize::from(size) * usize::try_from(before).unwrap() - taken;
        for user in 0..room_for {
            let user = User(10_000 + u64::try_from(user).unwrap());
            world.on(1, |rooms, town| rooms.came(user, town));
        }
        world.quiet();
        assert_eq!(
            world.cores[0].directory.made(),
            before,
            "seed {seed}: no new room"
        );
    }
}

#[test]
fn newcomers_fill_one_room_before_the_next_wherever_they_sit() {
    let mut world = World::new(6, 1);
    for user in 0..13 {
        let core = u16::try_from(user % u64::from(CORES)).unwrap();
        world.on(core, |rooms, town| rooms.came(User(user), town));
        world.quiet();
    }
    let room = |user| world.welcome(User(user)).unwrap()["room"].to_string();
    let rooms: Vec<_> = (0..13).map(room).collect();
    assert!(rooms[..6].iter().all(|room| *room == rooms[0]));
    assert!(rooms[6..12].iter().all(|room| *room == rooms[6]));
    assert!(rooms[0] != rooms[6] && rooms[6] != rooms[12]);
}

#[test]
fn what_is_posted_with_the_right_key_is_said_and_with_another_is_not() {
    let mut world = World::new(2, 5);
    let seat = world.on(2, |rooms, town| rooms.came(User(1), town));
    world.quiet();
    let say = world.welcome(User(1)).unwrap()["say"].clone();
    let (_, query) = say.as_str().unwrap().split_once('?').unwrap();
    let address = SayAddress::parse(query).unwrap();
    let post = |world: &mut World, address, asker| {
        let posted =
            |rooms: &mut Rooms, town: &mut Town| rooms.post(User(asker), address, "hello", town);
        let posted = world.on(1, posted);
        world.quiet();
        posted
    };
    assert_eq!(post(&mut world, address, 100), Ok(()));
    assert_eq!(world.town.answers[&User(100)], Ok(2));
    let heard = world.town.heard[&User(1)].last().unwrap();
    assert_eq!(
        (&heard["text"], &heard["member"]),
        (&"hello".into(), &1.into())
    );
    let key = address.key ^ 1;
    let wrong = SayAddress { key, ..address };
    assert_eq!(post(&mut world, wrong, 101), Err(Unsaid::Gone));
    world.on(2, |rooms, town| rooms.left(User(0), seat, town));
    world.quiet();
    assert_eq!(post(&mut world, address, 102), Ok(()));
    assert_eq!(world.town.answers[&User(102)], Err(Unsaid::Gone));
}

#[test]
fn who_goes_before_it_has_a_room_leaves_its_place() {
    let mut world = World::new(1, 3);
    for user in 0..50 {
        let seat = world.on(1, |rooms, town| rooms.came(User(user), town));
        world.on(1, |rooms, town| rooms.left(User(0), seat, town));
        world.quiet();
    }
    assert_eq!(world.cores[0].directory.made(), 1);
    assert_eq!(
        world
            .cores
            .iter()
            .map(|rooms| rooms.home.total())
            .sum::<usize>(),
        0
    );
    assert!(world.town.heard.is_empty());
}

#[test]
fn a_text_that_is_too_long_is_not_said() {
    let mut world = World::new(1, 3);
    let seat = world.on(0, |rooms, town| rooms.came(User(1), town));
    let text = "x".repeat(limits::SAID_BYTES);
    assert_eq!(
        world.on(0, |rooms, town| rooms.say(seat, &text, town)),
        Ok(())
    );
    let text = text + "x";
    let said = world.on(0, |rooms, town| rooms.say(seat, &text, town));
    assert_eq!(said, Err(Unsaid::TooLong));
}

#[test]
fn when_there_are_no_rooms_left_newcomers_are_turned_away() {
    let mut world = World::new(1, 3);
    world.cores[0].directory.pretend(limits::ROOMS);
    let seat = world.on(2, |rooms, town| rooms.came(User(1), town));
    world.quiet();
    assert_eq!(world.town.away, [User(1)]);
    world.on(2, |rooms, town| rooms.left(User(0), seat, town));
    assert_eq!(world.cores[2].local.users(), 0);
}
