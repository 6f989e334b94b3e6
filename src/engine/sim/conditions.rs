//! What the simulated network does to its traffic: probabilities, spans and their random source.

use std::time::Duration;

/// How the network and the hosts behave. Splitting, delaying and short writes are not faults:
/// they happen under all conditions.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Time that bytes travel, at least.
    pub delay_min: Duration,
    /// Time that bytes travel, at most, unless they are late.
    pub delay_max: Duration,
    /// How often a segment is late.
    pub late: f64,
    /// How late it is at most.
    pub late_max: Duration,
    /// How often a read gives only a part of what has arrived.
    pub split: f64,
    /// How often the kernel takes only a part of what it has room for.
    pub short_write: f64,
    /// Bytes of a socket's buffers: drawn between these for each direction of a connection.
    pub buffer_min: usize,
    /// See `buffer_min`.
    pub buffer_max: usize,
    /// How many ends of connections read slowly: a little, then nothing for `slow_max` at most.
    pub slow: f64,
    /// See `slow`.
    pub slow_max: Duration,
    /// How often a core is late for its turn, by at most `late_max`.
    pub core_late: f64,
    /// How many connections are reset by the network.
    pub reset: f64,
    /// How many connections die silently: nothing arrives any more, in either direction.
    pub silence: f64,
    /// How many connects are refused.
    pub refuse: f64,
    /// How many connects get no answer at all.
    pub lose_connect: f64,
    /// A connection's fault comes within this time.
    pub fault_max: Duration,
    /// Connections that may wait to be accepted by one core.
    pub accept_queue: usize,
}

impl Conditions {
    /// No faults: whatever is sent arrives, within milliseconds.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            delay_min: Duration::from_micros(5),
            delay_max: Duration::from_micros(300),
            late: 0.02,
            late_max: Duration::from_millis(5),
            split: 0.3,
            short_write: 0.1,
            buffer_min: 4 * 1024,
            buffer_max: 256 * 1024,
            slow: 0.0,
            slow_max: Duration::ZERO,
            core_late: 0.01,
            reset: 0.0,
            silence: 0.0,
            refuse: 0.0,
            lose_connect: 0.0,
            fault_max: Duration::from_secs(5),
            accept_queue: 1024,
        }
    }

    /// Every kind of fault, often.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            late: 0.05,
            late_max: Duration::from_millis(300),
            split: 0.6,
            short_write: 0.4,
            buffer_min: 200,
            slow: 0.05,
            slow_max: Duration::from_millis(50),
            core_late: 0.05,
            reset: 0.1,
            silence: 0.05,
            refuse: 0.05,
            lose_connect: 0.03,
            accept_queue: 8,
            ..Self::calm()
        }
    }
}

/// The one source of randomness of a run.
#[derive(Debug)]
pub(super) struct Random(fastrand::Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Whether something of that probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// A span up to `most`.
    pub(super) fn span(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.0.f64())
    }

    /// A count from 1 to `most`; sometimes tiny, to meet the edges.
    pub(super) fn part(&mut self, most: usize) -> usize {
        let most = if self.0.u8(..4) > 0 {
            most
        } else {
            most.min(16)
        };
        self.0.usize(1..=most.max(1))
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.usize(low..=high.max(low))
    }

    /// A place in a list of `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.0.usize(..len)
    }

    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        self.0.shuffle(list);
    }
}
