//! Deadlines of very many connections: a hashed timer wheel with one entry per connection.
//!
//! Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6, without rounds:
//! a deadline beyond the horizon waits in the farthest bucket and comes due early. That is no harm
//! here, because an entry is only a reminder: whoever is due looks up the real deadline and
//! schedules again if that has moved. So activity on a connection costs nothing, and a quiet
//! connection is touched once per time-out.
//!
//! Entries are linked through one array that is indexed by connection slot: 12 bytes a connection,
//! nothing is allocated per entry, and a slot that is reused moves its entry instead of leaving
//! an old one behind.

#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

use crate::shard::ConnectionId;
use crate::time::Instant;
use std::time::Duration;

/// Buckets of a wheel; with the tick they give the horizon.
const BUCKETS: u64 = 2048;
/// Occupancy bits in a word.
const WORD: u64 = 64;
/// The end of a bucket's list.
const END: u32 = u32::MAX;
/// `Entry::before` of an entry that is in no bucket.
const LOOSE: u32 = u32::MAX;
/// Set in `Entry::before` when it names the bucket whose first entry this is.
const FIRST: u32 = 1 << 31;

const _: () = assert!(BUCKETS.is_multiple_of(WORD) && BUCKETS < FIRST as u64);
const _: () = assert!(
    size_of::<Entry>() == 12,
    "memory per idle connection is a headline"
);

/// Deadlines of the connections of one core, to within one tick.
#[derive(Debug)]
pub struct Wheel {
    tick_ns: u64,
    /// Every tick up to and including this one has been expired.
    expired: u64,
    /// No entry is due before this tick; `u64::MAX` if there is none.
    earliest: u64,
    first: Box<[u32]>,
    occupied: Box<[u64]>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    generation: u32,
    /// The slot before this one in its bucket, or the bucket with `FIRST`, or `LOOSE`.
    before: u32,
    /// The slot after this one, or `END`.
    after: u32,
}

const VACANT: Entry = Entry {
    generation: 0,
    before: LOOSE,
    after: END,
};

impl Wheel {
    /// An empty wheel that rounds deadlines up to a multiple of `tick`, which is at least 1 ns.
    /// Its horizon is 2,047 ticks.
    #[must_use]
    pub fn new(now: Instant, tick: Duration) -> Self {
        let tick_ns = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            tick_ns,
            expired: now.as_nanos() / tick_ns,
            earliest: u64::MAX,
            first: vec![END; index(BUCKETS)].into_boxed_slice(),
            occupied: vec![0; index(BUCKETS / WORD)].into_boxed_slice(),
            entries: Vec::new(),
        }
    }

    /// Makes the connection due at `at`, or at the horizon if that is sooner, instead of whenever
    /// it, or an earlier connection in its slot, was due.
    pub fn schedule(&mut self, id: ConnectionId, at: Instant) {
        // Rounded up: nobody within the horizon is due early.
        let wanted = at.as_nanos().div_ceil(self.tick_ns);
        let soonest = self.expired + 1;
        let tick = wanted.clamp(soonest, soonest + BUCKETS - 2);
        self.unlink(id.slot());
        self.link(id, tick % BUCKETS);
        self.earliest = self.earliest.min(tick);
    }

    /// Appends the connections that are due by `now` and forgets their entries. The caller looks
    /// up what each is due for, if it still is, and schedules it again if not.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<ConnectionId>) {
        let now = now.as_nanos() / self.tick_ns;
        while self.earliest <= now {
            self.take(self.earliest % BUCKETS, due);
            self.expired = self.earliest;
            self.earliest = self.next_occupied();
        }
        self.expired = self.expired.max(now);
    }

    /// When [`Wheel::expire`] has something to do; `None` if nothing is scheduled.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let at = self.earliest.checked_mul(self.tick_ns)?;
        (self.earliest != u64::MAX).then_some(Instant::from_nanos(at))
    }

    /// The first tick after `expired` whose bucket has an entry.
    ///
    /// `expired` may be behind the clock but never behind an entry: entries lie within
    /// `BUCKETS - 1` ticks of it, so each bucket stands for one tick.
    fn next_occupied(&self) -> u64 {
        let start = self.expired + 1;
        let mut tick = start;
        while tick < start + BUCKETS {
            let bucket = tick % BUCKETS;
            let word = self
                .occupied
                .get(index(bucket / WORD))
                .copied()
                .unwrap_or(0);
            let rest = word >> (bucket % WORD);
            if rest != 0 {
                return tick + u64::from(rest.trailing_zeros());
            }
            tick += WORD - bucket % WORD;
        }
        u64::MAX
    }

    fn take(&mut self, bucket: u64, due: &mut Vec<ConnectionId>) {
        let Some(first) = self.first.get_mut(index(bucket)) else {
            return;
        };
        let mut slot = std::mem::replace(first, END);
        self.mark(bucket, 0);
        while let Some(entry) = self.entries.get_mut(slot as usize) {
            due.push(ConnectionId::new(slot, entry.generation));
            slot = entry.after;
            *entry = VACANT;
        }
    }

    fn link(&mut self, id: ConnectionId, bucket: u64) {
        let Ok(slot) = u32::try_from(id.slot()) else {
            return;
        };
        let (Ok(name), Some(first)) = (u32::try_from(bucket), self.first.get_mut(index(bucket)))
        else {
            return;
        };
        let after = std::mem::replace(first, slot);
        if let Some(second) = self.entries.get_mut(after as usize) {
            second.before = slot;
        }
        if self.entries.len() <= id.slot() {
            self.entries.resize(id.slot() + 1, VACANT);
        }
        if let Some(entry) = self.entries.get_mut(id.slot()) {
            *entry = Entry {
                generation: id.generation(),
                before: FIRST | name,
                after,
            };
        }
        self.mark(bucket, 1);
    }

    fn unlink(&mut self, slot: usize) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let Entry { before, after, .. } = std::mem::replace(entry, VACANT);
        if before == LOOSE {
            return;
        }
        if let Some(next) = self.entries.get_mut(after as usize) {
            next.before = before;
        }
        if before & FIRST == 0 {
            if let Some(previous) = self.entries.get_mut(before as usize) {
                previous.after = after;
            }
            return;
        }
        let bucket = before & !FIRST;
        if let Some(first) = self.first.get_mut(bucket as usize) {
            *first = after;
        }
        if after == END {
            self.mark(u64::from(bucket), 0);
        }
    }

    fn mark(&mut self, bucket: u64, bit: u64) {
        if let Some(word) = self.occupied.get_mut(index(bucket / WORD)) {
            *word = *word & !(1 << (bucket % WORD)) | bit << (bucket % WORD);
        }
    }
}

