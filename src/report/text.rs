//! The text summary of a run: what people read in a terminal.

pub use super::figures::span;
use super::figures::{float, rate, whole};
use super::latency::LatencyRecord;
use super::record::{Events, Messages, Record};
use super::remedy::remedies;
use super::returns::Storm;
use super::study;
use std::fmt::Write;

/// Columns of the longest bar.
const BAR_COLUMNS: u64 = 40;
/// The label column.
const LABEL: usize = 13;

/// The summary, ending with a line break.
#[must_use]
pub fn text(record: &Record) -> String {
    let mut out = String::with_capacity(4096);
    heading(&mut out, record);
    thresholds(&mut out, record);
    connects(&mut out, record);
    returns(&mut out, record);
    if let Some(sent) = &record.messages {
        messages(&mut out, sent);
    }
    if let Some(received) = &record.events {
        events(&mut out, received);
    }
    if let Some(pings) = &record.pings {
        let [sent, answered] = [pings.sent, pings.answered].map(whole);
        line(
            &mut out,
            "pings",
            &format!("{sent} sent, {answered} answered"),
        );
    }
    latencies(&mut out, record);
    if let Some(fan_out) = &record.fan_out {
        fan_out.text(&mut out);
    }
    if let Some(deliveries) = &record.deliveries {
        deliveries.text(&mut out);
    }
    if let Some((name, latency)) = record.headline() {
        distribution(&mut out, name, latency);
    }
    failures(&mut out, record);
    generator(&mut out, record);
    study::study(&mut out, record);
    verdict(&mut out, record);
    out
}

/// A line with its label; writing to a String cannot fail.
fn line(out: &mut String, label: &str, rest: &str) {
    let _ = writeln!(out, "{label:<LABEL$}{}", rest.trim_end());
}

fn heading(out: &mut String, record: &Record) {
    let (run, program) = (&record.run, &record.program);
    let _ = writeln!(out, "ringstorm {} load {}", program.version, run.url);
    let mut words = vec![run.scenario.clone(), run.transport.clone()];
    words.push(format!("{} connections", whole(u64::from(run.connections))));
    if let Some(part) = run.part {
        words.push(format!("part {} of {}", part.number, part.of));
    }
    match (run.rate_per_s, run.in_flight) {
        (Some(planned), _) => words.push(format!("open loop at {}", rate(planned))),
        (None, Some(depth)) => words.push(format!("closed loop, {depth} in flight each")),
        (None, None) => {}
    }
    if let Some([least, most]) = run.think_s {
        words.push(if least < most {
            format!("{least} to {most} s of thought between")
        } else {
            format!("{least} s of thought between")
        });
    }
    if let (Some(bytes), Some(kind)) = (run.payload_bytes, &run.payload_kind) {
        words.push(format!(
            "{} bytes {kind}",
            whole(u64::try_from(bytes).unwrap_or(u64::MAX))
        ));
    }
    line(out, "", &words.join(", "));
    if let Some(proxy) = &run.proxy {
        line(out, "", &format!("through the proxy {proxy}"));
    }
    let cores = record.generator.cores.len();
    let plural = if cores == 1 { "" } else { "s" };
    let engine = format!(
        "engine {} on {cores} core{plural}, seed {}",
        program.engine, run.seed
    );
    line(out, "", &engine);
    if let (Some(mean), Some(kind)) = (run.session_s, &run.session) {
        line(out, "", &format!("sessions of {mean} s ({kind})"));
    }
    let paces = [(&run.pace, "messages"), (&run.connect_pace, "connects")];
    for (pace, what) in paces {
        if let Some(pace) = pace.as_ref().filter(|pace| !pace.starts_with("constant")) {
            line(out, "", &format!("{what}: {pace}"));
        }
    }
    let time = &record.time;
    let mut times = match &record.rounds {
        Some(rounds) => rounds.text(),
        None => format!("{:.2} s measured of {} s", time.measured_s, run.duration_s),
    };
    if time.ending != "complete" {
        let _ = write!(times, ", ending: {}", time.ending.replace('_', " "));
    }
    line(out, "time", &times);
}

fn thresholds(out: &mut String, record: &Record) {
    let met = &record.thresholds;
    let results = met.iter().map(|met| met.result.word().len()).max();
    let names = met.iter().map(|met| met.threshold.len()).max();
    let (results, names) = (results.unwrap_or(0), names.unwrap_or(0));
    for (place, met) in met.iter().enumerate() {
        let label = if place == 0 { "thresholds" } else { "" };
        let (word, threshold, shown) = (met.result.word(), &met.threshold, met.shown());
        line(
            out,
            label,
            &format!("{word:<results$}  {threshold:<names$}  {shown}"),
        );
    }
}

