//! Why a configuration cannot be run.

use std::net::IpAddr;
use std::time::Duration;

/// A configuration that cannot be run. Each message says what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nowhere to connect.
    #[error("there is no address to connect to")]
    NoTarget,
    /// SSE is one way.
    #[error("an event stream cannot echo; use the scenario listen or idle, or a ws:// URL")]
    EchoOverSse,
    /// The payload has no room for its sequence number.
    #[error("a payload of {0} bytes has no room for its sequence number; use at least 8")]
    SmallPayload(usize),
    /// The payload is beyond what one message may be.
    #[error("a payload of {0} bytes is beyond the message cap of {1} bytes")]
    LargePayload(usize, usize),
    /// Nothing to do.
    #[error("there is nothing to do with {0} 0; use at least 1")]
    Zero(&'static str),
    /// Everything would be late.
    #[error("with a tick of {0:?} every message is late by up to that; use at most 100ms")]
    LongTick(Duration),
    /// A range that ends before it begins.
    #[error("a think time from {0:?} to {1:?} is no range; write the shorter one first")]
    BackwardThink(Duration, Duration),
    /// Sessions arrive by a pace.
    #[error("sessions need a pace of arrivals; add --connect-rate 100")]
    NoArrivals,
    /// A plan for connections that come and go has no places.
    #[error("a rate per connection needs connections that stay; use --think with sessions")]
    PerConnectionSessions,
    /// A storm that nobody lives to see.
    #[error("a storm at {0:?} is not within the {1:?} that are measured; use an earlier one")]
    LateStorm(Duration, Duration),
    /// SSE has no pings, and neither have polls.
    #[error("only WebSockets have pings, no event stream and no poll; leave --ping out")]
    PingOverSse,
    /// A ping at once after each other.
    #[error("a ping every {0:?} is more than timers can keep; use at least 10ms")]
    HastyPing(Duration),
    /// A source address whose family no target has.
    #[error("no target has the address family of the source address {0}")]
    StraySource(IpAddr),
}
