//! What one core counts, what all do, and what is told of it: the keys of `/stats`.

use super::tally::Tally;
use crate::app::Holdings;
use crate::app::backend::HookFigures;
use crate::app::hub::store::StoreFigures;
use crate::shard::{Counters, Handshakes, Table, Vitals};
use crate::stats::{Cgroup, HostSample, Listener, Process};
use serde::Serialize;
use std::collections::BTreeMap;

/// What one core counts, or the sum over cores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Connections and messages.
    #[serde(flatten)]
    pub tally: Tally,
    /// What applications hold.
    #[serde(flatten)]
    pub holdings: Holdings,
    /// The engine's counters.
    #[serde(flatten)]
    pub counters: Counters,
    /// TLS handshakes; `None` where nothing speaks TLS.
    pub tls: Option<Tls>,
    /// CPU time of the core's thread, user and system.
    pub cpu_s: f64,
    /// Slots for connections in use.
    pub slots_used: u64,
    /// Slots.
    pub slots: u64,
    /// The tables that they are in; of one core.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Connections waiting to be accepted.
    pub accept_queue: Option<u64>,
    /// How many may wait.
    pub accept_queue_limit: Option<u64>,
}

/// TLS handshakes of accepted connections: [`Handshakes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// Under way now.
    pub handshakes_open: u64,
    /// Of those, peers that wait for an answer.
    pub handshakes_waiting: u64,
    /// Secured.
    pub handshakes_done: u64,
    /// Failed.
    pub handshakes_failed: u64,
    /// Given up by the peer.
    pub handshakes_left: u64,
    /// Took too long.
    pub handshakes_timed_out: u64,
    /// Made room for newer ones.
    pub handshakes_refused: u64,
}

impl From<Handshakes> for Tls {
    fn from(it: Handshakes) -> Self {
        Self {
            handshakes_open: it.under_way,
            handshakes_waiting: it.waiting,
            handshakes_done: it.done,
            handshakes_failed: it.failed,
            handshakes_left: it.left,
            handshakes_timed_out: it.timed_out,
            handshakes_refused: it.refused,
        }
    }
}

impl Tls {
    const fn add(&mut self, other: &Self) {
        self.handshakes_open += other.handshakes_open;
        self.handshakes_waiting += other.handshakes_waiting;
        self.handshakes_done += other.handshakes_done;
        self.handshakes_failed += other.handshakes_failed;
        self.handshakes_left += other.handshakes_left;
        self.handshakes_timed_out += other.handshakes_timed_out;
        self.handshakes_refused += other.handshakes_refused;
    }
}

#[derive(Serialize)]
pub(super) struct CoreFigures {
    pub(super) core: u16,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// Everything that is known when all have told.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) schema: &'static str,
    pub(super) engine: &'a str,
    pub(super) uptime_s: f64,
    pub(super) upgrades: u64,
    pub(super) cores: Vec<CoreFigures>,
    pub(super) total: Figures,
    pub(super) process: Process,
    pub(super) listeners: &'a [Listener],
    pub(super) host: Option<&'a HostSample>,
    pub(super) cgroup: Option<&'a Cgroup>,
    pub(super) sample_age_s: Option<f64>,
    pub(super) missing: Vec<u16>,
    /// What clients of channels asked for and did not get, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) complaints: BTreeMap<&'static str, u64>,
    /// How the application behind the server is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backend: Option<HookFigures>,
    /// What outlives the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<StoreFigures>,
}

impl Figures {
    /// One core's count and its engine's reading.
    #[must_use]
    pub fn new((tally, holdings): (Tally, Holdings), vitals: &Vitals) -> Self {
        Self {
            tally,
            holdings,
            counters: vitals.counters,
            tls: vitals.handshakes.map(Tls::from),
            cpu_s: vitals.thread_cpu.as_secs_f64(),
            slots_used: vitals.tables.iter().map(|it| u64::from(it.used)).sum(),
            slots: vitals.tables.iter().map(|it| u64::from(it.size)).sum(),
            tables: vitals.tables.clone(),
            // Read elsewhere, for all cores at once.
            accept_queue: None,
            accept_queue_limit: None,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.holdings.add(other.holdings);
        self.counters.add(&other.counters);
        if let Some(tls) = &other.tls {
            self.tls.get_or_insert_default().add(tls);
        }
        self.cpu_s += other.cpu_s;
        self.slots_used += other.slots_used;
        self.slots += other.slots;
        add_known(&mut self.accept_queue, other.accept_queue);
        add_known(&mut self.accept_queue_limit, other.accept_queue_limit);
    }

    /// Takes in who waits at this core's listeners.
    pub(super) fn queue(&mut self, core: u16, listeners: &[Listener]) {
        for listener in listeners.iter().filter(|it| it.core == core) {
            add_known(&mut self.accept_queue, listener.accept_queue);
            add_known(&mut self.accept_queue_limit, listener.accept_queue_limit);
        }
    }
}

/// A sum is known as soon as a part of it is.
fn add_known(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or(0) + more);
    }
}
