//! One client: how far it is, what it is there for, and what became of it before.

use super::role::ClientRole;
use super::stream::Stream;
use crate::load::attempt::{Attempt, Past, RetryState};
use crate::load::measure::failure::Stage;
use crate::load::redirect::Redirect;
use crate::load::work::Scenario;
use crate::protocol::http::HeadReader;
use crate::time::Instant;
use std::time::Duration;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientState {
    /// The slot has no client.
    Free,
    /// TCP is under way.
    Connecting,
    /// The request is sent, its response is not complete.
    Upgrading,
    /// Upgraded; the scenario's own handshake is under way.
    Greeting,
    /// Up.
    Open,
    /// Our close frame is sent (RFC 6455, 7.1.2), the peer's is awaited.
    CloseSent,
    /// Nothing more is said or heard; the engine has yet to say `closed`.
    Over,
}

impl ClientState {
    /// The stage that a connect in that state is at; `None` if it is up, failed or over.
    pub(super) const fn stage(self) -> Option<Stage> {
        match self {
            Self::Connecting => Some(Stage::Connect),
            Self::Upgrading => Some(Stage::Upgrade),
            Self::Greeting => Some(Stage::Ready),
            Self::Free | Self::Open | Self::CloseSent | Self::Over => None,
        }
    }

    /// Whether a client goes from this state to that one.
    const fn leads_to(self, next: Self) -> bool {
        match (self, next) {
            (Self::Connecting, Self::Upgrading)
            | (Self::Upgrading, Self::Greeting | Self::Open)
            | (Self::Greeting, Self::Open)
            | (Self::Open, Self::CloseSent)
            | (
                Self::Connecting | Self::Upgrading | Self::Greeting | Self::Open | Self::CloseSent,
                Self::Over,
            ) => true,
            (
                Self::Free
                | Self::Connecting
                | Self::Upgrading
                | Self::Greeting
                | Self::Open
                | Self::CloseSent
                | Self::Over,
                _,
            ) => false,
        }
    }
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Client {
    /// Its place among the core's connections of the plan, from 0.
    place: u32,
    /// The connection's index in the whole run.
    number: u32,
    /// So many turns among the targets it has been sent on.
    moves: u32,
    /// So many addresses further than its turn is.
    further: u32,
    state: ClientState,
    /// It has a timer to speak.
    is_thinking: bool,
    /// Its last ping has not been answered.
    awaits_pong: bool,
    /// Its time is over: it only waits for replies.
    is_leaving: bool,
    /// When its present state began.
    since: Instant,
    /// When its first connect was meant to start.
    intended: Instant,
    /// What went wrong before, while it connects again or has not caught up since.
    past: Past,
    role: ClientRole,
    stream: Stream,
}

/// What reading bytes touches of a client.
pub(super) struct ClientParts<'a> {
    pub(super) number: u32,
    /// Whose turn it is among the targets.
    pub(super) turn: u64,
    pub(super) stream: &'a mut Stream,
    pub(super) role: &'a mut ClientRole,
    pub(super) past: &'a mut Past,
    pub(super) awaits_pong: &'a mut bool,
}

/// How a client came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameUp {
    /// For the first time.
    First,
    /// After it had lost its connection then; `None`: it is only there again when it has heard
    /// something.
    AfterLoss {
        /// When.
        lost_at: Option<Instant>,
    },
}

impl Client {
    /// A client whose connect starts now.
    pub(super) fn new(
        mut attempt: Attempt,
        scenario: &Scenario,
        sequence: u32,
        now: Instant,
    ) -> Self {
        Self {
            place: attempt.place(),
            number: attempt.number(),
            moves: attempt.moves(),
            further: attempt.further(),
            state: ClientState::Connecting,
            is_thinking: false,
            awaits_pong: false,
            is_leaving: false,
            since: now,
            intended: attempt.intended(),
            role: ClientRole::of(scenario, sequence, attempt.intended()),
            past: attempt.take_past(),
            stream: Stream::Head(HeadReader::of_responses()),
        }
    }

