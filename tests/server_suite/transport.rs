//! A client's end of a connection: the socket as it is, or rustls around it.

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A connected client.
pub(crate) enum Transport {
    Plain(TcpStream),
    Secured(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Transport {
    /// Connects, with TLS if there is a configuration for it.
    pub(crate) fn connect(to: SocketAddr, secured: Option<&Arc<ClientConfig>>) -> Self {
        let socket = TcpStream::connect(to).expect("the server accepts");
        socket.set_nodelay(true).expect("a socket option");
        let Some(config) = secured else {
            return Self::Plain(socket);
        };
        let name = "sim".try_into().expect("a name");
        let session = ClientConnection::new(Arc::clone(config), name).expect("a session");
        Self::Secured(Box::new(StreamOwned::new(session, socket)))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Secured(stream) => &stream.sock,
        }
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        let socket = self.socket();
        socket.set_read_timeout(Some(patience)).expect("an option");
        socket.set_write_timeout(Some(patience)).expect("an option");
    }

    /// Ends the client's half: with TLS by `close_notify` and then a FIN.
    pub(crate) fn end_half(&mut self) -> io::Result<()> {
        if let Self::Secured(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Sends all but the last byte of what these bytes are on the wire, then a FIN alone.
    pub(crate) fn cut(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wire = match self {
            Self::Plain(_) => bytes.to_vec(),
            Self::Secured(stream) => {
                let mut wire = Vec::new();
                stream.conn.writer().write_all(bytes)?;
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut wire)?;
                }
                wire
            }
        };
        let mut socket = self.socket();
        socket.write_all(&wire[..wire.len() - 1])?;
        socket.shutdown(Shutdown::Write)
    }

    /// Sends what looks like a record and does not decrypt.
    pub(crate) fn forge(&mut self) -> io::Result<()> {
        let mut record = vec![23, 3, 3, 0, 64];
        record.resize(5 + 64, 0);
        self.socket().write_all(&record)
    }

    /// Takes a new key, and asks the server for one of its own (RFC 8446, 4.6.3).
    pub(crate) fn renew_keys(&mut self) {
        if let Self::Secured(stream) = self {
            stream.conn.refresh_traffic_keys().expect("TLS 1.3");
        }
    }
}

impl Read for Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Secured(stream) => stream.read(into),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Secured(stream) => stream.flush(),
        }
    }
}
