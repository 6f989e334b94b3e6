//! Limits of `serve`: who is let in, how fast it may speak, for how long it may stay.

use super::{Failure, values};
use crate::door::{AddressBlock, DoorLimits, DoorRate};
use crate::load::Rate;
use clap::Args;
use std::time::Duration;

/// Flags of limits. None costs anything where it is not set.
#[derive(Args, Debug)]
pub(super) struct LimitFlags {
    /// Most connections of one address, over all cores: an IPv4 address, or an IPv6 one without its
    /// last 64 bits. More get 429. Loopback is not counted.
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    max_connections_per_address: Option<u32>,
    /// Most connections of the holder of a token (`sub`), or of whom --backend names so, over all
    /// cores. More are closed with 1008.
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    max_connections_per_token: Option<u32>,
    /// Most WebSocket messages a second of all connections that such a holder has on one core, and
    /// so many at once. Who sends more is closed with 1008.
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    token_message_rate: Option<Rate>,
    /// Proxies: an address or a network, such as 10.0.0.0/8. Their connections count for whom they
    /// say to speak for in Forwarded or X-Forwarded-For. May be given several times.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    #[arg(requires = "max_connections_per_address")]
    trusted_proxy: Vec<AddressBlock>,
    /// Proxies whose connections begin with a header of the PROXY protocol, version 1 or 2: an
    /// address or a network. They count for whom it names. May be given several times.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub(super) proxy_protocol: Vec<AddressBlock>,
    /// Counts the addresses of loopback as well.
    #[arg(long, requires = "max_connections_per_address")]
    count_loopback: bool,
    /// Most newcomers of one core a second, and so many at once. More get 503.
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    connect_rate: Option<Rate>,
    /// Most WebSocket messages of one connection a second, and so many at once. More is closed with
    /// 1008.
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    message_rate: Option<Rate>,
    /// Most bytes of one connection a second, and so many at once. More is closed with 1008.
    #[arg(long, value_name = "BYTES", value_parser = values::size)]
    byte_rate: Option<usize>,
    /// Time for the head of a request, and for what is posted.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub(super) header_timeout: Duration,
    /// Closes a WebSocket with 1008 whose first message has not come in that time.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    first_message_timeout: Option<Duration>,
    /// Ends WebSockets (1001) and event streams after that time, each up to a tenth earlier or
    /// later.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    max_lifetime: Option<Duration>,
}

impl LimitFlags {
    /// The first of these flags that was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        let asked = [
            (
                "--max-connections-per-address",
                self.max_connections_per_address.is_some(),
            ),
            (
                "--max-connections-per-token",
                self.max_connections_per_token.is_some(),
            ),
            ("--token-message-rate", self.token_message_rate.is_some()),
            ("--proxy-protocol", !self.proxy_protocol.is_empty()),
            ("--connect-rate", self.connect_rate.is_some()),
            ("--message-rate", self.message_rate.is_some()),
            ("--byte-rate", self.byte_rate.is_some()),
            (
                "--header-timeout",
                self.header_timeout != crate::limits::HEAD_TIME,
            ),
            (
                "--first-message-timeout",
                self.first_message_timeout.is_some(),
            ),
            ("--max-lifetime", self.max_lifetime.is_some()),
        ];
        let mut given = asked.into_iter().filter(|(_, asked)| *asked);
        given.next().map(|(flag, _)| flag)
    }

    /// What they mean.
    pub(super) fn limits(&self) -> Result<DoorLimits, Failure> {
        let times = [
            ("--header-timeout", Some(self.header_timeout)),
            ("--first-message-timeout", self.first_message_timeout),
            ("--max-lifetime", self.max_lifetime),
        ];
        let mut none = times
            .iter()
            .filter(|(_, time)| *time == Some(Duration::ZERO));
        if let Some((flag, _)) = none.next() {
            let text = "no time is too short for everyone; try: 10s, or leave it out";
            return Err(Failure::Usage(format!("{flag}: {text}")));
        }
        let rate = |rate: Option<Rate>| {
            rate.and_then(|rate| DoorRate::per_second_milli(rate.milli_per_second()))
        };
        Ok(DoorLimits {
            per_address: self.max_connections_per_address,
            per_token: self.max_connections_per_token,
            token_messages: rate(self.token_message_rate),
            trusted: self.trusted_proxy.clone(),
            counts_loopback: self.count_loopback,
            connects: rate(self.connect_rate),
            messages: rate(self.message_rate),
            bytes: self
                .byte_rate
                .and_then(|bytes| DoorRate::per_second(bytes as u64)),
            first_message: self.first_message_timeout,
            lifetime: self.max_lifetime,
        })
    }
}
