//! What one would otherwise write: tokio, tokio-tungstenite and hyper, sharing nothing with the
//! core. The yardstick of every comparison, so it is written to be fast, not to lose.
//!
//! One task a connection. WebSocket connections go to tungstenite on the bare TCP stream, which is
//! cheaper than an upgrade through hyper; everything else goes to hyper. What the server shard has
//! and this has not: idle and head deadlines, heartbeats, `Last-Event-ID`, subprotocols.

mod accept;
mod counts;
mod http;
mod push;
mod websocket;

use crate::engine::Stop;
use crate::limits;
use core_affinity::CoreId;
use counts::Counts;
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

/// What the baseline server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; port 0 picks a free port.
    pub listen: Vec<SocketAddr>,
    /// The kernel's CPU numbers, a worker thread on each. One: a current-thread runtime.
    pub cpus: Vec<usize>,
    /// Time between two messages on `/push` and `/events`.
    pub chunk: Duration,
    /// Least bytes of such a message; it is padded up to that.
    pub chunk_bytes: usize,
    /// Cap on one WebSocket message, in bytes.
    pub max_message: usize,
    /// Time a draining server gives its peers.
    pub drain: Duration,
    /// How the outside asks the server to end.
    pub stop: Stop,
}

impl Config {
    /// A server on these addresses and CPUs with every bound at its default, a message a second.
    #[must_use]
    pub fn new(listen: Vec<SocketAddr>, cpus: Vec<usize>, stop: Stop) -> Self {
        Self {
            listen,
            cpus,
            chunk: Duration::from_secs(1),
            chunk_bytes: 0,
            max_message: limits::MESSAGE_BYTES,
            drain: limits::DRAIN_TIME,
            stop,
        }
    }
}

/// A baseline server that listens and does not serve yet.
#[derive(Debug)]
pub struct Baseline {
    config: Config,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Baseline {
    /// Binds every address.
    ///
    /// # Errors
    /// An address cannot be bound, or a CPU may not be used by this process; each names the remedy.
    pub fn bind(config: Config) -> io::Result<Self> {
        check_cpus(&config.cpus)?;
        let listeners: Vec<_> = config
            .listen
            .iter()
            .map(|&address| {
                let same = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
                listen(address, config.listen.iter().any(same))
            })
            .collect::<io::Result<_>>()?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            config,
            listeners,
            addresses,
        })
    }

    /// The addresses as bound, ports filled in.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `Config::stop` is thrown and the peers are gone or `Config::drain` is over.
    ///
    /// # Errors
    /// No thread or no epoll instance could be made.
    pub fn run(self) -> io::Result<()> {
        // A thread of its own: pinning must not outlive the server on the caller's thread.
        std::thread::scope(|scope| {
            scope.spawn(|| self.run_here()).join().unwrap_or_else(|_| {
                Err(io::Error::other(
                    "the baseline's main thread panicked: a bug",
                ))
            })
        })
    }

    fn run_here(self) -> io::Result<()> {
        let runtime = runtime(&self.config.cpus)?;
        runtime.block_on(serve(self.config, self.listeners))
    }
}

/// Binds and serves: [`Baseline::bind`], then [`Baseline::run`].
///
/// # Errors
/// As these two.
pub fn run(config: Config) -> io::Result<()> {
    Baseline::bind(config)?.run()
}

/// What every connection's task shares.
struct Shared {
    push: push::Channels,
    counts: Counts,
    max_message: usize,
    stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Ends when the server is asked to end.
    async fn stopped(&self) {
        // An error means that the sender is gone, which is the end as well.
        drop(self.stopping.clone().wait_for(|thrown| *thrown).await);
    }
}

async fn serve(config: Config, listeners: Vec<TcpListener>) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    config.stop.on_throw(move || {
        stop.send_replace(true);
    });
    let shared = Arc::new(Shared {
        push: push::Channels::new(),
        counts: Counts::new(),
        max_message: config.max_message,
        stopping,
    });
    // Every task holds a sender of this channel; it ends when the last task does.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(accept::accept(listener, Arc::clone(&shared), alive.clone()));
    }
    let publisher = push::Publisher::new(config.chunk, config.chunk_bytes);
    tokio::spawn(publisher.run(Arc::clone(&shared)));
    drop(alive);
    shared.stopped().await;
    // Too late is no error: what is still open then is dropped with the runtime.
    drop(tokio::time::timeout(config.drain, all_gone.recv()).await);
    Ok(())
}

fn runtime(cpus: &[usize]) -> io::Result<Runtime> {
    if let [cpu] = *cpus {
        core_affinity::set_for_current(CoreId { id: cpu });
        return Builder::new_current_thread().enable_all().build();
    }
    let cpus = cpus.to_vec();
    let started = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(cpus.len().max(1))
        .on_thread_start(move || {
            let index = started.fetch_add(1, Ordering::Relaxed);
            if let Some(&id) = cpus.get(index % cpus.len().max(1)) {
                core_affinity::set_for_current(CoreId { id });
            }
        })
        .enable_all()
        .build()
}

fn check_cpus(cpus: &[usize]) -> io::Result<()> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    match cpus
        .iter()
        .find(|&&cpu| allowed.iter().all(|core| core.id != cpu))
    {
        None => Ok(()),
        Some(cpu) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("this process may not run on CPU {cpu}; try: --cores with what `nproc` counts"),
        )),
    }
}

fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    try_listen(address, only_v6).map_err(|error| {
        let text = format!("cannot listen on {address}: {error}; try: another --listen address");
        io::Error::new(error.kind(), text)
    })
}

/// `[::]` takes IPv4 too, unless an IPv4 address with that port is given as well.
fn try_listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG.cast_signed())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
