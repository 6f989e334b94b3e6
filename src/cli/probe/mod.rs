//! `probe`: one connection a person can read, over blocking sockets and the pure protocol.

mod shown;
mod sse;
mod stream;
mod websocket;

use super::flags::ProbeFlags;
use super::proxy::ProxyFlag;
use super::socket::Securing;
use super::url::{Resolve, Scheme, Url};
use super::{Exit, Failure, print, signals};
use crate::engine::Stop;
use crate::load::Values;
use crate::protocol::websocket::deflate::ContextTakeover;
use std::time::{Duration, Instant};

/// A probe, resolved from its flags.
pub(super) struct Config {
    url: Url,
    form: Form,
    answer: Answer,
    /// Messages or events after which it ends; `u64::MAX` for never.
    count: u64,
    send: Vec<String>,
    trace: Trace,
    connect_time: Duration,
    duration: Duration,
    max_message: usize,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    deflate: Option<ContextTakeover>,
    follows: bool,
    resolve: Vec<Resolve>,
    proxy: Option<ProxyFlag>,
    securing: Option<Securing>,
}

/// How messages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

/// What is done with a message besides printing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    Echo,
}

/// Whether heads, frames and close codes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    Off,
    On,
}

/// For ever, as far as a probe is concerned: 100 years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Config {
    /// What the flags mean.
    pub(super) fn new(flags: Box<ProbeFlags>) -> Result<Self, Failure> {
        let one_way = flags.url.scheme == Scheme::Http;
        if one_way && (flags.echo || !flags.send.is_empty()) {
            let flag = if flags.echo { "--echo" } else { "--send" };
            let text = "an event stream is one way; try: a ws:// URL, or leave the flag out";
            return Err(Failure::Usage(format!("{flag}: {text}")));
        }
        // As the first client of a load.
        let (values, seed) = (Values::default(), fastrand::u64(..));
        let own = |text: &str| values.expanded(text, seed, 0).into_owned();
        let headers = flags.connection.headers(&flags.url).into_iter();
        let headers = headers.map(|(name, value)| (name, own(&value)));
        let mut url = flags.url;
        url.target = own(&url.target);
        Ok(Self {
            form: if flags.json { Form::Json } else { Form::Text },
            answer: if flags.echo {
                Answer::Echo
            } else {
                Answer::Nothing
            },
            count: flags.count.unwrap_or(u64::MAX),
            send: flags.send.iter().map(|text| own(text)).collect(),
            trace: if flags.debug { Trace::On } else { Trace::Off },
            connect_time: flags.connect_timeout,
            duration: flags.duration.unwrap_or(FOREVER),
            max_message: flags.max_message,
            securing: flags.connection.trust.securing(&url)?,
            headers: headers.collect(),
            follows: flags.follow,
            deflate: flags.connection.deflate.0,
            subprotocols: flags
                .connection
                .subprotocol
                .iter()
                .map(|name| own(name))
                .collect(),
            resolve: flags.connection.resolve,
            proxy: flags.connection.proxy,
            url,
        })
    }

    /// The request headers that the user gives.
    fn headers(&self) -> Vec<(&str, &str)> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// When a probe ends by itself: enough messages, enough time, or a signal.
struct End {
    left: u64,
    /// Whether so many are what was asked for.
    is_counted: bool,
    at: Instant,
    stop: Stop,
}

impl End {
    /// One more message or event was printed.
    const fn counted(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn is_due(&self) -> bool {
        self.left == 0 || self.stop.is_thrown() || Instant::now() >= self.at || print::is_unread()
    }

    fn exit(&self) -> Exit {
        if self.stop.is_thrown() {
            Exit::Interrupted
        } else if self.is_counted && self.left > 0 && !print::is_unread() {
            let missing = self.left;
            print::note(format_args!("the time is over with {missing} to come"));
            Exit::Threshold
        } else {
            Exit::Pass
        }
    }
}

/// Runs it to its end.
pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    ProxyFlag::note_unused(config.proxy.as_ref());
    let now = Instant::now();
    let mut end = End {
        left: config.count,
        is_counted: config.count != u64::MAX,
        at: now
            .checked_add(config.duration)
            .unwrap_or_else(|| now + FOREVER),
        stop: signals::stop()?,
    };
    match config.url.scheme {
        Scheme::Ws => websocket::run(config, &mut end),
        Scheme::Http => sse::run(config, &mut end),
    }
}
