//! The shards on a simulated network and a virtual clock: every run is a function of its seed.
//!
//! Cores of a server that listens and cores of a load client that connects run in one thread. Every
//! byte stream is split at random, delayed, and reordered against the others (never within itself);
//! sends are short, buffers bounded, readers slow; connections are reset or die silently, connects
//! are refused or lost ([`Conditions`]). The contract of the seam is asserted at every event.

mod conditions;
mod host;
mod network;
mod socket;
mod wire;

use self::host::Host;
use self::network::{NetworkEvent, START, SimNetwork};
use self::wire::CoreState;
use super::mail_gauge::MailGauge;
use crate::limits;
use crate::shard::{Core, Shard};
use crate::time::Instant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use conditions::Conditions;
pub use network::Faults;

/// A run of more events than this is a livelock.
const EVENTS_MAX: u64 = 50_000_000;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// What the network does.
    pub conditions: Conditions,
    /// Cores of the server.
    pub servers: u16,
    /// Cores of the load client.
    pub loads: u16,
    /// Where every server core listens.
    pub listeners: Vec<SocketAddr>,
    /// Connections that one core may hold at once.
    pub slots: u32,
    /// Cap on outbound bytes queued for one connection.
    pub max_backlog: usize,
    /// Bytes that one receive gives at most.
    pub receive_bytes: usize,
    /// When the loads are asked to stop, if they have not finished.
    pub stop_loads: Option<Duration>,
    /// How long after the last load has finished the servers are asked to stop.
    pub stop_servers: Option<Duration>,
    /// When the servers are asked to stop, whatever the loads do.
    pub stop_servers_at: Option<Duration>,
    /// A server's core that fails, and when: it is gone with all it has, and the others are told.
    pub fail_server: Option<(Core, Duration)>,
    /// The end of virtual time.
    pub until: Duration,
}

impl SimConfig {
    /// One core each, calm conditions, an hour at most; the servers stop when the loads are done.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            conditions: Conditions::calm(),
            servers: 1,
            loads: 1,
            listeners: vec![SocketAddr::from(([10, 0, 0, 1], 80))],
            slots: 4096,
            max_backlog: limits::BACKLOG_BYTES,
            receive_bytes: limits::RECEIVE_BYTES as usize,
            stop_loads: None,
            stop_servers: Some(Duration::ZERO),
            stop_servers_at: None,
            fail_server: None,
            until: Duration::from_secs(3600),
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Report<S, L> {
    /// The servers' outcomes, in the order of their cores; `None` if time was up before.
    pub servers: Vec<Option<S>>,
    /// The loads' outcomes likewise.
    pub loads: Vec<Option<L>>,
    /// Virtual time that passed.
    pub took: Duration,
    /// What the network did on purpose.
    pub faults: Faults,
    /// A digest of the run: equal for equal plans and shards.
    pub digest: u64,
}

/// Runs all cores until each has finished, no event is left, or time is up.
///
/// # Panics
/// If the contract of the seam is broken, a shard panics, or nothing ever comes to an end.
pub fn run<S: Shard, L: Shard>(
    config: &SimConfig,
    mut server: impl FnMut(Core) -> S,
    mut load: impl FnMut(Core) -> L,
) -> Report<S::Outcome, L::Outcome> {
    let (servers, nodes) = (
        usize::from(config.servers),
        usize::from(config.servers + config.loads),
    );
    let net = SimNetwork::new(
        config.seed,
        config.conditions.clone(),
        config.listeners.clone(),
        nodes,
        servers,
    );
    let mut world = World {
        net,
        servers: hosts(config, config.servers, 0, &mut server),
        loads: hosts(config, config.loads, servers, &mut load),
        stop_servers: config.stop_servers,
    };
    for node in 0..nodes {
        world.net.wake(node);
    }
    if let Some(after) = config.stop_loads {
        world
            .net
            .plan(START + after, NetworkEvent::Stop { servers: false });
    }
    if let Some(after) = config.stop_servers_at {
        world
            .net
            .plan(START + after, NetworkEvent::Stop { servers: true });
    }
    if let Some((core, after)) = config.fail_server {
        world.net.plan(START + after, NetworkEvent::Fail(core));
    }
    world.run(START + config.until);
    Report {
        servers: world.servers.into_iter().map(|host| host.outcome).collect(),
        loads: world.loads.into_iter().map(|host| host.outcome).collect(),
        took: world.net.now.since(START),
        faults: world.net.faults,
        digest: world.net.digest,
    }
}

/// Runs `one` for these seeds on every CPU; for `RINGSTORM_SEED` alone if that is set, and for
/// `RINGSTORM_SEEDS` of them if that is.
///
/// # Panics
/// If `one` does; the message names the seed that reproduces it.
pub fn explore(seeds: std::ops::Range<u64>, one: impl Fn(u64) + Sync) {
    let told = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seeds = match (told("RINGSTORM_SEED"), told("RINGSTORM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => seeds.start..seeds.start + count,
        (None, None) => seeds,
    };
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let attempt = std::panic::AssertUnwindSafe(|| one(seed));
            if let Err(panic) = std::panic::catch_unwind(attempt) {
                next.store(seeds.end, Ordering::Relaxed);
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                panic!(
                    "RINGSTORM_SEED={seed} reproduces: {}",
                    text.unwrap_or("a panic")
                );
            }
        }
    };
    let failed = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ends = threads.into_iter().map(|thread| thread.join().err());
        ends.collect::<Vec<_>>().into_iter().flatten().next()
    });
    if let Some(panic) = failed {
        std::panic::resume_unwind(panic);
    }
}

