//! `/stats`: what every core counts, gathered over the cores by question and answer.
//!
//! The core that is asked forwards a question to the others, and answers when all of them have
//! told or when [`ROUND_TIME`] is over, then saying which are missing. One question is under way at
//! a time: whoever asks meanwhile shares its answer, so a flood of requests costs one round.
//!
//! The keys of the answer are in the documentation of `server`.

use super::tally::Tally;
use crate::app::rooms;
use crate::shard::{ConnectionId, Core, Vitals, Wire};
use crate::time::Instant;
use serde::Serialize;
use std::time::Duration;

/// How long an answer waits for the other cores.
pub(super) const ROUND_TIME: Duration = Duration::from_millis(500);

/// What the servers of two cores say to each other.
#[derive(Clone, Debug)]
pub enum Message {
    /// What do you count?
    Ask {
        /// Which question of the asking core.
        round: u64,
    },
    /// That much.
    Tell {
        /// The question that is answered.
        round: u64,
        /// The answer.
        figures: Box<Figures>,
    },
    /// What the rooms of one say to those of the other.
    Rooms(Box<rooms::Post>),
}

/// What one core counts, or the sum over cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Connections and messages.
    #[serde(flatten)]
    pub tally: Tally,
    /// Bytes received from peers.
    pub bytes_in: u64,
    /// Bytes the kernel took for peers.
    pub bytes_out: u64,
    /// Bytes queued for peers and not yet taken by the kernel.
    pub backlog_bytes: u64,
    /// Turns of the engine's loop.
    pub turns: u64,
    /// Events handled in them.
    pub events: u64,
    /// Sends started.
    pub sends: u64,
    /// Receives that ended because no buffer was free.
    pub starved: u64,
    /// Times that accepting stopped because no slot was free.
    pub accept_pauses: u64,
    /// Times the watchdog found work that nobody had been woken for: a bug if not 0.
    pub rescues: u64,
    /// CPU time of the core's thread, user and system.
    pub cpu_s: f64,
    /// Connections waiting to be accepted.
    pub accept_queue: u64,
    /// How many may wait.
    pub accept_queue_limit: u64,
}

#[derive(Serialize)]
struct CoreFigures {
    core: u16,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Process {
    cpu_s: f64,
    rss_bytes: u64,
    descriptors: u64,
    descriptor_limit: u64,
}

#[derive(Serialize)]
struct Answer<'a> {
    engine: &'a str,
    uptime_s: f64,
    cores: Vec<CoreFigures>,
    total: Figures,
    process: Process,
    missing: Vec<u16>,
}

impl Figures {
    /// One core's count and its engine's reading.
    #[must_use]
    pub fn new(tally: Tally, vitals: &Vitals) -> Self {
        let counters = &vitals.counters;
        Self {
            tally,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            backlog_bytes: counters.backlog_bytes,
            turns: counters.turns,
            events: counters.events,
            sends: counters.sends,
            starved: counters.starved,
            accept_pauses: counters.accept_pauses,
            rescues: counters.rescues,
            cpu_s: vitals.thread_cpu.as_secs_f64(),
            accept_queue: vitals.accept_queue,
            accept_queue_limit: vitals.accept_queue_limit,
        }
    }

    fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.backlog_bytes += other.backlog_bytes;
        self.turns += other.turns;
        self.events += other.events;
        self.sends += other.sends;
        self.starved += other.starved;
        self.accept_pauses += other.accept_pauses;
        self.rescues += other.rescues;
        self.cpu_s += other.cpu_s;
        self.accept_queue += other.accept_queue;
        self.accept_queue_limit += other.accept_queue_limit;
    }
}

/// The question that is under way, if there is one, and who waits for its answer.
#[derive(Default)]
pub(super) struct Round {
    number: u64,
    told: Vec<Option<Figures>>,
    until: Option<Instant>,
    askers: Vec<ConnectionId>,
    reading: Option<(Instant, Vitals)>,
}

impl Round {
    /// Somebody wants the figures. True if they can be had at once: there is no other core.
    pub(super) fn ask(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) -> bool {
        let cores = wire.cores();
        if cores <= 1 {
            return true;
        }
        self.askers.push(id);
        if self.until.is_none() {
            self.number += 1;
            self.until = Some(wire.now() + ROUND_TIME);
            self.told.clear();
            self.told.resize(usize::from(cores), None);
            let own = wire.core();
            for core in (0..cores).map(Core).filter(|core| *core != own) {
                wire.forward(core, Message::Ask { round: self.number });
            }
        }
        false
    }

    /// Another core told. True if all have.
    pub(super) fn tell(&mut self, from: Core, round: u64, figures: Figures) -> bool {
        if self.until.is_none() || round != self.number {
            return false;
        }
        if let Some(place) = self.told.get_mut(from.index()) {
            *place = Some(figures);
        }
        // All but this core.
        self.told.iter().flatten().count() + 1 == self.told.len()
    }

    /// When the answer is due, complete or not.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Ends the round and hands over who waits.
    pub(super) fn end(&mut self, askers: &mut Vec<ConnectionId>) {
        self.until = None;
        askers.append(&mut self.askers);
    }

    /// The engine's figures, read once per turn: a reading is a few system calls, and a peer may
    /// pack many requests into one turn.
    pub(super) fn vitals(&mut self, wire: &mut impl Wire<Message>) -> Vitals {
        let now = wire.now();
        match self.reading {
            Some((at, vitals)) if at == now => vitals,
            Some(_) | None => {
                let vitals = wire.vitals();
                self.reading = Some((now, vitals));
                vitals
            }
        }
    }

    /// Writes the answer as JSON: this core's figures and what the others told.
    pub(super) fn write(
        &mut self,
        into: &mut Vec<u8>,
        (engine, started): (&str, Instant),
        tally: Tally,
        wire: &mut impl Wire<Message>,
    ) {
        let vitals = self.vitals(wire);
        self.told.resize(usize::from(wire.cores()), None);
        if let Some(own) = self.told.get_mut(wire.core().index()) {
            *own = Some(Figures::new(tally, &vitals));
        }
        let mut answer = Answer {
            engine,
            uptime_s: wire.now().since(started).as_secs_f64(),
            cores: Vec::with_capacity(self.told.len()),
            total: Figures::default(),
            process: Process {
                cpu_s: vitals.process_cpu.as_secs_f64(),
                rss_bytes: vitals.rss_bytes,
                descriptors: vitals.descriptors,
                descriptor_limit: vitals.descriptor_limit,
            },
            missing: Vec::new(),
        };
        for (core, told) in (0..).zip(&self.told) {
            match told {
                Some(figures) => {
                    answer.total.add(figures);
                    answer.cores.push(CoreFigures {
                        core,
                        figures: *figures,
                    });
                }
                None => answer.missing.push(core),
            }
        }
        let written = serde_json::to_writer(&mut *into, &answer);
        debug_assert!(written.is_ok(), "numbers and names always serialize");
        into.push(b'\n');
    }
}
