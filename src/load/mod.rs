//! The load client: one core's share of a run, as a shard.
//!
//! Three independent values make a run: pace (when), scenario (what one client does) and
//! transport (what carries it). There is one loop for all of them.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod config;
mod connecting;
mod ending;
pub mod failure;
mod fleet;
mod flight;
pub mod outcome;
pub mod pace;
mod payload;
pub mod progress;
mod rally;
mod receiving;
mod recorder;
mod run;
mod sending;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, Loop, PayloadKind, Scenario, Transport};
pub use outcome::Outcome;
pub use pace::{Pace, Rate, Stripe};
pub use progress::{Observer, Progress};
pub use rally::Signal;
pub use run::Load;
