//! Sessions: clients that arrive, stay for a while and leave.

use super::returning::{Flaky, add_up};
use super::world::World;
use super::{MS, config};
use crate::load::{Config, Loop, Pace, Rate, Session, Think};
use std::time::Duration;

fn sessions(session: Session, connections: u32) -> Config {
    Config {
        connections,
        session: Some(session),
        connect_pace: Some(Pace::Constant(Rate::per_second(100.0).unwrap())),
        messages: Loop::Thinking(Think {
            least: 10 * MS,
            most: 50 * MS,
        }),
        duration: Duration::from_secs(3),
        ..config()
    }
}

#[test]
fn sessions_arrive_stay_and_leave() {
    for session in [Session::Constant(200 * MS), Session::Exponential(200 * MS)] {
        for cores in [1, 2] {
            let mut world = World::new(
                cores,
                &sessions(session, 1_000),
                Flaky::new(|_| false, |_| None),
            );
            let (outcome, took) = world.run();
            add_up(&outcome);
            let connects = outcome.connects;
            assert_eq!((connects.planned, connects.dropped), (300, 0));
            assert_eq!(connects.up + connects.unfinished, 300);
            // Little's law: about 20 are there at the end.
            let here = connects.up - connects.left;
            assert!((8..36).contains(&here), "{here}");
            assert_eq!(connects.ended_early, 0);
            assert!(outcome.messages.replied > 1_000, "{:?}", outcome.messages);
            assert!(took < Duration::from_millis(4_100), "{took:?}");
            let closes = world.peer.echo.closes.len() as u64;
            assert_eq!(closes, connects.up, "all said goodbye");
        }
    }
}

#[test]
fn a_session_goes_when_it_has_its_replies_and_not_before() {
    let rate = |per_s| Pace::Constant(Rate::per_second(per_s).unwrap());
    let open = Loop::Open {
        pace: rate(1_000.0),
        burst: 1,
    };
    let think = sessions(Session::Constant(200 * MS), 1_000).messages;
    for messages in [open, Loop::Closed, think] {
        let config = Config {
            messages,
            ..sessions(Session::Constant(200 * MS), 1_000)
        };
        let mut peer = Flaky::new(|_| false, |_| None);
        peer.echo.reply_at = |_, now| Some(now + 150 * MS);
        let mut world = World::new(1, &config, peer);
        let (outcome, _) = world.run();
        add_up(&outcome);
        let (connects, counts) = (outcome.connects, outcome.messages);
        assert!(connects.left > 200, "{connects:?}");
        assert!(counts.replied > 250 && counts.lost == 0, "{counts:?}");
        let closes = world.peer.echo.closes.len() as u64;
        assert_eq!(closes, connects.up, "all said goodbye");
    }
}

#[test]
fn a_session_that_is_never_answered_goes_after_the_grace_time() {
    let config = Config {
        grace: 100 * MS,
        ..sessions(Session::Constant(200 * MS), 1_000)
    };
    let mut peer = Flaky::new(|_| false, |_| None);
    peer.echo.reply_at = |_, _| None;
    let (outcome, _) = World::new(1, &config, peer).run();
    add_up(&outcome);
    assert!(outcome.connects.left > 200, "{:?}", outcome.connects);
    assert_eq!(outcome.messages.lost, outcome.messages.sent);
}

#[test]
fn a_session_that_finds_no_room_is_dropped_and_counted() {
    let config = sessions(Session::Constant(200 * MS), 10);
    let mut world = World::new(1, &config, Flaky::new(|_| false, |_| None));
    let (outcome, _) = world.run();
    add_up(&outcome);
    let connects = outcome.connects;
    assert_eq!(connects.planned, 300);
    assert!((120..180).contains(&connects.dropped), "{connects:?}");
}
