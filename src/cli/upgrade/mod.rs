//! A new program for a server that runs: `ringstorm upgrade` and SIGUSR2. The new one takes the
//! listening sockets over, gets ready, and serves; only then the one before stops to accept.

mod asked;
mod giver;
mod notify;
mod starter;
mod taker;
mod talk;
mod upgrader;

pub(super) use asked::{UpgradeFlags, run};
pub(super) use giver::{Giver, Lendable};
pub(super) use notify::tell as notify;
pub(super) use starter::{UpgradeEnd, is_under_way, own_binary, say_failed};
pub(super) use taker::{Readiness, Taker};
pub(super) use upgrader::{UpgradeRequest, Upgrader, Watched, answer_for_server, server_name};
