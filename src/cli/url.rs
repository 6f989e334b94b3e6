//! Takes a URL apart as far as a client needs it, and finds its addresses.

use super::values;
use crate::protocol::http::location::AskedUrl;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// What a URL's scheme asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `ws://`, `wss://`: a WebSocket.
    Ws,
    /// `http://`, `https://`: an event stream.
    Http,
}

/// Whether a URL's scheme asks for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// `ws://`, `http://`.
    Plain,
    /// `wss://`, `https://`.
    Tls,
}

/// A URL of ours: a scheme, a host, a port, a path with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// What it asks for.
    pub(super) scheme: Scheme,
    /// Whether that goes over TLS.
    pub(super) security: Security,
    /// The host as typed, an IPv6 address without its brackets.
    host: String,
    /// The port, typed or implied.
    pub(super) port: u16,
    /// Path and query, from `/`.
    pub(super) target: String,
    /// User and password, as `Authorization: Basic` has them.
    pub(super) basic: Option<String>,
    /// As typed, but for the password.
    typed: String,
}

impl Url {
    /// The `Host` header: the port is left out where the scheme implies it (RFC 9110, 7.2).
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == self.security.port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The origin of a page there (RFC 6454, 6.2).
    pub(super) fn origin(&self) -> String {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Tls => "https",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// Where a `Location` in an answer from there leads: to the same scheme only.
    pub(super) fn joined(&self, location: &str) -> Result<Self, String> {
        let scheme = match (self.scheme, self.security) {
            (Scheme::Ws, Security::Plain) => "ws",
            (Scheme::Ws, Security::Tls) => "wss",
            (Scheme::Http, Security::Plain) => "http",
            (Scheme::Http, Security::Tls) => "https",
        };
        let asked = AskedUrl {
            scheme,
            authority: &self.authority(),
            target: &self.target,
        };
        let url: Self = asked.join(location).parse()?;
        if (url.scheme, url.security) != (self.scheme, self.security) {
            return Err(format!("{location} has another scheme than {scheme}://"));
        }
        Ok(url)
    }

    /// Whether another URL is of the same host and port: what is secret is for those only.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }

    /// What a certificate has to say that the server is.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, String> {
        server_name(&self.host)
    }

    /// The server: its host, of an IPv6 address without brackets, and its port.
    pub(super) fn destination(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The addresses to connect to, at least one: what `overrides` say, or what DNS does.
    pub(super) fn resolve(&self, overrides: &[Resolve]) -> Result<Vec<SocketAddr>, String> {
        resolved(self.destination(), overrides)
    }
}

/// What the certificate of a host has to say.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} cannot be the name in a certificate; try: --sni NAME"))
}

/// The addresses of a host and port, at least one: what `overrides` say, or what DNS does.
pub(super) fn resolved(
    (host, port): (&str, u16),
    overrides: &[Resolve],
) -> Result<Vec<SocketAddr>, String> {
    let told = overrides.iter().find(|it| it.is_for(host, port));
    let addresses: Vec<SocketAddr> = if let Some(told) = told {
        let ips = told.addresses.iter();
        ips.map(|ip| SocketAddr::new(*ip, port)).collect()
    } else {
        let found = (host, port).to_socket_addrs().map_err(|error| {
            let text = format!("dns: cannot find {host}: {error}");
            format!("{text}; try: its address instead, or --resolve {host}:{port}:ADDR")
        })?;
        found.collect()
    };
    if addresses.is_empty() {
        return Err(format!("dns: {host} has no address"));
    }
    Ok(addresses)
}

impl Security {
    /// The port that the scheme implies.
    const fn port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Tls => 443,
        }
    }
}

/// What `--resolve` says, as curl has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolve {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Resolve {
    /// Host, port and addresses.
    pub(super) fn parts(&self) -> (&str, u16, &[IpAddr]) {
        (&self.host, self.port, &self.addresses)
    }

    pub(super) fn is_for(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port == port
    }
}

