//! Request targets that differ by connection: `/echo?user={number}&token={rand}`.

use super::run::seeded;
use std::borrow::Cow;

/// What the purpose of a connection's generator begins at: apart from all others.
const PURPOSE: u64 = 1 << 34;

/// Refuses what stands in braces and is not known; gives that.
///
/// # Errors
/// The first unknown placeholder, with its braces.
pub fn check(target: &str) -> Result<(), &str> {
    let mut rest = target;
    while let Some(at) = rest.find('{') {
        let (_, from) = rest.split_at(at);
        let end = from.find('}').map_or(from.len(), |end| end + 1);
        let (placeholder, behind) = from.split_at(end);
        if !matches!(placeholder, "{number}" | "{rand}") {
            return Err(placeholder);
        }
        rest = behind;
    }
    Ok(())
}

/// The target of connection `number`: `{number}` is that number, from 0; `{rand}` 16 hexadecimal
/// digits that follow from seed and number, the same wherever they stand.
pub(super) fn expanded(target: &str, seed: u64, number: u32) -> Cow<'_, str> {
    if !target.contains('{') {
        return Cow::Borrowed(target);
    }
    let random = seeded(seed, PURPOSE + u64::from(number)).u64(..);
    let text = target.replace("{number}", &number.to_string());
    Cow::Owned(text.replace("{rand}", &format!("{random:016x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_its_number_and_digits_of_its_own() {
        assert_eq!(expanded("/a?b", 1, 7), "/a?b");
        assert_eq!(expanded("/{number}?u={number}", 1, 7), "/7?u=7");
        let digits = |seed, number| expanded("{rand}", seed, number).into_owned();
        assert_eq!(digits(1, 7).len(), 16);
        assert_eq!(digits(1, 7), digits(1, 7));
        assert_ne!(digits(1, 7), digits(1, 8));
        assert_ne!(digits(1, 7), digits(2, 7));
    }

    #[test]
    fn an_unknown_placeholder_is_told() {
        assert_eq!(check("/a?{number}{rand}"), Ok(()));
        assert_eq!(check("/a?{number}{user}"), Err("{user}"));
        assert_eq!(check("/a{"), Err("{"));
    }
}
