//! Who is let into the channels of `serve`: `--dev`, keys of tokens, the key of the API.

use super::Failure;
use crate::app::realtime::RealtimePlan;
use crate::app::tokens::{TokenKeyError, TokenKeys, WallClock};
use crate::engine;
use clap::Args;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Flags of channels.
#[derive(Args, Debug)]
pub(super) struct ChannelFlags {
    /// Channels for first tries, without any configuration: whoever reaches the server may
    /// subscribe to, publish in and look into every channel; the API key is "dev". On loopback
    /// only.
    #[arg(long)]
    pub(super) dev: bool,
    /// The same on any address.
    #[arg(long, conflicts_with = "dev")]
    pub(super) dev_for_everyone: bool,
    /// Channels for clients with tokens (JWT) signed with this secret: env:NAME of the environment,
    /// or file:PATH.
    #[arg(long, value_name = "WHERE")]
    token_hmac_secret: Option<String>,
    /// The same for tokens whose signature this public key verifies (PEM: RSA, ECDSA, Ed25519);
    /// may be given several times.
    #[arg(long, value_name = "FILE")]
    token_key: Vec<PathBuf>,
    /// The same for a JWK set.
    #[arg(long, value_name = "FILE")]
    token_jwks: Option<PathBuf>,
    /// Fixed tokens: a JSON object with the claims of each.
    #[arg(long, value_name = "FILE")]
    token_list: Option<PathBuf>,
    /// What callers of the API show: env:NAME of the environment, or file:PATH. Without it nobody
    /// may call [default with --dev: dev].
    #[arg(long, value_name = "WHERE")]
    api_key: Option<String>,
}

impl ChannelFlags {
    /// The first of these flags that was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        let asked = [
            ("--dev", self.dev || self.dev_for_everyone),
            ("--token-hmac-secret", self.token_hmac_secret.is_some()),
            ("--token-key", !self.token_key.is_empty()),
            ("--token-jwks", self.token_jwks.is_some()),
            ("--token-list", self.token_list.is_some()),
            ("--api-key", self.api_key.is_some()),
        ];
        let mut given = asked.into_iter().filter(|(_, asked)| *asked);
        given.next().map(|(flag, _)| flag)
    }

    /// Channels, if they are asked for.
    pub(super) fn plan(
        &self,
        listen: &[SocketAddr],
        secret: [u8; 32],
    ) -> Result<Option<RealtimePlan>, Failure> {
        if self.asked().is_none() {
            return Ok(None);
        }
        if self.dev
            && let Some(open) = listen.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(Failure::Usage(format!(
                "--dev: {open} is not loopback, and whoever reaches it could do anything with \
                 every channel; try: --listen 127.0.0.1:9000, or --dev-for-everyone if that is \
                 meant"
            )));
        }
        let mut plan = match self.dev || self.dev_for_everyone {
            true => RealtimePlan::dev(secret),
            false => RealtimePlan::with_tokens(secret),
        };
        plan.tokens = Arc::new(self.keys()?);
        plan.wall = WallClock {
            unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            at: engine::now(),
        };
        if let Some(typed) = &self.api_key {
            let key = secret_at("--api-key", typed)?;
            if key.is_empty() {
                return Err(Failure::Usage(
                    "--api-key: what is there is empty".to_owned(),
                ));
            }
            plan.api_key = Some(key.into());
        }
        Ok(Some(plan))
    }

    fn keys(&self) -> Result<TokenKeys, Failure> {
        let mut keys = TokenKeys::default();
        if let Some(typed) = &self.token_hmac_secret {
            let secret = secret_at("--token-hmac-secret", typed)?;
            let added = keys.add_secret(secret.as_bytes());
            added.map_err(|wrong| refused("--token-hmac-secret", typed, wrong))?;
        }
        for path in &self.token_key {
            add("--token-key", path, |bytes| keys.add_pem(bytes))?;
        }
        if let Some(path) = &self.token_jwks {
            add("--token-jwks", path, |bytes| keys.add_jwks(bytes))?;
        }
        if let Some(path) = &self.token_list {
            add("--token-list", path, |bytes| keys.add_fixed(bytes))?;
        }
        Ok(keys)
    }
}

fn add(
    flag: &str,
    path: &Path,
    add: impl FnOnce(&[u8]) -> Result<(), TokenKeyError>,
) -> Result<(), Failure> {
    let bytes = fs::read(path);
    let bytes = bytes.map_err(|it| Failure::Usage(format!("{flag} {}: {it}", path.display())))?;
    add(&bytes).map_err(|wrong| refused(flag, &path.display().to_string(), wrong))
}

fn refused(flag: &str, what: &str, wrong: TokenKeyError) -> Failure {
    Failure::Usage(format!("{flag} {what}: {wrong}"))
}

/// What is at `env:NAME` or `file:PATH`: everyone on the host can read a command line.
fn secret_at(flag: &str, typed: &str) -> Result<String, Failure> {
    let usage = |text: String| Failure::Usage(format!("{flag}: {text}"));
    let read = match typed.split_once(':') {
        Some(("env", name)) => env::var(name)
            .map_err(|_| usage(format!("the environment has no text called {name}")))?,
        Some(("file", path)) => {
            fs::read_to_string(path).map_err(|it| usage(format!("{path}: {it}")))?
        }
        _ => {
            let text = "a command line is no place for a secret; try: env:NAME or file:PATH";
            return Err(usage(text.to_owned()));
        }
    };
    Ok(read.trim_end_matches(['\r', '\n']).to_owned())
}
