//! How the cores of a run begin and end at one time: each tells the first how far it is, and the
//! first tells all when to go on.

use super::pace::Stripe;
use super::scenario::{Address, Note};
use crate::shard::{Core, Wire};
use crate::time::Instant;
use std::time::Duration;

/// From the last core's word to the common start: enough for the word to reach sleeping cores.
const LEAD_TIME: Duration = Duration::from_millis(5);
/// What the first core waits beyond the connect phase, and the others beyond that.
const PATIENCE_TIME: Duration = Duration::from_secs(1);

/// What the cores of a run tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreMessage {
    /// To the first core: this core's connects are done.
    Ready {
        /// Connections that are up.
        up: u64,
        /// This core, if there are connections and all of them only listen.
        listening: ListeningCores,
    },
    /// From the first core: messages begin then.
    Start {
        /// When.
        at: Instant,
        /// Cores that have no part of the plan.
        listening: ListeningCores,
    },
    /// From the first core: no core has a connection; there is nothing to measure.
    Abandon,
    /// To the first core: nobody is left here who takes turns, and the scenario ends with them.
    TurnsDone,
    /// From the first core: nobody is left anywhere.
    End,
    /// To the first core: no reply is missing here. Its connections stay, for those of other cores
    /// whose messages they are to hear.
    Drained,
    /// From the first core: no reply is missing anywhere.
    Close,
    /// From one dialogue to another.
    Note(Address, Note),
}

/// The cores, of the first 64, whose clients all only listen: a plan of turns is not theirs. Beyond
/// them every core counts as one that has somebody to take a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListeningCores(u64);

impl ListeningCores {
    /// That core alone.
    pub(super) fn of(core: Core) -> Self {
        Self(1_u64.checked_shl(u32::from(core.0)).unwrap_or(0))
    }

    /// Those of both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Which pieces of the plan are a core's: none where all clients only listen, as another core
    /// has clients that can take them.
    pub(super) fn stripe(self, core: Core, cores: u16, connections: u32) -> Stripe {
        let sharing = cores.min(u16::try_from(connections).unwrap_or(u16::MAX));
        let takes = |core: &u16| self.0 & Self::of(Core(*core)).0 == 0;
        let count = |cores: u16| (0..cores).filter(takes).count();
        let [before, all] = [core.0.min(sharing), sharing].map(count);
        let [before, all] = [before, all].map(|it| u16::try_from(it).unwrap_or(u16::MAX));
        if all == 0 || self == Self::default() {
            return Stripe::among(core.0, cores, connections);
        }
        if core.0 >= sharing || !takes(&core.0) {
            return Stripe::NOTHING;
        }
        Stripe::new(before, all)
    }
}

/// What begins a run that nobody has a connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithoutConnections {
    /// There is nothing to measure.
    Abandon,
    /// Connections come while the run runs.
    Start,
}

/// What a core has told, and the first one has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartBarrier {
    cores: u16,
    without: WithoutConnections,
    /// Cores whose connects are done, and their connections.
    ready: u16,
    up: u64,
    listening: ListeningCores,
    turns_done: Count,
    drained: Count,
}

/// How many cores have said something, and whether this one has.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    cores: u16,
    is_said: bool,
}

impl StartBarrier {
    /// Among so many cores.
    pub(super) fn new(cores: u16, without: WithoutConnections) -> Self {
        Self {
            cores,
            without,
            ready: 0,
            up: 0,
            listening: ListeningCores::default(),
            turns_done: Count::default(),
            drained: Count::default(),
        }
    }

