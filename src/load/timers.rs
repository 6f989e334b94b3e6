//! What is to happen at a time: the earliest first, and of one time in the order of setting.

use crate::time::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Timers of a core, to the nanosecond. Nothing is allocated once the heap is as long as there are
/// clients.
#[derive(Debug)]
pub(super) struct TimerQueue<T> {
    heap: BinaryHeap<Entry<T>>,
    serial: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    serial: u64,
    timer: T,
}

impl<T> TimerQueue<T> {
    /// Sets a timer.
    pub(super) fn set(&mut self, at: Instant, timer: T) {
        let serial = self.serial;
        self.serial += 1;
        self.heap.push(Entry { at, serial, timer });
    }

    /// The next timer that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<T> {
        if self.heap.peek()?.at > now {
            return None;
        }
        Some(self.heap.pop()?.timer)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.heap = BinaryHeap::new();
    }

    /// When the next one is due.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }
}

impl<T> Default for TimerQueue<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            serial: 0,
        }
    }
}

impl<T> Entry<T> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.serial)
    }
}

// The heap gives the greatest first: the earliest is to be that.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_times_and_then_of_their_setting() {
        let mut timers = TimerQueue::default();
        for (name, at) in (0..).zip([30, 10, 20, 10]) {
            timers.set(Instant::from_nanos(at), name);
        }
        assert_eq!(timers.next(), Some(Instant::from_nanos(10)));
        assert!(timers.due(Instant::from_nanos(9)).is_none());
        let mut order = Vec::new();
        while let Some(name) = timers.due(Instant::from_nanos(25)) {
            order.push(name);
        }
        assert_eq!(order, [1, 3, 2]);
        assert_eq!(timers.next(), Some(Instant::from_nanos(30)));
        timers.clear();
        assert_eq!(timers.next(), None);
    }
}
