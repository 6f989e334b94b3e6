//! Masks and unmasks payloads in place, as many bytes at a time as the processor has registers for
//! (RFC 6455, 5.3).

use multiversion::multiversion;

/// From here on the widest registers are looked for: below it costs more than it brings.
const WIDE: usize = 128;

/// XORs `bytes` with the key, repeated; `offset` bytes of the payload came before these.
///
/// Masking and unmasking are the same. Any length, offset and alignment.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    apply_gathering(bytes, rotated(key, offset));
}

/// The key as it stands `offset` bytes into the payload.
#[inline]
pub(super) const fn rotated(key: [u8; 4], offset: usize) -> [u8; 4] {
    #[expect(clippy::cast_possible_truncation, reason = "below 32")]
    let bits = (offset % 4 * 8) as u32;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

/// XORs `bytes` with the key and returns the OR of the results: below 0x80 in each byte if all of
/// them are ASCII, which so costs text no second look.
#[inline]
pub(super) fn apply_gathering(bytes: &mut [u8], key: [u8; 4]) -> Gathered {
    if bytes.len() < WIDE {
        apply_words(bytes, key)
    } else {
        apply_wide(bytes, key)
    }
}

/// The same, compiled for wider registers too, and chosen by what this processor has.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn apply_wide(bytes: &mut [u8], key: [u8; 4]) -> Gathered {
    apply_words(bytes, key)
}

#[inline(always)]
fn apply_words(bytes: &mut [u8], key: [u8; 4]) -> Gathered {
    let [a, b, c, d] = key;
    let wide = u64::from_le_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    let mut seen = 0;
    for word in words {
        let plain = u64::from_le_bytes(*word) ^ wide;
        seen |= plain;
        *word = plain.to_le_bytes();
    }
    let (word, tail) = tail.as_chunks_mut::<4>();
    for word in word {
        let plain = u32::from_le_bytes(*word) ^ u32::from_le_bytes(key);
        seen |= u64::from(plain);
        *word = plain.to_le_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
        seen |= u64::from(*byte);
    }
    Gathered(seen)
}

/// Appends `bytes` XORed with the key, repeated, to `into`; `offset` bytes of the payload came
/// before these.
#[inline]
pub fn append(into: &mut Vec<u8>, bytes: &[u8], key: [u8; 4], offset: usize) {
    append_gathering(into, bytes, rotated(key, offset));
}

/// Appends `bytes` XORed with the key to `into`, and returns the OR of what was appended. In steps
/// that stay in the first cache: what is copied is read from memory once.
#[inline]
pub(super) fn append_gathering(into: &mut Vec<u8>, bytes: &[u8], key: [u8; 4]) -> Gathered {
    // A multiple of the key's length: each step begins with its first byte.
    const STEP: usize = 2048;
    let mut seen = 0;
    for step in bytes.chunks(STEP) {
        let start = into.len();
        into.extend_from_slice(step);
        seen |= apply_gathering(into.get_mut(start..).unwrap_or_default(), key).0;
    }
    Gathered(seen)
}

/// The bytes of a payload, ORed together.
#[derive(Clone, Copy)]
pub(super) struct Gathered(u64);

impl Gathered {
    /// Whether no byte had its top bit set.
    #[inline]
    pub(super) const fn is_ascii(self) -> bool {
        self.0 & 0x8080_8080_8080_8080 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_unmasked() {
        // RFC 6455, 5.7
        let mut hello = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply(&mut hello, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&hello, b"Hello");
    }

    #[test]
    fn wide_masking_is_masking_byte_by_byte_at_every_length_offset_and_alignment() {
        let key = [0x11, 0x87, 0xf3, 0xff];
        let source: Vec<u8> = (0..200_u8).map(|byte| byte.wrapping_mul(151)).collect();
        let source = source.repeat(6);
        // The longer ones for as many registers at once as there may be.
        let longer = [191, 255, 256, 257, 511, 512, 519, 640, 1000];
        for start in 0..9 {
            for len in (0..140).chain(longer) {
                for offset in 0..9 {
                    let mut wide = source.clone();
                    let mut narrow = source.clone();
                    apply(&mut wide[start..start + len], key, offset);
                    for (i, byte) in narrow[start..start + len].iter_mut().enumerate() {
                        *byte ^= key[(i + offset) % 4];
                    }
                    assert_eq!(wide, narrow, "start {start}, length {len}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn masked_in_two_pieces_is_masked_in_one() {
        let key = [1, 2, 3, 4];
        for split in 0..=37 {
            let mut whole = [0_u8; 37];
            let mut pieces = [0_u8; 37];
            apply(&mut whole, key, 0);
            let (a, b) = pieces.split_at_mut(split);
            apply(a, key, 0);
            apply(b, key, split);
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn what_is_appended_is_masked_as_it_would_be_where_it_lay() {
        let mut rng = fastrand::Rng::with_seed(1);
        let source: Vec<u8> = (0..20_000).map(|_| rng.u8(..0x80)).collect();
        for key in [[0; 4], [0x11, 0x27, 0x73, 0x7f], [1, 0x80, 3, 4]] {
            for len in [0, 1, 7, 4095, 4096, 4097, 8192, 20_000] {
                let mut expected = source[..len].to_vec();
                let seen = apply_gathering(&mut expected, key);
                let mut into = b"abc".to_vec();
                let appended = append_gathering(&mut into, &source[..len], key);
                assert_eq!(into[3..], expected[..], "{len} bytes");
                assert_eq!(appended.is_ascii(), seen.is_ascii(), "{len} bytes");
            }
        }
    }

    #[test]
    fn one_byte_beyond_ascii_is_noticed_wherever_it_is() {
        for len in (0..40).chain([128, 321, 527]) {
            assert!(apply_gathering(&mut vec![b'a'; len], [0; 4]).is_ascii());
            for at in 0..len {
                let mut bytes = vec![b'a'; len];
                bytes[at] = 0x80;
                assert!(
                    !apply_gathering(&mut bytes, [0; 4]).is_ascii(),
                    "{at} of {len}"
                );
                assert!(
                    !apply_gathering(&mut vec![b'a'; len], [0, 0, 0x80, 0]).is_ascii() || len < 3
                );
            }
        }
    }
}
