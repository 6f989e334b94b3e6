//! A or B: an engine, a build, a command with its URL, or a server that runs; started and stopped.

use super::case::Case;
use crate::cli::Failure;
use crate::cli::child::Server;
use crate::cli::host;
use crate::cli::processes::Foreign;
use crate::cli::url::Url;
use std::path::PathBuf;

/// One of the two, as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// An engine of this program.
    Engine(String),
    /// Another build of it, which serves with its default engine.
    Build(PathBuf),
    /// A command line that serves at a URL.
    Command { line: String, url: String },
    /// A server that runs.
    Running(String),
}

/// One of the two while it serves.
pub(super) struct Standing {
    kind: StandingKind,
    /// Where the load goes.
    pub(super) url: String,
    /// Its process, if it is known.
    pub(super) pid: Option<u32>,
}

enum StandingKind {
    Ours(Server),
    Foreign(Foreign),
    Running,
}

impl Contender {
    /// What was typed, with where it serves if that was typed.
    pub(super) fn new(typed: &str, url: Option<&str>) -> Result<Self, Failure> {
        let checked = |url: &str| {
            let parsed = url.parse::<Url>();
            parsed.map_err(|error| Failure::Usage(format!("{url}: {error}")))
        };
        if let Some(url) = url {
            checked(url)?;
            return Ok(Self::Command {
                line: typed.to_owned(),
                url: url.to_owned(),
            });
        }
        if ["ring", "tokio", "baseline"].contains(&typed) {
            return Ok(Self::Engine(typed.to_owned()));
        }
        if typed.contains("://") {
            checked(typed)?;
            return Ok(Self::Running(typed.to_owned()));
        }
        if typed.contains('/') {
            return Ok(Self::Build(typed.into()));
        }
        Err(Failure::Usage(format!(
            "{typed} is no engine (ring, tokio, baseline), no path of a build such as ./old, and \
             no URL; of a command say where it serves: --a 'node a.js' --a-url ws://[::1]:8080/"
        )))
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Engine(name) => name.clone(),
            Self::Build(path) => path.display().to_string(),
            Self::Command { line, .. } => line.clone(),
            Self::Running(url) => url.clone(),
        }
    }

    /// Starts it on those CPUs, ready for a case.
    pub(super) fn start(&self, case: &Case, cpus: &[usize]) -> Result<Standing, Failure> {
        let list = host::listed(cpus);
        let flags: Vec<String> = case.server.iter().map(|&it| it.to_owned()).collect();
        let ours = |server: Server| Standing {
            url: case.url(&server.address),
            pid: Some(server.pid()),
            kind: StandingKind::Ours(server),
        };
        match self {
            Self::Engine(engine) => Server::start(engine, &list, &flags).map(ours),
            Self::Build(path) => Server::start_build(path, &list, &flags).map(ours),
            Self::Command { line, url } => {
                let parsed: Url = url
                    .parse()
                    .map_err(|error| Failure::Usage(format!("{url}: {error}")))?;
                let at = parsed.resolve(&[]).map_err(Failure::Run)?;
                let child = Foreign::start(line, cpus, &at)?;
                Ok(Standing {
                    url: url.clone(),
                    pid: Some(child.pid()),
                    kind: StandingKind::Foreign(child),
                })
            }
            Self::Running(url) => Ok(Standing {
                url: url.clone(),
                pid: None,
                kind: StandingKind::Running,
            }),
        }
    }
}

impl Standing {
    /// Ends it, if it was started here.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self.kind {
            StandingKind::Ours(server) => server.end(),
            StandingKind::Foreign(child) => {
                child.end();
                Ok(())
            }
            StandingKind::Running => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_an_engine_a_build_a_command_or_a_url() {
        let new = |typed, url| Contender::new(typed, url).map_err(|error| error.to_string());
        assert_eq!(new("ring", None), Ok(Contender::Engine("ring".into())));
        assert_eq!(new("./old", None), Ok(Contender::Build("./old".into())));
        let url = "ws://127.0.0.1:9000/echo";
        assert_eq!(new(url, None), Ok(Contender::Running(url.into())));
        let command = Contender::Command {
            line: "node a.js".into(),
            url: url.into(),
        };
        assert_eq!(new("node a.js", Some(url)), Ok(command));
        assert!(
            new("rong", None)
                .unwrap_err()
                .contains("ring, tokio, baseline")
        );
        assert!(new("node a.js", Some("gopher://x")).is_err());
    }
}
