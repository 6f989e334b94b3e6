//! Talkers that never stop, members that read late or never, messages that take their time.

use super::*;

struct Talkers {
    world: World,
    people: Vec<Person>,
    held: Vec<User>,
    /// Who was released, in order.
    released: Vec<User>,
}

impl Talkers {
    fn new(people: u64, seed: u64) -> Self {
        let mut world = World::new(6, seed);
        let mut come = |number| {
            let (core, user) = (world.dice.u16(..CORES), User(number));
            let seat = world.on(core, |rooms, town| rooms.came(user, town));
            Person { core, user, seat }
        };
        let people = (0..people).map(&mut come).collect();
        world.quiet();
        Self {
            world,
            people,
            held: Vec::new(),
            released: Vec::new(),
        }
    }

    /// One of them says something, if it is heard. Whether it was.
    fn say(&mut self, at: usize, length: usize) -> bool {
        let Person { core, user, seat } = self.people[at];
        if self.held.contains(&user) {
            return false;
        }
        let text = "x".repeat(length);
        let message = Message {
            kind: Kind::Text,
            bytes: text.as_bytes(),
        };
        let heard = self.world.on(core, |rooms, _| rooms.hears(user, seat));
        if heard {
            self.world
                .on(core, |rooms, town| rooms.said(user, seat, message, town));
        }
        if !heard || std::mem::take(&mut self.world.town.held) {
            self.held.push(user);
        }
        self.settle();
        heard
    }

    fn settle(&mut self) {
        let released = std::mem::take(&mut self.world.town.released);
        self.held.retain(|user| !released.contains(user));
        self.released.extend(released);
    }

    fn arrive(&mut self) -> bool {
        let arrived = self.world.arrive();
        self.settle();
        arrived
    }

    /// A member has read everything.
    fn read(&mut self, at: usize) {
        let Person { core, user, seat } = self.people[at];
        self.world.town.unread.remove(&user);
        self.world
            .on(core, |rooms, town| rooms.caught_up(user, seat, town));
        self.settle();
    }

    fn pass(&mut self, span: Duration) {
        self.world.town.now += span;
        let now = self.world.town.now;
        for core in 0..CORES {
            self.world.on(core, |rooms, town| {
                if rooms.deadline().is_some_and(|at| at <= now) {
                    rooms.expired(now, town);
                }
            });
        }
        self.settle();
    }
}

/// What may wait for a member that reads: it is not behind, a window, and of each core a window and
/// one text.
fn most() -> usize {
    let window = limits::ROOM_WINDOW as usize;
    let cores = usize::from(CORES);
    limits::BACKLOG_HIGH + window + cores * (flow::share(CORES) as usize + limits::SAID_BYTES)
}

#[test]
fn what_waits_for_a_member_is_bounded_whatever_is_said_and_everything_is_heard_in_the_end() {
    let lengths = [64, 1000, 16_000, limits::SAID_BYTES];
    for (seed, longest) in (0..40).zip(lengths.into_iter().cycle()) {
        let mut talkers = Talkers::new(6, seed);
        for _ in 0..4000 {
            let at = talkers.world.dice.usize(..6);
            match talkers.world.dice.u8(..8) {
                0..5 => {
                    let length = talkers.world.dice.usize(1..=longest);
                    talkers.say(at, length);
                }
                5 | 6 => {
                    talkers.arrive();
                }
                _ => talkers.read(at),
            }
            for (user, unread) in &talkers.world.town.unread {
                assert!(
                    *unread <= most() * 11 / 10,
                    "seed {seed}: {user:?} {unread}"
                );
            }
        }
        while talkers.arrive() || !talkers.world.town.unread.is_empty() {
            (0..6).for_each(|at| talkers.read(at));
        }
        assert_eq!(talkers.held, [], "seed {seed}: everyone may go on");
    }
}

#[test]
fn talkers_of_one_room_take_turns() {
    let mut talkers = Talkers::new(6, 9);
    let mut said = [0_u32; 6];
    let mut ready: Vec<_> = (0..6).map(User).collect();
    for _ in 0..600 {
        // Each says all that it may, in the order in which they were released.
        for user in ready {
            let at = usize::try_from(user.0).unwrap();
            while talkers.say(at, 16_000) {
                said[at] += 1;
            }
        }
        while talkers.arrive() {
            (0..6).for_each(|at| talkers.read(at));
        }
        ready = std::mem::take(&mut talkers.released);
    }
    // How many share a core's window is the seed's.
    let (least, all) = (said.iter().min().unwrap(), said.iter().sum::<u32>());
    assert!(*least >= all / 24, "{said:?}");
}

#[test]
fn a_member_that_never_reads_holds_its_room_up_for_a_while_only() {
    let mut talkers = Talkers::new(2, 4);
    let (talker, silent) = (0, talkers.people[1].user);
    let mut passed = Duration::ZERO;
    let mut unread = 0;
    while unread < limits::BACKLOG_BYTES {
        while talkers.say(talker, 16_000) {}
        while talkers.arrive() {}
        talkers.read(talker);
        talkers.pass(limits::ROOM_PATIENCE_MIN);
        passed += limits::ROOM_PATIENCE_MIN;
        assert!(passed < Duration::from_secs(10), "{unread}");
        unread = talkers.world.town.unread[&silent];
    }
    // It is ended as one that does not read, and the room waits for nobody.
    let Person { core, user, seat } = talkers.people[1];
    talkers.world.town.unread.remove(&user);
    talkers
        .world
        .on(core, |rooms, town| rooms.left(user, seat, town));
    for _ in 0..100 {
        while talkers.arrive() {}
        talkers.read(talker);
        assert!(talkers.say(talker, 16_000));
    }
}

#[test]
fn a_post_to_a_room_whose_members_are_behind_is_told_so() {
    let mut talkers = Talkers::new(2, 4);
    let member = talkers.people[0].user;
    let say = talkers.world.welcome(member).unwrap()["say"].clone();
    let (_, query) = say.as_str().unwrap().split_once('?').unwrap();
    let address = SayAddress::parse(query).unwrap();
    let text = "x".repeat(60_000);
    let post = |talkers: &mut Talkers, asker| {
        let posted = talkers.world.on(1, |rooms: &mut Rooms, town: &mut Town| {
            rooms.post(User(asker), address, &text, town)
        });
        assert_eq!(posted, Ok(()));
        while talkers.arrive() {}
        talkers.world.town.answers[&User(asker)]
    };
    let answers: Vec<_> = (100..110).map(|asker| post(&mut talkers, asker)).collect();
    let said = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((1..=4).contains(&said), "{answers:?}");
    assert!(answers[said..].iter().all(|it| *it == Err(Unsaid::Busy)));
    (0..2).for_each(|at| talkers.read(at));
    while talkers.arrive() {}
    assert!(post(&mut talkers, 200).is_ok());
}
