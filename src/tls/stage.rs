//! How far a connection is: free, shaking hands, secured, closing.

use super::handshake::Handshake;
use super::queue::Counted;
use super::session::Session;
use crate::shard::{CloseCause, PeerNames};
use std::sync::Arc;

/// How far a connection is.
pub(super) enum Stage {
    /// No connection has the slot.
    Free,
    /// It is being connected, or the handshake is under way.
    Handshake(Box<Handshake>),
    /// It is secured.
    Open(Box<Session>),
    /// It is being closed; what the inner shard is told, if not what the engine says.
    Closing(Option<CloseCause>),
}

impl Stage {
    pub(super) fn counted(&self) -> Option<Counted> {
        match self {
            Self::Handshake(handshake) => Counted::of(handshake),
            Self::Free | Self::Open(_) | Self::Closing(_) => None,
        }
    }

    /// Bytes of memory that a record in pieces takes.
    pub(super) fn partial_bytes(&self) -> usize {
        match self {
            Self::Open(session) => session.partial.capacity(),
            Self::Free | Self::Handshake(_) | Self::Closing(_) => 0,
        }
    }

    /// The names of the certificate that a client has shown.
    pub(super) fn names(&self) -> Option<Arc<PeerNames>> {
        match self {
            Self::Open(session) => session.names.clone(),
            Self::Free | Self::Handshake(_) | Self::Closing(_) => None,
        }
    }

    /// The buffer of a record in pieces, of which nothing is wanted any more.
    pub(super) fn take_partial(&mut self) -> Vec<u8> {
        match self {
            Self::Open(session) => std::mem::take(&mut session.partial),
            Self::Free | Self::Handshake(_) | Self::Closing(_) => Vec::new(),
        }
    }
}