fn connects(out: &mut String, record: &Record) {
    let connects = &record.connects;
    let [planned, attempted, dropped] =
        [connects.planned, connects.attempted, connects.dropped].map(whole);
    line(
        out,
        "connects",
        &format!("{planned} planned = {attempted} attempted + {dropped} dropped"),
    );
    let mut parts = vec![format!("{} up", whole(connects.up))];
    let rest = [
        (connects.retries, "tried again"),
        (connects.failed, "failed"),
        (connects.unfinished, "unfinished"),
        (connects.ended_early, "ended early"),
        (connects.left.unwrap_or(0), "left as meant"),
        (connects.still_open, "still open at the end"),
    ];
    parts.extend(
        rest.iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{} {what}", whole(*n))),
    );
    if let Some(per_s) = connects.up_per_s {
        parts.push(format!("{:.3} s, {}", record.time.connect_s, rate(per_s)));
    }
    if let Some(under_way) = record.run.connecting {
        parts.push(format!("at most {under_way} under way on a core"));
    }
    line(out, "", &parts.join(", "));
}

fn returns(out: &mut String, record: &Record) {
    if let Some(returns) = &record.returns {
        let [lost, resumed, given_up, absent] = [
            returns.lost,
            returns.resumed,
            returns.given_up,
            returns.absent,
        ]
        .map(whole);
        line(
            out,
            "returns",
            &format!("{lost} lost = {resumed} resumed + {given_up} given up + {absent} absent"),
        );
        let [replayed, missed, duplicated] =
            [returns.replayed, returns.missed, returns.duplicated].map(whole);
        let attempts = whole(returns.attempts);
        let mut rest = format!("{attempts} attempts");
        if record.events.is_some() {
            let _ = write!(
                rest,
                "; events: {replayed} replayed, {missed} missed, {duplicated} duplicated"
            );
        }
        line(out, "", &rest);
    }
    if let Some(storm) = &record.storm {
        shown_storm(out, storm);
    }
}

/// The storm, and its curve of recovery in at most ten rows.
fn shown_storm(out: &mut String, storm: &Storm) {
    let [dropped, before, messages] = [storm.dropped, storm.before, storm.messages_lost].map(whole);
    let recovered = storm.recovered_s.map_or_else(
        || "not recovered by the end".to_owned(),
        |time| format!("recovered after {time:.1} s"),
    );
    line(
        out,
        "storm",
        &format!(
            "at {} s {dropped} of {before} dropped with {messages} messages, {recovered}",
            storm.at_s
        ),
    );
    // Beyond its recovery the curve is flat.
    let point = storm.up.iter().position(|&up| up >= storm.before);
    let points = point.map_or(storm.up.len(), |point| point + 1);
    let every = points.div_ceil(10).max(1);
    let last = points.saturating_sub(1);
    let rows = (0..points).filter(|n| n.is_multiple_of(every) || *n == last);
    for (n, up) in rows.filter_map(|n| Some((n, storm.up.get(n)?))) {
        let eighths = (up * BAR_COLUMNS * 8)
            .checked_div(storm.before)
            .unwrap_or(0);
        let after = float(u64::try_from(n).unwrap_or(0)) * storm.step_s;
        let row = format!("{after:>9.1} s {:<40} {:>12}", bar(eighths), whole(*up));
        let _ = writeln!(out, "{row}");
    }
}

fn messages(out: &mut String, messages: &Messages) {
    let [planned, sent, dropped] = [messages.planned, messages.sent, messages.dropped].map(whole);
    let mut plan = format!("{planned} planned = {sent} sent + {dropped} dropped");
    let by = &messages.dropped_by;
    let causes = [
        (by.in_flight, "in flight cap"),
        (by.backlog, "backlog full"),
        (by.no_connection, "no connection"),
        (by.late, "generator late"),
    ];
    let causes: Vec<String> = causes
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, why)| format!("{} {why}", whole(*n)))
        .collect();
    if !causes.is_empty() {
        let _ = write!(plan, " ({})", causes.join(", "));
    }
    line(out, "messages", &plan);
    let [replied, lost, wrong] = [messages.replied, messages.lost, messages.wrong].map(whole);
    line(
        out,
        "",
        &format!("{replied} replied, {lost} lost, {wrong} wrong"),
    );
    if let (Some(sent), Some(replied)) = (messages.sent_per_s, messages.replied_per_s) {
        let mut rates = format!("sent {}, replied {}", rate(sent), rate(replied));
        if messages.replied_late > 0 {
            let late = whole(messages.replied_late);
            let _ = write!(rates, " and {late} after the measured time");
        }
        line(out, "", &rates);
    }
}

fn events(out: &mut String, events: &Events) {
    let per_s = events
        .received_per_s
        .map(|per_s| format!(", {}", rate(per_s)));
    let [received, bytes] = [events.received, events.bytes].map(whole);
    line(
        out,
        "events",
        &format!(
            "{received} received, {bytes} bytes{}",
            per_s.unwrap_or_default()
        ),
    );
    let [gaps, repeated, unstamped, negative] = [
        events.gaps + events.missing_at_end,
        events.repeated,
        events.unstamped,
        events.negative,
    ]
    .map(whole);
    let order = format!(
        "{gaps} missed, {repeated} repeated, {unstamped} without stamp, {negative} from the future"
    );
    line(out, "", &order);
}

