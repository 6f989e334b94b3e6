//! Heartbeats of the event streams of applications that the server keeps no list for: the slots of
//! the core's connections have their turn one after the other.

use super::spread::Spread;
use crate::time::Instant;
use std::ops::Range;
use std::time::Duration;

/// How far the round of heartbeats is.
pub(super) struct Heartbeat {
    /// When some of them last got one.
    at: Instant,
    /// The slot that is next.
    slot: usize,
    streams: u32,
}

impl Heartbeat {
    /// None yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            at: now,
            slot: 0,
            streams: 0,
        }
    }

    /// One more event stream.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.streams == 0 {
            (self.at, self.slot) = (now, 0);
        }
        self.streams += 1;
    }

    /// One event stream less.
    pub(super) const fn end(&mut self) {
        self.streams -= 1;
    }

    /// Takes a step if one is due, among so many slots, each of which has its turn once in
    /// `every`: whose turn it is.
    pub(super) fn step(
        &mut self,
        slots: usize,
        every: Duration,
        now: Instant,
    ) -> Option<Range<usize>> {
        self.due(slots, every).filter(|at| *at <= now)?;
        let end = self.slot + Spread::new(slots, every).each;
        let begin = std::mem::replace(&mut self.slot, if end < slots { end } else { 0 });
        self.at = now;
        Some(begin..end)
    }

    /// When the next step is due, among so many slots.
    pub(super) fn due(&self, slots: usize, every: Duration) -> Option<Instant> {
        (self.streams > 0).then(|| self.at + Spread::new(slots, every).gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_its_turn_once_in_a_round_and_none_without_a_stream() {
        let every = Duration::from_secs(15);
        let slots = 1000;
        let mut heartbeat = Heartbeat::new(Instant::default());
        assert_eq!(heartbeat.due(slots, every), None);
        heartbeat.begin(Instant::default());
        let mut turns = vec![0; slots];
        let end = Instant::default() + every;
        while let Some(at) = heartbeat.due(slots, every).filter(|at| *at <= end) {
            assert_eq!(
                heartbeat.step(slots, every, at - Duration::from_nanos(1)),
                None
            );
            let turn = heartbeat.step(slots, every, at).expect("it is due");
            let its = turns.iter_mut().skip(turn.start).take(turn.len());
            its.for_each(|turns| *turns += 1);
        }
        assert_eq!(turns, vec![1; slots]);
        heartbeat.end();
        assert_eq!(heartbeat.due(slots, every), None);
    }
}
