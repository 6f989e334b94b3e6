//! `/stats` and `/metrics`: what every core counts, gathered over the cores by question and answer.
//!
//! The core that is asked forwards a question to the others, and answers when all of them have
//! told or when [`ROUND_TIME`] is over, then saying which are missing. One question is under way at
//! a time: whoever asks meanwhile shares its answer, so a flood of requests costs one round.
//!
//! The keys of the answer are in the documentation of `server`.

use super::apps::Apps;
use super::mount::BuiltIn;
use super::tally::Tally;
use super::{Config, metrics};
use crate::shard::{ConnectionId, Core, Handshakes, TURN_BUCKETS, Table, Vitals, Wire};
use crate::stats::exposition::{OPENMETRICS, PROMETHEUS};
use crate::stats::{Cgroup, HostSample, Listener, Process};
use crate::time::Instant;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// How long an answer waits for the other cores.
pub(super) const ROUND_TIME: Duration = Duration::from_millis(500);

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For `/stats`.
    Json,
    /// For `/metrics`.
    Metrics(Reader),
}

/// What a reader of metrics says that it takes. Both get the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    OpenMetrics,
    Any,
}

impl Form {
    /// The media type of the answer.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Metrics(Reader::OpenMetrics) => OPENMETRICS,
            Self::Metrics(Reader::Any) => PROMETHEUS,
        }
    }
}

/// What the servers of two cores say to each other.
#[derive(Clone, Debug)]
pub enum Message<L = <BuiltIn as Apps>::Letters> {
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
    /// What an application of one says to the same of the other.
    App(L),
}

/// What one core counts, or the sum over cores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// Turns by how many events they handled: at most 1, 2, 4, and so on to 4096, and more.
    pub turn_events: [u64; TURN_BUCKETS],
    /// `io_uring_enter` calls; 0 on other engines.
    pub enters: u64,
    /// Entries submitted with them.
    pub entries: u64,
    /// Sends started.
    pub sends: u64,
    /// Receives that ended because no buffer was free.
    pub starved: u64,
    /// Times that accepting stopped because no slot was free.
    pub accept_pauses: u64,
    /// Times the watchdog found work that nobody had been woken for: a bug if not 0.
    pub rescues: u64,
    /// TLS handshakes; `None` where nothing speaks TLS.
    pub tls: Option<Tls>,
    /// CPU time of the core's thread, user and system.
    pub cpu_s: f64,
    /// Slots for connections in use.
    pub slots_used: u64,
    /// Slots.
    pub slots: u64,
    /// The tables that they are in; of one core.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "tables")]
    pub tables: Vec<Table>,
    /// Connections waiting to be accepted.
    pub accept_queue: Option<u64>,
    /// How many may wait.
    pub accept_queue_limit: Option<u64>,
}

/// TLS handshakes of accepted connections: [`Handshakes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// Under way now.
    pub handshakes_open: u64,
    /// Of those, peers that wait for an answer.
    pub handshakes_waiting: u64,
    /// Secured.
    pub handshakes_done: u64,
    /// Failed.
    pub handshakes_failed: u64,
    /// Given up by the peer.
    pub handshakes_left: u64,
    /// Took too long.
    pub handshakes_timed_out: u64,
    /// Made room for newer ones.
    pub handshakes_refused: u64,
}

impl From<Handshakes> for Tls {
    fn from(it: Handshakes) -> Self {
        Self {
            handshakes_open: it.under_way,
            handshakes_waiting: it.waiting,
            handshakes_done: it.done,
            handshakes_failed: it.failed,
            handshakes_left: it.left,
            handshakes_timed_out: it.timed_out,
            handshakes_refused: it.refused,
        }
    }
}

impl Tls {
    const fn add(&mut self, other: &Self) {
        self.handshakes_open += other.handshakes_open;
        self.handshakes_waiting += other.handshakes_waiting;
        self.handshakes_done += other.handshakes_done;
        self.handshakes_failed += other.handshakes_failed;
        self.handshakes_left += other.handshakes_left;
        self.handshakes_timed_out += other.handshakes_timed_out;
        self.handshakes_refused += other.handshakes_refused;
    }
}

