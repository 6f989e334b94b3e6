//! The messages of one connection that are under way: one inline, more in a ring from a pool.

use super::dialogue::Conversation;
use crate::load::measure::send_times::SendTimes;
use std::collections::VecDeque;

/// Rings kept for reuse: as many connections may have more than one message in flight at once
/// without a further allocation.
const SPARE_RINGS: usize = 4096;

/// SendTimes in the order of sending. Holds no heap memory with at most one of them.
#[derive(Debug, Default)]
pub(in crate::load) enum InFlight {
    /// Nothing is under way.
    #[default]
    None,
    /// One message is.
    One(SendTimes),
    /// Two or more are, or were before the last replies: never empty.
    Many(Ring),
    /// Its dialogue knows what is.
    Dialogue(Box<Conversation>),
}

type Ring = Box<VecDeque<SendTimes>>;

/// Rings that no connection needs at the moment.
#[derive(Debug, Default)]
pub(in crate::load) struct Rings(Vec<Ring>);

impl InFlight {
    /// Adds the latest departure.
    #[inline]
    pub(in crate::load) fn push(&mut self, departure: SendTimes, rings: &mut Rings) {
        match self {
            Self::None => *self = Self::One(departure),
            Self::One(first) => {
                let mut ring = rings.0.pop().unwrap_or_default();
                ring.extend([*first, departure]);
                *self = Self::Many(ring);
            }
            Self::Many(ring) => ring.push_back(departure),
            Self::Dialogue(_) => debug_assert!(false, "a dialogue keeps its exchanges itself"),
        }
    }

    /// Takes the earliest departure.
    #[inline]
    pub(in crate::load) fn pop(&mut self, rings: &mut Rings) -> Option<SendTimes> {
        match self {
            Self::None | Self::Dialogue(_) => None,
            Self::One(departure) => {
                let departure = *departure;
                *self = Self::None;
                Some(departure)
            }
            Self::Many(ring) => {
                let departure = ring.pop_front();
                if ring.is_empty() {
                    self.clear(rings);
                }
                departure
            }
        }
    }

    /// Whether a dialogue has stopped reading.
    pub(in crate::load) fn is_paused(&self) -> bool {
        match self {
            Self::None | Self::One(_) | Self::Many(_) => false,
            Self::Dialogue(conversation) => conversation.is_paused,
        }
    }

    /// Forgets what is under way, gives the ring back and ends the dialogue.
    pub(in crate::load) fn clear(&mut self, rings: &mut Rings) {
        if let Self::Many(mut ring) = std::mem::take(self)
            && rings.0.len() < SPARE_RINGS
        {
            ring.clear();
            rings.0.push(ring);
        }
    }
}

const _: () = assert!(size_of::<InFlight>() <= 24, "it is in every connection");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn departure(ns: u64) -> SendTimes {
        SendTimes {
            intended: Instant::from_nanos(ns),
            submitted: Instant::from_nanos(ns),
        }
    }

    #[test]
    fn departures_come_back_in_order_whatever_the_depth() {
        let mut rings = Rings::default();
        let mut flight = InFlight::default();
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut pushed, mut popped) = (0, 0);
        for _ in 0..10_000 {
            if rng.bool() {
                flight.push(departure(pushed), &mut rings);
                pushed += 1;
            } else if let Some(first) = flight.pop(&mut rings) {
                assert_eq!(first, departure(popped));
                popped += 1;
            } else {
                assert_eq!(pushed, popped);
            }
        }
    }

    #[test]
    fn a_single_message_needs_no_ring_and_a_ring_is_used_again() {
        let mut rings = Rings::default();
        let mut flight = InFlight::default();
        flight.push(departure(1), &mut rings);
        assert!(matches!(flight, InFlight::One(_)));
        flight.push(departure(2), &mut rings);
        assert!(matches!(flight, InFlight::Many(_)));
        assert!(flight.pop(&mut rings).is_some() && flight.pop(&mut rings).is_some());
        assert!(matches!(flight, InFlight::None));
        assert_eq!(rings.0.len(), 1);
        flight.push(departure(3), &mut rings);
        flight.push(departure(4), &mut rings);
        assert_eq!(rings.0.len(), 0);
        flight.clear(&mut rings);
        assert_eq!(rings.0.len(), 1);
    }
}
