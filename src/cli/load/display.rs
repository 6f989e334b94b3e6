//! What a load run shows of itself on stderr: a live view of a terminal, lines, or nothing.

use super::goal::Goal;
use super::progress_board::Total;
use super::view::View;
use crate::cli::print;
use crate::engine::Stop;
use crate::report::{Interval, Ledger};
use std::time::{Duration, Instant};

/// Time between two lines.
const LINE_TIME: Duration = Duration::from_secs(1);

/// How a run is shown, resolved from its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressForm {
    /// Not at all.
    Nothing,
    /// A line a second.
    Lines,
    /// A live view.
    View,
}

/// Where progress is shown.
pub(super) enum Display {
    /// Nowhere.
    Nothing,
    /// Lines, for a file or another program.
    Lines {
        /// When the last one was printed.
        last: Option<Instant>,
    },
    /// The terminal, all of it.
    View(Box<View>),
}

impl Display {
    /// In that form. A terminal that refuses gets lines.
    pub(super) fn new(form: ProgressForm, view: impl FnOnce() -> std::io::Result<View>) -> Self {
        let lines = Self::Lines { last: None };
        match form {
            ProgressForm::Nothing => Self::Nothing,
            ProgressForm::Lines => lines,
            ProgressForm::View => view().map_or(lines, |view| Self::View(Box::new(view))),
        }
    }

    /// Shows where the run is. A key may ask it to end.
    pub(super) fn show(&mut self, total: &Total, goal: Goal, stop: &Stop) {
        match self {
            Self::Nothing => {}
            Self::View(view) => view.show(total, stop),
            Self::Lines { last } => {
                if last.is_none_or(|last| last.elapsed() >= LINE_TIME) {
                    *last = Some(Instant::now());
                    print::note(total.line(goal));
                }
            }
        }
    }

    /// Takes in what came in an interval.
    pub(super) fn take(&mut self, interval: &Interval, ledger: &Ledger) {
        match self {
            Self::Nothing | Self::Lines { .. } => {}
            Self::View(view) => view.take(interval, ledger),
        }
    }
}
