//! SIGHUP: the configuration is read anew. What can be another while the server runs is; the rest
//! is named. A configuration that will not do changes nothing.

use super::Config;
use crate::app::realtime::{RealtimeNews, RealtimePlan};
use crate::app::rules::{MiddlewareSource, RuleSet};
use crate::cli::flags::Command;
use crate::cli::settings;
use crate::cli::tls::{self, TlsFiles};
use crate::live::Live;
use crate::server::ServerNews;
use crate::server::log::LogQueue;
use crate::tls::Role;
use rustls::ServerConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Keys whose values can change while the server runs.
pub(in crate::cli) const RELOADED: [&str; 29] = [
    "api-key",
    "byte-rate",
    "connect-rate",
    "count-loopback",
    "first-message-timeout",
    "header-timeout",
    "log-level",
    "max-connections-per-address",
    "max-connections-per-token",
    "max-lifetime",
    "message-rate",
    "origin",
    "public",
    "public-max-age",
    "rules",
    "stream-secret",
    "tls-cert",
    "tls-client-ca",
    "tls-key",
    "tls-key-password",
    "tls-ocsp",
    "token-audience",
    "token-hmac-secret",
    "token-issuer",
    "token-jwks",
    "token-key",
    "token-list",
    "token-message-rate",
    "trusted-proxy",
];

/// The keys of a configuration, and their values as they would be typed.
type KeyValues = BTreeMap<String, Vec<OsString>>;

/// What a running server is told anew.
pub(super) struct Reloader {
    descriptor_limit: u64,
    /// What it goes by.
    values: KeyValues,
    has_channels: bool,
    has_rules: bool,
    /// What channels are like, as it is shown.
    channels: String,
    /// It is known where connections come from.
    has_peers: bool,
    log: LogQueue,
    server: Live<ServerNews>,
    realtime: Live<RealtimeNews>,
    tls: Live<ServerConfig>,
    files: Option<TlsFiles>,
    /// How the files were when they were looked at last.
    stamps: Vec<FileStamp>,
    /// What authorities said that does not hold any more, of which that has been said.
    expired: BTreeSet<PathBuf>,
}

/// What changes with a file: when it was written, its length.
type FileStamp = Option<(SystemTime, u64)>;

impl Reloader {
    /// For a server of that configuration.
    pub(super) fn new(config: &Config) -> Self {
        let realtime = config.server.realtime.as_ref();
        let mut reloader = Self {
            descriptor_limit: config.descriptor_limit,
            values: settings::settle(std::env::args_os().collect())
                .map(|settled| settled.values())
                .unwrap_or_default(),
            has_channels: realtime.is_some(),
            has_rules: realtime.is_some_and(|plan| plan.middleware.is_some()),
            channels: realtime.map(shown_channels).unwrap_or_default(),
            has_peers: config.knows_peers(),
            log: config.server.log.clone(),
            server: config.server.news.clone(),
            realtime: realtime.map(|plan| plan.news.clone()).unwrap_or_default(),
            tls: config.tls_news.clone(),
            files: config.tls_files.clone(),
            stamps: Vec::new(),
            expired: BTreeSet::new(),
        };
        reloader.has_other_files();
        reloader
    }

    /// Reads all anew; what is to be said of it.
    pub(super) fn reload(&mut self) -> String {
        match self.read() {
            Ok(text) => format!("SIGHUP: read anew, the server goes on{text}"),
            Err(why) => {
                let why = why.trim_start_matches("error: ");
                format!("SIGHUP: nothing is changed, the server goes on as before: {why}")
            }
        }
    }

    /// Reads the files of TLS anew if one of them is another; what is to be said of it.
    pub(super) fn look_at_files(&mut self) -> Option<String> {
        if !self.has_other_files() {
            return None;
        }
        let files = self.files.as_ref()?;
        Some(match tls::server(files) {
            Ok(Role::Server(config)) => {
                self.tls.say_shared(config);
                "certificates: read anew".to_owned()
            }
            Ok(Role::Client { .. }) => return None,
            Err(failure) => format!("certificates: those before stay: {failure}"),
        })
    }

