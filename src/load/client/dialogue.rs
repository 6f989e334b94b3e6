//! A client that has a dialogue: its side of the conversation, and the calls of it.

use crate::load::measure::recorder::Recorder;
use crate::load::redirect::Redirect;
use crate::load::scenario::{Actions, Address, Context, Dialogue, Speaker, Wake};
use crate::load::transport::Transport;
use crate::shard::{ConnectionId, Core};
use crate::time::Instant;

/// What a client with a dialogue has beyond other clients.
#[derive(Debug)]
pub(super) struct Conversation {
    dialogue: Box<dyn Dialogue>,
    /// Where its connection was led to: its posts go there too.
    redirect: Option<Redirect>,
    /// Exchanges begun, and those of them that are over.
    begun: u32,
    over: u32,
    /// When it wants to be told that it is due.
    wake: Option<Instant>,
    /// It has stopped reading.
    is_paused: bool,
    /// Its connection is over.
    is_over: bool,
}

/// What a dialogue is called with: what happens around it, and where its wishes go.
pub(super) struct ScenarioCall<'a> {
    pub(super) core: Core,
    pub(super) now: Instant,
    pub(super) transport: Transport,
    pub(super) recorder: &'a mut Recorder,
    pub(super) actions: &'a mut Actions,
    pub(super) rng: &'a mut fastrand::Rng,
}

impl Conversation {
    pub(super) fn new(dialogue: Box<dyn Dialogue>, redirect: Option<Redirect>) -> Box<Self> {
        Box::new(Self {
            dialogue,
            redirect,
            begun: 0,
            over: 0,
            wake: None,
            is_paused: false,
            is_over: false,
        })
    }

    /// Calls the dialogue, unless its connection is over or it has just ended that.
    pub(super) fn call(
        &mut self,
        (id, number): (ConnectionId, u32),
        with: &mut ScenarioCall<'_>,
        call: impl FnOnce(&mut dyn Dialogue, &mut Context<'_>),
    ) {
        if self.is_over || with.actions.is_leaving() {
            return;
        }
        let speaker = Speaker {
            address: Address::new(with.core, id),
            number,
            transport: with.transport,
            now: with.now,
        };
        let mut context = Context {
            speaker,
            said: with.actions,
            recorder: with.recorder,
            rng: with.rng,
            begun: &mut self.begun,
            over: &mut self.over,
        };
        call(&mut *self.dialogue, &mut context);
    }

    /// The dialogue wants to be woken then, or not at all; the time to set a timer for.
    pub(super) const fn set_wake(&mut self, wake: Wake) -> Option<Instant> {
        self.wake = match wake {
            Wake::Never => None,
            Wake::At(at) => Some(at),
        };
        self.wake
    }

    /// Where its connection was led to, if it was.
    pub(super) const fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// When it wants to be woken.
    pub(super) const fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// It stops reading, or goes on.
    pub(super) const fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether it has stopped reading.
    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Exchanges under way.
    pub(super) const fn in_flight(&self) -> u32 {
        self.begun.wrapping_sub(self.over)
    }

    /// Exchanges begun so far.
    pub(super) const fn begun(&self) -> u32 {
        self.begun
    }

    /// Its connection is over, and nothing is under way any more; how many exchanges were.
    pub(super) const fn end(&mut self) -> u32 {
        self.is_over = true;
        let lost = self.in_flight();
        self.over = self.begun;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::send_times::SendTimes;
    use crate::load::scenario::{Incoming, Leave, Part, Piece};
    use std::time::Duration;

    /// Begins an exchange on every turn and leaves at the second message.
    #[derive(Debug, Default)]
    struct Talker {
        heard: u32,
    }

    impl Dialogue for Talker {
        fn on_open(&mut self, context: &mut Context<'_>) {
            context.ready(Part::Speaks);
            context.wake_after(Duration::from_nanos(5));
        }

        fn on_message(&mut self, _message: Incoming<'_>, context: &mut Context<'_>) {
            self.heard += 1;
            if self.heard == 2 {
                context.close(1000);
            }
        }

        fn on_turn(&mut self, piece: Piece, context: &mut Context<'_>) {
            let exchange = context.begin(piece);
            let _ = exchange;
        }
    }

    #[test]
    fn a_dialogue_is_called_until_it_leaves_and_its_exchanges_are_counted() {
        let now = Instant::from_nanos(100);
        let (mut recorder, mut actions) = (Recorder::new(true), Actions::default());
        let mut rng = fastrand::Rng::with_seed(1);
        let mut with = ScenarioCall {
            core: Core(0),
            now,
            transport: Transport::WebSocket,
            recorder: &mut recorder,
            actions: &mut actions,
            rng: &mut rng,
        };
        let client = (ConnectionId::new(1, 1), 7);
        let mut conversation = Conversation::new(Box::new(Talker::default()), None);
        conversation.call(client, &mut with, |it, context| it.on_open(context));
        let wake = with.actions.wake.take().unwrap();
        assert_eq!(conversation.set_wake(wake), Some(Instant::from_nanos(105)));
        let times = SendTimes {
            intended: now,
            submitted: now,
        };
        for _ in 0..3 {
            conversation.call(client, &mut with, |it, context| {
                it.on_turn(Piece(times), context);
            });
        }
        assert_eq!((conversation.begun(), conversation.in_flight()), (3, 3));
        for _ in 0..5 {
            conversation.call(client, &mut with, |it, context| {
                it.on_message(Incoming::Text(b"hello"), context);
            });
        }
        assert_eq!(with.actions.leave, Some(Leave::Close(1000)));
        assert_eq!((conversation.end(), conversation.in_flight()), (3, 0));
        assert_eq!(conversation.begun(), 3);
    }
}
