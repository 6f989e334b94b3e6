//! What an authority says of a certificate (OCSP), for clients that ask with their handshake
//! (RFC 6066, 8).

use crate::cli::Failure;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::asn1_rs::{Any, FromDer as _};
use x509_parser::time::ASN1Time;

/// What an authority has said.
#[derive(Debug)]
pub(super) struct Staple {
    /// An `OCSPResponse`.
    pub(super) answer: Vec<u8>,
    /// When there is a newer one; `None` if it does not say (RFC 6960, 4.2.2.1).
    until: Option<SystemTime>,
}

impl Staple {
    /// Whether clients would take it for none.
    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until < now)
    }
}

/// Reads an `OCSPResponse` (RFC 6960, 4.2.1).
///
/// # Errors
/// It is none, or one of an authority that did not answer.
pub(super) fn read(path: &Path) -> Result<Staple, Failure> {
    let usage = |what: &str| {
        let text = format!("--tls-ocsp: {}: {what}", path.display());
        Failure::Usage(format!(
            "{text}; try: the file that openssl ocsp -respout FILE writes"
        ))
    };
    let answer = fs::read(path).map_err(|error| usage(&error.to_string()))?;
    match status(&answer) {
        Some(0) => {
            let until = next_update(&answer);
            Ok(Staple { answer, until })
        }
        Some(_) => Err(usage("the authority has not answered what was asked")),
        None => Err(usage("it is no answer of OCSP in DER")),
    }
}

/// The first `nextUpdate` of what an `OCSPResponse` says of certificates (RFC 6960, 4.2.1).
fn next_update(answer: &[u8]) -> Option<SystemTime> {
    let basic = members(inside(answer)?)
        .find(|member| tag(member) == EXPLICIT_0)
        .and_then(|explicit| members(inside(inside(explicit)?)?).last())?;
    let said = members(inside(inside(basic)?)?).next()?;
    // `responses` is the only sequence of `ResponseData`.
    let responses = members(inside(said)?).find(|member| tag(member) == SEQUENCE)?;
    let times = members(inside(responses)?).filter_map(|single| {
        // Behind `thisUpdate`: before it `certStatus` may have the same tag.
        let mut rest = members(inside(single)?).skip_while(|it| tag(it) != GENERALIZED_TIME);
        let next = rest.find(|member| tag(member) == EXPLICIT_0)?;
        let (_, time) = ASN1Time::from_der(inside(next)?).ok()?;
        let unix_s = u64::try_from(time.timestamp()).unwrap_or(0);
        Some(UNIX_EPOCH + Duration::from_secs(unix_s))
    });
    times.min()
}

const SEQUENCE: u8 = 0x30;
const GENERALIZED_TIME: u8 = 0x18;
const EXPLICIT_0: u8 = 0xa0;

/// The first byte of a value.
fn tag(value: &[u8]) -> u8 {
    value.first().copied().unwrap_or(0)
}

/// What a value contains.
fn inside(value: &[u8]) -> Option<&[u8]> {
    Any::from_der(value).ok().map(|(_, any)| any.data)
}

/// The values one after the other.
fn members(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (after, _) = Any::from_der(rest).ok()?;
        let (value, after) = rest.split_at_checked(rest.len() - after.len())?;
        rest = after;
        Some(value)
    })
}

/// `responseStatus`: the first member of the sequence, which is as long as its file.
fn status(answer: &[u8]) -> Option<u8> {
    let (&[tag, length], rest) = answer.split_first_chunk()?;
    // X.690, 8.1.3: up to 127, or a count of bytes that have the length.
    let bytes = usize::from(length & 0x7f);
    let (length, rest) = match length {
        0..=127 => (bytes, rest),
        _ if bytes <= 4 => {
            let (length, rest) = rest.split_at_checked(bytes)?;
            let length = length.iter().fold(0, |sum, &it| sum << 8 | usize::from(it));
            (length, rest)
        }
        _ => return None,
    };
    match rest {
        [0x0a, 1, status, ..] if tag == 0x30 && rest.len() == length => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let length = u8::try_from(content.len()).unwrap();
        let head = match length {
            0..=127 => vec![tag, length],
            _ => vec![tag, 0x81, length],
        };
        [head, content].concat()
    }

    /// What an authority says of some certificates, each until then.
    fn response(until: &[Option<&str>]) -> Vec<u8> {
        let time = |text: &str| value(GENERALIZED_TIME, &[text.as_bytes()]);
        let singles = until.iter().map(|until| {
            let next = until.map(|until| value(EXPLICIT_0, &[&time(until)]));
            let id = value(SEQUENCE, &[&[4, 1, 9]]);
            // `good` is `[0] IMPLICIT NULL`, with the number that an explicit tag has too.
            let parts = [id, vec![0x80, 0], time("20250101000000Z")];
            let parts = parts.into_iter().chain(next);
            value(SEQUENCE, &[&parts.collect::<Vec<_>>().concat()])
        });
        let responses = value(SEQUENCE, &[&singles.collect::<Vec<_>>().concat()]);
        let responder = value(0xa2, &[&value(4, &[b"key"])]);
        let said = value(
            SEQUENCE,
            &[&responder, &time("20250101000000Z"), &responses],
        );
        let basic = value(SEQUENCE, &[&said, &value(SEQUENCE, &[]), &[3, 1, 0]]);
        let bytes = value(SEQUENCE, &[&[6, 1, 0x2b], &value(4, &[&basic])]);
        value(SEQUENCE, &[&[0x0a, 1, 0], &value(EXPLICIT_0, &[&bytes])])
    }

    #[test]
    fn an_answer_is_good_until_the_next_one_is_there() {
        let at = |unix_s| Some(UNIX_EPOCH + Duration::from_secs(unix_s));
        let first = Some("20260101000000Z");
        for (until, found) in [
            (&[first][..], at(1_767_225_600)),
            (&[Some("20300101000000Z"), first], at(1_767_225_600)),
            (&[None, first], at(1_767_225_600)),
            (&[None], None),
            (&[], None),
        ] {
            let answer = response(until);
            assert_eq!(status(&answer), Some(0), "{answer:?}");
            assert_eq!(next_update(&answer), found, "{until:?}");
            for cut in 0..answer.len() {
                assert_eq!(next_update(&answer[..cut]), None, "{cut}");
            }
        }
        let until = at(1_767_225_600);
        let staple = Staple {
            answer: Vec::new(),
            until,
        };
        assert!(!staple.has_expired(UNIX_EPOCH));
        assert!(staple.has_expired(SystemTime::now()));
    }

    #[test]
    fn the_status_of_an_answer_is_found_or_it_is_none() {
        let long = [&[0x30, 0x81, 200, 0x0a, 1, 0][..], &[0; 197]].concat();
        for (answer, found) in [
            (&[0x30, 3, 0x0a, 1, 0][..], Some(0)),
            (&long, Some(0)),
            // RFC 6960, 4.2.1: tryLater.
            (&[0x30, 3, 0x0a, 1, 3], Some(3)),
            (&[0x30, 4, 0x0a, 1, 0], None),
            (&[0x30, 0x85, 0, 0, 0, 0, 3, 0x0a, 1, 0], None),
            (&[0x30, 0x82, 1], None),
            (&[0x31, 3, 0x0a, 1, 0], None),
            (b"-----BEGIN OCSP RESPONSE-----", None),
            (&[], None),
        ] {
            assert_eq!(status(answer), found, "{answer:?}");
        }
    }
}