    /// No client.
    pub(super) fn free() -> Self {
        let never = Instant::from_nanos(0);
        let nobody = Attempt::first(0, 0, never);
        Self {
            state: ClientState::Free,
            ..Self::new(nobody, &Scenario::Idle, 0, never)
        }
    }

    /// It goes on to another state; how long it was in the one before.
    pub(super) fn enter(&mut self, next: ClientState, now: Instant) -> Duration {
        self.change(next);
        let before = std::mem::replace(&mut self.since, now);
        now.since(before)
    }

    /// Nothing more is said or heard.
    pub(super) fn end(&mut self, next: ClientState) {
        self.change(next);
    }

    /// The response head was right, or another comes first: what follows. What it was before.
    pub(super) fn upgraded(&mut self, stream: Stream) -> Stream {
        std::mem::replace(&mut self.stream, stream)
    }

    /// Its dialogue begins.
    pub(super) fn begin(&mut self, role: ClientRole) {
        self.role = role;
    }

    /// It is up.
    pub(super) fn up(&mut self, now: Instant) -> CameUp {
        let is_back = self.past.as_mut().is_some_and(|past| past.lost().is_some());
        match &mut self.role {
            ClientRole::Listen(seen) if is_back => {
                seen.up(now, &mut self.past);
                CameUp::AfterLoss { lost_at: None }
            }
            ClientRole::Listen(_)
            | ClientRole::Echo(_)
            | ClientRole::Dialogue(_)
            | ClientRole::Idle => {
                if let ClientRole::Listen(seen) = &mut self.role {
                    seen.up(now, &mut None);
                }
                let past = self.past.take();
                match past.and_then(|past| past.into_lost()) {
                    Some(mut lost) => CameUp::AfterLoss {
                        lost_at: lost.take_time(),
                    },
                    None => CameUp::First,
                }
            }
        }
    }

    /// Its connect, to be tried again; what went wrong before goes with it.
    pub(super) fn attempt(&mut self) -> Attempt {
        let past = self.past.take();
        self.first_attempt().after(past)
    }

    /// Its next connect, after it has lost its connection.
    pub(super) fn attempt_after_loss(&self, newest_ns: u64) -> Attempt {
        let lost = self.stream.lost(self.role.pushed());
        let mut attempt = self.first_attempt().after(Some(RetryState::of(lost)));
        attempt.mark_newest(newest_ns);
        attempt
    }

