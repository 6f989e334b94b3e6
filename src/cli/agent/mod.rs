//! `agent`: watches a server through its `/stats`, and this host through /proc.
//!
//! One connection asks once per refresh, so the server pays the same however many connections it
//! holds.

pub(super) mod flags;
mod json;
mod look;
mod plain;
mod poll;
pub(super) mod shown;
mod table;
pub mod view;

use super::socket::Securing;
use super::url::{Scheme, Url};
use super::{Exit, Failure, print, signals};
use crate::engine::Stop;
use crate::stats::{Reading, ServerState};
use flags::AgentFlags;
use look::Looker;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How an agent tells what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentOutput {
    /// A live view of the terminal.
    View,
    /// A line per sample.
    Plain,
    /// A JSON object per sample.
    Json,
    /// A table of one sample.
    Table,
}

/// Whether this host is watched too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFigures {
    /// Only the server.
    Off,
    /// The server and this host.
    On,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// After as many samples as were wanted, or because the user quit or nobody reads any more.
    Done,
    /// Somebody asked it to end.
    Stopped,
    /// The first look found no server: why, and what to do.
    NoServer(String),
}

/// A watch, resolved from its flags.
#[derive(Clone, Debug)]
pub struct Config {
    url: Url,
    securing: Option<Securing>,
    /// Time from one look to the next.
    pub refresh: Duration,
    /// Looks after which it ends.
    pub count: u64,
    /// How it tells.
    pub form: AgentOutput,
    /// Whether this host is watched too.
    pub host: HostFigures,
}

/// Shortest time between two looks.
const REFRESH_MIN: Duration = Duration::from_millis(100);

impl Config {
    /// Watches that server once a second without end, in plain lines.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn at(url: &str) -> Result<Self, String> {
        let url: Url = url.parse()?;
        if url.scheme != Scheme::Http {
            let example = "write it like http://127.0.0.1:9000";
            return Err(format!(
                "URL: /stats is asked over http:// or https://; {example}"
            ));
        }
        Ok(Self {
            url,
            securing: None,
            refresh: Duration::from_secs(1),
            count: u64::MAX,
            form: AgentOutput::Plain,
            host: HostFigures::Off,
        })
    }

    /// What the flags mean.
    pub(super) fn new(flags: &AgentFlags) -> Result<Self, Failure> {
        let config = Self::at(&flags.url.to_string()).map_err(Failure::Usage)?;
        if flags.refresh < REFRESH_MIN {
            let text = "--refresh: at least 100ms, for the server's sake; try: --refresh 1s";
            return Err(Failure::Usage(text.to_owned()));
        }
        if flags.count == Some(0) {
            let text = "--count: 0 samples show nothing; try: --count 10";
            return Err(Failure::Usage(text.to_owned()));
        }
        let form = match (flags.json, flags.once) {
            (true, _) => AgentOutput::Json,
            (false, true) => AgentOutput::Table,
            (false, false) if flags.plain || !print::draws(&io::stdout()) => AgentOutput::Plain,
            (false, false) => AgentOutput::View,
        };
        Ok(Self {
            securing: flags.trust.securing(&config.url)?,
            refresh: flags.refresh,
            count: if flags.once {
                1
            } else {
                flags.count.unwrap_or(u64::MAX)
            },
            form,
            host: if flags.host {
                HostFigures::On
            } else {
                HostFigures::Off
            },
            ..config
        })
    }
}

/// Runs it to its end.
pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    let stop = signals::stop()?;
    let ended = match config.form {
        AgentOutput::View => view::run(config, &stop)?,
        AgentOutput::Plain | AgentOutput::Json | AgentOutput::Table => {
            watch(config, &mut io::stdout().lock(), &stop)?
        }
    };
    match ended {
        Ended::Done => Ok(Exit::Pass),
        Ended::Stopped => Ok(Exit::Interrupted),
        Ended::NoServer(why) => Err(Failure::Run(why)),
    }
}

/// Watches and writes what it sees, one sample after the other, until enough are written or the
/// switch is thrown. [`AgentOutput::View`] is written as plain lines here: it needs a terminal.
///
/// # Errors
/// The output cannot be written; a reader that has gone away only ends the watch.
pub fn watch(config: &Config, out: &mut impl Write, stop: &Stop) -> io::Result<Ended> {
    let mut looker = Looker::new(config);
    let mut due = Instant::now();
    loop {
        let reading = looker.look();
        if let Some(why) = no_server(&reading) {
            return Ok(Ended::NoServer(why));
        }
        let text = match config.form {
            AgentOutput::View | AgentOutput::Plain => plain::lines(&reading, config.host),
            AgentOutput::Json => json::line(&reading),
            AgentOutput::Table => table::text(&reading),
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ended::Done),
            written => written?,
        }
        if reading.number >= config.count {
            return Ok(Ended::Done);
        }
        // Looks that took too long are left out, not caught up.
        due = (due + config.refresh).max(Instant::now());
        if !sleep_until(due, stop) {
            return Ok(Ended::Stopped);
        }
    }
}

/// Why there is nothing to watch: the first look found no server. Later ones may, and it goes on.
fn no_server(reading: &Reading) -> Option<String> {
    match &reading.state {
        ServerState::Lost { why, .. } if reading.number == 1 => Some(why.clone()),
        ServerState::Lost { .. } | ServerState::Up { .. } => None,
    }
}

/// Sleeps until then; false if the switch was thrown meanwhile.
fn sleep_until(due: Instant, stop: &Stop) -> bool {
    const LOOK_TIME: Duration = Duration::from_millis(50);
    loop {
        if stop.is_thrown() {
            return false;
        }
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK_TIME));
    }
}
