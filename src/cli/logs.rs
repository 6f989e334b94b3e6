//! Writes the log of a server on stderr, on a thread of its own: what the cores tell of
//! connections; as JSON what else is said too.

use super::log_flags::LogFormat;
use super::print;
use crate::engine::{self, EngineError};
use crate::limits;
use crate::server::log::{ConnectionEnd, LogDeed, LogEvent, LogLevel, LogQueue};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::dispatcher::Dispatch;
use tracing::field::display;
use tracing::{debug, info, warn};

/// Time between two looks at what the cores have told; events are stamped when they are written.
const LOOK: Duration = Duration::from_millis(25);
/// The same where they tell nothing.
const QUIET_LOOK: Duration = Duration::from_millis(500);

/// The thread that writes.
pub(super) struct Logs {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Logs {
    /// All cores have ended: what they told is written.
    pub(super) fn finish(self) {
        self.ends.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// Begins to write.
pub(super) fn start(format: LogFormat, queue: LogQueue) -> Result<Logs, EngineError> {
    let ends = Arc::new(AtomicBool::new(false));
    let (says, said) = channel();
    if format == LogFormat::Json {
        print::notes_to(says);
    }
    let is_over = Arc::clone(&ends);
    let write = move || {
        tracing::dispatcher::with_default(&writer(format), || follow(&queue, &said, &is_over));
    };
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(write)
        .map_err(|source| EngineError::no_threads("the thread that writes the log", source))?;
    Ok(Logs { ends, thread })
}

fn writer(format: LogFormat) -> Dispatch {
    let form = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_target(false)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => Dispatch::new(form.finish()),
        LogFormat::Json => Dispatch::new(form.json().flatten_event(true).finish()),
    }
}

/// Writes what is told until the end.
fn follow(queue: &LogQueue, said: &Receiver<String>, is_over: &AtomicBool) {
    let mut floods = Floods::default();
    loop {
        let ends = is_over.load(Acquire);
        let now = engine::now();
        queue.take(|event| {
            if floods.has_room(event.what.kind(), now) {
                write(&event);
            }
        });
        for text in said.try_iter() {
            info!(text, "note");
        }
        floods.tell(now, ends);
        if ends {
            return;
        }
        let is_quiet = queue.level() == LogLevel::Off;
        std::thread::park_timeout(if is_quiet { QUIET_LOOK } else { LOOK });
    }
}

/// Writes one event.
fn write(event: &LogEvent) {
    let LogEvent {
        core,
        connection,
        peer,
        route,
        user,
        what,
    } = event;
    let (core, connection, peer) = (core.0, *connection, peer.map(display));
    let (route, user) = (route.as_deref(), user.as_deref());
    match what {
        LogDeed::Opened(transport) => {
            info!(core, connection, transport, peer, route, user, "opened");
        }
        LogDeed::Refused { status, reason } => {
            warn!(
                core,
                connection, peer, route, user, status, reason, "refused"
            );
        }
        LogDeed::Closed(end) => {
            let ConnectionEnd {
                transport,
                cause,
                code,
                received_bytes,
                sent_bytes,
                duration,
            } = end;
            let duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
            macro_rules! closed {
                ($level:ident) => {
                    $level!(
                        core,
                        connection,
                        transport,
                        peer,
                        route,
                        user,
                        cause,
                        code,
                        duration_ms,
                        received_bytes,
                        sent_bytes,
                        "closed"
                    )
                };
            }
            match what.level() {
                LogLevel::Debug => closed!(debug),
                LogLevel::Off | LogLevel::Warn | LogLevel::Info => closed!(info),
            }
        }
    }
}

/// Lines of each kind in this second.
#[derive(Default)]
struct Floods {
    since: Option<Instant>,
    lines: BTreeMap<(&'static str, &'static str), u64>,
}

impl Floods {
    /// Whether another line of that kind is written.
    fn has_room(&mut self, kind: (&'static str, &'static str), now: Instant) -> bool {
        self.since.get_or_insert(now);
        let lines = self.lines.entry(kind).or_default();
        *lines += 1;
        *lines <= limits::LOG_LINES
    }

    /// Once the second is over, or at the end: a line for each kind of which there were more.
    fn tell(&mut self, now: Instant, ends: bool) {
        let is_over = |since| now.since(since) >= Duration::from_secs(1);
        if !ends && !self.since.is_some_and(is_over) {
            return;
        }
        self.since = None;
        for ((of, kind), lines) in std::mem::take(&mut self.lines) {
            if let Some(more @ 1..) = lines.checked_sub(limits::LOG_LINES) {
                warn!(of, kind, more, "flood");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_so_many_lines_a_second_and_others_have_their_own() {
        let at = |ms| Instant::default() + Duration::from_millis(ms);
        let mut floods = Floods::default();
        let (full, idle) = (("refused", "full"), ("closed", "idle"));
        let count = |floods: &mut Floods, kind, ms| {
            let all = (0..2 * limits::LOG_LINES).filter(|_| floods.has_room(kind, at(ms)));
            all.count() as u64
        };
        assert_eq!(count(&mut floods, full, 0), limits::LOG_LINES);
        assert_eq!(count(&mut floods, idle, 900), limits::LOG_LINES);
        floods.tell(at(999), false);
        assert_eq!(count(&mut floods, full, 999), 0);
        floods.tell(at(1000), false);
        assert_eq!(count(&mut floods, full, 1000), limits::LOG_LINES);
    }
}
