//! One core's listening sockets: accepts while there are slots and descriptors, pauses otherwise.

use super::signal::{LISTENERS, Ready};
use crate::engine::listen::ListenStream;
use crate::engine::{AcceptFailures, ListenSocket};
use crate::time::Instant;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// Time to wait when the process is out of descriptors or memory: others must free some first.
const RETRY_TIME: Duration = Duration::from_millis(50);

/// The listeners and why they may be paused.
pub(super) struct PolledListeners {
    listeners: Vec<(PolledListener, Waker)>,
    /// A connection may have been left in the kernel's queue because no slot was free.
    full: bool,
    /// The listener whose turn it is to be looked at first.
    first: u32,
    retry: Option<Instant>,
    failures: AcceptFailures,
}

/// A listening socket.
enum PolledListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What came of an attempt to accept.
pub(super) enum Accept {
    /// A connection.
    Stream(TcpStream),
    /// The queue is empty, or there is no such listener any more.
    Nothing,
    /// That connection died in the queue; there may be more.
    Lost,
    /// No descriptor or memory: accepting pauses.
    Paused,
}

impl PolledListeners {
    /// Watches these listeners; their tokens count from [`LISTENERS`].
    pub(super) fn new(
        listeners: Vec<ListenSocket>,
        ready: &Arc<Ready>,
        failures: AcceptFailures,
    ) -> io::Result<Self> {
        let watch = |(token, listener): (u32, ListenSocket)| {
            let listener = PolledListener::new(listener)?;
            // Its waker is registered by the first accept.
            ready.add(token);
            Ok((listener, ready.waker(token)))
        };
        let listeners = (LISTENERS..)
            .zip(listeners)
            .map(watch)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            listeners,
            full: false,
            first: 0,
            retry: None,
            failures,
        })
    }

    /// Takes a connection from the queue of that listener.
    pub(super) fn accept(&mut self, listener: usize, now: Instant) -> Accept {
        let Some((listener, waker)) = self.listeners.get(listener) else {
            return Accept::Nothing;
        };
        match listener.poll_accept(&mut Context::from_waker(waker)) {
            Poll::Pending => Accept::Nothing,
            Poll::Ready(Ok(stream)) => Accept::Stream(stream),
            Poll::Ready(Err(error)) if is_exhaustion(&error) => {
                self.failures.note(error.raw_os_error().unwrap_or(0));
                self.retry = Some(now + RETRY_TIME);
                Accept::Paused
            }
            // accept(2): errors of the network may already be pending on the new socket.
            Poll::Ready(Err(_)) => Accept::Lost,
        }
    }

    /// Notes that there was no slot; whether that is news.
    pub(super) fn fill(&mut self) -> bool {
        !std::mem::replace(&mut self.full, true)
    }

    /// A slot is free: whether accepting waited for it.
    pub(super) fn unfill(&mut self) -> bool {
        std::mem::take(&mut self.full)
    }

    /// The tokens of all listeners, each time another one first: it may take the last slot.
    pub(super) fn tokens(&mut self) -> impl Iterator<Item = u32> + use<> {
        let count = u32::try_from(self.listeners.len()).unwrap_or(u32::MAX);
        let first = self.first;
        self.first = (first + 1) % count.max(1);
        (0..count).map(move |at| LISTENERS + (first + at) % count)
    }

    /// When to try again after [`Accept::Paused`].
    pub(super) fn retry(&self) -> Option<Instant> {
        self.retry
    }

    /// Whether it is time to try again.
    pub(super) fn retries(&mut self, now: Instant) -> bool {
        self.retry.take_if(|at| *at <= now).is_some()
    }

    /// Closes all listeners.
    pub(super) fn stop(&mut self) {
        self.listeners.clear();
        self.retry = None;
    }
}

impl PolledListener {
    fn new(listener: ListenSocket) -> io::Result<Self> {
        Ok(match listener.into_stream() {
            ListenStream::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Self::Tcp(TcpListener::from_std(listener)?)
            }
            ListenStream::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Self::Unix(UnixListener::from_std(listener)?)
            }
        })
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            Self::Unix(listener) => {
                let accepted = listener.poll_accept(context);
                accepted.map(|accepted| {
                    // A stream is read, written and shut down in one way, whatever its family.
                    let stream: OwnedFd = accepted?.0.into_std()?.into();
                    TcpStream::from_std(stream.into())
                })
            }
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    let errno = error.raw_os_error().unwrap_or(0);
    [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::ENOSPC,
    ]
    .contains(&errno)
}
