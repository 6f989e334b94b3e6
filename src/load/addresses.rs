//! Names that have several addresses: whose turn it is, and which of them do not answer.

use super::target::Target;
use crate::shard::ConnectionId;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 8305, 5: so long a first address may keep the next one waiting.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// An address that did not answer is passed over for so long.
const PASSED_OVER_TIME: Duration = Duration::from_secs(10);

/// What a core knows of the addresses of names that have several.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// When each that did not answer did not.
    dead: BTreeMap<SocketAddr, Instant>,
    /// Those that have answered.
    alive: BTreeMap<SocketAddr, ()>,
    /// Where each connect under way goes.
    under_way: BTreeMap<ConnectionId, SocketAddr>,
    /// When each of them is to make way for the next address.
    delays: VecDeque<(Instant, ConnectionId)>,
}

impl Addresses {
    /// Which address to try, of several, and how many turns further that is: `turn` goes round all
    /// that may answer.
    pub(super) fn choose(
        &self,
        target: &Target,
        turn: u64,
        now: Instant,
    ) -> Option<(SocketAddr, u32)> {
        let all = target.addresses();
        let count = u32::try_from(all.len()).ok()?;
        let at = |further: u32| {
            let turn = turn.checked_add(u64::from(further))?;
            let place = usize::try_from(turn.checked_rem(u64::from(count))?).ok()?;
            all.get(place).copied()
        };
        let is_dead = |address: &SocketAddr| {
            let since = self.dead.get(address);
            since.is_some_and(|since| now.since(*since) < PASSED_OVER_TIME)
        };
        let mut rest = (0..count).filter_map(|further| Some((at(further)?, further)));
        let alive = rest.find(|(address, _)| !is_dead(address));
        alive.or_else(|| Some((at(0)?, 0)))
    }

    /// A connect to one of several has begun.
    pub(super) fn began(&mut self, id: ConnectionId, to: SocketAddr, now: Instant) {
        self.under_way.insert(id, to);
        if !self.alive.contains_key(&to) {
            self.delays.push_back((now + ATTEMPT_DELAY, id));
        }
    }

    /// A connect is up.
    #[inline]
    pub(super) fn answered(&mut self, id: ConnectionId) {
        if !self.under_way.is_empty()
            && let Some(address) = self.under_way.remove(&id)
        {
            self.dead.remove(&address);
            self.alive.insert(address, ());
        }
    }

    /// A connect failed; whether it was one to several addresses.
    pub(super) fn failed(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(address) = self.under_way.remove(&id) else {
            return false;
        };
        self.alive.remove(&address);
        self.dead.insert(address, now);
        true
    }

    /// A connect whose address has kept the others waiting for long enough.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<ConnectionId> {
        while let Some((_, id)) = self.delays.pop_front_if(|(at, _)| *at <= now) {
            let to = self.under_way.get(&id);
            if to.is_some_and(|to| !self.alive.contains_key(to)) {
                return Some(id);
            }
        }
        None
    }

    /// When [`Addresses::overdue`] has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.delays.front().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_and_pass_over_what_does_not_answer() {
        let all = ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"].map(|at| at.parse().unwrap());
        let target = Target::Any(all.into());
        let mut addresses = Addresses::default();
        let now = Instant::from_nanos(1);
        let round = |addresses: &Addresses, now| {
            [0, 1, 2, 3].map(|turn| addresses.choose(&target, turn, now).unwrap().0)
        };
        assert_eq!(round(&addresses, now), [all[0], all[1], all[2], all[0]]);
        let id = ConnectionId::new(1, 1);
        addresses.began(id, all[1], now);
        assert!(addresses.failed(id, now) && !addresses.failed(id, now));
        assert_eq!(round(&addresses, now), [all[0], all[2], all[2], all[0]]);
        let further = [0, 1, 2].map(|turn| addresses.choose(&target, turn, now).unwrap().1);
        assert_eq!(further, [0, 1, 0]);
        let later = now + PASSED_OVER_TIME;
        assert_eq!(addresses.choose(&target, 1, later), Some((all[1], 0)));
        for (slot, address) in (2..).zip(all) {
            let id = ConnectionId::new(slot, 1);
            addresses.began(id, address, now);
            addresses.failed(id, now);
        }
        assert_eq!(round(&addresses, now), [all[0], all[1], all[2], all[0]]);
    }

    #[test]
    fn an_address_that_has_not_answered_yet_makes_way_in_time() {
        let to = "127.0.0.1:1".parse().unwrap();
        let (now, mut addresses) = (Instant::from_nanos(1), Addresses::default());
        let ids = [1, 2, 3].map(|slot| ConnectionId::new(slot, 1));
        addresses.began(ids[0], to, now);
        addresses.began(ids[1], to, now);
        assert_eq!(addresses.overdue(now), None);
        let due = addresses.deadline().unwrap();
        assert_eq!(due, now + ATTEMPT_DELAY);
        assert_eq!(addresses.overdue(due), Some(ids[0]));
        addresses.answered(ids[1]);
        assert_eq!(addresses.overdue(due), None);
        addresses.began(ids[2], to, now);
        assert_eq!(addresses.deadline(), None, "it is known to answer");
        // One that began before another had an answer waits on.
        let mut addresses = Addresses::default();
        addresses.began(ids[0], to, now);
        addresses.began(ids[1], to, now);
        addresses.answered(ids[1]);
        assert_eq!(addresses.overdue(due), None);
    }
}
