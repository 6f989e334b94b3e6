//! Trust in any certificate, for `--insecure`: that the server has the key of what it shows is
//! still proven, where ring can check signatures of such a key.
//!
//! rustls reads the whole certificate for that, and refuses those of version 1, with a broken or
//! an unknown critical extension, and the like. Here nothing is read of it but the key. One that is
//! too short or too long for ring, or of a kind that it does not know, is taken as it is: it would
//! tell nobody apart, where whoever is in between may show a certificate of his own.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime,
    alg_id,
};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, SignatureScheme,
};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bits of the RSA keys whose signatures ring checks.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// Schemes that ring does not know.
const UNCHECKED: [SignatureScheme; 2] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
];

/// Believes every server.
#[derive(Debug)]
pub(super) struct Verifier(WebPkiSupportedAlgorithms);

/// Why no signature can be checked with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum Unverifiable {
    /// It is no certificate.
    #[error("what the server shows is no certificate (X.509): there is no key in it")]
    NoCertificate,
    /// A key of another kind.
    #[error(
        "no signature of the scheme {0} can be checked with the key of the server's certificate"
    )]
    Scheme(Named),
}

/// A scheme as RFC 8446, 4.2.3 numbers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Named(SignatureScheme);

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Verifier {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    fn algorithms(
        &self,
        scheme: SignatureScheme,
    ) -> Result<&'static [&'static dyn SignatureVerificationAlgorithm], Error> {
        if UNCHECKED.contains(&scheme) {
            return Ok(&[]);
        }
        let known = self.0.mapping.iter().find(|(it, _)| *it == scheme);
        // RFC 8446, 4.4.3: one that was offered.
        let known = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        Ok(known.1)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 5246, 7.4.1.4.1: there the scheme says nothing of the curve.
        verify(
            message,
            certificate,
            signed,
            self.algorithms(signed.scheme)?,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = self.algorithms(signed.scheme)?;
        // RFC 8446, 4.2.3: no PKCS #1 there, and the scheme names the curve.
        if is_pkcs1(signed.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let first = algorithms.get(..1).unwrap_or(&[]);
        verify(message, certificate, signed, first)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.supported_schemes();
        schemes.extend(UNCHECKED);
        schemes
    }
}

const fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
    )
}

fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<HandshakeSignatureValid, Error> {
    let key = Key::of(certificate).ok_or_else(|| refused(Unverifiable::NoCertificate))?;
    let is_checked = key.rsa_bits().is_none_or(|bits| RSA_BITS.contains(&bits));
    if !is_checked || UNCHECKED.contains(&signed.scheme) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    let mut fit = algorithms
        .iter()
        .filter(|it| key.is_of(it.public_key_alg_id()))
        .peekable();
    if fit.peek().is_none() {
        return Err(refused(Unverifiable::Scheme(Named(signed.scheme))));
    }
    if fit.any(|it| {
        it.verify_signature(key.bits, message, signed.signature())
            .is_ok()
    }) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

fn refused(why: Unverifiable) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7).
struct Key<'a> {
    /// The algorithm, without its header: as `AlgorithmIdentifier` has it.
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    /// RFC 5280, 4.1.
    fn of(certificate: &'a [u8]) -> Option<Self> {
        const INTEGER: u8 = 0x02;
        const BIT_STRING: u8 = 0x03;
        const SEQUENCE: u8 = 0x30;
        const VERSION: u8 = 0xa0;
        let mut outer = Der(certificate);
        let mut to_be_signed = Der(Der(outer.take(SEQUENCE)?).take(SEQUENCE)?);
        if to_be_signed.0.first() == Some(&VERSION) {
            to_be_signed.take(VERSION)?;
        }
        to_be_signed.take(INTEGER)?;
        // Of the signature, of the issuer, when it is valid, of the subject.
        for _ in 0..4 {
            to_be_signed.take(SEQUENCE)?;
        }
        let mut key = Der(to_be_signed.take(SEQUENCE)?);
        let algorithm = key.take(SEQUENCE)?;
        let [0, bits @ ..] = key.take(BIT_STRING)? else {
            return None;
        };
        Some(Self { algorithm, bits })
    }

    fn is_of(&self, algorithm: AlgorithmIdentifier) -> bool {
        self.algorithm == algorithm.as_ref()
    }

    /// How long the modulus is, if it is a key of RSA (RFC 8017, A.1.1).
    fn rsa_bits(&self) -> Option<usize> {
        if !self.is_of(alg_id::RSA_ENCRYPTION) {
            return None;
        }
        let modulus = Der(Der(self.bits).take(0x30)?).take(0x02)?;
        let first = modulus.iter().position(|&byte| byte != 0)?;
        let modulus = modulus.get(first..)?;
        Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
    }
}

