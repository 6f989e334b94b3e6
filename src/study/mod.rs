//! What measurements say: paired comparisons, the search for a capacity, scalability, memory by
//! connection, and what stood in the way. Numbers in, numbers and words out.
//!
//! docs/measurement.md has the definitions; each file names its source.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod attribution;
mod order;
pub mod paired;
pub mod resample;
pub mod search;
mod sequence;
mod signed_rank;
pub mod trend;
pub mod usl;

/// A range that a quantity lies in, with 95 % confidence where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceRange {
    /// Its lower end; minus infinity if nothing is known.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl ConfidenceRange {
    /// Nothing is known.
    pub const OPEN: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// Whether a value lies in it.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}
