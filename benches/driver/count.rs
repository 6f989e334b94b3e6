//! Counts the messages of a stream of bytes that may be cut anywhere.

/// One connection's count in progress.
pub(crate) trait Counter: Clone {
    /// Counts messages of at least so many bytes, if their length is known before they end.
    fn of_at_least(bytes: u64) -> Self;
    /// Messages that end in these bytes.
    fn count(&mut self, bytes: &[u8]) -> u64;
}

/// A server's WebSocket frames; a control frame is no message. RFC 6455, 5.2.
#[derive(Clone, Default)]
pub(crate) struct Frames {
    header: [u8; 10],
    have: usize,
    payload_left: u64,
    least: u64,
}

impl Counter for Frames {
    fn of_at_least(bytes: u64) -> Self {
        let least = bytes;
        Self {
            least,
            ..Self::default()
        }
    }

    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
            let skipped = skipped.min(bytes.len());
            bytes = &bytes[skipped..];
            self.payload_left -= skipped as u64;
            if self.payload_left > 0 {
                return messages;
            }
            if self.have == self.wanted() {
                let counts = self.header[0] & 0x8 == 0 && self.length() >= self.least;
                messages += u64::from(counts);
                self.have = 0;
            }
            while self.have < self.wanted() {
                let [byte, rest @ ..] = bytes else {
                    return messages;
                };
                self.header[self.have] = *byte;
                self.have += 1;
                bytes = rest;
            }
            self.payload_left = self.length();
        }
    }
}

impl Frames {
    /// Bytes of the header, as far as it is known.
    fn wanted(&self) -> usize {
        match (self.have, self.header[1] & 0x7f) {
            (0 | 1, _) | (_, 0..=125) => 2,
            (_, 126) => 4,
            _ => 10,
        }
    }

    fn length(&self) -> u64 {
        let bytes = match self.header[1] & 0x7f {
            short @ 0..=125 => return u64::from(short),
            126 => &self.header[2..4],
            _ => &self.header[2..10],
        };
        bytes
            .iter()
            .fold(0, |length, &byte| length << 8 | u64::from(byte))
    }
}

/// Events: a blank line ends each, and nothing else in a stream of these servers has one.
#[derive(Clone, Default)]
pub(crate) struct Events {
    after_line_feed: bool,
}

impl Counter for Events {
    fn of_at_least(_bytes: u64) -> Self {
        Self::default()
    }

    fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut events = 0;
        for &byte in bytes {
            let line_feed = byte == b'\n';
            events += u64::from(line_feed && self.after_line_feed);
            self.after_line_feed = line_feed;
        }
        events
    }
}
