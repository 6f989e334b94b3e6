//! What went wrong with a connection, by stage and kind: a small closed set that can be counted.
//!
//! Bounded by construction: a peer chooses at most a status, a close code or an errno.

use crate::protocol::Fault;
use crate::shard::{CloseCause, ProxyFault, TlsFault};
use std::collections::BTreeMap;
use std::fmt;

/// How far the connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before TCP was up.
    Connect,
    /// Before the 101, or the response head of an event stream.
    Upgrade,
    /// Before the application's own handshake was done, if its scenario has one.
    Ready,
    /// After it.
    Open,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The name of the host was not found.
    Dns,
    /// Nobody listens there.
    Refused,
    /// The connect time ran out, or the peer stopped acknowledging.
    TimedOut,
    /// The peer reset the connection.
    Reset,
    /// The peer ended its stream without a word: no close frame, no last chunk.
    Ended,
    /// The stream ended in good order, which for an event stream is still an end.
    StreamEnded,
    /// No route.
    Unreachable,
    /// No free source port: more source addresses (`--source`) help.
    NoSourcePort,
    /// No descriptor left: a higher `ulimit -n` helps.
    NoDescriptor,
    /// The engine's table on this core is full.
    NoSlot,
    /// Any other error of the kernel, by errno.
    Os(i32),
    /// Another HTTP status than the one that was needed.
    HttpStatus(u16),
    /// A response that is malformed, or a 101 that does not verify: why.
    BadResponse(&'static str),
    /// A 200 that is not `text/event-stream`.
    NotEventStream,
    /// The peer broke the WebSocket protocol; the code it was closed with (1002, 1007).
    Protocol(u16),
    /// A message or event beyond this client's own limit (`--max-message`, `--max-fragments`).
    TooLarge,
    /// The peer broke the event stream or its chunked framing.
    BadStream,
    /// The peer closed with this code; RFC 6455, 7.1.5 has 1005 for a frame without one.
    CloseCode(u16),
    /// TLS: the handshake failed or a record was broken; the peer's alert, or what was wrong.
    Tls(TlsFault),
    /// The proxy gave no tunnel to the server: why.
    Proxy(ProxyFault),
    /// A ping was not answered before the next one was due.
    NoPong,
    /// What the scenario found wrong, by the name that it gave that.
    Application(&'static str),
}

impl Kind {
    /// Why a response cannot be used.
    pub(in crate::load) fn of_response(fault: Fault) -> Self {
        match fault {
            Fault::Http { reason, .. }
            | Fault::WebSocket { reason, .. }
            | Fault::Response { reason } => Self::BadResponse(reason),
        }
    }

    /// The family it is counted in.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Dns => Family::Dns,
            Self::Refused => Family::Refused,
            Self::TimedOut | Self::NoPong => Family::TimedOut,
            Self::Reset => Family::Reset,
            Self::Ended | Self::StreamEnded => Family::Ended,
            Self::Unreachable => Family::Unreachable,
            Self::NoSourcePort => Family::PortExhausted,
            Self::NoDescriptor | Self::NoSlot | Self::TooLarge => Family::Limit,
            Self::Os(_) => Family::Os,
            Self::HttpStatus(_) | Self::BadResponse(_) | Self::NotEventStream => Family::Http,
            Self::Protocol(_) | Self::BadStream => Family::Protocol,
            Self::CloseCode(_) => Family::CloseCode,
            Self::Tls(_) => Family::Tls,
            Self::Proxy(_) => Family::Proxy,
            Self::Application(_) => Family::Application,
        }
    }

    /// The kind of a connection that the engine says is over, and that was not closed from here.
    #[must_use]
    pub fn of(cause: CloseCause) -> Self {
        match cause {
            CloseCause::Local | CloseCause::PeerEnded | CloseCause::CutOff => Self::Ended,
            CloseCause::Reset => Self::Reset,
            CloseCause::TimedOut => Self::TimedOut,
            CloseCause::Refused => Self::Refused,
            CloseCause::Unreachable => Self::Unreachable,
            CloseCause::NoSourcePort => Self::NoSourcePort,
            CloseCause::NoDescriptor => Self::NoDescriptor,
            CloseCause::Os(errno) => Self::Os(errno),
            CloseCause::Insecure(fault) => Self::Tls(fault),
            CloseCause::Proxy(fault) => Self::Proxy(fault),
        }
    }
}

/// What kinds are alike, for those who count: a closed set with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The name of the host was not found.
    Dns,
    /// Nobody listens there.
    Refused,
    /// Time ran out.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// The stream ended.
    Ended,
    /// No route.
    Unreachable,
    /// No free source port.
    PortExhausted,
    /// Another bound of this host or client: descriptors, slots, the size of a message.
    Limit,
    /// TLS did not come up, or broke.
    Tls,
    /// There was no way through the proxy.
    Proxy,
    /// Another HTTP status, or a response that is none.
    Http,
    /// A close frame of the peer.
    CloseCode,
    /// The peer broke a protocol.
    Protocol,
    /// What the scenario found wrong.
    Application,
    /// Any other error of the kernel.
    Os,
}

