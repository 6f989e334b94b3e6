//! A turn: completions become the shard's events, what the shard asked for becomes submissions.

mod ending;
mod receiving;
mod waiting;

use super::accept_coalescer::AcceptCoalescer;
use super::buffers::ReceiveBuffers;
use super::intake::Group;
use super::kernel::{Completion, EnterWait};
use super::operation::{Operation, untag};
use super::port::{Port, RingEvent};
use super::rings::Rings;
use super::slot::Phase;
use super::waker::WakeHandle;
use crate::engine;
use crate::engine::cause;
use crate::shard::{ConnectionId, Core, Origin, Shard};
use crate::time::Instant;
use io_uring::types;
use std::io;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// One core: its shard, its port to the ring, its receive buffers.
///
/// Port and buffers are dropped only by [`Driver::finish`], which proves that the kernel holds
/// nothing of them; should the shard panic, they are lost rather than freed under the kernel.
pub(super) struct Driver<S: Shard> {
    pub(super) shard: S,
    pub(super) port: ManuallyDrop<Port<S::Message>>,
    pub(super) buffers: ManuallyDrop<Vec<ReceiveBuffers>>,
    pub(super) completions: Vec<Completion>,
    pub(super) messages: Vec<(Core, S::Message)>,
    pub(super) stop: engine::Stop,
    pub(super) stopped: bool,
    /// How many failed cores the shard was told of.
    lost: usize,
    /// When the tick under way ends.
    pub(super) tick: Option<Instant>,
    /// When the earliest alarm under way ends.
    pub(super) alarm: Option<Instant>,
    /// Ticks and alarms under way.
    pub(super) timers: u32,
    /// Completions of this turn that only woke the core: timers and the waker's poll.
    pub(super) wake_ups: usize,
    /// The waker whose eventfd every ring signals.
    pub(super) waker: WakeHandle,
    /// The lead ring has a poll of the waker under way.
    pub(super) polled: bool,
    /// What was accepted of late.
    pub(super) accept_coalescer: AcceptCoalescer,
    /// The spans of tick and alarm, read by the kernel when it takes the entry.
    pub(super) spans: Box<[types::Timespec; 2]>,
}

impl<S: Shard> Driver<S> {
    pub(super) fn new(
        shard: S,
        port: Port<S::Message>,
        buffers: Vec<ReceiveBuffers>,
        stop: engine::Stop,
        waker: WakeHandle,
    ) -> Self {
        Self {
            shard,
            port: ManuallyDrop::new(port),
            buffers: ManuallyDrop::new(buffers),
            completions: Vec::with_capacity(4096),
            messages: Vec::new(),
            stop,
            stopped: false,
            lost: 0,
            tick: None,
            alarm: None,
            timers: 0,
            wake_ups: 0,
            waker,
            polled: false,
            accept_coalescer: AcceptCoalescer::default(),
            spans: Box::default(),
        }
    }

    pub(super) fn rings(&mut self) -> &mut Rings {
        &mut self.port.rings
    }

    pub(super) fn count_rescue(&mut self) {
        self.port.counters.rescues += 1;
    }

    /// Whether the next turn must not wait: there is mail that no completion announces, or the
    /// shard does in steps what it could not do in one turn.
    pub(super) fn is_urgent(&self) -> bool {
        let late = |at| at <= self.port.now;
        self.port.mailer.has_mail() || self.shard.deadline().is_some_and(late)
    }

    pub(super) fn now(&self) -> Instant {
        self.port.now
    }

    /// Tells the shard that everything is ready.
    pub(super) fn start(&mut self) {
        self.port.now = engine::now();
        self.shard.started(&mut *self.port);
        self.submit();
    }

