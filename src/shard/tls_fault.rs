//! Why a connection is not secure: a small closed set that can be counted. `Display` gives the
//! word that outputs use.

use std::fmt;

/// What was wrong with how a connection was secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsFault {
    /// The peer sent an alert: its number (RFC 8446, 6.2).
    Alert(u8),
    /// What came is another protocol.
    NotTls,
    /// The peer ended its stream within the handshake.
    Ended,
    /// The peer reset the connection within the handshake.
    Reset,
    /// The handshake took too long.
    HandshakeTime,
    /// The handshake had to make room: more are under way than there may be.
    Overload,
    /// The handshake was longer than one may be.
    OversizedHandshake,
    /// No version, cipher or key exchange that both sides know.
    Incompatible,
    /// The peer broke the rules of the handshake.
    Misbehaved,
    /// A message that cannot be read.
    BadMessage,
    /// A message that does not belong there.
    UnexpectedMessage,
    /// A record longer than one may be.
    OversizedRecord,
    /// A record that does not decrypt.
    BadRecord,
    /// The key has been used as often as is safe, and this version cannot replace it.
    KeyWorn,
    /// Nobody who is trusted signed the peer's certificate.
    UnknownIssuer,
    /// The certificate is for another name.
    WrongName,
    /// The certificate is no longer valid.
    CertificateExpired,
    /// The certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificate was revoked.
    CertificateRevoked,
    /// The certificate is malformed, or not for this use.
    BadCertificate,
    /// The certificate is that of an authority, and no server may show it (RFC 5280, 4.2.1.9).
    CaCertificate,
    /// The client showed no certificate, and one is required.
    NoClientCertificate,
    /// The sides have no application protocol in common.
    NoApplicationProtocol,
    /// Nobody said what the server at this address is called.
    NoName,
    /// The peer reads nothing, not even the handshake.
    Backlog,
    /// Anything else.
    Other,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alert(number) => return alert(*number, f),
            Self::NotTls => "not_tls",
            Self::Ended => "ended",
            Self::Reset => "reset",
            Self::HandshakeTime => "handshake_time",
            Self::Overload => "overload",
            Self::OversizedHandshake => "oversized_handshake",
            Self::Incompatible => "incompatible",
            Self::Misbehaved => "misbehaved",
            Self::BadMessage => "bad_message",
            Self::UnexpectedMessage => "unexpected_message",
            Self::OversizedRecord => "oversized_record",
            Self::BadRecord => "bad_record",
            Self::KeyWorn => "key_worn",
            Self::UnknownIssuer => "unknown_issuer",
            Self::WrongName => "wrong_name",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificateRevoked => "certificate_revoked",
            Self::BadCertificate => "bad_certificate",
            Self::CaCertificate => "ca_certificate",
            Self::NoClientCertificate => "no_client_certificate",
            Self::NoApplicationProtocol => "no_application_protocol",
            Self::NoName => "no_name",
            Self::Backlog => "backlog",
            Self::Other => "other",
        })
    }
}

/// The names of RFC 8446, B.2.
fn alert(number: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = match number {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return write!(f, "alert_{number}"),
    };
    write!(f, "alert_{name}")
}
