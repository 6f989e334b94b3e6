//! Counts connections and messages, and tells them with the process's figures as `/stats` does.

use procfs::process::Process;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an open connection is. A connection with an event stream counts as that only.
#[derive(Clone, Copy, Debug)]
pub(super) enum OpenKind {
    WebSocket,
    Events,
    Http,
}

/// The server's counters, shared by all tasks.
pub(super) struct Counts {
    since: Instant,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    websocket: AtomicU64,
    events: AtomicU64,
    http: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    fn level(&self, kind: OpenKind) -> &AtomicU64 {
        match kind {
            OpenKind::WebSocket => &self.websocket,
            OpenKind::Events => &self.events,
            OpenKind::Http => &self.http,
        }
    }
}

/// Counts as open until dropped.
pub(super) struct OpenGuard {
    counters: Arc<Counters>,
    kind: OpenKind,
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.counters
            .level(self.kind)
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            counters: Arc::default(),
        }
    }

    pub(super) fn accepted(&self) {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.counters.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, messages: u64) {
        self.counters
            .received
            .fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, messages: u64) {
        self.counters.sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn open(&self, kind: OpenKind) -> OpenGuard {
        self.counters.level(kind).fetch_add(1, Ordering::Relaxed);
        OpenGuard {
            counters: Arc::clone(&self.counters),
            kind,
        }
    }

    /// The keys of the ring server's `/stats`, as far as there is something to tell.
    pub(super) fn json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        // The connection of an event stream is open as HTTP too.
        let events = read(&counters.events);
        let http = read(&counters.http).saturating_sub(events);
        let process = Process::myself().ok();
        let memory = process.as_ref().and_then(|it| it.statm().ok());
        let resident_pages = memory.map_or(0, |it| it.resident);
        json!({
            "schema": "ringstorm.stats/1",
            "engine": "baseline",
            "uptime_s": self.since.elapsed().as_secs_f64(),
            "cores": [],
            "total": {
                "open": { "websocket": read(&counters.websocket), "sse": events, "http": http },
                "accepted": read(&counters.accepted),
                "closed": { "all": read(&counters.closed) },
                "messages_in": read(&counters.received),
                "messages_out": read(&counters.sent),
            },
            "process": {
                "cpu_s": process_cpu().as_secs_f64(),
                "rss_bytes": resident_pages * procfs::page_size(),
                "descriptors": process.and_then(|it| it.fd_count().ok()).unwrap_or(0),
                "descriptor_limit": getrlimit(Resource::Nofile).current,
            },
        })
    }
}

fn process_cpu() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        t.tv_sec.cast_unsigned(),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}
