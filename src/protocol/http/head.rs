//! Finds the end of an HTTP head that may arrive in any pieces, looking at each byte once.

use crate::limits;
use crate::protocol::Fault;

/// Gathers a head that arrives in pieces; holds no heap memory while nothing is kept.
///
/// A head that lies whole in what arrived is borrowed from there. A head ends with an empty line;
/// one empty line before it is skipped (RFC 9112, 2.2). Lines may end in a bare LF here, so that
/// such a head is found and then refused by `parse` rather than waited for.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The beginning of an unfinished head, or a head that was handed out.
    kept: Vec<u8>,
    /// Bytes of `kept` that were looked at; at least the length of its complete lines.
    seen: u32,
    handed_out: bool,
    whose: Whose,
}

/// Whose heads are read: a server bounds what strangers send, a client takes what servers do.
#[derive(Clone, Copy, Debug, Default)]
enum Whose {
    #[default]
    Client,
    Server,
}

impl HeadReader {
    /// A reader of responses, which may be as long as [`limits::RESPONSE_HEAD_BYTES`].
    #[must_use]
    pub const fn of_responses() -> Self {
        Self {
            kept: Vec::new(),
            seen: 0,
            handed_out: false,
            whose: Whose::Server,
        }
    }

    /// Looks for the end of a head in what was kept plus `bytes[*at..]`.
    ///
    /// `Some(head)`, empty line included, when it is complete: then `*at` is just after it. `None`
    /// when all of `bytes` is used up. Call until `None`, or kept memory is not given back.
    ///
    /// # Errors
    /// [`Fault::Http`] 431 as soon as the head is longer than [`limits::HEAD_BYTES`], or
    /// [`limits::RESPONSE_HEAD_BYTES`] of a response.
    pub fn next<'e>(
        &'e mut self,
        bytes: &'e [u8],
        at: &mut usize,
    ) -> Result<Option<&'e [u8]>, Fault> {
        if self.handed_out {
            *self = Self {
                whose: self.whose,
                ..Self::default()
            };
        }
        let max = self.max();
        let rest = bytes.get(*at..).unwrap_or_default();
        if self.kept.is_empty() {
            // Beyond the limit nothing is looked at, whatever the size of the receive buffer.
            let capped = rest.get(..max).unwrap_or(rest);
            let Some(len) = end_of_head(capped, 0) else {
                return self.keep(rest, bytes.len(), at);
            };
            *at += len;
            return Ok(rest.get(..len));
        }
        let before = self.kept.len();
        let room = max.saturating_sub(before);
        self.kept
            .extend_from_slice(rest.get(..room).unwrap_or(rest));
        match end_of_head(&self.kept, self.seen as usize) {
            Some(len) => {
                self.kept.truncate(len);
                self.handed_out = true;
                *at += len.saturating_sub(before);
                Ok(Some(&self.kept))
            }
            None if rest.len() > room => Err(TOO_LONG),
            None => {
                self.seen = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
                *at = bytes.len();
                Ok(None)
            }
        }
    }

    /// Bytes of this head that may still come.
    #[must_use]
    pub fn room(&self) -> usize {
        let kept = if self.handed_out { 0 } else { self.kept.len() };
        self.max().saturating_sub(kept)
    }

    /// Bytes of memory of what is kept.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.kept.capacity()
    }

    fn keep(
        &mut self,
        rest: &[u8],
        end: usize,
        at: &mut usize,
    ) -> Result<Option<&'static [u8]>, Fault> {
        if rest.len() > self.max() {
            return Err(TOO_LONG);
        }
        self.kept.extend_from_slice(rest);
        self.seen = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        *at = end;
        Ok(None)
    }

    /// Bytes of one head at most.
    const fn max(&self) -> usize {
        match self.whose {
            Whose::Client => limits::HEAD_BYTES,
            Whose::Server => limits::RESPONSE_HEAD_BYTES,
        }
    }
}

const _: () = assert!(
    size_of::<HeadReader>() <= 32,
    "every client of a load run has one while it connects"
);

const TOO_LONG: Fault = Fault::Http {
    status: 431,
    reason: "the head is too long",
};

