//! The text of each panel: lines of figures, and bars of CPU in as many columns as fit.

use super::screen::AgentScreen;
use crate::cli::agent::shown::{bytes, count, decimal, percent, rate, whole_bytes};
use crate::stats::{HostRates, HostSample, Sample};

/// Cells of a CPU bar.
const BAR: usize = 10;

pub(super) fn connections(screen: &AgentScreen, sample: &Sample) -> Vec<String> {
    let total = &sample.total;
    let open = &total.open;
    let accepted = rate(screen.rate(|it| it.accepted));
    let closed = rate(screen.rate(crate::stats::Rates::closed_sum));
    let kinds = format!(
        "websocket {}  sse {}  http {}",
        count(Some(open.websocket)),
        count(Some(open.sse)),
        count(Some(open.http))
    );
    vec![
        format!("open      {:>11}", count(Some(open.sum()))),
        format!("  {kinds}"),
        format!("accepted  {accepted:>11} /s"),
        format!("closed    {closed:>11} /s"),
        format!(" {}", causes(screen)),
    ]
}

/// The causes that connections are closed by now, the most frequent first.
fn causes(screen: &AgentScreen) -> String {
    let rates = screen.seen.as_ref().and_then(|(_, rates)| rates.as_deref());
    let Some(rates) = rates else {
        return String::new();
    };
    let mut causes: Vec<(&str, f64)> = rates
        .closed
        .iter()
        .filter(|(cause, rate)| **rate > 0.0 && *cause != "all")
        .map(|(cause, rate)| (cause.as_str(), *rate))
        .collect();
    causes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let texts = causes.into_iter().map(|(cause, number)| {
        let number = rate(Some(number));
        format!(" {cause} {number}")
    });
    texts.collect()
}

pub(super) fn traffic(screen: &AgentScreen, sample: &Sample) -> Vec<String> {
    let number = |of| rate(screen.rate(of));
    let size = |of| bytes(screen.rate(of));
    let (messages_in, messages_out) = (number(|it| it.messages_in), number(|it| it.messages_out));
    let (bytes_in, bytes_out) = (size(|it| it.bytes_in), size(|it| it.bytes_out));
    let total = &sample.total;
    let backlog = whole_bytes(total.backlog_bytes);
    vec![
        format!("{:<9}{:>12} {:>12}", "", "in /s", "out /s"),
        format!("messages {messages_in:>12} {messages_out:>12}"),
        format!("bytes    {bytes_in:>12} {bytes_out:>12}"),
        format!("backlog  {:>12} {backlog:>12}", ""),
        accept_queue(sample),
    ]
}

/// The fullest of the accept queues, and whose it is; their sum where they are not told apart.
fn accept_queue(sample: &Sample) -> String {
    let fullest = sample.listeners.iter().max_by_key(|it| it.accept_queue);
    let (total, several) = (&sample.total, sample.listeners.len() > 1);
    let (queue, limit) = fullest.map_or((total.accept_queue, total.accept_queue_limit), |it| {
        (it.accept_queue, it.accept_queue_limit)
    });
    let whose = match fullest.filter(|_| several) {
        Some(listener) => format!(" core {}", listener.core),
        None => String::new(),
    };
    format!(
        "accept queue {:>8} of {}{whose}",
        count(queue),
        count(limit)
    )
}

pub(super) fn process(screen: &AgentScreen, sample: &Sample) -> Vec<String> {
    let process = &sample.process;
    let limit = count(process.descriptor_limit);
    let total = &sample.total;
    let (used, slots) = (count(total.slots_used), count(total.slots));
    let cpu = percent(screen.rate(|it| it.process_cpu_percent));
    let memory = whole_bytes(process.rss_bytes);
    vec![
        format!("CPU {cpu:>7}  memory {memory:>10}"),
        format!("files     {:>11} of {limit}", count(process.descriptors)),
        format!("slots     {used:>11} of {slots}"),
    ]
}

pub(super) fn engine(screen: &AgentScreen, sample: &Sample) -> Vec<String> {
    let total = &sample.total;
    let turns = rate(screen.rate(|it| it.turns));
    let events = rate(screen.rate(|it| it.events_per_turn));
    let starved = rate(screen.rate(|it| it.starved));
    vec![
        format!("turns {turns:>10} /s {events:>5} events each"),
        format!("starved {starved:>8} /s"),
        format!(
            "pauses {:>9}    rescues {}",
            count(total.accept_pauses),
            count(total.rescues)
        ),
    ]
}