impl FromStr for Resolve {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let example = || "write it like example.org:443:127.0.0.1 or a.test:80:[::1]".to_owned();
        let split = |text: &str| {
            // The host may be an IPv6 address in brackets.
            let bracketed = text.starts_with('[');
            let end = if bracketed { text.find(']')? } else { 0 };
            let colon = text.get(end..)?.find(':')? + end;
            let (host, port) = text.split_at(colon);
            let (port, addresses) = port.get(1..)?.split_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_owned(), port.parse().ok()?, addresses.to_owned()))
        };
        let (host, port, addresses) = split(typed).ok_or_else(example)?;
        let parse = |text: &str| {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<IpAddr>().map_err(|_| example())
        };
        let addresses: Result<Vec<_>, _> = addresses.split(',').map(parse).collect();
        let resolve = Self {
            host,
            port,
            addresses: addresses?,
        };
        if resolve.host.is_empty() || resolve.port == 0 {
            return Err(example());
        }
        Ok(resolve)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let example = "write it like ws://127.0.0.1:9000/echo or http://127.0.0.1:9000/events";
        let (name, rest) = typed.split_once("://").ok_or(example)?;
        // RFC 3986, 3.1: schemes are compared without case.
        let (scheme, security) = match name.to_ascii_lowercase().as_str() {
            "ws" => (Scheme::Ws, Security::Plain),
            "http" => (Scheme::Http, Security::Plain),
            "wss" => (Scheme::Ws, Security::Tls),
            "https" => (Scheme::Http, Security::Tls),
            _ => return Err(example.to_owned()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let basic = user.map(authorization).transpose()?;
        let typed = match user.and_then(|user| user.split_once(':')) {
            // It is no reader's business of a record.
            Some((name, password)) => {
                typed.replacen(&format!("{name}:{password}@"), &format!("{name}:***@"), 1)
            }
            None => typed.to_owned(),
        };
        let (host, port) =
            host_and_port(authority, security.port()).ok_or_else(|| example.to_owned())?;
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        let is_plain = |c: char| c.is_ascii_graphic();
        if !target.chars().all(is_plain) {
            return Err("write blanks and letters beyond ASCII as %20 and the like".to_owned());
        }
        Ok(Self {
            scheme,
            security,
            host,
            port,
            target,
            basic,
            typed,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// RFC 7617: what a user and a password before the host become in a request.
fn authorization(typed: &str) -> Result<String, String> {
    let (user, password) = user_info(typed)?;
    values::basic(&format!("{user}:{password}"))
}

/// RFC 3986, 3.2.1: user and password before a host, percent-encoded; a password may be left out.
pub(super) fn user_info(typed: &str) -> Result<(String, String), String> {
    let (user, password) = typed.split_once(':').unwrap_or((typed, ""));
    Ok((percent_decoded(user)?, percent_decoded(password)?))
}

fn percent_decoded(typed: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = typed.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(match byte {
            b'%' => {
                let code = digit().and_then(|high| Some(high * 16 + digit()?));
                let code = code.and_then(|code| u8::try_from(code).ok());
                code.ok_or("write % in a user or password as %25")?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A host and a port: the usual one where none is given.
pub(super) fn host_and_port(authority: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, port)
    } else {
        let colon = authority.find(':').unwrap_or(authority.len());
        authority.split_at(colon)
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().ok().filter(|&port| port > 0)?,
        None if port.is_empty() => usual,
        None => return None,
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    (!host.is_empty() && host.chars().all(is_host)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_scheme_host_port_and_target() {
        let url: Url = "ws://127.0.0.1:9000/echo?a=1#x".parse().unwrap();
        assert_eq!((url.scheme, url.target.as_str()), (Scheme::Ws, "/echo?a=1"));
        assert_eq!(url.authority(), "127.0.0.1:9000");
        let url: Url = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.scheme, url.target.as_str()), (Scheme::Http, "/"));
        assert_eq!(url.authority(), "[::1]:8080");
        assert_eq!(url.resolve(&[]), Ok(vec!["[::1]:8080".parse().unwrap()]));
        let url: Url = "http://example.test?q".parse().unwrap();
        assert_eq!(
            (url.authority().as_str(), url.target.as_str()),
            ("example.test", "/?q")
        );
    }

    #[test]
    fn a_location_leads_to_the_same_scheme_or_nowhere() {
        let base: Url = "http://a:1/x/y?z".parse().unwrap();
        for (location, expected) in [
            ("/n", "http://a:1/n"),
            ("n?m", "http://a:1/x/n?m"),
            ("?m", "http://a:1/x/y?m"),
            ("//b/c", "http://b/c"),
            ("http://b:2/c", "http://b:2/c"),
        ] {
            assert_eq!(base.joined(location).unwrap().to_string(), expected);
        }
        assert!(base.joined("https://a:1/").unwrap_err().contains("scheme"));
        assert!(base.joined("ftp://a/").is_err());
        assert!(base.is_beside(&base.joined("/n").unwrap()));
        assert!(!base.is_beside(&base.joined("//a:2/n").unwrap()));
    }

    #[test]
    fn a_scheme_has_no_case_and_a_user_becomes_an_authorization() {
        let url: Url = "WSS://ann:s%3Ae@Example.test/x".parse().unwrap();
        assert_eq!((url.scheme, url.security), (Scheme::Ws, Security::Tls));
        assert_eq!(url.authority(), "Example.test");
        // base64 of ann:s:e
        assert_eq!(url.basic.as_deref(), Some("YW5uOnM6ZQ=="));
        assert_eq!(url.to_string(), "WSS://ann:***@Example.test/x");
        let url: Url = "http://ann@h:1/".parse().unwrap();
        assert_eq!(url.basic.as_deref(), Some("YW5uOg=="));
        assert!("ws://a%2@h/".parse::<Url>().is_err());
    }

    #[test]
    fn tls_has_a_port_and_a_name_of_its_own() {
        let url: Url = "wss://example.test/x".parse().unwrap();
        assert_eq!((url.scheme, url.security), (Scheme::Ws, Security::Tls));
        assert_eq!((url.port, url.authority().as_str()), (443, "example.test"));
        assert!(url.server_name().is_ok());
        let url: Url = "https://[::1]:80".parse().unwrap();
        assert_eq!(url.authority(), "[::1]:80");
        assert!(url.server_name().is_ok());
        let url: Url = "wss://a_b-.x/".parse().unwrap();
        let named = url.server_name().map(|_| ());
        assert!(named.is_ok() || named.is_err_and(|text| text.contains("--sni")));
    }

    #[test]
    fn resolve_replaces_dns_for_its_host_and_port_only() {
        let told: Resolve = "nowhere.invalid:81:[::1]".parse().unwrap();
        let many: Resolve = "[::2]:82:127.0.0.9".parse().unwrap();
        let all = [told, many];
        let at = |url: &str| {
            let url: Url = url.parse().unwrap();
            url.resolve(&all)
        };
        assert_eq!(
            at("ws://NOWHERE.invalid:81"),
            Ok(vec!["[::1]:81".parse().unwrap()])
        );
        assert_eq!(
            at("ws://[::2]:82"),
            Ok(vec!["127.0.0.9:82".parse().unwrap()])
        );
        let error = at("ws://nowhere.invalid:80").unwrap_err();
        assert!(
            error.starts_with("dns:") && error.contains("--resolve"),
            "{error}"
        );
        for wrong in [
            "",
            "a",
            "a:1",
            "a:b:1.1.1.1",
            "a:1:b",
            ":1:1.1.1.1",
            "a:0:1.1.1.1",
        ] {
            let error = wrong.parse::<Resolve>().unwrap_err();
            assert!(error.contains("example.org:443"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_an_example() {
        for wrong in [
            "",
            "127.0.0.1:9000",
            "ftp://a/",
            "ws://",
            "ws://a:0/",
            "ws://a:b/",
            "ws://[::1/",
            "ws://[x]:1/",
            "ws://u@/",
            "ws://a:70000/",
        ] {
            let error = wrong.parse::<Url>().unwrap_err();
            assert!(
                error.contains("ws://127.0.0.1:9000/echo"),
                "{wrong}: {error}"
            );
        }
        assert!("ws://a/b c".parse::<Url>().unwrap_err().contains("%20"));
    }
}
