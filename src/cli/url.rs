//! Takes a URL apart as far as a client needs it, and finds its addresses.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// What a URL's scheme asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `ws://`: a WebSocket.
    Ws,
    /// `http://`: an event stream.
    Http,
}

/// A URL of ours: `ws://` or `http://`, a host, a port, a path with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// What it asks for.
    pub(super) scheme: Scheme,
    /// The host as typed, an IPv6 address without its brackets.
    host: String,
    port: u16,
    /// Path and query, from `/`.
    pub(super) target: String,
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
        if self.port == 80 {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The address to connect to. Of several, the first that somebody listens on (a name like
    /// `localhost` has one per family), or the first.
    pub(super) fn resolve(&self, patience: Duration) -> Result<SocketAddr, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<SocketAddr> = match found {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                let host = &self.host;
                return Err(format!(
                    "cannot find {host}: {error}; try: its address instead"
                ));
            }
        };
        let first = *addresses
            .first()
            .ok_or_else(|| format!("{} has no address", self.host))?;
        if addresses.len() == 1 {
            return Ok(first);
        }
        let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, patience).is_ok();
        Ok(addresses.iter().find(listens).copied().unwrap_or(first))
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let example = "write it like ws://127.0.0.1:9000/echo or http://127.0.0.1:9000/events";
        let (scheme, rest) = match typed.split_once("://") {
            Some(("ws", rest)) => (Scheme::Ws, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("wss" | "https", _)) => {
                return Err("TLS is not spoken here; use ws:// or http://".to_owned());
            }
            _ => return Err(example.to_owned()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority).ok_or_else(|| example.to_owned())?;
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
            host,
            port,
            target,
            typed: typed.to_owned(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
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
        None if port.is_empty() => 80,
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
        assert_eq!(
            url.resolve(Duration::ZERO),
            Ok("[::1]:8080".parse().unwrap())
        );
        let url: Url = "http://example.test?q".parse().unwrap();
        assert_eq!(
            (url.authority().as_str(), url.target.as_str()),
            ("example.test", "/?q")
        );
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
            "ws://u@h/",
            "ws://a:70000/",
        ] {
            let error = wrong.parse::<Url>().unwrap_err();
            assert!(
                error.contains("ws://127.0.0.1:9000/echo"),
                "{wrong}: {error}"
            );
        }
        assert!("wss://a/".parse::<Url>().unwrap_err().contains("TLS"));
        assert!("ws://a/b c".parse::<Url>().unwrap_err().contains("%20"));
    }
}
