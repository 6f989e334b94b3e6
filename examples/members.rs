//! Middleware of one's own: visitors look on, members speak, and nobody shouts.
//! `cargo run --example members 127.0.0.1:9001`; clients of Centrifugo connect to
//! `ws://127.0.0.1:9001/connection/websocket`, members with a token whose claim `role` is `member`.

use ringstorm::app::User;
use ringstorm::app::realtime::RealtimePlan;
use ringstorm::app::rules::{Middleware, MiddlewareSource, Ruling, Visitor};
use ringstorm::app::tokens::TokenKeys;
use ringstorm::engine::{self, EngineConfig, Listeners};
use ringstorm::server::{Config, Server};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one core asks: how often each connection has spoken.
#[derive(Default)]
pub(crate) struct Members {
    spoken: BTreeMap<User, u32>,
}

impl Middleware for Members {
    fn handshake(&mut self, _: &Visitor<'_>) -> Ruling {
        Ruling::Allow // Whoever comes may look on, without a token too.
    }

    fn subscribe(&mut self, _: &Visitor<'_>, channel: &str) -> Ruling {
        match channel.starts_with("members:") {
            true => Ruling::Pass, // A token for that channel is needed, as ever.
            false => Ruling::Allow,
        }
    }

    fn publish_in(&mut self, from: &Visitor<'_>, _: &str, data: &str) -> Ruling {
        if !from
            .claims
            .of("role")
            .iter()
            .any(|role| &**role == "member")
        {
            return Ruling::deny("members only");
        }
        let spoken = self.spoken.entry(from.connection).or_default();
        *spoken += 1;
        match data.chars().any(char::is_lowercase) || *spoken == 1 {
            true => Ruling::Allow,
            false => Ruling::deny("nobody shouts twice"),
        }
    }

    fn watches_out(&self) -> bool {
        false // Whoever has subscribed is told everything.
    }

    fn left(&mut self, connection: User) {
        self.spoken.remove(&connection);
    }
}

/// Channels that ask [`Members`], with tokens signed by that secret.
pub(crate) fn plan(signing: &[u8], secret: [u8; 32]) -> Option<RealtimePlan> {
    let mut keys = TokenKeys::default();
    keys.keep_facts();
    keys.add_secret(signing).ok()?;
    let middleware = MiddlewareSource::new(|_core| Box::new(Members::default()));
    Some(RealtimePlan {
        tokens: Arc::new(keys),
        middleware,
        ..RealtimePlan::with_tokens(secret)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("no address")?.parse()?;
    let signing = std::env::var("TOKEN_SECRET")?;
    let mut secret = [0; 32]; // Names of clients are made of it: random, in earnest.
    std::fs::File::open("/dev/urandom")
        .and_then(|mut it| std::io::Read::read_exact(&mut it, &mut secret))?;
    let mut engine = EngineConfig::new(vec![0, 0]);
    engine.listeners = Listeners::bind(&[address], 2)?;
    let mut config = Config::new("ring", engine::now());
    config.secret = secret;
    config.realtime = Some(plan(signing.as_bytes(), secret).ok_or("a secret has 16 bytes")?);
    engine::ring::run(engine, move |core| Server::new(core, config.clone()))?;
    Ok(())
}
