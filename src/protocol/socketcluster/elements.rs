//! A JSON array, one element after the other, without keeping them.

use crate::protocol::Malformed;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Shows each element of an array to `hear`, until that has heard enough; the rest is read still.
///
/// # Errors
/// [`Malformed`] for what is no JSON array; what came before the fault has been heard.
pub(super) fn elements<'a>(
    text: &'a [u8],
    hear: impl FnMut(&'a RawValue) -> bool,
) -> Result<(), Malformed> {
    struct Each<F>(F);
    impl<'a, F: FnMut(&'a RawValue) -> bool> Visitor<'a> for Each<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a batch of messages")
        }
        fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(raw) = seq.next_element::<&'a RawValue>()? {
                if !(self.0)(raw) {
                    break;
                }
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(())
        }
    }
    let broken = |_| Malformed("a batch that is no JSON array");
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.deserialize_seq(Each(hear)).map_err(broken)?;
    deserializer.end().map_err(broken)
}
