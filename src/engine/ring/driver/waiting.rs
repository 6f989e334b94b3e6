//! How a core waits: in its lead ring, for one completion, never past its next deadline.

use super::Driver;
use crate::engine;
use crate::engine::ring::accept_coalescer::COALESCE_TIME;
use crate::engine::ring::kernel::EnterWait;
use crate::engine::ring::operation::{Operation, plain};
use crate::shard::Shard;
use crate::time::Instant;
use io_uring::{opcode, types};
use std::io;
use std::time::Duration;

/// `POLLIN` as an entry takes it.
const POLL_IN: u32 = libc::POLLIN.cast_unsigned() as u32;

impl<S: Shard> Driver<S> {
    /// Submits what the last turn has asked for, then lets connections queue for a moment.
    pub(in crate::engine::ring) fn coalesce_accepts(&mut self) -> io::Result<()> {
        self.port.rings.lead().enter(EnterWait::Not)?;
        std::thread::sleep(COALESCE_TIME);
        Ok(())
    }

    /// Arms an alarm for the next own deadline, so that a park ends in time.
    pub(in crate::engine::ring) fn arm_alarm(&mut self) {
        let Some(deadline) = self.deadline() else {
            return;
        };
        if self.alarm.is_none_or(|armed| deadline < armed) {
            self.alarm = Some(deadline);
            self.arm_timer(Operation::Alarm, deadline.since(engine::now()));
        }
    }

    /// How to wait: for one completion, with a tick under way that ends the wait after `most`.
    ///
    /// A wait with a time-out of its own would program the clock at every sleep, which in a
    /// virtual machine costs more than the rest of the call; the tick does it once per `most`.
    /// Only a deadline that comes before the tick is worth it. A shard that lets its events be
    /// coalesced sleeps until that deadline, whatever comes.
    pub(in crate::engine::ring) fn patience(&mut self, most: Duration) -> EnterWait {
        let queued = self.port.rings.lane(0).has_queued();
        if queued || self.port.mailer.has_mail() || most.is_zero() || !self.others_will_wake() {
            return EnterWait::Not;
        }
        let tick = match self.tick {
            Some(tick) => tick,
            None => {
                self.arm_timer(Operation::Tick, most);
                *self.tick.insert(self.port.now + most)
            }
        };
        match self.deadline() {
            Some(deadline) if deadline < tick => match deadline.since(engine::now()) {
                Duration::ZERO => EnterWait::Not,
                span if self.shard.may_coalesce() => EnterWait::Through(span),
                span => EnterWait::AtMost(span),
            },
            _ => EnterWait::ForOne,
        }
    }

    /// Makes the other rings wake a wait in the lead; false if one has work already.
    fn others_will_wake(&mut self) -> bool {
        if self.port.rings.count() == 1 {
            return true;
        }
        self.port.rings.enable_other_eventfds();
        if self.port.rings.others_have_work() {
            return false;
        }
        if !self.polled {
            self.polled = true;
            let entry = opcode::PollAdd::new(types::Fd(self.waker.descriptor()), POLL_IN).build();
            self.port
                .rings
                .lead()
                .push(&entry.user_data(plain(Operation::WakerPoll, 0)));
        }
        true
    }

    /// Another ring or another thread signalled the waker.
    pub(in crate::engine::ring) fn waker_signalled(&mut self) {
        self.polled = false;
        self.wake_ups += 1;
        self.waker.clear();
    }

    fn arm_timer(&mut self, timer: Operation, span: Duration) {
        self.timers += 1;
        // One each: the kernel may not have taken the entry of the other yet.
        let place = &mut self.spans[usize::from(timer == Operation::Alarm)];
        *place = types::Timespec::from(span);
        let entry = opcode::Timeout::new(&raw const *place).build();
        self.port
            .rings
            .lead()
            .push(&entry.user_data(plain(timer, 0)));
    }

    pub(in crate::engine::ring) fn timer_ended(&mut self, timer: Operation) {
        self.timers -= 1;
        self.wake_ups += 1;
        if timer == Operation::Tick {
            self.tick = None;
        } else if self.alarm.is_some_and(|at| at <= self.port.now) {
            self.alarm = None;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let lingering = self.port.lingering.front().map(|it| it.at);
        [
            self.shard.deadline(),
            lingering,
            self.port.acceptor.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
