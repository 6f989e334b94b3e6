//! What of one core carries sessions: requests that wait for their answers, and WebSockets.

use super::letter::Carrier;
use super::sid::SessionKey;
use crate::app::{Seat, User};
use crate::limits;
use crate::shard::Core;
use std::collections::BTreeMap;

/// Requests and WebSockets of one core that are about sessions.
#[derive(Debug, Default)]
pub(super) struct EngineLinks {
    /// Requests that wait, and for which session.
    asked: BTreeMap<User, SessionKey>,
    links: Vec<Option<EngineLink>>,
    free: Vec<u32>,
}

/// A WebSocket that carries a session, or is about to.
#[derive(Clone, Copy, Debug)]
pub(super) struct EngineLink {
    user: User,
    pub(super) session: SessionKey,
    /// Bytes of what it said that the session has not heard.
    unheard: usize,
    /// It is not received until the session has heard more.
    is_held: bool,
    /// It takes less than it is told.
    is_behind: bool,
}

/// What tells the seats of links from those of other users.
const LINK: u32 = 1 << 31;

impl EngineLinks {
    /// Somebody waits for an answer of that session.
    pub(super) fn ask(&mut self, asker: User, session: SessionKey) {
        self.asked.insert(asker, session);
    }

    /// Somebody waits no more: for which session it did.
    pub(super) fn answered(&mut self, asker: User) -> Option<SessionKey> {
        self.asked.remove(&asker)
    }

    /// A WebSocket has come for that session: its seat.
    pub(super) fn insert(&mut self, user: User, session: SessionKey) -> Seat {
        let link = EngineLink {
            user,
            session,
            unheard: 0,
            is_held: false,
            is_behind: false,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            u32::try_from(self.links.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.links.get_mut(at as usize) {
            *place = Some(link);
        }
        Seat(LINK | at)
    }

    /// A WebSocket is gone.
    pub(super) fn remove(&mut self, seat: Seat) -> Option<SessionKey> {
        let at = link_of(seat)?;
        let link = self.links.get_mut(at as usize)?.take()?;
        self.free.push(at);
        Some(link.session)
    }

    /// The WebSocket at a seat.
    pub(super) fn get_mut(&mut self, seat: Seat) -> Option<&mut EngineLink> {
        self.links.get_mut(link_of(seat)? as usize)?.as_mut()
    }

    /// What a session calls the WebSocket at a seat of this core.
    pub(super) fn carrier(&self, core: Core, user: User, seat: Seat) -> Carrier {
        let link = link_of(seat).unwrap_or_default();
        Carrier { core, user, link }
    }

    /// A session's own name for a WebSocket leads to it, if it is still here.
    pub(super) fn of(&mut self, carrier: Carrier) -> Option<&mut EngineLink> {
        let link = self.get_mut(Seat(LINK | carrier.link))?;
        (link.user == carrier.user).then_some(link)
    }

    /// What is about sessions of a core that is gone: requests, and WebSockets.
    pub(super) fn of_core(&self, core: Core) -> (Vec<User>, Vec<User>) {
        let asked = self.asked.iter().filter(|(_, key)| key.core == core);
        let links = self.links.iter().flatten();
        let links = links.filter(|link| link.session.core == core);
        let users = links.map(|link| link.user);
        (asked.map(|(user, _)| *user).collect(), users.collect())
    }
}

impl EngineLink {
    /// It has said so many bytes, which wait to be heard.
    pub(super) const fn said(&mut self, bytes: usize) {
        self.unheard += bytes;
    }

    /// Whether it may say more now; if not it is held.
    pub(super) const fn may_say(&mut self) -> bool {
        self.is_held = self.unheard >= limits::BACKLOG_HIGH;
        !self.is_held
    }

    /// So many bytes of it are heard. Whether it may be released.
    pub(super) const fn heard(&mut self, bytes: usize) -> bool {
        self.unheard = self.unheard.saturating_sub(bytes);
        let is_free = self.is_held && self.unheard < limits::BACKLOG_HIGH;
        if is_free {
            self.is_held = false;
        }
        is_free
    }

    /// It takes less than it is told. Whether that is new.
    pub(super) const fn fell_behind(&mut self) -> bool {
        !std::mem::replace(&mut self.is_behind, true)
    }

    /// It has taken what it was told. Whether that is new.
    pub(super) const fn caught_up(&mut self) -> bool {
        std::mem::replace(&mut self.is_behind, false)
    }
}

/// Whether a seat is a link's.
pub(super) const fn is_link(seat: Seat) -> bool {
    link_of(seat).is_some()
}

const fn link_of(seat: Seat) -> Option<u32> {
    if seat.0 & LINK == 0 || seat.0 == u32::MAX {
        return None;
    }
    Some(seat.0 & !LINK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SessionKey = SessionKey {
        core: Core(1),
        number: 7,
    };

    #[test]
    fn a_link_that_says_much_is_held_until_that_is_heard() {
        let mut links = EngineLinks::default();
        let seat = links.insert(User(3), KEY);
        assert!(is_link(seat) && !is_link(Seat(3)));
        let link = links.get_mut(seat).expect("a link");
        assert!(link.may_say());
        link.said(limits::BACKLOG_HIGH);
        assert!(!link.may_say());
        assert!(link.heard(1), "it may be released, once");
        assert!(!link.heard(1));
        assert!(link.fell_behind() && !link.fell_behind());
        assert!(link.caught_up() && !link.caught_up());
    }

    #[test]
    fn a_place_is_used_again_and_a_late_name_does_not_lead_there() {
        let mut links = EngineLinks::default();
        let seat = links.insert(User(3), KEY);
        let carrier = links.carrier(Core(0), User(3), seat);
        assert!(links.of(carrier).is_some());
        assert_eq!(links.remove(seat), Some(KEY));
        assert_eq!(links.remove(seat), None);
        assert_eq!(links.insert(User(4), KEY), seat);
        assert!(links.of(carrier).is_none());
        links.ask(User(9), KEY);
        assert_eq!(links.of_core(Core(1)), (vec![User(9)], vec![User(4)]));
        assert_eq!(links.of_core(Core(0)), (vec![], vec![]));
    }
}
