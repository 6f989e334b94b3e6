//! How far stopping has come: the server says that it will stop, stops accepting, ends its
//! connections one after the other, and resets what is left.

use crate::app::Goodbye;
use crate::door::scattered;
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::websocket::closing;
use crate::shard::{ConnectionId, Core};
use crate::time::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time between two steps of ending connections over a while.
const STEP: Duration = Duration::from_millis(10);

/// What is asked for and not begun any more.
pub(super) const DRAINING: Fault = Fault::Http {
    status: 503,
    reason: "the server is going away",
};

/// How a server takes leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    /// Time between the word to stop and the end of accepting.
    pub(super) delay: Duration,
    /// Time over which connections are told to end.
    pub(super) spread: Duration,
    /// Time after that until what is left is reset.
    pub(super) time: Duration,
    /// The close code that WebSockets get.
    pub(super) code: u16,
    /// Whether the server is started again when one of its cores fails.
    pub(super) is_restarted: bool,
    /// How long clients of event streams wait at least before they come back, in milliseconds.
    pub(super) retry_ms: u64,
    /// When the server started: by which their waits differ from one run to the next.
    pub(super) started: Instant,
}

/// Says once for all cores that another process serves newcomers from now on, at the same
/// listeners: the server stops next. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct HandedOver(Arc<AtomicBool>);

