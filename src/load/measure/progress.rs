//! What a run shows of itself while it runs: totals of one core, a few times a second.

use super::outcome::Outcome;
use std::time::Duration;

/// Time between two looks.
pub const PROGRESS_TIME: Duration = Duration::from_millis(200);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Connections are being made.
    Connecting,
    /// This core's are; other cores' are not.
    Waiting,
    /// Messages run; the measured time has not begun.
    WarmUp,
    /// The measured time.
    Measuring,
    /// The last replies are awaited.
    Draining,
    /// Connections are being closed.
    Closing,
    /// It is over.
    Finished,
}

/// One core's totals since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The core's index in the run.
    pub core: u16,
    /// Where it is.
    pub stage: Stage,
    /// Time since the first connect.
    pub elapsed: Duration,
    /// Time since the beginning of the measured time; zero before.
    pub measured: Duration,
    /// Connections of this core's share.
    pub connections: u64,
    /// Connections that are up now.
    pub up: u64,
    /// Connects that failed.
    pub failed: u64,
    /// Clients that were given turns, of those whose turns the scenario counts.
    pub speakers: u64,
    /// Messages sent in the measured time.
    pub sent: u64,
    /// Messages not sent in it.
    pub dropped: u64,
    /// Replies, or pushed messages, in it.
    pub received: u64,
    /// Everything that went wrong.
    pub failures: u64,
    /// CPU time of the core's thread.
    pub cpu: Duration,
}

/// Who is shown the progress, and the outcome so far: called in the core's thread, so it must be
/// quick. It may take the latencies and leave empty ones: the core's outcome then has the rest,
/// and who took them adds them up.
pub type Observer = Box<dyn FnMut(&Progress, &mut Outcome) + Send>;
