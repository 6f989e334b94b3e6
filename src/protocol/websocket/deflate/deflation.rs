//! What deflates the messages of a core's connections: one compressor for each size of window, and
//! what each connection that keeps context was sent last.

use super::window::{Kept, WindowBits, Windows};
use super::{Agreement, Deflater};
use crate::protocol::websocket::frame::{Extension, Role};

/// Compressors: one for each size of window from 512 bytes to 32 KiB.
const SIZES: usize = (WindowBits::MOST.get() - WindowBits::NARROW.get()) as usize + 1;

/// What deflates the messages of a core's connections.
#[derive(Debug, Default)]
pub struct Deflation {
    deflaters: [Option<Box<Deflater>>; SIZES],
    windows: Windows,
    /// Bytes of windows that compressors were given since it was last asked.
    loaded: usize,
}

impl Deflation {
    /// What that side of a connection agreed on begins, where its window is an own one.
    pub fn open(&mut self, key: u32, agreement: &Agreement, role: Role) {
        let way = agreement.sent_by(role);
        if way.1 == Kept::Last || way.0 < WindowBits::USUAL {
            self.windows.open(key, way);
        }
    }

    /// The connection is gone.
    pub fn close(&mut self, key: u32) {
        self.windows.close(key);
    }

    /// What was deflated last for that connection did not leave.
    pub fn restart(&mut self, key: u32) {
        self.windows.restart(key);
    }

    /// A message that is deflated by itself was sent to that connection too.
    pub fn remember(&mut self, key: u32, message: &[u8]) {
        self.windows.remember(key, message);
    }

    /// The message deflated for that connection, which is going to be sent so; `None` if that is
    /// not worth it, and of a connection that has agreed to nothing.
    pub fn deflate(&mut self, (key, extension): (u32, Extension), message: &[u8]) -> Option<&[u8]> {
        let (bits, before) = match extension {
            Extension::None => return None,
            Extension::Deflate => (WindowBits::USUAL, None),
            Extension::DeflateNarrow => (WindowBits::NARROW, None),
            Extension::DeflateTakeover => {
                self.windows.last(key).unwrap_or((WindowBits::USUAL, None))
            }
        };
        let deflater = deflater(&mut self.deflaters, bits)?;
        let packed = match before {
            None => deflater.deflate(message),
            Some(before) => {
                self.loaded += before.len();
                deflater.deflate_after(before, message)
            }
        };
        let made = packed?.len();
        self.windows.remember(key, message);
        deflater.packed(made)
    }

    /// What deflates messages for many at once: each by itself, with [`WindowBits::USUAL`].
    pub fn shared(&mut self) -> Option<&mut Deflater> {
        deflater(&mut self.deflaters, WindowBits::USUAL).map(Box::as_mut)
    }

    /// Whether the connection can inflate what [`Self::shared`] made.
    #[must_use]
    pub fn takes_shared(&self, key: u32) -> bool {
        let window = self.windows.last(key);
        window.is_none_or(|(bits, _)| bits >= WindowBits::USUAL)
    }

    /// Frees what a large message needed.
    pub fn shrink(&mut self) {
        for deflater in self.deflaters.iter_mut().flatten() {
            deflater.shrink();
        }
    }

    /// Bytes of windows that compressors were given since this was last asked.
    pub const fn take_loaded(&mut self) -> usize {
        std::mem::replace(&mut self.loaded, 0)
    }

    /// Bytes that the windows of all connections may grow to.
    #[must_use]
    pub const fn promised(&self) -> usize {
        self.windows.promised()
    }
}

/// The compressor for a window: made when it is needed first.
fn deflater(
    all: &mut [Option<Box<Deflater>>; SIZES],
    bits: WindowBits,
) -> Option<&mut Box<Deflater>> {
    let bits = bits.max(WindowBits::NARROW);
    let place = all.get_mut(usize::from(bits.get() - WindowBits::NARROW.get()))?;
    Some(place.get_or_insert_with(|| Box::new(Deflater::with_window(bits))))
}
