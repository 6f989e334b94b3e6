//! Connections that fill their buffers: to large ones and back, and what may happen meanwhile.

use super::*;
use crate::limits;

/// So many bytes of a byte come into a buffer of that kind.
pub(super) fn fill(
    driver: &mut Driver<Echoing>,
    kernel: &Scripted,
    id: ConnectionId,
    (group, len): (Group, u32),
) {
    let bytes = driver.buffers[0].of(group).bytes(1, len as usize);
    bytes.fill(b'a' + u8::try_from(len % 26).unwrap());
    let more = if group == Group::Small { MORE } else { 0 };
    let operation = group.operation();
    kernel.completes(
        tag(operation, id),
        len.cast_signed(),
        1 << 16 | BUFFER | more,
    );
    turn(driver);
}

/// A connection whose receive takes large buffers.
pub(super) fn large(driver: &mut Driver<Echoing>, kernel: &Scripted) -> ConnectionId {
    let id = outgrown(driver, kernel);
    kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
    turn(driver);
    turn(driver);
    assert_eq!(last(kernel), [Operation::ReceiveLarge]);
    id
}

/// A connection that has filled its small buffers: the cancellation of their receive is under way.
fn outgrown(driver: &mut Driver<Echoing>, kernel: &Scripted) -> ConnectionId {
    let id = accept(driver, 4);
    kernel.taken();
    fill(driver, kernel, id, (Group::Small, SMALL.1));
    turn(driver);
    assert_eq!(last(kernel), [], "one full buffer says nothing yet");
    fill(driver, kernel, id, (Group::Small, SMALL.1));
    turn(driver);
    assert_eq!(last(kernel), [Operation::CancelReceive]);
    id
}

/// What the kernel has taken of late, sends left out.
pub(super) fn last(kernel: &Scripted) -> Vec<Operation> {
    let mut taken = kernel.taken();
    taken.retain(|it| *it != Operation::Send);
    taken
}

/// What a cancellation is for.
pub(super) fn target(entry: &squeue::Entry) -> u64 {
    let target = std::ptr::from_ref(entry).cast::<u8>().wrapping_add(16);
    // SAFETY: an entry is an io_uring_sqe, of which bytes 16 to 24 are `addr`: the number of what
    // is to be cancelled (io_uring_enter(2), IORING_OP_ASYNC_CANCEL).
    unsafe { target.cast::<u64>().read_unaligned() }
}

/// The bytes of a send.
pub(super) fn length(entry: &squeue::Entry) -> usize {
    let length = std::ptr::from_ref(entry).cast::<u8>().wrapping_add(24);
    // SAFETY: an entry is an io_uring_sqe, of which bytes 24 to 28 are `len`.
    unsafe { length.cast::<u32>().read_unaligned() as usize }
}

fn receive_of(driver: &mut Driver<Echoing>, id: ConnectionId) -> Receive {
    driver.port.slots.get(id).unwrap().receive
}

#[test]
fn a_connection_that_fills_its_buffers_moves_to_large_ones_and_back_when_little_comes() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = large(&mut driver, &kernel);
    fill(&mut driver, &kernel, id, (Group::Large, LARGE.1));
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::ReceiveLarge], "one at a time");
    let mut smalls = 0;
    loop {
        fill(&mut driver, &kernel, id, (Group::Large, 3));
        turn(&mut driver);
        smalls += 1;
        match last(&kernel)[..] {
            [Operation::ReceiveLarge] => assert!(smalls < 64, "it never moves back"),
            [Operation::Receive] => break,
            ref other => panic!("{other:?}"),
        }
    }
    assert!(smalls > 1, "one small receive says nothing yet");
    let bytes = 2 * SMALL.1 + LARGE.1 + 3 * smalls;
    assert_eq!(driver.port.counters.bytes_in, u64::from(bytes));
    assert_eq!(
        driver.port.counters.bytes_out,
        u64::from(bytes),
        "all of it was echoed"
    );
}

#[test]
fn bytes_that_come_before_the_receive_is_cancelled_are_told_in_order() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = outgrown(&mut driver, &kernel);
    // It is missed, and bytes come into a small buffer, then it ends with some.
    kernel.completes(tag(Operation::CancelReceive, id), -libc::ENOENT, 0);
    fill(&mut driver, &kernel, id, (Group::Small, SMALL.1));
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::CancelReceive], "again");
    kernel.completes(tag(Operation::Receive, id), 7, BUFFER);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::ReceiveLarge]);
    assert_eq!(driver.port.counters.bytes_in, u64::from(3 * SMALL.1 + 7));
    // The second cancellation finds nothing: it was for a receive that is over.
    kernel.completes(tag(Operation::CancelReceive, id), -libc::ENOENT, 0);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), []);
    assert_eq!(receive_of(&mut driver, id), Receive::Armed);
}

