//! What is queued for a connection: copied bytes and shared payloads, in batches from a pool, so
//! that an idle connection holds nothing. Used by every engine.
//!
//! A connection has at most two batches: one that the kernel is taking, never changed any more,
//! and one that gathers what comes meanwhile. So bytes handed to the kernel never move, and what
//! was sent is freed even if the backlog never becomes empty.

#![forbid(unsafe_code)]

use crate::limits;
use crate::shard::{Payload, Unsent};

/// Names a batch of a [`BatchPool`].
type Handle = u32;

/// No batch.
const NONE: Handle = u32::MAX;

/// Bytes and payloads in the order in which they were queued.
#[derive(Debug, Default)]
pub struct Batch {
    /// A payload that comes before everything else: a broadcast needs no list.
    lead: Option<Payload>,
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
    len: usize,
    /// Which of all that were taken from the pool.
    serial: u32,
}

/// A shared payload that comes before `bytes[at..]`.
#[derive(Debug)]
struct Cut {
    at: usize,
    payload: Payload,
}

impl Batch {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of all parts. `payloads` are the bytes of memory that queued payloads hold.
    pub fn push_parts(&mut self, parts: &[&[u8]], payloads: &mut usize) {
        self.fold_small_lead(payloads);
        self.append(parts);
    }

    #[inline]
    fn append(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
            self.len += part.len();
        }
    }

    /// Whether copies end in it, and `len` bytes more are within their memory.
    #[inline]
    fn has_room(&self, len: usize) -> bool {
        !self.bytes.is_empty() && self.bytes.capacity() - self.bytes.len() >= len
    }

    /// Appends a payload: by reference, or copied if it is small and follows something.
    pub fn share(&mut self, payload: &Payload, payloads: &mut usize) {
        let bytes = payload.bytes();
        if bytes.is_empty() {
            return;
        }
        if self.is_empty() {
            *payloads += payload.enqueued();
            self.lead = Some(payload.clone());
            self.len = bytes.len();
        } else if bytes.len() <= limits::SHARED_BYTES_MIN {
            self.push_parts(&[bytes], payloads);
        } else {
            self.fold_small_lead(payloads);
            *payloads += payload.enqueued();
            self.cuts.push(Cut {
                at: self.bytes.len(),
                payload: payload.clone(),
            });
            self.len += bytes.len();
        }
    }

    /// Bytes of memory that it takes, of each payload a share.
    fn held(&self) -> usize {
        self.capacity() + self.payloads().map(Payload::share_bytes).sum::<usize>()
    }

    fn payloads(&self) -> impl Iterator<Item = &Payload> {
        let cuts = self.cuts.iter().map(|cut| &cut.payload);
        self.lead.iter().chain(cuts)
    }

    /// Everything, if it is one piece of memory: only copies, or only one payload.
    #[must_use]
    pub fn single(&self) -> Option<&[u8]> {
        match &self.lead {
            None if self.cuts.is_empty() => Some(&self.bytes),
            Some(payload) if payload.bytes().len() == self.len => Some(payload.bytes()),
            None | Some(_) => None,
        }
    }

    /// The pieces that follow the first `from` bytes, in order, none of them empty.
    pub fn pieces(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        let lead = self.lead.iter().map(Payload::bytes);
        let mut at = 0;
        let cuts = self.cuts.iter().flat_map(move |cut| {
            let before = &self.bytes[at..cut.at];
            at = cut.at;
            [before, cut.payload.bytes()]
        });
        let tail = &self.bytes[self.cuts.last().map_or(0, |cut| cut.at)..];
        let mut skip = from;
        lead.chain(cuts)
            .chain(std::iter::once(tail))
            .filter_map(move |piece| {
                let skipped = skip.min(piece.len());
                skip -= skipped;
                let rest = &piece[skipped..];
                (!rest.is_empty()).then_some(rest)
            })
    }

    /// Empties it: payloads are released, small buffers kept, big ones freed.
    pub fn clear(&mut self, payloads: &mut usize) {
        *payloads -= self.payloads().map(Payload::dequeued).sum::<usize>();
        self.lead = None;
        self.cuts.clear();
        self.bytes.clear();
        self.len = 0;
        if self.capacity() > limits::BATCH_BYTES_KEPT {
            self.free();
        }
    }

    /// Bytes of heap memory it keeps.
    fn capacity(&self) -> usize {
        self.bytes.capacity() + self.cuts.capacity() * size_of::<Cut>()
    }

    fn free(&mut self) {
        self.bytes = Vec::new();
        self.cuts = Vec::new();
    }

    /// A small payload that gets company is copied after all: one piece beats two.
    fn fold_small_lead(&mut self, payloads: &mut usize) {
        let lone = self.bytes.is_empty() && self.cuts.is_empty();
        let small = |lead: &mut Payload| lead.bytes().len() <= limits::SHARED_BYTES_MIN;
        if lone && let Some(lead) = self.lead.take_if(small) {
            *payloads -= lead.dequeued();
            self.bytes.extend_from_slice(lead.bytes());
        }
    }
}