/// What is left of some DER (X.690, 8.1).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value, which has that tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&first, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (len, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            // A certificate of more than 16 MiB does not fit a handshake.
            _ if matches!(short, 0x81..=0x83) => {
                let (bytes, rest) = rest.split_at_checked(usize::from(short & 3))?;
                let fold = |len, byte: &u8| len << 8 | usize::from(*byte);
                (bytes.iter().fold(0, fold), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        (first == tag).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::default_provider;
    use rustls::crypto::ring::sign::any_supported_type;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{ClientHello, ParsedCertificate as EndEntity, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

    /// `openssl req -x509 -newkey rsa:1024 -nodes`, version 1.
    const RSA_1024: &str = include_str!("unverified/rsa-1024-v1.pem");

    #[test]
    fn the_key_is_found_in_any_certificate_and_no_cut_one_is_taken_for_whole() {
        use rustls::pki_types::pem::PemObject;
        let old = CertificateDer::from_pem_slice(RSA_1024.as_bytes()).unwrap();
        assert_eq!(Key::of(&old).unwrap().rsa_bits(), Some(1024));
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let new = made.cert.der();
        let key = Key::of(new).unwrap();
        assert!(key.is_of(alg_id::ECDSA_P256));
        assert_eq!((key.bits.len(), key.rsa_bits()), (65, None));
        for len in 0..new.len() {
            assert!(Key::of(&new[..len]).is_none(), "{len}");
        }
        for at in 0..old.len() {
            let mut changed = old.to_vec();
            changed[at] ^= 0xff;
            // Whatever comes of it.
            let _ = Key::of(&changed).and_then(|key| key.rsa_bits());
        }
    }

    /// A value in DER.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low], content].concat()
    }

    /// The same certificate as it would be in version 1: without version and extensions.
    fn first_version(certificate: &[u8]) -> CertificateDer<'static> {
        let mut outer = Der(Der(certificate).take(0x30).unwrap());
        let mut body = Der(outer.take(0x30).unwrap());
        body.take(0xa0).unwrap();
        let serial = der(0x02, body.take(0x02).unwrap());
        let rest = (0..5).flat_map(|_| der(0x30, body.take(0x30).unwrap()));
        let body = der(0x30, &serial.into_iter().chain(rest).collect::<Vec<_>>());
        der(0x30, &[body, outer.0.to_vec()].concat()).into()
    }

    /// Shows one certificate, whatever its key is.
    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// What a client with `--insecure` says of a server that shows this and signs with that.
    fn handshake(
        shown: CertificateDer<'static>,
        key: &rcgen::KeyPair,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        let provider = Arc::new(default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(
                vec![shown],
                key,
            )))));
        let client = super::super::client(&super::super::Trust::Anybody, None).unwrap();
        let name = ServerName::try_from("any.test").unwrap();
        let mut client = ClientConnection::new(client, name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut &bytes[..]).unwrap();
            server.process_new_packets()?;
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut &bytes[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn any_certificate_is_taken_whose_key_the_server_proves_to_have() {
        let key = rcgen::KeyPair::generate().unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let made = made.self_signed(&key).unwrap().der().clone();
        let bad = Error::InvalidCertificate(CertificateError::BadSignature);
        for version in [&TLS12, &TLS13] {
            for shown in [made.clone(), first_version(&made)] {
                assert_eq!(handshake(shown.clone(), &key, version), Ok(()));
                assert_eq!(handshake(shown, &other, version), Err(bad.clone()));
            }
            let none = CertificateDer::from(vec![0x30, 0]);
            let Err(Error::InvalidCertificate(CertificateError::Other(error))) =
                handshake(none, &key, version)
            else {
                panic!("taken");
            };
            let text = super::super::explained(&error);
            assert!(text.contains("no certificate (X.509)"), "{text}");
        }
        // What is checked otherwise is: the rest of rustls takes no certificate of version 1.
        assert!(EndEntity::try_from(&first_version(&made)).is_err());
        assert!(EndEntity::try_from(&made).is_ok());
    }

    #[test]
    fn why_a_certificate_will_not_do_is_said_without_the_flag_that_was_given() {
        let text = Unverifiable::Scheme(Named(SignatureScheme::ED448)).to_string();
        assert!(text.contains("ED448"), "{text}");
    }
}
