//! The codecs against other implementations and against bytes that nobody should send.

#[path = "framing/main.rs"]
mod framing;
mod fuzzing;
mod heads;
mod sse;

use proptest::prelude::ProptestConfig;

/// So many cases. The failing seed is printed as the "minimal failing input".
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Default::default()
    }
}
