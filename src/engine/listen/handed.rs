//! A socket that listens already: whoever started the process has made it.

use socket2::{SockRef, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A socket that was handed over. Clones are the same.
#[derive(Clone, Debug)]
pub struct HandedSocket {
    descriptor: Arc<OwnedFd>,
    /// Its address; a socket at a path has none.
    pub(super) address: Option<SocketAddr>,
}

impl HandedSocket {
    /// What that descriptor is.
    ///
    /// # Errors
    /// It does not listen for streams.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()));
        let socket = SockRef::from(&descriptor);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return wrong("it is no socket that listens for streams");
        }
        let name = socket.local_addr()?;
        let address = name.as_socket();
        if address.is_none() && !name.is_unix() {
            return wrong("it is a socket of neither TCP nor a path");
        }
        Ok(Self {
            descriptor: Arc::new(descriptor),
            address,
        })
    }

    /// Another descriptor of it.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }
}

impl PartialEq for HandedSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.descriptor, &other.descriptor)
    }
}

impl Eq for HandedSocket {}