/// A bucket or word as an index: both are below `BUCKETS`.
#[expect(clippy::cast_possible_truncation, reason = "below BUCKETS")]
const fn index(small: u64) -> usize {
    small as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const TICK: Duration = Duration::from_millis(10);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(slot, 7)
    }

    fn due(wheel: &mut Wheel, now: Instant) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn an_entry_is_due_at_its_tick_and_not_before() {
        let mut wheel = Wheel::new(at(1000), TICK);
        wheel.schedule(id(3), at(1025));
        assert_eq!(wheel.deadline(), Some(at(1030)));
        assert_eq!(due(&mut wheel, at(1029)), []);
        assert_eq!(due(&mut wheel, at(1030)), [id(3)]);
        assert_eq!(wheel.deadline(), None);
        assert_eq!(due(&mut wheel, at(9000)), []);
    }

    #[test]
    fn a_deadline_in_the_past_is_due_with_the_next_tick() {
        let mut wheel = Wheel::new(at(1000), TICK);
        wheel.schedule(id(0), at(1));
        assert_eq!(wheel.deadline(), Some(at(1010)));
        assert_eq!(due(&mut wheel, at(1010)), [id(0)]);
    }

    #[test]
    fn scheduling_again_moves_the_only_entry() {
        let mut wheel = Wheel::new(at(0), TICK);
        for slot in 0..5 {
            wheel.schedule(id(slot), at(100));
        }
        wheel.schedule(id(2), at(50));
        wheel.schedule(id(4), at(150));
        wheel.schedule(id(0), at(150));
        assert_eq!(due(&mut wheel, at(50)), [id(2)]);
        assert_eq!(due(&mut wheel, at(100)), [id(1), id(3)]);
        assert_eq!(due(&mut wheel, at(150)), [id(0), id(4)]);
    }

    #[test]
    fn a_reused_slot_is_due_with_its_new_generation_only() {
        let mut wheel = Wheel::new(at(0), TICK);
        wheel.schedule(ConnectionId::new(1, 1), at(500));
        wheel.schedule(ConnectionId::new(1, 2), at(200));
        assert_eq!(due(&mut wheel, at(1000)), [ConnectionId::new(1, 2)]);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_comes_due_early_rather_than_late() {
        let mut wheel = Wheel::new(at(0), TICK);
        wheel.schedule(id(1), at(10_000_000));
        let early = wheel.deadline().expect("scheduled");
        assert!(early > at(20_000) && early < at(20_480), "{early:?}");
        assert_eq!(due(&mut wheel, early), [id(1)]);
    }

    #[test]
    fn empty_ticks_wake_nobody() {
        let mut wheel = Wheel::new(at(0), TICK);
        wheel.schedule(id(1), at(15_000));
        let mut wakes = 0;
        while let Some(next) = wheel.deadline() {
            wakes += 1;
            if due(&mut wheel, next) == [id(1)] {
                break;
            }
        }
        assert_eq!(wakes, 1);
    }

    #[test]
    fn the_farthest_deadline_is_an_instant_too() {
        let mut wheel = Wheel::new(at(5), Duration::ZERO);
        wheel.schedule(id(9), Instant::from_nanos(u64::MAX));
        assert!(wheel.deadline().is_some());
    }

    #[test]
    fn it_agrees_with_an_ordered_map_on_random_schedules() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut wheel = Wheel::new(at(12_345), TICK);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = 12_345;
        for _ in 0..20_000 {
            let slot = random.u32(..64);
            let when = now + random.u64(..20_000);
            wheel.schedule(id(slot), at(when));
            model.insert(slot, when.max(now + 1).div_ceil(10) * 10);
            now += random.u64(..40);
            let wanted: Vec<_> = model
                .iter()
                .filter(|(_, when)| **when <= now / 10 * 10)
                .map(|(slot, _)| id(*slot))
                .collect();
            model.retain(|_, when| *when > now / 10 * 10);
            assert_eq!(due(&mut wheel, at(now)), wanted, "seed {seed}");
        }
    }
}
