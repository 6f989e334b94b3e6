//! What is told of connections for a log: events as values, which wait in a bounded queue of their
//! core until a thread beside the cores takes them.

use crate::limits;
use crate::shard::Core;
use std::net::IpAddr;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

/// What is told, each level what those before it tell too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing: it costs nothing.
    #[default]
    Off,
    /// Refusals.
    Warn,
    /// WebSockets and event streams that open and close.
    Info,
    /// Connections that close and were neither.
    Debug,
}

/// Something that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// The core that tells it.
    pub core: Core,
    /// Which of the connections that the core has told of, from 1; `None` for one that was never
    /// open.
    pub connection: Option<u64>,
    /// Where it comes from, if that is known.
    pub peer: Option<IpAddr>,
    /// The path that it asked for last, cut after [`limits::LOG_ROUTE_BYTES`].
    pub route: Option<Box<str>>,
    /// Whose it is, if its application has said so.
    pub user: Option<Box<str>>,
    /// What happened.
    pub what: LogDeed,
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDeed {
    /// It has become that: `websocket` or `sse`.
    Opened(&'static str),
    /// It is over.
    Closed(ConnectionEnd),
    /// It did not get what it asked for.
    Refused {
        /// The HTTP status; `None` if it was reset, or did not get through TLS.
        status: Option<u16>,
        /// Why.
        reason: &'static str,
    },
}

/// How a connection ended, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionEnd {
    /// `websocket`, `sse` or `http`.
    pub transport: &'static str,
    /// Why: a key of `decided` in `/stats`, or of `closed` where this side did not decide it.
    pub cause: &'static str,
    /// The close code that a WebSocket was given, where the server or an application chose one.
    pub code: Option<u16>,
    /// From accept to the end.
    pub duration: Duration,
    /// Bytes that came: of heads and frames too, without TLS.
    pub received_bytes: u64,
    /// Bytes that were queued for it, likewise.
    pub sent_bytes: u64,
}

impl LogDeed {
    /// From which level on it is told.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        match self {
            Self::Refused { .. } => LogLevel::Warn,
            Self::Closed(end) if end.transport == "http" => LogLevel::Debug,
            Self::Opened(_) | Self::Closed(_) => LogLevel::Info,
        }
    }

    /// What it is, and of which kind: what comes in floods is told apart by both.
    #[must_use]
    pub const fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Opened(transport) => ("opened", transport),
            Self::Closed(end) => ("closed", end.cause),
            Self::Refused { reason, .. } => ("refused", reason),
        }
    }
}

/// What the cores have told and nobody has taken: [`limits::LOG_EVENTS`] of each at most. Clones
/// are the same; the level too.
#[derive(Clone, Debug, Default)]
pub struct LogQueue(Arc<LogShelves>);

#[derive(Debug, Default)]
struct LogShelves {
    level: AtomicU8,
    by_core: Vec<Mutex<Vec<LogEvent>>>,
}

impl LogQueue {
    /// For so many cores.
    #[must_use]
    pub fn new(cores: usize, level: LogLevel) -> Self {
        let by_core = (0..cores).map(|_| Mutex::default()).collect();
        let level = AtomicU8::new(level as u8);
        Self(Arc::new(LogShelves { level, by_core }))
    }

    /// That is told from now on: each core looks when it is next asked for something.
    pub fn set_level(&self, level: LogLevel) {
        self.0.level.store(level as u8, Relaxed);
    }

    /// What is told.
    #[inline]
    #[must_use]
    pub fn level(&self) -> LogLevel {
        match self.0.level.load(Relaxed) {
            0 => LogLevel::Off,
            1 => LogLevel::Warn,
            2 => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }

    /// Takes what has been told, core by core, each in its order.
    pub fn take(&self, mut each: impl FnMut(LogEvent)) {
        for shelf in &self.0.by_core {
            let told = std::mem::take(&mut *shelf.lock().unwrap_or_else(PoisonError::into_inner));
            told.into_iter().for_each(&mut each);
        }
    }

    /// Appends those events of a core; leaves them where they are while somebody takes, if they
    /// may wait. How many found no room and are lost.
    pub(super) fn put(&self, core: Core, events: &mut Vec<LogEvent>, how: Handover) -> u64 {
        let Some(shelf) = self.0.by_core.get(core.index()) else {
            return lose(events, 0);
        };
        let mut shelf = match (shelf.try_lock(), how) {
            (Ok(shelf), _) => shelf,
            (Err(TryLockError::Poisoned(shelf)), _) => shelf.into_inner(),
            // A core does not wait for a thread.
            (Err(TryLockError::WouldBlock), Handover::Later) => {
                return lose(events, limits::LOG_EVENTS);
            }
            (Err(TryLockError::WouldBlock), Handover::Now) => {
                shelf.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        let lost = lose(events, limits::LOG_EVENTS.saturating_sub(shelf.len()));
        shelf.append(events);
        lost
    }
}

/// Whether events may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// They leave with those that come next.
    Later,
    /// None comes any more.
    Now,
}

/// Drops those beyond so many: how many those were.
fn lose(events: &mut Vec<LogEvent>, room: usize) -> u64 {
    let lost = events.len().saturating_sub(room);
    events.truncate(room);
    lost as u64
}

/// A connection that never got as far as to be one.
pub(super) const fn stillborn(core: Core, reason: &'static str) -> LogEvent {
    LogEvent {
        core,
        connection: None,
        peer: None,
        route: None,
        user: None,
        what: LogDeed::Refused {
            status: None,
            reason,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_has_so_much_room_and_what_finds_none_is_counted() {
        let queue = LogQueue::new(2, LogLevel::Warn);
        let many = |count| vec![stillborn(Core(1), "reset"); count];
        let put = |count| queue.put(Core(1), &mut many(count), Handover::Now);
        assert_eq!((put(3), put(limits::LOG_EVENTS)), (0, 3));
        let mut taken = 0;
        queue.take(|_| taken += 1);
        assert_eq!((taken, put(5)), (limits::LOG_EVENTS, 0));
        // A core that the queue has no place for.
        assert_eq!(queue.put(Core(2), &mut many(4), Handover::Now), 4);
    }

    #[test]
    fn a_core_does_not_wait_for_who_takes() {
        let queue = LogQueue::new(1, LogLevel::Warn);
        let taking = queue.0.by_core[0].lock().unwrap();
        let mut events = vec![stillborn(Core(0), "reset")];
        assert_eq!(queue.put(Core(0), &mut events, Handover::Later), 0);
        assert_eq!(events.len(), 1, "they wait");
        drop(taking);
        assert_eq!(queue.put(Core(0), &mut events, Handover::Later), 0);
        assert!(events.is_empty());
    }

    #[test]
    fn each_level_tells_more_and_every_clone_has_it() {
        let levels = [
            LogLevel::Off,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
        ];
        assert!(levels.is_sorted());
        let queue = LogQueue::default();
        let clone = queue.clone();
        for level in levels {
            queue.set_level(level);
            assert_eq!(clone.level(), level);
        }
    }
}
