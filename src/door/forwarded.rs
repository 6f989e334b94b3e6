//! Whom a trusted proxy speaks for: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Each proxy appends whom it was asked by. So the list is read from its end: what trusted proxies
//! have appended is true, and the first that is none of them is the client. What stands before that
//! anyone may have written.

use super::block::AddressBlock;
use std::net::{IpAddr, SocketAddr};

/// The client, by the values of the fields in their order; `None` if they do not tell.
///
/// `Forwarded` is asked first. A client that hides (`unknown`, `_name`) is `None`.
pub fn client<'v>(
    forwarded: impl Iterator<Item = &'v str>,
    x_forwarded_for: impl Iterator<Item = &'v str>,
    trusted: &[AddressBlock],
) -> Option<IpAddr> {
    let standard: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    if !standard.is_empty() {
        return last_stranger(standard.into_iter().rev().map(standard_node), trusted);
    }
    let common: Vec<&str> = x_forwarded_for.flat_map(|value| value.split(',')).collect();
    last_stranger(common.into_iter().rev().map(node), trusted)
}

/// The first that is not trusted; if all are, the farthest.
fn last_stranger(
    nodes: impl Iterator<Item = Option<IpAddr>>,
    trusted: &[AddressBlock],
) -> Option<IpAddr> {
    let mut farthest = None;
    for node in nodes {
        let address = node?;
        if !trusted.iter().any(|network| network.contains(address)) {
            return Some(address);
        }
        farthest = Some(address);
    }
    farthest
}

/// RFC 7239, 4: `for=` among pairs that `;` divides.
fn standard_node(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    node(value.trim().trim_matches('"'))
}

/// An address, perhaps with a port; of IPv6 in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(forwarded: &[&str], common: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap());
        let client = client(forwarded.iter().copied(), common.iter().copied(), &trusted);
        client.map(|it| it.to_string())
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        for (common, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            // The first was written by the client itself.
            (&["127.0.0.1, 192.0.2.1"], Some("192.0.2.1")),
            (&["192.0.2.1, 10.0.0.7", "10.0.0.8"], Some("192.0.2.1")),
            (&["10.0.0.7,10.0.0.8"], Some("10.0.0.7")),
            (&["192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&["192.0.2.1,"], None),
            (&[], None),
        ] {
            assert_eq!(found(&[], common).as_deref(), expected, "{common:?}");
        }
    }

    /// RFC 7239, 4 and 6.
    #[test]
    fn the_standard_field_is_read_as_its_examples_are_and_goes_first() {
        for (standard, expected) in [
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                Some("192.0.2.60"),
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                Some("2001:db8:cafe::17"),
            ),
            ("for=192.0.2.43, for=10.1.1.1", Some("192.0.2.43")),
            ("for=192.0.2.43, for=\"_gazonk\"", None),
            ("proto=http", None),
        ] {
            assert_eq!(found(&[standard], &["198.51.100.9"]).as_deref(), expected);
        }
    }
}
