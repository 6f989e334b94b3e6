//! The connects of a core: when each may start, how many are under way, and which take too long.

use super::addresses::Addresses;
use super::attempt::Attempt;
use super::config::Config;
use super::pace::{Pace, Stripe};
use super::phase::{AT_ONCE, NEVER};
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Connects under way at once to servers that are near: what the kernel keeps of so many stays in
/// a core's cache, and more would be no faster.
const NEAR_CONNECTING: u32 = 128;
/// A server is far if a connect takes longer: then the way is the limit, and not this core.
const NEAR_TIME: Duration = Duration::from_millis(10);

/// The connects of a core. It is told what becomes of each and asked what to do next; it knows
/// neither the clients nor what a retry is.
#[derive(Debug)]
pub(super) struct Connector {
    /// When each first connect is meant to start; `None`: as soon as there is room.
    pace: Option<Pace>,
    /// Connects under way at once at most, without a pace.
    at_once: u32,
    /// Time for one connect with its upgrade.
    connect_time: Duration,
    /// This core's next first connect, how many it has, and which of the run's they are.
    next: u64,
    share: u64,
    stripe: Stripe,
    /// What the pace counts from.
    begun: Instant,
    is_given_up: bool,
    /// A connect took its time.
    is_far: bool,
    /// First connects that are neither up nor failed.
    under_way: u32,
    /// When each that was started times out, in order, because all have the same time.
    timeouts: VecDeque<(Instant, ConnectionId)>,
    /// Attempts that wait until another connection has left its slot.
    without_slot: VecDeque<Attempt>,
    /// Of names that have several.
    addresses: Addresses,
}

/// From where a connection goes to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectRoute {
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
    /// The name has other addresses.
    pub(super) is_of_several: bool,
    /// So many addresses of the name further than its turn is: those before do not answer.
    pub(super) further: u32,
}

/// A connect that has taken too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// It keeps the other addresses of its name waiting.
    KeepsOthersWaiting(ConnectionId),
    /// Its time is over.
    TimedOut(ConnectionId),
}

/// What was still to be done when no connect was any more.
#[derive(Debug)]
pub(super) struct Rest {
    /// First connects that had not begun.
    pub(super) untried: u64,
    /// First connects that were under way.
    pub(super) under_way: u32,
    /// First connects that waited for a slot: they are not under way any more.
    pub(super) without_slot: Vec<Attempt>,
}

impl Connector {
    pub(super) fn new(config: &Config) -> Self {
        let (pace, at_once) = config.first_connects();
        Self {
            pace,
            at_once,
            connect_time: config.connect_time(),
            next: 0,
            share: 0,
            stripe: Stripe::NOTHING,
            begun: Instant::default(),
            is_given_up: false,
            is_far: false,
            under_way: 0,
            timeouts: VecDeque::new(),
            without_slot: VecDeque::new(),
            addresses: Addresses::default(),
        }
    }

    /// So many first connects from then on, which are those of the stripe.
    pub(super) fn plan(&mut self, share: u64, stripe: Stripe, begun: Instant) {
        (self.share, self.stripe, self.begun) = (share, stripe, begun);
    }

    /// A first connect that may start now: it is [`Connector::begun_first`] or left out.
    pub(super) fn due(&mut self, now: Instant) -> Option<Attempt> {
        if self.next == self.share {
            return None;
        }
        let intended = self.intended();
        let is_due = match &self.pace {
            Some(_) => intended <= now,
            None => self.under_way < self.most(),
        };
        if !is_due {
            return None;
        }
        let number = self.stripe.global(self.next);
        self.next += 1;
        let [number, place] =
            [number, self.stripe.local(number)].map(|it| u32::try_from(it).unwrap_or(u32::MAX));
        Some(Attempt::first(number, place, intended.min(now)))
    }

    /// A first connect begins, or begins again.
    pub(super) const fn begun_first(&mut self) {
        self.under_way += 1;
    }

