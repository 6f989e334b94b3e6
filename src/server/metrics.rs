//! `/metrics`: what `/stats` tells, as OpenMetrics text.

use super::figures::{CoreFigures, Figures, Tls, Told};
use crate::app::backend::{HOOK_BOUNDS_MS, HookFigures};
use crate::app::hub::store::StoreFigures;
use crate::stats::exposition::{Exposition, Format, MetricFamily, MetricKind};
use crate::stats::metrics;
use std::collections::BTreeMap;

/// Bounds of the histogram of [`crate::shard::Counters::turn_events`].
const TURN_BOUNDS: [f64; 13] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];

/// Writes everything.
pub(super) fn write(into: &mut Vec<u8>, told: &Told<'_>) {
    let mut text = Exposition::new(into, Format::OpenMetrics, "ringstorm_");
    text.family(&MetricFamily {
        name: "build",
        kind: MetricKind::Info,
        help: "What serves.",
    });
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("engine", told.engine),
    ];
    text.sample(&labels, 1.0);
    let uptime = MetricFamily::gauge("uptime_seconds", "Time since the start.");
    text.single(&uptime, Some(told.uptime_s));
    let missing = MetricFamily::gauge("cores_missing", "Cores that did not tell in time.");
    text.single(&missing, Some(told.missing.len() as f64));
    let age = MetricFamily::gauge(
        "sample_age_seconds",
        "Age of the figures of process and host.",
    );
    text.single(&age, told.sample_age_s);
    parts(&mut text, &told.cores);
    for (family, of) in CORE {
        text.family(family);
        for core in &told.cores {
            let number = core.core.to_string();
            text.sample(&[("core", &number)], of(&core.figures));
        }
    }
    complaints(&mut text, &told.complaints);
    backend(&mut text, told.backend);
    store(&mut text, told.store);
    handshakes(&mut text, &told.cores);
    turns(&mut text, &told.cores);
    tables(&mut text, &told.cores);
    queues(&mut text, told);
    metrics::write(&mut text, &told.process, told.host, told.cgroup);
    text.end();
}

/// A family with a sample for each core.
type Row = (MetricFamily, fn(&Figures) -> f64);

const CORE: &[Row] = &[
    (
        MetricFamily::counter("accepted_connections", "Accepted connections."),
        |it| it.tally.accepted as f64,
    ),
    (
        MetricFamily::counter("requests", "Complete HTTP request heads."),
        |it| it.tally.requests as f64,
    ),
    (
        MetricFamily::counter("messages_received", "Messages received."),
        |it| it.tally.messages_in as f64,
    ),
    (
        MetricFamily::counter("messages_sent", "Messages and events queued for peers."),
        |it| it.tally.messages_out as f64,
    ),
    (
        MetricFamily::counter(
            "pushes_late",
            "Push messages that left more than an interval late.",
        ),
        |it| it.tally.pushes_late as f64,
    ),
    (
        MetricFamily::counter("received_bytes", "Bytes received from peers."),
        |it| it.counters.bytes_in as f64,
    ),
    (
        MetricFamily::counter("sent_bytes", "Bytes that the kernel took for peers."),
        |it| it.counters.bytes_out as f64,
    ),
    (
        MetricFamily::gauge("channels", "Channels that have subscribers."),
        |it| it.holdings.channels as f64,
    ),
    (
        MetricFamily::gauge("channel_clients", "Clients of channels."),
        |it| it.holdings.channel_clients as f64,
    ),
    (
        MetricFamily::gauge("sessions", "Sessions of browsers."),
        |it| it.holdings.sessions as f64,
    ),
    (
        MetricFamily::gauge(
            "inbound_bytes",
            "Memory of messages and requests that are unfinished.",
        ),
        |it| it.tally.inbound_bytes as f64,
    ),
    (
        MetricFamily::gauge(
            "held_bytes",
            "Memory of unfinished messages and requests and of backlogs.",
        ),
        |it| it.tally.held_bytes as f64,
    ),
    (
        MetricFamily::gauge(
            "backlog_bytes",
            "Bytes queued and not yet taken by the kernel.",
        ),
        |it| it.counters.backlog_bytes as f64,
    ),
    (
        MetricFamily::counter("enters", "Calls of io_uring_enter."),
        |it| it.counters.enters as f64,
    ),
    (
        MetricFamily::counter("entries", "Entries submitted to io_uring."),
        |it| it.counters.entries as f64,
    ),
    (MetricFamily::counter("sends", "Sends started."), |it| {
        it.counters.sends as f64
    }),
    (
        MetricFamily::counter(
            "starved_receives",
            "Receives that ended because no buffer was free.",
        ),
        |it| it.counters.starved as f64,
    ),
    (
        MetricFamily::counter(
            "accept_pauses",
            "Times that accepting stopped because a table was full.",
        ),
        |it| it.counters.accept_pauses as f64,
    ),
    (
        MetricFamily::counter(
            "accept_failures",
            "Times that accepting stopped for want of descriptors or memory.",
        ),
        |it| it.counters.accept_failures as f64,
    ),
    (
        MetricFamily::counter(
            "watchdog_rescues",
            "Work found by the watchdog: a bug if not 0.",
        ),
        |it| it.counters.rescues as f64,
    ),
    (
        MetricFamily::counter(
            "log_lost_events",
            "Events that the log has not, because more came than was written.",
        ),
        |it| it.tally.log_lost as f64,
    ),
    (
        MetricFamily::counter("core_cpu_seconds", "CPU time of the thread of a core."),
        |it| it.cpu_s,
    ),
];

