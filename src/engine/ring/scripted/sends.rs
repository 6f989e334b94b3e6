//! Sends that fail, entries that wait for room, and answers that come in another order.

use super::*;
use crate::engine::closing::Closing;
use crate::limits;
use crate::shard::Payload;

#[test]
fn an_entry_goes_behind_those_that_were_held_back() {
    let kernel = Scripted::default();
    let mut ring = Ring::new(kernel.clone());
    kernel.0.borrow_mut().refuses = Some(libc::EAGAIN);
    let push = |ring: &mut Ring, number| ring.push(&opcode::Nop::new().build().user_data(number));
    (0..3 * ROOM as u64).for_each(|number| push(&mut ring, number));
    kernel.0.borrow_mut().refuses = None;
    // There is room in the queue again, and some are still held back.
    ring.enter(EnterWait::ForOne).unwrap();
    assert!(kernel.0.borrow().queue.is_empty() && ring.has_entries());
    push(&mut ring, 3 * ROOM as u64);
    while ring.has_entries() {
        ring.enter(EnterWait::ForOne).unwrap();
    }
    let numbers: Vec<u64> = (0..=3 * ROOM as u64).collect();
    assert_eq!(kernel.0.borrow().taken, numbers);
}

#[test]
fn a_refusal_that_no_retry_mends_is_an_error() {
    let kernel = Scripted::default();
    let mut ring = Ring::new(kernel.clone());
    for (errno, mends) in [
        (libc::EINTR, true),
        (libc::ETIME, true),
        (libc::EBADR, false),
    ] {
        kernel.0.borrow_mut().refuses = Some(errno);
        assert_eq!(ring.enter(EnterWait::ForOne).is_ok(), mends, "{errno}");
    }
}

#[test]
fn a_send_that_was_interrupted_is_sent_again_and_one_that_broke_ends_the_connection() {
    for (errno, cause) in [
        (libc::EAGAIN, None),
        (libc::EINTR, None),
        (libc::ECONNRESET, Some(CloseCause::Reset)),
    ] {
        let (mut driver, kernel, _post) = core();
        let id = accept(&mut driver, 4);
        receive(&mut driver, &kernel, id);
        kernel.completes(tag(Operation::Send, id), -errno, 0);
        turn(&mut driver);
        if cause.is_none() {
            assert_eq!(send(&mut driver, id), Send::Waiting, "{errno}");
            assert_eq!(driver.port.slots.backlog(id), 5);
            continue;
        }
        kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
        turn(&mut driver);
        turn(&mut driver);
        let closed: Vec<_> = driver.shard.closed.iter().map(|it| Some(it.1)).collect();
        assert_eq!(closed, [cause]);
        assert_eq!(driver.port.counters.backlog_bytes, 0);
    }
}

/// io_uring(7): completions come in any order.
#[test]
fn what_is_left_for_a_closing_peer_is_told_of_that_peer_in_any_order() {
    let (mut driver, kernel, _post) = core();
    let ids = [4, 5].map(|index| accept(&mut driver, index));
    for id in ids {
        driver.port.close(id, Close::Flush);
    }
    turn(&mut driver);
    driver.port.lingering.clear();
    for id in ids {
        let closing = Closing::new(id, 0, driver.port.now);
        driver.port.querying.push_back(closing);
    }
    let [first, second] = ids.map(|id| tag(Operation::Unacknowledged, id));
    // More than a FIN, and less.
    for (answer, left) in [(second, 9), (first, 1)] {
        kernel.completes(answer, left, 0);
        turn(&mut driver);
    }
    assert!(driver.port.querying.is_empty());
    let lingering: Vec<_> = driver.port.lingering.iter().map(|it| it.id).collect();
    assert_eq!(
        lingering,
        [ids[1]],
        "the first has all, and its close goes on"
    );
}

