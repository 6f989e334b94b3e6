//! Peers that are told what to do, connect by connect.

use super::world::{Act, Key, Peer};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// A peer in a few words: what happens after a connect, and after the request.
pub(super) struct Script {
    pub(super) connected: Vec<(Duration, Act)>,
    pub(super) answers: Vec<(Duration, Act)>,
    pub(super) heard: Vec<u8>,
    pub(super) requests: Vec<String>,
    asked: BTreeMap<Key, ()>,
}

impl Script {
    pub(super) fn new(connected: Vec<(Duration, Act)>, answers: Vec<(Duration, Act)>) -> Self {
        Self {
            connected,
            answers,
            heard: Vec::new(),
            requests: Vec::new(),
            asked: BTreeMap::new(),
        }
    }

    /// Opens at once, and answers so.
    pub(super) fn answering(answers: Vec<(Duration, Act)>) -> Self {
        Self::new(vec![(Duration::from_micros(10), Act::Open)], answers)
    }
}

impl Peer for Script {
    fn connected(&mut self, _key: Key, now: Instant) -> Vec<(Instant, Act)> {
        self.connected
            .iter()
            .map(|(after, act)| (now + *after, act.clone()))
            .collect()
    }

    fn received(&mut self, key: Key, bytes: &[u8], now: Instant) -> Vec<(Instant, Act)> {
        if self.asked.insert(key, ()).is_some() {
            self.heard.extend_from_slice(bytes);
            return Vec::new();
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let key_line = text
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept =
            key_line.map(|key| tungstenite::handshake::derive_accept_key(key.trim().as_bytes()));
        self.requests.push(text);
        let fill = |act: &Act| match act {
            Act::Say(bytes) if bytes.starts_with(b"HTTP") => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let accept = accept.clone().unwrap_or_default();
                Act::Say(text.replace("{accept}", &accept).into_bytes())
            }
            Act::Say(_) | Act::Open | Act::End(_) => act.clone(),
        };
        self.answers
            .iter()
            .map(|(after, act)| (now + *after, fill(act)))
            .collect()
    }
}
