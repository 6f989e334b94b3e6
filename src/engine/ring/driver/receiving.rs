//! Receives: bytes to the shard, buffers back to the kernel, and what follows from how they ended.

use super::Driver;
use crate::engine::cause;
use crate::engine::ring::intake::Group;
use crate::engine::ring::kernel::Completion;
use crate::engine::ring::slot::{Phase, Receive, Slot};
use crate::limits;
use crate::shard::{ConnectionId, Half, Shard};

impl<S: Shard> Driver<S> {
    #[inline]
    pub(super) fn received(
        &mut self,
        (ring, group): (usize, Group),
        id: ConnectionId,
        completion: Completion,
    ) {
        let port = &mut *self.port;
        let buffers = &mut self.buffers[ring];
        let buffer = completion.buffer();
        let (mut changes, len) = (false, usize::try_from(completion.result).unwrap_or(0));
        let phase = port.slots.get(id).map(|slot| {
            if !completion.more() {
                slot.receive = Receive::Off;
            }
            changes = len > 0 && slot.intake.note(group, len, buffers.small.size());
            slot.phase
        });
        if changes {
            port.mark(id);
        }
        if let (1.., Some(buffer)) = (len, buffer) {
            port.counters.bytes_in += len as u64;
            if phase == Some(Phase::Open) {
                let bytes = buffers.of(group).bytes(buffer, len);
                self.shard.received(id, bytes, port);
            }
        }
        if let Some(buffer) = buffer {
            buffers.of(group).give_back(buffer);
        }
        if !completion.more() && phase.is_some() {
            self.receive_is_over((ring, group), id, completion.result);
        }
    }

    /// A receive into a buffer of the shard is over: the shard gets it back, whatever it brought.
    pub(super) fn received_into(&mut self, ring: usize, id: ConnectionId, result: i32) {
        let port = &mut *self.port;
        let len = usize::try_from(result).unwrap_or(0);
        let Some(buffer) = port.lent.take(id, len) else {
            return;
        };
        let Some(slot) = port.slots.get(id) else {
            return;
        };
        slot.receive = Receive::Off;
        port.counters.bytes_in += len as u64;
        if slot.phase == Phase::Open {
            self.shard.received_into(id, buffer, port);
        }
        // A message that goes on does so at once: the fewer are begun at a time, the warmer they
        // are. The bound on a message is one on that.
        if len == 0 || !self.lend(id) {
            self.receive_is_over((ring, Group::Large), id, result);
        }
    }

    /// Arms a receive into a buffer of the shard, if it lends one.
    fn lend(&mut self, id: ConnectionId) -> bool {
        let port = &mut *self.port;
        if self.shard.finished() {
            return false;
        }
        let receives = |slot: &mut Slot| slot.phase == Phase::Open && !slot.paused;
        if port.slots.get(id).is_none_or(|slot| !receives(slot)) {
            return false;
        }
        let Some(into) = self.shard.receive_into(id) else {
            return false;
        };
        port.receive_into(id, into);
        true
    }

    /// The kernel holds no receive of the connection any more.
    fn receive_is_over(&mut self, (ring, group): (usize, Group), id: ConnectionId, result: i32) {
        let port = &mut *self.port;
        match result {
            // Data, but no more with this entry: armed again when it is settled.
            1.. => port.mark(id),
            0 => self.peer_ended(id),
            result if result == -libc::ENOBUFS => {
                port.counters.starved += 1;
                if let Some(slot) = port.slots.get(id) {
                    slot.receive = Receive::Queued;
                    port.rings.lane(ring).queued(group).push_back(id);
                }
                port.mark(id);
            }
            result if result == -libc::ECANCELED => port.mark(id),
            result => port.connection_broke(id, cause::from_errno(-result)),
        }
    }

    /// The peer's FIN came: the shard decides whether it has still something to send.
    fn peer_ended(&mut self, id: ConnectionId) {
        let port = &mut *self.port;
        if let Some(slot) = port.slots.get(id) {
            slot.receive = Receive::Ended;
            let open = slot.phase == Phase::Open;
            port.mark(id);
            if open && self.shard.ended(id, port) == Half::Close {
                port.peer_ended(id);
            }
        }
    }

    /// Arms at most as many starved receives as there are buffers: all at once, for fewer buffers,
    /// would only starve them again, for ever.
    pub(super) fn arm_queued(&mut self, ring: usize) {
        for _ in 0..self.buffers[ring].small.count() {
            let Some(id) = self.next_queued(ring, Group::Small) else {
                return;
            };
            self.port.arm_receive(id);
        }
    }

    /// Arms large receives, but no more in one turn than bring what fits into a core's cache: what
    /// is received is sent before the next is. At least one.
    pub(in crate::engine::ring) fn arm_queued_large(&mut self, ring: usize) {
        let large = &self.buffers[ring].large;
        let (mut buffers, size) = (large.count(), large.size());
        while buffers > 0
            && let Some(id) = self.next_queued(ring, Group::Large)
        {
            if !self.lend(id) {
                buffers -= 1;
                let room = &mut self.port.lent.room;
                *room = room.saturating_sub(size);
                self.port.arm_receive(id);
            }
            if self.port.lent.room == 0 {
                break;
            }
        }
        self.port.lent.room = limits::RECEIVE_TURN_BYTES;
    }

    /// The connection whose turn it is to be armed.
    fn next_queued(&mut self, ring: usize, group: Group) -> Option<ConnectionId> {
        loop {
            let id = self.port.rings.lane(ring).queued(group).pop_front()?;
            let Some(slot) = self.port.slots.get(id) else {
                continue;
            };
            if slot.receive != Receive::Queued {
                continue;
            }
            match slot.phase {
                Phase::Open if !slot.paused => return Some(id),
                Phase::Flushing | Phase::Lingering => return Some(id),
                _ => slot.receive = Receive::Off,
            }
        }
    }

    /// Gives the memory of large buffers back to the system, where the shard has asked for that
    /// and the kernel shows none that was not looked at.
    pub(in crate::engine::ring) fn trim_large_buffers(&mut self) {
        if !self.port.trims {
            return;
        }
        for (ring, buffers) in self.buffers.iter().enumerate() {
            if self.port.rings.lane(ring).ring.has_work() {
                return;
            }
            buffers.large.release();
        }
        self.port.trims = false;
    }
}
