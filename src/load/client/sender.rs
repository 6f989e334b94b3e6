//! What is sent while a run runs: planned messages, and others as replies make room.

use super::table::{Client, State};
use super::tools::Tools;
use crate::limits;
use crate::load::barrier::Message;
use crate::load::config::{Loop, Think};
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::{Cause, Recorder};
use crate::load::measure::recovery::Recovery;
use crate::load::measure::send_times::SendTimes;
use crate::load::measure::usage::Mark;
use crate::load::outage::{Choice, OutageStep};
use crate::load::phase::{AT_ONCE, NEVER, Phase};
use crate::load::seed::seeded;
use crate::load::shard::Load;
use crate::load::timers::Timer;
use crate::shard::{Close, ConnectionId, Unsent, Wire};
use crate::time::Instant;

/// Clients whose first messages of a closed loop are sent in one turn at most.
const CLIENTS_PER_TURN: u32 = 1024;
/// Bytes of frames built for one connection before they are handed over.
const BATCH_BYTES: usize = 64 * 1024;

/// What the purpose of the generator begins at that chooses whom an outage drops.
const OUTAGE_PURPOSE: u64 = 1 << 48;

impl Load {
    /// Messages begin.
    pub(in crate::load) fn begin_running(&mut self, wire: &mut impl Wire<Message>) {
        self.timeline.run();
        self.go_on_running(wire);
    }

    /// The time has come for messages, for a mark or for the end.
    pub(in crate::load) fn go_on_running(&mut self, wire: &mut impl Wire<Message>) {
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
        self.watch_outage(wire);
        match self.config.messages {
            Loop::Open { .. } | Loop::PerConnection { .. } => self.send_due(wire),
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

    /// Drops the outage's share of the connections, and notes the points of its curve.
    fn watch_outage(&mut self, wire: &mut impl Wire<Message>) {
        while let Some(due) = self.outage.poll(wire.now(), self.timeline.until()) {
            let up = u64::try_from(self.fleet.up()).unwrap_or(u64::MAX);
            match due {
                OutageStep::Drop { permille } => {
                    let recovery = self.drop_share(permille, up, wire);
                    self.recorder.outcome.recovery = Some(recovery);
                }
                OutageStep::Point => {
                    if let Some(recovery) = &mut self.recorder.outcome.recovery {
                        recovery.up.push(up);
                    }
                }
            }
        }
    }

    /// Drops a share of the connections that are up, chosen by the seed.
    fn drop_share(&mut self, permille: u16, up: u64, wire: &mut impl Wire<Message>) -> Recovery {
        let mut recovery = Recovery {
            before: up,
            step: self.outage.step(),
            ..Recovery::default()
        };
        let purpose = OUTAGE_PURPOSE + u64::from(wire.core().0);
        let mut choice = Choice::new(up, permille, seeded(self.config.seed, purpose));
        let mut slot = 0;
        while let Some((id, state)) = self.fleet.at(slot) {
            slot += 1;
            if state == State::Open && choice.takes_next() {
                recovery.dropped += 1;
                // As a network that went away: its client comes back by the backoff.
                let under_way = self.release(id, Kind::Reset, wire.now());
                recovery.messages += u64::from(under_way);
                wire.close(id, Close::Abort);
            }
        }
        self.after_loss(wire);
        recovery
    }

    /// When the running phase needs attention next.
    pub(in crate::load) fn run_deadline(&self) -> Instant {
        let mark = if self.marks.from.is_none() {
            self.timeline.from()
        } else {
            NEVER
        };
        mark.min(self.timeline.until()).min(self.next_send())
    }

    /// A reply or a lower backlog made room: fills it, in a closed loop.
    pub(in crate::load) fn top_up(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
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
    pub(in crate::load) fn fill_up(&mut self, id: ConnectionId, wire: &mut impl Wire<Message>) {
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
        let departure = SendTimes {
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
        if self.starts_clients() {
            AT_ONCE
        } else {
            self.pacer.deadline()
        }
    }

    /// Whether what comes may wait for the next turn.
    pub(in crate::load) fn may_gather(&self) -> bool {
        self.pacer.may_coalesce() || self.config.tick.is_some() && self.starts_clients()
    }

    /// Whether clients of a closed loop have not sent their first messages.
    fn starts_clients(&self) -> bool {
        self.config.is_closed_loop() && self.has_to_start()
    }

    fn has_to_start(&self) -> bool {
        self.fleet.at(self.next_slot).is_some()
    }

    /// Sends the first messages of a closed loop, some clients a turn.
    fn start_clients(&mut self, wire: &mut impl Wire<Message>) {
        if !self.config.sends() {
            return;
        }
        for _ in 0..CLIENTS_PER_TURN {
            let Some((id, state)) = self.fleet.at(self.next_slot) else {
                return;
            };
            self.next_slot += 1;
            match self.config.messages {
                _ if state != State::Open => {}
                // Not all at once, though all begin at one time.
                Loop::Thinking(think) => self.think(id, think.first(), wire.now()),
                Loop::Closed | Loop::Open { .. } | Loop::PerConnection { .. } => {
                    self.top_up(id, wire)
                }
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
            self.alarms.set(at, Timer::Speak(id));
        }
    }

    /// Sends what is meant for now or before. Neighbours in the plan go to different connections,
    /// but for bursts; which one depends on the index and on what is up, never on replies.
    fn send_due(&mut self, wire: &mut impl Wire<Message>) {
        let now = wire.now();
        while let Some(turn) = self.pacer.take_due(now, &mut self.tools.batch) {
            self.send_planned(turn, wire);
        }
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
            Loop::PerConnection { .. } => fleet.in_seat(turn),
            Loop::Open { .. } | Loop::Closed | Loop::Thinking(_) => fleet.in_turn(turn),
        };
        let Some((id, client)) = id.and_then(|id| Some((id, fleet.get(id)?))) else {
            recorder.dropped(&tools.batch, Cause::NoConnection);
            return;
        };
        if config.has_dialogues() {
            self.give_planned(id, wire);
            return;
        }
        let room = config.in_flight.saturating_sub(client.talk.in_flight()) as usize;
        if room < tools.batch.len() {
            let over = tools.batch.get(room..).unwrap_or_default();
            recorder.dropped(over, Cause::InFlight);
            tools.batch.truncate(room);
        }
        let (sent, result) = send_batch(id, client, tools, recorder, wire);
        if let Err(unsent) = result {
            let rest = tools.batch.get(sent..).unwrap_or_default();
            let cause = match unsent {
                Unsent::Full => Cause::Backlog,
                Unsent::Gone => Cause::NoConnection,
            };
            recorder.dropped(rest, cause);
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
        pool,
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
        let queued = if scratch.len() < limits::LARGE_BYTES {
            wire.send(id, scratch)
        } else {
            // Much: it leaves from where it was built, and comes back to be built into again.
            let built = std::mem::replace(scratch, pool.shelf.buffer());
            wire.share(id, &pool.shelf.wrap(built))
        };
        if let Err(unsent) = queued {
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
