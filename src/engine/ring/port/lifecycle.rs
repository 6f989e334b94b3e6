//! How a connection goes on and ends: armed, paused, flushed, lingering, cancelled, closed.
//!
//! Whatever happens to a connection in a turn only changes its slot and marks it; `settle` at the
//! end of the turn looks at each marked slot once and submits what follows.

use super::{Port, RingEvent};
use crate::engine::closing::{Closing, LingerStep};
use crate::engine::ring::intake::Group;
use crate::engine::ring::operation::{Operation, tag};
use crate::engine::ring::option::{socklen, unacknowledged_entry};
use crate::engine::ring::slot::{Phase, Receive, Send, Slot};
use crate::shard::{CloseCause, ConnectionId, ReceiveInto};
use io_uring::{opcode, squeue};

/// Bytes that are received where a large message probably begins: its head, and little to copy.
const BEGINNING: u32 = 4096;

/// Resets on close instead of lingering in the kernel: `SO_LINGER` with a time of 0.
static RESET: libc::linger = libc::linger {
    l_onoff: 1,
    l_linger: 0,
};

impl<M> Port<M> {
    /// Settles every marked connection, those too that settling marks.
    pub(in crate::engine::ring) fn settle_all(&mut self) {
        let mut index = 0;
        while let Some(&id) = self.dirty.get(index) {
            index += 1;
            if let Some(slot) = self.slots.get(id) {
                slot.dirty = false;
                self.settle(id);
            }
        }
        self.dirty.clear();
    }

    /// Submits what follows from where the connection stands.
    #[inline]
    fn settle(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        match slot.phase {
            Phase::Free | Phase::Connecting | Phase::Closing => {}
            Phase::Open => {
                let (receive, paused) = (slot.receive, slot.paused);
                let outgrown = slot.intake.is_outgrown();
                if !slot.out.is_empty() {
                    self.submit_send(id);
                }
                match (receive, paused) {
                    (Receive::Off, false) => self.arm_or_queue(id),
                    (Receive::Armed, true) => self.cancel_receive(id),
                    // Armed again when the cancellation is through.
                    (Receive::Armed, false) if outgrown => self.cancel_receive(id),
                    _ => {}
                }
            }
            Phase::Flushing if !slot.out.is_empty() => self.submit_send(id),
            Phase::Flushing if slot.receive == Receive::Ended => self.end(id),
            Phase::Flushing => self.send_fin(id),
            Phase::Lingering => match (slot.receive, slot.busy) {
                (Receive::Ended, false) => self.end(id),
                (Receive::Off, _) => self.arm_receive(id),
                _ => {}
            },
            Phase::Ending if slot.is_held() => {}
            Phase::Ending => self.close_descriptor(id),
        }
    }

    /// Arms the receive: a multishot one, or one for a large buffer.
    #[inline]
    pub(in crate::engine::ring) fn arm_receive(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        slot.receive = Receive::Armed;
        let group = slot.intake.arm();
        let (fixed, number) = (self.rings.direct(id), group.number());
        let entry = match group {
            Group::Small => opcode::RecvMulti::new(fixed, number).build(),
            Group::Large => {
                // A length of 0 is that of the buffer.
                let most = match slot.intake.takes_beginning() {
                    true => BEGINNING,
                    false => 0,
                };
                opcode::Recv::new(fixed, std::ptr::null_mut(), most)
                    .buf_group(number)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
        };
        self.rings
            .push(id, &entry.user_data(tag(group.operation(), id)));
    }

    /// Arms a receive into a buffer of the shard.
    pub(in crate::engine::ring) fn receive_into(&mut self, id: ConnectionId, into: ReceiveInto) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        slot.receive = Receive::Armed;
        slot.intake.arm_lent();
        let (place, most) = self.lent.keep(id, into);
        let entry = opcode::Recv::new(self.rings.direct(id), place, most).build();
        self.rings
            .push(id, &entry.user_data(tag(Operation::ReceiveInto, id)));
    }

    /// Arms the receive at the end of the turn or, a large one, when it is its turn.
    #[inline]
    fn arm_or_queue(&mut self, id: ConnectionId) {
        match self.slots.get(id) {
            Some(slot) if slot.intake.wants_large() => {
                slot.receive = Receive::Queued;
                self.rings.home(id).queued(Group::Large).push_back(id);
            }
            Some(_) => self.arm_receive(id),
            None => {}
        }
    }

