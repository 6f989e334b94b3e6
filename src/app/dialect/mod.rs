//! The protocols that clients speak to the hub: each turns bytes into what the hub understands, and
//! what the hub tells into bytes, once for all who are told the same. None talks to another.

mod allowed;
pub mod api;
mod by_seat;
pub mod cable;
pub mod centrifugo;
pub mod channels;
mod desk;
pub mod holders;
pub mod identifiers;
pub mod query;
mod questions;
pub mod recovery;
pub mod socketcluster;
pub mod socketio;
pub mod views;

pub use desk::{Desk, DeskTools, Parked};
pub use questions::{
    AskedFirst, of_cable, of_centrifugo, of_cluster, of_io, of_listener, of_topics,
};

use crate::app::hub::answer::EncodingId;

/// A Centrifugo client: replies and pushes.
pub const CENTRIFUGO: EncodingId = EncodingId(0);
/// A Centrifugo client that only listens: pushes without what is around them.
pub const UNIDIRECTIONAL: EncodingId = EncodingId(1);
/// An event stream of one channel.
pub const STREAM: EncodingId = EncodingId(2);
/// An event stream of several channels.
pub const STREAMS: EncodingId = EncodingId(5);
/// Whoever calls over HTTP.
pub const CALLER: EncodingId = EncodingId(3);
/// A client whose connection does not stand yet: what it is told is kept until it does.
pub const CONNECTING: EncodingId = EncodingId(4);
/// The same for a client that also gets replies.
pub const CONNECTING_CLIENT: EncodingId = EncodingId(6);
/// A `SocketCluster` client that has made its handshake.
pub const SOCKETCLUSTER: EncodingId = EncodingId(8);
/// A Socket.IO client that has joined the namespace `/`.
pub const SOCKETIO: EncodingId = EncodingId(16);
/// The same, that has come back and is not in all its rooms yet: what it is told is kept.
pub const SOCKETIO_RETURNING: EncodingId = EncodingId(17);
/// A client of `ActionCable`.
pub const CABLE: EncodingId = EncodingId(9);
/// The same, which is told places in histories too.
pub const EXTENDED_CABLE: EncodingId = EncodingId(10);