    /// Enters the kernel, waiting at most about `most`, then handles all that has come.
    /// Returns how many events that was, timers not counted.
    pub(super) fn turn(&mut self, most: Duration) -> io::Result<usize> {
        let mut wait = self.patience(most);
        if let EnterWait::Through(_) = wait {
            // What is to be sent goes first: the wait is counted from when that is done.
            self.port.rings.lead().enter(EnterWait::Not)?;
            wait = self.patience(most);
        }
        if self.accept_coalescer.is_active() && wait != EnterWait::Not {
            self.coalesce_accepts()?;
        }
        self.port.rings.lead().enter(wait)?;
        self.port.rings.disable_other_eventfds();
        self.port.now = engine::now();
        self.port.counters.turns += 1;
        self.wake_ups = 0;
        let mut events = self.handle(0);
        for ring in 1..self.port.rings.count() {
            let lane = self.port.rings.lane(ring);
            if lane.has_work() {
                if lane.ring.has_work() {
                    lane.ring.enter(EnterWait::Not)?;
                }
                // What this enter received may have been sent since the turn began.
                self.port.now = engine::now();
                events += self.handle(ring);
            }
        }
        self.port.counters.events += events as u64;
        self.port.counters.note_turn_of(events as u64);
        self.accept_coalescer
            .note_turn(self.port.now, events - self.wake_ups);
        if self.port.mailer.has_mail() {
            self.fetch_messages();
        }
        if !self.shard.finished() {
            self.tell_time();
        }
        self.submit();
        self.enter_others()?;
        Ok(events - self.wake_ups)
    }

    /// Lets every ring but the lead take its entries: the lead's leave with the next wait.
    pub(super) fn enter_others(&mut self) -> io::Result<()> {
        for ring in 1..self.port.rings.count() {
            let ring = &mut self.port.rings.lane(ring).ring;
            if ring.has_entries() {
                ring.enter(EnterWait::Not)?;
            }
        }
        Ok(())
    }

    /// Handles what has come in one ring; returns how much.
    #[inline]
    fn handle(&mut self, ring: usize) -> usize {
        self.take(ring);
        let events = self.completions.len();
        self.deliver_events();
        for index in 0..events {
            let completion = self.completions[index];
            if self.shard.finished() {
                self.note_end(ring, completion);
            } else {
                self.complete(ring, completion);
                self.deliver_events();
            }
        }
        events
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.shard.finished()
    }

    /// Takes the completions of a ring. Sends come first: what they held is free again, and warm,
    /// for what the receives queue.
    #[inline]
    pub(super) fn take(&mut self, ring: usize) {
        self.completions.clear();
        self.port.rings.lane(ring).ring.take(&mut self.completions);
        self.complete_sends();
        self.port.prove_sends(ring);
    }

    /// The reports of sends. Few: success is silent unless a send had to wait.
    fn complete_sends(&mut self) {
        for index in 0..self.completions.len() {
            let Completion {
                user_data, result, ..
            } = self.completions[index];
            if let Some((Operation::Send, id)) = untag(user_data) {
                self.port.send_completed(id, result);
            }
        }
    }

    #[inline]
    fn complete(&mut self, ring: usize, completion: Completion) {
        let Some((operation, id)) = untag(completion.user_data) else {
            return;
        };
        match operation {
            Operation::Receive => self.received((ring, Group::Small), id, completion),
            Operation::ReceiveLarge => self.received((ring, Group::Large), id, completion),
            Operation::ReceiveInto => self.received_into(ring, id, completion.result),
            Operation::AcceptMultishot | Operation::AcceptSingle => {
                self.accepted(operation, (ring, id.slot()), completion);
            }
            Operation::Connect => self.connected(id, completion.result),
            Operation::Prepare => {
                self.port
                    .prepare_failed(id, cause::from_errno(-completion.result));
            }
            Operation::Shutdown => {
                if let Some(slot) = self.port.slots.get(id) {
                    slot.busy = false;
                    self.port.mark(id);
                }
            }
            Operation::Close => self.port.descriptor_closed(id),
            Operation::PeerName => {
                if let Some(listener) = self.port.peer_told(id, completion.result) {
                    self.let_in(id, listener);
                }
            }
            Operation::Unacknowledged => self.port.unacknowledged_counted(id, completion.result),
            Operation::Doorbell => self.fetch_messages(),
            Operation::Tick | Operation::Alarm => self.timer_ended(operation),
            Operation::WakerPoll => self.waker_signalled(),
            Operation::CancelReceive | Operation::CancelSend | Operation::CancelConnect => {
                self.port.cancel_missed(operation, id);
            }
            Operation::CancelAccept => self.port.acceptor.cancelled(ring, id.slot()),
            Operation::RingDoorbell => self.port.mailer.wake(id.slot()),
            Operation::Send | Operation::ResetOnClose | Operation::CancelRest => {}
        }
    }

