//! Where to listen: what may be typed, and what it means on this host.

mod systemd;

use super::Failure;
use crate::engine::ListenPlace;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
pub(super) use systemd::HandedSockets;

/// What was typed for a place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// An address.
    Address(TypedAddress),
    /// `unix:PATH`.
    Path(PathBuf),
    /// `systemd`: the sockets that whoever started the process has handed over.
    Systemd,
}

/// What was typed for an address: a port of every address, or a port of a name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypedAddress {
    typed: String,
    /// `None` for every address of this host.
    host: Option<String>,
    port: u16,
}

const EXAMPLES: &str =
    "write a port or an address and a port, such as 9000, 127.0.0.1:9000 or [::]:9000";

/// What a path begins with.
pub(super) const UNIX: &str = "unix:";

/// Reads `unix:/run/ringstorm.sock`, `systemd` or an address.
pub(super) fn parse(text: &str) -> Result<Listen, String> {
    match text.strip_prefix(UNIX) {
        Some("") => Err("write a path, such as unix:/run/ringstorm.sock".to_owned()),
        Some(path) => Ok(Listen::Path(path.into())),
        None if text == "systemd" => Ok(Listen::Systemd),
        None => address(text).map(Listen::Address),
    }
}

/// Reads the permissions of a file, as chmod(1) has them: `660`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|it| *it <= 0o777);
    mode.ok_or_else(|| "write permissions as chmod has them, such as 660".to_owned())
}

/// Reads `9000`, `:9000`, `*:9000`, `127.0.0.1:9000`, `[::1]:9000`, `[fe80::1%eth0]:9000` or
/// `localhost:9000`. Names are looked up later.
fn address(text: &str) -> Result<TypedAddress, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => ("", text),
    };
    let wrong = || Err(EXAMPLES.to_owned());
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong();
    }
    let Ok(number) = port.parse() else {
        return Err(format!("ports end at 65535; {EXAMPLES}"));
    };
    let host = match host {
        "" | "*" => None,
        _ => match host.strip_prefix('[') {
            Some(rest) => match rest.strip_suffix(']') {
                Some(inside) if is_ipv6(inside) => Some(inside),
                _ => return wrong(),
            },
            None if host.contains(':') => {
                return Err(format!("an IPv6 address is in brackets; {EXAMPLES}"));
            }
            None if host.contains(['/', '[', ']', '@', ' ']) => return wrong(),
            None => Some(host),
        },
    };
    Ok(TypedAddress {
        typed: text.to_owned(),
        host: host.map(str::to_owned),
        port: number,
    })
}

/// RFC 4007, 11: an address may name its zone behind `%`.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty()
}

/// The places that are meant by `flag`, in the order typed: several addresses for a name that has
/// several. `mode` is the permissions of paths.
pub(super) fn places(
    flag: &str,
    typed: &[Listen],
    (mode, handed): (u32, &HandedSockets),
) -> Result<Vec<ListenPlace>, Failure> {
    let mut all: Vec<ListenPlace> = Vec::new();
    for one in typed {
        let found = match one {
            Listen::Path(path) => vec![ListenPlace::Path(path.clone(), mode)],
            Listen::Systemd => handed.places()?,
            Listen::Address(typed) => {
                let addresses = typed.resolve(flag)?.into_iter();
                addresses.map(ListenPlace::Address).collect()
            }
        };
        for place in found {
            check(flag, &all, &place)?;
            all.push(place);
        }
    }
    Ok(all)
}

/// Names what keeps a place from being listened at beside the others.
pub(super) fn check(
    flag: &str,
    others: &[ListenPlace],
    place: &ListenPlace,
) -> Result<(), Failure> {
    let wrong = |text: String| {
        Err(Failure::Usage(format!(
            "{flag}: {text}; leave one of them out"
        )))
    };
    if others.contains(place) && place.address().is_none_or(|it| it.port() != 0) {
        return wrong(format!("{place} is given twice"));
    }
    let addresses = others.iter().filter_map(ListenPlace::address);
    let clashes = addresses.zip(std::iter::repeat(place.address()));
    let mut clashes = clashes.filter_map(|(other, address)| Some((other, address?)));
    let Some((other, address)) = clashes.find(|&(other, address)| clash(other, address)) else {
        return Ok(());
    };
    wrong(if other == address {
        format!("{address} is given twice")
    } else if other.ip().is_unspecified() {
        format!("{other} takes in {address}")
    } else {
        format!("{address} takes in {other}")
    })
}

/// Whether one socket of the two would keep the other from its port.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let wide = one.ip().is_unspecified() || other.ip().is_unspecified();
    let family = one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && family && (one == other || wide)
}

