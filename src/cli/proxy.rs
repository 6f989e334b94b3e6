//! Which proxy connections go through: what `--proxy` says, or with `--proxy env` the environment.

use super::print;
use super::url::{Resolve, Security, Url, host_and_port, resolved, user_info};
use super::values;
use crate::proxy::{ProxyProtocol, ProxyRoute};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// What `--proxy` may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProxyFlag {
    /// The proxy that the environment names for the URL, if it names one.
    Environment,
    /// That proxy.
    At(ProxyUrl),
}

/// What a proxy's scheme asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyScheme {
    /// `http://`: CONNECT.
    Http,
    /// `socks5://`: this host finds the server's name.
    Socks5,
    /// `socks5h://`: the proxy does.
    Socks5h,
}

/// A proxy, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyUrl {
    scheme: ProxyScheme,
    host: String,
    port: u16,
    user: Option<(String, String)>,
}

/// How connections to a URL are made: which addresses are connected to, and what a proxy there is
/// asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) route: Option<ProxyRoute>,
}

impl ProxyFlag {
    /// The way to that URL: straight without the flag.
    pub(super) fn way(
        flag: Option<&Self>,
        url: &Url,
        overrides: &[Resolve],
    ) -> Result<Way, String> {
        let proxy = match flag {
            None => None,
            Some(Self::At(proxy)) => Some(proxy.clone()),
            Some(Self::Environment) => of_environment(url, |name| std::env::var(name).ok())?,
        };
        let Some(proxy) = proxy else {
            let addresses = url.resolve(overrides)?;
            let route = None;
            return Ok(Way { addresses, route });
        };
        let found = resolved((&proxy.host, proxy.port), overrides);
        Ok(Way {
            addresses: found.map_err(|error| format!("--proxy: {error}"))?,
            route: Some(proxy.route(url, overrides)?),
        })
    }

    /// Says what of the environment has no effect: connections go straight unless a flag says
    /// otherwise.
    pub(super) fn note_unused(flag: Option<&Self>) {
        let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
        let mut names = names.iter().chain(&["ALL_PROXY", "all_proxy"]);
        let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if flag.is_none()
            && let Some(name) = names.find(is_set)
        {
            print::note(format_args!(
                "{name} is set and not used: connections go straight; try: --proxy env"
            ));
        }
    }
}

impl ProxyUrl {
    fn route(&self, url: &Url, overrides: &[Resolve]) -> Result<ProxyRoute, String> {
        let (host, port) = url.destination();
        let is_told = overrides.iter().any(|it| it.is_for(host, port));
        // A name is the proxy's to find, but for an address that the user gives.
        let host = if is_told || self.scheme == ProxyScheme::Socks5 {
            let found = url.resolve(overrides)?;
            found
                .first()
                .map_or_else(|| host.to_owned(), |at| at.ip().to_string())
        } else {
            host.to_owned()
        };
        let protocol = match self.scheme {
            ProxyScheme::Http => {
                let user = self.user.as_ref();
                let basic =
                    user.map(|(user, password)| values::basic(&format!("{user}:{password}")));
                ProxyProtocol::Connect {
                    basic: basic.transpose()?,
                }
            }
            ProxyScheme::Socks5 | ProxyScheme::Socks5h => ProxyProtocol::Socks5 {
                login: self.user.clone(),
            },
        };
        Ok(ProxyRoute {
            protocol,
            host,
            port,
        })
    }
}

/// The password is no reader's business.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
            ProxyScheme::Socks5h => "socks5h",
        };
        let user = self.user.as_ref();
        let user = user.map_or_else(String::new, |(user, _)| format!("{user}:***@"));
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            write!(f, "{scheme}://{user}[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{user}{host}:{port}")
        }
    }
}

impl fmt::Display for ProxyFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("env"),
            Self::At(proxy) => proxy.fmt(f),
        }
    }
}

impl FromStr for ProxyFlag {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        match typed {
            "env" => Ok(Self::Environment),
            other => other.parse().map(Self::At),
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let example = "write it like http://127.0.0.1:3128, socks5h://127.0.0.1:1080 or env";
        // As everywhere, a proxy without a scheme is one of HTTP.
        let (scheme, rest) = typed.split_once("://").unwrap_or(("http", typed));
        let (scheme, usual) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyScheme::Http, 80),
            "socks5" => (ProxyScheme::Socks5, 1080),
            "socks5h" => (ProxyScheme::Socks5h, 1080),
            "https" => {
                let text = "a proxy that is itself behind TLS is not supported";
                return Err(format!("{text}; {example}"));
            }
            _ => return Err(example.to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user_info(user)?), authority),
            None => (None, rest),
        };
        let (host, port) = host_and_port(authority, usual).ok_or(example)?;
        let fits = |text: &str| (1..=255).contains(&text.len());
        if let Some((name, password)) = &user
            && scheme != ProxyScheme::Http
            && !(fits(name) && fits(password))
        {
            // RFC 1929, 2: the length is one byte, and not 0.
            return Err("a user and a password of SOCKS5 have 1 to 255 bytes each".to_owned());
        }
        Ok(Self {
            scheme,
            host,
            port,
            user,
        })
    }
}

