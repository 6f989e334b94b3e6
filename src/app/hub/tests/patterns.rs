//! Subscriptions to patterns: whoever has one is told of each channel that it takes, from every
//! core.

use super::*;
use crate::limits;

fn delivery(
    world: &mut World<broker::Memory>,
    core: usize,
    channel: &str,
    text: &str,
) -> (u64, u16) {
    let publication = world::publication(text);
    match world.ask(core, channel, ChannelQuestion::Publish(publication)) {
        HubAnswer::Published(delivery) => (delivery.clients, delivery.cores),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_subscribes_to_a_pattern_is_told_of_each_channel_that_it_takes_on_every_core() {
    let mut world = World::new(3, DEV);
    let (one, two) = (world.came(0), world.came(2));
    for pattern in [one, two] {
        let stands = world.enter(pattern, "news.*");
        assert!(!stands.options.history.is_on() && stands.missed.is_none());
    }
    let named = world.came(1);
    world.enter(named, "news.b");
    world.clear();
    let channels: Vec<String> = ('a'..='f').map(|it| format!("news.{it}")).collect();
    let homes: std::collections::BTreeSet<_> = channels
        .iter()
        .map(|it| world.hubs[0].home_of(it))
        .collect();
    assert!(homes.len() > 1, "they are homed on several cores");
    let mut wanted = Vec::new();
    for number in 1..=3 {
        for channel in &channels {
            let reached = delivery(&mut world, number % 3, channel, &number.to_string());
            let named = u64::from(channel == "news.b");
            assert_eq!(
                reached,
                (2 + named, 2 + u16::from(channel == "news.b")),
                "{channel}"
            );
            wanted.push(format!("news.* {channel}#{number} {number}"));
        }
    }
    delivery(&mut world, 0, "news", "another");
    delivery(&mut world, 0, "newsxa", "another");
    for pattern in [one, two] {
        assert_eq!(texts(world.heard(pattern)), wanted);
    }
    assert_eq!(world.heard(named).len(), 3);
    assert!(world.unsubscribe(one, "news.*"));
    world.clear();
    assert_eq!(delivery(&mut world, 1, "news.a", "4"), (1, 1));
    assert!(world.heard(one).is_empty() && world.heard(two).len() == 1);
    world.left(two);
    assert_eq!(delivery(&mut world, 1, "news.a", "5"), (0, 0));
    assert!(
        world
            .hubs
            .iter()
            .all(|hub| hub.watching.is_empty() && hub.subscribers.patterns() == 0)
    );
}

#[test]
fn a_pattern_is_for_who_may_and_is_no_channel() {
    let patterns = false;
    let pattern = |text| pattern::ChannelPattern::parse(text).expect("a pattern");
    let rows = vec![
        (pattern("open:*"), DEV),
        (pattern("*"), ChannelOptions { patterns, ..DEV }),
    ];
    let mut world = World::with(2, Namespaces::new(rows));
    let client = world.came(0);
    for name in ["news.*", "*", "op*"] {
        let refused = world.subscribe(client, name, None).map(|_| ());
        assert_eq!(refused, Err(HubError::NotAvailable), "{name}");
    }
    world.enter(client, "open:*");
    let again = world.subscribe(client, "open:*", None).map(|_| ());
    assert_eq!(again, Err(HubError::AlreadySubscribed));
    for question in [
        ChannelQuestion::Publish(world::publication("1")),
        ChannelQuestion::Presence,
    ] {
        let answer = world.ask(1, "open:*", question);
        assert!(
            matches!(answer, HubAnswer::Refused(HubError::BadRequest)),
            "{answer:?}"
        );
    }
}

#[test]
fn of_what_is_reserved_and_of_sessions_no_pattern_of_others_is_told() {
    let mut world = World::new(2, DEV);
    let client = world.came(0);
    world.enter(client, "*");
    world.publish(1, "$sessions", "1");
    let asker = world.asker();
    let (session, data) = (session::SessionId(7), "{\"a\":1}");
    world.on(1, |hub, post| {
        hub.ask_session(asker, session, ChannelQuestion::Merge(data.into()), post);
    });
    world.settle();
    assert!(world.heard(client).is_empty(), "{:?}", world.heard(client));
    world.publish(1, "any", "1");
    assert_eq!(world.heard(client).len(), 1);
}

#[test]
fn who_comes_back_to_a_pattern_is_told_that_something_may_be_lost() {
    let mut world = World::new(2, DEV);
    let client = world.came(1);
    let since = Since::place(None, 0);
    let stands = world.subscribe(client, "a*", Some(since)).expect("it may");
    assert!(stands.missed.is_some_and(|missed| !missed.whole));
}

#[test]
fn when_a_core_begins_anew_who_watched_its_channels_is_told() {
    let mut world = World::new(2, DEV);
    let (stays, goes) = (world.came(0), world.came(1));
    for client in [stays, goes] {
        world.enter(client, "*");
    }
    world.begin_anew(1);
    assert_eq!(texts(world.heard(stays)), ["* interrupted"]);
    world.enter(stays, "*");
    world.clear();
    for number in 0..6 {
        assert_eq!(
            delivery(&mut world, 0, &format!("c{number}"), "1"),
            (1, 1),
            "and no other"
        );
    }
    assert_eq!(world.heard(stays).len(), 6);
}

#[test]
fn a_core_that_fails_before_it_has_confirmed_a_pattern_refuses_it() {
    let mut world = World::new(2, DEV);
    let (core, seat, _) = world.came(0);
    let wish = SubscribeWish {
        channel: "*",
        since: None,
        ticket: 7,
        by_server: false,
        whole: false,
        shown: crate::app::hub::answer::ShownAs::Itself,
    };
    let begun = world.on(core, |hub, post| hub.subscribe(seat, wish, post));
    assert_eq!(begun, Ok(()));
    world.replace(1, broker::Memory::new(9));
    world.settle();
    let answers: Vec<_> = world
        .post
        .answers
        .iter()
        .map(|(_, answer)| answer)
        .collect();
    assert!(
        matches!(answers[..], [HubAnswer::Refused(HubError::Unreachable)]),
        "{answers:?}"
    );
    assert!(world.hubs[0].watching.is_empty());
}

#[test]
fn who_does_not_read_is_told_how_many_of_its_pattern_it_missed() {
    let slow = SlowPolicy::Drop;
    let mut world = World::new(2, ChannelOptions { slow, ..DEV });
    let (one, two) = (world.came(0), world.came(0));
    world.enter(one, "c*");
    world.publish(1, "c1", "1");
    world.stop_reading(one);
    for channel in ["c1", "c2", "c3"] {
        world.publish(1, channel, "2");
    }
    world.enter(two, "c*");
    world.publish(0, "c4", "3");
    world.read_again(one);
    world.publish(0, "c1", "4");
    assert_eq!(
        texts(world.heard(one)),
        ["c* c1#1 1", "c* missed 4", "c* c1#3 4"]
    );
    assert_eq!(texts(world.heard(two)), ["c* c4#1 3", "c* c1#3 4"]);
}

#[test]
fn the_patterns_of_one_core_are_bounded() {
    let mut world = World::new(1, DEV);
    for _ in 0..limits::PATTERNS / limits::CHANNELS_PER_CLIENT {
        let client = world.came(0);
        for _ in 0..limits::CHANNELS_PER_CLIENT {
            world.tickets += 1;
            let name = format!("{}*", world.tickets);
            world.enter(client, &name);
        }
        world.post.answers.clear();
    }
    let client = world.came(0);
    let refused = world.subscribe(client, "x*", None).map(|_| ());
    assert_eq!(refused, Err(HubError::LimitExceeded));
    world.enter(client, "3*");
}
