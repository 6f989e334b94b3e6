//! What clients have set themselves to do later: by time, then in the order of setting.

use super::attempt::Attempt;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What to do then.
#[derive(Debug)]
pub(super) enum Timer {
    /// The client has thought: it sends.
    Speak(ConnectionId),
    /// Somebody connects again.
    Connect(Attempt),
    /// The session's time is over.
    Leave(ConnectionId),
    /// The session's closing handshake has taken long enough.
    Vanish(ConnectionId),
    /// A connection for posts may have waited too long: for the server, or for an answer.
    AwaitPost(ConnectionId),
}

#[derive(Debug)]
struct Alarm {
    at: Instant,
    serial: u64,
    errand: Timer,
}

/// All errands of a core, to the nanosecond. A client has few, so the heap is as long as the
/// fleet at most, and nothing is allocated once it is.
#[derive(Debug, Default)]
pub(super) struct TimerQueue {
    heap: BinaryHeap<Alarm>,
    serial: u64,
}

impl TimerQueue {
    /// Sets one.
    pub(super) fn set(&mut self, at: Instant, errand: Timer) {
        let serial = self.serial;
        self.serial += 1;
        self.heap.push(Alarm { at, serial, errand });
    }

    /// The next errand that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Timer> {
        if self.heap.peek()?.at > now {
            return None;
        }
        Some(self.heap.pop()?.errand)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.heap = BinaryHeap::new();
    }

    /// When the next one is due.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|alarm| alarm.at)
    }
}

impl Alarm {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.serial)
    }
}

// The heap gives the greatest first: the earliest is to be that.
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Alarm {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_come_in_the_order_of_their_times_and_then_of_their_setting() {
        let mut alarms = TimerQueue::default();
        let times = [30, 10, 20, 10];
        for (slot, at) in (0..).zip(times) {
            let errand = Timer::Speak(ConnectionId::new(slot, 0));
            alarms.set(Instant::from_nanos(at), errand);
        }
        assert_eq!(alarms.next(), Some(Instant::from_nanos(10)));
        assert!(alarms.due(Instant::from_nanos(9)).is_none());
        let mut order = Vec::new();
        while let Some(Timer::Speak(id)) = alarms.due(Instant::from_nanos(25)) {
            order.push(id.slot());
        }
        assert_eq!(order, [1, 3, 2]);
        assert_eq!(alarms.next(), Some(Instant::from_nanos(30)));
    }
}