/// The length of the head that `bytes` begins with; its end is not before `seen`.
fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(seen..)?)
        .map(|newline| seen + newline)
        .find(|&newline| {
            let before = bytes.get(..newline).unwrap_or_default();
            // The line that this newline ends is empty, and it is not the one before the head.
            let line = before.strip_suffix(b"\r").unwrap_or(before);
            line.last() == Some(&b'\n') && line != b"\r\n" && line != b"\n"
        })
        .map(|newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_whole_head_is_borrowed_and_what_follows_is_left() {
        let bytes = [HEAD, b"rest"].concat();
        let mut reader = HeadReader::default();
        let mut at = 0;
        let head = reader.next(&bytes, &mut at).unwrap().unwrap();
        assert_eq!(head.as_ptr(), bytes.as_ptr());
        assert_eq!((head, at), (HEAD, HEAD.len()));
    }

    #[test]
    fn a_head_is_found_whatever_the_split() {
        for split in 0..HEAD.len() {
            let mut reader = HeadReader::default();
            let (first, second) = HEAD.split_at(split);
            let mut at = 0;
            assert_eq!(reader.next(first, &mut at), Ok(None), "split at {split}");
            assert_eq!(at, split);
            let second = [second, b"rest"].concat();
            let mut at = 0;
            assert_eq!(
                reader.next(&second, &mut at),
                Ok(Some(HEAD)),
                "split at {split}"
            );
            assert_eq!(at, HEAD.len() - split);
            let mut at = second.len();
            assert_eq!(reader.next(&second, &mut at), Ok(None));
            assert_eq!(reader.kept.capacity(), 0, "memory of a head is given back");
        }
    }

    #[test]
    fn one_empty_line_before_the_head_belongs_to_it() {
        // RFC 9112, 2.2: a server should ignore at least one empty line before the request line.
        let bytes = [b"\r\n", HEAD].concat();
        for split in 0..bytes.len() {
            let mut reader = HeadReader::default();
            let (first, second) = bytes.split_at(split);
            assert_eq!(reader.next(first, &mut 0), Ok(None));
            assert_eq!(reader.next(second, &mut 0), Ok(Some(bytes.as_slice())));
        }
    }

    #[test]
    fn more_empty_lines_are_left_for_parse_to_refuse() {
        let mut at = 0;
        let mut reader = HeadReader::default();
        assert_eq!(reader.next(b"\r\n\r\nGET", &mut at), Ok(None));
        assert_eq!(
            reader
                .next(b" / HTTP/1.1\r\n\r\n", &mut 0)
                .unwrap()
                .unwrap()
                .len(),
            22
        );
    }

    #[test]
    fn a_head_without_end_is_refused_at_the_limit_and_never_kept_beyond_it() {
        let mut reader = HeadReader::default();
        for sent in 0..limits::HEAD_BYTES {
            assert_eq!(reader.next(b"x", &mut 0), Ok(None), "after {sent} bytes");
        }
        assert_eq!(reader.next(b"x", &mut 0), Err(TOO_LONG));
        assert!(reader.kept.capacity() <= limits::HEAD_BYTES);
        let long = vec![b'x'; limits::HEAD_BYTES + 1];
        assert_eq!(HeadReader::default().next(&long, &mut 0), Err(TOO_LONG));
    }

    #[test]
    fn a_response_may_have_a_longer_head_than_a_request() {
        let mut head = vec![b'x'; limits::RESPONSE_HEAD_BYTES - 4];
        head.extend_from_slice(b"\r\n\r\n");
        for split in [
            0,
            1,
            limits::HEAD_BYTES,
            limits::HEAD_BYTES + 1,
            head.len() - 1,
        ] {
            let (first, second) = head.split_at(split);
            let mut reader = HeadReader::of_responses();
            assert_eq!(reader.next(first, &mut 0), Ok(None), "split at {split}");
            assert_eq!(reader.next(second, &mut 0), Ok(Some(head.as_slice())));
            // An interim response before does not make the limit smaller.
            assert_eq!(reader.next(&head, &mut 0), Ok(Some(head.as_slice())));
        }
        head.insert(0, b'x');
        let mut reader = HeadReader::of_responses();
        assert_eq!(reader.next(&head, &mut 0), Err(TOO_LONG));
    }

    #[test]
    fn the_longest_head_is_taken_whole_or_in_pieces() {
        let mut head = vec![b'x'; limits::HEAD_BYTES - 4];
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(
            HeadReader::default().next(&head, &mut 0),
            Ok(Some(head.as_slice()))
        );
        let mut longer = head.clone();
        longer.insert(0, b'x');
        assert_eq!(HeadReader::default().next(&longer, &mut 0), Err(TOO_LONG));
        let mut reader = HeadReader::default();
        assert_eq!(reader.next(&head[..4000], &mut 0), Ok(None));
        assert_eq!(
            reader.next(&head[4000..], &mut 0),
            Ok(Some(head.as_slice()))
        );
    }
}
