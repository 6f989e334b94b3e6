//! What a connection said last: what later messages of it may refer to (RFC 7692, 7.1 and 7.2).
//!
//! That is all that context takeover needs between two messages. A compressor or decompressor of
//! the core is given it back before the next message, as a dictionary, so that a connection costs
//! the window that was agreed on, for each way that keeps one, and not the hundreds of kilobytes
//! of a compressor's state.

use std::collections::BTreeMap;

/// The size of a window, as a power of two of bytes: 8 to 15 (RFC 7692, 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 256 bytes.
    pub const LEAST: Self = Self(8);
    /// 512 bytes: what a compressor here has at least. It refers no further back than 250 of them,
    /// so that it serves [`Self::LEAST`] too.
    pub const NARROW: Self = Self(9);
    /// 4 KiB: larger ones find little more in a message by itself, and the last dozens of short
    /// messages fit into it.
    pub const USUAL: Self = Self(12);
    /// 32 KiB: what a side keeps that has not said how much it keeps.
    pub const MOST: Self = Self(15);

    /// That many bits, if a window may have them.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            8..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Bytes of the window.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

/// The windows of a core's connections that keep one, each way by itself.
#[derive(Debug, Default)]
pub struct Windows {
    all: BTreeMap<u32, Window>,
    /// Bytes that all of them may grow to.
    promised: usize,
}

/// What one connection said last.
#[derive(Debug)]
struct Window {
    bits: WindowBits,
    /// Whether anything is kept: without, only the window's size counts.
    kept: Kept,
    last: Vec<u8>,
}

/// Whether a side keeps what it has said or heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It does: context takeover.
    Last,
    /// It does not: each message is for itself.
    Nothing,
}

impl Windows {
    /// A connection with that key begins with nothing said.
    pub fn open(&mut self, key: u32, (bits, kept): (WindowBits, Kept)) {
        let last = Vec::new();
        self.close(key);
        let window = Window { bits, kept, last };
        self.promised += window.promised();
        self.all.insert(key, window);
    }

    /// The connection is gone.
    pub fn close(&mut self, key: u32) {
        if let Some(window) = self.all.remove(&key) {
            self.promised -= window.promised();
        }
    }

    /// Nothing that was said before is referred to any more: which is always allowed to the side
    /// that deflates.
    pub fn restart(&mut self, key: u32) {
        if let Some(window) = self.all.get_mut(&key) {
            window.last.clear();
        }
    }

    /// A message was said in a deflated frame. What travels as it is does not count (RFC 7692, 7.2:
    /// the window is over what is deflated).
    pub fn remember(&mut self, key: u32, message: &[u8]) {
        if let Some(window) = self.all.get_mut(&key) {
            window.remember(message);
        }
    }

    /// How large the window is, and what was said last if that is kept; `None` of a connection
    /// without a window of its own.
    #[must_use]
    pub fn last(&self, key: u32) -> Option<(WindowBits, Option<&[u8]>)> {
        let window = self.all.get(&key)?;
        let last = match window.kept {
            Kept::Last => Some(&*window.last),
            Kept::Nothing => None,
        };
        Some((window.bits, last))
    }

    /// What was said last; nothing where nothing is kept.
    #[must_use]
    pub fn context(&self, key: u32) -> &[u8] {
        let last = self.last(key).and_then(|(_, last)| last);
        last.unwrap_or_default()
    }

    /// Bytes that all windows may grow to.
    #[must_use]
    pub const fn promised(&self) -> usize {
        self.promised
    }
}

impl Window {
    const fn promised(&self) -> usize {
        match self.kept {
            Kept::Last => self.bits.bytes(),
            Kept::Nothing => 0,
        }
    }

    fn remember(&mut self, message: &[u8]) {
        let size = self.promised();
        let fresh = message.len().min(size);
        let message = message.get(message.len() - fresh..).unwrap_or_default();
        let over = (self.last.len() + fresh).saturating_sub(size);
        self.last.drain(..over.min(self.last.len()));
        let (len, capacity) = (self.last.len(), self.last.capacity());
        if capacity - len < fresh {
            // Short conversations keep short windows.
            let wanted = (2 * capacity).max(len + fresh).min(size);
            self.last.reserve_exact(wanted - len);
        }
        self.last.extend_from_slice(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(windows: &Windows, key: u32) -> Vec<u8> {
        windows.context(key).to_vec()
    }

    #[test]
    fn a_window_has_the_last_bytes_and_no_more_memory_than_it_was_promised() {
        let mut windows = Windows::default();
        windows.open(7, (WindowBits::LEAST, Kept::Last));
        let mut all = Vec::new();
        for len in [0_u8, 1, 100, 3, 200, 255, 90, 0, 40] {
            let message: Vec<u8> = (0..len).collect();
            windows.remember(7, &message);
            all.extend_from_slice(&message);
            let last = all.len().saturating_sub(256);
            assert_eq!(said(&windows, 7), all.get(last..).unwrap());
            assert!(windows.all.get(&7).unwrap().last.capacity() <= 256);
        }
        let long: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        windows.remember(7, &long);
        assert_eq!(said(&windows, 7), long.get(744..).unwrap());
        assert_eq!(windows.promised(), 256);
        windows.restart(7);
        assert_eq!(said(&windows, 7), [0; 0]);
    }

    #[test]
    fn what_is_promised_is_given_back() {
        let mut windows = Windows::default();
        windows.open(1, (WindowBits::MOST, Kept::Last));
        windows.open(2, (WindowBits::NARROW, Kept::Nothing));
        windows.open(3, (WindowBits::USUAL, Kept::Last));
        // The same slot again.
        windows.open(3, (WindowBits::NARROW, Kept::Last));
        assert_eq!(windows.promised(), 32_768 + 512);
        windows.remember(2, b"nothing of it is kept");
        windows.remember(9, b"no such connection");
        assert_eq!(said(&windows, 2), [0; 0]);
        for key in [1, 2, 3, 9] {
            windows.close(key);
        }
        assert_eq!(windows.promised(), 0);
    }
}
