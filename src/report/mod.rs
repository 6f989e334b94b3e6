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

pub mod baseline;
pub mod capacity;
mod change;
mod comparison;
pub mod csv;
pub mod deliveries;
mod facts;
pub mod fan_out;
mod figures;
pub mod generator;
pub mod headroom;
pub mod hgrm;

pub mod hlog;
pub mod html;
mod judgement;
pub mod judging;
pub mod latency;
pub mod ledger;
mod losses;
pub mod merging;
mod met;
mod metric;
pub mod network;
pub mod packed;
mod percentile;
pub mod prometheus;
pub mod record;
pub mod remedy;
pub mod returns;
pub mod rounds;
mod run;
pub mod series;
pub mod study;
pub mod surroundings;
pub mod text;
pub mod threshold;
mod unit;
pub mod verdict;
pub mod versus;

pub use capacity::{CAPACITY_SCHEMA, CapacityMemory, CapacityRecord, CapacityStep, Scalability};
pub use change::BaselineChange;
pub use facts::{Facts, RunPart};
pub use generator::ServerUse;
pub use headroom::{Ceiling, Headroom, SEARCH_TIME, Trial};
pub use judgement::{Judgement, Verdict};
pub use judging::{Moment, judged};
pub use latency::LatencyRecord;
pub use ledger::{Interval, Ledger, Share};
pub use met::Met;
pub use metric::Metrics;
pub use network::Network;
pub use record::Record;
pub use series::{Second, Series};
pub use surroundings::HostSamples;
pub use threshold::{Threshold, ThresholdError};
pub use verdict::{INCONCLUSIVE_CODE, exit_code};
pub use versus::{VERSUS_SCHEMA, Versus, VersusContrast, VersusRun};
