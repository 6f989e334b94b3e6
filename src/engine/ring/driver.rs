//! A turn: completions become the shard's events, what the shard asked for becomes submissions.

use super::buffers::Buffers;
use super::kernel::{Completion, Ring, Wait};
use super::operation::{Operation, plain, untag};
use super::port::{News, Port};
use super::slot::{Phase, Receive};
use crate::engine;
use crate::engine::cause;
use crate::shard::{ConnectionId, Core, Origin, Shard};
use crate::time::Instant;
use io_uring::{opcode, types};
use std::io;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// One core: its shard, its port to the ring, its receive buffers.
///
/// Port and buffers are dropped only by [`Driver::finish`], which proves that the kernel holds
/// nothing of them; should the shard panic, they are lost rather than freed under the kernel.
pub(super) struct Driver<S: Shard> {
    shard: S,
    port: ManuallyDrop<Port<S::Message>>,
    buffers: ManuallyDrop<Buffers>,
    completions: Vec<Completion>,
    letters: Vec<(Core, S::Message)>,
    stop: engine::Stop,
    stopped: bool,
    /// When the tick under way ends.
    tick: Option<Instant>,
    /// When the earliest alarm under way ends.
    alarm: Option<Instant>,
    /// Ticks and alarms under way.
    timers: u32,
    /// Timer entries that ended in this turn.
    rung: usize,
    /// A timer's span, read by the kernel when it takes the entry.
    span: Box<types::Timespec>,
}

impl<S: Shard> Driver<S> {
    pub(super) fn new(
        shard: S,
        port: Port<S::Message>,
        buffers: Buffers,
        stop: engine::Stop,
    ) -> Self {
        Self {
            shard,
            port: ManuallyDrop::new(port),
            buffers: ManuallyDrop::new(buffers),
            completions: Vec::with_capacity(4096),
            letters: Vec::new(),
            stop,
            stopped: false,
            tick: None,
            alarm: None,
            timers: 0,
            rung: 0,
            span: Box::new(types::Timespec::new()),
        }
    }

    pub(super) fn ring(&mut self) -> &mut Ring {
        &mut self.port.ring
    }

    pub(super) fn count_rescue(&mut self) {
        self.port.counters.rescues += 1;
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
        let wait = self.patience(most);
        self.port.ring.enter(wait)?;
        self.port.now = engine::now();
        self.port.counters.turns += 1;
        self.rung = 0;
        self.completions.clear();
        self.port.ring.take(&mut self.completions);
        let events = self.completions.len();
        self.port.counters.events += events as u64;
        // Sends first: what they held is free again, and warm, for what the receives queue.
        self.complete_sends();
        self.port.prove_sends();
        self.tell_news();
        for index in 0..events {
            let completion = self.completions[index];
            if self.shard.finished() {
                self.note_end(completion);
            } else {
                self.complete(completion);
                self.tell_news();
            }
        }
        if self.port.desk.has_own() {
            self.open_mail();
        }
        if !self.shard.finished() {
            self.tell_time();
        }
        self.submit();
        Ok(events - self.rung)
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.shard.finished()
    }

    /// Arms an alarm for the next own deadline, so that a park ends in time.
    pub(super) fn arm_alarm(&mut self) {
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
    /// Only a deadline that comes before the tick is worth it.
    fn patience(&mut self, most: Duration) -> Wait {
        if self.port.desk.has_own() || most.is_zero() {
            return Wait::Not;
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
                Duration::ZERO => Wait::Not,
                span => Wait::AtMost(span),
            },
            _ => Wait::ForOne,
        }
    }

    fn arm_timer(&mut self, timer: Operation, span: Duration) {
        self.timers += 1;
        *self.span = types::Timespec::from(span);
        let entry = opcode::Timeout::new(&raw const *self.span).build();
        self.port.ring.push(&entry.user_data(plain(timer, 0)));
    }

    fn timer_ended(&mut self, timer: Operation) {
        self.timers -= 1;
        self.rung += 1;
        if timer == Operation::Tick {
            self.tick = None;
        } else if self.alarm.is_some_and(|at| at <= self.port.now) {
            self.alarm = None;
        }
    }

