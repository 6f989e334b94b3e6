//! `/stats` and `/metrics`: what every core counts, gathered over the cores by question and answer.
//!
//! The core that is asked forwards a question to the others, and answers when all of them have
//! told or when [`ROUND_TIME`] is over, then saying which are missing. One question is under way at
//! a time: whoever asks meanwhile shares its answer, so a flood of requests costs one round.
//!
//! The keys of the answer are in the documentation of `server`.

use super::apps::Apps;
use super::figures::{CoreFigures, Figures, Told};
use super::mount::BuiltIn;
use super::tally::Tally;
use super::{Config, metrics};
use crate::app::Holdings;
use crate::shard::{ConnectionId, Core, Vitals, Wire};
use crate::stats::Process;
use crate::stats::exposition::{OPENMETRICS, PROMETHEUS};
use crate::time::Instant;
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

/// The question that is under way, if there is one, and who waits for its answer.
#[derive(Default)]
pub(super) struct Round {
    number: u64,
    told: Vec<Option<Figures>>,
    until: Option<Instant>,
    askers: Vec<ConnectionId>,
    /// An application waits for it too.
    is_for_apps: bool,
    reading: Option<(Instant, Vitals)>,
}

impl Round {
    /// Somebody wants the figures. True if they can be had at once: there is no other core.
    pub(super) fn ask<L>(&mut self, id: ConnectionId, wire: &mut impl Wire<Message<L>>) -> bool {
        if wire.cores() <= 1 {
            return true;
        }
        self.askers.push(id);
        self.begin(wire);
        false
    }

    /// An application wants the figures. True if they can be had at once.
    pub(super) fn measure<L>(&mut self, wire: &mut impl Wire<Message<L>>) -> bool {
        if wire.cores() <= 1 {
            return true;
        }
        self.is_for_apps = true;
        self.begin(wire);
        false
    }

    /// Asks the other cores, unless they are being asked.
    fn begin<L>(&mut self, wire: &mut impl Wire<Message<L>>) {
        let cores = wire.cores();
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

    /// Ends the round and hands over who waits. Whether applications do.
    pub(super) fn end(&mut self, askers: &mut Vec<ConnectionId>) -> bool {
        self.until = None;
        askers.append(&mut self.askers);
        std::mem::take(&mut self.is_for_apps)
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
        own: (Tally, Holdings),
        wire: &mut impl Wire<Message<L>>,
    ) {
        let vitals = self.vitals(wire);
        self.told.resize(usize::from(wire.cores()), None);
        if let Some(place) = self.told.get_mut(wire.core().index()) {
            *place = Some(Figures::new(own, &vitals));
        }
        let snapshot = config.snapshot();
        let snapshot = snapshot.as_deref();
        let now = wire.now();
        let mut told = Told {
            schema: "ringstorm.stats/1",
            engine: config.engine(),
            uptime_s: now.since(config.started()).as_secs_f64(),
            upgrades: config.upgrades(),
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
            complaints: config.complaints(),
            backend: config.backend(),
            store: config.store(),
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
