//! A broker that answers late, says things twice and loses its connection, by a seed: what a hub
//! has to live with where other hosts are behind the seam.

use super::{
    Broker, BrokerCommand, BrokerEvent, BrokerReply, Memory, OfChannel, RestoredChannel, Ticket,
};
use crate::time::Instant;
use fastrand::Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// How bad it is: of 100 each.
#[derive(Clone, Copy, Debug)]
pub struct BrokerWeather {
    /// Commands that are answered later.
    pub late: u32,
    /// Publications that are told twice.
    pub repeated: u32,
    /// Commands at which the connection is lost.
    pub lost: u32,
}

/// One home core's connection to a broker that knows all [`Memory`] knows.
#[derive(Debug)]
pub struct Unreliable {
    memory: Memory,
    weather: BrokerWeather,
    rng: Rng,
    /// What is on its way, in order, and when it arrives.
    coming: VecDeque<(Instant, BrokerEvent)>,
    /// When the connection is back, if it is lost.
    back_at: Option<Instant>,
}

const LATE: Duration = Duration::from_millis(20);
const GONE: Duration = Duration::from_millis(100);

impl Unreliable {
    /// A broker of that seed.
    #[must_use]
    pub fn new(seed: u64, weather: BrokerWeather) -> Self {
        Self {
            memory: Memory::new(seed),
            weather,
            rng: Rng::with_seed(seed),
            coming: VecDeque::new(),
            back_at: None,
        }
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.weather = BrokerWeather {
            late: 0,
            repeated: 0,
            lost: 0,
        };
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// The connection is gone: what was on its way is lost, but no command is left unanswered.
    fn lose(&mut self, now: Instant) {
        self.back_at = Some(now + GONE);
        for (_, event) in &mut self.coming {
            if let BrokerEvent::Reply { reply, .. } = event {
                *reply = BrokerReply::Unavailable;
            }
        }
        self.coming
            .retain(|(_, event)| matches!(event, BrokerEvent::Reply { .. }));
    }
}

impl Broker for Unreliable {
    fn ask(
        &mut self,
        ticket: Ticket,
        channel: OfChannel<'_>,
        command: BrokerCommand,
        events: &mut VecDeque<BrokerEvent>,
    ) {
        let now = channel.now;
        // The broker notices that a core has no subscribers any more, if only by its silence.
        let is_heard = self.back_at.is_none() || matches!(command, BrokerCommand::Close);
        let mut told = VecDeque::new();
        if is_heard {
            self.memory.ask(ticket, channel, command, &mut told);
        }
        if self.back_at.is_none() && self.chance(self.weather.lost) {
            self.coming.extend(told.drain(..).map(|event| (now, event)));
            self.lose(now);
        } else if self.back_at.is_some() {
            let reply = BrokerReply::Unavailable;
            told = VecDeque::from([BrokerEvent::Reply { ticket, reply }]);
        }
        let delay = match self.chance(self.weather.late) {
            true => LATE.mul_f64(self.rng.f64()),
            false => Duration::ZERO,
        };
        // Never before what is on its way.
        let before = self.coming.back().map(|(at, _)| *at);
        let at = (now + delay).max(before.unwrap_or_default());
        for event in told {
            let is_publication = matches!(event, BrokerEvent::Published { .. });
            if is_publication && self.chance(self.weather.repeated) {
                self.coming.push_back((at, event.clone()));
            }
            self.coming.push_back((at, event));
        }
        if self.weather.late == 0 {
            self.expired(now, events);
        }
    }

    fn restore(&mut self, channel: OfChannel<'_>, restored: RestoredChannel) {
        self.memory.restore(channel, restored);
    }

    fn deadline(&self) -> Option<Instant> {
        let coming = self.coming.front().map(|(at, _)| *at);
        let deadlines = [coming, self.back_at, self.memory.deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn expired(&mut self, now: Instant, events: &mut VecDeque<BrokerEvent>) {
        self.memory.expired(now, events);
        while let Some((_, event)) = self.coming.pop_front_if(|(at, _)| *at <= now) {
            events.push_back(event);
        }
        if self.back_at.is_some_and(|at| at <= now) {
            self.back_at = None;
            events.push_back(BrokerEvent::Restored);
        }
    }
}
