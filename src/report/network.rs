//! What the kernel knows of this run's own sockets: whether the way was slow, or what is behind it.

use super::figures::{float, span, whole};
use crate::stats::SocketFigures;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// More segments than this that had to be sent again, of all with data, are a slow network.
const RESENT_MAX: f64 = 0.01;

/// Key `network` of the schema: a sample of the run's sockets, shortly before its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/record.md documents every key")]
pub struct Network {
    pub sockets: u64,
    pub rtt_p50_us: u64,
    pub rtt_p99_us: u64,
    pub rtt_max_us: u64,
    pub data_segments: u64,
    pub retransmits: u64,
    pub retransmitting: u64,
    pub stalled: u64,
    pub out_of_order: u64,
    pub window_limited: u64,
}

impl Network {
    /// What a sample says; `None` of no socket.
    #[must_use]
    pub fn of(sample: &[SocketFigures]) -> Option<Self> {
        let mut rtts: Vec<u64> = sample.iter().map(|it| u64::from(it.rtt_us)).collect();
        rtts.sort_unstable();
        // The smallest that so many percent are not above.
        let rank = |percent: usize| {
            let place = (rtts.len() * percent).div_ceil(100).saturating_sub(1);
            rtts.get(place).copied()
        };
        let sum = |of: fn(&SocketFigures) -> u32| sample.iter().map(|it| u64::from(of(it))).sum();
        let those =
            |is: fn(&SocketFigures) -> bool| sample.iter().map(|it| u64::from(is(it))).sum();
        Some(Self {
            sockets: u64::try_from(sample.len()).unwrap_or(u64::MAX),
            rtt_p50_us: rank(50)?,
            rtt_p99_us: rank(99)?,
            rtt_max_us: rank(100)?,
            data_segments: sum(|it| it.data_segments),
            retransmits: sum(|it| it.retransmits),
            retransmitting: those(|it| it.retransmits > 0),
            stalled: those(|it| it.is_stalled),
            out_of_order: sum(|it| it.out_of_order),
            window_limited: those(|it| it.is_window_limited),
        })
    }

    /// The summary's line.
    pub(super) fn shown(&self) -> String {
        let [p50, p99] = [self.rtt_p50_us, self.rtt_p99_us].map(|us| span(us * 1_000));
        let [sockets, again, of] = [self.sockets, self.retransmits, self.data_segments].map(whole);
        let mut line = format!("RTT p50 {p50}, p99 {p99}; {again} of {of} segments sent again");
        let rest = [
            (self.out_of_order, "out of order"),
            (self.stalled, "sockets without an answer of the peer's host"),
            (
                self.window_limited,
                "sockets that waited for the peer to read",
            ),
        ];
        for (n, what) in rest.iter().filter(|(n, _)| *n > 0) {
            let _ = write!(line, ", {} {what}", whole(*n));
        }
        let _ = write!(line, " ({sockets} own sockets)");
        line
    }

    pub(super) fn is_slow(&self) -> bool {
        self.stalled > 0 || float(self.retransmits) > RESENT_MAX * float(self.data_segments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_summed_and_its_round_trips_are_ranked() {
        let sample: Vec<SocketFigures> = (1..=200)
            .map(|n| SocketFigures {
                rtt_us: n,
                data_segments: 10,
                retransmits: u32::from(n == 7) * 3,
                ..SocketFigures::default()
            })
            .collect();
        let network = Network::of(&sample).expect("a sample");
        assert_eq!(
            (network.rtt_p50_us, network.rtt_p99_us, network.rtt_max_us),
            (100, 198, 200)
        );
        assert_eq!((network.retransmits, network.retransmitting), (3, 1));
        assert!(!network.is_slow(), "3 of 2,000 are not one in a hundred");
        assert_eq!(Network::of(&[]), None);
    }
}
