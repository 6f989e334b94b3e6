//! The hub's properties: what follows here, and what holds for many seeds.

mod patterns;
mod seeds;
mod sessions;
mod world;

use super::answer::{HubAnswer, HubError};
use super::history::Excerpt;
use super::letter::{ChannelQuestion, ClientAction, ClientOrder};
use super::options::{ChannelOptions, HistoryOptions, Namespaces, SlowPolicy};
use super::position::{Position, Since};
use super::*;
use world::{Heard, World};

const DEV: ChannelOptions = ChannelOptions::DEV;

fn texts(heard: &[Heard]) -> Vec<String> {
    heard.iter().map(Heard::text).collect()
}

#[test]
fn who_subscribes_is_told_what_is_said_after_that_on_every_core() {
    let mut world = World::new(3, DEV);
    let clients: Vec<_> = (0..3).map(|core| world.came(core)).collect();
    world.publish(0, "c", "early");
    for client in &clients {
        world.enter(*client, "c");
    }
    world.clear();
    for number in 0..5 {
        world.publish(number % 3, "c", &number.to_string());
    }
    for client in &clients {
        let wanted: Vec<_> = (0..5).map(|n| format!("c#{} {n}", n + 2)).collect();
        assert_eq!(texts(world.heard(*client)), wanted);
    }
    assert!(world.unsubscribe(clients[1], "c"));
    world.clear();
    world.publish(0, "c", "x");
    assert!(world.heard(clients[1]).is_empty());
    assert_eq!(world.heard(clients[2]).len(), 1);
}

#[test]
fn who_comes_back_is_made_whole_or_told_that_it_is_not() {
    let mut world = World::new(2, DEV);
    let client = world.came(0);
    world.enter(client, "c");
    for number in 1..=150 {
        world.publish(1, "c", &number.to_string());
    }
    let position = world.position(client, "c").expect("subscribed");
    assert_eq!(position.offset, 150);
    for (offset, missed) in [(150, 0), (149, 1), (50, 100)] {
        let again = world.came(1);
        let since = Position { offset, ..position }.into();
        let subscribed = world
            .subscribe(again, "c", Some(since))
            .expect("subscribed");
        let caught = subscribed.missed.expect("it asked");
        assert!(caught.whole, "{offset}");
        let offsets: Vec<u64> = caught
            .publications
            .iter()
            .map(|found| found.offset)
            .collect();
        assert_eq!(offsets, (offset + 1..=150).collect::<Vec<_>>());
        assert_eq!(caught.publications.len(), missed);
    }
    let epoch = Some(position.epoch);
    let foreign = Since::place(None, 150);
    for since in [Since::place(epoch, 49), Since::place(epoch, 151), foreign] {
        let again = world.came(1);
        let subscribed = world
            .subscribe(again, "c", Some(since))
            .expect("subscribed");
        assert_eq!(subscribed.position, position, "it goes on from here");
        assert!(
            subscribed.missed.is_some_and(|caught| !caught.whole),
            "{since:?}"
        );
    }
}

#[test]
fn a_channel_that_nobody_needs_is_forgotten_everywhere() {
    let mut world = World::new(2, ChannelOptions::PLAIN);
    let clients = [world.came(0), world.came(1)];
    for client in clients {
        world.enter(client, "c");
    }
    let homed = |world: &World<_>| world.hubs.iter().map(Hub::homed).sum::<usize>();
    assert_eq!(homed(&world), 1);
    assert!(world.unsubscribe(clients[0], "c"));
    assert!(!world.unsubscribe(clients[0], "c"), "it has");
    world.left(clients[1]);
    assert_eq!(homed(&world), 0);
    assert!(world.hubs.iter().all(|hub| hub.home.broker.channels() == 0));
    assert!(world.hubs.iter().all(|hub| hub.home.waiting() == 0));
}

