//! The stamp that a pushed message carries: its number, and when it was encoded.

/// The stamp of a pushed message: `{"seq":N,"sent_ns":T` and anything after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) struct Pushed {
    /// Rises by one from message to message.
    pub(in crate::load) sequence: u64,
    /// The server's `CLOCK_MONOTONIC` when it was encoded, in nanoseconds.
    pub(in crate::load) sent_ns: u64,
}

impl Pushed {
    /// Reads the stamp; `None` for anything that does not begin exactly so.
    #[inline]
    pub(in crate::load) fn parse(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = digits(bytes.strip_prefix(b"{\"seq\":")?)?;
        let (sent_ns, rest) = digits(rest.strip_prefix(b",\"sent_ns\":")?)?;
        matches!(rest, [b',' | b'}', ..]).then_some(Self { sequence, sent_ns })
    }
}

/// The number at the beginning, at least one digit, and what follows it.
#[inline]
fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut rest = bytes;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
        rest = after;
    }
    (rest.len() < bytes.len()).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pushed_stamp_is_read_as_written(sequence: u64, sent_ns: u64, pad in 0..2_usize) {
            let pad = ["", ",\"pad\":\"xxxx\""][pad];
            let text = format!("{{\"seq\":{sequence},\"sent_ns\":{sent_ns}{pad}}}");
            prop_assert_eq!(Pushed::parse(text.as_bytes()), Some(Pushed { sequence, sent_ns }));
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let others = [
            "",
            "{}",
            "{\"seq\":,\"sent_ns\":1}",
            "{\"seq\":1,\"sent_ns\":}",
            "{\"seq\":1,\"sent_ns\":1",
            "{\"seq\":1,\"sent_ns\":1.5}",
            "{\"seq\":99999999999999999999,\"sent_ns\":1}",
            " {\"seq\":1,\"sent_ns\":1}",
        ];
        for other in others {
            assert_eq!(Pushed::parse(other.as_bytes()), None, "{other}");
        }
    }
}
