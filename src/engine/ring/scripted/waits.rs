//! How long a core waits in the kernel, and what it must be woken for.

use super::*;
use crate::engine::ring::operation::plain;
use crate::limits;

const TICK: Duration = Duration::from_millis(10);

#[test]
fn a_wait_ends_with_the_tick_or_with_a_deadline_before_it() {
    let (mut driver, _kernel, _mailboxes) = core();
    let now = crate::engine::now();
    (driver.port.now, driver.tick) = (now, Some(now + Duration::from_secs(9)));
    assert_eq!(driver.patience(TICK), EnterWait::ForOne, "no deadline");
    driver.shard.deadline = Some(now + Duration::from_secs(10));
    assert_eq!(
        driver.patience(TICK),
        EnterWait::ForOne,
        "the tick is first"
    );
    let near = Duration::from_secs(8);
    driver.shard.deadline = Some(now + near);
    match driver.patience(TICK) {
        EnterWait::AtMost(span) => assert!(span <= near, "{span:?}"),
        other => panic!("{other:?}"),
    }
    driver.shard.deadline = Some(now);
    assert_eq!(driver.patience(TICK), EnterWait::Not, "it has passed");
    driver.shard.deadline = None;
    assert_eq!(driver.patience(Duration::ZERO), EnterWait::Not);
}

/// Success of other sends is told by nobody: they are proven whenever the core is next awake.
#[test]
fn a_send_from_which_something_follows_is_told_of_when_it_is_done() {
    for (bytes, closes, sent) in [
        (limits::BACKLOG_HIGH, false, Send::Unproven),
        (limits::BACKLOG_HIGH + 1, false, Send::Waiting),
        (5, true, Send::Waiting),
    ] {
        let (mut driver, _kernel, _mailboxes) = core();
        let id = accept(&mut driver, 4);
        driver.port.send(id, &vec![b'x'; bytes]).unwrap();
        if closes {
            driver.port.close(id, Close::Flush);
        }
        driver.port.settle_all();
        assert_eq!(send(&mut driver, id), sent, "{bytes} {closes}");
    }
}

#[test]
fn a_wait_for_a_deadline_that_coalesces_is_counted_from_when_all_has_left() {
    let (mut driver, kernel, _mailboxes) = core();
    let now = crate::engine::now();
    driver.tick = Some(now + Duration::from_secs(9));
    driver.shard.deadline = Some(now + Duration::from_secs(8));
    driver.shard.coalesces = true;
    turn(&mut driver);
    let waits = std::mem::take(&mut kernel.0.borrow_mut().waits);
    assert!(
        matches!(waits[..], [EnterWait::Not, EnterWait::Through(_)]),
        "{waits:?}"
    );
}

#[test]
fn a_core_does_not_wait_while_messages_wait_for_it() {
    let (mut driver, _kernel, mailboxes) = core();
    driver.tick = Some(driver.port.now + Duration::from_secs(9));
    assert_eq!(driver.patience(TICK), EnterWait::ForOne);
    let mut other = Mailer::new(mailboxes, Core(1));
    other.queue(Core(0), 7, 0);
    other.deliver(&mut Ring::new(Scripted::default()));
    assert_eq!(driver.patience(TICK), EnterWait::Not);
}

/// Or it would never be quiet.
#[test]
fn what_only_wakes_a_core_is_no_event() {
    let (mut driver, kernel, _mailboxes) = core();
    driver.timers = 2;
    driver.waker.wake();
    for wakes in [Operation::Tick, Operation::Alarm, Operation::WakerPoll] {
        kernel.completes(plain(wakes, 0), 0, 0);
    }
    kernel.completes(plain(Operation::Doorbell, 0), 0, 0);
    assert_eq!(driver.turn(TICK).unwrap(), 1, "the doorbell");
    assert!(!driver.waker.is_signalled(), "the signal was read");
    assert_eq!(driver.timers, 1, "one of them is armed again");
}

