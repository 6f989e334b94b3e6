//! permessage-deflate (RFC 7692): messages made smaller, with or without those before them.
//!
//! Without context takeover, as a server may always demand of both sides (7.1.1), an idle
//! connection costs nothing more, and a broadcast is deflated once. With it a connection keeps a
//! window each way, of what was said last: see [`window`]. One [`Deflater`] for each size of window
//! and one [`Inflater`] serve all connections of a core.
//!
//! What is inflated is bounded while it is inflated, by the cap on a message (CVE-2026-27571: a
//! small message that becomes a large one), and counted in [`super::decoder::Pool::worked`], so
//! that many such messages do not keep others waiting.

mod deflation;
mod negotiate;
#[cfg(test)]
mod takeover_tests;
#[cfg(test)]
mod tests;
pub mod window;

pub use deflation::Deflation;
pub use negotiate::{Agreement, ContextTakeover, OFFER, Terms, Way, agree, agreed, offer};
pub use window::{Kept, WindowBits, Windows};

use super::TOO_BIG;
use super::closing;
use super::frame::{self, Opcode};
use super::mask;
use crate::limits;
use crate::protocol::Fault;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How hard it is tried: the least that finds repeats lazily.
const LEVEL: u32 = 4;
/// A message below this is sent as it is where it may refer to others: alone it has to be longer.
const BYTES_MIN_AFTER: usize = 16;
/// One of so many bytes at most is deflated for those that follow, though it becomes longer by less
/// than so many.
const INVESTED_BYTES: usize = 512;
const INVESTED_MORE: usize = 8;
/// What ends the content of a message and does not travel (7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Bytes that are inflated at once, at least.
const STEP: usize = 4096;

/// Makes messages smaller.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    window: WindowBits,
    packed: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self::with_window(WindowBits::USUAL)
    }
}

fn stream(window: WindowBits) -> Compress {
    Compress::new_with_window_bits(Compression::new(LEVEL), false, window.get())
}

/// Bytes that a deflated message never exceeds: zlib's own conservative bound (`deflateBound`), and
/// what ends it.
const fn bound(bytes: usize) -> usize {
    bytes + bytes.div_ceil(8) + bytes.div_ceil(64) + 16
}

impl Deflater {
    /// For whoever keeps that window to inflate with.
    pub(super) fn with_window(window: WindowBits) -> Self {
        let window = window.max(WindowBits::NARROW);
        Self {
            stream: stream(window),
            window,
            packed: Vec::new(),
        }
    }

    /// The message deflated; `None` if that is not worth it: then it is sent as it is, which is
    /// always allowed (RFC 7692, 6.1).
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        if message.len() < limits::DEFLATE_BYTES_MIN {
            return None;
        }
        self.deflate_by(&[], message, message.len() + TAIL.len())
    }

    /// The same where the peer has kept `before`. A short message that does not shrink is deflated
    /// all the same: those that follow may refer to it.
    pub(super) fn deflate_after(&mut self, before: &[u8], message: &[u8]) -> Option<&[u8]> {
        let most = match message.len() {
            ..BYTES_MIN_AFTER => return None,
            len @ ..=INVESTED_BYTES => len + TAIL.len() + INVESTED_MORE,
            len => len + TAIL.len(),
        };
        self.deflate_by(before, message, most)
    }

    /// The same, if that and [`TAIL`] are less than `most` bytes.
    fn deflate_by(&mut self, before: &[u8], message: &[u8], most: usize) -> Option<&[u8]> {
        // Room for all of it, whatever it becomes: zlib-rs 0.6.8 panics later if it is left with
        // bytes that it could not give out, reset or not.
        let room = bound(message.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        self.stream.reset();
        let is_loaded = before.is_empty() || self.stream.set_dictionary(before).is_ok();
        let out = self.packed.get_mut(..room)?;
        let status = self.stream.compress(message, out, FlushCompress::Sync);
        let used = usize::try_from(self.stream.total_in()).ok()?;
        let made = usize::try_from(self.stream.total_out()).ok()?;
        if !is_loaded || status.is_err() || used < message.len() || made >= room {
            self.stream = stream(self.window);
            return None;
        }
        if made >= most {
            self.shrink();
            return None;
        }
        // 7.2.1: the flush ends with an empty stored block, and its last four bytes stay here.
        let len = self.packed.get(..made)?.strip_suffix(&TAIL)?.len();
        self.packed(len)
    }

    /// The first bytes of what was made last.
    pub(super) fn packed(&self, len: usize) -> Option<&[u8]> {
        self.packed.get(..len)
    }

    /// Frees what a large message needed.
    pub fn shrink(&mut self) {
        if self.packed.len() > limits::SPARE_BYTES {
            self.packed = Vec::new();
        }
    }
}