type Part = (&'static str, fn(&Figures) -> u64);
type Parts = (MetricFamily, &'static str, &'static [Part]);

/// Families in which a core has several samples, told apart by a label.
const FAMILIES_IN_PARTS: &[Parts] = &[
    (
        MetricFamily::gauge("connections", "Open connections by kind."),
        "kind",
        &[
            ("websocket", |it| it.tally.open.websocket),
            ("sse", |it| it.tally.open.sse),
            ("http", |it| it.tally.open.http),
        ],
    ),
    (
        MetricFamily::counter(
            "closed_connections",
            "Closed connections by what ended them.",
        ),
        "cause",
        &[
            ("local", |it| it.tally.closed.local),
            ("peer_ended", |it| it.tally.closed.peer_ended),
            ("reset", |it| it.tally.closed.reset),
            ("timed_out", |it| it.tally.closed.timed_out),
            ("cut_off", |it| it.tally.closed.cut_off),
            ("os", |it| it.tally.closed.os),
            ("insecure", |it| it.tally.closed.insecure),
            ("handshake", |it| it.tally.closed.handshake),
        ],
    ),
    (
        MetricFamily::counter(
            "decided_closes",
            "Connections that the server closed, by why.",
        ),
        "reason",
        &[
            ("done", |it| it.tally.decided.done),
            ("fault", |it| it.tally.decided.fault),
            ("slow_consumer", |it| it.tally.decided.slow_consumer),
            ("idle", |it| it.tally.decided.idle),
            ("request_time", |it| it.tally.decided.request_time),
            ("drain", |it| it.tally.decided.drain),
            ("full", |it| it.tally.decided.full),
            ("stalled", |it| it.tally.decided.stalled),
            ("memory", |it| it.tally.decided.memory),
            ("barred", |it| it.tally.decided.barred),
            ("overuse", |it| it.tally.decided.overuse),
            ("unheard", |it| it.tally.decided.unheard),
            ("lifetime", |it| it.tally.decided.lifetime),
        ],
    ),
    (
        MetricFamily::counter("barred", "Newcomers that a limit did not let in, by which."),
        "limit",
        &[
            ("address", |it| it.tally.barred.address),
            ("addresses", |it| it.tally.barred.addresses),
            ("connects", |it| it.tally.barred.connects),
            ("token", |it| it.tally.barred.token),
        ],
    ),
];

fn parts(text: &mut Exposition<'_>, cores: &[CoreFigures]) {
    for (family, label, parts) in FAMILIES_IN_PARTS {
        text.family(family);
        for core in cores {
            let number = core.core.to_string();
            for (part, of) in *parts {
                let labels = [("core", number.as_str()), (label, part)];
                text.sample(&labels, of(&core.figures) as f64);
            }
        }
    }
}

/// Without channels there is nothing to tell.
fn complaints(text: &mut Exposition<'_>, all: &BTreeMap<&'static str, u64>) {
    if all.is_empty() {
        return;
    }
    text.family(&MetricFamily::counter(
        "complaints",
        "What clients of channels asked for and did not get, by kind.",
    ));
    for (kind, count) in all {
        text.sample(&[("kind", *kind)], *count as f64);
    }
}

/// Without an application behind the server there is nothing to tell.
fn backend(text: &mut Exposition<'_>, figures: Option<HookFigures>) {
    let Some(it) = figures else {
        return;
    };
    for (name, help, count) in [
        ("backend_asked", "Questions to the application.", it.asked),
        ("backend_told", "What the application was told.", it.told),
        (
            "backend_answered",
            "Questions that it answered.",
            it.answered,
        ),
        (
            "backend_failed",
            "Questions that it did not answer.",
            it.failed,
        ),
        (
            "backend_rejected",
            "Questions that it was not asked.",
            it.rejected,
        ),
        (
            "backend_retried",
            "Requests that were made once more.",
            it.retried,
        ),
        ("backend_late", "Answers that came too late.", it.late),
        (
            "backend_lost",
            "What it was to be told and was not.",
            it.lost,
        ),
    ] {
        text.single(&MetricFamily::counter(name, help), Some(count as f64));
    }
    let opened = MetricFamily::counter("backend_breaker_openings", "Times the breaker opened.");
    text.single(&opened, Some(it.breaker_opened as f64));
    let open = MetricFamily::gauge("backend_breaker_open", "1 while the breaker is open.");
    text.single(&open, Some(it.breaker_open as f64));
    text.family(&MetricFamily {
        name: "backend_answer_seconds",
        kind: MetricKind::Histogram,
        help: "Time to an answer of the application, waiting and retries included.",
    });
    let bounds = HOOK_BOUNDS_MS.map(|bound| bound as f64 / 1e3);
    text.histogram(&[], &it.times.counts, &bounds, it.times.sum_us as f64 / 1e6);
}

/// Without a store there is nothing to tell.
fn store(text: &mut Exposition<'_>, figures: Option<StoreFigures>) {
    let Some(it) = figures else {
        return;
    };
    for (name, help, count) in [
        ("store_written", "Changes of channels written.", it.written),
        ("store_commits", "Writes of the store.", it.commits),
        ("store_failed", "Writes that failed.", it.failed),
        ("store_lost", "Changes that found no room.", it.lost),
    ] {
        text.single(&MetricFamily::counter(name, help), Some(count as f64));
    }
    let waiting = "Changes of channels that wait to be written.";
    for (name, help, figure) in [
        ("store_waiting", waiting, it.waiting),
        ("store_bytes", "Bytes of the store's file.", it.bytes),
        ("store_failing", "1 while nothing is written.", it.failing),
        (
            "store_restored_channels",
            "Channels restored at the start.",
            it.restored_channels,
        ),
        (
            "store_restored_publications",
            "Publications restored at the start.",
            it.restored_publications,
        ),
        (
            "store_restored_sessions",
            "Sessions restored at the start.",
            it.restored_sessions,
        ),
    ] {
        text.single(&MetricFamily::gauge(name, help), Some(figure as f64));
    }
}

/// Without TLS there is nothing to tell.
fn handshakes(text: &mut Exposition<'_>, cores: &[CoreFigures]) {
    type Row = (MetricFamily, &'static [(&'static str, fn(&Tls) -> u64)]);
    const FAMILIES: &[Row] = &[
        (
            MetricFamily::gauge("tls_handshakes_open", "TLS handshakes under way."),
            &[("", |it| it.handshakes_open)],
        ),
        (
            MetricFamily::gauge(
                "tls_handshakes_waiting",
                "TLS handshakes that wait for an answer.",
            ),
            &[("", |it| it.handshakes_waiting)],
        ),
        (
            MetricFamily::counter("tls_handshakes", "TLS handshakes by how they ended."),
            &[
                ("done", |it| it.handshakes_done),
                ("failed", |it| it.handshakes_failed),
                ("left", |it| it.handshakes_left),
                ("timed_out", |it| it.handshakes_timed_out),
                ("refused", |it| it.handshakes_refused),
            ],
        ),
    ];
    if cores.iter().all(|it| it.figures.tls.is_none()) {
        return;
    }
    for (family, parts) in FAMILIES {
        text.family(family);
        for core in cores {
            let number = core.core.to_string();
            for (part, of) in core
                .figures
                .tls
                .iter()
                .flat_map(|tls| parts.iter().map(move |(part, of)| (*part, of(tls))))
            {
                let labels = [("core", number.as_str()), ("end", part)];
                let count = if part.is_empty() { 1 } else { 2 };
                text.sample(labels.get(..count).unwrap_or(&[]), of as f64);
            }
        }
    }
}

