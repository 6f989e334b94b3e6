//! The last values of one figure, for a curve.

use std::collections::VecDeque;

/// A bounded row of values, the newest last. What was not known is a gap.
#[derive(Clone, Debug)]
pub struct History {
    values: VecDeque<Option<f64>>,
    most: usize,
    /// Values so far, those that went included.
    pushed: u64,
}

impl History {
    /// Keeps so many values, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            values: VecDeque::new(),
            most: most.max(1),
            pushed: 0,
        }
    }

    /// One more value; the oldest goes when there are too many.
    pub fn push(&mut self, value: Option<f64>) {
        if self.values.len() >= self.most {
            self.values.pop_front();
        }
        self.values.push_back(value);
        self.pushed += 1;
    }

    /// How many values are kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All values in at most `width` points, oldest first. Each point is the largest of as many
    /// neighbours as it takes, always the same ones: a curve moves on, its peaks do not flicker.
    #[must_use]
    pub fn curve(&self, width: usize) -> Vec<Option<f64>> {
        if width == 0 {
            return Vec::new();
        }
        let together = self.values.len().div_ceil(width).max(1) as u64;
        let first = self.pushed - self.values.len() as u64;
        let mut points: Vec<(u64, Option<f64>)> = Vec::new();
        for (number, value) in (first..).zip(&self.values) {
            let place = number / together;
            match points.last_mut() {
                Some((last, largest)) if *last == place => {
                    // A gap counts only where nothing is known.
                    *largest = match (*largest, *value) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        (a, b) => a.or(b),
                    };
                }
                Some(_) | None => points.push((place, *value)),
            }
        }
        // Where the oldest neighbours are cut in two, there is a point too many.
        let skipped = points.len().saturating_sub(width);
        points.into_iter().skip(skipped).map(|(_, it)| it).collect()
    }
}
