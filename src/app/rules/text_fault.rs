//! A mistake in a text that somebody has written, and where it stands.

/// A mistake in a file of rules or of configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}")]
pub struct TextFault {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
    /// What is wrong, and what would do.
    pub what: String,
}

impl TextFault {
    /// A mistake at that byte of a text.
    #[must_use]
    pub fn at(text: &str, start: usize, what: String) -> Self {
        let before = text.get(..start).unwrap_or(text);
        let (above, beside) = before.rsplit_once('\n').unwrap_or(("", before));
        let line = match before.contains('\n') {
            true => above.matches('\n').count() + 2,
            false => 1,
        };
        Self {
            line,
            column: beside.chars().count() + 1,
            what,
        }
    }
}
