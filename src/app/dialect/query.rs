//! What follows the `?` of an address: names and values, percent-encoded (URL, 5.1).

use std::borrow::Cow;

/// The values of that name, in order.
pub fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Cow<'q, str>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(move |(found, _)| *found == name)
        .map(|(_, value)| decode(value))
}

/// Decodes a value: what is no UTF-8 becomes U+FFFD.
fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains(['%', '+']) {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digit = |at: usize| {
            after
                .get(at)
                .and_then(|byte| char::from(*byte).to_digit(16))
        };
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high << 4 | low).unwrap_or(b'%'));
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(*byte),
        }
    }
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_in_order_and_decoded() {
        let query = "topic=a%3Ab&x=1&topic=c+d&topic=%C3%A9&topic=100%&topic=%zz&topic";
        let found: Vec<_> = values(query, "topic").collect();
        assert_eq!(found, ["a:b", "c d", "\u{e9}", "100%", "%zz"]);
        assert_eq!(values("", "topic").count(), 0);
    }

    proptest! {
        #[test]
        fn no_query_panics(query: String) {
            values(&query, "a").for_each(drop);
            decode(&query);
        }
    }
}
