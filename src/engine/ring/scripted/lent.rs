//! Receives into buffers of the shard: when they are armed, and that each buffer comes back.

use super::echo::LENT;
use super::large::{fill, large, last};
use super::*;
use crate::limits;

/// A connection whose receive fills a buffer of the shard.
fn lent(driver: &mut Driver<Echoing>, kernel: &Scripted) -> ConnectionId {
    let id = large(driver, kernel);
    driver.shard.lends = 1;
    fill(driver, kernel, id, (Group::Large, LARGE.1));
    turn(driver);
    assert_eq!(last(kernel), [Operation::ReceiveInto]);
    assert!(driver.port.lent.holds(id));
    id
}

/// The receive into that buffer ends so.
fn ends(driver: &mut Driver<Echoing>, kernel: &Scripted, id: ConnectionId, result: i32) {
    kernel.completes(tag(Operation::ReceiveInto, id), result, 0);
    turn(driver);
    turn(driver);
}

#[test]
fn what_was_received_into_a_buffer_of_the_shard_is_told_and_the_next_is_armed_at_once() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = lent(&mut driver, &kernel);
    let before = driver.port.counters.bytes_in;
    ends(&mut driver, &kernel, id, 9);
    assert_eq!(last(&kernel), [Operation::ReceiveInto]);
    driver.shard.lends = 0;
    ends(&mut driver, &kernel, id, i32::try_from(LENT).unwrap());
    assert_eq!(last(&kernel), [Operation::ReceiveLarge]);
    assert_eq!(driver.port.counters.bytes_in, before + 9 + LENT as u64);
    assert_eq!(
        driver.port.counters.bytes_in, driver.port.counters.bytes_out,
        "all of it was echoed"
    );
}

#[test]
fn a_pause_cancels_it_by_its_own_name_and_the_buffer_comes_back_empty() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = lent(&mut driver, &kernel);
    driver.port.pause(id);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::CancelReceive]);
    assert_eq!(
        kernel.0.borrow().cancelled,
        Some(tag(Operation::ReceiveInto, id))
    );
    ends(&mut driver, &kernel, id, -libc::ECANCELED);
    assert_eq!(last(&kernel), []);
    assert!(driver.port.lent.is_empty());
    driver.port.resume(id);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::ReceiveInto]);
}

#[test]
fn the_kernel_has_the_buffer_until_the_receive_of_a_closed_connection_is_over() {
    for result in [-libc::ECANCELED, 9, 0, -libc::ECONNRESET] {
        let (mut driver, kernel, _mailboxes) = core();
        let id = lent(&mut driver, &kernel);
        let echoed = driver.port.counters.bytes_out;
        driver.port.close(id, Close::Abort);
        turn(&mut driver);
        turn(&mut driver);
        assert!(driver.port.lent.holds(id), "it may be written to");
        let taken = last(&kernel);
        assert!(!taken.contains(&Operation::Close), "{taken:?}");
        ends(&mut driver, &kernel, id, result);
        assert!(driver.port.lent.is_empty());
        assert_eq!(driver.shard.closed, [(id, CloseCause::Local)]);
        assert_eq!(driver.port.counters.bytes_out, echoed, "nobody is told");
    }
}

/// It may hold a megabyte, which the shard does not count any more.
#[test]
fn a_connection_that_leaves_with_what_is_queued_gives_its_buffer_back_at_once() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = lent(&mut driver, &kernel);
    let echoed = driver.port.counters.bytes_out;
    driver.port.close(id, Close::Flush);
    turn(&mut driver);
    turn(&mut driver);
    let taken = last(&kernel);
    assert!(taken.contains(&Operation::CancelReceive), "{taken:?}");
    assert_eq!(
        kernel.0.borrow().cancelled,
        Some(tag(Operation::ReceiveInto, id))
    );
    ends(&mut driver, &kernel, id, -libc::ECANCELED);
    assert!(driver.port.lent.is_empty());
    assert_eq!(
        last(&kernel),
        [Operation::ReceiveLarge],
        "what still comes is thrown away"
    );
    assert_eq!(driver.port.counters.bytes_out, echoed);
}

#[test]
fn the_end_of_a_stream_comes_after_the_buffer() {
    for (result, cause) in [
        (0, CloseCause::PeerEnded),
        (-libc::ECONNRESET, CloseCause::Reset),
    ] {
        let (mut driver, kernel, _mailboxes) = core();
        let id = lent(&mut driver, &kernel);
        ends(&mut driver, &kernel, id, result);
        assert!(driver.port.lent.is_empty());
        turn(&mut driver);
        kernel.completes(tag(Operation::Shutdown, id), 0, 0);
        turn(&mut driver);
        turn(&mut driver);
        assert_eq!(driver.shard.closed, [(id, cause)]);
    }
}

#[test]
fn a_turn_arms_no_more_large_receives_than_its_share_but_one_at_least() {
    let (mut driver, kernel, _mailboxes) = core();
    let ids = [4, 5, 6].map(|index| accept(&mut driver, index));
    for id in ids {
        driver.port.slots.get(id).unwrap().receive = Receive::Queued;
        driver.port.rings.lane(0).queued(Group::Large).push_back(id);
    }
    driver.shard.lends = 1;
    kernel.taken();
    for (room, armed) in [(LENT + 1, 2), (0, 1)] {
        driver.port.lent.room = room;
        driver.arm_queued_large(0);
        let lent = ids.iter().filter(|&&id| driver.port.lent.holds(id)).count();
        assert_eq!(lent, armed + usize::from(room == 0) * 2, "{room} bytes");
        assert_eq!(driver.port.lent.room, limits::RECEIVE_TURN_BYTES);
    }
}