#[test]
fn who_may_not_subscribe_is_told_why_and_nothing_is_kept() {
    let pattern = pattern::ChannelPattern::parse("a*").expect("a pattern");
    let mut world = World::with(2, Namespaces::new(vec![(pattern, DEV)]));
    let client = world.came(0);
    let long = "a".repeat(limits::CHANNEL_NAME_BYTES + 1);
    for (name, error) in [
        ("", HubError::BadRequest),
        ("a\n", HubError::BadRequest),
        (&long, HubError::BadRequest),
        ("b", HubError::UnknownChannel),
    ] {
        assert_eq!(
            world.subscribe(client, name, None).err(),
            Some(error),
            "{name:?}"
        );
    }
    for number in 0..limits::CHANNELS_PER_CLIENT {
        world.enter(client, &format!("a{number}"));
    }
    let twice = world.subscribe(client, "a0", None).err();
    assert_eq!(twice, Some(HubError::AlreadySubscribed));
    let more = world.subscribe(client, "a-more", None).err();
    assert_eq!(more, Some(HubError::LimitExceeded));
    world.left(client);
    assert_eq!(world.hubs.iter().map(Hub::homed).sum::<usize>(), 0);
}

#[test]
fn what_is_asked_of_a_channel_is_answered_whichever_core_is_its_home() {
    let mut world = World::new(3, DEV);
    let (one, two) = (world.came(0), world.came(1));
    world.identify(one, "ann", "{\"name\":\"Ann\"}");
    for channel in ["a", "b", "c", "d"] {
        for client in [one, two] {
            world.enter(client, channel);
        }
        for core in 0..3 {
            world.publish(core, channel, &core.to_string());
        }
        let limit = 2;
        let (since, reverse) = (None, true);
        let excerpt = Excerpt {
            since,
            limit,
            reverse,
        };
        let HubAnswer::History(_, read) = world.ask(2, channel, ChannelQuestion::History(excerpt))
        else {
            panic!("no history");
        };
        let offsets: Vec<u64> = read.publications.iter().map(|found| found.offset).collect();
        assert_eq!((offsets, read.position.offset), (vec![3, 2], 3));
        let HubAnswer::Headcount(count) = world.ask(2, channel, ChannelQuestion::Headcount) else {
            panic!("no count");
        };
        assert_eq!((count.clients, count.users), (2, 2));
        let HubAnswer::Presence(list) = world.ask(2, channel, ChannelQuestion::Presence) else {
            panic!("no list");
        };
        let ann = list.iter().find(|info| info.user() == "ann").expect("ann");
        assert_eq!(ann.info(), "{\"name\":\"Ann\"}");
        let cleared = world.ask(0, channel, ChannelQuestion::ClearHistory);
        assert!(matches!(cleared, HubAnswer::Done));
        let read = world.ask(0, channel, ChannelQuestion::History(excerpt));
        assert!(matches!(read, HubAnswer::History(_, read) if read.publications.is_empty()));
    }
    let mut plain = World::new(2, ChannelOptions::PLAIN);
    for question in [ChannelQuestion::Presence, ChannelQuestion::ClearHistory] {
        let answer = plain.ask(0, "a", question);
        assert!(matches!(answer, HubAnswer::Refused(HubError::NotAvailable)));
    }
}

#[test]
fn who_comes_and_goes_is_told_at_once_in_a_small_channel() {
    let mut world = World::new(2, DEV);
    let (one, two) = (world.came(0), world.came(1));
    world.enter(one, "c");
    assert_eq!(texts(world.heard(one)), ["c +"], "it is told of itself too");
    world.enter(two, "c");
    assert_eq!(texts(world.heard(one)), ["c +", "c +"]);
    world.left(two);
    assert_eq!(texts(world.heard(one)), ["c +", "c +", "c -"]);
}

#[test]
fn in_a_large_channel_it_is_told_once_a_second_and_in_a_huge_one_never() {
    let mut world = World::new(2, DEV);
    let first = world.came(0);
    world.enter(first, "c");
    let clients: Vec<_> = (1..limits::PRESENCE_TOLD_AT_ONCE)
        .map(|number| world.came(number % 2))
        .collect();
    for client in &clients {
        world.enter(*client, "c");
    }
    assert_eq!(world.heard(first).len(), limits::PRESENCE_TOLD_AT_ONCE);
    world.clear();
    let more: Vec<_> = (0..10).map(|number| world.came(number % 2)).collect();
    for client in &more {
        world.enter(*client, "c");
    }
    world.left(more[9]);
    world.left(clients[0]);
    assert!(world.heard(first).is_empty(), "not yet");
    world.wait(limits::PRESENCE_TIME);
    let told = texts(world.heard(first));
    assert_eq!(
        told.iter().filter(|text| *text == "c +").count(),
        9,
        "one was not here"
    );
    assert_eq!(told.iter().filter(|text| *text == "c -").count(), 1);
    world.clear();
    let crowd: Vec<_> = (0..=limits::PRESENCE_CHANGES)
        .map(|number| world.came(number % 2))
        .collect();
    for client in &crowd {
        world.enter(*client, "c");
    }
    world.wait(limits::PRESENCE_TIME);
    assert!(
        world.heard(first).is_empty(),
        "nobody is told of more than that in a second"
    );
    world.left(crowd[0]);
    world.wait(limits::PRESENCE_TIME);
    assert_eq!(texts(world.heard(first)), ["c -"]);
    while world.count("c").clients <= limits::PRESENCE_TOLD {
        let client = world.came(0);
        world.enter(client, "c");
    }
    world.wait(limits::PRESENCE_TIME);
    world.clear();
    let client = world.came(0);
    world.enter(client, "c");
    world.wait(limits::PRESENCE_TIME);
    assert!(
        world.heard(first).is_empty(),
        "a join into a huge channel tells nobody"
    );
}

