//! What moves bytes for shards: three engines with one contract (`crate::shard`), and what they
//! have in common: the configuration, the stop switch, listeners, the clock and the vitals.

mod accept_failures;
mod cause;
mod closing;
pub mod contract;
pub mod listen;
mod mail_gauge;
pub mod outbound;
mod pending;
mod pin;
pub mod ring;
pub mod sim;
mod slots;
pub mod tokio;
pub mod vitals;

use crate::limits;
use crate::shard::Core;
use crate::time::Instant;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use accept_failures::AcceptFailures;
pub use listen::{
    GivenSockets, HandedSocket, InHandover, ListenPlace, ListenSocket, Listeners, SocketFile,
};

/// What an engine needs to know before it starts. One thread per entry of `cpus`.
#[derive(Debug)]
pub struct EngineConfig {
    /// The kernel's CPU numbers, one per core of the run; may repeat in tests.
    pub cpus: Vec<usize>,
    /// Bound listening sockets, a set per core.
    pub listeners: Listeners,
    /// Who speaks first on an accepted connection.
    pub first_word: FirstWord,
    /// Shards ask where connections come from ([`crate::shard::Wire::peer`]): the ring engine asks
    /// the kernel, and opens a connection once that has answered.
    pub peers: bool,
    /// Connections that one core may hold at once; if it listens, accepted ones.
    pub slots: u32,
    /// Connects that a core which listens can have beside those, in each table of the ring engine;
    /// on other engines they are among the slots.
    pub connects: u32,
    /// Connections in one file table of the ring engine at most; the descriptor limit bounds it as
    /// well. More slots than that take more rings.
    pub table: u32,
    /// Cap on outbound bytes queued for one connection.
    pub max_backlog: usize,
    /// Receive buffers per core, a power of two.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer.
    pub receive_bytes: u32,
    /// How long the peer of a closing connection may take nothing of what is left for it.
    pub stall: Duration,
    /// Where accepts are counted that fail for want of descriptors or memory.
    pub accept_failures: AcceptFailures,
    /// How the outside asks the shards to end.
    pub stop: Stop,
}

impl EngineConfig {
    /// A configuration for these CPUs that listens nowhere, with every bound at its default.
    #[must_use]
    pub fn new(cpus: Vec<usize>) -> Self {
        Self {
            listeners: Listeners::none(cpus.len()),
            first_word: FirstWord::Anyones,
            peers: false,
            cpus,
            slots: 16_384,
            connects: limits::TABLE_CONNECTS,
            table: u32::MAX,
            max_backlog: limits::BACKLOG_BYTES,
            receive_buffers: limits::RECEIVE_BUFFERS,
            receive_bytes: limits::RECEIVE_BYTES,
            stall: limits::STALL_TIME,
            accept_failures: AcceptFailures::default(),
            stop: Stop::default(),
        }
    }
}

/// Who speaks first on an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstWord {
    /// Either side: a connection is opened as soon as it is made.
    Anyones,
    /// The peer, as in HTTP: one that has sent nothing may be opened up to a second late.
    Peers,
}

/// A switch that the outside throws once: every shard gets `stopped`, wherever its core sleeps.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopInner>);

#[derive(Default)]
struct StopInner {
    thrown: std::sync::atomic::AtomicBool,
    wakers: Mutex<Vec<Box<dyn Fn() + Send>>>,
    /// Cores that have failed.
    failed: Mutex<Vec<Core>>,
}

impl Stop {
    /// Asks every core to end; later calls do nothing more.
    pub fn throw(&self) {
        self.0
            .thrown
            .store(true, std::sync::atomic::Ordering::SeqCst);
        for wake in self
            .0
            .wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            wake();
        }
    }

    /// A core has failed: the others are told which, and end.
    pub(in crate::engine) fn fail(&self, core: Core) {
        let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.push(core);
        drop(failed);
        self.throw();
    }

    /// The core that failed as that one, from 0, if so many have.
    pub(in crate::engine) fn failed(&self, number: usize) -> Option<Core> {
        let failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(number).copied()
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_thrown(&self) -> bool {
        self.0.thrown.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Registers how to wake a core that sleeps; called at once if the switch is thrown already.
    pub fn on_throw(&self, wake: impl Fn() + Send + 'static) {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_thrown() {
            wake();
        }
        wakers.push(Box::new(wake));
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stop").field(&self.is_thrown()).finish()
    }
}

/// Why an engine could not run. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The kernel lacks or forbids what the engine needs.
    #[error("{what}; try: {remedy}")]
    Unsupported {
        /// What is missing or forbidden.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// An operation of the kernel failed.
    #[error("{operation}: {source}; try: {remedy}")]
    Os {
        /// The operation and its object.
        operation: String,
        /// What the kernel said.
        source: io::Error,
        /// What to do about it.
        remedy: String,
    },
    /// A core's thread panicked: a bug.
    #[error("core {core} panicked: {message}")]
    Panicked {
        /// Index of the core.
        core: usize,
        /// The panic's message.
        message: String,
    },
}

impl EngineError {
    /// The kernel starts no more threads here; `what` are those that it refused.
    #[must_use]
    pub fn no_threads(what: &str, source: io::Error) -> Self {
        Self::Os {
            operation: format!("cannot start {what} (clone)"),
            source,
            remedy: "a higher limit of tasks (pids.max of the cgroup, docker's --pids-limit, \
                     ulimit -u), or fewer --cores"
                .to_owned(),
        }
    }
}

/// Reads `CLOCK_MONOTONIC`.
#[must_use]
pub fn now() -> Instant {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ns = t.tv_sec.cast_unsigned() * 1_000_000_000 + t.tv_nsec.cast_unsigned();
    Instant::from_nanos(ns)
}
