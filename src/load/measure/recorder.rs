//! Puts what happens into the outcome: only what belongs to the measured time. Every count has one
//! method here or in `connections`, so every sum has an owner.

mod connections;

use super::deliveries::Delivered;
use super::fan_out::Stray;
use super::outcome::{Ending, Messages, Numbering, Outcome};
use super::progress::{Progress, Stage};
use super::send_times::SendTimes;
use super::stamp::Pushed;
use crate::time::Instant;
use std::time::Duration;

const NEVER: Instant = Instant::from_nanos(u64::MAX);
/// A shorter measured time without an event is no silence.
const SILENCE_LEAST: Duration = Duration::from_secs(1);

/// Whether a pushed message was new when it came, or sent again after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Age {
    New,
    Replayed,
}

/// Why a planned message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Cause {
    /// No connection was up, or not the one whose turn it was.
    NoConnection,
    /// As many messages were under way on it as may be.
    InFlight,
    /// Its peer did not read.
    Backlog,
    /// The measured time was over before its turn came.
    Late,
}

/// How long a listener may hear nothing, if somebody says.
type Silence = Option<Duration>;

/// One core's outcome in the making.
#[derive(Debug)]
pub(in crate::load) struct Recorder {
    outcome: Outcome,
    /// Messages under way on all connections, measured or not.
    in_flight: u64,
    /// The measured time. What is meant for its beginning is in, for its end is out.
    from: Instant,
    until: Instant,
    is_open_loop: bool,
    /// By the places of the targets: when the newest message was sent that was heard of each, on
    /// the server's clock.
    newest_ns: Vec<u64>,
}

impl Recorder {
    pub(in crate::load) fn new(is_open_loop: bool) -> Self {
        let outcome = Outcome::default();
        Self {
            outcome,
            in_flight: 0,
            from: NEVER,
            until: NEVER,
            is_open_loop,
            newest_ns: Vec::new(),
        }
    }

    /// Says when the measured time is, as soon as it is known.
    pub(in crate::load) fn measure(&mut self, from: Instant, until: Instant) {
        (self.from, self.until) = (from, until);
    }

    /// Whether a message meant for then is measured.
    #[inline]
    pub(in crate::load) fn is_measured(&self, intended: Instant) -> bool {
        self.from <= intended && intended < self.until
    }

    /// A message was sent.
    #[inline]
    pub(in crate::load) fn sent(&mut self, times: SendTimes) {
        self.in_flight += 1;
        let messages = &mut self.outcome.messages;
        if !(self.from <= times.intended && times.intended < self.until) {
            messages.unmeasured += 1;
            return;
        }
        messages.planned += 1;
        messages.sent += 1;
        if self.is_open_loop {
            let slip = ns_between(times.intended, times.submitted);
            self.outcome.latencies.slip.record_ns(slip);
        }
    }

    /// Messages of the plan that are not sent: those that are measured count.
    pub(in crate::load) fn dropped(&mut self, planned: &[SendTimes], cause: Cause) {
        let measured = planned
            .iter()
            .filter(|planned| self.is_measured(planned.intended));
        let dropped = u64::try_from(measured.count()).unwrap_or(u64::MAX);
        self.never_sent(dropped, cause);
    }

    /// Measured messages of the plan that are not sent.
    pub(in crate::load) fn never_sent(&mut self, messages: u64, cause: Cause) {
        let Messages {
            planned, dropped, ..
        } = &mut self.outcome.messages;
        *planned += messages;
        *match cause {
            Cause::NoConnection => &mut dropped.no_connection,
            Cause::InFlight => &mut dropped.in_flight,
            Cause::Backlog => &mut dropped.backlog,
            Cause::Late => &mut dropped.late,
        } += messages;
    }

    /// The reply to that message came and verified.
    #[inline]
    pub(in crate::load) fn replied(&mut self, times: SendTimes, now: Instant) {
        self.done(times);
        if !self.is_measured(times.intended) {
            return;
        }
        let latencies = &mut self.outcome.latencies;
        latencies
            .service
            .record_ns(ns_between(times.submitted, now));
        if self.is_open_loop {
            latencies
                .response
                .record_ns(ns_between(times.intended, now));
        }
    }

    /// That message is over as it was to be, whether or not there was a reply to time.
    #[inline]
    pub(in crate::load) fn done(&mut self, times: SendTimes) {
        self.in_flight -= 1;
        let is_measured = self.is_measured(times.intended);
        self.outcome.messages.replied += u64::from(is_measured);
    }

    /// Messages under way will never be replied to.
    pub(in crate::load) fn gone(&mut self, messages: u32) {
        self.in_flight -= u64::from(messages);
    }

