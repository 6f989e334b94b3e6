//! What stood in the way: from what grew or was full while a load was applied, the cause.
//!
//! The table of docs/measurement.md, "What a counter points at".

use std::fmt;

/// What was seen at both ends while a load was applied. Counters are what they grew by, shares from
/// 0 to 1; `None` is what nobody told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The generator did not apply its plan.
    pub is_generator_late: bool,
    /// Connects of the client that found no port (EADDRNOTAVAIL).
    pub no_ports: u64,
    /// Connects of the client that found no descriptor (EMFILE, ENFILE).
    pub no_descriptors: u64,
    /// `ListenOverflows` and `ListenDrops`.
    pub accept_drops: Option<u64>,
    /// The longest accept queue, as a part of its limit.
    pub accept_queue: Option<f64>,
    /// `TCPReqQFullDrop`, `TCPReqQFullDoCookies`, `SyncookiesSent`.
    pub syn_drops: Option<u64>,
    /// `TCPMemoryPressures`, and connections ended for want of memory.
    pub tcp_memory_pressures: Option<u64>,
    /// TCP's pages of memory, as a part of where pressure begins.
    pub tcp_memory: Option<f64>,
    /// The server's descriptors, as a part of its limit.
    pub descriptors: Option<f64>,
    /// The server's memory, or its control group's, as a part of what it may have.
    pub memory: Option<f64>,
    /// Times that the server's control group met its limit, or a process of it was ended for that.
    pub memory_events: Option<u64>,
    /// Packets that softnet dropped.
    pub softnet_drops: Option<u64>,
    /// Segments that were sent again, and retransmission timers.
    pub retransmits: Option<u64>,
    /// Connections tracked, as a part of their maximum.
    pub conntrack: Option<f64>,
    /// Periods in which the server's control group was throttled.
    pub throttled: Option<u64>,
    /// The part of the CPUs' time that the host's hypervisor took.
    pub steal: Option<f64>,
    /// The part of all CPUs' time that neither the server nor the generator used.
    pub foreign: Option<f64>,
    /// The server's CPU time, as a part of what its cores have; or of its busiest thread, if more.
    pub server_busy: Option<f64>,
}

/// What stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// This program.
    Generator,
    /// The client's ports.
    Ports,
    /// Descriptors of either end.
    Descriptors,
    /// The server's memory.
    Memory,
    /// The host, or the control group's quota.
    Host,
    /// The server's CPUs.
    Cpu,
    /// Other programs of the host.
    Others,
    /// The accept loop or its backlog.
    AcceptQueue,
    /// The queue of handshakes.
    SynQueue,
    /// Connection tracking.
    Conntrack,
    /// The kernel's memory for TCP.
    KernelMemory,
    /// A CPU did not keep up with packets.
    Softirq,
    /// Packets were lost.
    Network,
}

/// One cause with what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BottleneckCause {
    /// The cause.
    pub bottleneck: Bottleneck,
    /// What was seen: a count, or a share from 0 to 1.
    pub seen: Seen,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// So many.
    Count(u64),
    /// Such a part.
    Share(f64),
}

/// A share from which on something is as good as full.
const FULL: f64 = 0.95;
/// CPUs of a server that are as busy as that do nothing else: what is missing, the host's other
/// programs take, and a queue grows before all is used.
const BUSY: f64 = 0.85;
/// More of the CPUs' time that is taken away is not noise.
const STOLEN: f64 = 0.05;
/// More of it that others use leaves no core free of them.
const TAKEN: f64 = 0.3;
/// A few segments are sent again on every network.
const RESENT_MIN: u64 = 100;

