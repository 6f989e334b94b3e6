//! The live view: a thread looks at the server, this one draws what it saw and reads the keys.

pub(in crate::cli) mod draw;
pub(in crate::cli) mod panels;
mod screen;

pub use draw::draw;
pub use screen::AgentScreen;

use super::look::Looker;
use super::{Config, Ended, no_server, sleep_until};
use crate::cli::keys::{self, TerminalEvent};
use crate::engine::Stop;
use crate::stats::Reading;
use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a key may wait.
const KEY_TIME: Duration = Duration::from_millis(50);

/// Puts the terminal back as it was, however the view ends. A panic does so too: the hook that
/// `ratatui::try_init` sets restores before it prints.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = ratatui::try_restore();
    }
}

/// Shows the server until the user quits, the switch is thrown or enough samples were shown.
///
/// # Errors
/// The terminal refuses.
pub(super) fn run(config: &Config, stop: &Stop) -> io::Result<Ended> {
    let mut looker = Looker::new(config);
    let first = looker.look();
    // Before the terminal is taken: then the message stays.
    if let Some(why) = no_server(&first) {
        return Ok(Ended::NoServer(why));
    }
    let mut screen = AgentScreen::new(&config.url.to_string(), config.refresh);
    screen.take(first);
    let (readings, looking) = look_on(looker, config, stop.clone())?;
    let ended = show(&mut screen, &readings, stop, draw)?;
    // Its panic is the agent's: a view that ended for it did not end well.
    if looking.is_finished()
        && let Err(panic) = looking.join()
    {
        std::panic::resume_unwind(panic);
    }
    Ok(ended)
}

/// Takes the terminal and draws reading after reading, until the user quits, the switch is thrown
/// or no more readings come; then puts it back as it was.
///
/// # Errors
/// The terminal refuses.
pub fn show(
    screen: &mut AgentScreen,
    readings: &Receiver<Reading>,
    stop: &Stop,
    mut draw: impl FnMut(&mut Frame<'_>, &AgentScreen),
) -> io::Result<Ended> {
    let mut terminal = ratatui::try_init()?;
    let _restore = Restore;
    loop {
        terminal.draw(|frame| draw(frame, screen))?;
        loop {
            if stop.is_thrown() {
                return Ok(Ended::Stopped);
            }
            match readings.try_recv() {
                Ok(reading) => {
                    screen.take(reading);
                    break;
                }
                Err(TryRecvError::Disconnected) => return Ok(Ended::Done),
                Err(TryRecvError::Empty) => {}
            }
            match keys::wait(KEY_TIME)? {
                TerminalEvent::Nothing => {}
                TerminalEvent::Gone => return Ok(Ended::Done),
                TerminalEvent::Input(event) => match meaning(&event) {
                    Some(ended) => return Ok(ended),
                    // It may have been a new size.
                    None => break,
                },
            }
        }
    }
}

/// What an event ends the view with, if it does. In raw mode Ctrl-C is a key, not a signal.
fn meaning(event: &Event) -> Option<Ended> {
    let Event::Key(key) = event else {
        return None;
    };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Ended::Stopped),
        KeyCode::Char('q') | KeyCode::Esc => Some(Ended::Done),
        _ => None,
    }
}

/// Looks on in a thread of its own, so that a server that does not answer delays no key. The
/// thread ends after enough looks, when the switch is thrown, or when nobody listens any more.
fn look_on(
    mut looker: Looker,
    config: &Config,
    stop: Stop,
) -> io::Result<(Receiver<Reading>, JoinHandle<()>)> {
    let (tell, told) = mpsc::channel();
    let (refresh, count) = (config.refresh, config.count);
    let looking = move || {
        let mut due = Instant::now();
        for _ in 1..count {
            due = (due + refresh).max(Instant::now());
            if !sleep_until(due, &stop) || tell.send(looker.look()).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("agent".to_owned())
        .spawn(looking)?;
    Ok((told, thread))
}
