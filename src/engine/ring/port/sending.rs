//! Sends: one in flight per connection, everything queued in one turn in one of them.
//!
//! A send is first tried without waiting for room (`MSG_DONTWAIT`) and without a completion for
//! success (`CQE_SKIP_SUCCESS`). Such a send has run when the enter that submitted it returns: it
//! is never polled and never handed to a worker. If no failure was posted, it was taken whole, so
//! its buffer is free again. One that found no room is sent again as a waiting one, whose buffer
//! lives until its completion. So does one from which something follows, `drained` or our FIN: its
//! completion wakes the core, while the silent kind is proven by the next enter, whenever that is.

use super::{Port, RingEvent};
use crate::engine::cause;
use crate::engine::ring::operation::{Operation, tag};
use crate::engine::ring::slot::{Phase, Send};
use crate::limits;
use crate::shard::ConnectionId;
use io_uring::{opcode, squeue};

impl<M> Port<M> {
    /// Submits what the connection has queued, if nothing is in flight.
    #[inline]
    pub(in crate::engine::ring) fn submit_send(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let mut wait = match slot.send {
            Send::Off => false,
            Send::Blocked => true,
            Send::Unproven | Send::Waiting => return,
        };
        // What follows from this send must not wait for something else to end the core's sleep.
        wait |= slot.phase != Phase::Open || slot.out.is_high();
        let Some((batch, from)) = slot.out.flight(&self.pool) else {
            return;
        };
        let fixed = self.rings.direct(id);
        let lane = self.rings.home(id);
        let entry = match batch.single().map(|bytes| &bytes[from..]) {
            Some(bytes) => {
                let part = bytes.len().min(limits::SEND_BYTES);
                wait |= part < bytes.len();
                let len = u32::try_from(part).unwrap_or(u32::MAX);
                opcode::Send::new(fixed, bytes.as_ptr(), len)
                    .flags(send_flags(wait))
                    .build()
            }
            None => {
                let (message, whole) = lane.vectors.write(batch, from);
                // Part of a batch must say how much it was.
                wait |= !whole;
                let flags = send_flags(wait).cast_unsigned();
                opcode::SendMsg::new(fixed, message).flags(flags).build()
            }
        };
        let mut entry = entry.user_data(tag(Operation::Send, id));
        if wait {
            slot.send = Send::Waiting;
        } else {
            slot.send = Send::Unproven;
            entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
            lane.unproven.push(id);
        }
        self.counters.sends += 1;
        lane.ring.push(&entry);
    }

    /// After an enter of a ring and its completions: every unproven send of it without a failure
    /// was taken whole.
    #[inline]
    pub(in crate::engine::ring) fn prove_sends(&mut self, index: usize) {
        let lane = self.rings.lane(index);
        if !lane.ring.is_settled() {
            return;
        }
        lane.vectors.free();
        let mut proven = std::mem::take(&mut lane.unproven);
        for id in proven.drain(..) {
            if let Some(slot) = self.slots.get(id)
                && slot.send == Send::Unproven
            {
                slot.send = Send::Off;
                let rest = slot.out.flight_rest(&self.pool);
                self.took(id, rest);
            }
        }
        // Given back for its memory: nothing was submitted meanwhile.
        self.rings.lane(index).unproven = proven;
    }

    /// A send was reported: one that failed, or one that waited.
    pub(in crate::engine::ring) fn send_completed(&mut self, id: ConnectionId, result: i32) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        match usize::try_from(result) {
            Ok(bytes) => {
                let whole = bytes == slot.out.flight_rest(&self.pool);
                slot.send = if whole { Send::Off } else { Send::Blocked };
                self.took(id, bytes);
            }
            Err(_) if result == -libc::EAGAIN || result == -libc::EINTR => {
                slot.send = Send::Blocked;
            }
            Err(_) => {
                slot.send = Send::Off;
                self.connection_broke(id, cause::from_errno(-result));
            }
        }
        self.mark(id);
    }

    /// The kernel took so many bytes of the flight.
    #[inline]
    fn took(&mut self, id: ConnectionId, bytes: usize) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let taken = slot.out.took(&mut self.pool, bytes);
        self.counters.bytes_out += bytes as u64;
        self.counters.backlog_bytes -= bytes as u64;
        if taken.drained {
            self.pending.push_back(RingEvent::Drained(id));
        }
        if slot.phase != Phase::Open || !slot.out.is_empty() {
            self.mark(id);
        }
    }
}

fn send_flags(wait: bool) -> i32 {
    let room = if wait { 0 } else { libc::MSG_DONTWAIT };
    libc::MSG_NOSIGNAL | libc::MSG_WAITALL | room
}
