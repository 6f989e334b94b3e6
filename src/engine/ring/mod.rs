//! The ring engine: one pinned glommio executor per core, an io_uring of our own inside it.
//!
//! The only `unsafe` of the program is in this folder. From the bottom up: [`kernel`] (one ring),
//! [`buffers`], [`operation`] (what a completion belongs to), [`slot`] (one connection), then, all
//! on [`port`] (what a shard sees): [`sending`], [`accept`], [`connect`], [`lifecycle`], [`mail`];
//! [`driver`] makes a turn of them, [`rest`] a loop of turns.

#![expect(unsafe_code, reason = "the one folder that talks to io_uring")]

mod accept;
mod buffers;
mod connect;
mod driver;
mod kernel;
mod lifecycle;
mod mail;
mod operation;
mod port;
mod probe;
mod rest;
mod sending;
mod slot;

use super::{EngineError, Plan, Stop};
use crate::shard::{Core, Counters, Shard};
use driver::Driver;
use glommio::{BuilderErrorKind, GlommioError, LocalExecutorBuilder, Placement};
use mail::{Desk, Post};
use port::Port;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Runs one shard per core over io_uring until each has finished; outcomes in core order.
///
/// # Errors
/// [`EngineError`] that names the remedy, before any shard has started; or a core's panic.
pub fn run<S: Shard + 'static>(
    plan: Plan,
    make: impl Fn(Core) -> S + Send + Sync + 'static,
) -> Result<Vec<S::Outcome>, EngineError> {
    let features = probe::check()?;
    let cores = plan.cpus.len();
    let make = Arc::new(make);
    let gate = Arc::new(Gate::default());
    let post: Post<S::Message> = mail::post(cores);
    let (ready, readied) = channel();
    let mut threads = Vec::new();
    for (index, listeners) in plan.listeners.into_cores().into_iter().enumerate() {
        let setup = Setup {
            core: Core(u16::try_from(index).unwrap_or(u16::MAX)),
            listeners,
            slots: plan.slots,
            max_backlog: plan.max_backlog,
            buffers: (plan.receive_buffers, plan.receive_bytes),
            features,
            post: Arc::clone(&post),
            stop: plan.stop.clone(),
            ready: ready.clone(),
            gate: Arc::clone(&gate),
        };
        let make = Arc::clone(&make);
        let spawned = LocalExecutorBuilder::new(Placement::Fixed(plan.cpus[index]))
            .name(&format!("ring-{index}"))
            .preempt_timer(Duration::from_secs(3600))
            .spawn(move || core(setup, make));
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                gate.open(false);
                return Err(no_executor(plan.cpus[index], &error));
            }
        }
    }
    drop(ready);
    let readiness = all_ready(&readied, cores);
    gate.open(readiness.is_ok());
    let mut outcomes = Vec::new();
    // Of a core that fell silent its thread's end says why.
    let fell_silent = matches!(readiness, Err(None));
    let mut failure = readiness.err().flatten();
    for (index, thread) in threads.into_iter().enumerate() {
        match thread.join() {
            Ok(Ok(Some(outcome))) => outcomes.push(outcome),
            Ok(Ok(None)) => {}
            Ok(Err(source)) => {
                failure.get_or_insert(EngineError::Os {
                    operation: format!("core {index}: io_uring_enter"),
                    source,
                    remedy: "--engine tokio, and tell the maintainers".to_owned(),
                });
            }
            Err(error @ GlommioError::BuilderError(BuilderErrorKind::ThreadPanic(_))) => {
                let message = error.to_string();
                failure.get_or_insert(EngineError::Panicked {
                    core: index,
                    message,
                });
            }
            Err(error) => {
                failure.get_or_insert(no_executor(plan.cpus[index], &error));
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

/// What a core's thread is born with.
struct Setup<M> {
    core: Core,
    listeners: Vec<TcpListener>,
    slots: u32,
    max_backlog: usize,
    buffers: (u16, u32),
    features: probe::Features,
    post: Post<M>,
    stop: Stop,
    ready: Sender<Result<(), EngineError>>,
    gate: Arc<Gate>,
}

/// A core's life; `None` if another core could not be set up.
async fn core<S: Shard + 'static>(
    setup: Setup<S::Message>,
    make: Arc<impl Fn(Core) -> S>,
) -> io::Result<Option<S::Outcome>> {
    let (ready, gate, stop) = (
        setup.ready.clone(),
        Arc::clone(&setup.gate),
        setup.stop.clone(),
    );
    let id = setup.core;
    let (driver, bell) = match furnish(setup, || make(id)) {
        Ok(furnished) => furnished,
        Err(error) => {
            let _ = ready.send(Err(error));
            return Ok(None);
        }
    };
    let _ = ready.send(Ok(()));
    drop(ready);
    if !gate.wait() {
        return Ok(None);
    }
    stop.on_throw(bell.ringer());
    let _ends_all = EndsAll(stop);
    rest::run(driver, bell).await.map(Some)
}

/// Stops the other cores when this one panics: half a program is worse than none.
struct EndsAll(Stop);

impl Drop for EndsAll {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.throw();
        }
    }
}