#[test]
fn who_does_not_read_is_passed_over_and_told_how_much_it_missed() {
    for slow in [SlowPolicy::Drop, SlowPolicy::Conflate] {
        let mut world = World::new(
            2,
            ChannelOptions {
                slow,
                join_leave: false,
                ..DEV
            },
        );
        let clients: Vec<_> = (0..4).map(|number| world.came(number % 2)).collect();
        for client in &clients {
            world.enter(*client, "c");
        }
        world.publish(0, "c", "1");
        world.stop_reading(clients[0]);
        world.stop_reading(clients[2]);
        for text in ["2", "3", "4"] {
            world.publish(0, "c", text);
        }
        assert_eq!(texts(world.heard(clients[0])), ["c#1 1"]);
        assert_eq!(world.heard(clients[3]).len(), 4, "the others are told");
        assert!(
            world.unsubscribe(clients[2], "c"),
            "it can leave while it does not read"
        );
        world.read_again(clients[0]);
        let missed = match slow {
            SlowPolicy::Conflate => vec!["c#1 1", "c missed 2", "c#4 4"],
            SlowPolicy::Drop | SlowPolicy::Disconnect => vec!["c#1 1", "c missed 3"],
        };
        assert_eq!(texts(world.heard(clients[0])), missed);
        world.publish(1, "c", "5");
        assert_eq!(
            world.heard(clients[0]).last().map(Heard::text),
            Some("c#5 5".to_owned())
        );
        assert_eq!(texts(world.heard(clients[2])), ["c#1 1"]);
    }
}

#[test]
fn an_order_reaches_the_clients_it_means_on_every_core() {
    let mut world = World::new(2, DEV);
    let clients: Vec<_> = (0..4).map(|number| world.came(number % 2)).collect();
    for client in &clients[..3] {
        world.identify(*client, "ann", "");
    }
    let order = |what| ClientOrder {
        user: Some("ann".into()),
        client: None,
        session: None,
        except: None,
        what,
    };
    assert_eq!(world.order(0, order(ClientAction::Count)).0, 3);
    assert_eq!(
        world
            .order(0, order(ClientAction::Subscribe("news".into())))
            .0,
        3
    );
    world.clear();
    world.publish(1, "news", "1");
    let told = |world: &World<_>, at: usize| world.heard(clients[at]).len();
    assert_eq!([0, 1, 2, 3].map(|at| told(&world, at)), [1, 1, 1, 0]);
    let listed = order(ClientAction::Channels("new".into()));
    assert_eq!(world.order(1, listed).1, [(Arc::from("news"), 3)]);
    let client = world.id(clients[0]);
    let one = ClientOrder {
        client,
        ..order(ClientAction::Unsubscribe(Some("news".into())))
    };
    assert_eq!(world.order(0, one).0, 1);
    assert_eq!(
        world.heard(clients[0]).last().map(Heard::text),
        Some("news ended".into())
    );
    assert_eq!(world.order(0, order(ClientAction::Unsubscribe(None))).0, 2);
    assert_eq!(world.order(0, order(ClientAction::Disconnect(3503))).0, 3);
    assert_eq!(world.disconnected, 3);
}