    /// The shard asks to end the connection after what is queued.
    pub(in crate::engine::ring) fn finish(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        match slot.phase {
            Phase::Connecting => self.abort(id),
            Phase::Open => {
                slot.cause = CloseCause::Local;
                self.flush(id);
            }
            _ => {}
        }
    }

    /// The shard asks to end the connection at once, or the engine gives up on it.
    pub(in crate::engine::ring) fn abort(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if matches!(slot.phase, Phase::Free | Phase::Ending | Phase::Closing) {
            return;
        }
        if slot.phase != Phase::Connecting && self.features.socket_options {
            let value = (&raw const RESET).cast();
            let len = socklen::<libc::linger>();
            let level = libc::SOL_SOCKET.cast_unsigned();
            let name = libc::SO_LINGER.cast_unsigned();
            let entry =
                opcode::SetSockOpt::new(self.rings.direct(id), level, name, value, len).build();
            self.push_silent(id, entry, Operation::ResetOnClose);
        }
        self.end(id);
    }

    /// The core ends: cancels the connection's operations unless that is done already.
    pub(in crate::engine::ring) fn cancel_all_of(&mut self, id: ConnectionId) {
        let is_ending = |slot: &mut Slot| matches!(slot.phase, Phase::Ending | Phase::Closing);
        if !self.slots.get(id).is_none_or(is_ending) {
            self.end(id);
        }
    }

