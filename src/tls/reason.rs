//! Why TLS failed, from what rustls and the record layer say, and what the peer is told.

use super::record::Bad;
use crate::shard::Flaw;
use rustls::{AlertDescription, CertificateError, Error};

/// What rustls found.
pub(super) fn of_error(error: &Error) -> Flaw {
    match error {
        Error::AlertReceived(alert) => Flaw::Alert(u8::from(*alert)),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => Flaw::BadMessage,
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            Flaw::UnexpectedMessage
        }
        Error::PeerIncompatible(_) => Flaw::Incompatible,
        Error::PeerMisbehaved(_) => Flaw::Misbehaved,
        Error::NoCertificatesPresented => Flaw::NoClientCertificate,
        Error::NoApplicationProtocol => Flaw::NoApplicationProtocol,
        Error::DecryptError => Flaw::BadRecord,
        Error::PeerSentOversizedRecord => Flaw::OversizedRecord,
        // A foreign enum.
        _ => Flaw::Other,
    }
}

fn of_certificate(error: &CertificateError) -> Flaw {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Flaw::CertificateExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Flaw::CertificateNotYetValid
        }
        CertificateError::UnknownIssuer => Flaw::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Flaw::WrongName
        }
        CertificateError::Revoked => Flaw::CertificateRevoked,
        // A foreign enum.
        _ => Flaw::BadCertificate,
    }
}

/// What is wrong with a record.
pub(super) const fn of_record(bad: Bad) -> Flaw {
    match bad {
        Bad::Unexpected => Flaw::UnexpectedMessage,
        Bad::Oversized => Flaw::OversizedRecord,
        Bad::Mac => Flaw::BadRecord,
        Bad::KeyWorn => Flaw::KeyWorn,
        Bad::Illegal | Bad::Excess => Flaw::Misbehaved,
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