#[test]
fn the_headers_of_sends_in_pieces_are_used_again_once_the_kernel_has_taken_them() {
    let (mut driver, _kernel, _post) = core();
    let ids = [4, 5].map(|index| accept(&mut driver, index));
    let payload = Payload::new(vec![7; 1000]);
    for _ in 0..5 {
        for id in ids {
            driver.port.share_behind(id, b"head", &payload).unwrap();
        }
        turn(&mut driver);
        assert_eq!(ids.map(|id| send(&mut driver, id)), [Send::Unproven; 2]);
        turn(&mut driver);
        assert_eq!(ids.map(|id| send(&mut driver, id)), [Send::Off; 2]);
    }
    assert_eq!(driver.port.rings.lane(0).vectors.count(), 2);
}

#[test]
fn memory_that_is_given_back_is_that_of_spare_batches_too() {
    let (mut driver, _kernel, _post) = core();
    let id = accept(&mut driver, 4);
    driver.port.send(id, &[7; 5000]).unwrap();
    for _ in 0..2 {
        turn(&mut driver);
    }
    assert_eq!(driver.port.slots.backlog(id), 0);
    assert!(driver.port.pool.kept() >= 5000, "for the next send");
    driver.port.trim_memory();
    assert_eq!(driver.port.pool.kept(), 0);
}

#[test]
fn what_gathers_behind_a_send_that_is_not_proven_yet_follows_it() {
    let (mut driver, kernel, _post) = core();
    let id = accept(&mut driver, 4);
    receive(&mut driver, &kernel, id);
    kernel.0.borrow_mut().overflow = true;
    driver.port.send(id, b"more").unwrap();
    turn(&mut driver);
    assert_eq!(send(&mut driver, id), Send::Unproven);
    assert_eq!(driver.port.slots.backlog(id), 9);
    kernel.0.borrow_mut().overflow = false;
    turn(&mut driver);
    assert_eq!(driver.port.slots.backlog(id), 4);
    turn(&mut driver);
    assert_eq!(driver.port.slots.backlog(id), 0);
}

#[test]
fn nothing_is_asked_about_a_closing_connection_that_is_over() {
    let (mut driver, kernel, _post) = core();
    let ids = [4, 5].map(|index| accept(&mut driver, index));
    kernel.taken();
    for id in ids {
        driver.port.close(id, Close::Flush);
        // Its time to be looked at has come.
        driver.port.lingering.back_mut().unwrap().at = driver.port.now;
    }
    driver.port.abort(ids[0]);
    turn(&mut driver);
    turn(&mut driver);
    let taken = kernel.taken();
    let asked = taken.iter().filter(|&&it| it == Operation::Unacknowledged);
    assert_eq!(asked.count(), 1, "{taken:?}");
}

#[test]
fn who_has_closed_is_not_told_that_its_backlog_is_low() {
    for closes in [false, true] {
        let (mut driver, kernel, _post) = core();
        let id = accept(&mut driver, 4);
        let len = limits::BACKLOG_HIGH + 1;
        driver.port.send(id, &vec![7; len]).unwrap();
        if closes {
            driver.port.close(id, Close::Flush);
        }
        turn(&mut driver);
        kernel.completes(tag(Operation::Send, id), i32::try_from(len).unwrap(), 0);
        turn(&mut driver);
        assert_eq!(driver.port.slots.backlog(id), 0);
        assert_eq!(driver.shard.drained.len(), usize::from(!closes));
    }
}

/// Its place may be another's by then.
#[test]
fn an_abort_of_what_is_being_closed_closes_nothing_twice() {
    let (mut driver, kernel, _post) = core();
    let id = accept(&mut driver, 4);
    driver.port.close(id, Close::Abort);
    turn(&mut driver);
    kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
    turn(&mut driver);
    assert_eq!(driver.port.slots.get(id).unwrap().phase, Phase::Closing);
    driver.port.close(id, Close::Abort);
    for _ in 0..2 {
        turn(&mut driver);
    }
    let closes = kernel
        .taken()
        .into_iter()
        .filter(|it| *it == Operation::Close);
    assert_eq!(closes.count(), 1);
}
