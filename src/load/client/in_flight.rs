//! The messages of one echoing connection that are under way: one inline, more in a ring from a
//! pool.

use super::payload::Template;
use crate::load::measure::recorder::Recorder;
use crate::load::measure::send_times::SendTimes;
use crate::load::transport::PayloadKind;
use crate::load::wording::MessageId;
use crate::time::Instant;
use std::collections::VecDeque;

/// Rings kept for reuse: as many connections may have more than one message in flight at once
/// without a further allocation.
const SPARE_RINGS: usize = 4096;

/// The messages under way, by their sequence numbers and in the order of sending.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Sequence number of the next message to send.
    next: u32,
    /// Sequence number of the next reply expected. `next - expected` messages are under way.
    expected: u32,
    times: Times,
}

/// When they went. Holds no heap memory with at most one of them.
#[derive(Debug, Default)]
enum Times {
    /// Nothing is under way.
    #[default]
    None,
    /// One message is.
    One(SendTimes),
    /// Two or more are, or were before the last replies: never empty.
    Many(Ring),
}

type Ring = Box<VecDeque<SendTimes>>;

/// Rings that no connection needs at the moment.
#[derive(Debug, Default)]
pub(super) struct Rings(Vec<Ring>);

impl InFlight {
    /// Nothing is under way; the first message has that sequence number.
    pub(super) const fn new(sequence: u32) -> Self {
        Self {
            next: sequence,
            expected: sequence,
            times: Times::None,
        }
    }

    /// Notes the next message as sent.
    #[inline]
    pub(super) fn sent(&mut self, times: SendTimes, rings: &mut Rings) {
        self.times.push(times, rings);
        self.next = self.next.wrapping_add(1);
    }

    /// A message came: the reply that is expected, a later one, or none of ours.
    #[inline]
    pub(super) fn on_message(
        &mut self,
        (number, kind, bytes): (u32, PayloadKind, &[u8]),
        (template, rings): (&Template, &mut Rings),
        now: Instant,
        recorder: &mut Recorder,
    ) {
        let expected = MessageId {
            number,
            sequence: self.expected,
        };
        if self.len() > 0 && template.is(expected, kind, bytes) {
            return self.replied(rings, now, recorder);
        }
        // A later one in flight means that those before it will not come: frames are ordered.
        let found = template.sequence(number, kind, bytes);
        let skipped = found.map(|sequence| sequence.wrapping_sub(self.expected));
        match skipped.filter(|&skipped| skipped < self.len()) {
            Some(skipped) => {
                for _ in 0..skipped {
                    self.pop(rings);
                }
                recorder.gone(skipped);
                self.replied(rings, now, recorder);
            }
            None => recorder.wrong(),
        }
    }

    /// Nothing is under way any more; how many messages were. The ring goes back.
    pub(super) fn clear(&mut self, rings: &mut Rings) -> u32 {
        let lost = self.len();
        self.times.clear(rings);
        self.expected = self.next;
        lost
    }

    /// Messages under way.
    #[inline]
    pub(super) const fn len(&self) -> u32 {
        self.next.wrapping_sub(self.expected)
    }

    /// Sequence number of the next message to send.
    #[inline]
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// The reply to the earliest message under way.
    #[inline]
    fn replied(&mut self, rings: &mut Rings, now: Instant, recorder: &mut Recorder) {
        if let Some(times) = self.pop(rings) {
            recorder.replied(times, now);
        }
    }

    #[inline]
    fn pop(&mut self, rings: &mut Rings) -> Option<SendTimes> {
        let times = self.times.pop(rings)?;
        self.expected = self.expected.wrapping_add(1);
        Some(times)
    }
}

impl Times {
    #[inline]
    fn push(&mut self, times: SendTimes, rings: &mut Rings) {
        match self {
            Self::None => *self = Self::One(times),
            Self::One(first) => {
                let mut ring = rings.0.pop().unwrap_or_default();
                ring.extend([*first, times]);
                *self = Self::Many(ring);
            }
            Self::Many(ring) => ring.push_back(times),
        }
    }

