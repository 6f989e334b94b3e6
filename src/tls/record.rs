//! Records: sealed and opened in place with the keys that a handshake has agreed on.
//!
//! rustls makes the keys; its own record layer copies every record into memory of its own, twice.
//! Here a record is opened where it was received, and sealed where it was gathered, so a message
//! costs two calls to the cipher and no allocation (RFC 8446, 5; RFC 5246, 6.2.3.3; RFC 5288;
//! RFC 7905).

use crate::limits;
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use std::ops::Range;

/// Type, version, length.
pub(super) const HEADER_BYTES: usize = 5;
/// What GCM carries of its nonce in TLS 1.2.
const EXPLICIT_BYTES: usize = 8;
/// The tag of every cipher here.
const TAG_BYTES: usize = 16;
/// The version that every record says it is of (RFC 8446, 5.1).
const LEGACY_VERSION: [u8; 2] = [3, 3];

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    ChangeCipherSpec,
    Alert,
    Handshake,
    Data,
}

impl Content {
    pub(super) const fn of(byte: u8) -> Option<Self> {
        match byte {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::Data),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::Data => 23,
        }
    }
}

/// What is wrong with a record: the peer is told, and the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Not a record at all, or one that does not belong here.
    Unexpected,
    /// Longer than a record may be.
    Oversized,
    /// It does not decrypt.
    Mac,
    /// More of them than one key is good for, and there is no other.
    KeyWorn,
    /// A value that the protocol does not know.
    Illegal,
    /// One more of what a peer may send only so often.
    Excess,
}

/// How a cipher is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// TLS 1.3: the type travels inside, the nonce not at all.
    Modern,
    /// AES-GCM in TLS 1.2: half of the nonce travels.
    Explicit,
    /// ChaCha20-Poly1305 in TLS 1.2: the nonce does not travel.
    Implicit,
}

/// The length of the record that begins so, its header included; `None` if more has to come.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, Bad> {
    let Some(&[kind, major, _, high, low]) = bytes.first_chunk::<HEADER_BYTES>() else {
        return match bytes.first() {
            Some(&kind) if Content::of(kind).is_none() => Err(Bad::Unexpected),
            Some(_) | None => Ok(None),
        };
    };
    if Content::of(kind).is_none() || major != 3 {
        return Err(Bad::Unexpected);
    }
    let payload = usize::from(u16::from_be_bytes([high, low]));
    // RFC 5246, 6.2.3: 2048 bytes more than the plaintext; RFC 8446, 5.2 has 256.
    if payload > limits::TLS_RECORD_BYTES + 2048 {
        return Err(Bad::Oversized);
    }
    Ok(Some(HEADER_BYTES + payload))
}

/// What says that nothing follows, before there are keys (RFC 8446, 6.1).
pub(super) const CLOSE_NOTIFY: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];

/// Whether a record that is not encrypted begins here and says so, whatever version and level it
/// names.
pub(super) const fn is_close_notify(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, _, 0, 2, _, 0, ..])
}

/// Whether an encrypted alert of TLS 1.2 begins here: one in clear has two bytes.
pub(super) const fn is_sealed_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [21, 3, _, high, low, ..] if u16::from_be_bytes([*high, *low]) > 2)
}

/// One direction's cipher, its nonces and its count.
struct Cipher {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    shape: Shape,
    /// Records that the key is good for.
    records_max: u64,
}

