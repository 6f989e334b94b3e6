//! The ring engine.
