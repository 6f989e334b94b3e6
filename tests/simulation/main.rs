//! Shards against shards on the simulated network, for thousands of seeds.
//!
//! A failing seed is printed; `RINGSTORM_SEED=n cargo test --test simulation NAME` reproduces it.

#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

#[path = "../tls/certificates.rs"]
mod certificates;
mod channels;
mod chat;
mod rooms;
mod secured;
mod tiny;
mod verdicts;
mod whole;

/// Whether a test runs for many seeds: what only some of them show is asserted then.
fn are_many() -> bool {
    std::env::var_os("RINGSTORM_SEED").is_none()
}
