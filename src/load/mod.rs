//! The load client: one core's share of a run, as a shard.
//!
//! Three independent values make a run: pace (when), scenario (what one client does) and
//! transport (what carries it). There is one loop for all of them: `pacer` follows the pace,
//! `client::receiver` turns bytes into messages by transport, a client's role makes of them what
//! they are, `connector` and `retry` say who connects when. A scenario that is more than an echo,
//! a listener or an idler is a dialogue: `scenario` says what that is, `client::dialogues` leads
//! it. What is measured, and how it is summed over cores, is in `measure`.
//!
//! `shard` has them all: it tells each what happens, and concludes once at the end of each call
//! from what clients have to say. docs/load-parts.md has a table of the parts, and walks one
//! message through them.
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
mod attempt;
mod barrier;
mod client;
pub mod config;
mod config_error;
mod connecting;
mod connector;
mod decimal;
pub mod measure;
mod nonce;
mod outage;
pub mod pace;
mod pacer;
mod phase;
pub mod policy;
mod redirect;
mod retry;
mod run;
mod running;
pub mod scenario;
mod seed;
mod shard;
mod tap;
mod target;
#[cfg(test)]
mod tests;
mod timers;
mod transport;
mod values;
mod wording;
mod work;

pub use barrier::CoreMessage;
pub use config::Config;
pub use config_error::ConfigError;
pub use measure::outcome::Outcome;
pub use measure::pings::Pings;
pub use measure::progress::{Observer, Progress};
pub use measure::recovery::Recovery;
pub use measure::{deliveries, failure, fan_out, latency, outcome, progress};
pub use nonce::Nonce;
pub use pace::{Buckets, Pace, Poisson, Rate, Stage, Stages, StagesError, Stripe, Walk};
pub use policy::{Backoff, PlannedOutage, Refused, RetryPolicy, Session, Think};
pub use redirect::{Follow, Site};
pub use shard::Load;
pub use tap::{Passed, TapObserver, Tapped};
pub use target::{Page, Target};
pub use transport::{PayloadKind, Transport};
pub use values::{Values, ValuesError};
pub use work::{Loop, Scenario};
