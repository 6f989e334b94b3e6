//! How counters grew from one sample to the next.

/// How much a counter grew; `None` if it went back.
pub(super) fn grown(old: Option<u64>, new: Option<u64>) -> Option<u64> {
    new?.checked_sub(old?)
}

/// How much a counter grew a second; `None` if it went back or no time has passed.
pub(super) fn per_second(old: Option<u64>, new: Option<u64>, span_s: f64) -> Option<f64> {
    let rate = grown(old, new)? as f64 / span_s;
    rate.is_finite().then_some(rate)
}
