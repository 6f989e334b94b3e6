//! What a setting of one or several numbers should be, and the value that gets it there.

/// What the fields of a setting should be; fields beyond those named are left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// No field below these.
    AtLeast(Vec<u64>),
    /// No field above these.
    AtMost(Vec<u64>),
    /// These fields.
    Exactly(Vec<u64>),
}

impl Want {
    /// The value that satisfies it, nearest to what is there now: nothing that is better already is
    /// changed. `None` if the value now is no list of as many numbers.
    #[must_use]
    pub fn nearest(&self, now: &str) -> Option<String> {
        let now = numbers(now)?;
        let wanted = self.fields();
        if now.len() < wanted.len() {
            return None;
        }
        let wanted = wanted.iter().map(Some).chain(std::iter::repeat(None));
        let nearest = now.iter().zip(wanted).map(|(&is, wanted)| match wanted {
            None => is,
            Some(&wanted) => match self {
                Self::AtLeast(_) => is.max(wanted),
                Self::AtMost(_) => is.min(wanted),
                Self::Exactly(_) => wanted,
            },
        });
        Some(joined(&nearest.collect::<Vec<_>>()))
    }

    /// The value for a host of which nothing is known.
    #[must_use]
    pub fn value(&self) -> String {
        joined(self.fields())
    }

    /// How the value is meant.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AtLeast(_) => "at least",
            Self::AtMost(_) => "at most",
            Self::Exactly(_) => "exactly",
        }
    }

    fn fields(&self) -> &[u64] {
        match self {
            Self::AtLeast(fields) | Self::AtMost(fields) | Self::Exactly(fields) => fields,
        }
    }
}

/// The numbers of a setting; `None` if a field is none.
pub(super) fn numbers(text: &str) -> Option<Vec<u64>> {
    let fields = text.split_whitespace().map(|field| field.parse().ok());
    fields.collect::<Option<Vec<u64>>>()
}

fn joined(fields: &[u64]) -> String {
    let texts: Vec<String> = fields.iter().map(u64::to_string).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_already_stays() {
        let wanted = Want::AtLeast(vec![10, 20]);
        assert_eq!(wanted.nearest("5\t30 7"), Some("10 30 7".to_owned()));
        let wanted = Want::AtMost(vec![10, 20]);
        assert_eq!(wanted.nearest("5 30"), Some("5 20".to_owned()));
        assert_eq!(Want::Exactly(vec![1]).nearest("2\n"), Some("1".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        assert_eq!(Want::AtLeast(vec![1]).nearest("max"), None);
        assert_eq!(Want::AtLeast(vec![1, 2]).nearest("5"), None);
    }
}