/// The batches of one core: taken while something is queued, last in first out so that the
/// memory is warm.
#[derive(Debug, Default)]
pub struct BatchPool {
    batches: Vec<Batch>,
    free: Vec<Handle>,
    /// Bytes of heap memory that the free batches keep.
    kept: usize,
    /// Bytes of heap memory of the batches in use.
    used: usize,
    /// Bytes of heap memory of the payloads in them, each counted once.
    payloads: usize,
    /// How many were taken, modulo 2^32.
    serial: u32,
}

impl BatchPool {
    fn take(&mut self) -> Handle {
        self.serial = self.serial.wrapping_add(1);
        if let Some(handle) = self.free.pop() {
            let batch = &mut self.batches[handle as usize];
            batch.serial = self.serial;
            self.kept -= batch.capacity();
            self.used += batch.capacity();
            return handle;
        }
        let handle = Handle::try_from(self.batches.len()).unwrap_or(NONE);
        assert_ne!(handle, NONE, "two batches a slot are fewer than 2^32");
        self.batches.push(Batch {
            serial: self.serial,
            ..Batch::default()
        });
        handle
    }

    fn give(&mut self, handle: Handle) {
        let batch = &mut self.batches[handle as usize];
        self.used -= batch.capacity();
        batch.clear(&mut self.payloads);
        if self.kept + batch.capacity() > limits::BATCH_POOL_BYTES {
            batch.free();
        }
        self.kept += batch.capacity();
        self.free.push(handle);
    }

    /// Bytes of heap memory that everything queued takes: a payload counts once, however many
    /// connections it is queued for.
    #[must_use]
    pub fn held(&self) -> usize {
        self.used + self.payloads
    }

    /// Appends `len` bytes. Where there is room for them, as behind the first of many small
    /// messages, nothing that is counted changes.
    #[inline]
    fn push_parts(&mut self, handle: Handle, parts: &[&[u8]], len: usize) {
        let batch = &mut self.batches[handle as usize];
        if batch.has_room(len) {
            batch.append(parts);
        } else {
            self.change(handle, |it, payloads| it.push_parts(parts, payloads));
        }
    }

    /// Changes the batch of that handle, which is in use.
    #[inline]
    fn change(&mut self, handle: Handle, change: impl FnOnce(&mut Batch, &mut usize)) {
        let batch = &mut self.batches[handle as usize];
        let before = batch.capacity();
        change(batch, &mut self.payloads);
        // Nothing is freed while it gathers.
        self.used += batch.capacity() - before;
    }

    /// Bytes of heap memory that the free batches keep.
    #[cfg(test)]
    pub(crate) const fn kept(&self) -> usize {
        self.kept
    }

    /// Frees the memory that free batches keep, and the batches themselves behind the last that is
    /// in use: every connection has had one if all were told something at once.
    pub fn trim(&mut self) {
        for &handle in &self.free {
            self.batches[handle as usize].free();
        }
        self.kept = 0;
        self.free.sort_unstable();
        while self.batches.len().checked_sub(1) == self.free.last().map(|last| *last as usize)
            && self.free.pop().is_some()
        {
            self.batches.pop();
        }
        // The first are taken first.
        self.free.reverse();
        self.batches.shrink_to_fit();
        self.free.shrink_to_fit();
    }

    /// Batches in use: 0 when every connection is idle.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.batches.len() - self.free.len()
    }
}

/// What one connection has queued: 20 bytes, and batches only while there is something.
#[derive(Debug)]
pub struct Outbound {
    /// The batch that the kernel is taking. It is not changed until it is returned.
    flight: Handle,
    /// The batch that gathers.
    queued: Handle,
    /// How much of the flight the kernel has taken.
    sent: u32,
    /// Bytes queued and not yet taken by the kernel, both batches.
    backlog: u32,
    /// The backlog was above the high mark and has not been at the low mark since.
    high: bool,
}

/// What follows from the kernel having taken bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The backlog came down to the low mark after it had been above the high one.
    pub drained: bool,
    /// The flight is over; its batch is back in the pool.
    pub landed: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            flight: NONE,
            queued: NONE,
            sent: 0,
            backlog: 0,
            high: false,
        }
    }
}

impl Outbound {
    /// Queues a copy of all parts.
    ///
    /// # Errors
    /// [`Unsent::Full`] if the backlog would exceed `cap` bytes; then nothing was queued.
    pub fn push_parts(
        &mut self,
        pool: &mut BatchPool,
        cap: usize,
        parts: &[&[u8]],
    ) -> Result<(), Unsent> {
        let len = parts.iter().map(|part| part.len()).sum();
        if let Some(batch) = self.grow(pool, cap, len)? {
            pool.push_parts(batch, parts, len);
        }
        Ok(())
    }

