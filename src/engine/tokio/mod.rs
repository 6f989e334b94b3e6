//! The shards on tokio: one current-thread runtime per core, for hosts that forbid `io_uring`, and
//! to tell the ring's share of a result from the design's.
//!
//! One future per core takes turns: readiness of sockets gathers in a list while the runtime polls
//! epoll; a turn handles the list, then writes what each connection has queued, once.

mod accept;
mod alarm;
mod io;
mod link;
mod signal;
mod turn;

use self::accept::PolledListeners;
use self::alarm::Alarm;
use self::io::{Bounds, Io};
use self::signal::{Mailbox, Ready};
use self::turn::CoreLoop;
use super::mail_gauge::MailGauge;
use super::{AcceptFailures, EngineConfig, EngineError, ListenSocket, Stop, pin};
use crate::shard::{Core, Shard};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Runs a shard on every core of the config and blocks until all have finished; their outcomes in
/// the order of the cores. `make` is called in the thread of the core.
///
/// # Errors
/// [`EngineError`] of the first core that could not start or panicked; the others are stopped.
pub fn run<S: Shard>(
    config: EngineConfig,
    make: impl Fn(Core) -> S + Send + Sync + 'static,
) -> Result<Vec<S::Outcome>, EngineError> {
    let bounds = Bounds {
        slots: config.slots,
        max_backlog: config.max_backlog,
        stall: config.stall,
    };
    let gauge = MailGauge::default();
    let mailbox = |_| Mailbox::new(gauge.clone());
    let mailboxes: Arc<[Mailbox<S::Message>]> = config.cpus.iter().map(mailbox).collect();
    let make = Arc::new(make);
    let mut threads = Vec::new();
    for (index, listeners) in config.listeners.into_cores().into_iter().enumerate() {
        let start = Start {
            core: Core(u16::try_from(index).unwrap_or(u16::MAX)),
            cpu: config.cpus[index],
            listeners,
            bounds,
            mailboxes: Arc::clone(&mailboxes),
            accept_failures: config.accept_failures.clone(),
            stop: config.stop.clone(),
        };
        let make = Arc::clone(&make);
        let bail = Bail {
            core: start.core,
            stop: config.stop.clone(),
            armed: true,
        };
        let thread = std::thread::Builder::new()
            .name(format!("tokio-{index}"))
            .spawn(move || bail.guard(|| start.run(make.as_ref())))
            .map_err(|source| EngineError::no_threads("the thread of a core", source));
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                config.stop.throw();
                join(threads)?;
                return Err(error);
            }
        }
    }
    join(threads)
}

/// Waits for every thread, whatever the others did.
fn join<T>(threads: Vec<JoinHandle<Result<T, EngineError>>>) -> Result<Vec<T>, EngineError> {
    let ends: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    let ends = ends.into_iter().enumerate().map(|(core, end)| {
        end.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let message = text.unwrap_or("no message").to_owned();
            Err(EngineError::Panicked { core, message })
        })
    });
    ends.collect()
}

/// Everything one core's thread needs to start.
struct Start<M> {
    core: Core,
    cpu: usize,
    listeners: Vec<ListenSocket>,
    bounds: Bounds,
    mailboxes: Arc<[Mailbox<M>]>,
    accept_failures: AcceptFailures,
    stop: Stop,
}

impl<M: Send + 'static> Start<M> {
    fn run<S: Shard<Message = M>>(
        self,
        make: &impl Fn(Core) -> S,
    ) -> Result<S::Outcome, EngineError> {
        pin::this_thread(self.core.index(), self.cpu)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|source| os("cannot start a tokio runtime", source, "ulimit -n 65536"))?;
        // Sockets register with the runtime that is entered.
        let _entered = runtime.enter();
        let ready = Arc::new(Ready::default());
        if let Some(mailbox) = self.mailboxes.get(self.core.index()) {
            mailbox.attach(&ready);
        }
        let waker = ready.waker(signal::NUDGE);
        self.stop.on_throw(move || waker.wake_by_ref());
        let listening = |source| os("cannot watch a listening socket", source, "ulimit -n 65536");
        let acceptor = PolledListeners::new(self.listeners, &ready, self.accept_failures);
        let acceptor = acceptor.map_err(listening)?;
        let timer = |source| os("cannot make a timer", source, "ulimit -n 65536");
        let alarm = Alarm::new(&ready).map_err(timer)?;
        let io = Io::new(
            self.core,
            self.bounds,
            Arc::clone(&ready),
            self.mailboxes,
            acceptor,
        );
        let turns = CoreLoop::new(make(self.core), io, alarm, self.stop);
        // The turns bound their own work: tokio's budget would only interrupt them.
        Ok(runtime.block_on(tokio::task::coop::unconstrained(turns.run())))
    }
}

/// Stops the other cores when this one ends badly: they might wait for it for ever.
struct Bail {
    core: Core,
    stop: Stop,
    armed: bool,
}

impl Bail {
    fn guard<T>(mut self, run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        let result = run();
        self.armed = result.is_err();
        result
    }
}

impl Drop for Bail {
    fn drop(&mut self) {
        if self.armed {
            self.stop.fail(self.core);
        }
    }
}

fn os(operation: &str, source: std::io::Error, remedy: &str) -> EngineError {
    EngineError::Os {
        operation: operation.to_owned(),
        source,
        remedy: remedy.to_owned(),
    }
}