    /// Which way an attempt goes, after addresses that were tried in vain; `None` if no address is
    /// known.
    pub(super) fn route(
        &self,
        config: &Config,
        attempt: &Attempt,
        now: Instant,
    ) -> Option<ConnectRoute> {
        let among_targets = attempt.turn();
        let (target, turn) = config.target_of(among_targets)?;
        let target = attempt.other_target().unwrap_or(target);
        let tried = attempt.addresses();
        let turn = turn.saturating_add(u64::from(tried));
        let (to, passed) = self.addresses.choose(target, turn, now)?;
        Some(ConnectRoute {
            to,
            from: config.source_of(to, among_targets, turn),
            is_of_several: target.addresses().len() > 1,
            further: tried.wrapping_add(passed),
        })
    }

    /// A connect was started.
    pub(super) fn started(&mut self, id: ConnectionId, route: ConnectRoute, now: Instant) {
        if route.is_of_several {
            self.addresses.began(id, route.to, now);
        }
        self.timeouts.push_back((now + self.connect_time, id));
    }

    /// An attempt finds no slot: it is this client that is short of something, no failure of the
    /// server and nothing to back off from.
    pub(super) fn wait_for_slot(&mut self, attempt: Attempt) {
        self.without_slot.push_back(attempt);
    }

    /// A connection has left its slot: the attempt that takes it.
    pub(super) fn slot_free(&mut self) -> Option<Attempt> {
        self.without_slot.pop_front()
    }

    /// TCP is up.
    #[inline]
    pub(super) fn answered(&mut self, id: ConnectionId) {
        self.addresses.answered(id);
    }

    /// A first connect is up, that was meant to start then.
    pub(super) fn succeeded(&mut self, intended: Instant, now: Instant) {
        self.under_way -= 1;
        self.is_far |= now.since(intended) > NEAR_TIME;
    }

    /// A connection did not come up; whether its name, of so many addresses, has one that is to be
    /// tried at once (RFC 8305). That is one attempt, whatever it takes.
    pub(super) fn try_next_address(
        &mut self,
        (id, attempt): (ConnectionId, &mut Attempt),
        addresses: usize,
        now: Instant,
    ) -> bool {
        self.addresses.failed(id, now) && attempt.next_address(addresses) && !self.is_given_up
    }

    /// A first connect failed at all its addresses.
    pub(super) const fn failed_first(&mut self) {
        self.under_way -= 1;
    }