/// The causes that the evidence speaks for, the nearest one first: what was refused outright, then
/// what was full, then what others used and what was lost, which often only follows.
#[must_use]
pub fn causes(evidence: &Evidence) -> Vec<BottleneckCause> {
    let it = evidence;
    let count = |n: Option<u64>, least: u64| n.filter(|n| *n >= least).map(Seen::Count);
    let share = |n: Option<f64>, least: f64| n.filter(|n| *n >= least).map(Seen::Share);
    let late = u64::from(it.is_generator_late);
    let found = [
        // Why a plan was not applied comes before that it was not.
        (Bottleneck::Ports, count(Some(it.no_ports), 1)),
        (Bottleneck::Descriptors, count(Some(it.no_descriptors), 1)),
        (Bottleneck::Generator, count(Some(late), 1)),
        (Bottleneck::Descriptors, share(it.descriptors, FULL)),
        (Bottleneck::Memory, count(it.memory_events, 1)),
        (Bottleneck::Memory, share(it.memory, FULL)),
        (Bottleneck::Host, count(it.throttled, 1)),
        (Bottleneck::Host, share(it.steal, STOLEN)),
        (Bottleneck::Cpu, share(it.server_busy, BUSY)),
        (Bottleneck::AcceptQueue, count(it.accept_drops, 1)),
        (Bottleneck::AcceptQueue, share(it.accept_queue, FULL)),
        (Bottleneck::SynQueue, count(it.syn_drops, 1)),
        (Bottleneck::Conntrack, share(it.conntrack, FULL)),
        (Bottleneck::KernelMemory, count(it.tcp_memory_pressures, 1)),
        (Bottleneck::KernelMemory, share(it.tcp_memory, FULL)),
        (Bottleneck::Softirq, count(it.softnet_drops, 1)),
        (Bottleneck::Others, share(it.foreign, TAKEN)),
        (Bottleneck::Network, count(it.retransmits, RESENT_MIN)),
    ];
    let seen = found.into_iter().filter_map(|(bottleneck, seen)| {
        Some(BottleneckCause {
            bottleneck,
            seen: seen?,
        })
    });
    seen.collect()
}

impl Bottleneck {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Generator => "give the load client more --load-cores, or another host",
            Self::Ports => "more source addresses: --source-ip auto, or another host",
            Self::Descriptors => "raise the limit: ulimit -n, LimitNOFILE=, fs.file-max",
            Self::Memory => "more memory, or less a connection: buffers, compression, state",
            Self::Host => "a larger quota (cpu.max), or a host that is not shared",
            Self::Cpu => "more cores for the server, or less work for each message",
            Self::Others => "end what else runs on this host, or measure when it does not",
            Self::AcceptQueue => "a longer backlog (net.core.somaxconn and listen), faster accepts",
            Self::SynQueue => "net.ipv4.tcp_max_syn_backlog, and a longer backlog",
            Self::Conntrack => "net.netfilter.nf_conntrack_max, or no tracking of this port",
            Self::KernelMemory => "net.ipv4.tcp_mem, or smaller net.ipv4.tcp_rmem and tcp_wmem",
            Self::Softirq => "net.core.netdev_max_backlog, RPS or more queues of the network card",
            Self::Network => "look at the network between the two: it lost packets",
        }
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generator => "the generator",
            Self::Ports => "the client's ports",
            Self::Descriptors => "descriptors",
            Self::Memory => "the server's memory",
            Self::Host => "the host or its quota",
            Self::Cpu => "the server's CPU",
            Self::Others => "other programs of the host",
            Self::AcceptQueue => "the accept queue",
            Self::SynQueue => "the SYN queue",
            Self::Conntrack => "connection tracking",
            Self::KernelMemory => "the kernel's memory for TCP",
            Self::Softirq => "softirqs",
            Self::Network => "the network",
        })
    }
}

