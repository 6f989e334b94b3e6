//! Which accepts are armed where: on several listeners, in several rings, at every fullness.

use super::*;
use crate::engine::Listeners;
use crate::engine::ring::accept::{spare_slots, take_down};
use crate::limits;
use std::net::TcpListener;

/// What accepts of one core need, and the kernels of its rings.
struct Rig {
    acceptor: Acceptor,
    rings: Rings,
    kernels: Vec<Scripted>,
    slots: Slots,
    now: Instant,
    counters: Counters,
}

impl Rig {
    /// So many rings, listeners, and places for connections in each ring's table.
    fn new(rings: usize, listeners: usize, incoming: u32) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let all = (0..listeners).map(|_| listen().into()).collect();
        let kernels: Vec<Scripted> = (0..rings).map(|_| Scripted::default()).collect();
        let size = Size {
            outgoing: 0,
            incoming,
            table: incoming + spare_slots(listeners),
        };
        let mut rig = Self {
            acceptor: Acceptor::new(Arc::new(all), rings),
            rings: Rings::new(kernels.iter().cloned().map(Ring::new).collect(), size.table),
            kernels,
            slots: Slots::new(rings, size, u32::MAX),
            now: Instant::from_nanos(1_000_000_000),
            counters: Counters::default(),
        };
        rig.settle();
        rig
    }

    /// A turn ends, and the kernels take what was asked for.
    fn settle(&mut self) {
        let Self {
            acceptor,
            rings,
            slots,
            now,
            counters,
            ..
        } = self;
        acceptor.settle(rings, slots, *now, counters);
        for ring in 0..rings.count() {
            let ring = &mut rings.lane(ring).ring;
            while ring.has_entries() {
                ring.enter(EnterWait::Not).unwrap();
            }
        }
    }

    /// What a ring has been asked for since the last look, by listener: how often.
    fn asked(&self, ring: usize, operation: Operation) -> Vec<usize> {
        let script = &mut *self.kernels[ring].0.borrow_mut();
        let mut asked = Vec::new();
        script.taken.retain(|entry| match untag(*entry) {
            Some((it, id)) if it == operation => {
                asked.resize(asked.len().max(id.slot() + 1), 0);
                asked[id.slot()] += 1;
                false
            }
            _ => true,
        });
        asked
    }

    /// A connection comes in that ring, by a single accept or a multishot one.
    fn accepts(&mut self, ring: usize, operation: Operation, index: u32) -> ConnectionId {
        let more = operation == Operation::AcceptMultishot;
        self.acceptor.completed(operation, ring, 0, more);
        self.slots.accepted(ring, index)
    }

    /// All single accepts of a ring's only listener end, cancelled.
    fn singles_end(&mut self, ring: usize, count: u32) {
        for _ in 0..count {
            self.acceptor
                .completed(Operation::AcceptSingle, ring, 0, false);
        }
    }

    /// Nothing is asked for that nobody looked at.
    fn assert_quiet(&self) {
        for kernel in &self.kernels {
            assert_eq!(kernel.taken(), []);
        }
    }
}

const SINGLE: Operation = Operation::AcceptSingle;
const MANY: Operation = Operation::AcceptMultishot;
const CANCEL: Operation = Operation::CancelAccept;
/// Single accepts of an only listener.
const ALL: u32 = limits::TABLE_ACCEPTS;

#[test]
fn each_listener_has_the_same_share_of_the_spare_slots_and_at_least_one() {
    let spare = [1, 2, 3, 64, 100].map(spare_slots);
    assert_eq!(spare, [64, 64, 63, 64, 100]);
    let mut rig = Rig::new(1, 3, 10);
    assert_eq!(rig.asked(0, SINGLE), [21, 21, 21]);
    rig.acceptor.completed(SINGLE, 0, 1, false);
    rig.acceptor.completed(SINGLE, 0, 1, false);
    rig.settle();
    assert_eq!(rig.asked(0, SINGLE), [0, 2], "whose accepts were used up");
    rig.settle();
    rig.assert_quiet();
}