impl HandedOver {
    /// It does.
    pub fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How far stopping has come.
#[derive(Debug)]
pub(super) struct Draining {
    farewell: Farewell,
    /// Another process serves newcomers: nothing is refused here meanwhile.
    is_handed_over: bool,
    phase: Phase,
    /// When connections were last told to end.
    last_step: Instant,
    /// When what is left is reset, once nothing is accepted any more.
    until: Option<Instant>,
    /// How many connections were still open when that time was over, once it is.
    left: Option<u64>,
}

#[derive(Debug, Default)]
enum Phase {
    /// Not begun.
    #[default]
    Serving,
    /// Said to load balancers that ask for health; everything is served until then.
    Announced(Instant),
    /// No longer accepting; those connections are ended one after the other from then on.
    Dismissing {
        began: Instant,
        ids: Vec<ConnectionId>,
        next: usize,
    },
    /// All were told to end.
    Dismissed,
}

impl Farewell {
    /// After what part of the spread a connection's turn comes.
    fn share(&self, index: usize, of: usize) -> Duration {
        let nanos = self.spread.as_nanos() * index as u128 / of.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrainStep {
    /// Accept nothing more, and say which connections are open: [`Draining::dismiss`].
    StopServing,
    /// Tell that connection to end.
    Dismiss(ConnectionId),
    /// Reset what is left, and say how many that are: [`Draining::give_up`].
    GiveUp,
}

impl Draining {
    /// Not begun.
    pub(super) fn new(farewell: Farewell) -> Self {
        Self {
            farewell,
            is_handed_over: false,
            phase: Phase::default(),
            last_step: Instant::default(),
            until: None,
            left: None,
        }
    }

    /// The outside asked to end.
    pub(super) fn begin(&mut self, now: Instant) {
        self.phase = Phase::Announced(now + self.farewell.delay);
    }

    /// Another process has the listeners: the same, but for those who were let in a moment ago no
    /// less time than they need to say what they want, and for all the advice to come back at once.
    pub(super) fn hand_over(&mut self, now: Instant) {
        self.is_handed_over = true;
        if self.farewell.code == closing::GOING_AWAY {
            self.farewell.code = closing::SERVICE_RESTART;
        }
        self.phase = Phase::Announced(now + limits::HANDOVER_TIME);
    }

    /// A core has failed: if the server is started again whoever is here is told so at once, and
    /// gets no more time than that is worth.
    pub(super) fn fail(&mut self) {
        if self.farewell.is_restarted {
            self.farewell = Farewell {
                delay: Duration::ZERO,
                spread: Duration::ZERO,
                time: self.farewell.time.min(limits::RESTART_TIME),
                code: closing::SERVICE_RESTART,
                ..self.farewell
            };
        }
    }

    /// The next thing to do, if it is time for one.
    pub(super) fn next(&mut self, now: Instant) -> Option<DrainStep> {
        match &mut self.phase {
            Phase::Announced(at) if *at <= now => return Some(DrainStep::StopServing),
            Phase::Dismissing { began, ids, next } => {
                self.last_step = now;
                match ids.get(*next) {
                    Some(&id) if *began + self.farewell.share(*next, ids.len()) <= now => {
                        *next += 1;
                        return Some(DrainStep::Dismiss(id));
                    }
                    Some(_) => {}
                    None => self.phase = Phase::Dismissed,
                }
            }
            Phase::Serving | Phase::Announced(_) | Phase::Dismissed => {}
        }
        let is_over = self.until.is_some_and(|until| until <= now);
        (is_over && self.left.is_none()).then_some(DrainStep::GiveUp)
    }

    /// Nothing is accepted any more, and those are open: they are told to end in their order.
    pub(super) fn dismiss(&mut self, ids: Vec<ConnectionId>, now: Instant) {
        self.until = Some(now + self.farewell.spread + self.farewell.time);
        self.phase = Phase::Dismissing {
            began: now,
            ids,
            next: 0,
        };
    }

    /// The time is over, and so many connections were left.
    pub(super) const fn give_up(&mut self, left: usize) {
        self.left = Some(left as u64);
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let next = match &self.phase {
            Phase::Announced(at) => Some(*at),
            Phase::Dismissing { began, ids, next } => {
                let at = *began + self.farewell.share(*next, ids.len());
                Some(at.max(self.last_step + STEP))
            }
            Phase::Serving | Phase::Dismissed => None,
        };
        let end = self.until.filter(|_| self.left.is_none());
        next.into_iter().chain(end).min()
    }

    /// What a WebSocket is told.
    pub(super) const fn goodbye(&self) -> Goodbye {
        Goodbye {
            code: self.farewell.code,
            reason: "",
        }
    }

    /// How long the client of an event stream is to wait before it comes back, in milliseconds:
    /// each another time, so that not all come at once.
    pub(super) fn retry_ms(&self, core: Core, id: ConnectionId) -> u64 {
        let spread = u64::try_from(self.farewell.spread.as_millis()).unwrap_or(u64::MAX);
        let window = spread.max(self.farewell.retry_ms).max(1);
        let here = (u64::from(core.0) << 48) | id.slot() as u64;
        let seed = self.farewell.started.as_nanos() ^ here;
        self.farewell
            .retry_ms
            .saturating_add(scattered(seed) % window)
    }

    /// Whether health says that the server stops.
    pub(super) const fn is_announced(&self) -> bool {
        !matches!(self.phase, Phase::Serving) && !self.is_handed_over
    }

    /// Whether what is asked for is not begun any more.
    pub(super) const fn is_refusing(&self) -> bool {
        self.is_begun() && !self.is_handed_over
    }

    /// Whether nothing is accepted any more.
    pub(super) const fn is_begun(&self) -> bool {
        self.until.is_some()
    }

    /// How many connections were left when the time was over, once it is.
    pub(super) const fn left(&self) -> Option<u64> {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::default() + Duration::from_millis(ms)
    }

    fn draining(spread_ms: u64) -> Draining {
        Draining::new(Farewell {
            delay: Duration::from_millis(100),
            spread: Duration::from_millis(spread_ms),
            time: Duration::from_millis(1000),
            code: 1001,
            is_restarted: false,
            retry_ms: 3000,
            started: at(0),
        })
    }

    #[test]
    fn a_server_says_that_it_will_stop_before_it_stops_to_accept() {
        let mut draining = draining(0);
        assert_eq!((draining.next(at(0)), draining.deadline()), (None, None));
        draining.begin(at(0));
        assert!(draining.is_announced() && !draining.is_begun());
        assert_eq!(draining.deadline(), Some(at(100)));
        assert_eq!(draining.next(at(99)), None);
        assert_eq!(draining.next(at(100)), Some(DrainStep::StopServing));
        draining.dismiss(Vec::new(), at(100));
        assert!(draining.is_begun());
        assert_eq!(draining.next(at(100)), None);
        assert_eq!(draining.deadline(), Some(at(1100)));
    }

    #[test]
    fn a_server_that_is_started_again_does_not_linger_when_a_core_has_failed() {
        for is_restarted in [false, true] {
            let mut draining = draining(300);
            draining.farewell.is_restarted = is_restarted;
            draining.fail();
            draining.begin(at(0));
            let begins = at(if is_restarted { 0 } else { 100 });
            assert_eq!(draining.deadline(), Some(begins));
            draining.dismiss(Vec::new(), begins);
            let until = if is_restarted { 500 } else { 100 + 300 + 1000 };
            assert_eq!(
                (draining.next(begins), draining.deadline()),
                (None, Some(at(until)))
            );
            let code = if is_restarted { 1012 } else { 1001 };
            assert_eq!(draining.farewell.code, code);
        }
    }

    #[test]
    fn who_is_let_in_before_a_handover_is_served_and_told_that_the_server_is_there_again() {
        let mut draining = draining(0);
        draining.hand_over(at(0));
        assert!(!draining.is_announced(), "health is that of the other one");
        let end = at(0) + limits::HANDOVER_TIME;
        assert_eq!(draining.deadline(), Some(end));
        assert_eq!(draining.next(at(1)), None);
        assert_eq!(draining.next(end), Some(DrainStep::StopServing));
        draining.dismiss(Vec::new(), end);
        assert!(draining.is_begun() && !draining.is_refusing());
        assert_eq!(draining.goodbye().code, closing::SERVICE_RESTART);
    }

    #[test]
    fn connections_are_dismissed_one_after_the_other_and_what_is_left_is_given_up_once() {
        let mut draining = draining(300);
        let ids = [0, 1, 2].map(|slot| ConnectionId::new(slot, 1));
        draining.dismiss(ids.to_vec(), at(0));
        let mut told = Vec::new();
        for ms in 0..=300 {
            while let Some(step) = draining.next(at(ms)) {
                told.push((ms, step));
            }
        }
        let expected = [0, 100, 200].into_iter().zip(ids);
        let expected = expected.map(|(ms, id)| (ms, DrainStep::Dismiss(id)));
        assert_eq!(told, expected.collect::<Vec<_>>());
        assert_eq!((draining.next(at(1299)), draining.left()), (None, None));
        assert_eq!(draining.next(at(1300)), Some(DrainStep::GiveUp));
        draining.give_up(2);
        assert_eq!((draining.next(at(1300)), draining.left()), (None, Some(2)));
        assert_eq!(draining.deadline(), None);
    }

    #[test]
    fn clients_of_event_streams_come_back_over_a_window_and_not_at_once() {
        let draining = draining(10_000);
        let waits = (0..1000).map(|slot| draining.retry_ms(Core(1), ConnectionId::new(slot, 1)));
        let waits: Vec<u64> = waits.collect();
        assert!(waits.iter().all(|wait| (3000..13_000).contains(wait)));
        let early = waits.iter().filter(|wait| **wait < 8000).count();
        assert!(
            (400..600).contains(&early),
            "{early} of 1000 in the first half"
        );
    }
}
