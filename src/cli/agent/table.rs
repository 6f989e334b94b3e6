//! One sample as a table. A single sample has no rates: counters are told since the start.

use super::shown::{count, decimal, percent, rate, span, whole_bytes};
use crate::stats::{HostSample, Reading, Sample, ServerState};
use std::fmt::Write;

/// A reading as a table.
pub(super) fn text(reading: &Reading) -> String {
    let mut text = String::new();
    match &reading.state {
        ServerState::Lost { why, .. } => push(&mut text, "server", why),
        ServerState::Up { sample, .. } => server(&mut text, sample),
    }
    if let Some((sample, _)) = &reading.host {
        host(&mut text, sample);
    }
    text
}

fn server(text: &mut String, sample: &Sample) {
    let (total, process) = (&sample.total, &sample.process);
    let up = span(sample.uptime_s);
    push(
        text,
        "server",
        &format!("engine {}, up {up}", sample.engine),
    );
    if !sample.missing.is_empty() {
        push(text, "missing", &format!("cores {:?}", sample.missing));
    }
    let open = &total.open;
    let kinds = [
        (open.websocket, "websocket"),
        (open.sse, "sse"),
        (open.http, "http"),
    ];
    let kinds = kinds.map(|(number, kind)| format!("{} {kind}", count(Some(number))));
    let all = count(Some(open.sum()));
    push(text, "open", &format!("{all} = {}", kinds.join(" + ")));
    since_start(text, sample);
    let of = |now: Option<u64>, limit: Option<u64>| format!("{} of {}", count(now), count(limit));
    push(
        text,
        "accept queue",
        &of(total.accept_queue, total.accept_queue_limit),
    );
    push(
        text,
        "descriptors",
        &of(process.descriptors, process.descriptor_limit),
    );
    for listener in &sample.listeners {
        let name = format!("  core {} {}", listener.core, listener.address);
        let waiting = of(listener.accept_queue, listener.accept_queue_limit);
        push(text, &name, &waiting);
    }
    push(text, "slots", &of(total.slots_used, total.slots));
    push(text, "backlog", &whole_bytes(total.backlog_bytes));
    push(text, "memory", &whole_bytes(process.rss_bytes));
    push(
        text,
        "CPU time",
        &format!("{} s", decimal(process.cpu_s, 2)),
    );
    for core in &sample.cores {
        let open = count(Some(core.figures.open.sum()));
        let cpu = decimal(core.figures.cpu_s, 2);
        push(
            text,
            &format!("  core {}", core.core),
            &format!("{cpu} s, {open} open"),
        );
    }
}

/// Counters, and what they grew a second on average.
fn since_start(text: &mut String, sample: &Sample) {
    let (total, uptime_s) = (&sample.total, sample.uptime_s);
    let so_far = |number: Option<u64>| {
        let mean = number.map(|number| number as f64 / uptime_s);
        let mean = mean.filter(|mean| mean.is_finite());
        format!("{:>15}   {:>10} /s", count(number), rate(mean))
    };
    push(
        text,
        "since start",
        &format!("{:>15}   {:>13}", "all", "on average"),
    );
    push(text, "  accepted", &so_far(total.accepted));
    for (cause, &number) in &total.closed {
        push(text, &format!("  closed {cause}"), &so_far(Some(number)));
    }
    let rows = [
        ("  requests", total.requests),
        ("  messages in", total.messages_in),
        ("  messages out", total.messages_out),
        ("  bytes in", total.bytes_in),
        ("  bytes out", total.bytes_out),
        ("  turns", total.turns),
        ("  starved", total.starved),
        ("  accept pauses", total.accept_pauses),
        ("  rescues", total.rescues),
    ];
    for (name, number) in rows {
        push(text, name, &so_far(number));
    }
}

fn host(text: &mut String, sample: &HostSample) {
    push(text, "host", "counters since boot");
    let rows = [
        ("  TCP sockets", sample.tcp_in_use),
        ("  established", sample.tcp_established),
        ("  TCP orphans", sample.tcp_orphans),
        ("  TIME_WAIT", sample.tcp_time_wait),
        ("  TCP pages", sample.tcp_memory_pages),
        ("  overflows", sample.listen_overflows),
        ("  listen drops", sample.listen_drops),
        ("  SYN queue drops", sample.syn_queue_drops),
        ("  SYN cookies", sample.syncookies_sent),
        ("  retransmits", sample.retransmits),
        ("  softnet drops", sample.softnet_drops),
        ("  squeezes", sample.softnet_squeezes),
    ];
    for (name, number) in rows {
        push(text, name, &format!("{:>15}", count(number)));
    }
    let (free, all) = (sample.memory_available_bytes, sample.memory_bytes);
    push(
        text,
        "  memory",
        &format!("{} available of {}", whole_bytes(free), whole_bytes(all)),
    );
    push(text, "  load average", &decimal(sample.load_average, 2));
    let waits = format!(
        "CPU {}, memory {} of the last 10 s",
        percent(sample.pressure_cpu_percent),
        percent(sample.pressure_memory_percent)
    );
    push(text, "  waits for", &waits);
}

fn push(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<20} {value}");
}