    /// Ends the core: takes every operation back from the kernel, then lets go.
    pub(super) fn finish(mut self) -> S::Outcome {
        let all = types::CancelBuilder::any();
        let entry = opcode::AsyncCancel2::new(all).build();
        self.port
            .ring
            .push(&entry.user_data(plain(Operation::Aside, 0)));
        let give_up = engine::now() + Duration::from_secs(1);
        while engine::now() < give_up && self.is_held() {
            let _ = self.port.ring.enter(Wait::AtMost(Duration::from_millis(1)));
            self.completions.clear();
            self.port.ring.take(&mut self.completions);
            self.complete_sends();
            self.port.prove_sends();
            for index in 0..self.completions.len() {
                self.note_end(self.completions[index]);
            }
        }
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

    fn deadline(&self) -> Option<Instant> {
        let lingering = self.port.lingering.front().map(|(at, ..)| *at);
        [self.shard.deadline(), lingering, self.port.gates.deadline()]
            .into_iter()
            .flatten()
            .min()
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
    fn complete(&mut self, completion: Completion) {
        let Some((operation, id)) = untag(completion.user_data) else {
            return;
        };
        match operation {
            Operation::Receive => self.received(id, completion),
            Operation::AcceptMany | Operation::AcceptOne => {
                self.accepted(operation, id, completion);
            }
            Operation::Connect => self.connected(id, completion.result),
            Operation::Shutdown => {
                if let Some(slot) = self.port.slots.get(id) {
                    slot.busy = false;
                    self.port.mark(id);
                }
            }
            Operation::Close => self.port.descriptor_closed(id),
            Operation::Doorbell => self.open_mail(),
            Operation::Tick | Operation::Alarm => self.timer_ended(operation),
            Operation::Send | Operation::Aside => {}
        }
    }

    #[inline]
    fn received(&mut self, id: ConnectionId, completion: Completion) {
        let port = &mut *self.port;
        let buffer = completion.buffer();
        let phase = port.slots.get(id).map(|slot| {
            if !completion.more() {
                slot.receive = Receive::Off;
            }
            slot.phase
        });
        if let (Ok(len @ 1..), Some(buffer)) = (usize::try_from(completion.result), buffer) {
            port.counters.bytes_in += len as u64;
            if phase == Some(Phase::Open) {
                let bytes = self.buffers.bytes(buffer, len);
                self.shard.received(id, bytes, port);
            }
        }
        if let Some(buffer) = buffer {
            self.buffers.give_back(buffer);
        }
        if completion.more() || phase.is_none() {
            return;
        }
        match completion.result {
            // Data, but the kernel ended the multishot: armed again when it is settled.
            1.. => port.mark(id),
            0 => port.peer_ended(id),
            result if result == -libc::ENOBUFS => {
                port.counters.starved += 1;
                if let Some(slot) = port.slots.get(id) {
                    slot.receive = Receive::Starved;
                    port.starved.push_back(id);
                }
                port.mark(id);
            }
            result if result == -libc::ECANCELED => port.mark(id),
            result => {
                if let Some(slot) = port.slots.get(id) {
                    slot.receive = Receive::Ended;
                }
                port.broke(id, cause::from_errno(-result));
            }
        }
    }

    fn accepted(&mut self, operation: Operation, listener: ConnectionId, completion: Completion) {
        let port = &mut *self.port;
        port.gates
            .completed(operation, listener.slot(), completion.more());
        let Ok(index) = u32::try_from(completion.result) else {
            port.gates
                .failed(-completion.result, port.now, &mut port.counters);
            return;
        };
        let id = port.slots.accepted(index);
        if let Some(slot) = port.slots.get(id) {
            slot.owed = true;
        }
        port.mark(id);
        let listener = u16::try_from(listener.slot()).unwrap_or(u16::MAX);
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
            port.broke(id, cause::from_errno(-result));
        }
    }

    fn open_mail(&mut self) {
        self.port.desk.fetch(&mut self.letters);
        for (from, message) in self.letters.drain(..) {
            if self.shard.finished() {
                break;
            }
            self.shard.forwarded(from, message, &mut *self.port);
        }
    }

    #[inline]
    fn tell_news(&mut self) {
        while !self.port.news.is_empty() && !self.shard.finished() {
            let Some(news) = self.port.news.pop_front() else {
                return;
            };
            match news {
                News::Drained(id) => {
                    if self
                        .port
                        .slots
                        .get(id)
                        .is_some_and(|slot| slot.phase == Phase::Open)
                    {
                        self.shard.drained(id, &mut *self.port);
                    }
                }
                News::Closed(id, cause) => self.shard.closed(id, cause, &mut *self.port),
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
        if !self.stopped && self.stop.is_thrown() && !self.shard.finished() {
            self.stopped = true;
            self.shard.stopped(&mut *self.port);
        }
    }

    /// Turns what was asked for into entries; the next enter takes them.
    fn submit(&mut self) {
        self.buffers.publish();
        loop {
            self.port.settle_all();
            if self.port.news.is_empty() || self.shard.finished() {
                break;
            }
            self.tell_news();
        }
        self.rearm_starved();
        let port = &mut *self.port;
        port.gates.settle(
            &mut port.ring,
            port.slots.room(),
            port.now,
            &mut port.counters,
        );
        port.desk.deliver(&mut port.ring);
    }

    /// Arms at most as many starved receives as there are buffers: all at once, for fewer buffers,
    /// would only starve them again, for ever.
    fn rearm_starved(&mut self) {
        let mut free = self.buffers.count();
        while free > 0
            && let Some(id) = self.port.starved.pop_front()
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

    fn is_held(&mut self) -> bool {
        let ids: Vec<ConnectionId> = self.port.slots.ids().collect();
        let slots = &mut self.port.slots;
        let held = ids
            .into_iter()
            .any(|id| slots.get(id).is_some_and(|slot| slot.is_held()));
        held || self.port.gates.is_held() || self.timers > 0
    }

    /// While ending: an operation is over, whatever came of it.
    fn note_end(&mut self, completion: Completion) {
        let Some((operation, id)) = untag(completion.user_data) else {
            return;
        };
        let slot = self.port.slots.get(id);
        match (operation, slot) {
            (Operation::Receive, Some(slot)) if !completion.more() => slot.receive = Receive::Ended,
            (Operation::Connect | Operation::Shutdown, Some(slot)) => slot.busy = false,
            (Operation::AcceptMany | Operation::AcceptOne, _) => {
                self.port
                    .gates
                    .completed(operation, id.slot(), completion.more());
            }
            (Operation::Tick | Operation::Alarm, _) => self.timer_ended(operation),
            _ => {}
        }
    }
}

fn slot_is_connecting<M>(port: &mut Port<M>, id: ConnectionId) -> bool {
    port.slots
        .get(id)
        .is_some_and(|slot| slot.phase == Phase::Connecting)
}
