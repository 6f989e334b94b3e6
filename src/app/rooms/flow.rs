//! Flow control of a room by credit, so that no number of talkers and no length of texts ends a
//! member that reads.
//!
//! The home counts what it has told each core; a core acknowledges it (`Heard`) while none of its
//! members is behind. While too much is unacknowledged the home gives the cores of talkers no
//! credit, and each of them hears no talker of that room once it has used its own up. For a member
//! that stays behind a room waits a second, then half of that, and so on: it goes on at a mebibyte
//! a second at least, and who takes less than that is ended when its backlog is full.

use crate::app::User;
use crate::limits;
use crate::time::Instant;
use std::time::Duration;

/// What a text of that length counts.
pub(super) fn weight(text: &str) -> u32 {
    u32::try_from(text.len().max(limits::SAID_BYTES_MIN)).unwrap_or(u32::MAX)
}

/// Bytes that the talkers of one core may have said in a room and have no credit for; the text
/// that reaches it is the last.
pub(super) fn share(cores: u16) -> u32 {
    (limits::ROOM_WINDOW / u32::from(cores.max(1))).max(limits::ROOM_WINDOW_MIN)
}

/// What the talkers of one core have said in a room, and who of them waits to say more.
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    /// Bytes said, and not credited by the home.
    said: u32,
    /// Talkers that wait, if any: first those that could not say anything when they last might.
    waiting: Option<Box<[Vec<User>; 2]>>,
}

/// Which talkers come first when the window is open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TalkTurn {
    /// Those that had none.
    Missed,
    /// Those that said something.
    Had,
}

impl SendWindow {
    pub(super) fn is_open(&self, share: u32) -> bool {
        self.said < share
    }

    pub(super) fn said(&mut self, bytes: u32) {
        self.said = self.said.saturating_add(bytes);
    }

    /// A talker is heard no more until there is credit.
    pub(super) fn wait(&mut self, user: User, turn: TalkTurn) {
        let [missed, had] = &mut **self.waiting.get_or_insert_default();
        if !missed.contains(&user) && !had.contains(&user) {
            match turn {
                TalkTurn::Missed => missed.push(user),
                TalkTurn::Had => had.push(user),
            }
        }
    }

    /// The home has given credit: who may be heard again.
    pub(super) fn credited(&mut self, bytes: u32) -> impl Iterator<Item = User> + use<> {
        self.said = self.said.saturating_sub(bytes);
        let waiting = self.waiting.take().map(|waiting| *waiting);
        waiting.into_iter().flatten().flatten()
    }
}

/// What the members of a room on one core have been told and its home does not know to be heard.
#[derive(Debug, Default)]
pub(super) struct ReceiveWindow {
    told: u32,
    /// Until when the home waits for a member that is behind, if it does.
    until: Option<Instant>,
    /// For how long it waited last; zero once no member was behind.
    patience: Duration,
}

impl ReceiveWindow {
    /// Whether so much has been told that it is to be acknowledged now.
    pub(super) fn told(&mut self, bytes: u32) -> bool {
        self.told = self.told.saturating_add(bytes);
        self.told >= limits::ROOM_WINDOW / 4 && self.until.is_none()
    }

    /// No member is behind, or the time to wait for it is over: how much is acknowledged.
    pub(super) fn acknowledge(&mut self, is_behind: bool) -> u32 {
        self.until = None;
        if !is_behind {
            self.patience = Duration::ZERO;
        }
        std::mem::take(&mut self.told)
    }

    /// Until when the home waits for a member, if it does.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.until
    }

    /// A member is behind: until when the home waits for it. Half as long each time.
    pub(super) fn wait(&mut self, now: Instant) -> Instant {
        self.patience = if self.patience.is_zero() {
            limits::ROOM_PATIENCE
        } else {
            (self.patience / 2).max(limits::ROOM_PATIENCE_MIN)
        };
        let until = now + self.patience;
        self.until = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talkers_that_missed_their_turn_come_before_those_that_had_it() {
        let mut window = SendWindow::default();
        let mut order: Vec<_> = (0..4).map(User).collect();
        for round in 0..8 {
            // Each time, the first says all that may be said.
            window.said(limits::ROOM_WINDOW);
            window.wait(order[0], TalkTurn::Had);
            for user in &order[1..] {
                window.wait(*user, TalkTurn::Missed);
                window.wait(*user, TalkTurn::Had);
            }
            order = window.credited(limits::ROOM_WINDOW).collect();
            assert_eq!(order.len(), 4, "each of them once");
            assert_eq!(order[0], User((round + 1) % 4));
        }
        assert_eq!(window.credited(1).count(), 0);
    }

    #[test]
    fn a_room_waits_shorter_and_shorter_for_a_member_that_stays_behind() {
        let (mut window, mut now) = (ReceiveWindow::default(), Instant::default());
        let begin = now;
        for _ in 0..100 {
            assert!(window.told(limits::ROOM_WINDOW), "it is to be acknowledged");
            now = window.wait(now);
            assert_eq!(window.waits_until(), Some(now));
            assert!(!window.told(1), "not while it waits");
            assert_eq!(window.acknowledge(true), limits::ROOM_WINDOW + 1);
        }
        let most = 2 * limits::ROOM_PATIENCE + 100 * limits::ROOM_PATIENCE_MIN;
        assert!(now.since(begin) <= most);
        assert_eq!(window.acknowledge(false), 0);
        assert_eq!(window.wait(now), now + limits::ROOM_PATIENCE);
    }
}
