//! One connect of a client: which client, and what went wrong before.

use super::redirect::Redirect;
use super::target::{Onward, Target};
use crate::time::Instant;
use std::time::Duration;

/// A connect, and what was before it.
#[derive(Debug)]
pub(super) struct Attempt {
    number: u32,
    place: u32,
    /// So many turns among the targets it has been sent on by servers that were overloaded.
    moves: u32,
    /// So many addresses of its target further than its turn it went: those before do not answer.
    further: u32,
    intended: Instant,
    /// Nothing, at the first attempt of the first connect.
    past: Past,
}

/// What a client remembers of what went wrong, if anything did.
pub(super) type Past = Option<Box<RetryState>>;

/// What a client remembers of what went wrong.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    /// Further attempts since the first connect, or since the loss.
    attempts: u32,
    /// Addresses that did not answer, of a name that has several.
    addresses: u32,
    /// The server was overloaded, and there is one that has not said so.
    is_onward: bool,
    /// Where the server sent it that was asked last.
    redirect: Option<Box<Redirect>>,
    /// What the server that refused it asks to be waited (`Retry-After`).
    retry_after: Option<Duration>,
    /// The loss of the connection, if it was up.
    lost: Option<LostConnection>,
}

/// A connection that was up and was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LostConnection {
    /// When; 0 once the time that it was missed has been measured.
    at: Instant,
    pushed: u64,
    /// When the newest message was sent that anybody here had heard of that server by then, on the
    /// server's clock.
    newest_ns: u64,
    last_event_id: String,
    retry: Option<Duration>,
    /// When it was up again; pushed messages that are older are replayed ones.
    up_at: Option<Instant>,
}

impl Attempt {
    /// The first connect of the connection with that index in the whole run and that place among
    /// those of the core, meant to start then.
    pub(super) const fn first(number: u32, place: u32, intended: Instant) -> Self {
        Self {
            number,
            place,
            moves: 0,
            further: 0,
            intended,
            past: None,
        }
    }

    /// The connect of a client that has been sent on so often.
    pub(super) fn moved(self, moves: u32) -> Self {
        Self { moves, ..self }
    }

    /// It goes so many addresses further than its turn is.
    pub(super) fn led(self, further: u32) -> Self {
        Self { further, ..self }
    }

    /// The connect after what is past.
    pub(super) fn after(self, past: Past) -> Self {
        Self { past, ..self }
    }

    /// Starts: what went wrong before goes with the client.
    pub(super) fn take_past(&mut self) -> Past {
        self.past.take()
    }

    /// One more attempt is to be made; how many there were.
    pub(super) fn count(&mut self) -> u32 {
        let past = self.past.get_or_insert_default();
        past.attempts += 1;
        past.attempts - 1
    }

    /// The address did not answer, of so many of one name: whether there is one that has not been
    /// tried.
    pub(super) fn next_address(&mut self, all: usize) -> bool {
        let past = self.past.get_or_insert_default();
        past.addresses = past.addresses.wrapping_add(1);
        all > 1 && !(past.addresses as usize).is_multiple_of(all)
    }

    /// The server leads elsewhere: that is asked next, in the same attempt.
    pub(super) fn follow(&mut self, redirect: Box<Redirect>) {
        let past = self.past.get_or_insert_default();
        (past.redirect, past.addresses) = (Some(redirect), 0);
    }

    /// The server is overloaded: the next attempt asks the next one. What the first asked to be
    /// waited is for itself, until all have been asked.
    pub(super) fn move_on(&mut self, onward: Onward) {
        // The next address is the one after that which was asked.
        let further = if onward.is_other_url { 0 } else { self.further };
        let turns = onward.turns.wrapping_mul(further.wrapping_add(1));
        let moves = self.moves.wrapping_add(turns);
        let rounds = [self.moves, moves].map(|moves| moves.checked_div(onward.servers));
        let past = self.past.get_or_insert_default();
        past.is_onward = rounds[0] == rounds[1];
        past.addresses = 0;
        if past.is_onward {
            past.retry_after = None;
        }
        if let Some(lost) = past.lost.as_mut().filter(|_| onward.is_other_url) {
            // Another stream, with numbers and ids of its own.
            (lost.pushed, lost.last_event_id) = (0, String::new());
        }
        self.moves = moves;
    }

