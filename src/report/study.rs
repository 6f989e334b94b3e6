//! The table of the classic study of event streams and WebSockets.

use super::fan_out::{self, FanOut};
use super::figures::{float, ratio, seconds, whole};
use super::record::Record;
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;

/// The table: a row for the connects, and one for what followed them.
///
/// The average time is that of one iteration: of connects, until all had come up; in rooms, until
/// every member had what was said. The CPU is the server's, if it was asked for and the row is
/// what was measured, and else the load client's busiest core.
pub(super) fn study(out: &mut String, record: &Record) {
    let is_chat = record.run.scenario == "chat";
    if record.rounds.is_none() && record.fan_out.is_none() && !is_chat {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "type",
        "test",
        "senders",
        "clients",
        "iterations",
        "average time",
        "total",
        "CPU average",
        "messages",
    ]);
    table.add_row(connects(record));
    if let Some(fan_out) = &record.fan_out {
        table.add_row(broadcasts(record, fan_out));
    }
    if is_chat {
        table.add_row(chats(record));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    out.push('\n');
    for line in table.to_string().lines() {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn connects(record: &Record) -> [String; 9] {
    let total = record.time.connect_s;
    let (count, mean) = match &record.rounds {
        Some(rounds) => (rounds.count, rounds.mean_s),
        None => (1, total),
    };
    let cores = record.generator.cores.iter();
    let busiest = cores.map(|core| core.connect_cpu_s).fold(0.0, f64::max);
    let server = record.server.as_ref().filter(|_| record.rounds.is_some());
    let cpu = match server {
        Some(server) => share("server", server.cpu_s, total),
        None => share("client", busiest, total),
    };
    [
        record.run.transport.clone(),
        "connect".to_owned(),
        "0".to_owned(),
        whole(u64::from(record.run.connections)),
        whole(count),
        seconds(mean),
        format!("{total:.3} s"),
        cpu,
        "0".to_owned(),
    ]
}

/// In a chat all talk, and an iteration is a message of each.
fn chats(record: &Record) -> [String; 9] {
    let replied = record.messages.as_ref().map_or(0, |it| it.replied);
    messages(record, (record.connects.up, replied), replied)
}

fn broadcasts(record: &Record, fan_out: &FanOut) -> [String; 9] {
    messages(
        record,
        (fan_out.senders, fan_out.complete),
        fan_out.received,
    )
}

/// So many senders, what they have done in all, and how many messages those were.
fn messages(record: &Record, (senders, done): (u64, u64), messages: u64) -> [String; 9] {
    let total = record.time.measured_s;
    let cpu = match &record.server {
        Some(server) => share("server", server.cpu_s, total),
        None => share("client", record.generator.busy_max, 1.0),
    };
    let iterations = ratio(float(done), senders).unwrap_or(0.0);
    let average = record.latency.service.as_ref().map(fan_out::mean);
    [
        record.run.transport.clone(),
        record.run.scenario.clone(),
        whole(senders),
        whole(record.connects.up),
        format!("{iterations:.0}"),
        average.unwrap_or_else(|| "-".to_owned()),
        format!("{total:.3} s"),
        cpu,
        whole(messages),
    ]
}

fn share(whose: &str, cpu_s: f64, of_s: f64) -> String {
    if of_s <= 0.0 {
        return "-".to_owned();
    }
    format!("{whose} {:.0} %", 100.0 * cpu_s / of_s)
}