impl Cipher {
    /// `None` for a cipher that rustls has learned since.
    fn new(
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Option<Self> {
        let is_modern = version == ProtocolVersion::TLSv1_3;
        let gcm = if is_modern {
            Shape::Modern
        } else {
            Shape::Explicit
        };
        let chacha = if is_modern {
            Shape::Modern
        } else {
            Shape::Implicit
        };
        let make = |algorithm: &'static Algorithm, key: &AeadKey, iv: &Iv, shape, records_max| {
            Some(Self {
                key: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?),
                iv: iv.as_ref().try_into().ok()?,
                sequence,
                shape,
                records_max,
            })
        };
        let worn = limits::TLS_RECORDS_PER_KEY;
        match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => {
                make(&AES_128_GCM, key, iv, gcm, worn)
            }
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
                make(&AES_256_GCM, key, iv, gcm, worn)
            }
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                make(&CHACHA20_POLY1305, key, iv, chacha, u64::MAX)
            }
            _ => None,
        }
    }

    /// The nonce of the present record (RFC 8446, 5.3), and the record's number.
    fn step(&mut self) -> Result<([u8; 12], u64), Bad> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).ok_or(Bad::KeyWorn)?;
        let mut nonce = self.iv;
        for (byte, part) in nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()) {
            *byte ^= part;
        }
        Ok((nonce, sequence))
    }
}

/// What a record is authenticated with beside its content.
struct Associated {
    bytes: [u8; 13],
    len: usize,
}

impl Associated {
    /// RFC 8446, 5.2: the header.
    fn modern(header: [u8; HEADER_BYTES]) -> Self {
        let mut bytes = [0; 13];
        bytes[..HEADER_BYTES].copy_from_slice(&header);
        Self {
            bytes,
            len: HEADER_BYTES,
        }
    }

    /// RFC 5246, 6.2.3.3: sequence number, type, version, length of the plaintext.
    fn classic(sequence: u64, kind: u8, plain: u16) -> Self {
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&sequence.to_be_bytes());
        bytes[8] = kind;
        bytes[9..11].copy_from_slice(&LEGACY_VERSION);
        bytes[11..].copy_from_slice(&plain.to_be_bytes());
        Self { bytes, len: 13 }
    }

    fn aad(&self) -> Aad<&[u8]> {
        Aad::from(self.bytes.get(..self.len).unwrap_or(&[]))
    }
}

/// Opens what one peer sends.
pub(super) struct Opener(Cipher);

