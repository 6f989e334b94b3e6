//! The PROXY protocol, versions 1 and 2: what a proxy says first of whose connection it passes on
//! (HAProxy, doc/proxy-protocol.txt).

use crate::limits;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What version 2 begins with (2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses of version 2.
const FIXED: usize = 16;
/// What version 1 begins with, and the most bytes of its line (2.1).
const LINE: &[u8] = b"PROXY ";
const LINE_BYTES: usize = 107;

/// A header, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// More has to come.
    Partial,
    /// It is whole.
    Whole {
        /// Its bytes.
        length: usize,
        /// Whose connection it is; `None` for the proxy's own (`LOCAL`, `UNKNOWN`).
        client: Option<IpAddr>,
    },
}

/// These bytes begin with no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no header of the PROXY protocol")]
pub struct NoProxyHeader;

impl ProxyHeader {
    /// Reads what a connection begins with.
    ///
    /// # Errors
    /// [`NoProxyHeader`], as soon as it cannot become one.
    pub fn read(bytes: &[u8]) -> Result<Self, NoProxyHeader> {
        if begins(bytes, SIGNATURE) {
            second(bytes)
        } else if begins(bytes, LINE) {
            first(bytes)
        } else {
            Err(NoProxyHeader)
        }
    }
}

/// Whether all that there is of both is the same.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

/// 2.1: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n`.
fn first(bytes: &[u8]) -> Result<ProxyHeader, NoProxyHeader> {
    let line = bytes.get(..LINE_BYTES).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|it| it == b"\r\n") else {
        return match line.len() < LINE_BYTES {
            true => Ok(ProxyHeader::Partial),
            false => Err(NoProxyHeader),
        };
    };
    let line = line.get(LINE.len()..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| NoProxyHeader)?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match *words {
        ["UNKNOWN", ..] => None,
        ["TCP4", client, _, _, _] => Some(client.parse::<Ipv4Addr>().map(IpAddr::from)),
        ["TCP6", client, _, _, _] => Some(client.parse::<Ipv6Addr>().map(IpAddr::from)),
        _ => return Err(NoProxyHeader),
    };
    Ok(ProxyHeader::Whole {
        length: end + 2,
        client: client.transpose().map_err(|_| NoProxyHeader)?,
    })
}

/// 2.2: the signature, version and command, family, the length of the rest, addresses, more.
fn second(bytes: &[u8]) -> Result<ProxyHeader, NoProxyHeader> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(ProxyHeader::Partial);
    };
    let [.., command, family, high, low] = *fixed;
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    let is_known = matches!(command, 0x20 | 0x21);
    if !is_known || length > limits::PROXY_HEADER_BYTES {
        return Err(NoProxyHeader);
    }
    let Some(rest) = bytes.get(FIXED..length) else {
        return Ok(ProxyHeader::Partial);
    };
    let client = match (command, family) {
        (0x21, 0x11) => {
            let four = rest.first_chunk::<4>().filter(|_| rest.len() >= 12);
            Some(IpAddr::from(*four.ok_or(NoProxyHeader)?))
        }
        (0x21, 0x21) => {
            let six = rest.first_chunk::<16>().filter(|_| rest.len() >= 36);
            Some(IpAddr::from(*six.ok_or(NoProxyHeader)?))
        }
        // The proxy's own connection, or of a kind that has no address.
        _ => None,
    };
    Ok(ProxyHeader::Whole { length, client })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, rest].concat()
    }

    fn whole(length: usize, client: Option<&str>) -> Result<ProxyHeader, NoProxyHeader> {
        let client = client.map(|it| it.parse().unwrap());
        Ok(ProxyHeader::Whole { length, client })
    }

    #[test]
    fn a_header_is_read_wherever_it_is_cut() {
        let six: Vec<u8> = (0..36).collect();
        for (header, client) in [
            (
                b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n".to_vec(),
                Some("192.0.2.1"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 65535 65535\r\n".to_vec(),
                Some("2001:db8::1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (
                v2(0x21, 0x11, &[192, 0, 2, 7, 1, 1, 1, 1, 0, 80, 0, 81]),
                Some("192.0.2.7"),
            ),
            (v2(0x21, 0x21, &six), Some("1:203:405:607:809:a0b:c0d:e0f")),
            (
                v2(
                    0x21,
                    0x11,
                    &[192, 0, 2, 8, 1, 1, 1, 1, 0, 80, 0, 81, 4, 0, 0],
                ),
                Some("192.0.2.8"),
            ),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ] {
            let length = header.len();
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(
                ProxyHeader::read(&followed),
                whole(length, client),
                "{header:?}"
            );
            for cut in 0..length {
                let read = ProxyHeader::read(&header[..cut]);
                assert_eq!(read, Ok(ProxyHeader::Partial), "{cut} of {header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_is_seen() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"P0".to_vec(),
            b"PROXY TCP4 192.0.2 1.1.1.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            long,
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x11, &[0; 60_000]),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
        ] {
            assert_eq!(ProxyHeader::read(&bytes), Err(NoProxyHeader), "{bytes:?}");
        }
    }
}
