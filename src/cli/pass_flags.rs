//! The web application behind `serve`: what no route takes is passed on to it.

use super::{Failure, tokens, values};
use crate::app::passing::{PassLine, PassPlan, PassedWaker};
use crate::backend::{PassTarget, Passer};
use crate::engine::EngineError;
use clap::Args;
use hyper::Uri;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Flags of the web application behind the server.
#[derive(Args, Debug)]
pub(super) struct PassFlags {
    /// The web application behind the server, http://HOST:PORT or https://HOST:PORT: requests that
    /// no route takes, nor a file of --public, are passed on to it, bodies and responses as they
    /// come (docs/hooks.md).
    #[arg(long, value_name = "URL", value_parser = origin)]
    http_backend: Option<Uri>,
    /// For so long nothing may move of such a request or its response: then 504.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    http_backend_timeout: Duration,
}

/// How requests are passed on.
pub(super) struct PassSetup {
    target: PassTarget,
    /// What the cores go by.
    pub(super) plan: PassPlan,
    notify: Arc<Notify>,
}

impl PassFlags {
    /// The first of these flags that was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        self.http_backend.is_some().then_some("--http-backend")
    }

    /// What so many cores pass on, if they do; `secret` is where what it is signed with is.
    pub(super) fn setup(
        &self,
        cores: usize,
        secret: Option<&str>,
        is_secure: bool,
    ) -> Result<Option<PassSetup>, Failure> {
        let Some(origin) = &self.http_backend else {
            return Ok(None);
        };
        if self.http_backend_timeout.is_zero() {
            let text = "--http-backend-timeout: no time is too short for any response; try: 30s";
            return Err(Failure::Usage(text.to_owned()));
        }
        let secret = secret.map(|typed| tokens::secret_at("--backend-secret", typed));
        let secret = secret.transpose()?;
        let target = PassTarget::new(origin.clone(), secret.as_deref().map(str::as_bytes));
        let target = target.map_err(|it| Failure::Run(format!("--http-backend {origin}: {it}")))?;
        let notify = Arc::new(Notify::new());
        let wake: Arc<PassedWaker> = {
            let notify = Arc::clone(&notify);
            Arc::new(move || notify.notify_one())
        };
        let lines = (0..cores).map(|_| PassLine::new(Arc::clone(&wake)));
        let plan = PassPlan {
            lines: lines.collect(),
            is_secure,
            time: self.http_backend_timeout,
        };
        Ok(Some(PassSetup {
            target,
            plan,
            notify,
        }))
    }
}

impl PassSetup {
    /// Begins to pass on.
    pub(super) fn start(self) -> Result<Passer, EngineError> {
        let started = Passer::start(self.target, self.plan, self.notify);
        started.map_err(|source| EngineError::no_threads("the thread of --http-backend", source))
    }
}

/// Scheme, host and port of an HTTP service.
fn origin(text: &str) -> Result<Uri, String> {
    let example = "write a URL without a path, such as http://127.0.0.1:8000";
    let url: Uri = text.parse().map_err(|_| example.to_owned())?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let is_bare = url.path() == "/" && url.query().is_none();
    if is_http && is_bare && url.host().is_some_and(|host| !host.is_empty()) {
        return Ok(url);
    }
    Err(example.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_application_is_reached_over_http_and_has_all_paths() {
        for good in ["http://127.0.0.1:8000", "https://a.example/"] {
            assert!(origin(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:8000",
            "http://a/b",
            "ws://a",
            "http://a/?b",
            "http://",
        ] {
            let wrong = origin(bad).unwrap_err();
            assert!(wrong.contains("http://127.0.0.1:8000"), "{bad}");
        }
    }
}
