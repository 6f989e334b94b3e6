//! Whether a client has a representation already, and which part of it it wants (RFC 9110, 13, 14).

use super::{Headers, date};
use std::ops::Range;

/// What tells one state of a representation from another (RFC 9110, 8.8).
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// A strong entity tag, in its quotes.
    pub etag: &'a str,
    /// When it was changed, in seconds since 1970, if that is known.
    pub changed_unix_s: Option<u64>,
}

/// What the preconditions of a GET or HEAD come to, in the order of RFC 9110, 13.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There is none, or it holds.
    Holds,
    /// The client has it: 304.
    NotModified,
    /// The client wants another state: 412.
    Failed,
}

/// What a client wants of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedBytes {
    /// All of it: 200.
    Whole,
    /// These bytes, at least one: 206.
    Part(Range<u64>),
    /// Bytes that it has not: 416.
    Beyond,
}

impl Validators<'_> {
    /// What a GET or HEAD with these fields gets.
    #[must_use]
    pub fn judge(&self, headers: &Headers<'_>) -> Precondition {
        if let Some(any) = self.listed(headers, "If-Match", Comparison::Strong) {
            if !any {
                return Precondition::Failed;
            }
        } else if self.changed_after(headers, "If-Unmodified-Since") == Some(true) {
            return Precondition::Failed;
        }
        let is_known = match self.listed(headers, "If-None-Match", Comparison::Weak) {
            Some(any) => any,
            None => self.changed_after(headers, "If-Modified-Since") == Some(false),
        };
        if is_known {
            Precondition::NotModified
        } else {
            Precondition::Holds
        }
    }

    /// Which part of its `len` bytes a GET wants: one range, unless the client has a part of
    /// another state (`If-Range`). Several ranges, other units and what is malformed are all of it,
    /// as RFC 9110, 14.2 allows.
    #[must_use]
    pub fn wanted(&self, headers: &Headers<'_>, len: u64) -> WantedBytes {
        let mut all = headers.all("Range");
        let (Some(value), None) = (all.next(), all.next()) else {
            return WantedBytes::Whole;
        };
        if headers.get("If-Range").is_some_and(|it| !self.is_same(it)) {
            return WantedBytes::Whole;
        }
        part(value, len).unwrap_or(WantedBytes::Whole)
    }

    /// RFC 9110, 13.1.5: the strong tag, or exactly the date.
    fn is_same(&self, condition: &str) -> bool {
        if condition.starts_with('"') {
            return condition == self.etag;
        }
        let since = date::parse(condition);
        since.is_some() && since == self.changed_unix_s
    }

    /// Whether the list of that field has the tag; `None` if there is no such field.
    fn listed(&self, headers: &Headers<'_>, name: &str, by: Comparison) -> Option<bool> {
        let mut lists = headers.all(name).peekable();
        lists.peek()?;
        let mut tags = lists.flat_map(|list| list.split(','));
        Some(tags.any(|tag| {
            let tag = tag.trim_matches([' ', '\t']);
            let opaque = match by {
                Comparison::Strong => tag,
                Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
            };
            tag == "*" || opaque == self.etag
        }))
    }

    /// Whether it was changed after the date of that field; `None` if one of them is not known.
    fn changed_after(&self, headers: &Headers<'_>, name: &str) -> Option<bool> {
        let since = date::parse(headers.get(name)?)?;
        Some(self.changed_unix_s? > since)
    }
}

/// How tags are compared (RFC 9110, 8.8.3.2).
#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

/// One range of bytes; `None` for what is no such thing.
fn part(value: &str, len: u64) -> Option<WantedBytes> {
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    let is_bytes = unit.trim_matches([' ', '\t']).eq_ignore_ascii_case("bytes");
    if !is_bytes || len == 0 {
        return None;
    }
    let wanted = match (first, last) {
        ("", last) => match number(last)? {
            0 => WantedBytes::Beyond,
            last => WantedBytes::Part(len.saturating_sub(last)..len),
        },
        (first, last) => {
            let first = number(first)?;
            let end = match last {
                "" => len,
                last => number(last)?.saturating_add(1).min(len),
            };
            if !last.is_empty() && number(last)? < first {
                return None;
            }
            if first < len {
                WantedBytes::Part(first..end)
            } else {
                WantedBytes::Beyond
            }
        }
    };
    Some(wanted)
}

