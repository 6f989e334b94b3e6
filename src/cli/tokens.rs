//! Who is let into the channels of `serve`: `--dev`, keys of tokens, the key of the API.

use super::{Failure, values};
use crate::app::backend::HookPlan;
use crate::app::dialect::cable::StreamKey;
use crate::app::hub::options::{ChannelOptions, Namespaces};
use crate::app::realtime::RealtimePlan;
use crate::app::rules::{MiddlewareSource, RuleFile};
use crate::app::sessions::SessionPlan;
use crate::app::tokens::{TokenKeyError, TokenKeys};
use crate::engine;
use crate::limits;
use crate::time::WallClock;
use clap::Args;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    token_key: Vec<PathBuf>,
    /// The same for a JWK set.
    #[arg(long, value_name = "FILE")]
    token_jwks: Option<PathBuf>,
    /// Fixed tokens: a JSON object with the claims of each.
    #[arg(long, value_name = "FILE")]
    token_list: Option<PathBuf>,
    /// Whom signed tokens have to be for (`aud`); may be given several times.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    token_audience: Vec<String>,
    /// Who has to have signed them (`iss`); may be given several times.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    token_issuer: Vec<String>,
    /// Rules: who may connect, subscribe, publish, call and be told, and how often; and what
    /// channels are like (TOML).
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// What a configuration file says of rules and channels.
    #[arg(skip)]
    pub(super) file_rules: Option<RuleFile>,
    /// Sessions of browsers, with a cookie of that name: their tabs share one, over cores and
    /// protocols.
    #[arg(long, value_name = "NAME")]
    app_name: Option<String>,
    /// Time between the last socket of a session and its end [default: 30s].
    #[arg(long, value_name = "TIME", value_parser = values::duration, requires = "app_name")]
    session_grace: Option<Duration>,
    /// A client of Socket.IO may be away for so long, and finds its rooms and what it missed when
    /// it comes back (connection state recovery); events have one argument more then.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    recovery_time: Option<Duration>,
    /// What outlives the process is in that file: sessions, and the histories of the channels whose
    /// table says `store = true`; with --dev those of all. It is written behind, within 50 ms.
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
    /// What callers of the API show: env:NAME of the environment, or file:PATH. Without it nobody
    /// may call [default with --dev: dev].
    #[arg(long, value_name = "WHERE")]
    api_key: Option<String>,
    /// What the names of ActionCable's streams are signed with (Rails' turbo_stream_from,
    /// AnyCable's signed streams): env:NAME of the environment, or file:PATH [default with --dev:
    /// dev].
    #[arg(long, value_name = "WHERE")]
    stream_secret: Option<String>,
}

