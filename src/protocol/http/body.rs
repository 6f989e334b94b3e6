//! Takes the framing off an HTTP/1.1 body: a known length, chunks (RFC 9112, 7.1), or to the end.

use crate::limits;
use crate::protocol::Fault;

/// How long a body is, as its head declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// That many bytes.
    Known(u64),
    /// In chunks, until one of length 0.
    Chunked,
    /// Until the peer ends the connection; responses only.
    UntilEnd,
}

/// Follows one body through whatever pieces it arrives in. Small, and never holds memory.
#[derive(Clone, Copy, Debug)]
pub struct BodyReader {
    state: BodyState,
    /// Content bytes of the body or chunk still to come; while its size is read, the size so far.
    left: u64,
    /// Bytes of chunk extensions and trailers so far.
    spent: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// Content of a body of known length.
    Content,
    /// Content, until the connection ends.
    Endless,
    /// In a chunk's size, after that many digits.
    Size { digits: u8 },
    /// In the blanks behind a chunk's size.
    SizeBlank,
    /// In a chunk's extensions, which mean nothing here.
    Extension,
    /// After the CR of a chunk's size line.
    SizeEnd,
    /// Content of a chunk.
    Chunk,
    /// After a chunk's content, before its CR.
    ChunkCr,
    /// After a chunk's content and CR.
    ChunkLf,
    /// At the beginning of a trailer line, or of the empty line that ends the body.
    Trailer,
    /// Within a trailer line.
    TrailerText,
    /// After the CR of a trailer line.
    TrailerLf,
    /// After the CR of the empty line.
    LastLf,
    /// The body is over.
    Done,
}

impl BodyReader {
    /// A reader at the start of a body of that length.
    #[must_use]
    pub const fn new(length: BodyLength) -> Self {
        let (state, left) = match length {
            BodyLength::None | BodyLength::Known(0) => (BodyState::Done, 0),
            BodyLength::Known(bytes) => (BodyState::Content, bytes),
            BodyLength::Chunked => (BodyState::Size { digits: 0 }, 0),
            BodyLength::UntilEnd => (BodyState::Endless, 0),
        };
        Self {
            state,
            left,
            spent: 0,
        }
    }

    /// The next piece of content in `bytes[*at..]`, without framing and never empty; `None` when
    /// all of `bytes` is used or the body is over. `*at` moves behind what was used.
    ///
    /// # Errors
    /// [`Fault::Http`] 400 for malformed chunks: sizes of other than 1 to 16 hexadecimal digits,
    /// line ends that are not CRLF, control characters; 431 for more than [`limits::HEAD_BYTES`]
    /// of extensions and trailers in all. A client that reads a response so is the server's
    /// victim, not at fault: it drops the connection.
    #[inline]
    pub fn next<'e>(&mut self, bytes: &'e [u8], at: &mut usize) -> Result<Option<&'e [u8]>, Fault> {
        while let Some(rest @ [byte, ..]) = bytes.get(*at..) {
            match self.state {
                BodyState::Done => return Ok(None),
                BodyState::Endless => {
                    *at = bytes.len();
                    return Ok(Some(rest));
                }
                BodyState::Content | BodyState::Chunk => {
                    let piece = self.take(rest);
                    *at += piece.len();
                    return Ok(Some(piece));
                }
                BodyState::Size { .. }
                | BodyState::SizeBlank
                | BodyState::Extension
                | BodyState::SizeEnd
                | BodyState::ChunkCr
                | BodyState::ChunkLf
                | BodyState::Trailer
                | BodyState::TrailerText
                | BodyState::TrailerLf
                | BodyState::LastLf => {
                    self.state = self.framing(*byte)?;
                    *at += 1;
                }
            }
        }
        Ok(None)
    }

    /// Whether the body is over. A body that lasts until the connection ends never says so.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, BodyState::Done)
    }

    /// The content that `rest` begins with.
    fn take<'e>(&mut self, rest: &'e [u8]) -> &'e [u8] {
        let len = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        self.left -= len as u64;
        if self.left == 0 {
            let chunked = self.state == BodyState::Chunk;
            self.state = if chunked {
                BodyState::ChunkCr
            } else {
                BodyState::Done
            };
        }
        rest.get(..len).unwrap_or_default()
    }

    /// The state after one byte of framing.
    fn framing(&mut self, byte: u8) -> Result<BodyState, Fault> {
        match (self.state, byte) {
            (BodyState::Size { digits }, _) if byte.is_ascii_hexdigit() => self.size(digits, byte),
            // RFC 9112, 7.1.1: blanks before an extension are bad, and to be taken; some servers
            // pad the size with blanks that no extension follows.
            (BodyState::Size { digits: 1.. } | BodyState::SizeBlank, b' ' | b'\t') => {
                self.spend(BodyState::SizeBlank)
            }
            (BodyState::Size { digits: 1.. } | BodyState::SizeBlank, b';') => {
                Ok(BodyState::Extension)
            }
            (
                BodyState::Size { digits: 1.. } | BodyState::SizeBlank | BodyState::Extension,
                b'\r',
            ) => Ok(BodyState::SizeEnd),
            (BodyState::Extension, _) if is_text(byte) => self.spend(BodyState::Extension),
            (BodyState::SizeEnd, b'\n') if self.left == 0 => Ok(BodyState::Trailer),
            (BodyState::SizeEnd, b'\n') => Ok(BodyState::Chunk),
            (BodyState::ChunkCr, b'\r') => Ok(BodyState::ChunkLf),
            (BodyState::ChunkLf, b'\n') => Ok(BodyState::Size { digits: 0 }),
            (BodyState::Trailer, b'\r') => Ok(BodyState::LastLf),
            (BodyState::LastLf, b'\n') => Ok(BodyState::Done),
            // RFC 9112, 5.2: a line that begins with white space would fold the one before it.
            (BodyState::Trailer, b' ' | b'\t') => Err(MALFORMED),
            (BodyState::Trailer | BodyState::TrailerText, _) if is_text(byte) => {
                self.spend(BodyState::TrailerText)
            }
            (BodyState::TrailerText, b'\r') => Ok(BodyState::TrailerLf),
            (BodyState::TrailerLf, b'\n') => Ok(BodyState::Trailer),
            _ => Err(MALFORMED),
        }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<BodyState, Fault> {
        // 16 digits fill 64 bits: no overflow, and no endless zeros.
        let (0..16, Some(digit)) = (digits, char::from(byte).to_digit(16)) else {
            return Err(MALFORMED);
        };
        self.left = (self.left << 4) | u64::from(digit);
        Ok(BodyState::Size { digits: digits + 1 })
    }

    const fn spend(&mut self, state: BodyState) -> Result<BodyState, Fault> {
        if self.spent as usize >= limits::HEAD_BYTES {
            return Err(Fault::Http {
                status: 431,
                reason: "too much beside the chunks",
            });
        }
        self.spent += 1;
        Ok(state)
    }
}