pub(super) fn host(sample: &HostSample, rates: Option<&HostRates>) -> Vec<String> {
    let per_s = |of: fn(&HostRates) -> Option<f64>| rate(rates.and_then(of));
    let overflows = per_s(|it| it.listen_overflows);
    let drops = per_s(|it| it.listen_drops);
    let squeezes = per_s(|it| it.softnet_squeezes);
    let lost = per_s(|it| it.softnet_drops);
    vec![
        format!(
            "tcp {} TIME_WAIT {} orphans {}",
            count(sample.tcp_in_use),
            count(sample.tcp_time_wait),
            count(sample.tcp_orphans)
        ),
        format!("overflows {overflows} /s  drops {drops} /s"),
        format!("retransmits {} /s", per_s(|it| it.retransmits)),
        format!("softnet drops {lost} /s  squeezes {squeezes} /s"),
        format!(
            "load {}  waits cpu {} mem {}",
            decimal(sample.load_average, 2),
            percent(sample.pressure_cpu_percent),
            percent(sample.pressure_memory_percent)
        ),
        format!(
            "free {} of {}",
            whole_bytes(sample.memory_available_bytes),
            whole_bytes(sample.memory_bytes)
        ),
    ]
}

/// A bar for each core of the server, then one for each CPU of the host if that is watched.
pub(super) fn cpus(screen: &AgentScreen) -> Vec<String> {
    let rates = screen.seen.as_ref().and_then(|(_, rates)| rates.as_deref());
    let cores = rates.map(|it| it.cores_cpu_percent.as_slice());
    let mut bars: Vec<String> = cores
        .unwrap_or_default()
        .iter()
        .map(|(core, percent)| bar(&format!("core {core}"), *percent))
        .collect();
    let host = screen.host.as_ref().and_then(|(_, rates)| rates.as_ref());
    let shares = host.map(|it| it.cpus.as_slice()).unwrap_or_default();
    bars.extend(shares.iter().map(|share| {
        let bar = bar(&format!("cpu {}", share.cpu), Some(share.busy_percent));
        let soft = share.softirq_percent;
        let steal = share.steal_percent;
        format!("{bar} si {soft:.0} st {steal:.0}")
    }));
    bars
}

pub(in crate::cli) fn bar(name: &str, share: Option<f64>) -> String {
    let text = percent(share);
    let part = share.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the length of the bar"
    )]
    let full = (part * BAR as f64).round() as usize;
    let (full, rest) = ("█".repeat(full), "░".repeat(BAR.saturating_sub(full)));
    format!("{name:<8}{full}{rest} {text:>5}")
}

/// The text in so many cells; what does not fit gives way to a sign for it.
pub(in crate::cli) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// The lines in so many cells; lines that do not fit are counted.
pub(super) fn fitting(lines: &[String], width: usize, height: usize) -> Vec<String> {
    let shown = if lines.len() > height {
        height.saturating_sub(1)
    } else {
        lines.len()
    };
    let mut fitting: Vec<String> = lines.iter().take(shown).map(|it| cut(it, width)).collect();
    if shown < lines.len() && height > 0 {
        fitting.push(cut(&format!("+{} lines", lines.len() - shown), width));
    }
    fitting
}

/// The cells in columns of so many lines, as many columns as the width holds; what does not fit is
/// counted.
pub(in crate::cli) fn in_columns(cells: &[String], width: usize, height: usize) -> Vec<String> {
    let length = |cell: &String| cell.chars().count();
    let widest = cells.iter().map(length).max().unwrap_or(0) + 2;
    let columns = (width / widest).max(1);
    let fitting = columns * height;
    let mut shown: Vec<String> = cells.to_vec();
    if shown.len() > fitting && fitting > 0 {
        shown.truncate(fitting - 1);
        shown.push(format!("+{} more", cells.len() + 1 - fitting));
    }
    let rows = shown.len().div_ceil(columns).max(1);
    let row = |row: usize| {
        let cells = shown.iter().skip(row).step_by(rows);
        cells.fold(String::new(), |mut line, cell| {
            line.push_str(&format!("{cell:<widest$}"));
            line
        })
    };
    (0..rows).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_leaves_its_place() {
        assert_eq!(bar("core 0", Some(250.0)), "core 0  ██████████ 250 %");
        assert_eq!(bar("core 1", None), "core 1  ░░░░░░░░░░     -");
        assert_eq!(bar("core 1", Some(f64::NAN)).chars().count(), 24);
    }

    #[test]
    fn what_does_not_fit_has_a_sign() {
        assert_eq!(
            (cut("12345", 5), cut("12345", 4)),
            ("12345".into(), "123…".into())
        );
        assert_eq!((cut("█░░", 2), cut("12", 0)), ("█…".into(), String::new()));
        let lines: Vec<String> = ["ab", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(fitting(&lines, 8, 3), ["ab", "c", "d"]);
        assert_eq!(fitting(&lines, 8, 2), ["ab", "+2 lines"]);
        assert_eq!(fitting(&lines, 1, 1), ["…"]);
    }

    #[test]
    fn cells_that_do_not_fit_are_counted() {
        let cells: Vec<String> = (0..10).map(|number| format!("cell{number}")).collect();
        let lines = in_columns(&cells, 16, 2);
        assert_eq!(lines, ["cell0  cell2  ", "cell1  +7 more"]);
        assert_eq!(in_columns(&[], 16, 2), [""]);
    }
}
