//! Latencies of a load run: one histogram a metric. Cores merge.

use hdrhistogram::Histogram;
use std::sync::LazyLock;

/// Longest latency that is kept apart, in nanoseconds; what is longer counts as this.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Significant decimal digits of a recorded latency.
pub const LATENCY_DIGITS: u8 = 3;

/// One metric's latencies in nanoseconds: 1 ns to 60 s at 3 significant digits. Most runs record
/// a few of the metrics there are: one without a sample has no memory.
#[derive(Clone, Debug, Default)]
pub struct Latency(Option<Histogram<u64>>);

/// What a metric without a sample is shown as.
static EMPTY: LazyLock<Histogram<u64>> = LazyLock::new(empty);

#[expect(clippy::expect_used, reason = "constant bounds, which a test creates")]
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS).expect("valid bounds")
}

impl Latency {
    /// Records a latency, in nanoseconds.
    pub fn record_ns(&mut self, ns: u64) {
        self.0.get_or_insert_with(empty).saturating_record(ns);
    }

    /// Adds another core's latencies.
    pub fn merge(&mut self, other: &Self) {
        let Some(other) = other.0.as_ref().filter(|other| !other.is_empty()) else {
            return;
        };
        let fits = self.0.get_or_insert_with(empty).add(other).is_ok();
        assert!(fits, "all latencies have the same bounds");
    }

    /// Adds samples from elsewhere.
    ///
    /// # Errors
    /// Some of them are beyond what is kept apart here.
    pub fn add(&mut self, other: &Histogram<u64>) -> Result<(), hdrhistogram::AdditionError> {
        self.0.get_or_insert_with(empty).add(other)
    }

    /// Forgets every sample, and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(histogram) = self.0.as_mut().filter(|it| !it.is_empty()) {
            histogram.reset();
        }
    }

    /// The histogram, in nanoseconds.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        self.0.as_ref().unwrap_or(&EMPTY)
    }
}

/// Equal samples are equal latencies, memory or not.
impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.histogram() == other.histogram()
    }
}

/// Every latency of a run; docs/measurement.md has the definitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Start of the connect to TCP established.
    pub tcp: Latency,
    /// TCP established to the end of the TLS handshake. Empty without TLS.
    pub tls: Latency,
    /// TCP (and TLS, where there is) established to a verified 101, or to the response head of an
    /// event stream.
    pub upgrade: Latency,
    /// End of `upgrade` to the end of the scenario's own handshake, if it has one.
    pub ready: Latency,
    /// Intended connect to the end of `upgrade`, or of `ready` if there is one. Without a connect
    /// rate: from the start.
    pub connect: Latency,
    /// Intended connect to the first dispatched event or message.
    pub first_event: Latency,
    /// Intended send to the send. Empty in a closed loop.
    pub slip: Latency,
    /// Send to the reply.
    pub service: Latency,
    /// Intended send to the reply: the headline. Empty in a closed loop.
    pub response: Latency,
    /// Loss of a connection to the connection that replaces it, or to the first event on that.
    pub resume: Latency,
    /// The stamp in a pushed message to its receipt, where not negative.
    pub one_way: Latency,
    /// As `one_way`, of messages that a server replayed after a loss: how old they were.
    pub replayed: Latency,
    /// A ping to its pong.
    pub ping: Latency,
}

impl Latencies {
    /// Each latency with its name, the headline ones first.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        [
            ("response", &self.response),
            ("service", &self.service),
            ("slip", &self.slip),
            ("one_way", &self.one_way),
            ("replayed", &self.replayed),
            ("ping", &self.ping),
            ("first_event", &self.first_event),
            ("resume", &self.resume),
            ("connect", &self.connect),
            ("tcp", &self.tcp),
            ("tls", &self.tls),
            ("upgrade", &self.upgrade),
            ("ready", &self.ready),
        ]
        .into_iter()
    }

    /// Adds another core's latencies.
    pub fn merge(&mut self, other: &Self) {
        for (own, (_, other)) in self.each().into_iter().zip(other.named()) {
            own.merge(other);
        }
    }

    /// Forgets every sample, and keeps the memory.
    pub fn clear(&mut self) {
        self.each().into_iter().for_each(Latency::clear);
    }

    /// Each latency, in the order of `named`.
    fn each(&mut self) -> [&mut Latency; 13] {
        let Self {
            response,
            service,
            slip,
            one_way,
            replayed,
            ping,
            first_event,
            resume,
            connect,
            tcp,
            tls,
            upgrade,
            ready,
        } = self;
        [
            response,
            service,
            slip,
            one_way,
            replayed,
            ping,
            first_event,
            resume,
            connect,
            tcp,
            tls,
            upgrade,
            ready,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_beyond_a_minute_counts_as_a_minute() {
        let mut latency = Latency::default();
        latency.record_ns(u64::MAX);
        let max = latency.histogram().max();
        assert!(
            (LATENCY_NS_MAX..LATENCY_NS_MAX + LATENCY_NS_MAX / 100).contains(&max),
            "{max}"
        );
    }

    #[test]
    fn a_metric_without_a_sample_equals_one_that_forgot_its_samples() {
        let (mut used, unused) = (Latency::default(), Latency::default());
        used.record_ns(7);
        assert_ne!(used, unused);
        used.clear();
        assert_eq!(used, unused);
        assert_eq!(unused.histogram().len(), 0);
        let mut merged = Latency::default();
        merged.merge(&used);
        assert!(merged.0.is_none(), "nothing to add takes no memory");
    }

    #[test]
    fn each_metric_merges_with_its_own_kind() {
        let mut other = Latencies::default();
        for (ns, latency) in (1..).zip(other.each()) {
            latency.record_ns(ns);
        }
        let mut whole = other.clone();
        whole.merge(&other);
        for ((name, one), (_, two)) in other.named().zip(whole.named()) {
            let (one, two) = (one.histogram(), two.histogram());
            assert_eq!(
                (two.len(), two.min(), two.max()),
                (2, one.min(), one.max()),
                "{name}"
            );
        }
    }
}
