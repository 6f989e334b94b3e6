//! How the cores of a run begin at one time: each says when it is ready, the first says when to go.

use super::measure::outcome::{CoreUse, Ending};
use super::scenario::{Address, Note};
use super::shard::{Load, Message, Phase};
use crate::shard::{Core, Wire};
use crate::time::Instant;
use std::time::Duration;

/// From the last core's word to the common start: enough for the word to reach sleeping cores.
const LEAD_TIME: Duration = Duration::from_millis(5);
/// What the first core waits beyond the connect phase, and the others beyond that.
const PATIENCE_TIME: Duration = Duration::from_secs(1);

/// What the cores of a run tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To the first core: this core's connects are done.
    Ready {
        /// Connections that are up.
        up: u64,
    },
    /// From the first core: messages begin then.
    Start(Instant),
    /// From the first core: no core has a connection; there is nothing to measure.
    Abandon,
    /// To the first core: nobody is left here who takes turns, and the scenario ends with them.
    Silent,
    /// From the first core: nobody is left anywhere.
    End,
    /// To the first core: no reply is missing here. Its connections stay, for those of other cores
    /// whose messages they are to hear.
    Drained,
    /// From the first core: no reply is missing anywhere.
    Close,
    /// From one dialogue to another.
    Tell(Address, Note),
}

/// What the first core has been told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rally {
    ready: u16,
    up: u64,
    /// How many cores have fallen silent, and whether this one has said so.
    silent: u16,
    is_silent: bool,
    /// How many cores wait for no reply, and whether this one has said so.
    drained: u16,
    is_drained: bool,
}

impl Load {
    /// This core's connects are done: says so and waits.
    pub(super) fn be_ready(&mut self, wire: &mut impl Wire<Message>) {
        assert_eq!(self.phase, Phase::Connecting, "a core is ready once");
        self.phase = Phase::Waiting;
        self.note_connect_phase(wire);
        let up = u64::try_from(self.fleet.up()).unwrap_or(u64::MAX);
        let patience = if wire.core() == Core(0) {
            PATIENCE_TIME
        } else {
            2 * PATIENCE_TIME
        };
        self.clock.phase_by = self.clock.connect_by.max(wire.now()) + patience;
        if wire.core() == Core(0) {
            self.signalled(Signal::Ready { up }, wire);
        } else {
            wire.forward(Core(0), Signal::Ready { up });
        }
    }

    /// The connects are over on this core: how long they took.
    pub(super) fn note_connect_phase(&mut self, wire: &mut impl Wire<Message>) {
        let (cpu, time, _) = Self::use_since(self.marks.begun, wire);
        self.note_use(|used| (used.connect_cpu, used.connect_time) = (cpu, time));
    }

    /// Another core said something, or this one to itself.
    pub(super) fn signalled(&mut self, signal: Signal, wire: &mut impl Wire<Message>) {
        match signal {
            Signal::Ready { up } => {
                self.rally.ready += 1;
                self.rally.up += up;
                if self.rally.ready == wire.cores() && self.is_before_start() {
                    self.give_start(wire);
                }
            }
            Signal::Start(at) if self.is_before_start() => {
                if self.phase == Phase::Connecting {
                    self.give_up_connecting(wire);
                }
                self.set_start(at);
                if at <= wire.now() {
                    self.begin_running(wire);
                }
            }
            Signal::Abandon if self.is_before_start() => {
                if self.phase == Phase::Connecting {
                    self.give_up_connecting(wire);
                }
                self.recorder.outcome.ending = Ending::NeverBegan;
                self.begin_closing(wire);
            }
            Signal::Start(_) | Signal::Abandon => {}
            Signal::Silent => {
                self.rally.silent += 1;
                if self.rally.silent == wire.cores() {
                    for core in 1..wire.cores() {
                        wire.forward(Core(core), Signal::End);
                    }
                    self.signalled(Signal::End, wire);
                }
            }
            Signal::End if self.phase == Phase::Running => self.cut_short(wire),
            Signal::End => {}
            Signal::Drained => {
                self.rally.drained += 1;
                if self.rally.drained == wire.cores() {
                    for core in 1..wire.cores() {
                        wire.forward(Core(core), Signal::Close);
                    }
                    self.signalled(Signal::Close, wire);
                }
            }
            Signal::Close if self.phase == Phase::Draining => self.begin_closing(wire),
            Signal::Close => {}
            Signal::Tell(address, note) => self.notes.push_back((address, note)),
        }
    }

    /// In a scenario that ends with its turns, nobody here may be left to take one.
    pub(super) fn fall_silent_if_done(&mut self, wire: &mut impl Wire<Message>) {
        let is_done = self.phase == Phase::Running && self.fleet.speakers() == 0;
        if !is_done || self.rally.is_silent || !self.config.ends_with_turns() {
            return;
        }
        self.rally.is_silent = true;
        if wire.core() == Core(0) {
            self.signalled(Signal::Silent, wire);
        } else {
            wire.forward(Core(0), Signal::Silent);
        }
    }

    /// No reply is missing here: what clients of other cores said may still be on its way to those
    /// of this one, so all go together.
    pub(super) fn say_drained(&mut self, wire: &mut impl Wire<Message>) {
        if std::mem::replace(&mut self.rally.is_drained, true) {
            return;
        }
        if wire.core() == Core(0) {
            self.signalled(Signal::Drained, wire);
        } else {
            wire.forward(Core(0), Signal::Drained);
        }
    }

    /// A core is missing: the run begins without it.
    pub(super) fn wait_no_longer(&mut self, wire: &mut impl Wire<Message>) {
        if wire.core() == Core(0) {
            self.give_start(wire);
        } else {
            self.signalled(Signal::Start(wire.now()), wire);
        }
    }

    /// Changes what is known of this core's use of its thread.
    pub(super) fn note_use(&mut self, change: impl FnOnce(&mut CoreUse)) {
        if let Some(used) = self.recorder.outcome.cores.first_mut() {
            change(used);
        }
    }

    fn give_start(&mut self, wire: &mut impl Wire<Message>) {
        let alone = wire.cores() == 1;
        let lead = if alone { Duration::ZERO } else { LEAD_TIME };
        // Sessions come when the run runs.
        let signal = if self.rally.up == 0 && self.config.session.is_none() {
            Signal::Abandon
        } else {
            Signal::Start(wire.now() + lead)
        };
        for core in 1..wire.cores() {
            wire.forward(Core(core), signal);
        }
        self.signalled(signal, wire);
    }

    fn is_before_start(&self) -> bool {
        let is_unset = self.clock.start == super::shard::NEVER;
        is_unset && matches!(self.phase, Phase::Connecting | Phase::Waiting)
    }
}
