//! What the realtime channels of a server are like, and what of that may change.

use crate::app::backend::HookPlan;
use crate::app::complaints::Complaints;
use crate::app::dialect::cable::StreamKey;
use crate::app::dialect::centrifugo::ClientRules;
use crate::app::dialect::recovery::{IoRecovery, RecoveryPlan};
use crate::app::hub;
use crate::app::hub::options::{ChannelOptions, Namespaces};
use crate::app::hub::store::StorePlan;
use crate::app::rules::MiddlewareSource;
use crate::app::sessions::{SessionCookies, SessionPlan};
use crate::app::tokens::{RevokedTokens, TokenKeys};
use crate::live::Live;
use crate::shard::Core;
use crate::time::WallClock;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// What the realtime channels of a server are like; by default there are none.
#[derive(Clone, Debug, Default)]
pub struct RealtimePlan {
    /// What channels are like.
    pub namespaces: Arc<Namespaces>,
    /// What clients without a token may.
    pub rules: ClientRules,
    /// What the application's own server shows.
    pub api_key: Option<Box<str>>,
    /// Who is asked what clients may.
    pub middleware: MiddlewareSource,
    /// Where it is counted what clients may not.
    pub complaints: Complaints,
    /// The application behind the server, if it is asked too.
    pub backend: Option<HookPlan>,
    /// Sessions of browsers, if there are any.
    pub sessions: Option<SessionPlan>,
    /// What tokens are verified with.
    pub tokens: Arc<TokenKeys>,
    /// Tokens that are taken back.
    pub revoked: RevokedTokens,
    /// What tokens expire by.
    pub wall: WallClock,
    /// What the names of `ActionCable`'s streams are signed with.
    pub stream_key: StreamKey,
    /// How long a client of Socket.IO may be away and finds its rooms and what it missed when it
    /// comes back, if it may.
    pub recovery_time: Option<Duration>,
    /// What outlives the process, if anything does.
    pub store: Option<StorePlan>,
    /// Random, the same on every core, told to nobody.
    pub secret: [u8; 32],
    /// What of it is another while the server runs.
    pub news: Live<RealtimeNews>,
}

/// What of a plan may change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct RealtimeNews {
    /// Who is asked what clients may: if somebody was before.
    pub middleware: MiddlewareSource,
    /// What tokens are verified with.
    pub tokens: Arc<TokenKeys>,
    /// What the application's own server shows.
    pub api_key: Option<Box<str>>,
    /// What the names of `ActionCable`'s streams are signed with.
    pub stream_key: StreamKey,
    /// The origins, beside the server's own, whose pages have sessions.
    pub origins: Vec<String>,
}

impl RealtimePlan {
    /// Everything for everyone: for first tries.
    #[must_use]
    pub fn dev(secret: [u8; 32]) -> Self {
        Self {
            namespaces: Arc::new(Namespaces::all(ChannelOptions::DEV)),
            rules: ClientRules {
                anonymous: true,
                subscribe: true,
                echo: true,
            },
            api_key: Some("dev".into()),
            stream_key: StreamKey::new(b"dev"),
            secret,
            ..Self::default()
        }
    }

    /// The core of so many that decides about a channel.
    #[must_use]
    pub fn home_of(&self, channel: &str, cores: u16) -> Core {
        hub::home_of(channel, cores, self.random(0))
    }

    /// Random bits, others for each thing that they are for.
    pub(super) fn random(&self, what: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.secret);
        hasher.write_u64(what);
        hasher.finish()
    }

    /// What one of so many cores remembers of clients of Socket.IO that may come back, if they may.
    pub(super) fn recovery(&self, here: Core, cores: u16) -> Option<Box<IoRecovery>> {
        let plan = RecoveryPlan {
            time: self.recovery_time?,
            secret: self.secret,
            here,
            cores,
        };
        Some(Box::new(IoRecovery::new(plan)))
    }

    /// Cookies of one core, if there are sessions: they are known again by every server with the
    /// same store.
    pub(super) fn cookies(&self, here: Core) -> Option<SessionCookies> {
        let cookies = SessionCookies::new(self.sessions.clone()?, &self.secret, here);
        Some(match &self.store {
            Some(store) => cookies.signed_with(&store.cookie_secret),
            None => cookies,
        })
    }

    /// Only what tokens allow, and the application.
    #[must_use]
    pub fn with_tokens(secret: [u8; 32]) -> Self {
        let options = ChannelOptions {
            clients_publish: false,
            patterns: false,
            ..ChannelOptions::DEV
        };
        Self {
            namespaces: Arc::new(Namespaces::all(options)),
            secret,
            ..Self::default()
        }
    }
}
