//! Receives: bytes to the shard, buffers back to the kernel, and what follows from how they ended.

use super::Driver;
use crate::engine::cause;
use crate::engine::ring::intake::Group;
use crate::engine::ring::kernel::Completion;
use crate::engine::ring::slot::{Phase, Receive};
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
        if completion.more() || phase.is_none() {
            return;
        }
        match completion.result {
            // Data, but no more with this entry: armed again when it is settled.
            1.. => port.mark(id),
            0 => self.peer_ended(id),
            result if result == -libc::ENOBUFS => {
                port.counters.starved += 1;
                if let Some(slot) = port.slots.get(id) {
                    slot.receive = Receive::Starved;
                    port.rings.lane(ring).starved(group).push_back(id);
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
    pub(super) fn rearm_starved(&mut self, ring: usize, group: Group) {
        let mut free = self.buffers[ring].of(group).count();
        while free > 0
            && let Some(id) = self.port.rings.lane(ring).starved(group).pop_front()
        {
            let Some(slot) = self.port.slots.get(id) else {
                continue;
            };
            if slot.receive != Receive::Starved {
                continue;
            }
            match slot.phase {
                Phase::Open if slot.paused => slot.receive = Receive::Off,
                Phase::Open | Phase::Flushing | Phase::Lingering => {
                    self.port.arm_receive(id);
                    free -= 1;
                }
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
