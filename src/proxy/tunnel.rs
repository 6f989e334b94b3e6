//! What a client and a proxy say until there is a tunnel: HTTP CONNECT and SOCKS5, as bytes in and
//! bytes out.

use crate::protocol::http::{HeadReader, Request, response};
use crate::shard::ProxyFault;
use std::fmt;
use std::net::IpAddr;

/// RFC 1928: the version of the protocol; RFC 1929: that of the login.
const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
/// RFC 1928, 3: ways to authenticate.
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
/// RFC 1928, 4: the command, and kinds of addresses.
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a proxy speaks, and whom it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP/1.1 CONNECT (RFC 9110, 9.3.6).
    Connect {
        /// What `Proxy-Authorization: Basic` has, if anything (RFC 7617).
        basic: Option<String>,
    },
    /// SOCKS5 (RFC 1928); the proxy finds the server's name.
    Socks5 {
        /// User and password, if any (RFC 1929): 1 to 255 bytes each.
        login: Option<(String, String)>,
    },
}

/// Through which proxy a connection goes, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRoute {
    /// What the proxy speaks.
    pub protocol: ProxyProtocol,
    /// The server: a name of at most 255 bytes, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A tunnel in the making. It says something first, then answers what comes.
#[derive(Debug)]
pub struct Tunnel<'r> {
    route: &'r ProxyRoute,
    dialogue: TunnelDialogue,
}

/// How far a tunnel is, without its route.
#[derive(Debug)]
pub(super) enum TunnelDialogue {
    /// HTTP: a response is awaited.
    Http(HeadReader),
    /// SOCKS5: these answers are awaited, of which so much has come.
    Socks(Awaited, Vec<u8>),
}

/// What a SOCKS5 proxy is to say next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Which way to authenticate.
    Method,
    /// Whether user and password are right.
    Login,
    /// Whether the server is reached.
    Reply,
}

/// Whether there is a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// More has to come from the proxy.
    Awaited,
    /// What is sent now goes to the server.
    Open,
}

/// Where it leads, as a URL has host and port.
impl fmt::Display for ProxyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl<'r> Tunnel<'r> {
    /// Begins: appends what the proxy is told first.
    #[must_use]
    pub fn begin(route: &'r ProxyRoute, out: &mut Vec<u8>) -> Self {
        Self {
            route,
            dialogue: TunnelDialogue::begin(route, out),
        }
    }

    /// Bytes came from the proxy: `at` is how many of them are used; appends the answer. What is
    /// not used once the passage is open is the server's.
    ///
    /// # Errors
    /// [`ProxyFault`]: there will be no tunnel.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Passage, ProxyFault> {
        self.dialogue.hear(self.route, (bytes, at), out)
    }
}

impl TunnelDialogue {
    pub(super) fn begin(route: &ProxyRoute, out: &mut Vec<u8>) -> Self {
        match &route.protocol {
            ProxyProtocol::Connect { basic } => {
                ask(route, basic.as_deref(), out);
                Self::Http(HeadReader::of_responses())
            }
            ProxyProtocol::Socks5 { login } => {
                out.extend_from_slice(match login {
                    None => &[VERSION, 1, NO_AUTHENTICATION],
                    Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
                });
                Self::Socks(Awaited::Method, Vec::new())
            }
        }
    }

    pub(super) fn hear(
        &mut self,
        route: &ProxyRoute,
        (bytes, at): (&[u8], &mut usize),
        out: &mut Vec<u8>,
    ) -> Result<Passage, ProxyFault> {
        match self {
            Self::Http(reader) => loop {
                let head = reader.next(bytes, at).map_err(|_| ProxyFault::Malformed)?;
                let Some(head) = head else {
                    return Ok(Passage::Awaited);
                };
                // RFC 9110, 15.2: interim responses may come before.
                match response::status(head).map_err(|_| ProxyFault::Malformed)? {
                    100 | 102..=199 => {}
                    200..=299 => return Ok(Passage::Open),
                    status => return Err(ProxyFault::Status(status)),
                }
            },
            Self::Socks(awaited, came) => loop {
                if !gathered(*awaited, came, (bytes, at))? {
                    return Ok(Passage::Awaited);
                }
                match answered(*awaited, came, route, out)? {
                    None => return Ok(Passage::Open),
                    Some(next) => *awaited = next,
                }
                came.clear();
            },
        }
    }
}

/// RFC 9110, 9.3.6: the target is host and port, also where the scheme implies the port.
fn ask(route: &ProxyRoute, basic: Option<&str>, out: &mut Vec<u8>) {
    let target = route.to_string();
    let authorization = basic.map(|basic| format!("Basic {basic}"));
    let mut fields = vec![("Host", target.as_str())];
    if let Some(authorization) = &authorization {
        fields.push(("Proxy-Authorization", authorization));
    }
    Request::encode(out, "CONNECT", &target, &fields);
}