    /// Whether the next attempt asks a server that has not said to be overloaded; said once.
    pub(super) fn take_onward(&mut self) -> bool {
        let past = self.past.as_mut();
        past.is_some_and(|past| std::mem::take(&mut past.is_onward))
    }

    /// It has failed: as browsers do, the next attempt asks where the first one did.
    pub(super) fn forget_redirect(&mut self) {
        if let Some(past) = &mut self.past {
            past.redirect = None;
        }
    }

    /// What the server asked to be waited: once by a refusal, or by the event stream that was lost.
    pub(super) fn take_asked_wait(&mut self) -> Option<Duration> {
        let past = self.past.as_mut()?;
        let asked = past.retry_after.take();
        asked.or_else(|| past.lost.as_ref()?.retry)
    }

    /// The connection's loss happened then.
    pub(super) fn mark_lost(&mut self, now: Instant) {
        let past = self.past.as_mut();
        if let Some(lost) = past.and_then(|past| past.lost.as_mut()) {
            lost.at = now;
        }
    }

    /// At its loss, the newest message that had been heard of its server had been sent then.
    pub(super) fn mark_newest(&mut self, newest_ns: u64) {
        let past = self.past.as_mut();
        if let Some(lost) = past.and_then(|past| past.lost.as_mut()) {
            lost.newest_ns = newest_ns;
        }
    }

    /// The connection's index in the whole run.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Whose turn it is among the targets.
    pub(super) fn turn(&self) -> u64 {
        u64::from(self.number) + u64::from(self.moves)
    }

    /// How often servers have sent it on.
    pub(super) const fn moves(&self) -> u32 {
        self.moves
    }

    /// How many addresses further than its turn it went.
    pub(super) const fn further(&self) -> u32 {
        self.further
    }

    /// Its place among those of the core.
    pub(super) const fn place(&self) -> u32 {
        self.place
    }

    /// When the first connect was meant to start.
    pub(super) const fn intended(&self) -> Instant {
        self.intended
    }

    /// Further attempts so far.
    pub(super) fn attempts(&self) -> u32 {
        self.past.as_ref().map_or(0, |past| past.attempts)
    }

    /// Addresses that have been tried in vain.
    pub(super) fn addresses(&self) -> u32 {
        addresses_tried(&self.past)
    }

    /// Where it goes instead of the connection's own target.
    pub(super) fn other_target(&self) -> Option<&Target> {
        let past = self.past.as_ref()?;
        past.redirect().map(Redirect::to)
    }

    /// Whether the connection has never been up.
    pub(super) fn is_first(&self) -> bool {
        self.past.as_ref().is_none_or(|past| past.lost.is_none())
    }
}

impl RetryState {
    /// Of a connection that was up.
    pub(super) fn of(lost: LostConnection) -> Box<Self> {
        Box::new(Self {
            lost: Some(lost),
            ..Self::default()
        })
    }

    /// A server that refuses asks to be left alone for so long.
    pub(super) const fn ask_wait(&mut self, time: Duration) {
        self.retry_after = Some(time);
    }

    /// The loss, if the connection was up.
    pub(super) fn into_lost(self) -> Option<LostConnection> {
        self.lost
    }

    /// The loss that the listener has not caught up with.
    pub(super) const fn lost(&mut self) -> Option<&mut LostConnection> {
        self.lost.as_mut()
    }

    /// The redirect that this connect follows.
    pub(super) fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_deref()
    }

    /// When the newest message had been sent that had been heard of the server at the loss.
    pub(super) fn newest_ns(&self) -> Option<u64> {
        self.lost.as_ref().map(|lost| lost.newest_ns)
    }

    /// The last event ID before the loss; `None` if none was given.
    pub(super) fn last_event_id(&self) -> Option<&str> {
        let lost = self.lost.as_ref()?;
        Some(lost.last_event_id.as_str()).filter(|id| !id.is_empty())
    }
}

impl LostConnection {
    /// With the last pushed sequence number (or 0), the last event ID (or nothing) and what the
    /// event stream asked to be waited.
    pub(super) fn new(pushed: u64, last_event_id: String, retry: Option<Duration>) -> Self {
        Self {
            pushed,
            last_event_id,
            retry,
            ..Self::default()
        }
    }