#[test]
fn a_receive_without_buffers_is_armed_again() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    kernel.completes(tag(Operation::Receive, id), -libc::ENOBUFS, 0);
    kernel.taken();
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(kernel.taken(), [Operation::Receive]);
    assert_eq!(driver.port.counters.starved, 1);
}

#[test]
fn a_receive_without_a_large_buffer_is_armed_again_and_no_more_than_there_are() {
    let (mut driver, kernel, _mailboxes) = core();
    let ids = [4, 5, 6].map(|index| {
        let id = accept(&mut driver, index);
        for _ in 0..2 {
            fill(&mut driver, &kernel, id, (Group::Small, SMALL.1));
        }
        turn(&mut driver);
        kernel.completes(tag(Operation::Receive, id), -libc::ECANCELED, 0);
        turn(&mut driver);
        turn(&mut driver);
        id
    });
    kernel.taken();
    for id in ids {
        kernel.completes(tag(Operation::ReceiveLarge, id), -libc::ENOBUFS, 0);
    }
    turn(&mut driver);
    assert_eq!(driver.port.counters.starved, 3);
    let mut armed = Vec::new();
    for _ in 0..3 {
        turn(&mut driver);
        armed.push(last(&kernel).len());
    }
    assert_eq!(armed.iter().sum::<usize>(), 3, "{armed:?}");
    assert!(
        armed.iter().all(|&it| it <= usize::from(LARGE.0)),
        "{armed:?}"
    );
}

#[test]
fn a_close_while_buffers_are_changed_ends_as_any_other() {
    for ends in [-libc::ECANCELED, -libc::ENOBUFS, 0] {
        let (mut driver, kernel, _mailboxes) = core();
        let id = outgrown(&mut driver, &kernel);
        driver.port.close(id, Close::Abort);
        turn(&mut driver);
        kernel.completes(tag(Operation::Receive, id), ends, 0);
        for _ in 0..3 {
            turn(&mut driver);
        }
        let taken = last(&kernel);
        assert!(!taken.contains(&Operation::ReceiveLarge), "{taken:?}");
        assert_eq!(
            taken.iter().filter(|&&it| it == Operation::Close).count(),
            1
        );
        assert_eq!(driver.shard.closed, [(id, CloseCause::Local)]);
    }
}

#[test]
fn a_large_receive_is_cancelled_by_its_own_name_and_not_armed_while_paused() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = large(&mut driver, &kernel);
    driver.port.pause(id);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::CancelReceive]);
    assert_eq!(
        kernel.0.borrow().cancelled,
        Some(tag(Operation::ReceiveLarge, id))
    );
    kernel.completes(tag(Operation::ReceiveLarge, id), -libc::ECANCELED, 0);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), []);
    driver.port.resume(id);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(last(&kernel), [Operation::ReceiveLarge]);
}

#[test]
fn a_turn_sends_a_bounded_part_of_a_large_backlog() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = accept(&mut driver, 4);
    let len = 2 * limits::SEND_BYTES + 7;
    driver.port.send(id, &vec![b'x'; len]).unwrap();
    let mut left = len;
    for part in [limits::SEND_BYTES, limits::SEND_BYTES, 7] {
        turn(&mut driver);
        turn(&mut driver);
        assert_eq!(send(&mut driver, id), Send::Waiting);
        assert_eq!(kernel.0.borrow().sent, Some(part));
        kernel.completes(tag(Operation::Send, id), i32::try_from(part).unwrap(), 0);
        turn(&mut driver);
        left -= part;
        assert_eq!(driver.port.slots.backlog(id), left);
    }
}

/// What the kernel has put there and nobody has looked at would be lost.
#[test]
fn large_buffers_are_given_back_once_all_that_came_was_looked_at() {
    let (mut driver, kernel, _mailboxes) = core();
    let id = large(&mut driver, &kernel);
    driver.buffers[0]
        .large
        .bytes(1, 5)
        .copy_from_slice(b"hello");
    kernel.completes(tag(Operation::ReceiveLarge, id), 5, 1 << 16 | BUFFER);
    driver.port.trims = true;
    driver.trim_large_buffers();
    assert_eq!(driver.buffers[0].large.bytes(1, 5), b"hello");
    // Once nothing is on its way to the kernel either.
    for _ in 0..3 {
        turn(&mut driver);
    }
    assert!(!driver.port.trims, "once");
    assert_eq!(driver.buffers[0].large.bytes(1, 5), [0; 5]);
}
