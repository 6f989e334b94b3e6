//! A listening socket of one core: of TCP or of a path, its own or one that all cores share.

use super::given::InHandover;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

/// A listening socket.
#[derive(Debug)]
pub struct ListenSocket {
    stream: ListenStream,
    /// The other cores accept at it too: there is no group of sockets (`SO_REUSEPORT`) to which the
    /// kernel spreads newcomers.
    is_shared: bool,
    /// Whether another process accepts at it too.
    handover: InHandover,
}

/// What is accepted at it.
#[derive(Debug)]
pub(in crate::engine) enum ListenStream {
    /// Connections of TCP.
    Tcp(TcpListener),
    /// Connections of this host (unix(7)).
    Unix(UnixListener),
}

impl ListenSocket {
    /// One descriptor of a socket at a path, which all cores share.
    pub(super) fn unix(listener: UnixListener) -> Self {
        Self {
            stream: ListenStream::Unix(listener),
            is_shared: true,
            handover: InHandover::default(),
        }
    }

    /// One descriptor of a socket that all cores share.
    ///
    /// # Errors
    /// The kernel's, of a descriptor that is none of a socket.
    pub(super) fn shared(descriptor: OwnedFd) -> io::Result<Self> {
        let is_unix = socket2::SockRef::from(&descriptor).local_addr()?.is_unix();
        let stream = match is_unix {
            true => ListenStream::Unix(descriptor.into()),
            false => ListenStream::Tcp(descriptor.into()),
        };
        Ok(Self {
            stream,
            is_shared: true,
            handover: InHandover::default(),
        })
    }

    /// Another descriptor of it.
    ///
    /// # Errors
    /// The kernel's: no descriptor is free.
    pub(super) fn another(&self) -> io::Result<Self> {
        let stream = match &self.stream {
            ListenStream::Tcp(listener) => ListenStream::Tcp(listener.try_clone()?),
            ListenStream::Unix(listener) => ListenStream::Unix(listener.try_clone()?),
        };
        Ok(Self {
            stream,
            is_shared: self.is_shared,
            handover: self.handover.clone(),
        })
    }

    /// Whether the other cores accept at it too.
    pub(in crate::engine) const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The same, with that to say whether another process accepts at it too.
    pub(super) fn with(self, handover: &InHandover) -> Self {
        Self {
            handover: handover.clone(),
            ..self
        }
    }

    /// Whether another process accepts at it too.
    pub(in crate::engine) const fn handover(&self) -> &InHandover {
        &self.handover
    }

    /// The socket of TCP, if it is one.
    pub(in crate::engine) const fn tcp(&self) -> Option<&TcpListener> {
        match &self.stream {
            ListenStream::Tcp(listener) => Some(listener),
            ListenStream::Unix(_) => None,
        }
    }

    /// What it is.
    pub(in crate::engine) fn into_stream(self) -> ListenStream {
        self.stream
    }
}

impl From<TcpListener> for ListenSocket {
    /// A socket of a core's own.
    fn from(listener: TcpListener) -> Self {
        Self {
            stream: ListenStream::Tcp(listener),
            is_shared: false,
            handover: InHandover::default(),
        }
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            ListenStream::Tcp(listener) => listener.as_fd(),
            ListenStream::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for ListenSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
