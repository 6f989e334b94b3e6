//! What a load run measures: counts, latencies and failures, and their sums over cores.

pub mod deliveries;
pub(super) mod due;
pub mod failure;
pub mod fan_out;
pub mod latency;
pub mod outcome;
pub mod pings;
pub mod progress;
pub(super) mod recorder;
pub(super) mod recovery;
pub(super) mod returns;
pub(super) mod send_times;
pub(super) mod stamp;
pub(super) mod usage;
