//! The tokio engine.
