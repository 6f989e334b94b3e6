//! The load client in a small simulated world: what it sends, when, and what it measures.

#![expect(
    clippy::cast_possible_truncation,
    reason = "figures of these tests are small"
)]

mod accuracy;
mod dialogues;
mod endings;
mod failures;
mod heads;
mod overloaded;
mod paces;
mod peers;
mod pings;
mod plan;
mod posts;
mod restarts;
mod returning;
mod scripts;
mod sessions;
mod world;

use super::{Config, Loop, Pace, Rate};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// An echo run over WebSocket in a closed loop: 4 connections, 1 s.
fn config() -> Config {
    Config {
        connections: 4,
        duration: Duration::from_secs(1),
        ..Config::new(
            "127.0.0.1:9000".parse().unwrap(),
            "localhost".into(),
            "/echo".into(),
        )
    }
}

/// Messages at that rate a second.
fn open(rate: f64) -> Loop {
    Loop::Open {
        pace: Pace::Constant(Rate::per_second(rate).unwrap()),
        burst: 1,
    }
}
