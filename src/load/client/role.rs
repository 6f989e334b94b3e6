//! What one client does once it is up, and what it remembers for that.

use super::dialogue::Conversation;
use super::in_flight::{InFlight, Rings};
use super::listener::HeardSoFar;
use crate::load::work::Scenario;
use crate::time::Instant;

/// What a client does.
#[derive(Debug)]
pub(super) enum ClientRole {
    /// It counts what comes, or its dialogue has not begun.
    Idle,
    /// It sends messages and expects each back.
    Echo(InFlight),
    /// It hears what is pushed.
    Listen(HeardSoFar),
    /// It has a dialogue.
    Dialogue(Box<Conversation>),
}

impl ClientRole {
    /// Of a client whose connect was meant to start then. Sequence numbers begin at random, so
    /// that another connection's echo does not pass for this one's.
    pub(super) const fn of(scenario: &Scenario, sequence: u32, intended: Instant) -> Self {
        match scenario {
            Scenario::Echo => Self::Echo(InFlight::new(sequence)),
            Scenario::Listen => Self::Listen(HeardSoFar::new(intended)),
            Scenario::Idle | Scenario::Dialogue(_) => Self::Idle,
        }
    }

    /// Messages or exchanges under way.
    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        match self {
            Self::Echo(in_flight) => in_flight.len(),
            Self::Dialogue(conversation) => conversation.in_flight(),
            Self::Listen(_) | Self::Idle => 0,
        }
    }

    /// The connection is over: nothing is under way any more; how many messages were.
    pub(super) fn clear(&mut self, rings: &mut Rings) -> u32 {
        match self {
            Self::Echo(in_flight) => in_flight.clear(rings),
            Self::Dialogue(conversation) => conversation.end(),
            Self::Listen(_) | Self::Idle => 0,
        }
    }

    /// Whether a dialogue has stopped reading.
    pub(super) fn is_paused(&self) -> bool {
        self.conversation().is_some_and(Conversation::is_paused)
    }

    /// The last pushed sequence number that was heard, or 0.
    pub(super) const fn pushed(&self) -> u64 {
        match self {
            Self::Listen(seen) => seen.pushed(),
            Self::Echo(_) | Self::Dialogue(_) | Self::Idle => 0,
        }
    }

    /// Its dialogue, if that has begun.
    pub(super) fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::Dialogue(conversation) => Some(conversation),
            Self::Echo(_) | Self::Listen(_) | Self::Idle => None,
        }
    }

    /// The same, to change.
    pub(super) fn conversation_mut(&mut self) -> Option<&mut Conversation> {
        match self {
            Self::Dialogue(conversation) => Some(conversation),
            Self::Echo(_) | Self::Listen(_) | Self::Idle => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::send_times::SendTimes;

    #[test]
    fn only_what_was_sent_is_under_way_and_is_lost_once() {
        let (now, mut rings) = (Instant::from_nanos(9), Rings::default());
        let mut echo = ClientRole::of(&Scenario::Echo, 7, now);
        let mut listen = ClientRole::of(&Scenario::Listen, 7, now);
        if let ClientRole::Echo(in_flight) = &mut echo {
            let times = SendTimes {
                intended: now,
                submitted: now,
            };
            in_flight.sent(times, &mut rings);
            in_flight.sent(times, &mut rings);
        }
        assert_eq!((echo.in_flight(), listen.in_flight()), (2, 0));
        assert_eq!(echo.clear(&mut rings), 2);
        assert_eq!((echo.in_flight(), echo.clear(&mut rings)), (0, 0));
        assert_eq!(listen.clear(&mut rings), 0);
        assert!(
            ClientRole::of(&Scenario::Idle, 7, now)
                .conversation()
                .is_none()
        );
    }
}
