//! `--debug`: what the first clients of a run send and receive, on stderr.

use crate::cli::frames::{FrameDetail, Frames};
use crate::cli::print;
use crate::load::failure::Kind;
use crate::load::{Passed, TapObserver, Transport};
use crate::shard::{CloseCause, ConnectionId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Lines of a run at the most: a terminal is slower than any server.
const LINES_MAX: u32 = 10_000;
/// Bytes of one line at the most.
const LINE_BYTES: usize = 500;

/// What the cores of a run have in common: how many lines they have printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed(Arc<AtomicU32>);

/// One direction of a connection.
#[derive(Debug)]
enum Printer {
    /// Lines of text, of which this one has begun. A head comes before frames if it is that of an
    /// upgrade.
    Lines(Vec<u8>, Before),
    /// Frames.
    Frames(Frames),
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Frames: it is that of an upgrade.
    Frames,
    /// Text, or another head, which may be that of an upgrade.
    Heads,
    /// Nothing that is looked at.
    Nothing,
}

impl Printed {
    /// Prints what passes on one core.
    pub(super) fn observer(self, transport: Transport) -> TapObserver {
        let mut connections: BTreeMap<ConnectionId, [Printer; 2]> = BTreeMap::new();
        Box::new(move |number, id, what| match what {
            Passed::Connecting(to) => {
                self.line(number, '*', &format!("connecting to {to}"));
                connections.insert(id, [(); 2].map(|()| Printer::new(transport)));
            }
            Passed::Opened => self.line(number, '*', "connected"),
            Passed::Sent(bytes) => {
                if let Some([sent, _]) = connections.get_mut(&id) {
                    sent.pass(bytes, |line| self.line(number, '>', line));
                }
            }
            Passed::Received(bytes) => {
                if let Some([_, received]) = connections.get_mut(&id) {
                    received.pass(bytes, |line| self.line(number, '<', line));
                }
            }
            Passed::Closed(cause) => {
                for (mut direction, sign) in connections
                    .remove(&id)
                    .into_iter()
                    .flatten()
                    .zip("><".chars())
                {
                    direction.end(|line| self.line(number, sign, line));
                }
                let how = match cause {
                    CloseCause::Local => "closed from here".to_owned(),
                    cause => format!("closed: {}", Kind::of(cause)),
                };
                self.line(number, '*', &how);
            }
        })
    }

    fn line(&self, number: u32, sign: char, text: &str) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        match before {
            0..LINES_MAX => print::note(format_args!("{number} {sign} {text}")),
            LINES_MAX => print::note(format_args!(
                "--debug: {LINES_MAX} lines are shown, no more"
            )),
            // It counts no further, and never round.
            _ => self.0.store(LINES_MAX + 1, Ordering::Relaxed),
        }
    }
}

impl Printer {
    fn new(transport: Transport) -> Self {
        Self::Lines(
            Vec::new(),
            match transport {
                Transport::WebSocket => Before::Heads,
                Transport::Sse => Before::Nothing,
            },
        )
    }

    /// Tells the lines and frames that these bytes end.
    fn pass(&mut self, mut bytes: &[u8], mut tell: impl FnMut(&str)) {
        while let Self::Lines(begun, before) = self {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                let room = LINE_BYTES.saturating_sub(begun.len());
                begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
                return;
            };
            let (line, rest) = bytes.split_at(end + 1);
            let room = LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(&line[..line.len().min(room)]);
            bytes = rest;
            let line = shown(begun);
            tell(&line);
            begun.clear();
            if *before == Before::Heads && is_of_upgrade(&line) {
                *before = Before::Frames;
            }
            if *before == Before::Frames && line.is_empty() {
                *self = Self::Frames(Frames::new(FrameDetail::Payload));
            }
        }
        if let Self::Frames(frames) = self {
            frames.lines(bytes).iter().for_each(|line| tell(line));
        }
    }

    /// Tells what has begun and does not go on.
    fn end(&mut self, mut tell: impl FnMut(&str)) {
        if let Self::Lines(begun, _) = self
            && !begun.is_empty()
        {
            tell(&shown(begun));
        }
    }
}

/// Whether a line is one of an upgrade's head alone: of the request (RFC 6455, 4.1), or the status
/// of the response (4.2.2), which may stand behind a body that ends without a line's end.
fn is_of_upgrade(line: &str) -> bool {
    let is_key = line
        .get(..18)
        .is_some_and(|it| it.eq_ignore_ascii_case("Sec-WebSocket-Key:"));
    is_key || line.contains("HTTP/1.1 101")
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(transport: Transport, bytes: &[u8], size: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut direction = Printer::new(transport);
        for piece in bytes.chunks(size) {
            direction.pass(piece, |line| lines.push(line.to_owned()));
        }
        direction.end(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn heads_and_then_frames_are_told_however_they_are_cut() {
        let up = b"HTTP/1.1 101 Up\r\nA: b\r\n\r\n\x81\x02hi";
        let refused = b"HTTP/1.1 404 No\r\n\r\nnot\nhere";
        let polled = b"HTTP/1.1 200 OK\r\n\r\n0{}HTTP/1.1 101 Up\r\n\r\n\x81\x02hi";
        let asked =
            b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nsec-websocket-key: x\r\n\r\n\x81\x02hi";
        let long = [&b"data: "[..], &[b'x'; 2 * LINE_BYTES], b"\n"].concat();
        for size in [1, 2, 5, 100] {
            let lines = told(Transport::WebSocket, up, size);
            let expected = ["HTTP/1.1 101 Up", "A: b", "", "text frame, 2 bytes: \"hi\""];
            assert_eq!(lines, expected, "in pieces of {size}");
            let lines = told(Transport::WebSocket, refused, size);
            assert_eq!(lines, ["HTTP/1.1 404 No", "", "not", "here"]);
            let frame = "text frame, 2 bytes: \"hi\"";
            let lines = told(Transport::WebSocket, polled, size);
            assert_eq!(
                lines,
                ["HTTP/1.1 200 OK", "", "0{}HTTP/1.1 101 Up", "", frame]
            );
            let lines = told(Transport::WebSocket, asked, size);
            assert_eq!(
                lines[2..],
                ["GET / HTTP/1.1", "sec-websocket-key: x", "", frame]
            );
            let lines = told(Transport::Sse, &long, size);
            assert_eq!(
                lines.iter().map(String::len).collect::<Vec<_>>(),
                [LINE_BYTES]
            );
        }
    }
}
