//! One line per sample in columns that stay where they are; what is no sample begins with `#`.

use super::HostFigures;
use super::shown::{count, decimal};
use crate::stats::{HostRates, HostSample, Rates, Reading, Sample, ServerChange, ServerState};
use std::fmt::Write;

const COLUMNS: &[(&str, usize)] = &[
    ("time_s", 8),
    ("websocket", 10),
    ("sse", 8),
    ("http", 6),
    ("accepted/s", 11),
    ("closed/s", 9),
    ("msgs_in/s", 11),
    ("msgs_out/s", 11),
    ("KiB_in/s", 10),
    ("KiB_out/s", 10),
    ("backlog_KiB", 12),
    ("queue", 6),
    ("fds", 7),
    ("rss_MiB", 9),
    ("cpu_%", 7),
    ("events/turn", 12),
    ("starved/s", 10),
];

const HOST_COLUMNS: &[(&str, usize)] = &[
    ("host_cpu_%", 11),
    ("softirq_%", 10),
    ("steal_%", 8),
    ("tcp", 8),
    ("overflows/s", 12),
    ("retrans/s", 10),
    ("squeezes/s", 11),
    ("load1", 7),
    ("available_MiB", 14),
];

/// What a reading adds to the output, headers before the first sample included.
pub(super) fn lines(reading: &Reading, host: HostFigures) -> String {
    let mut text = String::new();
    let columns = || {
        let more = match host {
            HostFigures::Off => &[],
            HostFigures::On => HOST_COLUMNS,
        };
        COLUMNS.iter().chain(more)
    };
    if reading.number == 1 {
        let names = columns().map(|&(name, width)| (name.to_owned(), width));
        push_row(&mut text, names);
    }
    let at = reading.at_s;
    match &reading.state {
        ServerState::Lost { why, for_s } => {
            let _ = writeln!(text, "# {at:.1} s: lost for {for_s:.1} s: {why}");
        }
        ServerState::Up {
            sample,
            rates,
            change,
        } => {
            match change {
                ServerChange::None | ServerChange::First => {}
                ServerChange::Back => {
                    let _ = writeln!(text, "# {at:.1} s: the server answers again");
                }
                ServerChange::Restarted => {
                    let _ = writeln!(text, "# {at:.1} s: the server was restarted");
                }
            }
            if !sample.missing.is_empty() {
                let missing = &sample.missing;
                let _ = writeln!(text, "# {at:.1} s: cores that did not answer: {missing:?}");
            }
            let mut cells = server_cells(at, sample, rates.as_deref());
            if let Some((sample, rates)) = &reading.host {
                cells.extend(host_cells(sample, rates.as_ref()));
            }
            let widths = columns().map(|&(_, width)| width);
            push_row(&mut text, cells.into_iter().zip(widths));
        }
    }
    text
}

fn server_cells(at_s: f64, sample: &Sample, rates: Option<&Rates>) -> Vec<String> {
    let total = &sample.total;
    let rate = |of: fn(&Rates) -> Option<f64>| rates.and_then(of);
    let kib = |bytes: Option<f64>| bytes.map(|bytes| bytes / 1024.0);
    vec![
        format!("{at_s:.1}"),
        total.open.websocket.to_string(),
        total.open.sse.to_string(),
        total.open.http.to_string(),
        decimal(rate(|it| it.accepted), 1),
        decimal(rate(Rates::closed_sum), 1),
        decimal(rate(|it| it.messages_in), 0),
        decimal(rate(|it| it.messages_out), 0),
        decimal(kib(rate(|it| it.bytes_in)), 1),
        decimal(kib(rate(|it| it.bytes_out)), 1),
        decimal(kib(total.backlog_bytes.map(|bytes| bytes as f64)), 1),
        count(total.accept_queue).replace(',', ""),
        count(sample.process.descriptors).replace(',', ""),
        decimal(sample.process.rss_bytes.map(mib), 1),
        decimal(rate(|it| it.process_cpu_percent), 1),
        decimal(rate(|it| it.events_per_turn), 1),
        decimal(rate(|it| it.starved), 1),
    ]
}

fn host_cells(sample: &HostSample, rates: Option<&HostRates>) -> Vec<String> {
    let rate = |of: fn(&HostRates) -> Option<f64>| rates.and_then(of);
    vec![
        decimal(rate(|it| it.mean(|cpu| cpu.busy_percent)), 1),
        decimal(rate(|it| it.mean(|cpu| cpu.softirq_percent)), 1),
        decimal(rate(|it| it.mean(|cpu| cpu.steal_percent)), 1),
        count(sample.tcp_in_use).replace(',', ""),
        decimal(rate(|it| it.listen_overflows), 1),
        decimal(rate(|it| it.retransmits), 1),
        decimal(rate(|it| it.softnet_squeezes), 1),
        decimal(sample.load_average, 2),
        decimal(sample.memory_available_bytes.map(mib), 0),
    ]
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn push_row(text: &mut String, cells: impl Iterator<Item = (String, usize)>) {
    for (cell, width) in cells {
        // One blank at least, also before a number that is wider than its column.
        let _ = write!(text, " {cell:>0$}", width.saturating_sub(1));
    }
    text.push('\n');
}
