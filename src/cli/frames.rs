//! Tells WebSocket frames as they pass by, for `--debug`: reads headers, beside the decoder.

/// Bytes of a payload that are told.
const TOLD_BYTES: usize = 128;

/// What is told of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameDetail {
    /// Its header.
    Header,
    /// The beginning of its payload too.
    Payload,
}

/// Follows the frames of one direction. The decoder judges them; this only tells what is there.
#[derive(Debug)]
pub(super) struct Frames {
    told: FrameDetail,
    /// The beginning of a header.
    header: Vec<u8>,
    /// Payload bytes still to pass by.
    payload: u64,
    /// The frame whose payload passes by, if that is told.
    frame: Option<Passing>,
}

/// A frame in the middle of its payload.
#[derive(Debug)]
struct Passing {
    line: String,
    key: [u8; 4],
    /// How long the payload is, and its beginning.
    length: u64,
    begin: Vec<u8>,
}

impl Frames {
    pub(super) const fn new(told: FrameDetail) -> Self {
        Self {
            told,
            header: Vec::new(),
            payload: 0,
            frame: None,
        }
    }

    /// A line for each frame that is told with these bytes.
    pub(super) fn lines(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.payload)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            self.payload -= skipped as u64;
            if let Some(frame) = &mut self.frame {
                let room = TOLD_BYTES.saturating_sub(frame.begin.len());
                frame.begin.extend_from_slice(&bytes[..skipped.min(room)]);
            }
            bytes = &bytes[skipped..];
            lines.extend(self.whole());
            if let Some((&byte, rest)) = bytes.split_first() {
                self.header.push(byte);
                bytes = rest;
                lines.extend(self.finish());
            }
        }
        lines.extend(self.whole());
        lines
    }

    /// The frame whose payload has passed by.
    fn whole(&mut self) -> Option<String> {
        self.frame.take_if(|_| self.payload == 0).map(Passing::line)
    }

    /// A line, if the header is complete and that is all that is told (RFC 6455, 5.2).
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
        let key = rest.get(extended..extended + mask).unwrap_or_default();
        let key = key.try_into().unwrap_or([0; 4]);
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
        let line = format!(
            "{opcode} frame, {} bytes{masked}{last}{reserved}",
            self.payload
        );
        // Deflated, its bytes tell nobody anything (RFC 7692, 6).
        if self.told == FrameDetail::Header || !reserved.is_empty() {
            return Some(line);
        }
        self.frame = Some(Passing {
            line,
            key,
            length: self.payload,
            begin: Vec::new(),
        });
        None
    }
}

impl Passing {
    fn line(self) -> String {
        let Self {
            line,
            key,
            length,
            begin,
        } = self;
        let masked = begin.iter().zip(key.into_iter().cycle());
        let plain: Vec<u8> = masked.map(|(byte, key)| byte ^ key).collect();
        if plain.is_empty() {
            return line;
        }
        let more = if length > plain.len() as u64 {
            "..."
        } else {
            ""
        };
        // RFC 6455, 5.5.1: a close begins with its code.
        if let (true, [high, low, reason @ ..]) = (line.starts_with("close"), plain.as_slice()) {
            let code = u16::from_be_bytes([*high, *low]);
            let reason = String::from_utf8_lossy(reason);
            return format!("{line}: {code} {reason:?}");
        }
        let is_text = |c: char| !c.is_control() || c.is_ascii_whitespace();
        let text = String::from_utf8_lossy(&plain);
        if text
            .chars()
            .all(|c| is_text(c) && c != char::REPLACEMENT_CHARACTER)
        {
            format!("{line}: {text:?}{more}")
        } else {
            let digits: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{line}: {digits}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::websocket::{Fin, Opcode, frame};

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, Opcode::Text, b"hello", Some([1, 2, 3, 4]));
        let header = frame::fragment_header(Opcode::Binary, Fin::More, 300, None);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; 300]);
        frame::encode(&mut bytes, Opcode::Continuation, &[b'x'; 70_000], None);
        frame::encode(&mut bytes, Opcode::Ping, b"", None);
        let mut close = Vec::new();
        frame::close_payload(&mut close, 1001, "bye");
        frame::encode(&mut bytes, Opcode::Close, &close, Some([9, 8, 7, 6]));
        bytes
    }

    const HEADERS: [&str; 5] = [
        "text frame, 5 bytes, masked",
        "binary frame, 300 bytes, more follows",
        "continuation frame, 70000 bytes",
        "ping frame, 0 bytes",
        "close frame, 5 bytes, masked",
    ];

    #[test]
    fn every_frame_is_told_however_the_bytes_are_cut() {
        let bytes = stream();
        let payloads = [
            ": \"hello\"".to_owned(),
            format!(": {}...", "00".repeat(TOLD_BYTES)),
            format!(": \"{}\"...", "x".repeat(TOLD_BYTES)),
            String::new(),
            ": 1001 \"bye\"".to_owned(),
        ];
        let whole: Vec<_> = HEADERS.iter().zip(payloads).collect();
        let whole = whole
            .into_iter()
            .map(|(header, it)| format!("{header}{it}"));
        let whole: Vec<String> = whole.collect();
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let lines = |told| {
                let mut frames = Frames::new(told);
                let lines = bytes.chunks(size).flat_map(|cut| frames.lines(cut));
                lines.collect::<Vec<_>>()
            };
            assert_eq!(lines(FrameDetail::Header), HEADERS, "in pieces of {size}");
            assert_eq!(lines(FrameDetail::Payload), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_deflated_frame_is_told_by_its_header() {
        let mut frames = Frames::new(FrameDetail::Payload);
        let lines = frames.lines(&[0xc1, 2, b'a', b'b', 0x81, 1, b'c']);
        let deflated = "text frame, 2 bytes, reserved bits 100";
        assert_eq!(lines, [deflated, "text frame, 1 bytes: \"c\""]);
    }
}
