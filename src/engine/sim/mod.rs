//! The sim engine.
