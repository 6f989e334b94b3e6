//! What a client takes: the weights of `Accept` and `Accept-Encoding` (RFC 9110, 12.5.1, 12.5.3 and
//! 12.4.2).

use super::Headers;

/// How much a client wants a media type, in thousandths: 0 says that it is not acceptable. `None`
/// if the client says nothing about it.
///
/// The most specific range counts, and of equals, which differ in parameters, the one that is
/// wanted most: it may be given. Parameters are left aside, as are empty members of the list
/// (RFC 9110, 5.6.1.2) and ranges with a malformed weight.
#[must_use]
pub fn quality(headers: &Headers<'_>, media_type: &str) -> Option<u16> {
    let kind = media_type.split('/').next().unwrap_or_default();
    let mut found: Option<(u8, u16)> = None;
    for range in headers.all("accept").flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next().unwrap_or_default();
        let specific = match name.split_once('/') {
            _ if name.eq_ignore_ascii_case(media_type) => 3,
            Some((range, "*")) if range.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        if let Some(quality) = weight_of(parts) {
            found = found.max(Some((specific, quality)));
        }
    }
    found.map(|(_, quality)| quality)
}

/// How much a client wants a content coding, in thousandths: 0 says that it is not acceptable. One
/// that it does not name is what `*` is, and not acceptable without it.
#[must_use]
pub fn coding_quality(headers: &Headers<'_>, coding: &str) -> u16 {
    let mut found: Option<(bool, u16)> = None;
    for member in headers
        .all("accept-encoding")
        .flat_map(|list| list.split(','))
    {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next().unwrap_or_default();
        let is_named = name.eq_ignore_ascii_case(coding);
        if !is_named && name != "*" {
            continue;
        }
        if let Some(quality) = weight_of(parts) {
            found = found.max(Some((is_named, quality)));
        }
    }
    found.map_or(0, |(_, quality)| quality)
}

/// The weight among the parameters of a member; `None` for a malformed one.
fn weight_of<'p>(mut parameters: impl Iterator<Item = &'p str>) -> Option<u16> {
    let weight = parameters.find_map(|part| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("q") => Some(weight(value)),
        _ => None,
    });
    weight.unwrap_or(Some(1000))
}

/// `qvalue`: 0 to 1 with at most three digits behind the dot.
fn weight(value: &str) -> Option<u16> {
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    let is_sound = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let part = format!("{rest:0<3}").parse().ok()?;
    match (whole, part) {
        _ if !is_sound => None,
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Request;

    fn wanted(accept: &str, media_type: &str) -> Option<u16> {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
        quality(
            &Request::parse(head.as_bytes()).unwrap().headers,
            media_type,
        )
    }

    #[test]
    fn the_most_specific_range_has_the_weight() {
        // RFC 9110, 12.5.1 and 12.4.2.
        for (accept, quality) in [
            ("", None),
            ("Accept: \r\n", None),
            ("Accept: text/html\r\n", None),
            ("Accept: text/plain\r\n", Some(1000)),
            ("Accept: TEXT/Plain;format=flowed ; Q=0.25\r\n", Some(250)),
            (
                "Accept: */*;q=0.1, text/*;q=0, text/plain;q=0.3\r\n",
                Some(300),
            ),
            ("Accept: text/*;q=0\r\nAccept: */*\r\n", Some(0)),
            ("Accept: */*\r\n", Some(1000)),
            ("Accept: ,, text/plain;q=0.000,,\r\n", Some(0)),
            ("Accept: text/plain;q=1.001, */*;q=0.5\r\n", Some(500)),
            (
                "Accept: text/plain;q=-1\r\nAccept: text/plain;q=0.1234\r\n",
                None,
            ),
            (
                "Accept: text/plain;v=1;q=0.2, text/plain;v=2;q=0.4\r\n",
                Some(400),
            ),
            (
                "Accept: text/plain;v=1;q=0.4, text/plain;v=2;q=0.2, text/*\r\n",
                Some(400),
            ),
        ] {
            assert_eq!(wanted(accept, "text/plain"), quality, "{accept:?}");
        }
    }

    #[test]
    fn a_coding_that_is_not_named_is_what_the_star_is() {
        // RFC 9110, 12.5.3.
        for (accept, quality) in [
            ("", 0),
            ("Accept-Encoding: gzip, deflate, br\r\n", 1000),
            ("Accept-Encoding: GZIP;q=0.5\r\n", 500),
            ("Accept-Encoding: br\r\n", 0),
            ("Accept-Encoding: *;q=0.3\r\n", 300),
            ("Accept-Encoding: *, gzip;q=0\r\n", 0),
            ("Accept-Encoding: gzip;q=2\r\n", 0),
            (
                "Accept-Encoding: identity\r\nAccept-Encoding: gzip\r\n",
                1000,
            ),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
            let request = Request::parse(head.as_bytes()).unwrap();
            assert_eq!(
                coding_quality(&request.headers, "gzip"),
                quality,
                "{accept:?}"
            );
        }
    }
}