/// The proxy that the environment names for that URL, as curl reads it.
fn of_environment(
    url: &Url,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Option<ProxyUrl>, String> {
    let set = |name: &&str| {
        let value = read(name).filter(|value| !value.is_empty());
        value.map(|value| ((*name).to_owned(), value))
    };
    let names: [&str; 4] = match url.security {
        Security::Plain => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        Security::Tls => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let (host, port) = url.destination();
    if let Some((_, list)) = ["no_proxy", "NO_PROXY"].iter().find_map(set)
        && is_excepted(&list, host, port)
    {
        return Ok(None);
    }
    let Some((name, value)) = names.iter().find_map(set) else {
        return Ok(None);
    };
    let proxy = value.parse().map_err(|error| format!("{name}: {error}"))?;
    Ok(Some(proxy))
}

/// Whether a list of `NO_PROXY` has that server: names with all below them, addresses, blocks of
/// addresses, each with a port or for all of them; `*` is everybody.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let entries = list.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.into_iter().any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some((block, bits)), Ok(address)) = (entry.split_once('/'), host.parse()) {
            return is_within(address, block, bits);
        }
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        if let (Ok(one), Ok(other)) = (bare.parse::<IpAddr>(), host.parse::<IpAddr>()) {
            return one == other;
        }
        let Some((name, only)) = host_and_port(entry.trim_start_matches(['*', '.']), port) else {
            return false;
        };
        let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
        let below = host.strip_suffix(&name);
        only == port && below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

fn is_within(address: IpAddr, block: &str, bits: &str) -> bool {
    let wide = |address: IpAddr| match address {
        IpAddr::V4(four) => (u128::from(four.to_bits()) << 96, 32),
        IpAddr::V6(six) => (six.to_bits(), 128),
    };
    let (Ok(block), Ok(bits)) = (block.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let ((one, all), (other, _)) = (wide(address), wide(block));
    let differ = (one ^ other).checked_shr(128 - bits.min(all)).unwrap_or(0);
    address.is_ipv4() == block.is_ipv4() && bits <= all && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> ProxyUrl {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_proxy_has_scheme_host_port_and_perhaps_a_user() {
        for (typed, shown) in [
            ("http://p:3128", "http://p:3128"),
            ("p:3128/", "http://p:3128"),
            ("HTTP://p", "http://p:80"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("socks5h://ann:s%40e@p:1", "socks5h://ann:***@p:1"),
        ] {
            assert_eq!(proxy(typed).to_string(), shown);
        }
        let user = proxy("http://ann:s%40e@p:1").user;
        assert_eq!(user, Some(("ann".to_owned(), "s@e".to_owned())));
        for (wrong, word) in [
            ("", "http://127.0.0.1:3128"),
            ("https://p:1", "not supported"),
            ("socks4://p:1", "socks5h://"),
            ("http://p:0", "http://127.0.0.1:3128"),
            ("http://p:1/x", "http://127.0.0.1:3128"),
            ("socks5h://ann@p:1", "1 to 255 bytes"),
        ] {
            let error = wrong.parse::<ProxyFlag>().unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
        assert_eq!("env".parse(), Ok(ProxyFlag::Environment));
    }

    #[test]
    fn the_proxy_finds_names_unless_it_is_told_otherwise() {
        let told: Resolve = "a.invalid:80:10.0.0.9".parse().unwrap();
        let host = |proxy: &str, to: &str, all: &[Resolve]| {
            let route = proxy.parse::<ProxyUrl>().unwrap().route(&url(to), all);
            route.map(|route| (route.host, route.port))
        };
        let named = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(
            host("http://p", "ws://a.invalid/", &[]),
            named("a.invalid", 80)
        );
        assert_eq!(
            host("socks5h://p", "wss://a.invalid/", &[]),
            named("a.invalid", 443)
        );
        assert_eq!(
            host("socks5h://p", "ws://a.invalid/", &[told]),
            named("10.0.0.9", 80)
        );
        assert_eq!(
            host("socks5://p", "ws://127.0.0.1:9/", &[]),
            named("127.0.0.1", 9)
        );
        assert!(host("socks5://p", "ws://a.invalid/", &[]).is_err());
    }

    #[test]
    fn the_environment_names_a_proxy_by_the_scheme_and_makes_exceptions() {
        let all = [
            ("http_proxy", "http://plain:1"),
            ("HTTPS_PROXY", "secure:2"),
            ("ALL_PROXY", "socks5h://all:3"),
            ("NO_PROXY", "near.test, 10.0.0.0/8,.far.test:81"),
        ];
        let found = |to: &str, but: &[&str]| {
            let read = |name: &str| {
                let mut all = all.iter().filter(|(known, _)| !but.contains(known));
                all.find(|(known, _)| *known == name)
                    .map(|(_, it)| (*it).to_owned())
            };
            let found = of_environment(&url(to), read).unwrap();
            found.map_or_else(String::new, |proxy| proxy.to_string())
        };
        assert_eq!(found("ws://a.test/", &[]), "http://plain:1");
        assert_eq!(found("https://a.test/", &[]), "http://secure:2");
        assert_eq!(
            found("https://a.test/", &["HTTPS_PROXY"]),
            "socks5h://all:3"
        );
        for straight in ["ws://near.test/", "ws://x.NEAR.test/", "ws://10.1.2.3/"] {
            assert_eq!(found(straight, &[]), "", "{straight}");
        }
        assert_eq!(found("ws://x.far.test:81/", &[]), "");
        for through in ["ws://anear.test/", "ws://11.1.2.3/", "ws://x.far.test/"] {
            assert_eq!(found(through, &[]), "http://plain:1", "{through}");
        }
        let wrong = of_environment(&url("ws://a/"), |_| Some("ftp://x".to_owned()));
        assert!(wrong.unwrap_err().starts_with("http_proxy: "));
        let wrong = |list: &str| is_excepted(list, "::1", 80);
        assert!(wrong("::/0") && wrong("[::1]") && wrong("*"));
        assert!(!wrong("0.0.0.0/0") && !wrong("::/200") && !wrong("fe80::/10"));
    }
}
