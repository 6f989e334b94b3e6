//! What a load run shows of itself on stderr: a bar in a terminal, a line a second elsewhere.

use super::print;
use crate::load::Progress;
use crate::load::progress::Stage;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines where nobody watches a terminal.
const LINE_TIME: Duration = Duration::from_secs(1);

/// The latest word of every core, and when the run will be over.
#[derive(Clone)]
pub(super) struct Board(Arc<Mutex<Vec<Option<Progress>>>>);

/// The cores' progress as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    /// The stage of the core that is furthest behind.
    pub(super) stage: Stage,
    /// Time into the measured time.
    pub(super) measured: Duration,
    connections: u64,
    up: u64,
    failed: u64,
    sent: u64,
    dropped: u64,
    received: u64,
    failures: u64,
}

impl Board {
    /// A board for so many cores.
    pub(super) fn new(cores: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![None; cores])))
    }

    /// A core's latest word.
    pub(super) fn note(&self, progress: &Progress) {
        let mut cores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(core) = cores.get_mut(usize::from(progress.core)) {
            *core = Some(*progress);
        }
    }

    /// All cores as one; `None` until each has said something.
    pub(super) fn total(&self) -> Option<Total> {
        let cores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Option<Vec<Progress>> = cores.iter().copied().collect();
        all?.into_iter().map(Total::from).reduce(Total::and)
    }
}

impl From<Progress> for Total {
    fn from(core: Progress) -> Self {
        Self {
            stage: core.stage,
            measured: core.measured,
            connections: core.connections,
            up: core.up,
            failed: core.failed,
            sent: core.sent,
            dropped: core.dropped,
            received: core.received,
            failures: core.failures,
        }
    }
}

impl Total {
    fn and(self, other: Self) -> Self {
        let behind = if place(other.stage) < place(self.stage) {
            other
        } else {
            self
        };
        Self {
            stage: behind.stage,
            measured: behind.measured,
            connections: self.connections + other.connections,
            up: self.up + other.up,
            failed: self.failed + other.failed,
            sent: self.sent + other.sent,
            dropped: self.dropped + other.dropped,
            received: self.received + other.received,
            failures: self.failures + other.failures,
        }
    }

    /// One line for people.
    pub(super) fn line(&self, duration: Duration) -> String {
        let up = format!(
            "{} of {} up",
            print::whole(self.up),
            print::whole(self.connections)
        );
        let mut line = match self.stage {
            Stage::Connecting | Stage::Waiting => format!("connecting: {up}"),
            Stage::WarmUp => format!("warming up: {up}"),
            Stage::Measuring => {
                let (at, of) = (self.measured.as_secs_f64(), duration.as_secs_f64());
                format!("measuring {at:.1} of {of:.1} s: {up}")
            }
            Stage::Draining => format!("waiting for the last replies: {up}"),
            Stage::Closing | Stage::Finished => format!("closing: {up}"),
        };
        for (number, name) in [
            (self.sent, "sent"),
            (self.received, "received"),
            (self.dropped, "dropped"),
            (self.failed, "connects failed"),
            (self.failures, "failures"),
        ] {
            if number > 0 {
                line += &format!(", {} {name}", print::whole(number));
            }
        }
        line
    }
}

const fn place(stage: Stage) -> u8 {
    match stage {
        Stage::Connecting => 0,
        Stage::Waiting => 1,
        Stage::WarmUp => 2,
        Stage::Measuring => 3,
        Stage::Draining => 4,
        Stage::Closing => 5,
        Stage::Finished => 6,
    }
}

/// Where progress is shown.
pub(super) enum Display {
    /// Nowhere.
    Nothing,
    /// A bar that is drawn over.
    Bar(ProgressBar),
    /// Lines, for a file or another program.
    Lines {
        /// When the last one was printed.
        last: Option<Instant>,
    },
}

impl Display {
    /// What fits stderr.
    pub(super) fn new(duration: Duration) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { last: None };
        }
        let bar = ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{spinner} [{bar:30}] {wide_msg}");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        Self::Bar(bar)
    }

    /// Shows where the run is.
    pub(super) fn show(&mut self, total: &Total, duration: Duration) {
        match self {
            Self::Nothing => {}
            Self::Bar(bar) => {
                bar.set_position(u64::try_from(total.measured.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(total.line(duration));
            }
            Self::Lines { last } => {
                if last.is_none_or(|last| last.elapsed() >= LINE_TIME) {
                    *last = Some(Instant::now());
                    print::note(total.line(duration));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(core: u16, stage: Stage, sent: u64) -> Progress {
        Progress {
            core,
            stage,
            elapsed: Duration::from_secs(3),
            measured: Duration::from_secs(u64::from(core)),
            connections: 500,
            up: 500,
            failed: 0,
            sent,
            dropped: 0,
            received: sent,
            failures: 0,
        }
    }

    #[test]
    fn the_core_that_is_behind_says_where_the_run_is() {
        let board = Board::new(2);
        board.note(&core(0, Stage::Measuring, 700));
        assert_eq!(board.total(), None);
        board.note(&core(1, Stage::Waiting, 900));
        let total = board.total().unwrap();
        assert_eq!(
            (total.stage, total.sent, total.up),
            (Stage::Waiting, 1600, 1000)
        );
        assert_eq!(
            total.line(Duration::from_secs(5)),
            "connecting: 1,000 of 1,000 up, 1,600 sent, 1,600 received"
        );
    }
}