/// Where the channels are.
pub(super) struct ChannelSite<'s> {
    /// The addresses.
    pub(super) listen: &'s [SocketAddr],
    /// The origins whose pages are let in.
    pub(super) origins: &'s [String],
    /// All connections are over TLS.
    pub(super) is_secure: bool,
    /// What an application behind the server is asked.
    pub(super) backend: Option<&'s HookPlan>,
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
            ("--token-audience", !self.token_audience.is_empty()),
            ("--token-issuer", !self.token_issuer.is_empty()),
            ("--rules", self.has_rules()),
            ("--app-name", self.app_name.is_some()),
            ("--recovery-time", self.recovery_time.is_some()),
            ("--store", self.store.is_some()),
            ("--api-key", self.api_key.is_some()),
            ("--stream-secret", self.stream_secret.is_some()),
        ];
        let mut given = asked.into_iter().filter(|(_, asked)| *asked);
        given.next().map(|(flag, _)| flag)
    }

    /// Channels, if they are asked for.
    pub(super) fn plan(
        &self,
        site: &ChannelSite<'_>,
        secret: [u8; 32],
    ) -> Result<Option<RealtimePlan>, Failure> {
        if self.asked().is_none() && site.backend.is_none() {
            return Ok(None);
        }
        if self.dev
            && let Some(open) = site
                .listen
                .iter()
                .find(|address| !address.ip().is_loopback())
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
        if self.store.is_some() && (self.dev || self.dev_for_everyone) {
            plan.namespaces = Arc::new(Namespaces::all(ChannelOptions::DEV.stored()));
        }
        plan.sessions = self.sessions(site)?;
        plan.recovery_time = self.recovery_time;
        plan.backend = site.backend.cloned();
        let file = self.rules.as_ref().map(|path| rules(path)).transpose()?;
        if let Some(file) = file.or_else(|| self.file_rules.clone()) {
            plan.namespaces = Arc::new(plan.namespaces.changed(&file.channels));
            if !file.rules.is_empty() {
                plan.middleware = MiddlewareSource::rules(file.rules);
            }
        }
        self.check_store(&plan)?;
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
        if let Some(typed) = &self.stream_secret {
            let secret = secret_at("--stream-secret", typed)?;
            if secret.len() < limits::TOKEN_SECRET_BYTES {
                return Err(Failure::Usage(
                    "--stream-secret: a secret has at least 16 bytes; try: openssl rand -hex 32"
                        .to_owned(),
                ));
            }
            plan.stream_key = StreamKey::new(secret.as_bytes());
        }
        Ok(Some(plan))
    }

    /// Nothing is kept that was to be, or asked for in vain.
    fn check_store(&self, plan: &RealtimePlan) -> Result<(), Failure> {
        let asks = plan.namespaces.stores_any();
        let why = match self.store {
            Some(_) if !asks && plan.sessions.is_none() => {
                "--store: nothing asks to outlive the process; try: store = true in a table \
                 [[channel]] of the rules, or --app-name NAME for sessions"
            }
            None if asks => {
                "store = true in a table [[channel]]: there is no store; try: --store FILE"
            }
            Some(_) | None => return Ok(()),
        };
        Err(Failure::Usage(why.to_owned()))
    }

    const fn has_rules(&self) -> bool {
        self.rules.is_some() || self.file_rules.is_some()
    }

    /// Sessions, if they are asked for.
    fn sessions(&self, site: &ChannelSite<'_>) -> Result<Option<SessionPlan>, Failure> {
        let Some(name) = &self.app_name else {
            return Ok(None);
        };
        if !SessionPlan::is_name(name) {
            return Err(Failure::Usage(format!(
                "--app-name {name}: a cookie is called by 1 to 64 letters, digits, - and _; try: \
                 --app-name shop"
            )));
        }
        let plan = SessionPlan::new(name);
        Ok(Some(SessionPlan {
            is_secure: site.is_secure,
            grace: self.session_grace.unwrap_or(plan.grace),
            origins: site.origins.to_vec(),
            ..plan
        }))
    }

    fn keys(&self) -> Result<TokenKeys, Failure> {
        let mut keys = TokenKeys::default();
        if self.has_rules() {
            keys.keep_facts();
        }
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
        let expected = [
            ("--token-audience", &self.token_audience),
            ("--token-issuer", &self.token_issuer),
        ];
        let is_any = self.token_hmac_secret.is_some() || self.token_jwks.is_some();
        if let Some((flag, _)) = expected.iter().find(|(_, given)| !given.is_empty())
            && !is_any
            && self.token_key.is_empty()
        {
            let text = "there is no key of signed tokens; add --token-key FILE, or leave it out";
            return Err(Failure::Usage(format!("{flag}: {text}")));
        }
        keys.expect(&self.token_audience, &self.token_issuer);
        Ok(keys)
    }
}

/// Reads a file of rules.
fn rules(path: &Path) -> Result<RuleFile, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path);
    let text = text.map_err(|it| Failure::Usage(format!("--rules {shown}: {it}")))?;
    RuleFile::parse(&text).map_err(|it| Failure::Usage(format!("--rules: {shown}:{it}")))
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
pub(super) fn secret_at(flag: &str, typed: &str) -> Result<String, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        channels: ChannelFlags,
    }

    /// What is asked for and what comes of it, on loopback.
    fn plan(line: &str) -> Result<bool, String> {
        let argv = std::iter::once("serve").chain(line.split_whitespace());
        let typed = Typed::try_parse_from(argv).map_err(|error| error.to_string())?;
        let site = ChannelSite {
            listen: &[SocketAddr::from(([127, 0, 0, 1], 9000))],
            origins: &[],
            is_secure: false,
            backend: None,
        };
        match typed.channels.plan(&site, [1; 32]) {
            Ok(plan) => Ok(plan.is_some()),
            Err(Failure::Usage(why) | Failure::Run(why)) => Err(why),
            Err(_) => panic!("{line}"),
        }
    }

    #[test]
    fn a_flag_of_channels_is_never_ignored() {
        assert_eq!(plan(""), Ok(false));
        for asked in [
            "--dev",
            "--dev-for-everyone",
            "--app-name shop",
            "--dev --store x",
            "--app-name shop --store x",
        ] {
            assert_eq!(plan(asked), Ok(true), "{asked}");
        }
        for (typed, why) in [
            ("--token-audience me", "there is no key of signed tokens"),
            ("--token-issuer you", "there is no key of signed tokens"),
            (
                "--dev --token-issuer you",
                "there is no key of signed tokens",
            ),
            ("--session-grace 5s", "--app-name"),
            ("--api-key dev", "no place for a secret"),
            ("--store x", "nothing asks to outlive the process"),
            ("--rules /nowhere/rules.toml", "No such file"),
            ("--token-key /nowhere/key.pem", "No such file"),
        ] {
            let said = plan(typed).expect_err(typed);
            assert!(said.contains(why), "{typed}: {said}");
        }
    }
}