/// Takes bytes of the message that is awaited, and none of what follows it; whether it is whole. A
/// failure is one as soon as its code is there: what follows it is of no use.
fn gathered(
    awaited: Awaited,
    came: &mut Vec<u8>,
    (bytes, at): (&[u8], &mut usize),
) -> Result<bool, ProxyFault> {
    loop {
        let whole = length(awaited, came)?;
        let missing = whole.saturating_sub(came.len());
        if missing == 0 {
            return Ok(true);
        }
        let rest = bytes.get(*at..).unwrap_or_default();
        let some = rest.get(..missing).unwrap_or(rest);
        if some.is_empty() {
            return Ok(false);
        }
        *at += some.len();
        came.extend_from_slice(some);
    }
}

/// How long the message is, as far as what has come of it tells: at least one byte more than that.
fn length(awaited: Awaited, came: &[u8]) -> Result<usize, ProxyFault> {
    match (awaited, came) {
        (Awaited::Method | Awaited::Login, _) => Ok(2),
        (Awaited::Reply, [] | [_]) => Ok(2),
        (Awaited::Reply, [version, ..]) if *version != VERSION => Err(ProxyFault::Malformed),
        (Awaited::Reply, [_, code, ..]) if *code != 0 => Err(ProxyFault::Reply(*code)),
        // RFC 1928, 6: version, code, 0, kind of address, address, port.
        (Awaited::Reply, [_, _] | [_, _, _] | [_, _, _, _]) if came.len() < 5 => Ok(5),
        (Awaited::Reply, [_, _, _, IPV4, ..]) => Ok(4 + 4 + 2),
        (Awaited::Reply, [_, _, _, IPV6, ..]) => Ok(4 + 16 + 2),
        (Awaited::Reply, [_, _, _, NAME, len, ..]) => Ok(4 + 1 + usize::from(*len) + 2),
        (Awaited::Reply, _) => Err(ProxyFault::Malformed),
    }
}

/// Appends the answer to a whole message; what is awaited then.
fn answered(
    awaited: Awaited,
    came: &[u8],
    route: &ProxyRoute,
    out: &mut Vec<u8>,
) -> Result<Option<Awaited>, ProxyFault> {
    let login = match &route.protocol {
        ProxyProtocol::Socks5 { login } => login.as_ref(),
        ProxyProtocol::Connect { .. } => None,
    };
    match (awaited, came, login) {
        (Awaited::Method, [VERSION, NO_AUTHENTICATION], _) => connect(route, out),
        (Awaited::Method, [VERSION, USER_AND_PASSWORD], Some((user, password))) => {
            out.push(LOGIN_VERSION);
            counted(user, out)?;
            counted(password, out)?;
            return Ok(Some(Awaited::Login));
        }
        // RFC 1928, 3: none of them will do.
        (Awaited::Method, [VERSION, 0xff], _) => return Err(ProxyFault::NoMethod),
        // RFC 1929, 2: 0 is success. Some proxies give their own version with it.
        (Awaited::Login, [LOGIN_VERSION | VERSION, 0], _) => connect(route, out),
        (Awaited::Login, [LOGIN_VERSION | VERSION, _], _) => return Err(ProxyFault::Login),
        (Awaited::Reply, _, _) => return Ok(None),
        (Awaited::Method | Awaited::Login, _, _) => return Err(ProxyFault::Malformed),
    }?;
    Ok(Some(Awaited::Reply))
}

/// RFC 1928, 4: the request.
fn connect(route: &ProxyRoute, out: &mut Vec<u8>) -> Result<(), ProxyFault> {
    out.extend_from_slice(&[VERSION, CONNECT, 0]);
    match route.host.parse() {
        Ok(IpAddr::V4(address)) => {
            out.push(IPV4);
            out.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            out.push(IPV6);
            out.extend_from_slice(&address.octets());
        }
        Err(_) => {
            out.push(NAME);
            counted(&route.host, out)?;
        }
    }
    out.extend_from_slice(&route.port.to_be_bytes());
    Ok(())
}

