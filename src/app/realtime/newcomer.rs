//! Who is about to come to the channels, and where.

use super::{
    CABLE_SOCKET, CENTRIFUGO_SOCKET, CENTRIFUGO_STREAM, CHANNELS, CableEntry, SOCKETCLUSTER_SOCKET,
    SOCKETIO_SOCKET, TopicRequest,
};

/// Who is about to come.
#[derive(Debug, Default)]
pub(super) enum Newcomer {
    #[default]
    Socket,
    /// A client of `SocketCluster`.
    Cluster,
    /// A client of Socket.IO.
    Io,
    /// A client of `ActionCable`.
    Cable(CableEntry),
    /// A Centrifugo client that only listens, with what it connects with.
    Listener(String),
    /// An event stream of channels, and the token that it shows, if any.
    Stream(TopicRequest, String),
}

impl Newcomer {
    /// Where it comes.
    pub(super) const fn path(&self) -> &'static str {
        match self {
            Self::Socket => CENTRIFUGO_SOCKET,
            Self::Cluster => SOCKETCLUSTER_SOCKET,
            Self::Io => SOCKETIO_SOCKET,
            Self::Cable(_) => CABLE_SOCKET,
            Self::Listener(_) => CENTRIFUGO_STREAM,
            Self::Stream(..) => CHANNELS,
        }
    }
}