impl Opener {
    pub(super) fn new(
        secrets: (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Option<Self> {
        Cipher::new(secrets, version).map(Self)
    }

    /// As if so many records had been opened.
    #[cfg(test)]
    pub(super) const fn wear(&mut self, records: u64) {
        self.0.sequence = records;
    }

    /// Decrypts a whole record where it lies: what it carries, and where in `record`.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(Content, Range<usize>), Bad> {
        let cipher = &mut self.0;
        let Some((&mut header, sealed)) = record.split_first_chunk_mut::<HEADER_BYTES>() else {
            return Err(Bad::Unexpected);
        };
        let [kind, ..] = header;
        let outer = Content::of(kind).ok_or(Bad::Unexpected)?;
        let (mut nonce, sequence) = cipher.step()?;
        let skip = match cipher.shape {
            // RFC 8446, 5.2: whatever it is, it says it is data.
            Shape::Modern if outer != Content::Data => return Err(Bad::Unexpected),
            Shape::Modern | Shape::Implicit => 0,
            Shape::Explicit => EXPLICIT_BYTES,
        };
        // RFC 8446, 5.2: 256 bytes more than the plaintext.
        if cipher.shape == Shape::Modern && sealed.len() > limits::TLS_RECORD_BYTES + 256 {
            return Err(Bad::Oversized);
        }
        let plain = sealed.len().checked_sub(skip + TAG_BYTES);
        let plain = plain.ok_or(Bad::Mac)?;
        let associated = match cipher.shape {
            Shape::Modern => Associated::modern(header),
            Shape::Explicit | Shape::Implicit => {
                let plain = u16::try_from(plain).map_err(|_| Bad::Oversized)?;
                Associated::classic(sequence, kind, plain)
            }
        };
        if let (Shape::Explicit, Some(explicit)) = (cipher.shape, sealed.first_chunk::<8>()) {
            nonce[4..].copy_from_slice(explicit);
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = cipher
            .key
            .open_within(nonce, associated.aad(), sealed, skip..)
            .map_err(|_| Bad::Mac)?;
        let (content, len) = match cipher.shape {
            // RFC 8446, 5.4: with its type and padding, one byte more than the plaintext.
            Shape::Modern if opened.len() > limits::TLS_RECORD_BYTES + 1 => {
                return Err(Bad::Oversized);
            }
            Shape::Modern => inner(opened)?,
            Shape::Explicit | Shape::Implicit => (outer, opened.len()),
        };
        if len > limits::TLS_RECORD_BYTES {
            return Err(Bad::Oversized);
        }
        // `open_within` moves the plaintext to where the explicit nonce was.
        Ok((content, HEADER_BYTES..HEADER_BYTES + len))
    }
}

/// RFC 8446, 5.4: content, its type, zeros.
fn inner(plain: &[u8]) -> Result<(Content, usize), Bad> {
    let last = plain.iter().rposition(|&byte| byte != 0);
    let last = last.ok_or(Bad::Unexpected)?;
    let kind = plain.get(last).copied().and_then(Content::of);
    Ok((kind.ok_or(Bad::Unexpected)?, last))
}

/// Seals what is sent to one peer.
pub(super) struct Sealer(Cipher);

impl Sealer {
    pub(super) fn new(
        secrets: (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Option<Self> {
        Cipher::new(secrets, version).map(Self)
    }

    /// As if so many records had been sealed.
    #[cfg(test)]
    pub(super) const fn wear(&mut self, records: u64) {
        self.0.sequence = records;
    }

    /// Bytes to leave free before the plaintext.
    pub(super) const fn room(&self) -> usize {
        match self.0.shape {
            Shape::Modern | Shape::Implicit => HEADER_BYTES,
            Shape::Explicit => HEADER_BYTES + EXPLICIT_BYTES,
        }
    }

    /// Whether the key has sealed as many records as it is good for.
    pub(super) const fn is_worn(&self) -> bool {
        self.0.sequence >= self.0.records_max
    }

    /// Makes a record of `room` bytes and the plaintext that follows them, in place.
    pub(super) fn seal(&mut self, content: Content, record: &mut Vec<u8>) -> Result<(), Bad> {
        self.seal_raw(content.byte(), record)
    }

    /// Makes a record of that type, which is there only where a test says so.
    pub(super) fn seal_raw(&mut self, kind: u8, record: &mut Vec<u8>) -> Result<(), Bad> {
        let room = self.room();
        let cipher = &mut self.0;
        let plain = record.len().checked_sub(room).ok_or(Bad::Unexpected)?;
        let (nonce, sequence) = cipher.step()?;
        let outer = match cipher.shape {
            Shape::Modern => {
                record.push(kind);
                Content::Data.byte()
            }
            Shape::Explicit | Shape::Implicit => kind,
        };
        let payload = record.len() + TAG_BYTES - HEADER_BYTES;
        let [high, low] = u16::try_from(payload)
            .map_err(|_| Bad::Oversized)?
            .to_be_bytes();
        let header = [outer, LEGACY_VERSION[0], LEGACY_VERSION[1], high, low];
        let associated = match cipher.shape {
            Shape::Modern => Associated::modern(header),
            Shape::Explicit | Shape::Implicit => {
                let plain = u16::try_from(plain).map_err(|_| Bad::Oversized)?;
                Associated::classic(sequence, outer, plain)
            }
        };
        let (before, text) = record.split_at_mut_checked(room).ok_or(Bad::Unexpected)?;
        for (byte, value) in before.iter_mut().zip(header.iter().chain(&nonce[4..])) {
            *byte = *value;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = cipher
            .key
            .seal_in_place_separate_tag(nonce, associated.aad(), text)
            .map_err(|_| Bad::Oversized)?;
        record.extend_from_slice(tag.as_ref());
        Ok(())
    }
}
