//! The codecs against other implementations and against bytes that nobody should send.

#[path = "framing/main.rs"]
mod framing;
mod fuzzing;
mod heads;
mod sse;