    /// This core says how far it is to the first one; what it hears back at once, being the first.
    pub(super) fn say(
        &mut self,
        message: CoreMessage,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<CoreMessage> {
        if wire.core() == Core(0) {
            return self.hear(message, wire);
        }
        wire.forward(Core(0), message);
        None
    }

    /// A core said something: what the first core then tells every core, this one among them.
    pub(super) fn hear(
        &mut self,
        message: CoreMessage,
        wire: &mut impl Wire<CoreMessage>,
    ) -> Option<CoreMessage> {
        let answer = self.told(message, wire.now())?;
        tell_others(answer, wire);
        Some(answer)
    }

    /// A core is missing: the run begins without it, at what this core hears.
    pub(super) fn wait_no_longer(&self, wire: &mut impl Wire<CoreMessage>) -> CoreMessage {
        if wire.core() == Core(0) {
            let start = self.start(wire.now());
            tell_others(start, wire);
            return start;
        }
        let (at, listening) = (wire.now(), ListeningCores::default());
        CoreMessage::Start { at, listening }
    }

    /// The first core was told something: what it then tells every core, itself among them.
    pub(super) fn told(&mut self, message: CoreMessage, now: Instant) -> Option<CoreMessage> {
        match message {
            CoreMessage::Ready { up, listening } => {
                self.ready += 1;
                self.up += up;
                self.listening = self.listening.and(listening);
                (self.ready == self.cores).then(|| self.start(now))
            }
            CoreMessage::TurnsDone => {
                self.turns_done.cores += 1;
                (self.turns_done.cores == self.cores).then_some(CoreMessage::End)
            }
            CoreMessage::Drained => {
                self.drained.cores += 1;
                (self.drained.cores == self.cores).then_some(CoreMessage::Close)
            }
            CoreMessage::Start { .. }
            | CoreMessage::Abandon
            | CoreMessage::End
            | CoreMessage::Close
            | CoreMessage::Note(..) => None,
        }
    }

    /// How all begin, though some cores may not have said that they are ready.
    pub(super) fn start(&self, now: Instant) -> CoreMessage {
        if self.up == 0 && self.without == WithoutConnections::Abandon {
            return CoreMessage::Abandon;
        }
        let lead = if self.cores == 1 {
            Duration::ZERO
        } else {
            LEAD_TIME
        };
        CoreMessage::Start {
            at: now + lead,
            listening: self.listening,
        }
    }

    /// Nobody takes turns on this core any more: what the first core is to be told, once.
    pub(super) fn turns_done(&mut self) -> Option<CoreMessage> {
        self.turns_done.say(CoreMessage::TurnsDone)
    }

    /// No reply is missing on this core: what the first core is to be told, once.
    pub(super) fn drained(&mut self) -> Option<CoreMessage> {
        self.drained.say(CoreMessage::Drained)
    }

    /// How long a core waits for the common start after the time for connects: the first one less,
    /// so that all begin together without a core that is missing.
    pub(super) fn patience(is_first: bool) -> Duration {
        if is_first {
            PATIENCE_TIME
        } else {
            2 * PATIENCE_TIME
        }
    }
}

fn tell_others(message: CoreMessage, wire: &mut impl Wire<CoreMessage>) {
    for core in 1..wire.cores() {
        wire.forward(Core(core), message);
    }
}

impl Count {
    fn say(&mut self, message: CoreMessage) -> Option<CoreMessage> {
        (!std::mem::replace(&mut self.is_said, true)).then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(7);

    fn ready(up: u64) -> CoreMessage {
        let listening = ListeningCores::default();
        CoreMessage::Ready { up, listening }
    }

    fn start(at: Instant) -> CoreMessage {
        let listening = ListeningCores::default();
        CoreMessage::Start { at, listening }
    }

    #[test]
    fn a_plan_goes_to_the_cores_that_have_a_taker_if_any_has() {
        let of = |core| ListeningCores::of(Core(core));
        let some = of(1).and(of(2)).and(of(70));
        let stripe = |core| some.stripe(Core(core), 4, 100);
        assert_eq!(
            [0, 1, 2, 3].map(|core| stripe(core).share(11)),
            [6, 0, 0, 5]
        );
        assert_eq!([0, 3].map(|core| stripe(core).global(1)), [2, 3]);
        let all = of(0).and(of(1));
        assert_eq!(
            [0, 1].map(|core| all.stripe(Core(core), 2, 9).share(8)),
            [4, 4]
        );
        // A core without a connection has nothing before, and nothing now.
        let first = of(0);
        let shares = [0, 1, 2].map(|core| first.stripe(Core(core), 3, 2).share(8));
        assert_eq!(shares, [0, 8, 0]);
    }

    #[test]
    fn all_begin_when_the_last_is_ready_and_a_little_later_if_there_are_several() {
        let mut alone = StartBarrier::new(1, WithoutConnections::Abandon);

        assert_eq!(alone.told(ready(3), NOW), Some(start(NOW)));
        let mut three = StartBarrier::new(3, WithoutConnections::Abandon);
        assert_eq!(three.told(ready(0), NOW), None);
        assert_eq!(three.told(ready(1), NOW), None);
        let begun = three.told(ready(0), NOW);
        assert_eq!(begun, Some(start(NOW + LEAD_TIME)));
    }

    #[test]
    fn without_a_connection_only_sessions_begin() {
        let ready = ready(0);
        let mut barrier = StartBarrier::new(1, WithoutConnections::Abandon);
        assert_eq!(barrier.told(ready, NOW), Some(CoreMessage::Abandon));
        let mut barrier = StartBarrier::new(1, WithoutConnections::Start);
        assert_eq!(barrier.told(ready, NOW), Some(start(NOW)));
    }

    #[test]
    fn a_core_that_is_missing_is_not_waited_for_for_ever() {
        let mut barrier = StartBarrier::new(2, WithoutConnections::Abandon);
        assert_eq!(barrier.told(ready(1), NOW), None);
        assert_eq!(barrier.start(NOW), start(NOW + LEAD_TIME));
        assert!(StartBarrier::patience(true) < StartBarrier::patience(false));
    }

    #[test]
    fn each_core_says_once_that_it_is_done_and_all_end_with_the_last() {
        let mut barrier = StartBarrier::new(2, WithoutConnections::Abandon);
        assert_eq!(barrier.turns_done(), Some(CoreMessage::TurnsDone));
        assert_eq!(barrier.turns_done(), None);
        assert_eq!(barrier.drained(), Some(CoreMessage::Drained));
        assert_eq!(barrier.drained(), None);
        assert_eq!(barrier.told(CoreMessage::TurnsDone, NOW), None);
        assert_eq!(barrier.told(CoreMessage::Drained, NOW), None);
        let end = barrier.told(CoreMessage::TurnsDone, NOW);
        assert_eq!(end, Some(CoreMessage::End));
        let close = barrier.told(CoreMessage::Drained, NOW);
        assert_eq!(close, Some(CoreMessage::Close));
    }

    #[test]
    fn what_the_first_core_says_is_no_word_of_a_core() {
        let mut barrier = StartBarrier::new(1, WithoutConnections::Start);
        for message in [CoreMessage::End, CoreMessage::Close, CoreMessage::Abandon] {
            assert_eq!(barrier.told(message, NOW), None);
        }
    }
}