    fn accepted(
        &mut self,
        operation: Operation,
        (ring, listener): (usize, usize),
        completion: Completion,
    ) {
        let port = &mut *self.port;
        port.acceptor
            .completed(operation, ring, listener, completion.more());
        let Ok(index) = u32::try_from(completion.result) else {
            port.acceptor
                .failed(-completion.result, port.now, &mut port.counters);
            return;
        };
        self.accept_coalescer.note_accepted();
        let id = port.slots.accepted(ring, index);
        let listener = u16::try_from(listener).unwrap_or(u16::MAX);
        if !port.ask_peer(id, listener) {
            self.let_in(id, listener);
        }
    }

    /// Opens an accepted connection, now or when there is room.
    #[inline]
    fn let_in(&mut self, id: ConnectionId, listener: u16) {
        let port = &mut *self.port;
        if port.acceptor.is_shut() {
            port.abort(id);
        } else if port.slots.excess() == 0 {
            self.open(id, listener);
        } else {
            port.waiting.push_back((id, listener));
        }
    }

    /// Tells the shard of an accepted connection.
    #[inline]
    fn open(&mut self, id: ConnectionId, listener: u16) {
        let port = &mut *self.port;
        if let Some(slot) = port.slots.get(id) {
            slot.owed = true;
        }
        port.mark(id);
        self.shard.opened(id, Origin::Accepted { listener }, port);
    }

    fn connected(&mut self, id: ConnectionId, result: i32) {
        let port = &mut *self.port;
        let Some(slot) = port.slots.get(id) else {
            return;
        };
        slot.busy = false;
        port.mark(id);
        if slot_is_connecting(port, id) && result == 0 {
            if let Some(slot) = port.slots.get(id) {
                slot.phase = Phase::Open;
            }
            self.shard.opened(id, Origin::Connected, port);
        } else {
            port.connection_broke(id, cause::from_errno(-result));
        }
    }

    fn fetch_messages(&mut self) {
        self.port.mailer.fetch(&mut self.messages);
        // What comes now may have been said since the turn began.
        self.port.now = engine::now();
        for (from, message) in self.messages.drain(..) {
            if self.shard.finished() {
                break;
            }
            self.shard.forwarded(from, message, &mut *self.port);
        }
    }

    #[inline]
    fn deliver_events(&mut self) {
        while !self.port.pending.is_empty() && !self.shard.finished() {
            let Some(event) = self.port.pending.pop_front() else {
                return;
            };
            match event {
                RingEvent::Opened(id, listener) => self.open(id, listener),
                RingEvent::Drained(id) => {
                    if self
                        .port
                        .slots
                        .get(id)
                        .is_some_and(|slot| slot.phase == Phase::Open)
                    {
                        self.shard.drained(id, &mut *self.port);
                    }
                }
                RingEvent::Closed(id, cause) => self.shard.closed(id, cause, &mut *self.port),
            }
        }
    }

    /// Timers and the outside's wish to stop.
    fn tell_time(&mut self) {
        self.port.expire_lingering();
        if self
            .shard
            .deadline()
            .is_some_and(|deadline| deadline <= self.port.now)
        {
            self.shard.expired(&mut *self.port);
        }
        if self.stop.is_thrown() && !self.shard.finished() {
            while let Some(core) = self.stop.failed(self.lost) {
                self.lost += 1;
                self.shard.lost(core, &mut *self.port);
            }
            if !std::mem::replace(&mut self.stopped, true) {
                self.shard.stopped(&mut *self.port);
            }
        }
    }

    /// Turns what was asked for into entries; the next enter of each ring takes them.
    fn submit(&mut self) {
        for buffers in &*self.buffers {
            buffers.small.publish();
            buffers.large.publish();
        }
        loop {
            self.port.settle_all();
            if self.port.pending.is_empty() || self.shard.finished() {
                break;
            }
            self.deliver_events();
        }
        for ring in 0..self.port.rings.count() {
            self.arm_queued(ring);
            self.arm_queued_large(ring);
        }
        self.trim_large_buffers();
        let port = &mut *self.port;
        port.acceptor
            .settle(&mut port.rings, &port.slots, port.now, &mut port.counters);
        port.mailer.deliver(port.rings.lead());
    }
}

fn slot_is_connecting<M>(port: &mut Port<M>, id: ConnectionId) -> bool {
    port.slots
        .get(id)
        .is_some_and(|slot| slot.phase == Phase::Connecting)
}
