//! The codecs against other implementations and against bytes that nobody should send.

#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "framing/main.rs"]
mod framing;
mod fuzzing;
mod heads;
mod npm_corpus;
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