impl Family {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Self::Dns,
        Self::Refused,
        Self::TimedOut,
        Self::Reset,
        Self::Ended,
        Self::Unreachable,
        Self::PortExhausted,
        Self::Limit,
        Self::Tls,
        Self::Proxy,
        Self::Http,
        Self::CloseCode,
        Self::Protocol,
        Self::Application,
        Self::Os,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Reset => "reset",
            Self::Ended => "ended",
            Self::Unreachable => "unreachable",
            Self::PortExhausted => "port_exhausted",
            Self::Limit => "limit",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Http => "http",
            Self::CloseCode => "close_code",
            Self::Protocol => "protocol",
            Self::Application => "application",
            Self::Os => "os",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Upgrade => "upgrade",
            Self::Ready => "ready",
            Self::Open => "open",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("dns"),
            Self::Refused => f.write_str("refused"),
            Self::TimedOut => f.write_str("timed_out"),
            Self::Reset => f.write_str("reset"),
            Self::Ended => f.write_str("ended"),
            Self::StreamEnded => f.write_str("stream_ended"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::NoSourcePort => f.write_str("no_source_port"),
            Self::NoDescriptor => f.write_str("no_descriptor"),
            Self::NoSlot => f.write_str("no_slot"),
            Self::Os(errno) => write!(f, "errno_{errno}"),
            Self::HttpStatus(status) => write!(f, "http_{status}"),
            Self::BadResponse(reason) => write!(f, "bad_response: {reason}"),
            Self::NotEventStream => f.write_str("not_event_stream"),
            Self::Protocol(code) => write!(f, "protocol_{code}"),
            Self::BadStream => f.write_str("bad_stream"),
            Self::TooLarge => f.write_str("too_large"),
            Self::CloseCode(code) => write!(f, "close_{code}"),
            Self::NoPong => f.write_str("no_pong"),
            Self::Application(name) => f.write_str(name),
            Self::Tls(fault) => write!(f, "tls_{fault}"),
            Self::Proxy(fault) => write!(f, "proxy_{fault}"),
        }
    }
}

/// Statuses whose words are kept.
const REFUSALS_MAX: usize = 8;

/// How often what went wrong, in the order of stage and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    counts: BTreeMap<(Stage, Kind), u64>,
    /// What servers said with a refusal, the first of each status.
    said: BTreeMap<u16, String>,
}

impl Failures {
    /// Counts one.
    pub fn count(&mut self, stage: Stage, kind: Kind) {
        *self.counts.entry((stage, kind)).or_insert(0) += 1;
    }

    /// Adds another core's.
    pub fn merge(&mut self, other: &Self) {
        for (key, n) in &other.counts {
            *self.counts.entry(*key).or_insert(0) += n;
        }
        for (status, said) in &other.said {
            self.refused(*status, || Some(said.clone()));
        }
    }

    /// Notes what came with a refusal, if it is the first of its status: a few short ones are kept.
    pub(in crate::load) fn refused(&mut self, status: u16, said: impl FnOnce() -> Option<String>) {
        if self.said.len() < REFUSALS_MAX && !self.said.contains_key(&status) {
            self.said.insert(status, said().unwrap_or_default());
        }
    }

    /// What a server said when it refused with that status, if it said anything.
    #[must_use]
    pub fn said(&self, kind: Kind) -> Option<&str> {
        let Kind::HttpStatus(status) = kind else {
            return None;
        };
        let said = self.said.get(&status).map(String::as_str);
        said.filter(|said| !said.is_empty())
    }

    /// How often that happened.
    #[must_use]
    pub fn of(&self, stage: Stage, kind: Kind) -> u64 {
        self.counts.get(&(stage, kind)).copied().unwrap_or(0)
    }

    /// Everything together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Each stage and kind with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Kind, u64)> {
        self.counts
            .iter()
            .map(|(&(stage, kind), &n)| (stage, kind, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_and_keeps_the_order() {
        let mut a = Failures::default();
        let mut b = Failures::default();
        a.count(Stage::Open, Kind::CloseCode(1001));
        b.count(Stage::Connect, Kind::Refused);
        b.count(Stage::Open, Kind::CloseCode(1001));
        a.merge(&b);
        let names: Vec<String> = a
            .iter()
            .map(|(stage, kind, n)| format!("{stage}.{kind}={n}"))
            .collect();
        assert_eq!(names, ["connect.refused=1", "open.close_1001=2"]);
        assert_eq!(a.total(), 3);
        assert_eq!(a.of(Stage::Open, Kind::Reset), 0);
    }
}
