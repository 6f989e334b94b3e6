//! What an authority says of a certificate (OCSP), for clients that ask with their handshake
//! (RFC 6066, 8).

use crate::cli::Failure;
use std::fs;
use std::path::Path;

/// Reads an `OCSPResponse` (RFC 6960, 4.2.1).
///
/// # Errors
/// It is none, or one of an authority that did not answer.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let usage = |what: &str| {
        let text = format!("--tls-ocsp: {}: {what}", path.display());
        Failure::Usage(format!(
            "{text}; try: the file that openssl ocsp -respout FILE writes"
        ))
    };
    let answer = fs::read(path).map_err(|error| usage(&error.to_string()))?;
    match status(&answer) {
        Some(0) => Ok(answer),
        Some(_) => Err(usage("the authority has not answered what was asked")),
        None => Err(usage("it is no answer of OCSP in DER")),
    }
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
