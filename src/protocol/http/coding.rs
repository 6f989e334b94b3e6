//! Takes a content coding off a body that has one, though none was asked for (RFC 9110, 8.4).

use super::Headers;
use crate::protocol::Fault;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::fmt;
use std::io::{self, Write};

/// Packed bytes inflated at a time: each may become a thousand, and what they become is held.
const STEP_BYTES: usize = 256;

/// How the content of a response is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950; some servers mean RFC 1951 (RFC 9110, 8.4.1.2).
    Deflate,
}

impl Coding {
    /// What the head of a response says.
    ///
    /// # Errors
    /// [`Fault::Response`] for a coding that is none of these, or several.
    pub fn of(headers: &Headers<'_>) -> Result<Self, Fault> {
        let mut coding = Self::Identity;
        let values = headers.values("content-encoding");
        for name in values.flat_map(|value| value.split(|&byte| byte == b',')) {
            let name = super::headers::trim(name);
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let next = match () {
                () if name.is_empty() || is("identity") => continue,
                // RFC 9110, 8.4.1.3: the same.
                () if is("gzip") || is("x-gzip") => Self::Gzip,
                () if is("deflate") => Self::Deflate,
                () if is("br") => return unknown("a content coding that was not asked for: br"),
                () if is("zstd") => {
                    return unknown("a content coding that was not asked for: zstd");
                }
                () => return unknown("a content coding that was not asked for"),
            };
            if coding != Self::Identity {
                return unknown("several content codings that were not asked for");
            }
            coding = next;
        }
        Ok(coding)
    }
}

fn unknown<T>(reason: &'static str) -> Result<T, Fault> {
    Err(Fault::Response { reason })
}

/// Inflates one body, whatever the pieces it comes in. It takes about 50 KiB: for the few servers
/// that code what nobody asked them to.
pub struct Inflater {
    unpacking: Unpacking,
}

enum Unpacking {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// Deflated; which of the two formats, its first byte says.
    Unknown,
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
}

impl Inflater {
    /// At the start of a body; `None` for one that is not coded.
    #[must_use]
    pub fn new(coding: Coding) -> Option<Self> {
        let unpacking = match coding {
            Coding::Identity => return None,
            Coding::Gzip => Unpacking::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Unpacking::Unknown,
        };
        Some(Self { unpacking })
    }

