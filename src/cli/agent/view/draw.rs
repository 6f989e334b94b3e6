//! Lays the panels out and draws them; 80 columns and 24 lines show everything.

use super::panels;
use super::screen::{AgentScreen, Health};
use crate::cli::agent::shown::{rate, span};
use crate::stats::History;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};

/// Draws the whole view.
pub fn draw(frame: &mut Frame<'_>, screen: &AgentScreen) {
    let is_host = screen.host.is_some();
    let bars = panels::cpus(screen);
    let middle = if is_host { 8 } else { lines_of(&bars, frame) };
    let [head, status, first, second, third, curves] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Max(middle),
        Constraint::Length(frame.area().height.saturating_sub(14 + middle).clamp(2, 12)),
    ])
    .areas(frame.area());
    draw_head(frame, screen, head);
    draw_status(frame, screen, status);
    if let Some((sample, _)) = &screen.seen {
        let [left, right] = halves(first);
        let connections = panels::connections(screen, sample);
        draw_panel(frame, "connections", &connections, left);
        draw_panel(frame, "traffic", &panels::traffic(screen, sample), right);
        let [left, right] = halves(second);
        draw_panel(frame, "process", &panels::process(screen, sample), left);
        draw_panel(frame, "engine", &panels::engine(screen, sample), right);
    }
    if matches!(screen.health(), Health::Lost(_)) {
        // What is left of the last answer is old.
        let old = Style::new().add_modifier(Modifier::DIM);
        frame.buffer_mut().set_style(first.union(second), old);
    }
    let cpu_area = match &screen.host {
        None => third,
        Some((sample, rates)) => {
            let [left, right] = halves(third);
            let lines = panels::host(sample, rates.as_ref());
            draw_panel(frame, "host", &lines, right);
            left
        }
    };
    let inner = Block::bordered().inner(cpu_area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let lines = panels::in_columns(&bars, width, height);
    draw_panel(frame, "CPU by core", &lines, cpu_area);
    draw_curves(frame, screen, curves);
}

fn draw_head(frame: &mut Frame<'_>, screen: &AgentScreen, area: Rect) {
    let told = screen.seen.as_ref().map(|(sample, _)| {
        let up = span(sample.uptime_s);
        format!("  engine {}  up {up}", sample.engine)
    });
    let line = Line::from(vec![
        Span::styled(
            "ringstorm agent ",
            Style::new().add_modifier(Modifier::BOLD),
        ),
        Span::raw(screen.url.clone()),
        Span::raw(told.unwrap_or_default()),
    ]);
    let keys = format!("every {:?}  q quits", screen.refresh);
    draw_ends(frame, line, &keys, area);
}

fn draw_status(frame: &mut Frame<'_>, screen: &AgentScreen, area: Rect) {
    let (text, style) = match screen.health() {
        Health::Well => ("up".to_owned(), Style::new().fg(Color::Green)),
        Health::Notice(text) => (text, Style::new().fg(Color::Yellow)),
        Health::Lost(text) => (
            text,
            Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        ),
    };
    let text = panels::cut(&text, usize::from(area.width));
    let has_room = text.chars().count() + 30 < usize::from(area.width);
    frame.render_widget(Paragraph::new(Line::styled(text, style)), area);
    if has_room && screen.health() == Health::Well {
        let kept = span(screen.refresh.as_secs_f64() * screen.open.len() as f64);
        let line = Line::from(format!("curves: last {kept}")).right_aligned();
        frame.render_widget(Paragraph::new(line), area);
    }
}

/// A line with something at its right end, which gives way first.
pub(in crate::cli) fn draw_ends(frame: &mut Frame<'_>, left: Line<'_>, right: &str, area: Rect) {
    let (width, taken) = (usize::from(area.width), right.chars().count() + 1);
    let line = if left.width() + taken <= width {
        let right = Line::from(right).right_aligned();
        frame.render_widget(Paragraph::new(right), area);
        left
    } else {
        let text: String = left.iter().map(|span| span.content.as_ref()).collect();
        let style = left.iter().next().map(|span| span.style);
        Line::styled(panels::cut(&text, width), style.unwrap_or_default())
    };
    frame.render_widget(Paragraph::new(line), area);
}

pub(in crate::cli) fn draw_panel(frame: &mut Frame<'_>, title: &str, lines: &[String], area: Rect) {
    let block = Block::bordered();
    let inner = block.inner(area);
    let lines = panels::fitting(lines, usize::from(inner.width), usize::from(inner.height));
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    let title = panels::cut(&format!(" {title} "), usize::from(inner.width));
    frame.render_widget(Paragraph::new(lines).block(block.title(title)), area);
}

fn draw_curves(frame: &mut Frame<'_>, screen: &AgentScreen, area: Rect) {
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Ratio(1, 3); 3])
        .spacing(1)
        .areas(area);
    let curves = [
        ("open", &screen.open),
        ("messages/s", &screen.messages),
        ("accepted/s", &screen.accepted),
    ];
    for ((name, history), area) in curves.into_iter().zip(areas) {
        draw_curve(frame, name, history, area);
    }
}

pub(in crate::cli) fn draw_curve(frame: &mut Frame<'_>, name: &str, history: &History, area: Rect) {
    let width = usize::from(area.width);
    let values = history.curve(width);
    let largest = values.iter().flatten().copied().fold(0.0, f64::max);
    let values: Vec<Option<u64>> = values.iter().map(|value| value.map(height)).collect();
    let top = rate(Some(largest));
    let title = Line::styled(
        panels::cut(&format!("{name}, most {top}"), width),
        Style::new().add_modifier(Modifier::BOLD),
    );
    let curve = Sparkline::default()
        .data(values)
        .absent_value_symbol("·")
        .style(Style::new().fg(Color::Cyan))
        .max(height(largest).max(1))
        .block(Block::new().title(title));
    frame.render_widget(curve, area);
}

/// A value for the curve, in thousandths: rates below 1 have a height too.
fn height(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a curve is no record"
    )]
    let height = (value * 1000.0) as u64;
    // So that the sum of the widget's own arithmetic stays in range.
    height.min(1 << 50)
}

/// Lines that the panel of bars wants, frame included.
fn lines_of(bars: &[String], frame: &Frame<'_>) -> u16 {
    let width = usize::from(frame.area().width.saturating_sub(2));
    let lines = panels::in_columns(bars, width, 8).len();
    u16::try_from(lines).unwrap_or(8) + 2
}

pub(in crate::cli) fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Ratio(1, 2); 2]).areas(area)
}
