//! What a run ends with, and how far it is from there.

use crate::cli::print;
use std::time::Duration;

/// What ends the measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// So much of it.
    Time(Duration),
    /// So many iterations of each client that has any.
    Iterations(u32),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// Time into the measured time.
    pub(super) measured: Duration,
    /// Iterations that have begun in it.
    pub(super) begun: u64,
    /// Clients that have any.
    pub(super) speakers: u64,
}

impl Goal {
    /// How much of the way there that is, from 0 to 1.
    pub(super) fn share(self, covered: Covered) -> f64 {
        let (done, of) = match self {
            Self::Time(of) => (covered.measured.as_secs_f64(), of.as_secs_f64()),
            #[expect(clippy::cast_precision_loss, reason = "a length of a bar")]
            Self::Iterations(each) => (covered.begun as f64, covered.planned(each) as f64),
        };
        if of > 0.0 {
            (done / of).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// How far that is, for people.
    pub(super) fn shown(self, covered: Covered) -> String {
        match self {
            Self::Time(of) => {
                let (at, of) = (covered.measured.as_secs_f64(), of.as_secs_f64());
                format!("measuring {at:.1} of {of:.1} s")
            }
            Self::Iterations(each) => {
                let [begun, of] = [covered.begun, covered.planned(each)].map(print::whole);
                format!("measuring, {begun} of {of} iterations")
            }
        }
    }
}

impl Covered {
    fn planned(self, each: u32) -> u64 {
        self.speakers * u64::from(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_how_far_it_is_by_what_ends_it() {
        let covered = Covered {
            measured: Duration::from_secs(1),
            begun: 1_000,
            speakers: 125,
        };
        let goals = [Goal::Time(Duration::from_secs(5)), Goal::Iterations(20)];
        let said = [
            "measuring 1.0 of 5.0 s",
            "measuring, 1,000 of 2,500 iterations",
        ];
        assert_eq!(goals.map(|it| it.shown(covered)), said);
        assert_eq!(goals.map(|it| it.share(covered)), [0.2, 0.4]);
        let none = Covered {
            speakers: 0,
            ..covered
        };
        assert_eq!(goals[1].share(none), 0.0, "nobody has any yet");
    }
}