    /// What some of `packed[*at..]` becomes, maybe nothing; `None` when all of it is used. What can
    /// be known from what came is given, and not kept for later.
    ///
    /// # Errors
    /// [`Fault::Response`] for bytes that are not coded so.
    pub fn next(&mut self, packed: &[u8], at: &mut usize) -> Result<Option<&[u8]>, Fault> {
        let rest = packed.get(*at..).unwrap_or_default();
        let Some(&first) = rest.first() else {
            return Ok(None);
        };
        let step = rest.get(..STEP_BYTES).unwrap_or(rest);
        *at += step.len();
        if matches!(self.unpacking, Unpacking::Unknown) {
            // RFC 1950, 2.2: method 8, and a window of at most 32 KiB.
            let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
            self.unpacking = if is_zlib {
                Unpacking::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Unpacking::Raw(DeflateDecoder::new(Vec::new()))
            };
        }
        let unpacked = match &mut self.unpacking {
            Unpacking::Gzip(into) => put(into, step),
            Unpacking::Zlib(into) => put(into, step),
            Unpacking::Raw(into) => put(into, step),
            Unpacking::Unknown => return Ok(None),
        };
        let reason = "content that is not coded as its head says";
        unpacked.map(Some).map_err(|_| Fault::Response { reason })
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// What an inflater keeps its output in.
trait Keeps: Write {
    fn kept(&mut self) -> &mut Vec<u8>;
}

impl Keeps for MultiGzDecoder<Vec<u8>> {
    fn kept(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

impl Keeps for ZlibDecoder<Vec<u8>> {
    fn kept(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

impl Keeps for DeflateDecoder<Vec<u8>> {
    fn kept(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

/// Inflates these bytes into memory that is emptied before.
fn put<'i>(into: &'i mut impl Keeps, bytes: &[u8]) -> io::Result<&'i [u8]> {
    into.kept().clear();
    into.write_all(bytes)?;
    into.flush()?;
    Ok(into.kept())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Response;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn coding(fields: &str) -> Result<Coding, Fault> {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        Coding::of(&Response::parse(head.as_bytes()).unwrap().headers)
    }

    /// Two events, with a flush of the coder behind each.
    fn packed(mut coder: impl Write, text: &[&str]) {
        for part in text {
            coder.write_all(part.as_bytes()).unwrap();
            coder.flush().unwrap();
        }
    }

    #[test]
    fn a_coding_is_known_or_named() {
        // RFC 9110, 8.4.1
        assert_eq!(coding("A: b"), Ok(Coding::Identity));
        assert_eq!(coding("Content-Encoding: identity"), Ok(Coding::Identity));
        assert_eq!(coding("content-encoding: X-GZIP"), Ok(Coding::Gzip));
        assert_eq!(coding("Content-Encoding: deflate"), Ok(Coding::Deflate));
        for (fields, name) in [
            ("Content-Encoding: br", "br"),
            ("Content-Encoding: zstd", "zstd"),
            ("Content-Encoding: compress", "content coding"),
            ("Content-Encoding: gzip, gzip", "several"),
            (
                "Content-Encoding: gzip\r\nContent-Encoding: deflate",
                "several",
            ),
        ] {
            let fault = coding(fields).unwrap_err().to_string();
            assert!(fault.contains(name), "{fields}: {fault}");
        }
        assert!(Inflater::new(Coding::Identity).is_none());
    }

    #[test]
    fn what_was_flushed_is_given_at_once_whatever_the_split() {
        let text = ["data: one\n\n", "data: two\n\n"];
        let (mut gzip, mut zlib, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        packed(GzEncoder::new(&mut gzip, Compression::default()), &text);
        packed(ZlibEncoder::new(&mut zlib, Compression::default()), &text);
        packed(DeflateEncoder::new(&mut raw, Compression::default()), &text);
        let cases = [
            (Coding::Gzip, &gzip),
            (Coding::Deflate, &zlib),
            (Coding::Deflate, &raw),
        ];
        for (coding, bytes) in cases {
            for split in 0..bytes.len() {
                let mut inflater = Inflater::new(coding).unwrap();
                let mut content = Vec::new();
                let (first, second) = bytes.split_at(split);
                for piece in [first, second] {
                    let mut at = 0;
                    while let Some(part) = inflater.next(piece, &mut at).unwrap() {
                        content.extend_from_slice(part);
                    }
                }
                assert_eq!(content, text.concat().as_bytes(), "{coding:?}, {split}");
            }
        }
    }

    #[test]
    fn what_is_held_of_a_bomb_is_bounded() {
        let mut gzip = Vec::new();
        let bomb = "x".repeat(8 * 1024 * 1024);
        packed(GzEncoder::new(&mut gzip, Compression::best()), &[&bomb]);
        let mut inflater = Inflater::new(Coding::Gzip).unwrap();
        let (mut at, mut sum) = (0, 0);
        while let Some(part) = inflater.next(&gzip, &mut at).unwrap() {
            assert!(part.len() <= 1100 * STEP_BYTES, "{}", part.len());
            sum += part.len();
        }
        assert_eq!(sum, bomb.len());
    }

    #[test]
    fn garbage_is_refused() {
        let mut inflater = Inflater::new(Coding::Gzip).unwrap();
        let fault = inflater.next(b"data: not packed at all\n\n", &mut 0);
        assert!(matches!(fault, Err(Fault::Response { .. })));
    }
}