    /// The kernel says that the connection is broken.
    pub(in crate::engine::ring) fn connection_broke(
        &mut self,
        id: ConnectionId,
        cause: CloseCause,
    ) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if matches!(slot.phase, Phase::Open | Phase::Connecting) {
            slot.cause = cause;
        }
        self.end(id);
    }

    /// A step before the connect failed. The connect may have been told first, and then only that
    /// it had no socket: the step's failure says why.
    pub(in crate::engine::ring) fn prepare_failed(&mut self, id: ConnectionId, cause: CloseCause) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if slot.phase == Phase::Ending && slot.cause == CloseCause::Os(libc::EBADF) {
            slot.cause = cause;
        }
        self.connection_broke(id, cause);
    }

    /// The peer has ended its stream, and the shard has nothing to add. What is queued leaves.
    pub(in crate::engine::ring) fn peer_ended(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id)
            && slot.phase == Phase::Open
        {
            slot.cause = CloseCause::PeerEnded;
            self.flush(id);
        }
    }

    /// Looks at the connections that have been closing for a while: asks the kernel how much their
    /// peers have not acknowledged.
    pub(in crate::engine::ring) fn expire_lingering(&mut self) {
        while let Some(closing) = self.lingering.pop_front_if(|it| it.at <= self.now) {
            let id = closing.id;
            let phase = self.slots.get(id).map(|slot| slot.phase);
            if !matches!(phase, Some(Phase::Flushing | Phase::Lingering)) {
                continue;
            }
            self.querying.push_back(closing);
            if self.features.socket_options {
                let entry = unacknowledged_entry(self.rings.direct(id));
                self.rings
                    .push(id, &entry.user_data(tag(Operation::Unacknowledged, id)));
            } else {
                // Only what is queued here is known: what the kernel has, it delivers after the
                // close.
                self.unacknowledged_counted(id, 0);
            }
        }
    }

    /// The kernel says how many bytes the peer has not acknowledged.
    pub(in crate::engine::ring) fn unacknowledged_counted(
        &mut self,
        id: ConnectionId,
        result: i32,
    ) {
        // Answers come in the order of the questions: it is the first, mostly.
        let place = self.querying.iter().position(|it| it.id == id);
        let Some(mut closing) = place.and_then(|place| self.querying.remove(place)) else {
            return;
        };
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let fin = match slot.phase {
            Phase::Flushing => 0,
            Phase::Lingering => 1,
            Phase::Free | Phase::Connecting | Phase::Open | Phase::Ending | Phase::Closing => {
                return;
            }
        };
        let kernel = u64::try_from(result).unwrap_or(0).saturating_sub(fin);
        let left = slot.out.backlog() as u64 + kernel;
        match closing.look(left, self.stall, self.now) {
            LingerStep::Wait => self.lingering.push_back(closing),
            LingerStep::Done => self.end(id),
            LingerStep::CutOff => {
                slot.cause = CloseCause::CutOff;
                self.abort(id);
            }
        }
    }

    /// The close of the descriptor is done.
    pub(in crate::engine::ring) fn descriptor_closed(&mut self, id: ConnectionId) {
        self.slots.release(id);
        self.acceptor.look_again();
        self.open_waiting();
    }

    fn flush(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        slot.phase = Phase::Flushing;
        if slot.receive == Receive::Armed && slot.intake.takes_lent() {
            // The shard counts it no more: it is not kept for as long as the peer takes.
            self.cancel_receive(id);
        }
        self.linger(id);
        self.mark(id);
    }

    fn linger(&mut self, id: ConnectionId) {
        let backlog = self.slots.backlog(id);
        self.lingering
            .push_back(Closing::new(id, backlog, self.now));
    }

    /// Sends our FIN and waits for the peer's.
    fn send_fin(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        if slot.send != Send::Off {
            return;
        }
        slot.phase = Phase::Lingering;
        slot.busy = true;
        let entry = opcode::Shutdown::new(self.rings.direct(id), libc::SHUT_WR)
            .build()
            .user_data(tag(Operation::Shutdown, id));
        self.rings.push(id, &entry);
        // What still arrives is thrown away, so that the peer's end of stream is seen.
        if self
            .slots
            .get(id)
            .is_some_and(|slot| slot.receive == Receive::Off)
        {
            self.arm_receive(id);
        }
    }

    /// Drops what is queued, cancels every operation in the kernel, then closes.
    fn end(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        let connecting = slot.phase == Phase::Connecting && slot.busy;
        let sending = slot.send == Send::Waiting;
        let receiving = slot.receive == Receive::Armed;
        slot.phase = Phase::Ending;
        self.counters.backlog_bytes -= slot.out.drop_queued(&mut self.pool) as u64;
        if receiving {
            self.cancel_receive(id);
        }
        if sending {
            self.cancel(id, Operation::CancelSend, Operation::Send);
        }
        if connecting {
            self.cancel(id, Operation::CancelConnect, Operation::Connect);
        }
        self.mark(id);
    }

    fn cancel_receive(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id) {
            slot.receive = Receive::Cancelling;
            let receive = slot.intake.operation();
            self.cancel(id, Operation::CancelReceive, receive);
        }
    }

    fn close_descriptor(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        slot.phase = Phase::Closing;
        self.counters.backlog_bytes -= slot.out.clear(&mut self.pool) as u64;
        if std::mem::take(&mut slot.owed) {
            self.pending.push_back(RingEvent::Closed(id, slot.cause));
        }
        let entry = opcode::Close::new(self.rings.direct(id)).build();
        self.rings
            .push(id, &entry.user_data(tag(Operation::Close, id)));
    }

    /// A cancellation found nothing; it is repeated if its operation is still with the kernel.
    ///
    /// The kernel looks for a request where it waits: io_uring/cancel.c, `io_try_cancel`. One that
    /// is on its way there or back, as deferred work, is found nowhere (ENOENT), and goes on.
    pub(in crate::engine::ring) fn cancel_missed(&mut self, cancel: Operation, id: ConnectionId) {
        let Some(slot) = self.slots.get(id) else {
            return;
        };
        match cancel {
            Operation::CancelReceive if slot.receive == Receive::Cancelling => {
                let receive = slot.intake.operation();
                self.cancel(id, cancel, receive);
            }
            Operation::CancelSend if slot.send == Send::Waiting => {
                self.cancel(id, cancel, Operation::Send);
            }
            Operation::CancelConnect if slot.busy => {
                self.cancel(id, cancel, Operation::Connect);
            }
            _ => {}
        }
    }

    fn cancel(&mut self, id: ConnectionId, cancel: Operation, what: Operation) {
        let entry = opcode::AsyncCancel::new(tag(what, id)).build();
        self.push_silent(id, entry, cancel);
    }

    /// Only the entry's failure is told.
    fn push_silent(&mut self, id: ConnectionId, entry: squeue::Entry, operation: Operation) {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.rings.push(id, &entry.user_data(tag(operation, id)));
    }
}