/// A text after its length in one byte.
fn counted(text: &str, out: &mut Vec<u8>) -> Result<(), ProxyFault> {
    let len = u8::try_from(text.len()).map_err(|_| ProxyFault::Malformed)?;
    out.push(len);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(protocol: ProxyProtocol, host: &str) -> ProxyRoute {
        ProxyRoute {
            protocol,
            host: host.to_owned(),
            port: 443,
        }
    }

    fn http(basic: Option<&str>) -> ProxyProtocol {
        let basic = basic.map(str::to_owned);
        ProxyProtocol::Connect { basic }
    }

    fn socks(login: Option<(&str, &str)>) -> ProxyProtocol {
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        ProxyProtocol::Socks5 { login }
    }

    /// What a client says to a proxy that says these things, one after each of its own, in pieces
    /// of that size; what came of it, and what is left for the server.
    fn talk(
        route: &ProxyRoute,
        says: &[&[u8]],
        size: usize,
    ) -> (Vec<Vec<u8>>, Result<Passage, ProxyFault>, Vec<u8>) {
        let mut out = Vec::new();
        let mut tunnel = Tunnel::begin(route, &mut out);
        let mut said = vec![std::mem::take(&mut out)];
        let (mut passage, mut left) = (Ok(Passage::Awaited), Vec::new());
        for message in says {
            for piece in message.chunks(size) {
                if passage == Ok(Passage::Open) {
                    left.extend_from_slice(piece);
                    continue;
                }
                let mut at = 0;
                passage = tunnel.hear(piece, &mut at, &mut out);
                if passage.is_err() {
                    return (said, passage, left);
                }
                left.extend_from_slice(&piece[at..]);
            }
            if !out.is_empty() {
                said.push(std::mem::take(&mut out));
            }
        }
        (said, passage, left)
    }

    /// RFC 9110, 9.3.6; RFC 7617, 2.
    #[test]
    fn connect_asks_for_host_and_port_and_takes_any_2xx_for_a_tunnel() {
        let route = route(http(Some("YTpi")), "::1");
        let answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 Connection established\r\n\
                       Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\nhello";
        for size in 1..=answer.len() {
            let (said, passage, left) = talk(&route, &[answer], size);
            assert_eq!(passage, Ok(Passage::Open), "in pieces of {size}");
            assert_eq!(left, b"hello", "in pieces of {size}");
            let request = String::from_utf8(said.concat()).unwrap();
            assert_eq!(
                request,
                "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
                 Proxy-Authorization: Basic YTpi\r\n\r\n"
            );
        }
    }

    #[test]
    fn another_status_and_what_is_no_response_are_told_apart() {
        let route = route(http(None), "a.test");
        let failed = |answer: &[u8]| talk(&route, &[answer], 3).1;
        for (answer, fault) in [
            ("HTTP/1.1 407 No\r\n\r\n", ProxyFault::Status(407)),
            ("HTTP/1.1 301 No\r\n\r\n", ProxyFault::Status(301)),
            ("HTTP/1.1 101 No\r\n\r\n", ProxyFault::Status(101)),
            ("SSH-2.0-x\r\n\r\n", ProxyFault::Malformed),
        ] {
            assert_eq!(failed(answer.as_bytes()), Err(fault), "{answer}");
        }
        assert_eq!(failed(b"HTTP/1.1 200 OK\r\n"), Ok(Passage::Awaited));
    }

    /// RFC 1928, 3, 4 and 6: the proxy finds the name.
    #[test]
    fn socks_gives_the_name_or_the_address_of_the_server() {
        for (host, address) in [
            ("a.test", &b"\x03\x06a.test"[..]),
            ("10.0.0.9", &[1, 10, 0, 0, 9]),
            ("::2", &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
        ] {
            for bound in [
                &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'h', b'i'][..],
                &[5, 0, 0, 3, 2, b'x', b'y', 0, 0, b'h', b'i'],
                &[&[5, 0, 0, 4][..], &[0; 18], b"hi"].concat(),
            ] {
                let route = route(socks(None), host);
                for size in 1..=bound.len() {
                    let (said, passage, left) = talk(&route, &[&[5, 0], bound], size);
                    assert_eq!(passage, Ok(Passage::Open), "{host}, in pieces of {size}");
                    let request = [&[5, 1, 0][..], address, &443_u16.to_be_bytes()].concat();
                    assert_eq!(said, [vec![5, 1, 0], request]);
                    assert_eq!(left, b"hi", "{host}, in pieces of {size}");
                }
            }
        }
    }

    /// RFC 1929, 2.
    #[test]
    fn socks_logs_in_where_the_proxy_wants_it() {
        let route = route(socks(Some(("ann", "pw"))), "a");
        let open = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (said, passage, _) = talk(&route, &[&[5, 2], &[1, 0], &open], 1);
        assert_eq!(passage, Ok(Passage::Open));
        assert_eq!(said[..2], [vec![5, 2, 0, 2], b"\x01\x03ann\x02pw".to_vec()]);
        let (_, passage, _) = talk(&route, &[&[5, 0], &open], 1);
        assert_eq!(passage, Ok(Passage::Open), "it need not want it");
    }

    #[test]
    fn each_way_in_which_socks_refuses_has_its_name() {
        let plain = route(socks(None), "a");
        let login = route(socks(Some(("ann", "no"))), "a");
        for (route, says, name) in [
            (&plain, &[&[5, 0xff][..]][..], "socks_no_method"),
            (&plain, &[&[5, 2]], "malformed"),
            (&plain, &[&[4, 90]], "malformed"),
            (&plain, &[b"HTTP/1.1 400"], "malformed"),
            (&login, &[&[5, 2], &[1, 1]], "socks_login"),
            (&plain, &[&[5, 0], &[5, 5]], "socks_connection_refused"),
            (&plain, &[&[5, 0], &[5, 2, 0, 1]], "socks_not_allowed"),
            (&plain, &[&[5, 0], &[5, 99]], "socks_99"),
            (&plain, &[&[5, 0], &[5, 0, 0, 9, 0, 0]], "malformed"),
        ] {
            for size in [1, 2, 20] {
                let (_, passage, _) = talk(route, says, size);
                let fault = passage.expect_err(name).to_string();
                assert_eq!(fault, name, "in pieces of {size}");
            }
        }
    }
}
