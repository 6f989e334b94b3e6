//! Who comes to an app: the request that brings somebody, what for, and whether it may be.

/// A request that brings somebody to an app, or asks it something.
#[derive(Clone, Copy)]
pub struct Arrival<'r> {
    /// The path, byte for byte.
    pub path: &'r str,
    /// What follows the `?`; empty if nothing does.
    pub query: &'r str,
    /// The value of a header field, if it is there once.
    pub header: &'r dyn Fn(&str) -> Option<&'r str>,
    /// What it comes for.
    pub purpose: ArrivalPurpose,
    /// Whom it counts for, where that is bounded and a connection does not count for it.
    pub share: Option<AddressShare>,
}

/// How many clients of one address there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressShare {
    /// Tells it from others: an IPv4 address, or an IPv6 one without its last 64 bits.
    pub address: u64,
    /// So many, on each core.
    pub most: u32,
}

/// What somebody comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalPurpose {
    /// To stay, with a WebSocket or an event stream.
    Stay,
    /// To be answered once.
    Call,
}

/// That somebody may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admittance {
    /// What `ApiCall::permit` is, for who calls.
    pub permit: u32,
    /// What a browser is told to keep: the value of `Set-Cookie` (RFC 6265, 4.1).
    pub cookie: Option<Box<str>>,
}

/// Why somebody may not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, in a few words.
    pub reason: &'static str,
}
