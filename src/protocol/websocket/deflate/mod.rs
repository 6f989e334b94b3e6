//! permessage-deflate (RFC 7692): messages made smaller, without memory for each connection.
//!
//! Neither side keeps context between messages: that is agreed on in every handshake here, as a
//! server may always demand it of both (7.1.1). So one [`Deflater`] and one [`Inflater`] serve all
//! connections of a core, an idle connection costs nothing more, and a broadcast is deflated once.
//!
//! What is inflated is bounded while it is inflated, by the cap on a message (CVE-2026-27571: a
//! small message that becomes a large one), and counted in [`super::decoder::Pool::worked`], so
//! that many such messages do not keep others waiting.

mod negotiate;
#[cfg(test)]
mod tests;

pub use negotiate::{Agreement, OFFER, agree, agreed};

use super::TOO_BIG;
use super::closing;
use super::frame::{self, Opcode};
use super::mask;
use crate::limits;
use crate::protocol::Fault;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The window that [`Deflater`] looks back in, as a power of two: 4 KiB. Larger ones find little
/// more in messages without context, and a client that inflates needs as much.
const WINDOW_BITS: u8 = 12;
/// The window of [`Deflater::narrow`]: the least that raw deflate has, 512 bytes.
const NARROW_BITS: u8 = 9;
/// How hard it is tried: the least that finds repeats lazily.
const LEVEL: u32 = 4;
/// What ends the content of a message and does not travel (7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Bytes that are inflated at once, at least.
const STEP: usize = 4096;

/// Makes messages smaller.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    window_bits: u8,
    packed: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self::with_window(WINDOW_BITS)
    }
}

fn stream(window_bits: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits)
}

/// Bytes that a deflated message never exceeds: zlib's own conservative bound (`deflateBound`), and
/// what ends it.
const fn bound(bytes: usize) -> usize {
    bytes + bytes.div_ceil(8) + bytes.div_ceil(64) + 16
}

impl Deflater {
    /// For whoever keeps no more than 512 bytes to inflate with.
    #[must_use]
    pub fn narrow() -> Self {
        Self::with_window(NARROW_BITS)
    }

    fn with_window(window_bits: u8) -> Self {
        Self {
            stream: stream(window_bits),
            window_bits,
            packed: Vec::new(),
        }
    }

    /// The message deflated; `None` if that is not worth it: then it is sent as it is, which is
    /// always allowed (RFC 7692, 6.1).
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        if message.len() < limits::DEFLATE_BYTES_MIN {
            return None;
        }
        // Room for all of it, whatever it becomes: zlib-rs 0.6.8 panics later if it is left with
        // bytes that it could not give out, reset or not.
        let room = bound(message.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        self.stream.reset();
        let out = self.packed.get_mut(..room)?;
        let status = self.stream.compress(message, out, FlushCompress::Sync);
        let used = usize::try_from(self.stream.total_in()).ok()?;
        let made = usize::try_from(self.stream.total_out()).ok()?;
        if status.is_err() || used < message.len() || made >= room {
            self.stream = stream(self.window_bits);
            return None;
        }
        if made >= message.len() + TAIL.len() {
            self.shrink();
            return None;
        }
        // 7.2.1: the flush ends with an empty stored block, and its last four bytes stay here.
        let packed = self.packed.get(..made)?;
        packed.strip_suffix(&TAIL)
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
        into.clear();
        self.stream.reset(false);
        self.feed(packed, max, into)?;
        self.feed(&TAIL, max, into)
    }

    /// Inflates a piece. Each turn takes something in or gives something out, or is the last.
    fn feed(&mut self, mut piece: &[u8], max: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
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
                Ok(Status::StreamEnd) => self.stream.reset(false),
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

/// Data that cannot be inflated (RFC 6455, 7.4.1: 1007).
const NOT_DEFLATED: Fault = Fault::WebSocket {
    code: closing::INVALID_PAYLOAD,
    reason: "a message that cannot be inflated",
};
