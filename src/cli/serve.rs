//! `serve`: what was typed becomes servers on cores; one line when ready, one when it is over.

mod checks;
mod config;
mod reload;
mod shards;

use super::backend_flags::BackendSetup;
use super::console::ConsoleThread;
use super::flags::ServeEngine;
use super::journal::JournalThread;
use super::pass_flags::PassSetup;
use super::signals::Wish;
use super::upgrade::{Giver, Taker, Upgrader};
use super::{Exit, Failure, logs, print, signals};
use crate::backend::{Backend, Passer};
use crate::engine::{EngineError, Stop};
pub(super) use checks::without_baseline;
pub(super) use config::Config;
pub(super) use reload::RELOADED;
use reload::Reloader;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Serves until a signal comes, or another server has taken over, and the peers are gone or the
/// drain time is over.
pub(super) fn run(mut config: Config) -> Result<Exit, Failure> {
    let taker = Taker::new(config.engine.name())?;
    config.server.upgrades = taker.as_ref().map_or(0, |it| it.upgrades);
    let stop = Stop::default();
    let giver = Giver::new(
        config.engine.name(),
        config.server.upgrades,
        (stop.clone(), config.server.handed_over.clone()),
    );
    await_signals(&config, &giver, &stop)?;
    if config.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
    }
    let logs = logs::start(config.log_format, config.server.log.clone())?;
    let backend = config.backend.take().map(BackendSetup::start).transpose()?;
    let passer = config.passing.take().map(PassSetup::start).transpose()?;
    taker.as_ref().map(Taker::take_files).transpose()?;
    let journal = config
        .journal
        .start(&mut config.server, config.cpus.len())?;
    let console = config.start_console()?;
    let store = config.open_store()?;
    journal.iter().for_each(|it| giver.has(it.loan()));
    store.iter().for_each(|it| giver.has(it.loan()));
    let ran = shards::run_engine(config, Succession { stop, giver, taker });
    backend.into_iter().for_each(Backend::finish);
    passer.into_iter().for_each(Passer::finish);
    journal.into_iter().for_each(JournalThread::finish);
    console.into_iter().for_each(ConsoleThread::finish);
    store.into_iter().for_each(|store| store.finish(&ran));
    logs.finish();
    print::line(ran?)?;
    Ok(Exit::Pass)
}

/// How a server comes after another one, and another one after it.
struct Succession {
    stop: Stop,
    giver: Giver,
    /// `None` if it comes after none.
    taker: Option<Taker>,
}

/// Has signals end the server, change it or replace it.
fn await_signals(config: &Config, giver: &Giver, stop: &Stop) -> Result<(), Failure> {
    let reloader = Arc::new(Mutex::new(Reloader::new(config)));
    look_at_files(config, Arc::clone(&reloader))?;
    let upgrader = match config.engine {
        ServeEngine::Baseline => None,
        ServeEngine::Ring | ServeEngine::Tokio => {
            Some(Upgrader::start(giver.clone(), config.watched))
        }
    };
    signals::server_stop(stop, move |wish| match (wish, &upgrader) {
        (Wish::Reload, _) => print::note(reload::locked(&reloader).reload()),
        (Wish::Upgrade, Some(upgrader)) => upgrader.signalled(),
        (Wish::Upgrade, None) => print::note("upgrade: the baseline has no such thing"),
    })
}

/// Time between two looks at the files of certificates.
const LOOK: Duration = Duration::from_secs(5);

/// Certificates that are renewed are taken without anybody saying so.
fn look_at_files(config: &Config, reloader: Arc<Mutex<Reloader>>) -> Result<(), EngineError> {
    if config.tls_files.is_none() {
        return Ok(());
    }
    let look = move || {
        loop {
            let mut reloader = reload::locked(&reloader);
            let news = reloader.look_at_files().into_iter();
            let news: Vec<String> = news.chain(reloader.look_at_staples()).collect();
            drop(reloader);
            news.into_iter().for_each(print::note);
            std::thread::sleep(LOOK);
        }
    };
    let thread = std::thread::Builder::new().name("certificates".to_owned());
    let looks = thread.spawn(look).map(drop);
    looks.map_err(|source| EngineError::no_threads("the thread that looks at certificates", source))
}
