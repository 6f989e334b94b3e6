//! The known word that is nearest to one that was typed.

/// The nearest of them: fewest letters changed, left out or added.
#[must_use]
pub fn nearest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known.min_by_key(|word| distance(typed, word))
}

/// How many letters have to be changed, left out or added.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut next = vec![above + 1];
        for (at, other) in to.iter().enumerate() {
            let cost = |from: &[usize], at: usize| from.get(at).copied().unwrap_or(usize::MAX / 2);
            let changed = cost(&row, at) + usize::from(letter != *other);
            next.push(changed.min(cost(&row, at + 1) + 1).min(cost(&next, at) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_with_the_fewest_changes_is_nearest() {
        let known = ["channel", "claim", "reason", "rate"];
        for (typed, expected) in [
            ("chanel", "channel"),
            ("raeson", "reason"),
            ("rates", "rate"),
            ("clame", "claim"),
        ] {
            assert_eq!(nearest(typed, known.into_iter()), Some(expected));
        }
        assert_eq!(nearest("x", std::iter::empty()), None);
        assert_eq!(
            (distance("", "abc"), distance("abc", ""), distance("a", "a")),
            (3, 3, 0)
        );
    }
}