    /// Queues a payload.
    ///
    /// # Errors
    /// [`Unsent::Full`] if the backlog would exceed `cap` bytes; then nothing was queued.
    pub fn share(
        &mut self,
        pool: &mut BatchPool,
        cap: usize,
        payload: &Payload,
    ) -> Result<(), Unsent> {
        if let Some(batch) = self.grow(pool, cap, payload.bytes().len())? {
            pool.change(batch, |it, payloads| it.share(payload, payloads));
        }
        Ok(())
    }

    /// Queues a copy of `head` and then a payload.
    ///
    /// # Errors
    /// [`Unsent::Full`] if the backlog would exceed `cap` bytes; then nothing was queued.
    pub fn share_behind(
        &mut self,
        pool: &mut BatchPool,
        cap: usize,
        head: &[u8],
        payload: &Payload,
    ) -> Result<(), Unsent> {
        let len = head.len() + payload.bytes().len();
        if let Some(batch) = self.grow(pool, cap, len)? {
            pool.change(batch, |it, payloads| {
                it.push_parts(&[head], payloads);
                it.share(payload, payloads);
            });
        }
        Ok(())
    }

    /// What the kernel should take next: a batch and how much of it was taken already. Starts the
    /// next flight if none is under way; `None` if nothing is queued.
    pub fn flight<'p>(&mut self, pool: &'p BatchPool) -> Option<(&'p Batch, usize)> {
        if self.flight == NONE {
            if self.queued == NONE {
                return None;
            }
            self.flight = std::mem::replace(&mut self.queued, NONE);
            self.sent = 0;
        }
        Some((&pool.batches[self.flight as usize], self.sent as usize))
    }

    /// Bytes of the flight that the kernel has not taken yet.
    #[must_use]
    pub fn flight_rest(&self, pool: &BatchPool) -> usize {
        let batch = pool.batches.get(self.flight as usize);
        batch.map_or(0, |batch| batch.len() - self.sent as usize)
    }

    /// The kernel took so many bytes of the flight.
    pub fn took(&mut self, pool: &mut BatchPool, bytes: usize) -> Taken {
        let len = pool.batches[self.flight as usize].len();
        let sent = self.sent as usize + bytes;
        assert!(sent <= len, "the kernel takes no more than it was given");
        self.sent = u32::try_from(sent).unwrap_or(u32::MAX);
        self.backlog -= u32::try_from(bytes).unwrap_or(u32::MAX);
        let landed = sent == len;
        if landed {
            pool.give(std::mem::replace(&mut self.flight, NONE));
        }
        let drained = self.high && self.backlog() <= limits::BACKLOG_LOW;
        self.high &= !drained;
        Taken { drained, landed }
    }

    /// Drops what gathers, and says how many bytes; the flight stays with the kernel.
    pub fn drop_queued(&mut self, pool: &mut BatchPool) -> usize {
        let Some(batch) = pool.batches.get(self.queued as usize) else {
            return 0;
        };
        let len = batch.len();
        self.backlog -= u32::try_from(len).unwrap_or(u32::MAX);
        pool.give(std::mem::replace(&mut self.queued, NONE));
        len
    }

    /// Drops everything, and says how many bytes. The kernel must be done with the flight.
    pub fn clear(&mut self, pool: &mut BatchPool) -> usize {
        let dropped = self.backlog();
        for handle in [self.flight, self.queued] {
            if handle != NONE {
                pool.give(handle);
            }
        }
        *self = Self::default();
        dropped
    }

    /// Bytes queued and not yet taken by the kernel.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.backlog as usize
    }

    /// Bytes of memory that what is queued takes, of each payload a share.
    #[must_use]
    pub fn held(&self, pool: &BatchPool) -> usize {
        let batch = |handle| pool.batches.get(handle as usize).map_or(0, Batch::held);
        batch(self.flight) + batch(self.queued)
    }

    /// Another number whenever the kernel has taken something.
    #[must_use]
    pub fn progress(&self, pool: &BatchPool) -> u64 {
        let (handle, sent) = match self.flight {
            NONE => (self.queued, 0),
            flight => (flight, self.sent),
        };
        let batch = pool.batches.get(handle as usize);
        batch.map_or(0, |batch| u64::from(batch.serial) << 32 | u64::from(sent))
    }

    /// Whether a batch was handed out by [`Outbound::flight`] and has not landed.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        self.flight != NONE
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backlog == 0
    }

    /// Whether `drained` is owed once the backlog is low again.
    #[must_use]
    pub fn is_high(&self) -> bool {
        self.high
    }

    /// Counts `len` more bytes, and finds the batch that gathers; `None` if nothing is to be added.
    fn grow(
        &mut self,
        pool: &mut BatchPool,
        cap: usize,
        len: usize,
    ) -> Result<Option<Handle>, Unsent> {
        let total = self.backlog().checked_add(len).ok_or(Unsent::Full)?;
        if total > cap {
            return Err(Unsent::Full);
        }
        self.backlog = u32::try_from(total).map_err(|_| Unsent::Full)?;
        self.high |= total > limits::BACKLOG_HIGH;
        if len == 0 {
            return Ok(None);
        }
        if self.queued == NONE {
            self.queued = pool.take();
        }
        Ok(Some(self.queued))
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
