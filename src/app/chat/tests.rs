//! Chats over several cores whose messages take their time, for many seeds; and cores that die.

mod town;

use super::*;
use std::collections::BTreeMap;
use town::{Somebody, World};

const CORES: u16 = 3;

/// Each text says who said it, to whom, and the how manieth it is in that chat.
fn say(who: User, to: User, count: u64) -> String {
    format!(r#"{{"type":"say","text":"{} {} {count}"}}"#, who.0, to.0)
}

/// What somebody heard of each partner is from the one it was told of, whole and in order, from the
/// first. `said`: what each one has said to a partner that it still has.
fn check_talk(world: &World, all: &[Somebody], said: &BTreeMap<User, u64>) {
    for who in all {
        let (mut partner, mut count) = (None, 0);
        for event in world.heard(*who) {
            match event["type"].as_str() {
                Some("matched") => {
                    (partner, count) = (event["partner"].as_str().map(str::to_owned), 0);
                }
                Some("say") => {
                    count += 1;
                    let from = partner.as_deref().expect("only partners are heard");
                    let text = format!("{from} {} {count}", who.user.0);
                    assert_eq!(event["text"], text, "whole and in order");
                }
                _ => {}
            }
        }
        if let Some(partner) = world.partner(who.user) {
            let sent = said.get(&partner).copied().unwrap_or(0);
            assert_eq!(count, sent, "{:?} heard all of {partner:?}", who.user);
        }
    }
}

/// Everyone comes, says and goes at random; a core dies in the midst of it, if one is to.
fn live(seed: u64, dying: Option<u16>) {
    let mut world = World::new(CORES, seed);
    let mut all: Vec<Somebody> = Vec::new();
    let mut said: BTreeMap<User, u64> = BTreeMap::new();
    for step in 0..500 {
        if let (250, Some(core)) = (step, dying) {
            world.dies(core, &mut all);
        }
        let somebody = world.dice.choice(&all).copied();
        match (world.dice.u8(..16), somebody) {
            (0..3, _) => {
                let core = world.dice.u16(..CORES);
                if world.cores[usize::from(core)].is_some() {
                    all.push(world.enters(core));
                }
            }
            (3, Some(who)) => {
                all.retain(|it| it.user != who.user);
                world.leaves(who);
            }
            (4 | 5, Some(who)) => {
                world.says(who, r#"{"type":"next"}"#);
                said.remove(&who.user);
            }
            (6, Some(who)) => {
                world.says(who, r#"{"type":"leave"}"#);
                said.remove(&who.user);
            }
            (7..12, Some(who)) => {
                let Some(to) = world.partner(who.user) else {
                    said.remove(&who.user);
                    continue;
                };
                // A partner that was told of since begins a new count.
                let matches = world.heard(who).iter().filter(|it| it["type"] == "matched");
                let chat = matches.count();
                let key = User(u64::try_from(chat).expect("few") << 32 | who.user.0);
                let count = said.entry(key).or_default();
                *count += 1;
                let count = *count;
                world.says(who, &say(who.user, to, count));
            }
            _ => {
                world.arrive();
            }
        }
    }
    world.quiet();
    world.check(&all);
    // Of each, what it said in the chat that it is in.
    let now = all.iter().map(|who| {
        let matches = world
            .heard(*who)
            .iter()
            .filter(|it| it["type"] == "matched");
        let key = User(u64::try_from(matches.count()).expect("few") << 32 | who.user.0);
        (who.user, said.get(&key).copied().unwrap_or(0))
    });
    let now = now.collect();
    check_talk(&world, &all, &now);
}

#[test]
fn everyone_is_in_one_chat_at_most_and_what_is_said_there_arrives_whole_and_in_order() {
    for seed in 0..200 {
        live(seed, None);
    }
}

#[test]
fn when_a_core_dies_nobody_is_matched_twice_or_waits_in_vain() {
    for seed in 0..200 {
        live(
            seed,
            Some(u16::try_from(seed % u64::from(CORES)).expect("few")),
        );
    }
}

#[test]
fn whoever_comes_first_is_matched_first_wherever_it_sits() {
    let mut world = World::new(CORES, 7);
    let mut order = Vec::new();
    let mut all = Vec::new();
    for step in 0..600_u16 {
        all.push(world.enters(step % CORES));
        // Each message takes a while, but none is overtaken by a whole round of newcomers.
        for _ in 0..world.dice.u8(..6) {
            world.arrive();
        }
        if step % CORES == 0 {
            world.quiet();
        }
        for who in &all {
            if world.last(*who) == "matched" && !order.contains(&who.user) {
                order.push(who.user);
            }
        }
    }
    world.quiet();
    world.check(&all);
    assert_eq!(world.heard(all[599]).len(), 2, "all are matched");
    for (at, who) in order.iter().enumerate() {
        let before = order[..at].iter().filter(|it| it.0 > who.0).count();
        assert!(before <= usize::from(CORES), "{before} overtook {who:?}");
    }
}

#[test]
fn a_hundred_thousand_who_enter_at_once_are_all_matched_each_once() {
    let mut world = World::new(2, 3);
    let all: Vec<_> = (0..100_000_u32)
        .map(|at| world.enters(u16::from(at % 2 == 0)))
        .collect();
    world.quiet();
    for who in &all {
        let heard = world.heard(*who);
        assert_eq!((heard.len(), &heard[1]["type"]), (2, &"matched".into()));
    }
}

fn two(world: &mut World, cores: [u16; 2]) -> [Somebody; 2] {
    let both = cores.map(|core| world.enters(core));
    world.quiet();
    both
}

#[test]
fn two_are_told_of_each_other_and_one_of_them_may_offer_a_call() {
    for cores in [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]] {
        let mut world = World::new(CORES, 1);
        let [ann, bob] = two(&mut world, cores);
        let (ann, bob) = (world.heard(ann).to_vec(), world.heard(bob).to_vec());
        assert_eq!(ann[0]["type"], "waiting");
        assert_eq!(ann[1]["partner"], "2");
        assert_eq!(bob[1]["partner"], "1");
        assert_ne!(ann[1]["offers"], bob[1]["offers"]);
    }
}

#[test]
fn what_is_for_the_partner_reaches_it_as_it_was_said_and_nothing_else_does() {
    let mut world = World::new(CORES, 1);
    let [ann, bob] = two(&mut world, [0, 1]);
    for said in [
        r#"{"type":"typing","on":true}"#,
        r#"{"text":"<b>\u003ci\u003e","type":"say"}"#,
        r#"{"type":"offer","data":{"sdp":"v=0"}}"#,
    ] {
        world.says(ann, said);
        world.quiet();
        let heard = world.heard(bob).last().cloned();
        assert_eq!(heard, serde_json::from_str(said).ok(), "{said}");
    }
    let before = world.heard(bob).len();
    world.says(ann, r#"{"type":"gone","reason":"left"}"#);
    world.says(ann, "nothing");
    world.quiet();
    assert_eq!(world.heard(bob).len(), before);
    assert_eq!(world.last(ann), "error");
}

#[test]
fn next_leave_and_report_end_a_chat_for_both() {
    for (wish, then) in [("next", "waiting"), ("leave", "left"), ("report", "left")] {
        let mut world = World::new(CORES, 1);
        let [ann, bob] = two(&mut world, [0, 1]);
        world.says(ann, &format!(r#"{{"type":"{wish}"}}"#));
        world.quiet();
        assert_eq!((world.last(ann), world.last(bob)), (then, "gone"), "{wish}");
        let gone = world.heard(bob).last().expect("something");
        assert_eq!(gone["reason"], "left");
        world.says(bob, r#"{"type":"say","text":"hello?"}"#);
        assert_eq!(world.heard(bob).last().unwrap()["code"], "no_partner");
        world.says(bob, r#"{"type":"next"}"#);
        world.quiet();
        let found = if wish == "next" { "matched" } else { "waiting" };
        assert_eq!(world.last(bob), found, "{wish}");
    }
}

#[test]
fn who_has_not_entered_is_told_to_and_nobody_enters_twice() {
    let mut world = World::new(1, 1);
    let who = world.came(0);
    let code = |world: &World| world.heard(who).last().unwrap()["code"].clone();
    for wish in ["next", "leave", "report"] {
        world.says(who, &format!(r#"{{"type":"{wish}"}}"#));
        assert_eq!(code(&world), "not_entered", "{wish}");
    }
    let enter = r#"{"type":"enter","name":"Ann"}"#;
    world.says(who, enter);
    assert_eq!(world.last(who), "waiting");
    world.says(who, enter);
    assert_eq!(code(&world), "already_entered");
    world.says(who, r#"{"type":"report"}"#);
    assert_eq!(code(&world), "no_partner");
}

#[test]
fn whom_so_many_have_reported_is_sent_away() {
    let mut world = World::new(CORES, 1);
    let bad = world.enters(2);
    for count in 1..=limits::CHAT_REPORTS {
        let who = world.enters(u16::from(count % 3));
        world.quiet();
        assert_eq!(world.last(bad), "matched");
        world.says(who, r#"{"type":"report","reason":"spam"}"#);
        world.quiet();
        let away = count == limits::CHAT_REPORTS;
        let expected: &[_] = if away {
            &[(bad.user, close::POLICY)]
        } else {
            &[]
        };
        assert_eq!(world.town.dismissed, expected);
        world.leaves(who);
        if !away {
            world.says(bad, r#"{"type":"next"}"#);
        }
    }
}

#[test]
fn whose_partner_takes_too_little_is_not_heard_until_it_has_caught_up_or_is_gone() {
    for (cores, leaves) in [
        ([0, 0], false),
        ([0, 1], false),
        ([0, 1], true),
        ([2, 0], false),
    ] {
        let mut world = World::new(CORES, 1);
        let [ann, bob] = two(&mut world, cores);
        let hears =
            |world: &mut World| world.on(ann.core, |chat, _| chat.hears(ann.user, ann.seat));
        world.town.behind.insert(bob.user);
        world.says(ann, r#"{"type":"say","text":"a"}"#);
        world.quiet();
        assert!(!hears(&mut world));
        let is_near = cores[0] == cores[1];
        assert_eq!(world.town.held.len(), usize::from(is_near), "{cores:?}");
        assert_eq!(world.town.released, []);
        world.town.behind.remove(&bob.user);
        if leaves {
            world.leaves(bob);
        } else {
            world.on(bob.core, |chat, town| {
                chat.caught_up(bob.user, bob.seat, town)
            });
        }
        world.quiet();
        assert!(hears(&mut world));
        assert_eq!(world.town.released, [ann.user]);
    }
}

#[test]
fn both_are_told_once_when_nothing_is_said_for_a_while() {
    let mut world = World::new(CORES, 1);
    let [ann, bob] = two(&mut world, [0, 1]);
    let tick = |world: &mut World| {
        for core in 0..CORES {
            let now = world.town.now;
            world.on(core, |chat, town| chat.expired(now, town));
        }
    };
    let idle = |world: &World, who| {
        let heard = world.heard(who).iter();
        heard.filter(|it| it["type"] == "idle").count()
    };
    let half = limits::CHAT_IDLE_TIME / 2;
    world.town.now += half;
    world.says(ann, r#"{"type":"say","text":"a"}"#);
    world.quiet();
    world.town.now += half;
    tick(&mut world);
    assert_eq!((idle(&world, ann), idle(&world, bob)), (0, 0));
    world.town.now += half;
    tick(&mut world);
    assert_eq!((idle(&world, ann), idle(&world, bob)), (1, 1));
    world.town.now += limits::CHAT_IDLE_TIME;
    tick(&mut world);
    assert_eq!((idle(&world, ann), idle(&world, bob)), (1, 1));
    assert_eq!(world.on(0, |chat, _| chat.deadline()), None);
    world.says(bob, r#"{"type":"say","text":"b"}"#);
    world.quiet();
    world.town.now += limits::CHAT_IDLE_TIME;
    tick(&mut world);
    assert_eq!((idle(&world, ann), idle(&world, bob)), (2, 2));
}

#[test]
fn whose_core_dies_is_gone_for_its_partner() {
    let mut world = World::new(CORES, 1);
    let [ann, bob] = two(&mut world, [1, 2]);
    let mut all = vec![ann, bob];
    world.dies(1, &mut all);
    world.quiet();
    let gone = world.heard(bob).last().expect("something");
    assert_eq!(
        (&gone["type"], &gone["reason"]),
        (&"gone".into(), &"lost".into())
    );
}
