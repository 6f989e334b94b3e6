//! How much a member may say in a while: 4 bytes for each connection.

use crate::limits;
use crate::time::Instant;
use std::time::Duration;

/// What one connection has said in the present window of [`limits::SAID_TIME`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    /// The window, modulo 256: a stale one that looks like the present one costs a short wait.
    window: u8,
    /// In units of [`limits::SAID_BYTES_MIN`].
    said: [u8; 2],
}

const UNIT: usize = limits::SAID_BYTES_MIN;
const _: () = assert!(limits::SAID_BYTES_AT_ONCE / UNIT < u16::MAX as usize);

impl Allowance {
    /// Something was said. When the connection is heard again, if that was all it may say now.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let span = u64::try_from(limits::SAID_TIME.as_nanos()).unwrap_or(u64::MAX);
        let number = now.as_nanos() / span;
        let [.., window] = number.to_be_bytes();
        if window != self.window {
            (self.window, self.said) = (window, [0; 2]);
        }
        let units = u16::try_from(1 + bytes / UNIT).unwrap_or(u16::MAX);
        let said = u16::from_ne_bytes(self.said).saturating_add(units);
        self.said = said.to_ne_bytes();
        let is_all = usize::from(said) * UNIT >= limits::SAID_BYTES_AT_ONCE;
        let next = || now + Duration::from_nanos(span - now.as_nanos() % span);
        is_all.then(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_on_saying_is_heard_at_the_rate_and_no_faster() {
        let (mut allowance, mut now, mut said) = (Allowance::default(), Instant::from_nanos(7), 0);
        let begin = now;
        while now < begin + Duration::from_secs(2) {
            said += 16_000;
            if let Some(at) = allowance.spend(16_000, now) {
                assert!(at > now && at <= now + limits::SAID_TIME);
                now = at;
            }
        }
        let most = limits::SAID_BYTES_AT_ONCE as u128 * 2_000 / limits::SAID_TIME.as_millis();
        assert!(
            (most * 8 / 10..=most * 12 / 10).contains(&said),
            "{said} {most}"
        );
    }

    #[test]
    fn who_says_little_never_waits() {
        let (mut allowance, mut now) = (Allowance::default(), Instant::default());
        for _ in 0..10_000 {
            assert_eq!(allowance.spend(1000, now), None);
            now += Duration::from_millis(1);
        }
    }
}