    /// It is up again.
    pub(super) const fn up_again(&mut self, now: Instant) {
        self.up_at = Some(now);
    }

    /// When it was lost; `None` from the second time on.
    pub(super) fn take_time(&mut self) -> Option<Instant> {
        let at = std::mem::take(&mut self.at);
        (at != Instant::default()).then_some(at)
    }

    /// The last pushed sequence number, or 0.
    pub(super) const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether what was sent then was asked for, by the last event ID, when the connection was up
    /// again. Without an id nothing was asked for: what is older was on its way.
    pub(super) fn asked_for(&self, sent_ns: u64) -> bool {
        let is_older = self.up_at.is_some_and(|up| sent_ns < up.as_nanos());
        !self.last_event_id.is_empty() && is_older
    }
}

/// Addresses that have been tried in vain.
pub(super) fn addresses_tried(past: &Past) -> u32 {
    past.as_ref().map_or(0, |past| past.addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    #[test]
    fn each_address_of_a_name_is_tried_once_an_attempt() {
        let mut attempt = Attempt::first(0, 0, at(5));
        assert!(!attempt.next_address(1), "there is no other");
        let mut attempt = Attempt::first(0, 0, at(5));
        let tried = [(); 6].map(|()| attempt.next_address(3));
        assert_eq!(tried, [true, true, false, true, true, false]);
        assert_eq!(attempt.addresses(), 6);
        assert!(attempt.is_first());
    }

    #[test]
    fn who_is_sent_on_waits_for_a_server_when_all_have_been_asked() {
        let onward = Onward {
            turns: 1,
            servers: 3,
            is_other_url: true,
        };
        let [long, short] = [9, 1].map(Duration::from_secs);
        let lost = LostConnection::new(7, "run:7".to_owned(), Some(short));
        let mut attempt = Attempt::first(4, 0, at(5)).after(Some(RetryState::of(lost)));
        let mut said = Vec::new();
        for _ in 0..4 {
            attempt.past.as_mut().unwrap().ask_wait(long);
            attempt.move_on(onward);
            let asked = attempt.take_asked_wait();
            said.push((attempt.turn(), attempt.take_onward(), asked));
            assert!(!attempt.take_onward());
        }
        let expected = [
            (5, true, Some(short)),
            (6, true, Some(short)),
            (7, false, Some(long)),
            (8, true, Some(short)),
        ];
        assert_eq!(said, expected);
        let lost = attempt
            .take_past()
            .and_then(|past| past.into_lost())
            .unwrap();
        assert_eq!((lost.pushed, lost.last_event_id.as_str()), (0, ""));
        // Of one name, what was heard at one address is asked for at the next.
        let lost = LostConnection::new(7, "run:7".to_owned(), None);
        let mut attempt = Attempt::first(4, 0, at(5)).after(Some(RetryState::of(lost)));
        attempt.move_on(Onward {
            is_other_url: false,
            ..onward
        });
        let past = attempt.take_past().unwrap();
        assert_eq!(past.last_event_id(), Some("run:7"));
    }

    #[test]
    fn a_refusal_s_wait_counts_once_and_a_stream_s_every_time() {
        let [long, short] = [9, 1].map(Duration::from_secs);
        let mut past = RetryState::of(LostConnection::new(7, String::new(), Some(short)));
        past.ask_wait(long);
        let mut attempt = Attempt::first(0, 0, at(5)).after(Some(past));
        let asked = [(); 3].map(|()| attempt.take_asked_wait());
        assert_eq!(asked, [Some(long), Some(short), Some(short)]);
    }

    #[test]
    fn only_what_was_asked_for_by_an_id_is_replayed() {
        let mut with = LostConnection::new(7, "run:7".to_owned(), None);
        assert!(!with.asked_for(1), "it is not up yet");
        with.up_again(at(100));
        assert_eq!([99, 100].map(|sent| with.asked_for(sent)), [true, false]);
        let mut without = LostConnection::new(7, String::new(), None);
        without.up_again(at(100));
        assert!(!without.asked_for(99));
    }
}