/// Digits; what is more than a number holds is as much as it holds.
fn number(digits: &str) -> Option<u64> {
    let is_sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_sound.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Request;

    const STATE: Validators<'_> = Validators {
        etag: "\"abc\"",
        // Sun, 06 Nov 1994 08:49:37 GMT
        changed_unix_s: Some(784_111_777),
    };

    fn with<R>(fields: &str, ask: impl FnOnce(&Headers<'_>) -> R) -> R {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        ask(&Request::parse(head.as_bytes()).unwrap().headers)
    }

    #[test]
    fn preconditions_are_judged_in_their_order() {
        // RFC 9110, 13.2.2.
        use Precondition::{Failed, Holds, NotModified};
        for (fields, judged) in [
            ("", Holds),
            ("If-None-Match: \"abc\"\r\n", NotModified),
            ("If-None-Match: W/\"abc\"\r\n", NotModified),
            ("If-None-Match: \"x\", \"abc\"\r\n", NotModified),
            ("If-None-Match: \"x\"\r\nIf-None-Match: *\r\n", NotModified),
            ("If-None-Match: \"x\"\r\n", Holds),
            ("If-None-Match: abc\r\n", Holds),
            (
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                NotModified,
            ),
            (
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n",
                NotModified,
            ),
            (
                "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
                Holds,
            ),
            ("If-Modified-Since: yesterday\r\n", Holds),
            // A tag makes the date count for nothing.
            (
                "If-None-Match: \"x\"\r\n\
                 If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                Holds,
            ),
            ("If-Match: \"abc\"\r\n", Holds),
            ("If-Match: *\r\n", Holds),
            ("If-Match: W/\"abc\"\r\n", Failed),
            ("If-Match: \"x\"\r\nIf-None-Match: \"abc\"\r\n", Failed),
            (
                "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
                Failed,
            ),
            (
                "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                Holds,
            ),
        ] {
            assert_eq!(with(fields, |it| STATE.judge(it)), judged, "{fields:?}");
        }
    }

    #[test]
    fn one_range_is_a_part_and_anything_else_is_all() {
        // RFC 9110, 14.1.2 and 14.2, of 100 bytes.
        for (range, wanted) in [
            ("bytes=0-9", WantedBytes::Part(0..10)),
            ("bytes=90-", WantedBytes::Part(90..100)),
            ("bytes=-7", WantedBytes::Part(93..100)),
            ("bytes=-700", WantedBytes::Part(0..100)),
            ("bytes=50-5000", WantedBytes::Part(50..100)),
            ("bytes=99-99", WantedBytes::Part(99..100)),
            ("Bytes = 1-1", WantedBytes::Part(1..2)),
            ("bytes=0-99999999999999999999999", WantedBytes::Part(0..100)),
            ("bytes=100-", WantedBytes::Beyond),
            ("bytes=99999999999999999999999-", WantedBytes::Beyond),
            ("bytes=-0", WantedBytes::Beyond),
            ("bytes=5-4", WantedBytes::Whole),
            ("bytes=0-1,3-4", WantedBytes::Whole),
            ("bytes=a-b", WantedBytes::Whole),
            ("bytes=-", WantedBytes::Whole),
            ("bytes=+1-2", WantedBytes::Whole),
            ("lines=0-1", WantedBytes::Whole),
            ("bytes", WantedBytes::Whole),
        ] {
            let fields = format!("Range: {range}\r\n");
            let found = with(&fields, |it| STATE.wanted(it, 100));
            assert_eq!(found, wanted, "{range:?}");
        }
        let nothing = with("Range: bytes=0-\r\n", |it| STATE.wanted(it, 0));
        assert_eq!(nothing, WantedBytes::Whole, "there is no part of nothing");
    }

    #[test]
    fn a_part_of_another_state_is_not_gone_on_with() {
        // RFC 9110, 13.1.5.
        for (condition, is_part) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
        ] {
            let fields = format!("Range: bytes=1-2\r\nIf-Range: {condition}\r\n");
            let wanted = with(&fields, |it| STATE.wanted(it, 100));
            assert_eq!(wanted == WantedBytes::Part(1..3), is_part, "{condition}");
        }
    }
}