    /// What reading bytes touches.
    pub(super) const fn parts(&mut self) -> ClientParts<'_> {
        ClientParts {
            number: self.number,
            turn: self.turn(),
            stream: &mut self.stream,
            role: &mut self.role,
            past: &mut self.past,
            awaits_pong: &mut self.awaits_pong,
        }
    }

    /// What it is there for.
    pub(super) const fn role_mut(&mut self) -> &mut ClientRole {
        &mut self.role
    }

    /// It is about to think before it speaks; false if it does already.
    pub(super) const fn think(&mut self) -> bool {
        !std::mem::replace(&mut self.is_thinking, true)
    }

    /// It has thought.
    pub(super) const fn has_thought(&mut self) {
        self.is_thinking = false;
    }

    /// A ping has gone, or its pong is not awaited any more.
    pub(super) const fn await_pong(&mut self, awaits: bool) {
        self.awaits_pong = awaits;
    }

    /// Whether its last ping has not been answered.
    pub(super) const fn awaits_pong(&self) -> bool {
        self.awaits_pong
    }

    /// Its time is over: it says no more.
    pub(super) const fn leave_soon(&mut self) {
        self.is_leaving = true;
    }

    /// Whether its time is over.
    pub(super) const fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    #[inline]
    pub(super) const fn state(&self) -> ClientState {
        self.state
    }

    /// Whether it is up.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.state == ClientState::Open
    }

    /// Its place among the core's connections of the plan, from 0.
    pub(super) const fn place(&self) -> u32 {
        self.place
    }

    /// The connection's index in the whole run.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Whose turn it is among the targets.
    #[inline]
    pub(super) const fn turn(&self) -> u64 {
        self.number as u64 + self.moves as u64
    }

    /// A connect to the server where it is, that is meant to start then.
    pub(super) fn connect_there(&self, intended: Instant) -> Attempt {
        let attempt = Attempt::first(self.number, self.place, intended);
        attempt.moved(self.moves).led(self.further)
    }

    /// When its present state began.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// When its first connect was meant to start.
    pub(super) const fn intended(&self) -> Instant {
        self.intended
    }

    /// Addresses that have been tried in vain.
    pub(super) fn addresses_tried(&self) -> u32 {
        crate::load::attempt::addresses_tried(&self.past)
    }

    /// The redirect that this connect follows.
    pub(super) fn redirect(&self) -> Option<&Redirect> {
        self.past.as_ref()?.redirect()
    }

    /// The last event ID before the loss that this connect follows.
    pub(super) fn last_event_id(&self) -> Option<&str> {
        self.past.as_ref()?.last_event_id()
    }

    /// What it is there for.
    #[inline]
    pub(super) const fn role(&self) -> &ClientRole {
        &self.role
    }

    /// What its bytes are.
    #[inline]
    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    fn first_attempt(&self) -> Attempt {
        let intended = match &self.role {
            // Once the first event has been heard, there is none to wait for.
            ClientRole::Listen(seen) => seen.unheard_since(),
            ClientRole::Echo(_) | ClientRole::Dialogue(_) | ClientRole::Idle => self.intended,
        };
        self.connect_there(intended)
    }

    fn change(&mut self, next: ClientState) {
        assert!(
            self.state.leads_to(next),
            "no client goes from {:?} to {next:?}",
            self.state
        );
        self.state = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::attempt::LostConnection;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    fn client(scenario: &Scenario) -> Client {
        Client::new(Attempt::first(9, 3, at(5)), scenario, 0, at(7))
    }

    #[test]
    fn a_client_has_these_transitions_and_no_others() {
        use ClientState::{CloseSent, Connecting, Free, Greeting, Open, Over, Upgrading};
        let all = [Free, Connecting, Upgrading, Greeting, Open, CloseSent, Over];
        let mut said = Vec::new();
        for from in all {
            for to in all.into_iter().filter(|&to| from.leads_to(to)) {
                said.push(format!("{from:?} -> {to:?}"));
            }
        }
        let expected = [
            "Connecting -> Upgrading",
            "Connecting -> Over",
            "Upgrading -> Greeting",
            "Upgrading -> Open",
            "Upgrading -> Over",
            "Greeting -> Open",
            "Greeting -> Over",
            "Open -> CloseSent",
            "Open -> Over",
            "CloseSent -> Over",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    #[should_panic(expected = "no client goes from Over to Open")]
    fn what_is_over_does_not_open() {
        let mut client = client(&Scenario::Echo);
        client.end(ClientState::Over);
        client.enter(ClientState::Open, at(9));
    }

    #[test]
    fn each_stage_of_a_connect_has_its_time() {
        let mut client = client(&Scenario::Echo);
        let tcp = client.enter(ClientState::Upgrading, at(10));
        let upgrade = client.enter(ClientState::Open, at(30));
        assert_eq!([tcp, upgrade].map(|time| time.as_nanos()), [3, 20]);
        assert_eq!((client.intended(), client.since()), (at(5), at(30)));
    }

    #[test]
    fn a_listener_keeps_what_it_has_to_catch_up_with_and_others_give_it_away() {
        assert_eq!(client(&Scenario::Listen).up(at(8)), CameUp::First);
        let lost = || {
            let lost = LostConnection::new(4, String::new(), None);
            let mut attempt = Attempt::first(9, 3, at(5)).after(Some(RetryState::of(lost)));
            attempt.mark_lost(at(6));
            attempt
        };
        let mut listener = Client::new(lost(), &Scenario::Listen, 0, at(7));
        assert_eq!(listener.up(at(8)), CameUp::AfterLoss { lost_at: None });
        assert!(!listener.attempt().is_first(), "it has not heard anything");
        let mut echo = Client::new(lost(), &Scenario::Echo, 0, at(7));
        let lost_at = Some(at(6));
        assert_eq!(echo.up(at(8)), CameUp::AfterLoss { lost_at });
        assert!(echo.attempt().is_first());
        assert!(!echo.attempt_after_loss(0).is_first());
    }
}
