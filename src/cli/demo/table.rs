//! The demo's table: both servers beside each other, their ratio, and what it is worth.

use super::round::{DemoRound, MeasuredLoad};
use super::{Scale, Side};
use crate::cli::print;
use crate::report::text::span;
use crate::report::{LatencyRecord, Record, Verdict};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

const COLUMNS: [&str; 10] = [
    "server",
    "p50",
    "p99",
    "p99.9",
    "max",
    "msg/s",
    "per CPU-s",
    "bytes/conn",
    "fds",
    "queue",
];

/// The whole text, ending with a line break.
pub(super) fn text(rounds: &[DemoRound], scale: &Scale) -> String {
    let mut text = String::new();
    let connections = print::whole(u64::from(scale.websockets));
    section(
        &mut text,
        &format!("WebSocket echo, {connections} connections: response time"),
        rounds,
        |round| &round.echo,
    );
    let streams = print::whole(u64::from(scale.streams));
    section(
        &mut text,
        &format!("Server-Sent Events, {streams} streams: time from stamp to receipt"),
        rounds,
        |round| &round.listen,
    );
    text += "\nper CPU-s: messages per second of the server's CPU time, user and system\n\
             bytes/conn: private memory of the server per connection, above that before them\n\
             fds: its descriptors; queue: longest accept queue seen; ~: few samples\n";
    text
}

fn section(
    text: &mut String,
    title: &str,
    rounds: &[DemoRound],
    part: impl Fn(&DemoRound) -> &MeasuredLoad,
) {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(COLUMNS);
    for round in rounds {
        table.add_row(row(round.engine, part(round)));
    }
    table
        .column_iter_mut()
        .skip(1)
        .for_each(|it| it.set_cell_alignment(CellAlignment::Right));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{title}\n{table}");
    let _ = writeln!(text, "{}", comparison(rounds, &part));
    for (number, round) in rounds.iter().enumerate() {
        for line in judgement(&part(round).record) {
            let _ = writeln!(text, "run {}, {}: {line}", number + 1, round.engine);
        }
    }
}

fn row(engine: &str, part: &MeasuredLoad) -> [String; 10] {
    let record = &part.record;
    let latency = record.headline().map(|(_, latency)| latency);
    let unknown = || "-".to_owned();
    let [p50, _, p99, p99_9] =
        latency.map_or_else(|| std::array::from_fn(|_| unknown()), LatencyRecord::shown);
    let rate = match (&record.messages, &record.events) {
        (Some(messages), _) => messages.replied_per_s,
        (None, events) => events.as_ref().and_then(|events| events.received_per_s),
    };
    let server = record.server.as_ref();
    [
        engine.to_owned(),
        p50,
        p99,
        p99_9,
        latency.map_or_else(unknown, |it| span(it.max_ns)),
        rate.map_or_else(unknown, rounded),
        per_cpu(part).map_or_else(unknown, rounded),
        print::whole(
            part.grown_bytes
                .checked_div(record.connects.up)
                .unwrap_or(0),
        ),
        server.map_or_else(unknown, |it| print::whole(it.descriptors)),
        print::whole(part.accept_queue),
    ]
}

fn per_cpu(part: &MeasuredLoad) -> Option<f64> {
    part.record.server.as_ref()?.messages_per_cpu_s
}

/// Ours over the baseline, pair by pair: each turn of ours with the baseline's beside it.
fn comparison(rounds: &[DemoRound], part: impl Fn(&DemoRound) -> &MeasuredLoad) -> String {
    let ratios: Vec<f64> = rounds
        .chunks(2)
        .filter_map(|pair| {
            let of = |side| pair.iter().find(|round| round.side == side).map(&part);
            Some(per_cpu(of(Side::Ours)?)? / per_cpu(of(Side::Baseline)?)?)
        })
        .collect();
    let ours = rounds.iter().find(|round| round.side == Side::Ours);
    let ours = ours.map_or("ours", |round| round.engine);
    let pairs: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    match median(&ratios) {
        None => "messages per server-CPU-second: too short to compare".to_owned(),
        Some(middle) => format!(
            "messages per server-CPU-second, {ours} against baseline: {middle:.2} times \
             (pairs: {}; too few for a verdict)",
            pairs.join(", ")
        ),
    }
}

/// What the run is not worth, and why.
fn judgement(record: &Record) -> Vec<String> {
    let judged = &record.verdict;
    let word = match judged.verdict {
        Verdict::Pass => return Vec::new(),
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Invalid => "INVALID",
    };
    let what = match judged.limited_by.as_deref() {
        Some("generator") => "the generator was the limit, not the server",
        Some(_) => "the planned load was not applied",
        None => "see the reason",
    };
    judged
        .reasons
        .iter()
        .map(|reason| format!("{word}, {what}: {reason}"))
        .collect()
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// A rate without its fraction.
fn rounded(rate: f64) -> String {
    let whole = format!("{rate:.0}");
    whole.parse().map_or(whole, print::whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_two_is_between_them() {
        assert_eq!(median(&[2.0, 1.0]), Some(1.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
