//! Runs one load shard per core, and watches meanwhile.

use super::Config;
use super::display::Display;
use super::meter::{Meter, Use};
use super::progress_board::{ProgressBoard, Total};
use super::recording::Recording;
use super::sinks::Sinks;
use super::view::View;
use crate::cli::Failure;
use crate::cli::engine_flag::LoadEngine;
use crate::engine::{self, EngineConfig, EngineError, Stop};
use crate::limits;
use crate::load::outcome::Ending;
use crate::load::progress::{PROGRESS_TIME, Progress, Stage};
use crate::load::{Load, Nonce, Outcome, Target};
use crate::report::{
    Facts, Ledger, Metrics, Moment, Network, Second, ServerUse, Verdict, judged, judging,
};
use crate::sampler::sockets::Own;
use crate::shard::Shard;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a run leaves: what its cores measured, and what was seen of the server.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) server: Option<ServerUse>,
    /// Of its sockets, where they could be looked at.
    pub(super) network: Option<Network>,
    /// What came in each second.
    pub(super) series: Vec<Second>,
}

/// Runs one load shard per core, each in what `wrap` puts around it; shows, keeps and judges what
/// comes meanwhile.
pub(super) fn drive<S: Shard<Outcome = Outcome> + 'static>(
    config: &Config,
    facts: &Facts,
    plan: EngineConfig,
    wrap: impl Fn(Load) -> S + Send + Sync + 'static,
) -> Result<Ran, Failure> {
    let meter = config.server_pid.map(Meter::new).transpose()?;
    let sinks = Sinks::open(&config.sinks, facts.started_unix_ms)?;
    let board = ProgressBoard::new(config.cpus.len());
    let noted = board.clone();
    let load = crate::load::Config {
        // RFC 6455, 4.1: keys are random, also in a run of the same seed.
        nonce: Nonce::new(fastrand::u128(..)),
        ..config.load.clone()
    };
    let make = move |core| {
        let board = noted.clone();
        let observer = move |progress: &Progress, outcome: &mut Outcome| {
            board.note(progress, outcome);
        };
        wrap(Load::new(core, load.clone(), Some(Box::new(observer))))
    };
    let (over, is_over) = channel::<()>();
    let watch = Watch {
        config,
        facts,
        stop: plan.stop.clone(),
        board: &board,
        display: Display::new(config.form, || {
            View::open(&config.url.to_string(), config.goal())
        }),
        meter,
        sinks,
        recording: Recording::new(config, facts),
        ledger: Ledger::default(),
        is_aborted: false,
        network: None,
        own: Own::default(),
        has_found: false,
        has_sampled: false,
    };
    std::thread::scope(|scope| {
        let watcher = std::thread::Builder::new()
            .spawn_scoped(scope, move || watch.until(&is_over))
            .map_err(|source| EngineError::no_threads("the watching thread", source))?;
        let outcomes = match config.engine {
            LoadEngine::Ring => engine::ring::run(plan, make),
            LoadEngine::Tokio => engine::tokio::run(plan, make),
        };
        drop(over);
        let watched = watcher
            .join()
            .map_err(|_| Failure::Run("the watching thread panicked: a bug".to_owned()))?;
        watched.end(&outcomes?)
    })
}

/// Who watches a run, and what it has seen.
struct Watch<'a> {
    config: &'a Config,
    facts: &'a Facts,
    stop: Stop,
    board: &'a ProgressBoard,
    display: Display,
    meter: Option<Meter>,
    sinks: Sinks,
    recording: Recording<'a>,
    ledger: Ledger,
    is_aborted: bool,
    network: Option<Network>,
    /// The run's sockets.
    own: Own,
    has_found: bool,
    has_sampled: bool,
}

