//! The running phase: messages at their intended times (open loop), or as replies make room.

use super::barrier::Message;
use super::client::table::{Client, State};
use super::client::tools::Tools;
use super::config::{Loop, Think};
use super::measure::departure::Departure;
use super::measure::recorder::Recorder;
use super::measure::usage::Mark;
use super::pace::{Stripe, Walk};
use super::phase::{AT_ONCE, NEVER, Phase};
use super::shard::Load;
use super::timers::Errand;
use crate::shard::{ConnectionId, Unsent, Wire};
use crate::time::Instant;
use std::time::Duration;

/// Messages sent at intended times in one turn at most, or in each 100 us of a tick: replies wait
/// meanwhile.
const MESSAGES_PER_TURN: u64 = 4096;
/// Clients whose first messages of a closed loop are sent in one turn at most.
const CLIENTS_PER_TURN: u32 = 1024;
/// Turns for intended times are at least this far apart. At high rates one system call then
/// carries many messages; it is the slip that this costs at most.
const TURN_TIME: Duration = Duration::from_micros(50);
/// Planned messages a second on one core from which on what comes is read in those turns too: a
/// core that woke for every reply would spend most of its time on waking, and seem busy.
const GATHER_PER_S: u64 = 40_000;
/// From here on turns are further apart, for the same reason.
const RUSH_PER_S: u64 = 200_000;
const RUSH_TURN_TIME: Duration = Duration::from_micros(100);
/// Bytes of frames built for one connection before they are handed over.
const BATCH_BYTES: usize = 64 * 1024;

/// How far the plan of messages, the first messages of a closed loop and the closing are.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The plan of messages, if there is one.
    pub(super) plan: Option<Plan>,
    /// This core's next message.
    pub(super) next: u64,
    /// This core's first measured message, and the end of its plan.
    pub(super) first_measured: u64,
    pub(super) end: u64,
    /// When messages were last sent at intended times.
    pub(super) last_turn: Instant,
    /// What was planned for the time before that, a second: replies have no part in it.
    pub(super) per_s: u64,
    /// The slot whose client is next to be started (closed loop) or closed.
    pub(super) slot: usize,
}

/// The plan of messages, as this core walks it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) walk: Walk,
    pub(super) stripe: Stripe,
    /// When the next message is due, from the start.
    pub(super) next_ns: u64,
}

impl Plan {
    /// When this core's message of that index is due, from the start.
    #[inline]
    pub(super) fn offset_ns(&mut self, index: u64) -> u64 {
        self.walk.offset_ns(self.stripe.global(index))
    }
}

impl Load {
    /// Messages begin.
    pub(super) fn begin_running(&mut self, wire: &mut impl Wire<Message>) {
        self.timeline.run();
        self.go_on_running(wire);
    }

    /// The time has come for messages, for a mark or for the end.
    pub(super) fn go_on_running(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if self.marks.from.is_none() && now >= self.timeline.from() {
            self.marks.from = Some(Mark::now(wire));
        }
        if self.is_deserted() {
            self.desert(wire);
            if self.timeline.phase() != Phase::Running {
                return;
            }
        }
        self.weather(wire);
        match self.config.messages {
            Loop::Open { burst, .. } => self.send_due(burst, wire),
            Loop::Seated { .. } => self.send_due(1, wire),
            Loop::Closed | Loop::Thinking(_) if now < self.timeline.until() => {
                self.start_clients(wire);
            }
            Loop::Closed | Loop::Thinking(_) => {}
        }
        self.end_turns_if_done(wire);
        if now >= self.timeline.until() && self.timeline.phase() == Phase::Running {
            self.begin_draining(wire);
        }
    }

    /// When the running phase needs attention next.
    pub(super) fn run_deadline(&self) -> Instant {
        let mark = if self.marks.from.is_none() {
            self.timeline.from()
        } else {
            NEVER
        };
        mark.min(self.timeline.until()).min(self.next_send())
    }

