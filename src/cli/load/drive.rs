//! Runs one load shard per core, and watches meanwhile.

use super::Config;
use super::meter::Meter;
use crate::cli::Failure;
use crate::cli::flags::LoadEngine;
use crate::cli::progress::{Board, Display};
use crate::engine::{self, Plan};
use crate::load::progress::{PROGRESS_TIME, Progress, Stage};
use crate::load::{Load, Outcome};
use crate::shard::Shard;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a run leaves: what its cores measured, and what was seen of the server.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) meter: Option<Meter>,
}

/// Runs one load shard per core, each in what `wrap` puts around it, and shows the progress
/// meanwhile.
pub(super) fn drive<S: Shard<Outcome = Outcome> + 'static>(
    config: &Config,
    plan: Plan,
    wrap: impl Fn(Load) -> S + Send + Sync + 'static,
) -> Result<Ran, Failure> {
    let meter = config.server_pid.map(Meter::new).transpose()?;
    let board = Board::new(config.cpus.len());
    let noted = board.clone();
    let load = config.load.clone();
    let make = move |core| {
        let board = noted.clone();
        let observer = Box::new(move |progress: &Progress| board.note(progress));
        wrap(Load::new(core, load.clone(), Some(observer)))
    };
    let (over, is_over) = channel::<()>();
    let mut display = if config.quiet {
        Display::Nothing
    } else {
        Display::new(config.load.duration)
    };
    let duration = config.load.duration;
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let meter = watch(&board, &is_over, duration, &mut display, meter);
            display.end();
            meter
        });
        let outcomes = match config.engine {
            LoadEngine::Ring => engine::ring::run(plan, make),
            LoadEngine::Tokio => engine::tokio::run(plan, make),
        };
        drop(over);
        let meter = watcher.join().unwrap_or_default();
        Ok(Ran {
            outcome: Outcome::merged(&outcomes?),
            meter,
        })
    })
}

/// Shows the board until the run is over; reads the server's meter in the measured time.
fn watch(
    board: &Board,
    is_over: &Receiver<()>,
    duration: Duration,
    display: &mut Display,
    mut meter: Option<Meter>,
) -> Option<Meter> {
    while is_over.recv_timeout(PROGRESS_TIME) == Err(RecvTimeoutError::Timeout) {
        let Some(total) = board.total() else { continue };
        display.show(&total, duration);
        if let Some(meter) = meter.as_mut().filter(|_| total.stage == Stage::Measuring) {
            meter.read();
        }
    }
    meter
}
