//! A blocking connection, plain or with TLS, for those who need one only.

use super::proxy::Way;
use super::tls;
use super::url::{Security, Url};
use crate::proxy::{Passage, ProxyRoute, Tunnel};
use crate::report::remedy;
use crate::shard::ProxyFault;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// RFC 8305, 5: so long one address may keep the next one waiting.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// What a client needs to secure a connection.
#[derive(Clone, Debug)]
pub(super) struct Securing {
    pub(super) config: Arc<ClientConfig>,
    /// What the server is to be called, where that is not the URL's host.
    pub(super) name: Option<ServerName<'static>>,
}

/// A connection.
pub(super) enum Socket {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// Connects to the first of those addresses of the URL's host that answers, or through a
    /// proxy, and secures the connection if the URL wants it.
    pub(super) fn connect(
        url: &Url,
        way: &Way,
        securing: Option<&Securing>,
        by: Instant,
    ) -> Result<Self, String> {
        let whom = way.route.as_ref().map_or("", |_| "the proxy ");
        let (mut tcp, address) = first_of(&way.addresses, by).map_err(|(address, error)| {
            let remedy = match error.kind() {
                ErrorKind::ConnectionRefused if way.route.is_some() => remedy::PROXY_REFUSED,
                ErrorKind::ConnectionRefused => remedy::REFUSED,
                ErrorKind::TimedOut => remedy::TIMED_OUT,
                _ => "another URL",
            };
            format!("cannot connect to {whom}{address}: {error}; try: {remedy}")
        })?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        if let Some(route) = &way.route {
            dig(&mut tcp, route, by).map_err(|why| format!("the proxy {address}: {why}"))?;
        }
        match (url.security, securing) {
            (Security::Plain, _) => Ok(Self::Plain(tcp)),
            (Security::Tls, None) => Err(format!("{url}: TLS was not set up for it")),
            (Security::Tls, Some(securing)) => {
                let secured = secure(tcp, url, securing, by);
                secured.map_err(|why| format!("TLS with {address}: {why}"))
            }
        }
    }

    /// The TCP connection, for time-outs.
    pub(super) const fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(stream) => &stream.sock,
        }
    }

    /// Version and cipher, if it is secured.
    pub(super) fn terms(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Secure(stream) => {
                let version = stream.conn.protocol_version()?;
                let suite = stream.conn.negotiated_cipher_suite()?.suite();
                Some(format!("{version:?}, {suite:?}"))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Secure(stream) = self {
            stream.conn.send_close_notify();
            // Whoever has gone already does not need to hear it.
            let _ = stream.conn.write_tls(&mut stream.sock);
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            // Many servers leave `close_notify` out; what is inside has an end of its own.
            Self::Secure(stream) => match stream.read(into) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}

/// A connection to the first of several addresses that answers, or why the last one failed. RFC
/// 8305, 5: each has 250 ms, then the next one is tried beside it; at once where one has failed.
pub(super) fn first_of(
    addresses: &[SocketAddr],
    by: Instant,
) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    if let [address] = *addresses {
        let connected = TcpStream::connect_timeout(&address, left(by));
        return connected
            .map(|tcp| (tcp, address))
            .map_err(|error| (address, error));
    }
    let (tell, told) = channel();
    let (mut under_way, mut last) = (0, None);
    let mut next = addresses.iter().copied();
    loop {
        if let Some(address) = next.next() {
            let tell = tell.clone();
            // Whoever is late tells nobody, and its connection is closed.
            std::thread::spawn(move || {
                let connected = TcpStream::connect_timeout(&address, left(by));
                let _ = tell.send((address, connected));
            });
            under_way += 1;
        } else if under_way == 0 {
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            return Err(last.unwrap_or_else(|| (any, ErrorKind::AddrNotAvailable.into())));
        }
        let patience = if next.len() > 0 {
            ATTEMPT_DELAY
        } else {
            left(by) + ATTEMPT_DELAY
        };
        match told.recv_timeout(patience) {
            Ok((address, Ok(tcp))) => return Ok((tcp, address)),
            Ok((address, Err(error))) => {
                under_way -= 1;
                last = Some((address, error));
            }
            Err(_) => {}
        }
    }
}

/// Gets a tunnel from a proxy. It is read byte by byte: what follows is the server's.
fn dig(tcp: &mut TcpStream, route: &ProxyRoute, by: Instant) -> Result<(), String> {
    let mut says = Vec::new();
    let mut tunnel = Tunnel::begin(route, &mut says);
    let mut byte = [0];
    loop {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                "no answer in time; try: a longer --connect-timeout".to_owned()
            }
            _ => format!("{error}; try: {}", remedy::of_proxy("reset")),
        };
        tcp.set_read_timeout(Some(left(by)))
            .and_then(|()| tcp.set_write_timeout(Some(left(by))))
            .and_then(|()| tcp.write_all(&says))
            .map_err(failed)?;
        says.clear();
        let fault = match tcp.read(&mut byte) {
            Ok(0) => ProxyFault::Ended,
            Ok(_) => match tunnel.hear(&byte, &mut 0, &mut says) {
                Ok(Passage::Awaited) if Instant::now() < by => continue,
                Ok(Passage::Awaited) => return Err(failed(ErrorKind::TimedOut.into())),
                Ok(Passage::Open) => return Ok(()),
                Err(fault) => fault,
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        let remedy = remedy::of_proxy(&fault.to_string());
        return Err(format!("no tunnel to {route}: {fault}; try: {remedy}"));
    }
}

fn secure(
    mut tcp: TcpStream,
    url: &Url,
    securing: &Securing,
    by: Instant,
) -> Result<Socket, String> {
    let name = securing
        .name
        .clone()
        .map_or_else(|| url.server_name(), Ok)?;
    let conn = ClientConnection::new(Arc::clone(&securing.config), name);
    let mut conn = conn.map_err(|error| error.to_string())?;
    while conn.is_handshaking() {
        let timed = tcp
            .set_read_timeout(Some(left(by)))
            .and_then(|()| tcp.set_write_timeout(Some(left(by))));
        timed.map_err(|error| error.to_string())?;
        match conn.complete_io(&mut tcp) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(explained(&error)),
        }
    }
    Ok(Socket::Secure(Box::new(StreamOwned::new(conn, tcp))))
}

