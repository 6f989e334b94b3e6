//! What a ring asks of the kernel, and what it is told.

use super::buffers::Buffers;
use super::intake::Group;
use io_uring::{cqueue, squeue};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// How long to stay in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnterWait {
    /// Not at all.
    Not,
    /// Until a completion, but no longer than this. Arms a timer of the kernel each time it sleeps.
    AtMost(Duration),
    /// As long as this, whatever completes meanwhile, but for a flood.
    Through(Duration),
    /// Until a completion: a timer entry must be under way.
    ForOne,
}

/// A completion, copied out of the shared ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

impl Completion {
    /// Whether the operation goes on and will complete again.
    pub(super) fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that this completion took, if it took one.
    pub(super) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// What a ring asks of the kernel. Unit tests put a scripted kernel in its place; elsewhere there
/// is one, and every call is direct.
pub(super) trait Kernel {
    /// Queues an entry; false if the queue is full.
    fn push(&mut self, entry: &squeue::Entry) -> bool;
    /// Lets the kernel take entries and waits for nothing.
    fn submit(&mut self) -> io::Result<usize>;
    /// Lets the kernel take entries, runs deferred work, waits.
    fn enter(&mut self, wait: EnterWait) -> io::Result<usize>;
    /// Moves all completions to the end of `into`.
    fn take(&mut self, into: &mut Vec<Completion>);
    /// Whether every entry has been taken and every completion shown.
    fn is_settled(&mut self) -> bool;
    /// Whether completions are there to be taken.
    fn has_completions(&mut self) -> bool;
    /// Whether entries are queued that the kernel has not taken.
    fn has_entries(&mut self) -> bool;
    /// Whether deferred work waits for an enter, or completions that found no room.
    fn has_deferred(&mut self) -> bool;
    /// The ring's descriptor, to which other cores send their doorbells.
    fn descriptor(&self) -> RawFd;
    /// Registers receive buffers; the caller keeps them longer than the ring.
    fn register_buffers(&mut self, group: Group, size: (u16, u32)) -> io::Result<Buffers>;
    /// Reserves the slots below `first` for [`Self::install`]: the kernel chooses above. It can
    /// since 6.0.
    fn reserve_below(&mut self, first: u32, slots: u32) -> io::Result<()>;
    /// Registers the eventfd that wakes a parked core; its notifications start disabled.
    fn register_eventfd(&mut self, descriptor: RawFd) -> io::Result<()>;
    /// Turns its notifications on, with the fence that orders it before the last look.
    fn enable_eventfd(&mut self);
    /// Turns its notifications off.
    fn disable_eventfd(&mut self);
    /// Puts a descriptor into a slot of the table.
    fn install(&mut self, slot: u32, descriptor: RawFd) -> io::Result<()>;
}
