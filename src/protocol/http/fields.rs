//! Puts the fields of a request together: ours, and those that the user gives.

/// Our fields in order, with the user's in the place of ours of the same name, then the user's
/// others. A name that the user gives twice stays twice.
///
/// RFC 9110, 5.3: a sender must not make several fields of one name unless it is a list; most of
/// ours are none.
#[must_use]
pub fn merged<'a>(
    own: &[(&'a str, &'a str)],
    given: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let mut fields = Vec::with_capacity(own.len() + given.len());
    for &(name, value) in own {
        let before = fields.len();
        fields.extend(given.iter().filter(|(other, _)| is(other, name)));
        if fields.len() == before {
            fields.push((name, value));
        }
    }
    let is_own = |name: &str| own.iter().any(|(other, _)| is(other, name));
    fields.extend(given.iter().filter(|(name, _)| !is_own(name)));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_gives_replaces_ours_in_any_case_of_letters() {
        let own = [("Host", "a"), ("Accept", "text/event-stream")];
        assert_eq!(merged(&own, &[]), own);
        let given = [("X", "1"), ("host", "b"), ("X", "2")];
        let expected = [
            ("host", "b"),
            ("Accept", "text/event-stream"),
            ("X", "1"),
            ("X", "2"),
        ];
        assert_eq!(merged(&own, &given), expected);
        assert_eq!(merged(&own[..1], &[("HOST", "")]), [("HOST", "")]);
    }
}
