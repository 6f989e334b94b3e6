//! The last values of one figure, for a curve.

use std::collections::VecDeque;

/// A bounded row of values, the newest last. What was not known is a gap.
#[derive(Clone, Debug)]
pub struct History {
    values: VecDeque<Option<f64>>,
    most: usize,
}

impl History {
    /// Keeps so many values, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            values: VecDeque::new(),
            most: most.max(1),
        }
    }

    /// One more value; the oldest goes when there are too many.
    pub fn push(&mut self, value: Option<f64>) {
        if self.values.len() >= self.most {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// The last `count` values, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = Option<f64>> + '_ {
        let skipped = self.values.len().saturating_sub(count);
        self.values.iter().skip(skipped).copied()
    }

    /// The largest of the last `count` values; 0 if none is known.
    #[must_use]
    pub fn largest(&self, count: usize) -> f64 {
        self.last(count).flatten().fold(0.0, f64::max)
    }
}