#[test]
fn the_signals_of_other_rings_are_polled_once_at_a_time() {
    let (mut driver, kernel, _mailboxes) = core();
    let rings = [kernel.clone(), Scripted::default()].map(Ring::new);
    driver.port.rings = Rings::new(rings.into(), 8);
    let mut polls = || {
        driver.patience(TICK);
        driver.patience(TICK);
        driver.rings().lead().enter(EnterWait::Not).unwrap();
        let taken = kernel.taken();
        let polls = taken.iter().filter(|it| **it == Operation::WakerPoll);
        (polls.count(), driver.waker_signalled())
    };
    assert_eq!([polls().0, polls().0], [1, 1], "again when it has told");
}

#[test]
fn a_core_does_not_wait_while_another_of_its_rings_has_work() {
    let (mut driver, kernel, _mailboxes) = core();
    let other = Scripted::default();
    let rings = [kernel, other.clone()].map(Ring::new);
    driver.port.rings = Rings::new(rings.into(), 8);
    driver.tick = Some(driver.port.now + Duration::from_secs(9));
    assert_eq!(driver.patience(TICK), EnterWait::ForOne);
    other.completes(plain(Operation::Doorbell, 0), 0, 0);
    assert_eq!(driver.patience(TICK), EnterWait::Not);
}

#[test]
fn a_core_does_not_wait_while_receives_want_buffers() {
    let (mut driver, _kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    driver.tick = Some(driver.port.now + Duration::from_secs(9));
    assert_eq!(driver.patience(TICK), EnterWait::ForOne);
    for group in [Group::Small, Group::Large] {
        driver.port.rings.lane(0).queued(group).push_back(id);
        assert_eq!(driver.patience(TICK), EnterWait::Not, "{group:?}");
        driver.port.rings.lane(0).queued(group).clear();
    }
}

/// Each ends a park: one for a nearer deadline comes beside one that is under way.
#[test]
fn an_alarm_is_armed_for_each_nearer_deadline_and_forgotten_when_it_has_rung() {
    let (mut driver, _kernel, _mailboxes) = core();
    let now = crate::engine::now();
    let [near, far] = [1, 9].map(|seconds| now + Duration::from_secs(seconds));
    let timers = driver.timers;
    for (deadline, armed) in [(far, 1), (far, 1), (near, 2), (far, 2)] {
        driver.shard.deadline = Some(deadline);
        driver.arm_alarm();
        assert_eq!(driver.timers, timers + armed);
    }
    assert_eq!(driver.alarm, Some(near));
    // The far one's, should the clock have run so.
    driver.port.now = now;
    driver.timer_ended(Operation::Alarm);
    assert_eq!(driver.alarm, Some(near), "it has not rung");
    driver.port.now = near;
    driver.timer_ended(Operation::Alarm);
    assert_eq!(driver.alarm, None);
}

#[test]
fn a_wait_ends_when_a_closing_peer_is_looked_at_or_accepting_goes_on() {
    let soon = |driver: &mut Driver<Echoing>| match driver.patience(TICK) {
        EnterWait::Not => Duration::ZERO,
        EnterWait::AtMost(span) => span,
        EnterWait::ForOne | EnterWait::Through(_) => Duration::MAX,
    };
    let (mut driver, _kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    let now = driver.port.now;
    driver.tick = Some(now + Duration::from_secs(3600));
    assert_eq!(soon(&mut driver), Duration::MAX);
    driver.port.close(id, Close::Flush);
    let looks = driver.port.lingering.front().unwrap().at;
    assert!(soon(&mut driver) <= looks.since(now));
    driver.port.lingering.clear();
    assert_eq!(soon(&mut driver), Duration::MAX);
    let port = &mut *driver.port;
    port.acceptor.failed(libc::EMFILE, now, &mut port.counters);
    assert!(soon(&mut driver) < Duration::from_secs(1));
}

/// Nothing may happen for long after it.
#[test]
fn what_follows_from_a_turn_is_told_in_it() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    driver.port.close(id, Close::Abort);
    turn(&mut driver);
    kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
    turn(&mut driver);
    assert_eq!(driver.shard.closed, [(id, CloseCause::Local)]);
}