    /// A reply or a lower backlog made room: fills it, in a closed loop.
    pub(super) fn top_up(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        if self.timeline.phase() != Phase::Running
            || !self.config.is_closed_loop()
            || now >= self.timeline.until()
        {
            return;
        }
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let room = self
            .config
            .in_flight
            .saturating_sub(client.talk.in_flight());
        if client.state != State::Open || room == 0 {
            return;
        }
        if let Loop::Thinking(think) = self.config.messages {
            self.think(id, think, now);
            return;
        }
        self.fill_up(id, wire);
    }

    /// Sends as many messages as a connection has room for.
    pub(super) fn fill_up(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let Some(client) = self.fleet.get(id) else {
            return;
        };
        let room = self
            .config
            .in_flight
            .saturating_sub(client.talk.in_flight());
        if self.config.has_dialogues() {
            self.take_turns(id, wire);
            return;
        }
        let departure = Departure {
            intended: now,
            submitted: now,
        };
        let batch = &mut self.tools.batch;
        batch.clear();
        batch.extend(std::iter::repeat_n(departure, room as usize));
        // What does not fit now is sent when the backlog is low, or at the next reply.
        let _ = send_batch(id, client, &mut self.tools, &mut self.recorder, wire);
    }

    fn next_send(&self) -> Instant {
        if let Some(plan) = &self.schedule.plan {
            if self.schedule.next >= self.schedule.end {
                return NEVER;
            }
            let due = self
                .timeline
                .start()
                .as_nanos()
                .saturating_add(plan.next_ns);
            return Instant::from_nanos(due).max(self.schedule.last_turn + self.turn_time());
        }
        if self.config.is_closed_loop() && self.has_to_start() {
            AT_ONCE
        } else {
            NEVER
        }
    }

    /// Whether what comes may wait for the next turn: that comes as soon as it may.
    pub(super) fn may_gather(&self) -> bool {
        let soon = self.schedule.last_turn + self.turn_time();
        let is_busy = self.config.tick.is_some() || self.schedule.per_s >= GATHER_PER_S;
        is_busy && self.next_send() <= soon
    }

    /// From one turn for intended times to the next at least.
    fn turn_time(&self) -> Duration {
        self.config
            .tick
            .unwrap_or(if self.schedule.per_s >= RUSH_PER_S {
                RUSH_TURN_TIME
            } else {
                TURN_TIME
            })
    }

    fn messages_per_turn(&self) -> u64 {
        let tick_us = self.config.tick.map_or(0, |tick| tick.subsec_micros());
        MESSAGES_PER_TURN * u64::from(tick_us.div_ceil(100).max(1))
    }

    fn has_to_start(&self) -> bool {
        self.fleet.at(self.schedule.slot).is_some()
    }

    /// Sends the first messages of a closed loop, some clients a turn.
    fn start_clients(&mut self, wire: &mut impl Wire<Message>) {
        if !self.config.sends() {
            return;
        }
        for _ in 0..CLIENTS_PER_TURN {
            let Some((id, state)) = self.fleet.at(self.schedule.slot) else {
                return;
            };
            self.schedule.slot += 1;
            match self.config.messages {
                _ if state != State::Open => {}
                // Not all at once, though all begin at one time.
                Loop::Thinking(think) => self.think(id, think.first(), wire.now()),
                Loop::Closed | Loop::Open { .. } | Loop::Seated { .. } => self.top_up(id, wire),
            }
        }
    }

    /// Sets a client the time of its next messages, if it waits for no reply.
    fn think(&mut self, id: ConnectionId, think: Think, now: Instant) {
        if let Some(client) = self.fleet.get(id)
            && client.talk.in_flight() == 0
            && !client.thinks
        {
            client.thinks = true;
            let at = now + think.draw(&mut self.tools.rng);
            self.alarms.set(at, Errand::Speak(id));
        }
    }

