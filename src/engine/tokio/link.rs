//! One connection of the tokio engine: a socket, what is queued for it, and how far it is closed.

use crate::engine::listen::OF_UNIX;
use crate::engine::outbound::Outbound;
use crate::engine::ring::unacknowledged;
use crate::shard::CloseCause;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Poll, Waker};
use tokio::net::TcpStream;

/// A socket and its outbound side. The waker leads back to its slot.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Option<TcpStream>,
    pub(super) waker: Waker,
    pub(super) out: Outbound,
    pub(super) state: LinkState,
    /// In the list of links to write to at the end of the turn.
    pub(super) dirty: bool,
    /// The shard does not want to receive now.
    pub(super) paused: bool,
    /// The peer's FIN was seen.
    pub(super) peer_ended: bool,
    /// Our FIN was sent.
    pub(super) ended: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// The kernel is still connecting it.
    Connecting,
    /// The shard uses it.
    Open,
    /// What is queued is sent, then our FIN; input is thrown away until the peer's FIN, or until
    /// the peer has taken nothing for too long. The shard is told the cause then.
    Closing {
        /// What the shard will be told.
        cause: CloseCause,
    },
    /// The shard has still to be told; the socket is gone.
    Over,
}

impl Link {
    /// Where it comes from; `None` once that cannot be told.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        let name = SockRef::from(self.stream.as_ref()?).peer_addr().ok()?;
        match name.as_socket() {
            Some(address) => Some(address.ip().to_canonical()),
            None => name.is_unix().then_some(OF_UNIX),
        }
    }

    /// A connection of that state.
    pub(super) fn new(stream: Option<TcpStream>, waker: Waker, state: LinkState) -> Self {
        Self {
            stream,
            waker,
            out: Outbound::default(),
            state,
            dirty: false,
            paused: false,
            peer_ended: false,
            ended: false,
        }
    }
}

impl Link {
    /// Bytes that the peer has not acknowledged: queued here, or in the kernel. Our FIN is none.
    pub(super) fn left(&self) -> u64 {
        let kernel = self
            .stream
            .as_ref()
            .and_then(|stream| unacknowledged(stream.as_fd()).ok());
        let fin = u64::from(self.ended);
        self.out.backlog() as u64 + kernel.unwrap_or(0).saturating_sub(fin)
    }
}

/// Starts a connect; the socket becomes writable when it has ended.
pub(super) fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = from {
        // IP_BIND_ADDRESS_NO_PORT has no safe binding: the port is chosen here and not at
        // connect, so one source address has the local port range once, not once a destination.
        socket
            .bind(&SocketAddr::new(source, 0).into())
            .map_err(no_port)?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    TcpStream::from_std(socket.into())
}

/// `bind` says `EADDRINUSE` when the port range is used up, `connect` says `EADDRNOTAVAIL`.
fn no_port(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::EADDRINUSE) {
        return io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    }
    error
}

/// How a connect ended that the kernel reports as writable.
pub(super) fn connected(stream: &TcpStream, poll: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
    let Poll::Ready(ready) = poll else {
        return Poll::Pending;
    };
    Poll::Ready(
        ready
            .and_then(|()| stream.take_error())
            .and_then(|error| match error {
                Some(error) => Err(error),
                None => Ok(()),
            }),
    )
}