impl fmt::Display for BottleneckCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.bottleneck {
            Bottleneck::Generator => return f.write_str("the plan was not applied in time"),
            Bottleneck::Ports => "connects without a free port",
            Bottleneck::Descriptors => "of the descriptors in use",
            Bottleneck::Memory => "of the memory in use",
            Bottleneck::Host => "of the CPU time taken away",
            Bottleneck::Cpu => "of what its cores, or its busiest thread, can",
            Bottleneck::Others => "of all CPU time used by others",
            Bottleneck::AcceptQueue => "of the accept queue's limit",
            Bottleneck::SynQueue => "handshakes dropped or answered with cookies",
            Bottleneck::Conntrack => "of the connections that can be tracked",
            Bottleneck::KernelMemory => "of the memory that TCP gets without pressure",
            Bottleneck::Softirq => "packets dropped by softnet",
            Bottleneck::Network => "segments sent again",
        };
        let counted = match self.bottleneck {
            Bottleneck::Descriptors => "connects without a descriptor",
            Bottleneck::Memory => "events of memory that ran short",
            Bottleneck::Host => "periods in which the quota was used up",
            Bottleneck::AcceptQueue => "connections that found the accept queue full",
            Bottleneck::KernelMemory => "times that TCP ran short of memory",
            Bottleneck::Generator
            | Bottleneck::Ports
            | Bottleneck::Cpu
            | Bottleneck::Others
            | Bottleneck::SynQueue
            | Bottleneck::Conntrack
            | Bottleneck::Softirq
            | Bottleneck::Network => what,
        };
        match self.seen {
            Seen::Count(n) => write!(f, "{n} {counted}"),
            Seen::Share(part) => write!(f, "{:.0} % {what}", part * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host on which nothing runs short, with the noise that there always is.
    fn quiet(rng: &mut fastrand::Rng) -> Evidence {
        let mut share = |most: f64| Some(rng.f64() * most);
        Evidence {
            accept_queue: share(0.6),
            tcp_memory: share(0.5),
            descriptors: share(0.7),
            memory: share(0.8),
            conntrack: share(0.5),
            steal: share(0.03),
            server_busy: share(0.8),
            foreign: share(0.2),
            accept_drops: Some(0),
            syn_drops: Some(0),
            tcp_memory_pressures: Some(0),
            memory_events: Some(0),
            softnet_drops: Some(0),
            retransmits: Some(rng.u64(0..80)),
            throttled: Some(0),
            ..Evidence::default()
        }
    }

    /// What each of six causes does to a host, with what follows from it.
    fn planted(rng: &mut fastrand::Rng, which: usize) -> (Bottleneck, Evidence) {
        let it = quiet(rng);
        let some = Some(rng.u64(1..5_000));
        match which {
            0 => {
                let retransmits = some.map(|n| n * 2);
                let accept_drops = some;
                let accept_queue = Some(1.0);
                let seen = Evidence {
                    accept_drops,
                    accept_queue,
                    retransmits,
                    ..it
                };
                (Bottleneck::AcceptQueue, seen)
            }
            1 => {
                // A server without CPU accepts late, too.
                let server_busy = Some(0.95 + 0.06 * rng.f64());
                let accept_drops = Some(rng.u64(0..50));
                (
                    Bottleneck::Cpu,
                    Evidence {
                        server_busy,
                        accept_drops,
                        ..it
                    },
                )
            }
            2 => {
                let descriptors = Some(0.97 + 0.03 * rng.f64());
                let accept_queue = Some(rng.f64());
                (
                    Bottleneck::Descriptors,
                    Evidence {
                        descriptors,
                        accept_queue,
                        ..it
                    },
                )
            }
            3 => (
                Bottleneck::Ports,
                Evidence {
                    no_ports: rng.u64(1..9_000),
                    ..it
                },
            ),
            4 => {
                let memory = Some(0.96 + 0.04 * rng.f64());
                let memory_events = Some(rng.u64(0..9));
                (
                    Bottleneck::Memory,
                    Evidence {
                        memory,
                        memory_events,
                        ..it
                    },
                )
            }
            _ => {
                let server_busy = Some(rng.f64());
                (
                    Bottleneck::Generator,
                    Evidence {
                        is_generator_late: true,
                        server_busy,
                        ..it
                    },
                )
            }
        }
    }

    #[test]
    fn six_causes_are_named_in_nineteen_of_twenty_noisy_hosts() {
        let mut rng = fastrand::Rng::with_seed(13);
        let named = (0..1_000).filter(|n| {
            let (planted, evidence) = planted(&mut rng, n % 6);
            causes(&evidence).first().map(|cause| cause.bottleneck) == Some(planted)
        });
        let named = named.count();
        assert!(named >= 950, "{named} of 1,000");
    }

    #[test]
    fn a_quiet_host_has_no_cause() {
        let mut rng = fastrand::Rng::with_seed(17);
        assert!((0..1_000).all(|_| causes(&quiet(&mut rng)).is_empty()));
        assert!(causes(&Evidence::default()).is_empty());
    }

    #[test]
    fn a_cause_says_what_was_seen() {
        let seen = |evidence: Evidence| causes(&evidence)[0].to_string();
        let full = Evidence {
            descriptors: Some(0.998),
            ..Evidence::default()
        };
        assert_eq!(seen(full), "100 % of the descriptors in use");
        let dropped = Evidence {
            accept_drops: Some(12),
            ..Evidence::default()
        };
        assert_eq!(
            seen(dropped),
            "12 connections that found the accept queue full"
        );
    }
}
