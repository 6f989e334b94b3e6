//! The ring engine: one pinned glommio executor per core, an io_uring of our own inside it.
//!
//! The only `unsafe` of the program is in this folder. From the bottom up: [`uring`] (the system
//! calls), [`queue`] (one ring), [`buffers`], [`operation`] (what a completion belongs to),
//! [`slot`] (one connection), [`accept`], [`mailer`]; then [`port`] (what a shard sees; connects,
//! sends and the rest of a connection's life are below it), [`driver`], which makes a turn of them,
//! and [`event_loop`], which makes turns.

#![expect(unsafe_code, reason = "the one folder that talks to io_uring")]

mod accept;
mod accept_coalescer;
mod addresses;
mod buffers;
mod driver;
mod event_loop;
pub(in crate::engine) mod heap;
mod inherited;
mod intake;
mod kernel;
mod lent;
mod mailer;
mod operation;
mod option;
mod port;
mod probe;
mod queue;
mod rings;
#[cfg(test)]
mod scripted;
mod slot;
mod thread;
mod uring;
mod vectors;
mod waker;

use super::{AcceptFailures, EngineConfig, EngineError, FirstWord, ListenSocket, Stop};
use crate::limits;
use crate::shard::{Core, Counters, Shard};
use accept::Acceptor;
use buffers::ReceiveBuffers;
use driver::Driver;
pub use inherited::duplicate;
use intake::Group;
use mailer::{Mailboxes, Mailer, mailboxes_for};
pub(super) use option::unacknowledged;
use port::{Peers, Port};
use queue::Ring;
use rings::Rings;
use rustix::process::{Resource, getrlimit};
use slot::{Size, Slots};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use waker::Waker;

/// Runs one shard per core over io_uring until each has finished; outcomes in core order.
///
/// # Errors
/// [`EngineError`] that names the remedy, before any shard has started; or a core's panic.
pub fn run<S: Shard + 'static>(
    config: EngineConfig,
    make: impl Fn(Core) -> S + Send + Sync + 'static,
) -> Result<Vec<S::Outcome>, EngineError> {
    let features = probe::check()?;
    let cores = config.cpus.len();
    thread::rehearse(cores)?;
    let make = Arc::new(make);
    let start = Arc::new(StartLatch::default());
    let mailboxes: Mailboxes<S::Message> = mailboxes_for(cores);
    let (ready, readied) = channel();
    let mut threads = Vec::new();
    for (index, listeners) in config.listeners.into_cores().into_iter().enumerate() {
        let setup = Setup {
            core: Core(u16::try_from(index).unwrap_or(u16::MAX)),
            listeners,
            first_word: config.first_word,
            peers: config.peers,
            slots: config.slots,
            connects: config.connects,
            table: config.table,
            max_backlog: config.max_backlog,
            stall: config.stall,
            buffers: (config.receive_buffers, config.receive_bytes),
            features,
            mailboxes: Arc::clone(&mailboxes),
            accept_failures: config.accept_failures.clone(),
            stop: config.stop.clone(),
            ready: ready.clone(),
            start: Arc::clone(&start),
        };
        let make = Arc::clone(&make);
        let cpu = config.cpus[index];
        let started = thread::start(index, move || {
            let executor = thread::executor(index, cpu)?;
            executor
                .run(core(setup, make))
                .map_err(|source| broke(index, source))
        });
        match started {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                start.open(false);
                return Err(error);
            }
        }
    }
    drop(ready);
    let readiness = all_ready(&readied, cores);
    start.open(readiness.is_ok());
    let mut outcomes = Vec::new();
    // Of a core that fell silent its thread's end says why.
    let fell_silent = matches!(readiness, Err(None));
    let mut failure = readiness.err().flatten();
    for (index, thread) in threads.into_iter().enumerate() {
        match joined(index, thread) {
            Ok(outcome) => outcomes.extend(outcome),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    if fell_silent && failure.is_none() {
        failure = Some(EngineError::Panicked {
            core: outcomes.len(),
            message: "in its set-up".to_owned(),
        });
    }
    failure.map_or(Ok(outcomes), Err)
}

/// How a core ended; `Ok(None)` if it did not begin because another could not.
fn joined<O>(
    core: usize,
    thread: JoinHandle<Result<Option<O>, EngineError>>,
) -> Result<Option<O>, EngineError> {
    thread.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(EngineError::Panicked {
            core,
            message: text.unwrap_or_else(|| "without a message".to_owned()),
        })
    })
}

