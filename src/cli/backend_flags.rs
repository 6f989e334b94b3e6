//! The application behind `serve`: where it is asked, what, and what holds while it does not
//! answer.

use super::{Failure, tokens, values};
use crate::app::backend::{HookCounts, HookFailure, HookKind, HookPlan, HookSet};
use crate::backend::{Backend, BackendBell, BackendClient};
use crate::engine::EngineError;
use clap::{Args, ValueEnum};
use hyper::Uri;
use std::time::Duration;

/// Flags of the application behind the server.
#[derive(Args, Debug)]
pub(super) struct BackendFlags {
    /// The application behind the server, http://HOST:PORT/PATH or https://...: it is asked whether
    /// clients of channels may connect, subscribe and publish, answers their calls, and is told
    /// that they are gone (docs/hooks.md).
    #[arg(long, value_name = "URL", value_parser = url)]
    backend: Option<Uri>,
    /// Requests to it, and those to --http-backend, are signed with this secret: env:NAME of the
    /// environment, or file:PATH.
    #[arg(long, value_name = "WHERE")]
    pub(super) backend_secret: Option<String>,
    /// Time for an answer.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration)]
    backend_timeout: Duration,
    /// Most requests to it at once; what else is asked waits, within its time.
    #[arg(long, value_name = "N", default_value = "256", value_parser = values::count_u32)]
    backend_concurrency: u32,
    /// What holds while it does not answer: nothing is allowed, or everything that no rule refuses.
    #[arg(long, value_name = "POLICY", value_enum, default_value = "deny")]
    backend_failure: FailurePolicy,
    /// What it is asked and told; may be given several times [default: all].
    #[arg(
        long,
        value_name = "HOOK",
        value_enum,
        value_delimiter = ',',
        requires = "backend"
    )]
    backend_hook: Vec<HookName>,
}

/// What holds while it does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailurePolicy {
    Deny,
    Allow,
}

/// What it is asked and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HookName {
    Connect,
    Subscribe,
    Publish,
    Call,
    Disconnect,
    #[value(name = "session_end")]
    SessionEnd,
}

/// How the application behind the server is asked.
pub(super) struct BackendSetup {
    client: BackendClient,
    /// What the cores go by.
    pub(super) plan: HookPlan,
    bell: BackendBell,
    at_once: usize,
}

impl BackendFlags {
    /// The first of these flags that was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        self.backend.is_some().then_some("--backend")
    }

    /// What so many cores ask, if they ask anything.
    pub(super) fn setup(&self, cores: usize) -> Result<Option<BackendSetup>, Failure> {
        let Some(url) = &self.backend else {
            return Ok(None);
        };
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        if self.backend_timeout.is_zero() {
            return usage("--backend-timeout: no time is too short for any answer; try: 1s");
        }
        if self.backend_concurrency == 0 {
            return usage("--backend-concurrency: none could ask anything; try: 256");
        }
        let secret = self.backend_secret.as_deref();
        let secret = secret.map(|typed| tokens::secret_at("--backend-secret", typed));
        let secret = secret.transpose()?;
        if secret.as_deref() == Some("") {
            return usage("--backend-secret: what is there is empty");
        }
        let client = BackendClient::new(url.clone(), secret.as_deref().map(str::as_bytes));
        let client = client.map_err(|it| Failure::Run(format!("--backend {url}: {it}")))?;
        let bell = BackendBell::default();
        let hooks: Vec<HookKind> = match &self.backend_hook[..] {
            [] => HookKind::ALL.to_vec(),
            named => named.iter().map(|name| name.kind()).collect(),
        };
        let plan = HookPlan {
            asks: HookSet::of(&hooks),
            failure: match self.backend_failure {
                FailurePolicy::Deny => HookFailure::Deny,
                FailurePolicy::Allow => HookFailure::Allow,
            },
            time: self.backend_timeout,
            counts: HookCounts::default(),
            lines: bell.lines(cores),
        };
        Ok(Some(BackendSetup {
            client,
            plan,
            bell,
            at_once: self.backend_concurrency as usize,
        }))
    }
}

impl BackendSetup {
    /// Begins to ask.
    pub(super) fn start(self) -> Result<Backend, EngineError> {
        let started = Backend::start(self.client, self.plan, self.bell, self.at_once);
        started.map_err(|source| EngineError::no_threads("the thread that asks --backend", source))
    }
}

impl HookName {
    const fn kind(self) -> HookKind {
        match self {
            Self::Connect => HookKind::Connect,
            Self::Subscribe => HookKind::Subscribe,
            Self::Publish => HookKind::Publish,
            Self::Call => HookKind::Call,
            Self::Disconnect => HookKind::Disconnect,
            Self::SessionEnd => HookKind::SessionEnd,
        }
    }
}

/// An address of an HTTP service.
fn url(text: &str) -> Result<Uri, String> {
    let example = "write a URL such as http://127.0.0.1:8000/hooks";
    let url: Uri = text.parse().map_err(|_| example.to_owned())?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    if is_http && url.host().is_some_and(|host| !host.is_empty()) {
        return Ok(url);
    }
    Err(example.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_reached_over_http() {
        for good in ["http://127.0.0.1:8000", "https://a.example/hooks?x=1"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:8000",
            "/hooks",
            "ws://a/",
            "http://",
            "http://a b/",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