#[test]
fn many_are_accepted_with_one_entry_while_a_whole_queue_of_each_listener_fits() {
    let queue = orders::roomy() - 2;
    let mut rig = Rig::new(1, 2, 2 * queue + 1);
    assert_eq!(rig.asked(0, MANY), [1, 1]);
    rig.assert_quiet();
    rig.accepts(0, MANY, 0);
    rig.settle();
    assert_eq!(rig.asked(0, CANCEL), [1, 1]);
    rig.settle();
    rig.assert_quiet();
    // The first to end waits for the second: no single accept is armed beside a multishot one.
    rig.acceptor.completed(MANY, 0, 0, false);
    rig.settle();
    rig.assert_quiet();
    rig.acceptor.completed(MANY, 0, 1, false);
    rig.settle();
    assert_eq!(rig.asked(0, SINGLE), [32, 32]);
    // What the cancellations came to is told later.
    rig.acceptor.cancelled(0, 0);
    rig.acceptor.cancelled(0, 1);
    rig.settle();
    rig.assert_quiet();
}

#[test]
fn a_multishot_accept_that_ended_by_itself_is_armed_again() {
    let mut rig = Rig::new(1, 2, 2 * orders::roomy());
    assert_eq!(rig.asked(0, MANY), [1, 1]);
    rig.acceptor.completed(MANY, 0, 1, false);
    rig.settle();
    assert_eq!(rig.asked(0, MANY), [0, 1]);
    rig.assert_quiet();
}

#[test]
fn the_ring_that_accepts_goes_on_until_it_is_full_and_then_the_roomiest_does() {
    let mut rig = Rig::new(3, 1, 3);
    assert_eq!(rig.asked(2, SINGLE), [64]);
    for index in [0, 1] {
        rig.accepts(2, SINGLE, index);
        rig.settle();
        assert_eq!(rig.asked(2, SINGLE), [1], "though others have more room");
    }
    rig.slots.accepted(0, 0);
    let last = rig.accepts(2, SINGLE, 2);
    rig.settle();
    assert_eq!(rig.asked(2, CANCEL), [1]);
    rig.assert_quiet();
    // It has room again before its accepts have ended: no more are armed beside what is being
    // cancelled.
    rig.slots.release(last);
    rig.acceptor.look_again();
    rig.settle();
    rig.assert_quiet();
    rig.singles_end(2, ALL - 2);
    rig.settle();
    rig.assert_quiet();
    rig.singles_end(2, 1);
    rig.settle();
    assert_eq!(rig.asked(1, SINGLE), [64]);
    rig.assert_quiet();
}

#[test]
fn a_full_table_is_counted_when_it_fills_and_keeps_its_accepts() {
    let mut rig = Rig::new(1, 1, 2);
    assert_eq!(rig.asked(0, SINGLE), [64]);
    let first = rig.accepts(0, SINGLE, 0);
    rig.settle();
    assert_eq!(rig.counters.accept_pauses, 0);
    rig.asked(0, SINGLE);
    rig.accepts(0, SINGLE, 1);
    for _ in 0..2 {
        rig.acceptor.look_again();
        rig.settle();
        assert_eq!(rig.counters.accept_pauses, 1, "once each time");
        rig.assert_quiet();
    }
    rig.slots.release(first);
    rig.acceptor.look_again();
    rig.settle();
    assert_eq!(rig.asked(0, SINGLE), [1]);
    let second = rig.accepts(0, SINGLE, 0);
    rig.settle();
    assert_eq!(rig.counters.accept_pauses, 2);
    // That it does not accept when it was told to stop is no shortage.
    rig.slots.release(second);
    rig.acceptor.stop();
    rig.settle();
    rig.accepts(0, SINGLE, 0);
    rig.settle();
    assert_eq!(rig.counters.accept_pauses, 2);
}

#[test]
fn nothing_is_looked_at_before_something_has_changed() {
    let mut rig = Rig::new(1, 1, 2);
    rig.asked(0, SINGLE);
    rig.slots.accepted(0, 0);
    rig.slots.accepted(0, 1);
    rig.settle();
    assert_eq!(rig.counters.accept_pauses, 0);
    rig.acceptor.look_again();
    rig.settle();
    assert_eq!(rig.counters.accept_pauses, 1);
}

