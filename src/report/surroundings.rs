//! The load client's host before and after a run: what ran short while it lasted.

use super::figures::whole;
use super::network::Network;
use crate::stats::HostSample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Key `host_samples` of the schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostSamples {
    /// Before the first connect.
    pub before: HostSample,
    /// After the last connection was closed.
    pub after: HostSample,
}

/// A counter since boot whose growth says that something ran short.
struct Sign {
    name: &'static str,
    of: fn(&HostSample) -> Option<u64>,
    /// What it points at (docs/measurement.md, what a counter points at).
    means: &'static str,
}

const ACCEPTING: &str = "a server here accepts too slowly, or its backlog is short";
const SYN_QUEUE: &str = "a SYN queue was full (net.ipv4.tcp_max_syn_backlog)";
const MEMORY: &str = "TCP memory ran short (net.ipv4.tcp_mem)";
const SOFTIRQ: &str = "a CPU did not keep up with packets (net.core.netdev_max_backlog)";
const NETWORK: &str = "packets were lost or late on the way";

const SIGNS: [Sign; 10] = [
    Sign::new("listen overflows", |it| it.listen_overflows, ACCEPTING),
    Sign::new("listen drops", |it| it.listen_drops, ACCEPTING),
    Sign::new("SYN queue drops", |it| it.syn_queue_drops, SYN_QUEUE),
    Sign::new("SYN cookies", |it| it.syncookies_sent, SYN_QUEUE),
    Sign::new("TCP memory pressures", |it| it.tcp_memory_pressures, MEMORY),
    Sign::new("aborts on memory", |it| it.aborts_on_memory, MEMORY),
    Sign::new("softnet drops", |it| it.softnet_drops, SOFTIRQ),
    Sign::new("softnet squeezes", |it| it.softnet_squeezes, SOFTIRQ),
    Sign::new("retransmits", |it| it.retransmits, NETWORK),
    Sign::new("TCP timeouts", |it| it.timeouts, NETWORK),
];

impl Sign {
    const fn new(
        name: &'static str,
        of: fn(&HostSample) -> Option<u64>,
        means: &'static str,
    ) -> Self {
        Self { name, of, means }
    }
}

impl HostSamples {
    /// What grew, with what it points at: `3 listen overflows: ...`, one line per cause.
    #[must_use]
    pub fn signs(&self, own: Option<&Network>) -> Vec<String> {
        let mut lines: Vec<(&str, String)> = Vec::new();
        for Sign { name, of, means } in SIGNS {
            // A counter that went back is another boot's, or another namespace's.
            let grown = of(&self.after)
                .zip(of(&self.before))
                .map_or(0, |(after, before)| after.saturating_sub(before));
            if grown == 0 {
                continue;
            }
            let said = format!("{} {name}", whole(grown));
            match lines.iter_mut().find(|(cause, _)| *cause == means) {
                Some((_, line)) => *line = format!("{line}, {said}"),
                None => lines.push((means, said)),
            }
        }
        let unharmed = own.filter(|own| own.retransmits == 0);
        let said = |(means, line): (&str, String)| match unharmed {
            // What others did to the network is no word on this run's.
            Some(own) if means == NETWORK => {
                let sockets = whole(own.sockets);
                format!("this whole host counted {line}, none of them on {sockets} own sockets")
            }
            _ => format!("this whole host counted {line}: {means}"),
        };
        lines.into_iter().map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(retransmits: u64, drops: Option<u64>) -> HostSample {
        HostSample {
            retransmits: Some(retransmits),
            timeouts: Some(retransmits / 2),
            listen_drops: drops,
            listen_overflows: Some(7),
            ..HostSample::default()
        }
    }

    fn signs(before: HostSample, after: HostSample) -> Vec<String> {
        HostSamples { before, after }.signs(None)
    }

    #[test]
    fn what_grew_is_said_once_for_each_cause() {
        let lines = signs(sample(10, Some(1)), sample(1_210, Some(4)));
        assert_eq!(
            lines,
            [
                format!("this whole host counted 3 listen drops: {ACCEPTING}"),
                format!("this whole host counted 1,200 retransmits, 600 TCP timeouts: {NETWORK}"),
            ]
        );
    }

    /// Retransmits of other programs are no word on the network of this run.
    #[test]
    fn what_the_run_s_own_sockets_did_not_see_points_at_nothing() {
        let (before, after) = (sample(10, None), sample(50, None));
        let samples = HostSamples { before, after };
        let own = |retransmits| Network {
            sockets: 5,
            retransmits,
            ..Network::default()
        };
        let counted = "this whole host counted 40 retransmits, 20 TCP timeouts";
        assert_eq!(
            samples.signs(Some(&own(0))),
            [format!("{counted}, none of them on 5 own sockets")]
        );
        assert_eq!(
            samples.signs(Some(&own(1))),
            [format!("{counted}: {NETWORK}")]
        );
    }

    #[test]
    fn what_is_not_known_or_went_back_is_no_sign() {
        assert!(signs(sample(10, None), sample(9, Some(4))).is_empty());
        assert!(signs(sample(10, Some(1)), sample(10, Some(1))).is_empty());
    }
}