/// Appends a whole frame, deflated if that makes it smaller, masked if there is a key.
pub fn encode(
    into: &mut Vec<u8>,
    opcode: Opcode,
    payload: &[u8],
    key: Option<[u8; 4]>,
    deflater: &mut Deflater,
) {
    let Some(packed) = deflater.deflate(payload) else {
        return frame::encode(into, opcode, payload, key);
    };
    let header = frame::header(opcode, packed.len(), key).deflated();
    into.extend_from_slice(header.as_bytes());
    let start = into.len();
    into.extend_from_slice(packed);
    if let (Some(key), Some(payload)) = (key, into.get_mut(start..)) {
        mask::apply(payload, key, 0);
    }
    deflater.shrink();
}

/// Makes messages what they were.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        // The largest window reads what any other wrote.
        let stream = Decompress::new(false);
        Self { stream }
    }
}

impl Inflater {
    /// Inflates a message into `into`, which is emptied first, up to `max` bytes.
    ///
    /// # Errors
    /// 1009 for more than `max` bytes, 1007 for what is no deflated data.
    pub fn inflate(&mut self, packed: &[u8], max: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        self.inflate_after(&[], packed, max, into)
    }

    /// The same of a message that may refer to `before`, which the peer said last.
    ///
    /// # Errors
    /// As [`Self::inflate`].
    pub fn inflate_after(
        &mut self,
        before: &[u8],
        packed: &[u8],
        max: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        into.clear();
        self.begin(before, into)?;
        for piece in [packed, &TAIL] {
            self.feed((before, piece), max, into)?;
        }
        Ok(())
    }

    /// Begins a stream that may refer to what was inflated so far, and to what was said before.
    fn begin(&mut self, before: &[u8], into: &[u8]) -> Result<(), Fault> {
        self.stream.reset(false);
        let own = last(into, WindowBits::MOST.bytes());
        let older = last(before, WindowBits::MOST.bytes() - own.len());
        for part in [older, own].into_iter().filter(|part| !part.is_empty()) {
            self.stream.set_dictionary(part).map_err(|_| NOT_DEFLATED)?;
        }
        Ok(())
    }

    /// Inflates a piece. Each turn takes something in or gives something out, or is the last.
    fn feed(
        &mut self,
        (before, mut piece): (&[u8], &[u8]),
        max: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        loop {
            let room = max.saturating_sub(into.len()).min(STEP.max(into.len()));
            // One byte more than allowed shows that there is more.
            let start = into.len();
            into.resize(start + room + 1, 0);
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let out = into.get_mut(start..).unwrap_or_default();
            let status = self.stream.decompress(piece, out, FlushDecompress::Sync);
            let took = usize::try_from(self.stream.total_in() - before_in).unwrap_or(0);
            let gave = usize::try_from(self.stream.total_out() - before_out).unwrap_or(0);
            into.truncate(start + gave);
            if into.len() > max {
                return Err(TOO_BIG);
            }
            piece = piece.get(took..).unwrap_or_default();
            match status {
                Err(_) => return Err(NOT_DEFLATED),
                // 7.2.3.4: a sender may end its blocks; what follows is another stream.
                Ok(Status::StreamEnd) => self.begin(before, into)?,
                Ok(Status::Ok | Status::BufError) if gave > room => {}
                Ok(Status::Ok | Status::BufError) if took == 0 && gave == 0 => return Ok(()),
                Ok(Status::Ok | Status::BufError) => {}
            }
            if piece.is_empty() && gave <= room {
                return Ok(());
            }
        }
    }
}

/// The end of it: so many bytes at most.
fn last(bytes: &[u8], most: usize) -> &[u8] {
    let from = bytes.len().saturating_sub(most);
    bytes.get(from..).unwrap_or_default()
}

/// Data that cannot be inflated (RFC 6455, 7.4.1: 1007).
const NOT_DEFLATED: Fault = Fault::WebSocket {
    code: closing::INVALID_PAYLOAD,
    reason: "a message that cannot be inflated",
};
