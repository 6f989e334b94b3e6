//! What is read of a server and of a host, as numbers: text of /proc and of `/stats` to samples,
//! two samples to rates. Nothing here reads a file or a socket: the texts are passed in.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod board;
pub mod cgroup;
pub mod exposition;
mod growth;
pub mod history;
pub mod host;
pub mod metrics;
pub mod proc;
pub mod process;
pub mod rates;
pub mod sample;
pub mod socket;
pub mod watch;

#[cfg(test)]
mod tests;

pub use board::{Board, Listener, Snapshot};
pub use cgroup::Cgroup;
pub use history::History;
pub use host::{HostRates, HostSample, Texts};
pub use process::{Process, Threads};
pub use rates::Rates;
pub use sample::Sample;
pub use socket::SocketFigures;
pub use watch::{Reading, ServerChange, ServerState, ServerWatch};