fn latencies(out: &mut String, record: &Record) {
    let latency = &record.latency;
    if latency.named().next().is_none() {
        return;
    }
    out.push('\n');
    let _ = writeln!(
        out,
        "{:<LABEL$}{:>11} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "latency", "samples", "p50", "p90", "p99", "p99.9", "max"
    );
    for (name, latency) in latency.named() {
        let samples = whole(latency.samples);
        let _ = write!(out, "{:<LABEL$}{samples:>11}", name.replace('_', " "));
        for value in latency.shown() {
            let _ = write!(out, " {value:>9}");
        }
        let _ = writeln!(out, " {:>9}", span(latency.max_ns));
    }
    marks(out, record);
}

/// What the marks before percentiles mean, with the intervals of the headline's.
fn marks(out: &mut String, record: &Record) {
    let mut named = record.latency.named();
    if named.any(|(_, latency)| !latency.few.is_empty()) {
        out.push_str("~ marks a percentile with fewer than 100 / (1 - p) samples\n");
    }
    let Some((name, latency)) = record.headline() else {
        return;
    };
    let name = name.replace('_', " ");
    if let Some(intervals) = latency.few_shown() {
        let _ = writeln!(out, "  95 % intervals of {name}: {intervals}");
    }
    if !latency.at_least.is_empty() {
        let unanswered = whole(latency.unanswered);
        let _ = writeln!(
            out,
            ">= marks what {unanswered} messages without a reply leave open"
        );
    }
}

fn distribution(out: &mut String, name: &str, latency: &LatencyRecord) {
    let most = latency.bands.iter().map(|&(_, n)| n).max().unwrap_or(0);
    let _ = writeln!(out, "\ndistribution of {}", name.replace('_', " "));
    for &(bound, n) in &latency.bands {
        let eighths = (n * BAR_COLUMNS * 8).checked_div(most).unwrap_or(0);
        let bar = bar(if n > 0 { eighths.max(1) } else { 0 });
        let row = format!(
            "{:>11} {bar:<40} {:>12}",
            format!("< {}", span(bound)),
            whole(n)
        );
        let _ = writeln!(out, "{row}");
    }
}

/// A bar of that many eighths of a column.
fn bar(eighths: u64) -> String {
    let full = usize::try_from(eighths / 8).unwrap_or(0);
    let rest = match eighths % 8 {
        0 => "",
        1 => "\u{258f}",
        2 => "\u{258e}",
        3 => "\u{258d}",
        4 => "\u{258c}",
        5 => "\u{258b}",
        6 => "\u{258a}",
        _ => "\u{2589}",
    };
    "\u{2588}".repeat(full) + rest
}

fn failures(out: &mut String, record: &Record) {
    if record.failures.is_empty() {
        return;
    }
    out.push('\n');
    let mut remedies = remedies(record).into_iter();
    for (place, failure) in record.failures.iter().enumerate() {
        let label = if place == 0 { "failures" } else { "" };
        let mut what = failure.kind.replace('_', " ");
        if let Some(said) = &failure.said {
            what.push_str(": ");
            what.push_str(said);
        }
        line(
            out,
            label,
            &format!("{:>9} {}: {what}", whole(failure.count), failure.stage),
        );
        if let Some(remedy) = remedies.next().flatten() {
            line(out, "", &format!("{:>9} try: {remedy}", ""));
        }
    }
}

fn generator(out: &mut String, record: &Record) {
    let generator = &record.generator;
    let mut parts = vec![format!("busiest core {:.0} %", generator.busy_max * 100.0)];
    if let Some(us) = generator.cpu_us_per_message {
        parts.push(format!("{us:.2} us of CPU per message"));
    }
    if let Some(us) = generator.connect_cpu_us {
        parts.push(format!("{us:.1} us per connect"));
    }
    parts.extend(generator.headroom.map(|headroom| headroom.shown()));
    let rescues: u64 = generator.cores.iter().map(|core| core.rescues).sum();
    if rescues > 0 {
        parts.push(format!(
            "{rescues} rescues by the watchdog (a bug: please report)"
        ));
    }
    out.push('\n');
    line(out, "generator", &parts.join(", "));
    if let Some(server) = &record.server {
        let mut used = format!("{:.2} s of CPU", server.cpu_s);
        if let Some(per_s) = server.messages_per_cpu_s {
            let _ = write!(
                used,
                ", {} of its CPU",
                rate(per_s).replace("/s", " messages per second")
            );
        }
        let _ = write!(used, ", {} KiB resident", whole(server.rss_bytes / 1024));
        line(out, "server", &used);
    }
    if let Some(network) = &record.network {
        line(out, "network", &network.shown());
    }
}

fn verdict(out: &mut String, record: &Record) {
    let judgement = &record.verdict;
    let word = judgement.verdict.word();
    let by = judgement
        .limited_by
        .as_ref()
        .map(|by| format!(" ({by}-limited)"));
    line(out, "verdict", &format!("{word}{}", by.unwrap_or_default()));
    judgement
        .reasons
        .iter()
        .for_each(|reason| line(out, "", reason));
    judgement
        .notes
        .iter()
        .for_each(|note| line(out, "", &format!("note: {note}")));
}