fn hosts<S: Shard>(
    config: &SimConfig,
    cores: u16,
    first: usize,
    make: &mut impl FnMut(Core) -> S,
) -> Vec<Host<S>> {
    let gauge = MailGauge::default();
    let host = |core: u16| {
        let node = first + usize::from(core);
        let mut state = CoreState::new(node, Core(core), cores, config.slots, config.max_backlog);
        state.gauge = gauge.clone();
        Host::new(make(Core(core)), state, config.receive_bytes)
    };
    (0..cores).map(host).collect()
}

struct World<S: Shard, L: Shard> {
    net: SimNetwork,
    servers: Vec<Host<S>>,
    loads: Vec<Host<L>>,
    stop_servers: Option<Duration>,
}

impl<S: Shard, L: Shard> World<S, L> {
    fn run(&mut self, until: Instant) {
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.net.next() else {
                return;
            };
            if self.net.now > until {
                return;
            }
            match event {
                NetworkEvent::Turn(node) if node < self.servers.len() => {
                    turn(&mut self.servers, node, &mut self.net);
                }
                NetworkEvent::Turn(node) => {
                    turn(&mut self.loads, node - self.servers.len(), &mut self.net);
                    self.stop_after_loads();
                }
                NetworkEvent::Fail(core) => fail(&mut self.servers, core, &mut self.net),
                NetworkEvent::Stop { servers: true } => stop(&mut self.servers, &mut self.net),
                NetworkEvent::Stop { servers: false } => stop(&mut self.loads, &mut self.net),
                _ => unreachable!("the network keeps the rest to itself"),
            }
            let are_over = self.servers.iter().all(Host::is_over);
            if are_over && self.loads.iter().all(|host| host.outcome.is_some()) {
                return;
            }
        }
        panic!(
            "no end after {EVENTS_MAX} events, at {:?}",
            self.net.now.since(START)
        );
    }

    fn stop_after_loads(&mut self) {
        if self.loads.iter().all(|host| host.outcome.is_some())
            && let Some(after) = self.stop_servers.take()
        {
            let at = self.net.now + after;
            self.net.plan(at, NetworkEvent::Stop { servers: true });
        }
    }
}

fn turn<S: Shard>(hosts: &mut [Host<S>], core: usize, net: &mut SimNetwork) {
    hosts[core].turn(net);
    for (to, message, bytes) in std::mem::take(&mut hosts[core].state.outbox) {
        if let Some(host) = hosts.get_mut(to.index()).filter(|host| !host.is_over()) {
            // In order: none overtakes another on its way to that core.
            let last = host.state.inbox.back().map_or(net.now, |(at, ..)| *at);
            let at = net.travel().max(last);
            let from = Core(u16::try_from(core).unwrap_or(u16::MAX));
            host.state.gauge.sent(bytes);
            host.state.inbox.push_back((at, from, message, bytes));
            let node = host.node();
            net.wake_at(node, at);
        }
    }
}

/// A core fails, and the others learn of it.
fn fail<S: Shard>(hosts: &mut [Host<S>], core: Core, net: &mut SimNetwork) {
    if let Some(host) = hosts.get_mut(core.index()) {
        host.fail(net);
    }
    for host in hosts.iter_mut().filter(|host| !host.is_over()) {
        host.lost.push(core);
    }
    stop(hosts, net);
}

fn stop<S: Shard>(hosts: &mut [Host<S>], net: &mut SimNetwork) {
    for host in hosts {
        host.stop = true;
        net.wake(host.node());
    }
}