    /// Takes the earliest.
    #[inline]
    fn pop(&mut self, rings: &mut Rings) -> Option<SendTimes> {
        match self {
            Self::None => None,
            Self::One(times) => {
                let times = *times;
                *self = Self::None;
                Some(times)
            }
            Self::Many(ring) => {
                let times = ring.pop_front();
                if ring.is_empty() {
                    self.clear(rings);
                }
                times
            }
        }
    }

    fn clear(&mut self, rings: &mut Rings) {
        if let Self::Many(mut ring) = std::mem::take(self)
            && rings.0.len() < SPARE_RINGS
        {
            ring.clear();
            rings.0.push(ring);
        }
    }
}

const _: () = assert!(size_of::<InFlight>() <= 32, "it is in every connection");

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ns: u64) -> SendTimes {
        SendTimes {
            intended: Instant::from_nanos(ns),
            submitted: Instant::from_nanos(ns),
        }
    }

    #[test]
    fn send_times_come_back_in_order_whatever_the_depth() {
        let mut rings = Rings::default();
        let mut in_flight = InFlight::new(u32::MAX - 5);
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut pushed, mut popped) = (0, 0);
        for _ in 0..10_000 {
            if rng.bool() {
                in_flight.sent(times(pushed), &mut rings);
                pushed += 1;
            } else if let Some(first) = in_flight.pop(&mut rings) {
                assert_eq!(first, times(popped));
                popped += 1;
            } else {
                assert_eq!(pushed, popped);
            }
            assert_eq!(u64::from(in_flight.len()), pushed - popped);
        }
    }

    #[test]
    fn a_single_message_needs_no_ring_and_a_ring_is_used_again() {
        let mut rings = Rings::default();
        let mut in_flight = InFlight::new(7);
        in_flight.sent(times(1), &mut rings);
        assert!(matches!(in_flight.times, Times::One(_)));
        in_flight.sent(times(2), &mut rings);
        assert!(matches!(in_flight.times, Times::Many(_)));
        assert!(in_flight.pop(&mut rings).is_some() && in_flight.pop(&mut rings).is_some());
        assert!(matches!(in_flight.times, Times::None));
        assert_eq!(rings.0.len(), 1);
        in_flight.sent(times(3), &mut rings);
        in_flight.sent(times(4), &mut rings);
        assert_eq!(rings.0.len(), 0);
        assert_eq!(in_flight.clear(&mut rings), 2);
        assert_eq!((rings.0.len(), in_flight.len()), (1, 0));
    }

    /// The content of a message with that sequence number: its frame's payload, unmasked.
    fn content(template: &Template, sequence: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        let number = 0;
        template.encode(&mut frame, MessageId { number, sequence }, [0; 4]);
        frame.split_off(6)
    }

    #[test]
    fn a_later_reply_means_that_those_before_it_are_lost_and_another_s_is_wrong() {
        let mut rng = fastrand::Rng::with_seed(1);
        let template = Template::new(PayloadKind::Text, 16, &mut rng);
        let (mut rings, mut in_flight) = (Rings::default(), InFlight::new(40));
        let mut recorder = Recorder::new(true);
        recorder.measure(Instant::from_nanos(0), Instant::from_nanos(1_000));
        for at in 1..=3 {
            in_flight.sent(times(at), &mut rings);
            recorder.sent(times(at));
        }
        let now = Instant::from_nanos(90);
        for sequence in [43, 39, 42, 42] {
            let bytes = content(&template, sequence);
            let message = (0, PayloadKind::Text, &bytes[..]);
            in_flight.on_message(message, (&template, &mut rings), now, &mut recorder);
        }
        let messages = recorder.outcome().messages;
        assert_eq!((messages.replied, messages.wrong), (1, 3));
        assert_eq!((in_flight.len(), recorder.in_flight()), (0, 0));
    }
}