    /// A message came that was not sent from here, with that many bytes of payload.
    #[inline]
    pub(in crate::load) fn event(&mut self, bytes: usize, now: Instant) {
        if self.is_measured(now) {
            self.outcome.events.received += 1;
            self.outcome.events.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
    }

    /// The stamp of that message, after the last one with sequence number `last` (0 for none).
    #[inline]
    pub(in crate::load) fn stamped(
        &mut self,
        stamp: Option<Pushed>,
        last: u64,
        age: Age,
        now: Instant,
    ) {
        if !self.is_measured(now) {
            return;
        }
        let events = &mut self.outcome.events;
        let Some(stamp) = stamp else {
            events.unstamped += 1;
            return;
        };
        if last != 0 {
            // The next one passes over nothing.
            match stamp.sequence.checked_sub(last) {
                None | Some(0) => events.repeated += 1,
                Some(step) => events.gaps += step - 1,
            }
        }
        let latencies = &mut self.outcome.latencies;
        let latency = match age {
            Age::New => &mut latencies.one_way,
            Age::Replayed => &mut latencies.replayed,
        };
        match u64::try_from(now.signed_since(Instant::from_nanos(stamp.sent_ns))) {
            Ok(ns) => latency.record_ns(ns),
            Err(_) => events.negative += 1,
        }
    }

    /// A listener had heard nothing for longer than it should, and hears again.
    #[cold]
    pub(in crate::load) fn was_silent(&mut self, since: Instant, now: Instant) {
        if self.is_measured(now) {
            let due = &mut self.outcome.due;
            due.silences += 1;
            due.longest = due.longest.max(now.since(since));
        }
    }

    /// A number of the server at that place among the targets was heard.
    #[inline]
    pub(in crate::load) fn numbered(&mut self, place: usize, stamp: Pushed, now: Instant) {
        match self.newest_ns.get_mut(place) {
            Some(newest) => *newest = (*newest).max(stamp.sent_ns),
            None => self.newest_ns.resize(place + 1, stamp.sent_ns),
        }
        if !self.is_measured(now) {
            return;
        }
        let at = now.since(self.from);
        match self.outcome.due.numberings.get_mut(place) {
            Some(numbering) => numbering.heard(stamp.sequence, at),
            None => self.first_numbered(place, stamp, at),
        }
    }

    /// When the newest message of that place was sent that was heard here; 0 for none.
    pub(in crate::load) fn newest_ns(&self, place: usize) -> u64 {
        self.newest_ns.get(place).copied().unwrap_or(0)
    }

    /// The server at that place counts again: whoever was lost when the newest message had been
    /// sent at `since_ns` has found it so.
    #[cold]
    pub(in crate::load) fn began_anew(&mut self, place: usize, since_ns: u64) {
        if let Some(numbering) = self.outcome.due.numberings.get_mut(place) {
            numbering.begin_anew(since_ns);
        }
    }

    #[cold]
    fn first_numbered(&mut self, place: usize, stamp: Pushed, at: Duration) {
        let numberings = &mut self.outcome.due.numberings;
        numberings.resize_with(place + 1, Numbering::default);
        if let Some(numbering) = numberings.get_mut(place) {
            numbering.heard(stamp.sequence, at);
        }
    }

    /// The measured time is over for a listener of the server at that place, with the last number
    /// that it heard (0 for none) and since when it has heard nothing.
    pub(in crate::load) fn listened(
        &mut self,
        place: usize,
        pushed: u64,
        heard_at: Instant,
        most: Silence,
    ) {
        let silence = self.until.since(heard_at.max(self.from));
        let due = &mut self.outcome.due;
        due.until = self.until.since(self.from);
        due.listeners += 1;
        let numbering = due.numberings.get_mut(place);
        let late = numbering.as_ref().and_then(|it| it.late_after());
        let is_silent = match most.or(late) {
            Some(most) => silence > most,
            // Nothing tells how often something is to come: in all this time it was not.
            None => silence >= due.until && due.until >= SILENCE_LEAST,
        };
        if !is_silent {
            return;
        }
        due.silent += 1;
        due.longest = due.longest.max(silence);
        if let Some(numbering) = numbering.filter(|it| it.first.0 > 0) {
            let before_first = numbering.first.0 - 1;
            // A number of a run before says that nothing of this one was heard.
            let is_of_this_run = pushed <= numbering.newest.0;
            let last = if is_of_this_run { pushed } else { 0 };
            numbering.behind += 1;
            numbering.last_sum += last.max(before_first);
        }
    }

    /// A message came that was said at that time, on the clock of this host.
    pub(in crate::load) fn one_way(&mut self, sent: Instant, now: Instant) {
        if self.is_measured(now) {
            match u64::try_from(now.signed_since(sent)) {
                Ok(ns) => self.outcome.latencies.one_way.record_ns(ns),
                Err(_) => self.outcome.events.negative += 1,
            }
        }
    }

    /// A message was sent that is to reach so many.
    pub(in crate::load) fn broadcast(&mut self, times: SendTimes, expected: u32) {
        if self.is_measured(times.intended) {
            let fan_out = self.outcome.fan_out.get_or_insert_default();
            fan_out.broadcasts += 1;
            fan_out.expected += u64::from(expected);
        }
    }

    /// It reached one more.
    pub(in crate::load) fn delivered(&mut self, times: SendTimes) {
        if self.is_measured(times.intended) {
            self.outcome.fan_out.get_or_insert_default().received += 1;
        }
    }

    /// One that it was to reach had left by the plan.
    pub(in crate::load) fn excused(&mut self, times: SendTimes) {
        if self.is_measured(times.intended) {
            let expected = &mut self.outcome.fan_out.get_or_insert_default().expected;
            *expected = expected.saturating_sub(1);
        }
    }

    /// It reached everyone, after these times in ascending order.
    pub(in crate::load) fn spread(&mut self, times: SendTimes, delays_ns: &[u64]) {
        if !self.is_measured(times.intended) {
            return;
        }
        let fan_out = self.outcome.fan_out.get_or_insert_default();
        fan_out.complete += 1;
        // The nearest rank: the first that so many of a hundred are not later than.
        let rank = |percent: usize| (delays_ns.len() * percent).div_ceil(100).saturating_sub(1);
        let at = |place: usize| delays_ns.get(place).copied();
        let (Some(first), Some(&last)) = (at(0), delays_ns.last()) else {
            return;
        };
        fan_out.first.record_ns(first);
        fan_out.p50.record_ns(at(rank(50)).unwrap_or(last));
        fan_out.p99.record_ns(at(rank(99)).unwrap_or(last));
        fan_out.last.record_ns(last);
        fan_out.spread.record_ns(last - first);
    }

    /// Something was wrong with a delivery.
    pub(in crate::load) fn stray(&mut self, stray: Stray, now: Instant) {
        if self.is_measured(now) {
            let fan_out = self.outcome.fan_out.get_or_insert_default();
            match stray {
                Stray::Duplicate => fan_out.duplicates += 1,
                Stray::Reordered => fan_out.reordered += 1,
                Stray::Gap(missing) => fan_out.gaps += missing,
            }
        }
    }

    /// What is known of a publication that came now, or of those before it.
    pub(in crate::load) fn delivery(&mut self, what: Delivered, now: Instant) {
        if self.is_measured(now) {
            self.outcome.deliveries.get_or_insert_default().count(what);
        }
    }

    /// A message came that is no reply to anything under way.
    pub(in crate::load) fn wrong(&mut self) {
        self.outcome.messages.wrong += 1;
    }

    /// The measured time is over: replies that come later are not of its rate.
    pub(in crate::load) fn end_sending(&mut self) {
        let messages = &mut self.outcome.messages;
        messages.replied_in_time = messages.replied;
    }

    /// No reply is awaited any more: one that comes from now on is too late, and counts as lost.
    pub(in crate::load) fn end(&mut self) {
        let messages = &mut self.outcome.messages;
        messages.lost = messages.sent - messages.replied;
        self.measure(NEVER, NEVER);
    }

    /// The run ends so.
    pub(in crate::load) fn ending(&mut self, ending: Ending) {
        self.outcome.ending = ending;
    }

    /// Messages under way on all connections, measured or not.
    #[inline]
    pub(in crate::load) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The counts so far; the rest of the progress is not known here.
    pub(in crate::load) fn progress(&self) -> Progress {
        let outcome = &self.outcome;
        Progress {
            core: 0,
            stage: Stage::Connecting,
            elapsed: Duration::ZERO,
            measured: Duration::ZERO,
            connections: outcome.connects.planned,
            up: 0,
            failed: outcome.connects.failed,
            speakers: outcome.connects.speakers,
            sent: outcome.messages.sent,
            dropped: outcome.messages.dropped.total(),
            received: outcome.messages.replied + outcome.events.received,
            failures: outcome.failures.total(),
            cpu: Duration::ZERO,
        }
    }

    /// What has been measured so far.
    #[cfg(test)]
    pub(in crate::load) const fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The same, for an observer, that takes the latencies and leaves empty ones.
    pub(in crate::load) const fn outcome_mut(&mut self) -> &mut Outcome {
        &mut self.outcome
    }

    /// What was measured.
    pub(in crate::load) fn into_outcome(self) -> Outcome {
        self.outcome
    }
}

/// Time from one moment to a later one, in nanoseconds.
const fn ns_between(then: Instant, now: Instant) -> u64 {
    now.as_nanos().saturating_sub(then.as_nanos())
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