const _: () = assert!(
    limits::HEAD_BYTES < u16::MAX as usize,
    "`spent` counts up to it"
);
const _: () = assert!(size_of::<BodyReader>() <= 16);

const MALFORMED: Fault = Fault::Http {
    status: 400,
    reason: "a malformed chunk",
};

/// Whether a byte may stand in an extension or a trailer: text, not a control (RFC 9110, 5.5).
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, how many bytes were used, and whether the body is over.
    fn read(length: BodyLength, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), Fault> {
        let mut reader = BodyReader::new(length);
        let (mut content, mut used) = (Vec::new(), 0);
        for piece in pieces {
            let mut at = 0;
            while let Some(part) = reader.next(piece, &mut at)? {
                assert!(!part.is_empty());
                content.extend_from_slice(part);
            }
            used += at;
        }
        Ok((content, used, reader.is_done()))
    }

    #[test]
    fn a_body_of_known_length_ends_there_whatever_the_split() {
        let bytes = b"hello, world";
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            let read = read(BodyLength::Known(5), &[a, b]);
            assert_eq!(read, Ok((b"hello".to_vec(), 5, true)), "split at {split}");
        }
        assert_eq!(
            read(BodyLength::Known(5), &[b"hell"]),
            Ok((b"hell".to_vec(), 4, false))
        );
        assert_eq!(read(BodyLength::None, &[b"x"]), Ok((Vec::new(), 0, true)));
        assert_eq!(
            read(BodyLength::UntilEnd, &[b"x", b"y"]),
            Ok((b"xy".to_vec(), 2, false))
        );
    }

    #[test]
    fn chunks_are_joined_whatever_the_split() {
        // RFC 9112, 7.1: extensions and trailers are skipped.
        let bytes = b"4;a=\"b\"\r\nWiki\r\n00a\r\npedia in \n\r\n0\r\nA: b\r\n\r\nGET";
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            let read = read(BodyLength::Chunked, &[a, b]);
            let expected = (b"Wikipedia in \n".to_vec(), bytes.len() - 3, true);
            assert_eq!(read, Ok(expected), "split at {split}");
        }
    }

    #[test]
    fn blanks_behind_a_size_are_taken() {
        // RFC 9112, 7.1.1: BWS before the semicolon.
        let bytes = b"4 ;a\r\nWiki\r\n5  \t\r\npedia\r\n0 \r\n\r\n";
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            let read = read(BodyLength::Chunked, &[a, b]);
            let expected = (b"Wikipedia".to_vec(), bytes.len(), true);
            assert_eq!(read, Ok(expected), "split at {split}");
        }
        let endless = [b"1".as_slice(), &b" ".repeat(limits::HEAD_BYTES + 1)].concat();
        let fault = read(BodyLength::Chunked, &[&endless]).unwrap_err();
        assert!(matches!(fault, Fault::Http { status: 431, .. }));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bytes in [
            "\r\n",
            ";x\r\n",
            " 1\r\n",
            " \r\n",
            "1 1\r\n",
            "1 \n",
            "1 \0;\r\n",
            "+1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "g\r\n",
            "1\n",
            "1\rx",
            "1;\n",
            "1;\0",
            "1;a\rb",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rb",
            "0\r\n\n",
            "0\r\n x",
            "0\r\na\n",
            "0\r\na\rb",
            "0\r\na\r\n\r\r",
            "10000000000000000\r\n",
            "00000000000000001\r\n",
            "1,1\r\n",
            "1\r\na\r\n\r\n",
        ] {
            let fault = read(BodyLength::Chunked, &[bytes.as_bytes()]);
            assert_eq!(fault, Err(MALFORMED), "{bytes:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let chunk = b"1;aaaaaaa\r\nx\r\n".repeat(limits::HEAD_BYTES / 7 + 1);
        let fault = read(BodyLength::Chunked, &[&chunk]).unwrap_err();
        assert!(matches!(fault, Fault::Http { status: 431, .. }));
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(limits::HEAD_BYTES)].concat();
        let fault = read(BodyLength::Chunked, &[&trailers]).unwrap_err();
        assert!(matches!(fault, Fault::Http { status: 431, .. }));
    }

    #[test]
    fn the_largest_chunk_size_is_counted_not_allocated() {
        let read = read(BodyLength::Chunked, &[b"ffffffffffffffff\r\nabc"]);
        assert_eq!(read, Ok((b"abc".to_vec(), 21, false)));
    }
}
