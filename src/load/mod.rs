//! The load client: one core's share of a run, as a shard.
//!
//! Three independent values make a run: pace (when), scenario (what one client does) and
//! transport (what carries it). There is one loop for all of them: `sending` follows the pace,
//! `receiving` turns bytes into messages by transport and messages into measurements by scenario,
//! `connecting` and `ending` are the same for all. A scenario that is more than an echo, a
//! listener or an idler is a dialogue: `scenario` says what that is, `conversing` leads it.
//!
//! # The phases of a run
//!
//! | phase | ends | what counts |
//! |---|---|---|
//! | connecting | when every connect is up or failed, at the latest `connect_phase` after the last intended one | connect latencies, failures |
//! | waiting | when all cores are ready: the first core gives a common start | |
//! | running | `warm_up` + `duration` after the start | messages meant for the last `duration` of it |
//! | draining | when every reply has come, at the latest after `grace` | replies to those messages |
//! | closing | when every connection is closed; after `close_time` without one, or ten times that | |
//!
//! So a duration is measured time, and nothing a server does makes a run longer than
//! `connect_phase + warm_up + duration + grace + 10 * close_time`.
//!
//! # What is sent when
//!
//! Messages and connects have one plan for the whole run: piece `i` of it is due at the pace's
//! time `i`, on core `i % cores`, on the connection of that core whose turn it is. A piece that
//! cannot be sent then is dropped and counted by cause: `planned = sent + dropped`, always. A
//! closed loop has no plan: a message is sent when a reply makes room, and its latency, called
//! service and never response, hides what a slow server kept from being sent (coordinated
//! omission).
//!
//! Every echo is compared byte by byte with what is expected next on its connection. A message
//! that is none of those in flight is `wrong` and changes nothing else; one that is a later one
//! in flight means that those before it are lost.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod addresses;
pub mod again;
mod alarms;
pub mod config;
mod connecting;
mod conversing;
mod due;
mod ending;
pub mod failure;
pub mod fan_out;
mod fleet;
mod flight;
mod heads;
pub mod latency;
mod nonce;
pub mod outcome;
pub mod pace;
mod payload;
mod pinging;
mod posting;
pub mod progress;
mod rally;
mod receiving;
mod recorder;
mod returning;
mod run;
pub mod scenario;
mod sending;
mod sessions;
mod storm;
#[cfg(test)]
mod tests;
mod values;

pub use again::{Again, Backoff, Refused};
pub use config::{
    Config, ConfigError, Loop, Page, PayloadKind, Scenario, Target, Think, Transport,
};
pub use nonce::Nonce;
pub use outcome::Outcome;
pub use pace::{Buckets, Pace, Poisson, Rate, Stage, Stages, StagesError, Stripe, Walk};
pub use pinging::Pings;
pub use progress::{Observer, Progress};
pub use rally::Signal;
pub use run::Load;
pub use sessions::Session;
pub use storm::{Recovery, Storm};
pub use values::{Values, ValuesError};