#[derive(Serialize)]
pub(super) struct CoreFigures {
    pub(super) core: u16,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// Everything that is known when all have told.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) engine: &'a str,
    pub(super) uptime_s: f64,
    pub(super) cores: Vec<CoreFigures>,
    pub(super) total: Figures,
    pub(super) process: Process,
    pub(super) listeners: &'a [Listener],
    pub(super) host: Option<&'a HostSample>,
    pub(super) cgroup: Option<&'a Cgroup>,
    pub(super) sample_age_s: Option<f64>,
    pub(super) missing: Vec<u16>,
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
            turn_events: counters.turn_events,
            enters: counters.enters,
            entries: counters.entries,
            sends: counters.sends,
            starved: counters.starved,
            accept_pauses: counters.accept_pauses,
            rescues: counters.rescues,
            tls: vitals.handshakes.map(Tls::from),
            cpu_s: vitals.thread_cpu.as_secs_f64(),
            slots_used: vitals.tables.iter().map(|it| u64::from(it.used)).sum(),
            slots: vitals.tables.iter().map(|it| u64::from(it.size)).sum(),
            tables: vitals.tables.clone(),
            // Read elsewhere, for all cores at once.
            accept_queue: None,
            accept_queue_limit: None,
        }
    }

    fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.backlog_bytes += other.backlog_bytes;
        self.turns += other.turns;
        self.events += other.events;
        for (sum, more) in self.turn_events.iter_mut().zip(other.turn_events) {
            *sum += more;
        }
        self.enters += other.enters;
        self.entries += other.entries;
        self.sends += other.sends;
        self.starved += other.starved;
        self.accept_pauses += other.accept_pauses;
        self.rescues += other.rescues;
        if let Some(tls) = &other.tls {
            self.tls.get_or_insert_default().add(tls);
        }
        self.cpu_s += other.cpu_s;
        self.slots_used += other.slots_used;
        self.slots += other.slots;
        add_known(&mut self.accept_queue, other.accept_queue);
        add_known(&mut self.accept_queue_limit, other.accept_queue_limit);
    }

    /// Takes in who waits at this core's listeners.
    fn queue(&mut self, core: u16, listeners: &[Listener]) {
        for listener in listeners.iter().filter(|it| it.core == core) {
            add_known(&mut self.accept_queue, listener.accept_queue);
            add_known(&mut self.accept_queue_limit, listener.accept_queue_limit);
        }
    }
}

/// A sum is known as soon as a part of it is.
fn add_known(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or(0) + more);
    }
}

/// `[{"used":5,"size":100}]`; the seam knows no JSON.
fn tables<S: Serializer>(tables: &[Table], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Full {
        used: u32,
        size: u32,
    }
    serializer.collect_seq(
        tables
            .iter()
            .map(|&Table { used, size }| Full { used, size }),
    )
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
    pub(super) fn ask<L>(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<L>>) -> bool {
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
    pub(super) fn vitals<L>(&mut self, wire: &mut impl Wire<Message<L>>) -> Vitals {
        let now = wire.now();
        match &self.reading {
            Some((at, vitals)) if *at == now => vitals.clone(),
            Some(_) | None => {
                let vitals = wire.vitals();
                self.reading = Some((now, vitals.clone()));
                vitals
            }
        }
    }

    /// Writes the answer: this core's figures, what the others told, and what the board shows.
    pub(super) fn write<L>(
        &mut self,
        into: &mut Vec<u8>,
        form: Form,
        config: &Config,
        tally: Tally,
        wire: &mut impl Wire<Message<L>>,
    ) {
        let vitals = self.vitals(wire);
        self.told.resize(usize::from(wire.cores()), None);
        if let Some(own) = self.told.get_mut(wire.core().index()) {
            *own = Some(Figures::new(tally, &vitals));
        }
        let snapshot = config.board.latest();
        let snapshot = snapshot.as_deref();
        let now = wire.now();
        let mut told = Told {
            engine: config.engine,
            uptime_s: now.since(config.started).as_secs_f64(),
            cores: Vec::with_capacity(self.told.len()),
            total: Figures::default(),
            process: Process {
                cpu_s: Some(vitals.process_cpu.as_secs_f64()),
                ..snapshot.map_or_else(Process::default, |it| it.process.clone())
            },
            listeners: snapshot.map_or(&[], |it| &it.listeners),
            host: snapshot.map(|it| &it.host),
            cgroup: snapshot.map(|it| &it.cgroup),
            sample_age_s: snapshot.map(|it| now.since(it.at).as_secs_f64()),
            missing: Vec::new(),
        };
        for (core, figures) in (0..).zip(&self.told) {
            match figures.clone() {
                Some(mut figures) => {
                    figures.queue(core, told.listeners);
                    told.total.add(&figures);
                    told.cores.push(CoreFigures { core, figures });
                }
                None => told.missing.push(core),
            }
        }
        match form {
            Form::Json => {
                let written = serde_json::to_writer(&mut *into, &told);
                debug_assert!(written.is_ok(), "numbers and names always serialize");
                into.push(b'\n');
            }
            Form::Metrics(_) => metrics::write(into, &told),
        }
    }
}
