//! The live view of a load run: what is drawn on stderr, and the keys.

mod draw;

use super::goal::Goal;
use super::progress_board::Total;
use crate::cli::keys::{self, TerminalEvent};
use crate::engine::Stop;
use crate::load::outcome::Outcome;
use crate::report::{Interval, Ledger};
use crate::stats::History;
use draw::draw;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{self, Stderr, stderr};
use std::time::Duration;

/// Values of a curve: five minutes.
const CURVE: usize = 300;

/// A terminal that shows a run. The terminal is as it was when this is dropped.
pub(super) struct View {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    screen: Screen,
}

/// Everything that is drawn.
pub(super) struct Screen {
    url: String,
    goal: Goal,
    total: Option<Total>,
    /// The last interval, and the run so far.
    last: Option<Interval>,
    latencies: Vec<Row>,
    failures: Vec<(String, u64)>,
    sent: History,
    received: History,
    /// The 99th percentile of the headline latency, in microseconds.
    p99_us: History,
}

/// A latency of the run so far.
struct Row {
    name: &'static str,
    samples: u64,
    /// Each percentile, and whether few samples stand behind it.
    percentiles_ns: [(u64, bool); 4],
    max_ns: u64,
}

impl View {
    /// Takes the terminal.
    pub(super) fn open(url: &str, goal: Goal) -> io::Result<Self> {
        enable_raw_mode()?;
        let opened = execute!(stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        if opened.is_err() {
            restore();
        }
        Ok(Self {
            terminal: opened?,
            screen: Screen::new(url, goal),
        })
    }

    /// Draws where the run is, and hears the keys: Ctrl-C and `q` end it, with its summary.
    pub(super) fn show(&mut self, total: &Total, stop: &Stop) {
        self.screen.total = Some(*total);
        while let Ok(TerminalEvent::Input(event)) = keys::wait(Duration::ZERO) {
            if is_end(&event) {
                stop.throw();
            }
        }
        // A terminal that is gone shows nothing, and the run goes on.
        let _ = self.terminal.draw(|frame| draw(frame, &self.screen));
    }

    /// Takes in what came in an interval.
    pub(super) fn take(&mut self, interval: &Interval, ledger: &Ledger) {
        self.screen.take(interval, ledger);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let _ = execute!(stderr(), LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// In raw mode Ctrl-C is a key, not a signal.
fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('c') => is_control,
            KeyCode::Char('q') | KeyCode::Esc => true,
            _ => false,
        }
}

impl Screen {
    /// Nothing seen yet.
    pub(super) fn new(url: &str, goal: Goal) -> Self {
        Self {
            url: url.to_owned(),
            goal,
            total: None,
            last: None,
            latencies: Vec::new(),
            failures: Vec::new(),
            sent: History::new(CURVE),
            received: History::new(CURVE),
            p99_us: History::new(CURVE),
        }
    }

    fn take(&mut self, interval: &Interval, ledger: &Ledger) {
        self.sent.push(Some(interval.per_second(interval.sent)));
        let received = interval.per_second(interval.received);
        self.received.push(Some(received));
        let p99 = interval
            .headline()
            .map(|(_, it)| it.value_at_quantile(0.99));
        #[expect(clippy::cast_precision_loss, reason = "a height of a curve")]
        self.p99_us.push(p99.map(|ns| ns as f64 / 1e3));
        self.latencies = rows(ledger.so_far());
        let failures = ledger.so_far().failures.iter();
        self.failures = failures
            .map(|(stage, kind, n)| (format!("{stage}: {kind}"), n))
            .collect();
        self.failures.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        self.last = Some(interval.clone());
    }
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let recorded = outcome
        .latencies
        .named()
        .filter(|(_, latency)| !latency.histogram().is_empty());
    let row = |(name, latency): (&'static str, &crate::load::latency::Latency)| {
        let histogram = latency.histogram();
        let marked = |(needed, quantile)| {
            (
                histogram.value_at_quantile(quantile),
                histogram.len() < needed,
            )
        };
        let percentiles = [(200, 0.5), (1_000, 0.9), (10_000, 0.99), (100_000, 0.999)];
        Row {
            name,
            samples: histogram.len(),
            percentiles_ns: percentiles.map(marked),
            max_ns: histogram.max(),
        }
    };
    recorded.map(row).collect()
}
