//! Accepts that fail, and cancellations of accepts that miss.

use super::*;
use crate::engine::ring::accept::spare_slots;
use crate::engine::ring::operation::plain;
use std::net::TcpListener;

/// A core with one listener and room for so many.
fn listening(incoming: u32) -> (Driver<Echoing>, Scripted) {
    let kernel = Scripted::default();
    let listeners = Arc::new(vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]);
    let size = Size {
        outgoing: 4,
        incoming,
        table: 4 + incoming + spare_slots(1),
    };
    let (mut driver, _mailboxes) = core_on(&kernel, listeners, (size, incoming));
    turn(&mut driver);
    turn(&mut driver);
    (driver, kernel)
}

fn count(taken: &[Operation], operation: Operation) -> u32 {
    let all = taken.iter().filter(|&&it| it == operation).count();
    u32::try_from(all).unwrap()
}

#[test]
fn an_accept_without_descriptors_or_memory_pauses_and_is_armed_again() {
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS] {
        let (mut driver, kernel) = listening(4);
        assert_eq!(
            count(&kernel.taken(), Operation::AcceptSingle),
            spare_slots(1)
        );
        kernel.completes(plain(Operation::AcceptSingle, 0), -errno, 0);
        turn(&mut driver);
        turn(&mut driver);
        assert_eq!(
            count(&kernel.taken(), Operation::AcceptSingle),
            0,
            "{errno}"
        );
        let counters = driver.port.counters;
        assert_eq!((counters.accept_failures, counters.accept_pauses), (1, 0));
        assert!(driver.port.acceptor.failures.read().contains(&(1, errno)));
        // It need not be woken for this: it says itself when.
        let retry = driver.port.acceptor.deadline().unwrap();
        std::thread::sleep(retry.since(crate::engine::now()));
        turn(&mut driver);
        turn(&mut driver);
        assert_eq!(
            count(&kernel.taken(), Operation::AcceptSingle),
            1,
            "{errno}"
        );
        assert_eq!(driver.port.acceptor.deadline(), None);
        assert_eq!(driver.port.counters.accept_failures, 1);
    }
}

#[test]
fn a_peer_that_left_the_queue_pauses_nothing() {
    let (mut driver, kernel) = listening(4);
    kernel.taken();
    kernel.completes(plain(Operation::AcceptSingle, 0), -libc::ECONNABORTED, 0);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(kernel.taken(), [Operation::AcceptSingle]);
    assert_eq!(driver.port.counters.accept_failures, 0);
}

#[test]
fn a_cancellation_of_accepts_that_missed_is_repeated() {
    let (mut driver, kernel) = listening(orders::roomy());
    assert_eq!(kernel.taken(), [Operation::AcceptMultishot]);
    for index in 4..7 {
        kernel.completes(plain(Operation::AcceptMultishot, 0), index, MORE);
    }
    turn(&mut driver);
    turn(&mut driver);
    for _ in 0..3 {
        assert_eq!(count(&kernel.taken(), Operation::CancelAccept), 1);
        kernel.completes(plain(Operation::CancelAccept, 0), -libc::ENOENT, 0);
        turn(&mut driver);
        turn(&mut driver);
    }
    assert_eq!(count(&kernel.taken(), Operation::CancelAccept), 1);
    kernel.completes(plain(Operation::AcceptMultishot, 0), -libc::ECANCELED, 0);
    kernel.completes(plain(Operation::CancelAccept, 0), 1, 0);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(
        kernel.taken(),
        vec![Operation::AcceptSingle; spare_slots(1) as usize]
    );
}

#[test]
fn an_accept_that_comes_before_the_close_of_its_slot_takes_it() {
    let (mut driver, kernel, _mailboxes) = core();
    let before = accept(&mut driver, 5);
    driver.port.close(before, Close::Abort);
    kernel.completes(tag(Operation::Receive, before), -libc::ECANCELED, 0);
    turn(&mut driver);
    turn(&mut driver);
    let slot = driver.port.slots.get(before).unwrap();
    assert_eq!(slot.phase, Phase::Closing);
    let after = accept(&mut driver, 5);
    kernel.completes(tag(Operation::Close, before), 0, 0);
    turn(&mut driver);
    assert_eq!(driver.port.slots.get(after).unwrap().phase, Phase::Open);
    assert_eq!(driver.shard.closed, [(before, CloseCause::Local)]);
}

/// The kernel had it before it was told to stop.
#[test]
fn what_is_accepted_after_accepting_was_stopped_is_let_go_unopened() {
    let (mut driver, kernel) = listening(4);
    driver.port.stop_accepting();
    kernel.taken();
    kernel.completes(plain(Operation::AcceptSingle, 0), 5, 0);
    turn(&mut driver);
    turn(&mut driver);
    let taken = kernel.taken();
    assert_eq!(count(&taken, Operation::ResetOnClose), 1, "{taken:?}");
    assert_eq!(count(&taken, Operation::Close), 1);
    assert_eq!(driver.shard.opened, []);
    assert_eq!(driver.shard.closed, [], "of what was never opened");
}

/// It did not find what was on its way to where it looks.
#[test]
fn a_core_that_ends_cancels_again_while_the_kernel_holds_something() {
    let (mut driver, kernel) = listening(orders::roomy());
    assert_eq!(kernel.taken(), [Operation::AcceptMultishot]);
    driver.timers = 0;
    kernel.completes(plain(Operation::CancelRest, 0), -libc::ENOENT, 0);
    kernel.completes(plain(Operation::AcceptMultishot, 0), -libc::ECANCELED, 0);
    driver.finish();
    let script = kernel.0.borrow();
    let all = script
        .taken
        .iter()
        .chain(script.queue.iter().map(|it| &it.0));
    let cancels = all.filter(|&&it| it == plain(Operation::CancelRest, 0));
    assert_eq!(cancels.count(), 2);
}

/// Timers that end meanwhile are no other connection's.
#[test]
fn accepts_in_quick_succession_are_left_to_queue() {
    let (mut driver, kernel) = listening(4);
    // A crowded host may be slow for a while.
    let is_active = (0..2_000).any(|_| {
        driver.timers += 2;
        for timer in [Operation::Tick, Operation::Alarm] {
            kernel.completes(plain(timer, 0), 0, 0);
        }
        kernel.completes(plain(Operation::AcceptSingle, 0), 4, 0);
        turn(&mut driver);
        let id = driver.shard.opened.pop().unwrap();
        let slot = driver.port.slots.get(id).unwrap();
        (slot.phase, slot.receive) = (Phase::Closing, Receive::Off);
        driver.accept_coalescer.is_active()
    });
    assert!(is_active);
}
