//! Shows frames as they pass by, for `--debug`: reads only headers, beside the decoder.

use super::Trace;
use crate::cli::print;

/// Follows the frames of one direction. The decoder judges them; this only tells what is there.
pub(super) struct Frames {
    trace: Trace,
    direction: char,
    /// The beginning of a header.
    header: Vec<u8>,
    /// Payload bytes still to pass by.
    payload: u64,
}

impl Frames {
    /// Frames in that direction: `>` sent, `<` received.
    pub(super) const fn new(trace: Trace, direction: char) -> Self {
        Self {
            trace,
            direction,
            header: Vec::new(),
            payload: 0,
        }
    }

    /// Shows the frames that begin in these bytes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if self.trace == Trace::On {
            for line in self.lines(bytes) {
                print::note(format_args!("{} {line}", self.direction));
            }
        }
    }

    fn lines(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.payload)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.payload -= skipped as u64;
            bytes = &bytes[skipped..];
            if let Some((&byte, rest)) = bytes.split_first() {
                self.header.push(byte);
                bytes = rest;
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// A line, if the header is complete (RFC 6455, 5.2).
    fn finish(&mut self) -> Option<String> {
        let &[first, second, ref rest @ ..] = self.header.as_slice() else {
            return None;
        };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if rest.len() < extended + mask {
            return None;
        }
        let length = rest[..extended]
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        self.payload = if extended == 0 {
            u64::from(second & 0x7f)
        } else {
            length
        };
        self.header.clear();
        let opcode = match first & 0x0f {
            0 => "continuation".to_owned(),
            1 => "text".to_owned(),
            2 => "binary".to_owned(),
            8 => "close".to_owned(),
            9 => "ping".to_owned(),
            10 => "pong".to_owned(),
            other => format!("opcode {other}"),
        };
        let last = if first & 0x80 == 0 {
            ", more follows"
        } else {
            ""
        };
        let masked = if mask == 0 { "" } else { ", masked" };
        let reserved = match first >> 4 & 0x7 {
            0 => String::new(),
            bits => format!(", reserved bits {bits:03b}"),
        };
        Some(format!(
            "{opcode} frame, {} bytes{masked}{last}{reserved}",
            self.payload
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::websocket::{Fin, Opcode, frame};

    #[test]
    fn every_frame_is_told_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, Opcode::Text, b"hello", Some([1, 2, 3, 4]));
        let header = frame::fragment_header(Opcode::Binary, Fin::More, 300, None);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; 300]);
        frame::encode(&mut bytes, Opcode::Continuation, &[0; 70_000], None);
        frame::encode(&mut bytes, Opcode::Ping, b"", None);
        let expected = [
            "text frame, 5 bytes, masked",
            "binary frame, 300 bytes, more follows",
            "continuation frame, 70000 bytes",
            "ping frame, 0 bytes",
        ];
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut frames = Frames::new(Trace::On, '<');
            let lines: Vec<_> = bytes
                .chunks(size)
                .flat_map(|cut| frames.lines(cut))
                .collect();
            assert_eq!(lines, expected, "in pieces of {size}");
        }
    }
}