impl Watch<'_> {
    /// Watches until the run is over, and leaves the terminal as it was.
    fn until(mut self, is_over: &Receiver<()>) -> Self {
        while is_over.recv_timeout(PROGRESS_TIME) == Err(RecvTimeoutError::Timeout) {
            let Some(total) = self.board.total() else {
                continue;
            };
            if let Some(shares) = self.board.collect() {
                let (interval, used) = self.ledger.add(shares);
                self.board.give_back(used);
                self.sinks.take(&interval, &self.ledger);
                self.recording.take(&interval, &self.ledger);
                self.display.take(&interval, &self.ledger);
                self.abort_if_failed(&total);
            }
            self.display.show(&total, self.config.goal(), &self.stop);
            if let Some(meter) = self.meter.as_mut()
                && total.stage == Stage::Measuring
            {
                meter.read();
            }
            self.look_at_sockets(&total);
        }
        self.display = Display::Nothing;
        self
    }

    /// Ends the run if a threshold has failed for good, after a second of measured time.
    fn abort_if_failed(&mut self, total: &Total) {
        let is_time = total.stage == Stage::Measuring && total.measured >= Duration::from_secs(1);
        if !self.config.aborts || !is_time || self.is_aborted {
            return;
        }
        let so_far = self.ledger.so_far();
        let facts = Facts {
            thresholds: Vec::new(),
            ..self.facts.clone()
        };
        let record = judged(&facts, &self.config.load, so_far);
        let metrics = Metrics::new(&self.config.load, &record, so_far);
        let mut thresholds = self.config.thresholds.iter();
        let has_failed = thresholds.any(|threshold| {
            judging::met(threshold, &metrics, Moment::Meanwhile).result == Verdict::Fail
        });
        if has_failed {
            self.is_aborted = true;
            self.stop.throw();
        }
    }

    /// Looks once at this run's own sockets, as late as they are surely there: what the network
    /// did to them is known by then. They are looked for while they are made, and again at the end
    /// where that keeps no core from its messages.
    fn look_at_sockets(&mut self, total: &Total) {
        let is_soon = match total.stage {
            Stage::Connecting | Stage::Waiting | Stage::WarmUp => false,
            // Of a short run, not before its middle: sockets that have just begun tell nothing.
            Stage::Measuring => {
                let duration = self.config.load.duration;
                total.measured + 2 * PROGRESS_TIME >= duration && 2 * total.measured >= duration
            }
            Stage::Draining | Stage::Closing | Stage::Finished => true,
        };
        // Where the kernel does not tell, it is not known.
        if total.up > 0 && !self.has_found {
            self.has_found = self.own.find().is_ok();
        }
        if !is_soon || self.has_sampled {
            return;
        }
        self.has_sampled = true;
        let cores = u64::try_from(self.config.cpus.len()).unwrap_or(1);
        if total.connections <= cores * limits::SOCKETS_LISTED_MAX {
            let _ = self.own.find();
        }
        let targets = self.config.load.targets.iter();
        let peers: Vec<SocketAddr> = targets.flat_map(Target::addresses).copied().collect();
        let sample = self.own.sample(&peers);
        self.network = sample.ok().and_then(|it| Network::of(&it));
    }

    /// Puts together what was handed over meanwhile and what the cores had left.
    fn end(mut self, outcomes: &[Outcome]) -> Result<Ran, Failure> {
        let mut outcome = Outcome::merged(outcomes);
        for share in self.board.rest() {
            outcome.latencies.merge(&share.outcome.latencies);
        }
        if self.is_aborted && outcome.ending == Ending::Interrupted {
            outcome.ending = Ending::Aborted;
        }
        let last = self.ledger.end(outcome);
        self.sinks.take(&last, &self.ledger);
        self.sinks.close()?;
        self.recording.take(&last, &self.ledger);
        let series = self.recording.end()?;
        let outcome = self.ledger.into_outcome();
        Ok(Ran {
            server: self
                .meter
                .and_then(|meter| meter.used(Use::Messages, &outcome)),
            outcome,
            network: self.network,
            series,
        })
    }
}
