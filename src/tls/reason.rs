//! Why TLS failed, from what rustls and the record layer say, and what the peer is told.

use super::record::Bad;
use crate::shard::TlsFault;
use rustls::{AlertDescription, CertificateError, Error};

/// What rustls says of an authority's certificate where a server's should be: it has no variant of
/// its own for that.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// What rustls found.
pub(super) fn of_error(error: &Error) -> TlsFault {
    match error {
        // The peer leaves, and finds nothing wrong.
        Error::AlertReceived(AlertDescription::CloseNotify) => TlsFault::Ended,
        Error::AlertReceived(alert) => TlsFault::Alert(u8::from(*alert)),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => TlsFault::BadMessage,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            TlsFault::UnexpectedMessage
        }
        Error::PeerIncompatible(_) => TlsFault::Incompatible,
        Error::PeerMisbehaved(_) => TlsFault::Misbehaved,
        Error::NoCertificatesPresented => TlsFault::NoClientCertificate,
        Error::NoApplicationProtocol => TlsFault::NoApplicationProtocol,
        Error::DecryptError => TlsFault::BadRecord,
        Error::PeerSentOversizedRecord => TlsFault::OversizedRecord,
        // A foreign enum.
        _ => TlsFault::Other,
    }
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TlsFault::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongName
        }
        CertificateError::Revoked => TlsFault::CertificateRevoked,
        CertificateError::Other(error) if error.to_string() == AUTHORITY => TlsFault::CaCertificate,
        // A foreign enum.
        _ => TlsFault::BadCertificate,
    }
}

/// What is wrong with a record.
pub(super) const fn of_record(bad: Bad) -> TlsFault {
    match bad {
        Bad::Unexpected => TlsFault::UnexpectedMessage,
        Bad::Oversized => TlsFault::OversizedRecord,
        Bad::Mac => TlsFault::BadRecord,
        Bad::KeyWorn => TlsFault::KeyWorn,
        Bad::Illegal | Bad::Excess => TlsFault::Misbehaved,
    }
}

/// What the peer is told about it.
pub(super) const fn alert_for(bad: Bad) -> AlertDescription {
    match bad {
        Bad::Unexpected | Bad::Excess => AlertDescription::UnexpectedMessage,
        Bad::Oversized => AlertDescription::RecordOverflow,
        Bad::Mac => AlertDescription::BadRecordMac,
        Bad::KeyWorn => AlertDescription::InternalError,
        Bad::Illegal => AlertDescription::IllegalParameter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{
        ContentType, HandshakeType, InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved,
    };
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn what_rustls_finds_has_its_name() {
        let cases = [
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                TlsFault::Alert(48),
            ),
            (
                Error::AlertReceived(AlertDescription::CloseNotify),
                TlsFault::Ended,
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate),
                TlsFault::BadMessage,
            ),
            (
                Error::InappropriateMessage {
                    expect_types: vec![ContentType::Handshake],
                    got_type: ContentType::Alert,
                },
                TlsFault::UnexpectedMessage,
            ),
            (
                Error::InappropriateHandshakeMessage {
                    expect_types: vec![HandshakeType::ClientHello],
                    got_type: HandshakeType::Finished,
                },
                TlsFault::UnexpectedMessage,
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                TlsFault::Incompatible,
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests),
                TlsFault::Misbehaved,
            ),
            (
                Error::NoCertificatesPresented,
                TlsFault::NoClientCertificate,
            ),
            (
                Error::NoApplicationProtocol,
                TlsFault::NoApplicationProtocol,
            ),
            (Error::DecryptError, TlsFault::BadRecord),
            (Error::PeerSentOversizedRecord, TlsFault::OversizedRecord),
            (Error::FailedToGetRandomBytes, TlsFault::Other),
        ];
        for (error, name) in cases {
            assert_eq!(of_error(&error), name, "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_has_its_name() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let other = |why: &str| {
            let why: Box<dyn std::error::Error + Send + Sync> = Box::from(why);
            CertificateError::Other(OtherError(Arc::from(why)))
        };
        let cases = [
            (other(AUTHORITY), TlsFault::CaCertificate),
            (other("EmptyEkuExtension"), TlsFault::BadCertificate),
            (CertificateError::Expired, TlsFault::CertificateExpired),
            (
                CertificateError::ExpiredContext {
                    time,
                    not_after: time,
                },
                TlsFault::CertificateExpired,
            ),
            (
                CertificateError::NotValidYet,
                TlsFault::CertificateNotYetValid,
            ),
            (
                CertificateError::NotValidYetContext {
                    time,
                    not_before: time,
                },
                TlsFault::CertificateNotYetValid,
            ),
            (CertificateError::UnknownIssuer, TlsFault::UnknownIssuer),
            (CertificateError::NotValidForName, TlsFault::WrongName),
            (
                CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("peer").unwrap(),
                    presented: Vec::new(),
                },
                TlsFault::WrongName,
            ),
            (CertificateError::Revoked, TlsFault::CertificateRevoked),
            (CertificateError::BadSignature, TlsFault::BadCertificate),
        ];
        for (error, name) in cases {
            assert_eq!(of_error(&Error::InvalidCertificate(error)), name);
        }
    }
}
