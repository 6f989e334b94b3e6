//! Records as one page of HTML that needs nothing else: the verdict first, tables of every figure,
//! and plots of the same. Light, dark, on paper and on a phone; without its scripts all figures are
//! still there.
//!
//! The plots are drawn by uPlot (MIT, `html/uPlot.LICENSE`), which stands in the page.

use super::figures::{rate, seconds, span, whole};
use super::latency::LatencyRecord;
use super::record::Record;
use serde_json::{Value, json};
use std::fmt::Write;

const UPLOT: &str = include_str!("html/uPlot.iife.min.js");
const UPLOT_CSS: &str = include_str!("html/uPlot.min.css");
const UPLOT_LICENSE: &str = include_str!("html/uPlot.LICENSE");
const PAGE: &str = include_str!("html/page.js");
const PAGE_CSS: &str = include_str!("html/page.css");

/// A record with the name that it has on the page.
#[derive(Clone, Copy, Debug)]
pub struct NamedRecord<'a> {
    /// Such as its file's.
    pub name: &'a str,
    /// What it says.
    pub record: &'a Record,
}

/// The page of these records.
#[must_use]
pub fn page(records: &[NamedRecord<'_>]) -> String {
    let mut body = String::with_capacity(64 * 1024);
    let title = match records {
        [one] => format!(
            "{}: {}",
            one.record.verdict.verdict.word(),
            one.record.run.url
        ),
        _ => format!("{} runs", records.len()),
    };
    let _ = writeln!(body, "<h1>ringstorm load report</h1>");
    for one in records {
        verdict(&mut body, one);
    }
    body.push_str("<h2>Latency by percentile</h2>\n");
    plot(
        &mut body,
        "percentiles",
        "latency by percentile, from the intended time (response) and from the send (service)",
    );
    for (n, one) in records.iter().enumerate() {
        run(&mut body, n, one);
    }
    let data: Vec<Value> = records.iter().map(data).collect();
    // Inside of a script, `</` would end it (HTML, 4.12.1.3).
    let data = Value::Array(data).to_string().replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{UPLOT_CSS}{PAGE_CSS}</style>\n</head>\n<body>\n<main>\n{body}\
         </main>\n<footer><p>Written by ringstorm {}. Plots by uPlot.</p>\
         <details><summary>License of uPlot</summary><pre tabindex=\"0\">{}</pre></details>\
         </footer>\n\
         <script type=\"application/json\" id=\"records\">{data}</script>\n\
         <script>{UPLOT}</script>\n<script>{PAGE}</script>\n</body>\n</html>\n",
        escaped(&title),
        env!("CARGO_PKG_VERSION"),
        escaped(UPLOT_LICENSE),
    )
}

/// What the plots need of a record.
fn data(one: &NamedRecord<'_>) -> Value {
    json!({ "name": one.name, "latency": one.record.latency, "series": one.record.series })
}

fn verdict(out: &mut String, one: &NamedRecord<'_>) {
    let (judgement, run) = (&one.record.verdict, &one.record.run);
    let word = judgement.verdict.word();
    let _ = writeln!(
        out,
        "<section><p class=\"verdict {word}\">{word}</p>\n\
         <p><strong>{}</strong>: {}, {} connections</p>",
        escaped(one.name),
        escaped(&run.url),
        whole(u64::from(run.connections))
    );
    list(out, &judgement.reasons);
    out.push_str("</section>\n");
}

fn run(out: &mut String, n: usize, one: &NamedRecord<'_>) {
    let record = one.record;
    let _ = writeln!(out, "<h2>{}</h2>", escaped(one.name));
    thresholds(out, record);
    latencies(out, record);
    counts(out, record);
    if !record.series.is_empty() {
        out.push_str("<h3>Latency over time</h3>\n");
        plot(
            out,
            &format!("heat-{n}"),
            "how many messages had which latency in each second",
        );
        out.push_str("<h3>Rates and connections</h3>\n");
        plot(
            out,
            &format!("rates-{n}"),
            "messages sent and received a second, connections up",
        );
        out.push_str("<h3>Load client's cores</h3>\n");
        plot(
            out,
            &format!("busy-{n}"),
            "how busy each core of the load client was",
        );
        each_second(out, record);
    }
    if !record.verdict.notes.is_empty() {
        out.push_str("<h3>Notes</h3>\n");
        list(out, &record.verdict.notes);
    }
    out.push_str("<h3>Host and command</h3>\n");
    let facts: Vec<[String; 2]> = record
        .host
        .iter()
        .map(|(name, value)| [name.clone(), value.clone()])
        .collect();
    table(out, "the load client's host", ["fact", "value"], &facts);
    let words: Vec<String> = record.program.command.iter().map(|it| quoted(it)).collect();
    let _ = writeln!(
        out,
        "<pre tabindex=\"0\">{}</pre>",
        escaped(&words.join(" "))
    );
}

fn thresholds(out: &mut String, record: &Record) {
    if record.thresholds.is_empty() {
        return;
    }
    let rows: Vec<[String; 3]> = record
        .thresholds
        .iter()
        .map(|it| {
            [
                it.threshold.clone(),
                it.result.word().to_owned(),
                it.shown(),
            ]
        })
        .collect();
    table(
        out,
        "thresholds",
        ["threshold", "result", "measured"],
        &rows,
    );
}