    /// Sends what is meant for now or before. Neighbours in the plan go to different connections,
    /// but for bursts; which one depends on the index and on what is up, never on replies.
    fn send_due(&mut self, burst: u32, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        let start = self.timeline.start().as_nanos();
        let elapsed = now.as_nanos().saturating_sub(start);
        let (first, end) = (self.schedule.next, self.schedule.end);
        let until = end.min(self.schedule.next.saturating_add(self.messages_per_turn()));
        let burst = u64::from(burst.max(1));
        while self.schedule.next < until {
            let turn = self.schedule.next / burst;
            let end = ((turn + 1) * burst).min(until);
            let Some(plan) = &mut self.schedule.plan else {
                return;
            };
            let batch = &mut self.tools.batch;
            batch.clear();
            // What is meant for this very nanosecond is due.
            while self.schedule.next < end && plan.next_ns <= elapsed {
                batch.push(Departure {
                    intended: Instant::from_nanos(start.saturating_add(plan.next_ns)),
                    submitted: now,
                });
                self.schedule.next += 1;
                plan.next_ns = plan.offset_ns(self.schedule.next);
            }
            if batch.is_empty() {
                break;
            }
            self.send_planned(turn, wire);
        }
        let since = now.since(self.schedule.last_turn).as_nanos();
        self.schedule.last_turn = now;
        let due = u128::from(self.schedule.next - first) * 1_000_000_000;
        self.schedule.per_s = u64::try_from(due / since.max(1)).unwrap_or(u64::MAX);
    }

    /// Sends the batch on the connection whose turn it is, as far as it may; counts the rest.
    fn send_planned(&mut self, turn: u64, wire: &mut impl Wire<Message>) {
        let Self {
            fleet,
            tools,
            recorder,
            config,
            ..
        } = self;
        let id = match config.messages {
            Loop::Seated { .. } => fleet.in_seat(turn),
            Loop::Open { .. } | Loop::Closed | Loop::Thinking(_) => fleet.in_turn(turn),
        };
        let Some((id, client)) = id.and_then(|id| Some((id, fleet.get(id)?))) else {
            let dropped = recorder.dropped(&tools.batch);
            recorder.outcome.messages.dropped.no_connection += dropped;
            return;
        };
        if config.has_dialogues() {
            self.give_planned(id, wire);
            return;
        }
        let room = config.in_flight.saturating_sub(client.talk.in_flight()) as usize;
        if room < tools.batch.len() {
            let over = tools.batch.get(room..).unwrap_or_default();
            let dropped = recorder.dropped(over);
            recorder.outcome.messages.dropped.in_flight += dropped;
            tools.batch.truncate(room);
        }
        let (sent, result) = send_batch(id, client, tools, recorder, wire);
        if let Err(unsent) = result {
            let rest = tools.batch.get(sent..).unwrap_or_default();
            let dropped = recorder.dropped(rest);
            let by = &mut recorder.outcome.messages.dropped;
            match unsent {
                Unsent::Full => by.backlog += dropped,
                Unsent::Gone => by.no_connection += dropped,
            }
        }
    }
}

/// Sends the batch's messages on an open connection, in order, in as few calls as their size
/// allows; how many were queued, and why not all.
fn send_batch(
    id: ConnectionId,
    client: &mut Client,
    tools: &mut Tools,
    recorder: &mut Recorder,
    wire: &mut impl Wire<Message>,
) -> (usize, Result<(), Unsent>) {
    let mut sent = 0;
    let Tools {
        template,
        deflater,
        rings,
        rng,
        scratch,
        batch,
        ..
    } = tools;
    let per_call = (BATCH_BYTES / template.frame_bytes()).max(1);
    for departures in batch.chunks(per_call) {
        scratch.clear();
        let mut sequence = client.talk.next;
        for _ in departures {
            let key = rng.u32(..).to_ne_bytes();
            match deflater {
                None => template.encode(scratch, sequence, key),
                Some(deflater) => template.encode_deflated(scratch, sequence, key, deflater),
            }
            sequence = sequence.wrapping_add(1);
        }
        if let Err(unsent) = wire.send(id, scratch) {
            return (sent, Err(unsent));
        }
        for &departure in departures {
            client.talk.sent(departure, rings);
            recorder.sent(departure);
        }
        sent += departures.len();
    }
    (sent, Ok(()))
}