#[test]
fn accepting_that_was_stopped_closes_its_listeners_once_the_kernel_has_let_go() {
    let listeners = Arc::new(vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]);
    let held = Arc::downgrade(&listeners);
    let mut rig = Rig::new(1, 1, 2);
    rig.acceptor = Acceptor::new(listeners, 1);
    rig.settle();
    rig.asked(0, SINGLE);
    rig.acceptor.stop();
    assert!(rig.acceptor.is_shut());
    rig.settle();
    assert_eq!(rig.asked(0, CANCEL), [1]);
    rig.singles_end(0, ALL - 1);
    rig.settle();
    assert!(rig.acceptor.is_held() && held.upgrade().is_some());
    rig.singles_end(0, 1);
    rig.settle();
    assert!(!rig.acceptor.is_held() && held.upgrade().is_none());
    rig.acceptor.look_again();
    rig.settle();
    rig.assert_quiet();
}

#[test]
fn accepts_are_armed_anew_while_another_process_accepts_too_and_once_more_then() {
    let all = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let handover = all.handover().clone();
    let listeners = Arc::new(all.into_cores().remove(0));
    let mut rig = Rig::new(1, 1, 100_000);
    rig.acceptor = Acceptor::new(listeners, 1);
    rig.settle();
    rig.asked(0, MANY);
    assert_eq!(rig.acceptor.deadline(), None);
    handover.begin();
    rig.settle();
    for is_last in [false, true] {
        let at = rig.acceptor.deadline().expect("a time");
        assert_eq!(at.since(rig.now), Duration::from_millis(100));
        if is_last {
            handover.end();
        }
        rig.settle();
        rig.assert_quiet();
        rig.now = at;
        rig.settle();
        assert_eq!(rig.asked(0, CANCEL), [1]);
        rig.acceptor.completed(MANY, 0, 0, false);
        rig.acceptor.cancelled(0, 0);
        rig.settle();
        assert_eq!(rig.asked(0, MANY), [1]);
    }
    assert_eq!(rig.acceptor.deadline(), None);
}

#[test]
fn who_is_accepted_late_is_let_in_if_another_process_goes_on() {
    let all = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let handover = all.handover().clone();
    let listeners = Arc::new(all.into_cores().remove(0));
    let mut acceptor = Acceptor::new(Arc::clone(&listeners), 1);
    handover.begin();
    acceptor.stop();
    assert!(!acceptor.is_shut());
    // Nor is its socket, should this core fail: it is the other one's, too.
    take_down(&Arc::downgrade(&listeners));
    let address = listeners[0].tcp().unwrap().local_addr().unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    handover.end();
    assert!(acceptor.is_shut());
    take_down(&Arc::downgrade(&listeners));
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn accepting_that_failed_rests_for_its_time_and_no_longer() {
    let mut rig = Rig::new(1, 1, 2);
    rig.asked(0, SINGLE);
    rig.acceptor.completed(SINGLE, 0, 0, false);
    rig.acceptor
        .failed(libc::EMFILE, rig.now, &mut rig.counters);
    let retry = rig.acceptor.deadline().unwrap();
    assert_eq!(retry.since(rig.now), Duration::from_millis(100));
    rig.settle();
    rig.assert_quiet();
    for (at, asked) in [(retry - Duration::from_nanos(1), 0), (retry, 1)] {
        rig.now = at;
        rig.acceptor.look_again();
        rig.settle();
        let all: usize = rig.asked(0, SINGLE).iter().sum();
        assert_eq!(all, asked);
    }
    assert_eq!(rig.acceptor.deadline(), None);
    assert_eq!(rig.counters.accept_failures, 1);
    for harmless in [libc::ECANCELED, libc::ECONNABORTED, libc::ETIMEDOUT] {
        rig.acceptor.failed(harmless, rig.now, &mut rig.counters);
    }
    assert_eq!(rig.acceptor.deadline(), None);
    assert_eq!(rig.counters.accept_failures, 1);
}