fn latencies(out: &mut String, record: &Record) {
    let row = |(name, it): (&'static str, &LatencyRecord)| -> [String; 8] {
        let [p50, p90, p99, p99_9] = it.shown();
        let name = name.replace('_', " ");
        [
            name,
            whole(it.samples),
            span(it.min_ns),
            p50,
            p90,
            p99,
            p99_9,
            span(it.max_ns),
        ]
    };
    let rows: Vec<[String; 8]> = record.latency.named().map(row).collect();
    let head = [
        "latency", "samples", "min", "p50", "p90", "p99", "p99.9", "max",
    ];
    table(
        out,
        "latencies; ~ few samples, >= a lower bound",
        head,
        &rows,
    );
}

fn counts(out: &mut String, record: &Record) {
    let connects = &record.connects;
    let mut rows = vec![
        ["connects planned".to_owned(), whole(connects.planned)],
        ["connects up".to_owned(), whole(connects.up)],
        ["connects failed".to_owned(), whole(connects.failed)],
        ["ended early".to_owned(), whole(connects.ended_early)],
        [
            "time of the connects".to_owned(),
            seconds(record.time.connect_s),
        ],
        ["measured time".to_owned(), seconds(record.time.measured_s)],
    ];
    if let Some(it) = &record.messages {
        rows.extend([
            ["messages planned".to_owned(), whole(it.planned)],
            ["messages sent".to_owned(), whole(it.sent)],
            ["messages dropped".to_owned(), whole(it.dropped)],
            ["replies".to_owned(), whole(it.replied)],
            ["without a reply".to_owned(), whole(it.lost)],
            [
                "replies a second".to_owned(),
                it.replied_per_s.map_or("-".to_owned(), rate),
            ],
        ]);
    }
    if let Some(it) = &record.events {
        rows.extend([
            ["events received".to_owned(), whole(it.received)],
            [
                "events a second".to_owned(),
                it.received_per_s.map_or("-".to_owned(), rate),
            ],
            ["gaps".to_owned(), whole(it.gaps)],
        ]);
    }
    if let Some(per_s) = record.server.and_then(|it| it.messages_per_cpu_s) {
        rows.push(["messages per server-CPU-second".to_owned(), rate(per_s)]);
    }
    for it in &record.failures {
        rows.push([format!("{} failed: {}", it.stage, it.kind), whole(it.count)]);
    }
    table(out, "counts", ["what", "how many"], &rows);
}

fn each_second(out: &mut String, record: &Record) {
    out.push_str("<details><summary>Every second as a table</summary>\n");
    let shown = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), span);
    let rows: Vec<[String; 8]> = record
        .series
        .iter()
        .map(|it| {
            [
                format!("{:.1}", it.at_s),
                it.stage.replace('_', " "),
                whole(it.up),
                whole(it.sent),
                whole(it.received),
                shown(it.p50_ns),
                shown(it.p99_ns),
                shown(it.max_ns),
            ]
        })
        .collect();
    let head = [
        "at, s", "stage", "up", "sent", "received", "p50", "p99", "max",
    ];
    table(out, "what came in each second", head, &rows);
    out.push_str("</details>\n");
}

/// A table that scrolls by itself where it is wider than the page.
fn table<const N: usize>(out: &mut String, caption: &str, head: [&str; N], rows: &[[String; N]]) {
    let _ = write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\
         <caption>{0}</caption><thead><tr>",
        escaped(caption)
    );
    for cell in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(cell));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escaped(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn plot(out: &mut String, id: &str, label: &str) {
    let label = escaped(label);
    let _ = writeln!(
        out,
        "<div class=\"plot\" id=\"{id}\" data-label=\"{label}\"></div>"
    );
}

fn list(out: &mut String, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.push_str("<ul>\n");
    for line in lines {
        let _ = writeln!(out, "<li>{}</li>", escaped(line));
    }
    out.push_str("</ul>\n");
}

/// Text as HTML: what a record holds may come from a peer.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The records as a table of Markdown, for a pull request.
#[must_use]
pub fn markdown(records: &[NamedRecord<'_>]) -> String {
    let mut text = String::from(
        "| run | verdict | connections | a second | latency | p50 | p90 | p99 | p99.9 |\n\
         |---|---|--:|--:|---|--:|--:|--:|--:|\n",
    );
    for one in records {
        let record = one.record;
        let per_s = match (&record.messages, &record.events) {
            (Some(messages), _) => messages.replied_per_s,
            (None, events) => events.as_ref().and_then(|it| it.received_per_s),
        };
        let (name, of) = match record.headline() {
            Some((name, it)) => (name, it.shown()),
            None => ("-", ["-"; 4].map(str::to_owned)),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {name} | {} |",
            one.name.replace('|', "\\|"),
            record.verdict.verdict.word(),
            whole(record.connects.up),
            per_s.map_or_else(|| "-".to_owned(), rate),
            of.join(" | ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_text_and_never_markup() {
        assert_eq!(
            escaped("<b a=\"1\">'&"),
            "&lt;b a=&quot;1&quot;&gt;&#39;&amp;"
        );
        assert_eq!(quoted("ws://h/?a=b"), "'ws://h/?a=b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("-c"), "-c");
    }
}