    /// What is to be said, once, of what authorities said that does not hold any more.
    pub(super) fn look_at_staples(&mut self) -> Vec<String> {
        let files = self.files.iter();
        let expired = files.flat_map(|it| it.expired(SystemTime::now()));
        let expired: BTreeSet<PathBuf> = expired.map(Path::to_path_buf).collect();
        let known = std::mem::replace(&mut self.expired, expired);
        let news = self.expired.difference(&known).map(|path| {
            format!(
                "--tls-ocsp: {}: it has expired and is sent to nobody; try: openssl ocsp \
                 -respout FILE anew, which is read when it is there",
                path.display()
            )
        });
        news.collect()
    }

    /// Whether a file of TLS is another than at the last look.
    fn has_other_files(&mut self) -> bool {
        let files = self.files.iter().flat_map(TlsFiles::paths);
        let stamps: Vec<FileStamp> = files.map(stamp).collect();
        let is_other = stamps != self.stamps;
        self.stamps = stamps;
        is_other
    }

    fn read(&mut self) -> Result<String, String> {
        let settled = settings::settle(std::env::args_os().collect());
        let settled = settled.map_err(|error| error.to_string())?;
        let values = settled.values();
        let flags = settled.flags().map_err(|error| error.to_string())?;
        let Some(Command::Serve(flags)) = flags.command else {
            return Err("this is no server".to_owned());
        };
        let new = Config::new(*flags, self.descriptor_limit).map_err(|it| it.to_string())?;
        let mut fixed = self.take(new);
        let mut changed = Vec::new();
        for (key, value) in values {
            if self.values.get(&key) == Some(&value) {
                continue;
            }
            if RELOADED.contains(&&*key) {
                changed.push(key.clone());
                self.values.insert(key, value);
            } else {
                fixed.push(key);
            }
        }
        let list = |what: &str, keys: &[String]| match keys {
            [] => String::new(),
            keys => format!("; {what}: {}", keys.join(", ")),
        };
        Ok(list("changed", &changed) + &list("a restart is needed for", &fixed))
    }

    /// Tells the server; what it cannot be told.
    fn take(&mut self, new: Config) -> Vec<String> {
        let mut fixed = Vec::new();
        let has_tls = self.files.is_some();
        if has_tls != new.tls_files.is_some() {
            fixed.push("TLS on or off".to_owned());
        } else if let Some(Role::Server(config)) = new.tls {
            self.tls.say_shared(config);
            self.files = new.tls_files;
            self.has_other_files();
        }
        if self.has_channels != new.server.realtime.is_some() {
            fixed.push("channels on or off".to_owned());
        } else if let Some(plan) = new.server.realtime {
            if shown_channels(&plan) != self.channels {
                fixed.push("what channels are like".to_owned());
            }
            let middleware = match (self.has_rules, plan.middleware.is_some()) {
                (true, false) => MiddlewareSource::rules(RuleSet::default()),
                (false, true) => {
                    fixed.push("rules where there were none".to_owned());
                    MiddlewareSource::default()
                }
                (true, true) | (false, false) => plan.middleware,
            };
            self.realtime.say(RealtimeNews {
                middleware,
                tokens: plan.tokens,
                api_key: plan.api_key,
                stream_key: plan.stream_key,
                origins: plan.sessions.map(|it| it.origins).unwrap_or_default(),
            });
        }
        self.log.set_level(new.server.log.level());
        let mut limits = new.server.limits;
        if !self.has_peers && limits.per_address.take().is_some() {
            fixed.push("max-connections-per-address where there was none".to_owned());
        }
        self.server.say(ServerNews {
            origins: new.server.origins,
            public: new.server.public,
            limits,
            head_time: new.server.head_time,
        });
        fixed
    }
}

/// It, whatever became of who held it before.
pub(super) fn locked(reloader: &Mutex<Reloader>) -> MutexGuard<'_, Reloader> {
    reloader.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown_channels(plan: &RealtimePlan) -> String {
    format!("{:?}", plan.namespaces)
}

fn stamp(path: &Path) -> FileStamp {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config_key::ConfigKey;
    use crate::cli::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn what_is_read_anew_are_keys() {
        let all = Flags::command();
        let serve = all.find_subcommand("serve").expect("a command");
        let names: Vec<String> = serve
            .get_arguments()
            .filter_map(ConfigKey::of)
            .map(ConfigKey::name)
            .collect();
        for key in RELOADED {
            assert!(names.iter().any(|name| name == key), "{key}");
        }
    }
}