#[test]
fn when_a_core_begins_anew_those_of_its_channels_are_told_and_its_own_clients_are_gone() {
    let mut world = World::new(2, DEV);
    let clients = [world.came(0), world.came(1)];
    let channels: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    for channel in &channels {
        for client in clients {
            world.enter(client, channel);
        }
        world.publish(0, channel, "1");
    }
    world.clear();
    world.begin_anew(1);
    let interrupted = texts(world.heard(clients[0]));
    let ended = interrupted
        .iter()
        .filter(|text| text.ends_with("interrupted"))
        .count();
    let left = interrupted
        .iter()
        .filter(|text| text.ends_with('-'))
        .count();
    assert!(
        ended > 0 && left > 0 && ended + left == 8,
        "{interrupted:?}"
    );
    for channel in &channels {
        let here = world.count(channel).clients;
        let kept = !interrupted.contains(&format!("{channel} interrupted"));
        assert_eq!(here, usize::from(kept), "{channel}");
    }
}

#[test]
fn what_a_core_was_the_home_of_that_is_gone_for_good_cannot_be_reached_and_all_else_can() {
    let mut world = World::new(3, DEV);
    let clients = [world.came(0), world.came(2)];
    let channels: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
    for channel in &channels {
        world.enter(clients[0], channel);
        world.enter(clients[1], channel);
    }
    world.enter(clients[0], "c*");
    world.clear();
    world.end(1);
    let interrupted = texts(world.heard(clients[0]));
    assert!(interrupted.contains(&"c* interrupted".to_owned()));
    let mut counts = (0, 0);
    for channel in &channels {
        if interrupted.contains(&format!("{channel} interrupted")) {
            let again = world.subscribe(clients[0], channel, None).map(|_| ());
            assert_eq!(again, Err(HubError::Unreachable), "{channel}");
            let publish = ChannelQuestion::Publish(world::publication("1"));
            let answer = world.ask(2, channel, publish);
            let refused = HubAnswer::Refused(HubError::Unreachable);
            assert_eq!(format!("{answer:?}"), format!("{refused:?}"));
            counts.0 += 1;
        } else {
            world.publish(2, channel, "1");
            let heard = texts(world.heard(clients[0]));
            assert_eq!(heard.last(), Some(&format!("{channel}#1 1")));
            counts.1 += 1;
        }
    }
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
    let pattern = world.subscribe(clients[0], "c*", None).map(|_| ());
    assert_eq!(pattern, Err(HubError::Unreachable), "it would miss some");
    let everyone = ClientOrder {
        user: None,
        client: None,
        session: None,
        except: None,
        what: ClientAction::Count,
    };
    assert_eq!(
        world.order(0, everyone).0,
        2,
        "every core answers, or is answered for"
    );
}

#[test]
fn while_a_server_ends_nobody_is_told_who_goes_and_who_stays_is_told_what_is_said() {
    let mut world = World::new(2, DEV);
    let clients: Vec<_> = (0..4).map(|number| world.came(number % 2)).collect();
    for client in &clients[..3] {
        world.enter(*client, "c");
    }
    world.clear();
    for core in 0..2 {
        world.on(core, |hub, _| hub.closing());
    }
    world.left(clients[1]);
    assert!(world.heard(clients[0]).is_empty());
    // The channel is new again on this core.
    world.enter(clients[3], "c");
    world.clear();
    world.publish(0, "c", "last");
    for at in [0, 2, 3] {
        assert_eq!(texts(world.heard(clients[at])), ["c#1 last"], "{at}");
    }
}

#[test]
fn a_history_of_nothing_is_not_recovered_from() {
    let history = HistoryOptions::OFF;
    let mut world = World::new(2, ChannelOptions { history, ..DEV });
    let client = world.came(0);
    let since = Some(Since::place(None, 0));
    let subscribed = world.subscribe(client, "c", since).expect("subscribed");
    let missed = subscribed.missed.as_ref().expect("it asked");
    assert!(!missed.whole, "and is told that something may be lost");
    world.publish(1, "c", "1");
    assert_eq!(
        world.heard(client).last().map(Heard::text),
        Some("c#1 1".into())
    );
}

#[test]
fn names_are_printable_and_short() {
    for name in ["a", "news:sport", "#1", "\u{e9}", "$x y"] {
        assert!(is_name(name), "{name:?}");
    }
    for name in ["", "a\r", "\0", "a\u{7f}"] {
        assert!(!is_name(name), "{name:?}");
    }
}
