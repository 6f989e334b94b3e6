//! A histogram as text, and back: HdrHistogram's V2 encoding, deflated, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// More characters than that are no histogram of a run: 1 ns to 60 s at 3 digits has 28,672 counts
/// of at most 9 bytes, which base64 makes a third longer.
const TEXT_MAX: usize = 28_672 * 9 * 4 / 3 + 256;

/// The text of a histogram.
///
/// # Errors
/// It cannot be encoded.
pub fn packed(histogram: &Histogram<u64>) -> Result<String, String> {
    let mut encoded = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut encoded)
        .map_err(|error| format!("{error:?}"))?;
    Ok(STANDARD.encode(&encoded))
}

/// The histogram of a text.
///
/// # Errors
/// Why it is none.
pub fn unpacked(text: &str) -> Result<Histogram<u64>, String> {
    if text.len() > TEXT_MAX {
        let length = text.len();
        return Err(format!("{length} characters are more than any histogram"));
    }
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new()
        .deserialize(&mut &bytes[..])
        .map_err(|error| format!("no V2 histogram: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::latency::Latency;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_histogram_comes_back(
            samples in prop::collection::vec(0_u64..100_000_000_000, 0..200),
        ) {
            let mut latency = Latency::default();
            samples.iter().for_each(|&ns| latency.record_ns(ns));
            let text = packed(latency.histogram()).unwrap();
            prop_assert!(text.len() <= TEXT_MAX);
            prop_assert_eq!(&unpacked(&text).unwrap(), latency.histogram());
        }

        #[test]
        fn what_is_no_histogram_is_refused(text in "[A-Za-z0-9+/=]{0,400}") {
            prop_assert!(unpacked(&text).is_err());
        }
    }

    #[test]
    fn a_cut_histogram_is_refused() {
        let mut latency = Latency::default();
        (1..1_000).for_each(|us| latency.record_ns(us * 1_000));
        let text = packed(latency.histogram()).unwrap();
        assert!(unpacked(text.get(..text.len() / 2 / 4 * 4).unwrap()).is_err());
        assert!(unpacked(&"A".repeat(TEXT_MAX + 1)).is_err());
    }
}