impl TypedAddress {
    fn resolve(&self, flag: &str) -> Result<Vec<SocketAddr>, Failure> {
        let Some(host) = &self.host else {
            return Ok(vec![SocketAddr::new(every_address(), self.port)]);
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        // Names, and zones by the name of their interface, are getaddrinfo's.
        let found = (host.as_str(), self.port).to_socket_addrs();
        let found = found.map_err(|error| {
            let error = error.to_string();
            let error = error.rsplit(": ").next().unwrap_or(&error);
            Failure::Usage(format!(
                "{flag}: {}: {host} is no address of this host ({error}); see `ip addr`, or {}",
                self.typed, EXAMPLES
            ))
        })?;
        let mut all: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        // A name may have an address of a family that this host has not.
        let usable: Vec<SocketAddr> = all.iter().copied().filter(|it| is_ours(*it)).collect();
        Ok(if usable.is_empty() { all } else { usable })
    }
}

/// What stands for all addresses: IPv6's also takes IPv4, where the host has IPv6.
fn every_address() -> IpAddr {
    let six = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    if is_ours(SocketAddr::new(six, 0)) {
        six
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// Whether a socket of this host can have the address, on a port that is free.
fn is_ours(mut address: SocketAddr) -> bool {
    address.set_port(0);
    TcpListener::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(texts: &[&str]) -> Result<Vec<String>, String> {
        let typed: Result<Vec<Listen>, String> = texts.iter().map(|text| parse(text)).collect();
        let with = (0o660, &HandedSockets::default());
        let places = places("--listen", &typed?, with).map_err(|error| error.to_string())?;
        Ok(places.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_port_alone_means_every_address() {
        let every = SocketAddr::new(every_address(), 9000).to_string();
        for text in ["9000", ":9000", "*:9000"] {
            assert_eq!(meant(&[text]), Ok(vec![every.clone()]), "{text}");
        }
    }

    #[test]
    fn names_and_zones_are_looked_up() {
        assert!(
            meant(&["localhost:9000"])
                .unwrap()
                .contains(&"127.0.0.1:9000".to_owned())
        );
        let zone = meant(&["[fe80::1%lo]:9000"]).unwrap();
        assert!(
            zone[0].starts_with("[fe80::1%") && zone[0].ends_with("]:9000"),
            "{zone:?}"
        );
        for text in ["[::1]:9000", "[::]:0", "10.1.2.3:80"] {
            assert_eq!(meant(&[text]), Ok(vec![text.to_owned()]));
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is_and_once() {
        let path = "unix:/run/a b.sock";
        assert_eq!(meant(&[path]), Ok(vec![path.to_owned()]));
        let error = meant(&[path, "9000", path]).unwrap_err();
        assert!(error.contains("/run/a b.sock is given twice"), "{error}");
        assert!(parse("unix:").unwrap_err().contains("unix:/run"));
        assert_eq!(mode("0620"), Ok(0o620));
        for wrong in ["1000", "8", "rw", "-1"] {
            assert!(mode(wrong).unwrap_err().contains("660"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_with_one_that_is() {
        for text in [
            "",
            ":",
            "::1:9000",
            "::",
            "[::1]",
            "[::1",
            "[::1%]:9",
            "[1.2.3.4]:9",
            "host",
            "a:b",
            "1:99999",
            "127.0.0.1:",
            "http://127.0.0.1:9000",
            "9000x",
            "-1",
            "[fe80::1%nope]:9",
            "no.such.host.invalid:9000",
        ] {
            let error = meant(&[text]).unwrap_err();
            assert!(error.contains("127.0.0.1:9000"), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_given_twice_is_named() {
        for (texts, named) in [
            (
                ["127.0.0.1:9000", "127.0.0.1:9000"],
                "127.0.0.1:9000 is given twice",
            ),
            (["[::1]:9000", "[0:0::1]:9000"], "[::1]:9000 is given twice"),
            (
                ["0.0.0.0:9000", "127.0.0.1:9000"],
                "0.0.0.0:9000 takes in 127.0.0.1:9000",
            ),
            (["[::1]:9000", "[::]:9000"], "[::]:9000 takes in [::1]:9000"),
        ] {
            let error = meant(&texts).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        // Two free ports, two families, two ports: no clash.
        for texts in [
            ["127.0.0.1:0", "127.0.0.1:0"],
            ["0.0.0.0:9000", "[::]:9000"],
            ["127.0.0.1:9000", "[::]:9000"],
            ["127.0.0.1:9000", "127.0.0.1:9001"],
        ] {
            assert_eq!(meant(&texts), Ok(texts.map(str::to_owned).to_vec()));
        }
    }
}
