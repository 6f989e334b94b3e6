//! What the realtime channels of a server are like, and what of that may change.

use crate::app::backend::HookPlan;
use crate::app::complaints::Complaints;
use crate::app::dialect::cable::StreamKey;
use crate::app::dialect::centrifugo::ClientRules;
use crate::app::hub::options::{ChannelOptions, Namespaces};
use crate::app::rules::MiddlewareSource;
use crate::app::sessions::SessionPlan;
use crate::app::tokens::{TokenKeys, WallClock};
use crate::live::Live;
use std::sync::Arc;

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
    /// What tokens expire by.
    pub wall: WallClock,
    /// What the names of `ActionCable`'s streams are signed with.
    pub stream_key: StreamKey,
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
