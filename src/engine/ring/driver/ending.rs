//! The end of a core: every operation is taken back from the kernel before its memory is freed.

use super::Driver;
use crate::engine;
use crate::engine::ring::kernel::{Completion, EnterWait};
use crate::engine::ring::operation::{Operation, plain, untag};
use crate::engine::ring::slot::Receive;
use crate::shard::{ConnectionId, Shard};
use io_uring::{opcode, types};
use std::mem::ManuallyDrop;
use std::time::Duration;

/// How long the kernel may take to give back what it holds; then that memory is lost.
const PATIENCE: Duration = Duration::from_secs(2);

impl<S: Shard> Driver<S> {
    /// Ends the core: takes every operation back from the kernel, then lets go.
    pub(in crate::engine::ring) fn finish(mut self) -> S::Outcome {
        self.port.mailer.close();
        let ids: Vec<ConnectionId> = self.port.slots.ids().collect();
        for id in ids {
            self.port.cancel_all_of(id);
        }
        // What the last turn has asked for leaves first, other cores' doorbells above all.
        self.wait_while(|it| it.holds_connections() || it.rings().have_entries());
        if self.rings().have_entries() {
            self.port.mailer.wake_all();
        }
        self.cancel_rest();
        self.wait_while(Self::is_held);
        let held = self.is_held();
        let Self {
            shard,
            port,
            buffers,
            ..
        } = self;
        if !held {
            // The ring first: no receive is left that could write into the buffers.
            drop(ManuallyDrop::into_inner(port));
            drop(ManuallyDrop::into_inner(buffers));
        }
        shard.outcome()
    }

    /// Cancels whatever is left. Only when that is little: the kernel searches all of it again for
    /// each that it finds, which for a table full of receives takes seconds.
    fn cancel_rest(&mut self) {
        for ring in 0..self.port.rings.count() {
            self.cancel_rest_of(ring);
        }
    }

    fn cancel_rest_of(&mut self, ring: usize) {
        let all = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        let index = u32::try_from(ring).unwrap_or(u32::MAX);
        let all = all.user_data(plain(Operation::CancelRest, index));
        self.port.rings.lane(ring).ring.push(&all);
    }

    /// Notes what ends, while that is so, but not for ever.
    fn wait_while(&mut self, held: impl Fn(&mut Self) -> bool) {
        let give_up = engine::now() + PATIENCE;
        while held(self) && engine::now() < give_up {
            let moment = EnterWait::AtMost(Duration::from_millis(1));
            let _ = self.port.rings.lead().enter(moment);
            for ring in 0..self.port.rings.count() {
                let _ = self.port.rings.lane(ring).ring.enter(EnterWait::Not);
                self.take(ring);
                for index in 0..self.completions.len() {
                    self.note_end(ring, self.completions[index]);
                }
            }
        }
    }

    fn holds_connections(&mut self) -> bool {
        let ids: Vec<ConnectionId> = self.port.slots.ids().collect();
        let slots = &mut self.port.slots;
        ids.into_iter()
            .any(|id| slots.get(id).is_some_and(|slot| slot.is_held()))
    }

    fn is_held(&mut self) -> bool {
        let held = self.port.acceptor.is_held() || self.timers > 0 || self.polled;
        held || self.holds_connections()
    }

    /// While ending: an operation is over, whatever came of it.
    pub(in crate::engine::ring) fn note_end(&mut self, ring: usize, completion: Completion) {
        let Some((operation, id)) = untag(completion.user_data) else {
            return;
        };
        if operation == Operation::CancelRest && self.is_held() {
            // It finds what has come to rest since.
            self.cancel_rest_of(ring);
        }
        let slot = self.port.slots.get(id);
        match (operation, slot) {
            (Operation::Receive | Operation::ReceiveLarge | Operation::ReceiveInto, Some(slot))
                if !completion.more() =>
            {
                slot.receive = Receive::Ended
            }
            (Operation::Connect | Operation::Shutdown | Operation::PeerName, Some(slot)) => {
                slot.busy = false
            }
            (Operation::AcceptMultishot | Operation::AcceptSingle, _) => {
                self.port
                    .acceptor
                    .completed(operation, ring, id.slot(), completion.more());
            }
            (Operation::Tick | Operation::Alarm, _) => self.timer_ended(operation),
            (Operation::WakerPoll, _) => self.polled = false,
            (Operation::RingDoorbell, _) => self.port.mailer.wake(id.slot()),
            (Operation::CancelReceive | Operation::CancelSend | Operation::CancelConnect, _) => {
                self.port.cancel_missed(operation, id);
            }
            _ => {}
        }
    }
}
