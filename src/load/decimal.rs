//! Numbers as decimal digits, for messages: nothing is allocated for them.

/// A number as decimal digits, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) struct Decimal {
    digits: [u8; 20],
    from: usize,
}

impl Decimal {
    pub(in crate::load) fn new(mut value: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut from = digits.len();
        loop {
            from -= 1;
            if let Some(place) = digits.get_mut(from) {
                *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            }
            value /= 10;
            if value == 0 || from == 0 {
                return Self { digits, from };
            }
        }
    }

    pub(in crate::load) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimals_are_what_format_prints(n: u64) {
            let decimal = Decimal::new(n);
            prop_assert_eq!(decimal.as_bytes(), format!("{n}").into_bytes());
        }
    }
}