/// What io_uring_enter says that no retry can mend.
fn broke(core: usize, source: io::Error) -> EngineError {
    EngineError::Os {
        operation: format!("core {core}: io_uring_enter"),
        remedy: match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => {
                "a container profile that allows io_uring_enter, or --engine tokio"
            }
            // io_uring_enter(2): a completion was lost for want of memory.
            Some(libc::EBADR) => "more memory for this process (memory.max of the cgroup)",
            _ => "--engine tokio, and tell the maintainers",
        }
        .to_owned(),
        source,
    }
}

/// What a core's thread is born with.
struct Setup<M> {
    core: Core,
    listeners: Vec<ListenSocket>,
    first_word: FirstWord,
    peers: bool,
    slots: u32,
    connects: u32,
    table: u32,
    max_backlog: usize,
    stall: Duration,
    buffers: (u16, u32),
    features: probe::Features,
    mailboxes: Mailboxes<M>,
    accept_failures: AcceptFailures,
    stop: Stop,
    ready: Sender<Result<(), EngineError>>,
    start: Arc<StartLatch>,
}

/// A core's life; `None` if another core could not be set up.
async fn core<S: Shard + 'static>(
    mut setup: Setup<S::Message>,
    make: Arc<impl Fn(Core) -> S>,
) -> io::Result<Option<S::Outcome>> {
    let (ready, start, stop) = (
        setup.ready.clone(),
        Arc::clone(&setup.start),
        setup.stop.clone(),
    );
    let (id, mailboxes) = (setup.core, Arc::clone(&setup.mailboxes));
    let listeners = Arc::new(std::mem::take(&mut setup.listeners));
    let lost = Arc::downgrade(&listeners);
    let (driver, waker) = match furnish(setup, listeners, || make(id)) {
        Ok(furnished) => furnished,
        Err(error) => {
            let _ = ready.send(Err(error));
            return Ok(None);
        }
    };
    let _ = ready.send(Ok(()));
    drop(ready);
    if !start.wait() {
        return Ok(None);
    }
    let handle = waker.handle();
    stop.on_throw(move || handle.wake());
    let mut ends_all = EndsAll {
        stop,
        mailboxes,
        core: id,
        listeners: lost,
        well: false,
    };
    let outcome = event_loop::run(driver, waker).await;
    ends_all.well = outcome.is_ok();
    outcome.map(Some)
}

/// Stops the other cores when this one panics or fails, half a program is worse than none, and
/// leaves them its newcomers: what the ring holds of it is not freed then.
struct EndsAll<M> {
    stop: Stop,
    mailboxes: Mailboxes<M>,
    core: Core,
    listeners: Weak<Vec<ListenSocket>>,
    /// It has ended as it should.
    well: bool,
}

impl<M> Drop for EndsAll<M> {
    fn drop(&mut self) {
        if !self.well {
            self.mailboxes[self.core.index()].close();
            accept::take_down(&self.listeners);
            self.stop.fail(self.core);
        }
    }
}

