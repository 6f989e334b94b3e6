//! The clients of one core: their table, what each says and hears, and what it waits for.

pub(super) mod dialogue;
pub(super) mod handshake;
pub(super) mod http_post;
pub(super) mod in_flight;
pub(super) mod keepalive;
pub(super) mod payload;
mod receiver;
mod sender;
pub(super) mod table;
pub(super) mod tools;
