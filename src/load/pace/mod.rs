//! When to start the next piece of work: a pure function from an index to its intended time.
//!
//! The plan is fixed before the run and knows nothing of replies: that is what makes a loop open.
//! Both directions are exact integers, so that `planned` can be counted without walking the plan.
//!
//! | pace | piece `i` is due |
//! |---|---|
//! | constant | at `i / rate` |
//! | buckets | with its bucket: `floor(i / size) * every` |
//! | stages | when the integral of the rate is `i`; a spike and a soak are stages too |
//! | part | when the plan of the whole has the piece that is the part's `i`th |
//! | Poisson | when the integral of the rate is the sum of `i + 1` exponential gaps, by seed |

mod poisson;
mod rate;
mod stages;
mod stripe;

pub use poisson::Poisson;
pub use rate::Rate;
pub use stages::{Stage, Stages, StagesError};
pub use stripe::Stripe;

use poisson::Leaf;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// When each piece of work of the whole run is meant to start, counted from the run's start.
///
/// Whoever follows a pace asks only [`Pace::offset_ns`] (or [`Walk::offset_ns`], which is quick
/// for neighbours) and [`Pace::before`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Piece `i` starts at `i / rate`; the first one at 0.
    Constant(Rate),
    /// So many at once, again and again.
    Buckets(Buckets),
    /// A rate that changes with time.
    Stages(Arc<Stages>),
    /// Independent arrivals at such a rate.
    Poisson(Arc<Poisson>),
    /// One part of another plan, which several processes share.
    Part(Arc<PartOfPlan>),
}

/// Those pieces of a plan that are one process's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOfPlan {
    whole: Pace,
    part: Stripe,
}

/// `size` pieces at once, every `every_ns` nanoseconds; the first at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    size: NonZeroU64,
    every_ns: NonZeroU64,
}

impl Buckets {
    /// Buckets of that size, one each `every`; `None` if either is zero.
    #[must_use]
    pub fn new(size: u64, every: Duration) -> Option<Self> {
        Some(Self {
            size: NonZeroU64::new(size)?,
            every_ns: NonZeroU64::new(u64::try_from(every.as_nanos()).ok()?)?,
        })
    }
}

impl Pace {
    /// The part of this plan: all parts together are the plan, piece by piece.
    #[must_use]
    pub fn part(self, part: Stripe) -> Self {
        if part == Stripe::WHOLE {
            return self;
        }
        Self::Part(Arc::new(PartOfPlan { whole: self, part }))
    }

    /// Intended time of piece `index`, in nanoseconds from the start. Never falls with the index;
    /// `u64::MAX` for what never comes.
    #[must_use]
    pub fn offset_ns(&self, index: u64) -> u64 {
        self.offset_with(index, &mut None)
    }

    /// How many pieces have an intended time below `elapsed_ns`: the smallest index whose offset
    /// is not below it.
    #[must_use]
    pub fn before(&self, elapsed_ns: u64) -> u64 {
        match self {
            Self::Constant(rate) => rate.before(elapsed_ns),
            Self::Buckets(buckets) => {
                let filled = elapsed_ns.div_ceil(buckets.every_ns.get());
                filled.saturating_mul(buckets.size.get())
            }
            Self::Stages(stages) => {
                let pieces = stages.grains_by(elapsed_ns).div_ceil(stages.grains());
                u64::try_from(pieces).unwrap_or(u64::MAX)
            }
            Self::Poisson(poisson) => poisson.before(elapsed_ns),
            Self::Part(of) => of.part.share(of.whole.before(elapsed_ns)),
        }
    }

    /// The mean rate in a part of the run, in pieces a second; a constant one's is exact.
    #[must_use]
    pub fn mean_per_second(&self, part: Range<Duration>) -> f64 {
        if let Self::Constant(rate) = self {
            return rate.as_per_second();
        }
        if let Self::Part(of) = self {
            return of.whole.mean_per_second(part) / float(of.part.place().1);
        }
        let ns = |at: Duration| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let pieces = self.before(ns(part.end)) - self.before(ns(part.start));
        float(pieces) / part.end.saturating_sub(part.start).as_secs_f64().max(1e-9)
    }

    /// A walk along the plan: cheap where one index follows the other.
    #[must_use]
    pub fn walk(&self) -> Walk {
        Walk {
            pace: self.clone(),
            leaf: None,
        }
    }

    #[inline]
    fn offset_with(&self, index: u64, leaf: &mut Option<Leaf>) -> u64 {
        match self {
            Self::Constant(rate) => rate.offset_ns(index),
            Self::Buckets(buckets) => {
                let bucket = index / buckets.size;
                bucket.saturating_mul(buckets.every_ns.get())
            }
            Self::Stages(stages) => stages.time_of(u128::from(index) * stages.grains()),
            Self::Poisson(poisson) => poisson.offset_ns(index, leaf),
            Self::Part(of) => of.whole.offset_with(of.part.global(index), leaf),
        }
    }
}

/// A pace with what was found last: of Poisson arrivals a leaf of 256 pieces.
#[derive(Clone, Debug)]
pub struct Walk {
    pace: Pace,
    leaf: Option<Leaf>,
}

impl Walk {
    /// As [`Pace::offset_ns`].
    #[inline]
    pub fn offset_ns(&mut self, index: u64) -> u64 {
        self.pace.offset_with(index, &mut self.leaf)
    }
}

impl From<Stages> for Pace {
    fn from(stages: Stages) -> Self {
        Self::Stages(Arc::new(stages))
    }
}

impl From<Poisson> for Pace {
    fn from(poisson: Poisson) -> Self {
        Self::Poisson(Arc::new(poisson))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "constant {rate}"),
            Self::Buckets(Buckets { size, every_ns }) => {
                let every = Duration::from_nanos(every_ns.get());
                write!(
                    f,
                    "buckets of {size} every {} ms",
                    every.as_secs_f64() * 1e3
                )
            }
            Self::Stages(stages) => write!(f, "stages {stages}"),
            Self::Poisson(poisson) => write!(f, "Poisson {}", poisson.curve()),
            Self::Part(of) => of.whole.fmt(f),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for figures that people read")]
fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