/// Sets up a core's ring, buffers, bell and shard.
fn furnish<S: Shard>(
    setup: Setup<S::Message>,
    make: impl FnOnce() -> S,
) -> Result<(Driver<S>, rest::Bell), EngineError> {
    let os = |operation: &str| {
        let operation = operation.to_owned();
        move |source| EngineError::Os {
            operation,
            source,
            remedy: "ulimit -n 20000".to_owned(),
        }
    };
    let mut ring = kernel::Ring::new(setup.slots)?;
    let buffers = ring.register_buffers(setup.buffers.0, setup.buffers.1)?;
    // A core that listens keeps a few slots for connects of its own; one that does not, all.
    let listens = !setup.listeners.is_empty();
    let outgoing = if listens {
        OUTGOING.min(setup.slots / 4)
    } else {
        setup.slots
    };
    if listens {
        ring.reserve_below(outgoing, setup.slots)
            .map_err(os("cannot divide the file table"))?;
    }
    let bell = rest::Bell::new().map_err(os("cannot make an eventfd"))?;
    ring.register_eventfd(bell.descriptor())
        .map_err(os("cannot register an eventfd"))?;
    let desk = Desk::new(setup.post, setup.core);
    desk.hang_bell(ring.descriptor());
    let port = Port {
        ring,
        slots: slot::Slots::new(outgoing, setup.slots),
        pool: Default::default(),
        gates: accept::Gates::new(setup.listeners),
        addresses: Default::default(),
        vectors: Default::default(),
        desk,
        now: super::now(),
        core: setup.core,
        max_backlog: setup.max_backlog,
        features: setup.features,
        counters: Counters::default(),
        dirty: Vec::new(),
        unproven: Vec::new(),
        starved: Default::default(),
        lingering: Default::default(),
        news: Default::default(),
    };
    Ok((Driver::new(make(), port, buffers, setup.stop), bell))
}

/// Slots that a listening core keeps for its own connects.
const OUTGOING: u32 = 64;

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

fn no_executor(cpu: usize, error: &GlommioError<()>) -> EngineError {
    let said = error.to_string();
    // glommio wraps it into an error of I/O: only its text tells.
    let remedy = if said.contains("MemLockLimit") {
        "ulimit -l 8192 (512 KiB of locked memory per core)"
    } else {
        "--cores with CPUs of this host (`nproc --all`)"
    };
    EngineError::Unsupported {
        what: format!("cannot start an executor on CPU {cpu}: {said}"),
        remedy: remedy.to_owned(),
    }
}

/// Holds every core until all are set up, so that no letter finds a core without a bell.
#[derive(Default)]
struct Gate {
    state: Mutex<Option<bool>>,
    changed: Condvar,
}

impl Gate {
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
