//! Lays the live view of a load run out and draws it; 80 columns and 24 lines show everything.

use super::Screen;
use crate::cli::agent::shown::{count, rate};
use crate::cli::agent::view::draw::{draw_curve, draw_ends, draw_panel, halves};
use crate::cli::agent::view::panels::{bar, cut, in_columns};
use crate::report::text::span;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge};

/// Draws the whole view.
pub(in crate::cli) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let table = u16::try_from(screen.latencies.len()).unwrap_or(8) + 3;
    let [head, state, first, second, third, curves] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(6),
        Constraint::Length(table.clamp(4, 11)),
        Constraint::Length(4),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    draw_head(frame, screen, head);
    draw_state(frame, screen, state);
    let [left, right] = halves(first);
    draw_panel(frame, "run", &totals(screen), left);
    draw_panel(frame, "last second", &rates(screen), right);
    draw_panel(frame, "latency so far", &latencies(screen), second);
    let [left, right] = halves(third);
    draw_panel(frame, "generator CPU by core", &cores(screen, left), left);
    let rows = usize::from(right.height.saturating_sub(2));
    draw_panel(frame, "errors", &errors(screen, rows), right);
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Ratio(1, 3); 3])
        .spacing(1)
        .areas(curves);
    let named = [
        ("sent/s", &screen.sent),
        ("received/s", &screen.received),
        ("p99 us", &screen.p99_us),
    ];
    for ((name, history), area) in named.into_iter().zip(areas) {
        draw_curve(frame, name, history, area);
    }
}

fn draw_head(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let name = Span::styled("ringstorm load ", Style::new().add_modifier(Modifier::BOLD));
    let line = Line::from(vec![name, Span::raw(screen.url.clone())]);
    draw_ends(frame, line, "q ends the run", area);
}

fn draw_state(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let Some(total) = &screen.total else { return };
    let gauge = Gauge::default()
        .ratio(total.share(screen.goal))
        .label(cut(&total.state(screen.goal), usize::from(area.width)))
        .use_unicode(true);
    frame.render_widget(gauge, area);
}

fn totals(screen: &Screen) -> Vec<String> {
    let Some(total) = &screen.total else {
        return Vec::new();
    };
    let (up, of) = (count(Some(total.up)), count(Some(total.connections)));
    let failed = count(Some(total.failed));
    vec![
        format!("up       {up:>12} of {of}"),
        format!("failed   {failed:>12} connects"),
        format!("sent     {:>12}", count(Some(total.sent))),
        format!(
            "received {:>12}  dropped {}",
            count(Some(total.received)),
            count(Some(total.dropped))
        ),
    ]
}

fn rates(screen: &Screen) -> Vec<String> {
    let Some(last) = &screen.last else {
        return vec!["-".to_owned()];
    };
    let per_s = |n| rate(Some(last.per_second(n)));
    let headline = last.headline().filter(|(_, it)| it.len() >= 200);
    let median = headline.map(|(name, it)| {
        let (p50, max) = (span(it.value_at_quantile(0.5)), span(it.max()));
        format!("{name} p50 {p50} max {max}")
    });
    vec![
        format!("connected {:>10} /s", per_s(last.connected)),
        format!("sent      {:>10} /s", per_s(last.sent)),
        format!("received  {:>10} /s", per_s(last.received)),
        median.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn latencies(screen: &Screen) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<12}{:>12} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "~ few", "samples", "p50", "p90", "p99", "p99.9", "max"
    )];
    lines.extend(screen.latencies.iter().map(|row| {
        let name = row.name.replace('_', " ");
        let mut line = format!("{name:<12}{:>12}", count(Some(row.samples)));
        for (value, is_few) in row.percentiles_ns {
            let mark = if is_few { "~" } else { "" };
            let text = format!("{mark}{}", span(value));
            line += &format!(" {text:>9}");
        }
        line + &format!(" {:>9}", span(row.max_ns))
    }));
    lines
}

fn cores(screen: &Screen, area: Rect) -> Vec<String> {
    let busy = screen.last.as_ref().map(|last| last.busy.as_slice());
    let bars: Vec<String> = busy
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(core, busy)| bar(&format!("core {core}"), Some(busy * 100.0)))
        .collect();
    let inner = Block::bordered().inner(area);
    in_columns(&bars, usize::from(inner.width), usize::from(inner.height))
}

/// The most frequent ones; what does not fit is counted.
fn errors(screen: &Screen, rows: usize) -> Vec<String> {
    if screen.failures.is_empty() {
        return vec!["none".to_owned()];
    }
    let line =
        |(what, n): &(String, u64)| format!("{:>9} {}", count(Some(*n)), what.replace('_', " "));
    let is_all = screen.failures.len() <= rows;
    let shown = if is_all { rows } else { rows.saturating_sub(1) };
    let mut lines: Vec<String> = screen.failures.iter().take(shown).map(line).collect();
    if !is_all {
        let rest: u64 = screen.failures.iter().skip(shown).map(|(_, n)| n).sum();
        lines.push(format!("{:>9} of other kinds", count(Some(rest))));
    }
    lines
}
