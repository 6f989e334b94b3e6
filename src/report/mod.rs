//! What a load run measured, as a [`Record`]: from it the text summary, JSON and `.hgrm` files.
//!
//! Everything printed derives from the record, so a stored record can be printed again.
//!
//! docs/record.md documents every key of its JSON, schema `ringstorm.load/1`; a test of
//! the report (`tests/load_report/keys.rs`) holds that to what is written here.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod comparison;
pub mod csv;
pub mod fan_out;
mod figures;
pub mod generator;
pub mod headroom;
pub mod hgrm;
pub mod hlog;
pub mod latency;
pub mod ledger;
mod losses;
mod metric;
pub mod network;
mod percentile;
pub mod prometheus;
pub mod record;
pub mod remedy;
pub mod returns;
mod run;
pub mod study;
pub mod surroundings;
pub mod text;
pub mod threshold;
pub mod verdict;

pub use generator::ServerUse;
pub use headroom::{Ceiling, Headroom, Trial};
pub use latency::LatencyRecord;
pub use ledger::{Interval, Ledger, Share};
pub use metric::Metrics;
pub use network::Network;
pub use record::{Facts, Record};
pub use surroundings::HostSamples;
pub use threshold::{Moment, Threshold, ThresholdError};
pub use verdict::{INCONCLUSIVE_CODE, Judgement, Verdict, exit_code};
