//! Why a proxy gave no tunnel: a small closed set that can be counted. `Display` gives the word
//! that outputs use.

use std::fmt;

/// What came instead of a tunnel to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyFault {
    /// Nobody listens at the proxy's address.
    Refused,
    /// There is no route to the proxy.
    Unreachable,
    /// The proxy does not acknowledge.
    TimedOut,
    /// The proxy reset the connection before there was a tunnel.
    Reset,
    /// The proxy ended the connection before there was a tunnel.
    Ended,
    /// What came is not what such a proxy says.
    Malformed,
    /// The proxy answered CONNECT with another status than 2xx (RFC 9110, 9.3.6).
    Status(u16),
    /// The proxy takes none of the offered ways to authenticate (RFC 1928, 3).
    NoMethod,
    /// The proxy takes neither user nor password (RFC 1929, 2).
    Login,
    /// The reply of a SOCKS5 proxy to a connect that failed (RFC 1928, 6).
    Reply(u8),
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Reset => "reset",
            Self::Ended => "ended",
            Self::Malformed => "malformed",
            Self::Status(status) => return write!(f, "http_{status}"),
            Self::NoMethod => "socks_no_method",
            Self::Login => "socks_login",
            Self::Reply(code) => return reply(*code, f),
        })
    }
}

/// RFC 1928, 6: the names of replies.
fn reply(code: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match code {
        1 => "socks_general_failure",
        2 => "socks_not_allowed",
        3 => "socks_network_unreachable",
        4 => "socks_host_unreachable",
        5 => "socks_connection_refused",
        6 => "socks_ttl_expired",
        7 => "socks_command_not_supported",
        8 => "socks_address_type_not_supported",
        other => return write!(f, "socks_{other}"),
    })
}