/// Sets up a core's rings, buffers, waker and shard.
fn furnish<S: Shard>(
    setup: Setup<S::Message>,
    listeners: Arc<Vec<ListenSocket>>,
    make: impl FnOnce() -> S,
) -> Result<(Driver<S>, Waker), EngineError> {
    let waker = Waker::new().map_err(failed("make an eventfd"))?;
    let listens = !listeners.is_empty();
    if matches!(setup.first_word, FirstWord::Peers) {
        accept::defer(&listeners).map_err(failed("defer accepts"))?;
    }
    // What a table of a core that listens holds beside accepted connections.
    let spare = accept::spare_slots(listeners.len());
    let beside = if listens { setup.connects + spare } else { 0 };
    let most = most_descriptors()
        .saturating_sub(beside)
        .min(setup.table)
        .max(1);
    let tables = setup.slots.div_ceil(most).max(1);
    let each = setup.slots.div_ceil(tables).max(1);
    let (outgoing, incoming) = if listens {
        (setup.connects, each)
    } else {
        (each, 0)
    };
    let table = each + beside;
    let size = Size {
        outgoing,
        incoming,
        table,
    };
    let mut rings = Vec::new();
    let mut buffers = Vec::new();
    for _ in 0..tables {
        let mut ring = Ring::new(uring::Uring::new(table)?);
        let small = (share(setup.buffers.0, tables), setup.buffers.1);
        buffers.push(receive_buffers(&mut ring, small)?);
        if listens {
            ring.reserve_below(outgoing, table)
                .map_err(failed("divide the file table"))?;
        }
        ring.register_eventfd(waker.handle().descriptor())
            .map_err(failed("register an eventfd"))?;
        rings.push(ring);
    }
    let count = rings.len();
    let mut rings = Rings::new(rings, table);
    let mailer = Mailer::new(setup.mailboxes, setup.core);
    mailer.set_doorbell(rings.lead().descriptor(), waker.handle());
    let peers = setup.peers.then(|| Peers::new(&listeners));
    let mut acceptor = Acceptor::new(listeners, count);
    acceptor.failures = setup.accept_failures;
    let port = Port {
        rings,
        lent: Default::default(),
        slots: Slots::new(count, size, setup.slots),
        pool: Default::default(),
        acceptor,
        addresses: Default::default(),
        mailer,
        now: super::now(),
        core: setup.core,
        max_backlog: setup.max_backlog,
        stall: setup.stall,
        features: setup.features,
        counters: Counters::default(),
        dirty: Vec::new(),
        lingering: Default::default(),
        querying: Default::default(),
        pending: Default::default(),
        waiting: Default::default(),
        peers,
        trims: false,
    };
    let driver = Driver::new(make(), port, buffers, setup.stop, waker.handle());
    Ok((driver, waker))
}

/// How many descriptors this process may have.
fn most_descriptors() -> u32 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// Registers both kinds of receive buffers with a ring; so many of that size are small.
fn receive_buffers(ring: &mut Ring, small: (u16, u32)) -> Result<ReceiveBuffers, EngineError> {
    let large = (limits::LARGE_RECEIVE_BUFFERS, limits::LARGE_RECEIVE_BYTES);
    Ok(ReceiveBuffers {
        small: ring.register_buffers(Group::Small, small)?,
        large: ring.register_buffers(Group::Large, large)?,
    })
}

/// Receive buffers of a ring, however many rings share the core's.
const BUFFERS_LEAST: u16 = 64;

/// A ring's share of the core's receive buffers: a power of two, and never so few that a burst
/// starves most receivers.
fn share(buffers: u16, rings: u32) -> u16 {
    let rings = u16::try_from(rings.next_power_of_two()).unwrap_or(u16::MAX);
    (buffers / rings).max(BUFFERS_LEAST.min(buffers))
}

fn failed(what: &str) -> impl Fn(io::Error) -> EngineError + use<> {
    let operation = format!("cannot {what}");
    move |source| EngineError::Os {
        operation: operation.clone(),
        source,
        remedy: "more descriptors (ulimit -n), fewer connections, or --engine tokio".to_owned(),
    }
}

/// Waits for the word of every core; `None` of one that ended before it could say anything.
fn all_ready(
    readied: &Receiver<Result<(), EngineError>>,
    cores: usize,
) -> Result<(), Option<EngineError>> {
    for _ in 0..cores {
        // The last core to end has dropped the last sender.
        readied.recv().map_err(|_| None)?.map_err(Some)?;
    }
    Ok(())
}

/// Holds every core until all are set up, so that no message finds a core without a waker.
#[derive(Default)]
struct StartLatch {
    state: Mutex<Option<bool>>,
    changed: Condvar,
}

impl StartLatch {
    fn open(&self, go: bool) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(go);
        self.changed.notify_all();
    }

    /// Waits until all are ready; whether to go on.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *state {
                Some(go) => return go,
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}