/// Why a handshake failed, and what to do about it.
fn explained(error: &io::Error) -> String {
    let found = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    let remedy = match (found, error.kind()) {
        (Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)), _) => {
            remedy::UNKNOWN_ISSUER
        }
        (
            Some(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )),
            _,
        ) => remedy::WRONG_NAME,
        (Some(Error::InvalidCertificate(CertificateError::Other(other))), _) => {
            return tls::explained(other);
        }
        (Some(Error::InvalidCertificate(_)), _) => remedy::BAD_CERTIFICATE,
        (Some(Error::InvalidMessage(_)), _) => remedy::NOT_TLS,
        (Some(Error::AlertReceived(_)), _) => remedy::ALERT,
        (_, ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return format!("no answer in time; try: {}", remedy::NOT_TLS);
        }
        (_, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => remedy::NOT_TLS,
        _ => "another URL",
    };
    format!("{error}; try: {remedy}")
}

/// What is left until then; the kernel takes a time of 0 for none at all.
pub(super) fn left(by: Instant) -> Duration {
    by.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn bound() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn closed() -> SocketAddr {
        bound().1
    }

    /// An address that does not answer: as many wait to be accepted there as may, and the kernel
    /// drops what comes beyond them (listen(2)).
    fn silent() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let (listener, address) = bound();
        let patience = Duration::from_millis(300);
        let waiting =
            (0..10_000).map_while(|_| TcpStream::connect_timeout(&address, patience).ok());
        (address, waiting.collect(), listener)
    }

    /// RFC 8305, 5.
    #[test]
    fn one_that_refuses_or_is_silent_makes_way_for_the_next_address() {
        let (listening, good) = bound();
        let (silent, _waiting, _full) = silent();
        let by = || Instant::now() + Duration::from_secs(20);
        for addresses in [
            vec![good],
            vec![closed(), good],
            vec![silent, good],
            vec![closed(), silent, closed(), good],
            vec![good, closed(), silent],
        ] {
            let (_, found) = first_of(&addresses, by()).unwrap();
            assert_eq!(found, good, "{addresses:?}");
            drop(listening.accept().unwrap());
        }
        for addresses in [vec![closed()], vec![closed(), closed()]] {
            let (last, error) = first_of(&addresses, by()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(addresses.contains(&last));
        }
        assert!(first_of(&[], by()).is_err());
    }
}
