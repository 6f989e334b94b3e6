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
pub mod failure;
mod flight;
pub mod outcome;
pub mod pace;
mod payload;