fn turns(text: &mut Exposition<'_>, cores: &[CoreFigures]) {
    text.family(&MetricFamily {
        name: "turn_events",
        kind: MetricKind::Histogram,
        help: "Events that a turn of the loop handled.",
    });
    for core in cores {
        let number = core.core.to_string();
        let counters = &core.figures.counters;
        let (counts, sum) = (&counters.turn_events, counters.events as f64);
        text.histogram(&[("core", &number)], counts, &TURN_BOUNDS, sum);
    }
}

/// How full the tables of registered descriptors are.
fn tables(text: &mut Exposition<'_>, cores: &[CoreFigures]) {
    type Row = (MetricFamily, fn(&crate::shard::Table) -> u32);
    const FAMILIES: &[Row] = &[
        (
            MetricFamily::gauge("slots_used", "Slots for connections in use, by table."),
            |it| it.used,
        ),
        (
            MetricFamily::gauge("slots", "Slots for connections, by table."),
            |it| it.size,
        ),
    ];
    for (family, of) in FAMILIES {
        text.family(family);
        for core in cores {
            let number = core.core.to_string();
            for (index, table) in core.figures.tables.iter().enumerate() {
                let index = index.to_string();
                let labels = [("core", number.as_str()), ("table", &index)];
                text.sample(&labels, f64::from(of(table)));
            }
        }
    }
}

fn queues(text: &mut Exposition<'_>, told: &Told<'_>) {
    type Row = (MetricFamily, fn(&crate::stats::Listener) -> Option<u64>);
    const FAMILIES: &[Row] = &[
        (
            MetricFamily::gauge("accept_queue", "Connections that wait to be accepted."),
            |it| it.accept_queue,
        ),
        (
            MetricFamily::gauge("accept_queue_limit", "How many may wait."),
            |it| it.accept_queue_limit,
        ),
    ];
    for (family, of) in FAMILIES {
        text.family(family);
        for listener in told.listeners {
            let number = listener.core.to_string();
            let labels = [("core", number.as_str()), ("address", &listener.address)];
            if let Some(value) = of(listener) {
                text.sample(&labels, value as f64);
            }
        }
    }
}
