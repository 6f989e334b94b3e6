//! Redirects of event streams (RFC 9110, 15.4): where a client asks next, if it may.

use super::target::Target;
use crate::protocol::http::location::AskedUrl;
use std::sync::Arc;

/// Redirects that one connect follows: browsers follow 20, curl 50.
pub(super) const REDIRECTS_MAX: u32 = 20;

/// A server that redirects may lead to: one that a URL or `--resolve` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name or address in lower case, of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where that is.
    pub target: Target,
}

/// Which redirects are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// None: they are failures.
    #[default]
    Never,
    /// Those that keep the scheme and lead to one of these.
    To {
        /// `http` or `https`, and the port that it implies.
        scheme: (&'static str, u16),
        /// The servers.
        sites: Arc<[Site]>,
    },
}

/// What a client asks after a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    /// Where it connects to.
    pub(super) to: Target,
    /// The Host header.
    pub(super) host: String,
    /// Path and query.
    pub(super) target: String,
    /// Whether that is the server of its URL: what is secret is for that one only.
    pub(super) is_home: bool,
    /// So many redirects led there.
    pub(super) hops: u32,
}

/// A redirect that is not followed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotFollowed {
    /// There is no `--follow`.
    #[error("")]
    Never,
    /// It leads from http to https, or to something else.
    #[error(" has another scheme")]
    OtherScheme,
    /// Nobody looked that name up before the run.
    #[error(" is a server that neither a URL nor --resolve HOST:PORT:ADDR names")]
    UnknownSite,
    /// There is no end to it.
    #[error(" is one redirect too many")]
    TooOften,
}

impl Redirect {
    /// Where it leads.
    pub(super) const fn to(&self) -> &Target {
        &self.to
    }
}

impl Follow {
    /// Where a `Location` leads a client that asked `target` of `host` after so many redirects;
    /// `home` is the Host header of its URL.
    pub(super) fn next(
        &self,
        (host, target, hops): (&str, &str, u32),
        home: &str,
        location: &str,
    ) -> Result<Redirect, NotFollowed> {
        let Self::To { scheme, sites } = self else {
            return Err(NotFollowed::Never);
        };
        if hops >= REDIRECTS_MAX {
            return Err(NotFollowed::TooOften);
        }
        let &(scheme, usual) = scheme;
        let asked = AskedUrl {
            scheme,
            authority: host,
            target,
        };
        let url = asked.join(location);
        let (found, rest) = url.split_once("://").ok_or(NotFollowed::OtherScheme)?;
        if !found.eq_ignore_ascii_case(scheme) {
            return Err(NotFollowed::OtherScheme);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (name, port) = split(authority, usual).ok_or(NotFollowed::UnknownSite)?;
        let site = sites
            .iter()
            .find(|site| site.host == name && site.port == port);
        let site = site.ok_or(NotFollowed::UnknownSite)?;
        Ok(Redirect {
            to: site.target.clone(),
            host: authority.to_owned(),
            target: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
            is_home: split(home, usual) == Some((name, port)),
            hops: hops + 1,
        })
    }
}

/// A host in lower case and its port.
fn split(authority: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None | Some("") => usual,
        Some(digits) => digits.parse().ok()?,
    };
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow() -> Follow {
        let site = |host: &str, port| Site {
            host: host.to_owned(),
            port,
            target: Target::At(([127, 0, 0, 1], port).into()),
        };
        Follow::To {
            scheme: ("http", 80),
            sites: [site("a.test", 80), site("::1", 81)].into(),
        }
    }

    #[test]
    fn a_redirect_leads_to_a_known_server_of_the_same_scheme() {
        let next = |location| follow().next(("a.test", "/x/y", 0), "a.test", location);
        for (location, host, target, is_home) in [
            ("/n?m", "a.test", "/n?m", true),
            ("../n", "a.test", "/n", true),
            ("HTTP://A.test:80", "A.test:80", "/", true),
            ("http://[::1]:81?q#f", "[::1]:81", "/?q", false),
            ("http://u:p@a.test:/n", "a.test:", "/n", true),
        ] {
            let found = next(location).unwrap_or_else(|why| panic!("{location}: {why}"));
            let found = (found.host.as_str(), found.target.as_str(), found.is_home);
            assert_eq!(found, (host, target, is_home), "{location}");
        }
        for (location, why) in [
            ("https://a.test/", NotFollowed::OtherScheme),
            ("mailto:x", NotFollowed::OtherScheme),
            ("//b.test/", NotFollowed::UnknownSite),
            ("http://a.test:81/", NotFollowed::UnknownSite),
            ("http://[::1/", NotFollowed::UnknownSite),
            ("http://a.test:x/", NotFollowed::UnknownSite),
        ] {
            assert_eq!(next(location), Err(why), "{location}");
        }
    }

    #[test]
    fn redirects_have_an_end_and_none_is_followed_unasked() {
        let last = follow().next(("a.test", "/", REDIRECTS_MAX), "a.test", "/n");
        assert_eq!(last, Err(NotFollowed::TooOften));
        let never = Follow::Never.next(("a.test", "/", 0), "a.test", "/n");
        assert_eq!(never, Err(NotFollowed::Never));
    }
}