    /// A connect that has taken too long by now, if one is `under_way`.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        mut under_way: impl FnMut(ConnectionId) -> bool,
    ) -> Option<Overdue> {
        if let Some(id) = self.addresses.overdue(now) {
            return Some(Overdue::KeepsOthersWaiting(id));
        }
        while let Some(&(at, id)) = self.timeouts.front() {
            let is_under_way = under_way(id);
            if at > now && is_under_way {
                return None;
            }
            self.timeouts.pop_front();
            if is_under_way {
                return Some(Overdue::TimedOut(id));
            }
        }
        None
    }

    /// The time for first connects is over. Those under way are still to [`Connector::expire`].
    pub(super) fn give_up(&mut self) -> Rest {
        self.is_given_up = true;
        let waiting = std::mem::take(&mut self.without_slot).into_iter();
        let (first, others): (Vec<_>, VecDeque<_>) = {
            let (first, others): (Vec<_>, Vec<_>) = waiting.partition(Attempt::is_first);
            (first, others.into())
        };
        self.without_slot = others;
        Rest {
            untried: self.leave_rest(),
            under_way: self.under_way,
            without_slot: first,
        }
    }

    /// The run needs no connection any more: what is under way is left unfinished.
    pub(super) fn stop(&mut self) -> Rest {
        self.timeouts = VecDeque::new();
        self.without_slot.clear();
        Rest {
            untried: self.leave_rest(),
            under_way: std::mem::take(&mut self.under_way),
            without_slot: Vec::new(),
        }
    }

    /// All first connects are up or failed: a queue of all of them would otherwise stay for the
    /// whole run. Others may be `under_way`.
    pub(super) fn forget(&mut self, mut under_way: impl FnMut(ConnectionId) -> bool) {
        self.timeouts.retain(|&(_, id)| under_way(id));
        self.timeouts.shrink_to_fit();
    }

    /// When there is something to do next.
    pub(super) fn deadline(&self) -> Instant {
        let next = match &self.pace {
            _ if self.next == self.share => NEVER,
            Some(_) => self.intended(),
            None if self.under_way < self.most() => AT_ONCE,
            None => NEVER,
        };
        let timeout = self.timeouts.front().map_or(NEVER, |&(at, _)| at);
        let delay = self.addresses.deadline().unwrap_or(NEVER);
        next.min(timeout).min(delay)
    }

    /// Whether every first connect is up or has failed.
    pub(super) const fn is_done(&self) -> bool {
        self.next == self.share && self.under_way == 0
    }

    /// Whether no first connect is tried again.
    pub(super) const fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// When this core's next connect is meant to start; without a pace, at once.
    fn intended(&self) -> Instant {
        let Some(pace) = &self.pace else {
            return NEVER;
        };
        let offset = pace.offset_ns(self.stripe.global(self.next));
        Instant::from_nanos(self.begun.as_nanos().saturating_add(offset))
    }

    /// Connects under way at once, where there is no pace.
    fn most(&self) -> u32 {
        if self.is_far {
            self.at_once
        } else {
            self.at_once.min(NEAR_CONNECTING)
        }
    }

    fn leave_rest(&mut self) -> u64 {
        let untried = self.share - self.next;
        self.next = self.share;
        untried
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Rate, Target};

    const NOW: Instant = Instant::from_nanos(1_000_000_000);
    const MS: Duration = Duration::from_millis(1);

    fn config(addresses: &[&str]) -> Config {
        let all: Vec<SocketAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        let mut config = Config::new(all[0], "localhost".into(), "/".into());
        config.targets = vec![Target::Any(all.into())];
        config.connecting = 200;
        config
    }

    fn connector(share: u64, change: impl FnOnce(&mut Config)) -> Connector {
        let mut config = config(&["127.0.0.1:1"]);
        change(&mut config);
        let mut connector = Connector::new(&config);
        connector.plan(share, Stripe::new(1, 3), NOW);
        connector
    }

    /// The numbers of the first connects that may start.
    fn begun(connector: &mut Connector, now: Instant) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some(attempt) = connector.due(now) {
            connector.begun_first();
            numbers.push(attempt.number());
        }
        numbers
    }

    #[test]
    fn without_a_pace_as_many_are_under_way_as_a_near_server_takes() {
        let mut connector = connector(300, |_| {});
        assert_eq!(connector.deadline(), AT_ONCE);
        let first = begun(&mut connector, NOW);
        assert_eq!(first.len(), NEAR_CONNECTING as usize);
        assert_eq!(first[..3], [1, 4, 7], "the stripe's");
        assert_eq!(connector.deadline(), NEVER);
        connector.succeeded(NOW, NOW + MS);
        assert_eq!(begun(&mut connector, NOW + MS).len(), 1);
        connector.succeeded(NOW, NOW + 11 * MS);
        let more = begun(&mut connector, NOW + 11 * MS).len();
        assert_eq!(more, 200 - 127, "it is far: as many as asked for");
    }

    #[test]
    fn with_a_pace_each_starts_at_its_time_however_many_are_under_way() {
        let rate = Rate::per_second(100.0).unwrap();
        let mut connector = connector(3, |config| {
            config.connect_pace = Some(Pace::Constant(rate));
        });
        assert_eq!(connector.deadline(), NOW + 10 * MS, "the run's second one");
        assert!(begun(&mut connector, NOW + 9 * MS).is_empty());
        let attempt = connector.due(NOW + 45 * MS).unwrap();
        assert_eq!(attempt.intended(), NOW + 10 * MS);
        assert_eq!(begun(&mut connector, NOW + 45 * MS), [4]);
        assert!(!connector.is_done());
        assert_eq!(begun(&mut connector, NOW + 70 * MS), [7]);
        assert!(connector.due(NOW + 900 * MS).is_none());
    }

    #[test]
    fn what_takes_too_long_expires_in_order_and_what_is_up_does_not() {
        let mut connector = connector(3, |config| config.connect_time = 50 * MS);
        let ids = [1, 2, 3].map(|slot| ConnectionId::new(slot, 1));
        for (id, late) in ids.into_iter().zip([0, 5, 10]) {
            let route = ConnectRoute {
                further: 0,
                to: "127.0.0.1:1".parse().unwrap(),
                from: None,
                is_of_several: false,
            };
            connector.started(id, route, NOW + late * MS);
        }
        let mut expired = |now| connector.expire(now, |id| id != ids[1]);
        assert_eq!(expired(NOW + 49 * MS), None);
        assert_eq!(expired(NOW + 59 * MS), Some(Overdue::TimedOut(ids[0])));
        assert_eq!(expired(NOW + 59 * MS), None);
        assert_eq!(connector.deadline(), AT_ONCE, "none of the three has begun");
        begun(&mut connector, NOW);
        assert_eq!(connector.deadline(), NOW + 60 * MS);
        // What is up is forgotten before its time would be over.
        assert_eq!(connector.expire(NOW, |_| false), None);
        assert_eq!(connector.deadline(), NEVER);
        let route = ConnectRoute {
            further: 0,
            to: "127.0.0.1:1".parse().unwrap(),
            from: None,
            is_of_several: false,
        };
        for id in ids {
            connector.started(id, route, NOW);
        }
        connector.forget(|id| id == ids[2]);
        assert_eq!(connector.timeouts.len(), 1);
    }

    #[test]
    fn an_address_that_does_not_answer_makes_way_for_the_next() {
        let config = config(&["127.0.0.1:1", "127.0.0.2:1"]);
        let mut connector = Connector::new(&config);
        connector.plan(1, Stripe::new(0, 1), NOW);
        let mut attempt = connector.due(NOW).unwrap();
        let route = |connector: &Connector, attempt: &Attempt| {
            connector.route(&config, attempt, NOW).unwrap()
        };
        let id = ConnectionId::new(1, 1);
        let first = route(&connector, &attempt);
        connector.started(id, first, NOW);
        let late = NOW + 300 * MS;
        let overdue = connector.expire(late, |_| true);
        assert_eq!(overdue, Some(Overdue::KeepsOthersWaiting(id)));
        assert!(connector.try_next_address((id, &mut attempt), 2, late));
        assert_ne!(route(&connector, &attempt).to, first.to);
        let other = ConnectionId::new(2, 1);
        connector.started(other, route(&connector, &attempt), late);
        assert!(!connector.try_next_address((other, &mut attempt), 2, late));
    }

    #[test]
    fn what_is_given_up_is_told_once_and_later_connects_keep_their_place_in_the_queue() {
        let mut connector = connector(300, |_| {});
        assert_eq!(begun(&mut connector, NOW).len(), 128);
        connector.wait_for_slot(Attempt::first(9, 0, NOW));
        let rest = connector.give_up();
        assert_eq!((rest.untried, rest.without_slot.len()), (172, 1));
        assert!(connector.is_given_up() && connector.slot_free().is_none());
        let rest = connector.stop();
        assert_eq!((rest.untried, rest.under_way), (0, 128));
        assert!(connector.is_done());
        assert_eq!(connector.stop().under_way, 0);
    }
}
