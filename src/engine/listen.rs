//! Listening sockets: one per address and core (`SO_REUSEPORT`), options set where accepted
//! connections inherit them; of a path, or of whoever started the process, one that cores share.

mod given;
mod handed;
mod path;
mod socket;

use super::EngineError;
use crate::limits;
use crate::shard::Core;
pub use given::{GivenSockets, InHandover};
pub use handed::HandedSocket;
pub use path::SocketFile;
pub use socket::ListenSocket;
pub(in crate::engine) use socket::ListenStream;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::fmt;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often a port in use is tried again.
const PROBES: u32 = 20;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Where peers at a path come from, as far as limits and logs go: this host.
pub(super) const OF_UNIX: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenPlace {
    /// An address; port 0 picks a free port.
    Address(SocketAddr),
    /// A path (unix(7)), with the permissions of its file as chmod(1) has them.
    Path(PathBuf, u32),
    /// A socket that listens already.
    Handed(HandedSocket),
}

/// Bound listening sockets, a set per core, in the order of their places.
#[derive(Debug)]
pub struct Listeners {
    per_core: Vec<Vec<ListenSocket>>,
    places: Vec<ListenPlace>,
    /// The places as they were asked for, port 0 included.
    asked: Vec<ListenPlace>,
    files: Vec<SocketFile>,
    handover: InHandover,
}

impl Listeners {
    /// No listener for any of so many cores.
    #[must_use]
    pub fn none(cores: usize) -> Self {
        Self {
            per_core: (0..cores).map(|_| Vec::new()).collect(),
            places: Vec::new(),
            asked: Vec::new(),
            files: Vec::new(),
            handover: InHandover::default(),
        }
    }

    /// Binds every address once per core. Port 0 picks a free port, the same on every core.
    ///
    /// # Errors
    /// [`EngineError::Os`] that names the address and the remedy.
    pub fn bind(addresses: &[SocketAddr], cores: usize) -> Result<Self, EngineError> {
        let places: Vec<_> = addresses
            .iter()
            .copied()
            .map(ListenPlace::Address)
            .collect();
        Self::open(&places, cores)
    }

    /// Listens everywhere: at an address with a socket of each core's own, elsewhere with one that
    /// the cores share.
    ///
    /// # Errors
    /// [`EngineError::Os`] that names the place and the remedy.
    pub fn open(places: &[ListenPlace], cores: usize) -> Result<Self, EngineError> {
        Self::take_over(places, cores, &mut Vec::new())
    }

    /// The same with the sockets that another process has given, as far as they are for these
    /// places; the rest stays in `given`.
    ///
    /// # Errors
    /// [`EngineError`] that names the place and the remedy.
    pub fn take_over(
        places: &[ListenPlace],
        cores: usize,
        given: &mut Vec<GivenSockets>,
    ) -> Result<Self, EngineError> {
        let mut all = Self::none(cores);
        if !given.is_empty() {
            all.handover.begin();
        }
        let addresses: Vec<SocketAddr> = places.iter().filter_map(ListenPlace::address).collect();
        for place in places {
            let sockets = GivenSockets::of(&place.to_string(), given);
            sockets
                .iter()
                .try_for_each(given::check)
                .map_err(|source| no_more(place, source))?;
            let place = match place {
                &ListenPlace::Address(wanted) => {
                    let family = Family::of(wanted, &addresses);
                    ListenPlace::Address(all.bind_each(wanted, family, sockets)?)
                }
                ListenPlace::Path(path, mode) => {
                    let (listener, file) = match sockets.into_iter().next() {
                        Some(socket) => (socket.into(), path::adopt(path, &all.handover)?),
                        None => path::listen(path, *mode)?,
                    };
                    all.share(ListenSocket::unix(listener))
                        .map_err(|source| no_more(place, source))?;
                    all.files.push(file);
                    place.clone()
                }
                ListenPlace::Handed(socket) => {
                    all.take(socket).map_err(|source| no_more(place, source))?;
                    place.clone()
                }
            };
            all.places.push(place);
        }
        all.asked = places.to_vec();
        Ok(all)
    }

    /// A socket of each core at an address, those first that were given: the address as bound.
    fn bind_each(
        &mut self,
        wanted: SocketAddr,
        family: Family,
        given: Vec<OwnedFd>,
    ) -> Result<SocketAddr, EngineError> {
        let mut address = wanted;
        let (count, cores) = (given.len(), self.per_core.len());
        match count {
            // Without SO_REUSEPORT first: another process on that port must be an error,
            // not a silent share of its connections.
            0 => probe(wanted, family).map_err(|source| refused(wanted, source))?,
            // Connections would wait in the queues of the others for ever.
            _ if count > cores => return Err(too_few(wanted, (count, cores))),
            _ => {}
        }
        let mut given = given.into_iter();
        let handover = self.handover.clone();
        for set in &mut self.per_core {
            let listener = match given.next() {
                Some(socket) => configured(socket.into()),
                None => listen(address, family),
            };
            let listener = listener.map_err(|source| refused(address, source))?;
            address = listener
                .local_addr()
                .map_err(|source| refused(address, source))?;
            set.push(ListenSocket::from(listener).with(&handover));
        }
        Ok(address)
    }

    /// Another descriptor of each socket that was made here, for another process.
    ///
    /// # Errors
    /// The kernel's: no descriptor is free.
    pub fn copies(&self) -> io::Result<Vec<GivenSockets>> {
        let mut all = Vec::new();
        for (number, place) in self.asked.iter().enumerate() {
            if matches!(place, ListenPlace::Handed(_)) {
                continue;
            }
            let mut sockets = Vec::new();
            for set in &self.per_core {
                let listener = set.get(number);
                // One that the cores share is the same for all.
                let listener = listener.filter(|it| sockets.is_empty() || !it.is_shared());
                if let Some(listener) = listener {
                    sockets.push(listener.as_fd().try_clone_to_owned()?);
                }
            }
            all.push(GivenSockets {
                place: place.to_string(),
                sockets,
            });
        }
        Ok(all)
    }

    /// What says whether another process accepts at them too.
    #[must_use]
    pub const fn handover(&self) -> &InHandover {
        &self.handover
    }

    /// A socket that listens already, for all cores.
    fn take(&mut self, socket: &HandedSocket) -> io::Result<()> {
        let listener = ListenSocket::shared(socket.descriptor()?)?;
        if let Some(tcp) = listener.tcp() {
            let socket = SockRef::from(tcp);
            socket.set_tcp_nodelay(true)?;
            watch(&socket, limits::GONE_TIME)?;
        }
        self.share(listener)
    }

    /// A descriptor of it for each core.
    fn share(&mut self, listener: ListenSocket) -> io::Result<()> {
        let listener = listener.with(&self.handover);
        let mut sets = self.per_core.iter_mut();
        sets.try_for_each(|set| {
            set.push(listener.another()?);
            Ok(())
        })
    }

    /// The places, ports filled in.
    #[must_use]
    pub fn places(&self) -> &[ListenPlace] {
        &self.places
    }

    /// The addresses among them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places
            .iter()
            .filter_map(ListenPlace::address)
            .collect()
    }

    /// The files of sockets at paths, which go with what this gives.
    #[must_use]
    pub fn take_files(&mut self) -> Vec<SocketFile> {
        std::mem::take(&mut self.files)
    }

    /// Every socket with an address: its core, its address, and the inode by which the kernel lists
    /// it. One that cores share is the first core's.
    ///
    /// # Errors
    /// The kernel's, of a descriptor that is open: not to be expected.
    pub fn sockets(&self) -> io::Result<Vec<(Core, SocketAddr, u64)>> {
        let mut sockets = Vec::new();
        for (core, set) in (0..).map(Core).zip(&self.per_core) {
            for (listener, place) in set.iter().zip(&self.places) {
                let Some(address) = place.address() else {
                    continue;
                };
                if listener.is_shared() && core != Core(0) {
                    continue;
                }
                let file = File::from(listener.as_fd().try_clone_to_owned()?);
                sockets.push((core, address, file.metadata()?.ino()));
            }
        }
        Ok(sockets)
    }

    /// Takes peers for gone that give no sign of life for so long ([`limits::GONE_TIME`] without
    /// it), for all connections that are accepted from now on; whole seconds, at least one.
    ///
    /// # Errors
    /// The kernel's, of a socket that is open: not to be expected.
    pub fn give_up_after(&self, span: Duration) -> io::Result<()> {
        let all = self.per_core.iter().flatten();
        let mut all = all.filter_map(ListenSocket::tcp);
        all.try_for_each(|listener| watch(&SockRef::from(listener), span))
    }

    /// Takes the sockets apart, a set per core.
    #[must_use]
    pub fn into_cores(self) -> Vec<Vec<ListenSocket>> {
        self.per_core
    }
}

impl ListenPlace {
    /// Its address, if it has one.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Path(..) => None,
            Self::Handed(socket) => socket.address,
        }
    }
}

impl fmt::Display for ListenPlace {
    /// The address, or `unix:PATH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path, _) => write!(f, "unix:{}", path.display()),
            Self::Handed(socket) => match socket.address {
                Some(address) => address.fmt(f),
                None => f.write_str("unix:handed over"),
            },
        }
    }
}

/// A socket of a place that another process has given, as if it were made here.
fn configured(listener: TcpListener) -> io::Result<TcpListener> {
    let socket = SockRef::from(&listener);
    socket.set_tcp_nodelay(true)?;
    watch(&socket, limits::GONE_TIME)?;
    Ok(listener)
}

fn too_few(address: SocketAddr, (given, cores): (usize, usize)) -> EngineError {
    EngineError::Unsupported {
        what: format!(
            "the server that runs has {given} sockets at {address}, one for each of its cores, and \
             this one has {cores}"
        ),
        remedy: "--cores with as many as before or more, or a restart".to_owned(),
    }
}

fn no_more(place: &ListenPlace, source: io::Error) -> EngineError {
    EngineError::Os {
        operation: format!("cannot listen at {place}"),
        source,
        remedy: "more descriptors (ulimit -n), or another --listen".to_owned(),
    }
}

/// Which peers a socket of an IPv6 address takes.
#[derive(Clone, Copy)]
enum Family {
    Both,
    /// So that an IPv4 address with the same port can be given beside it.
    OnlyIpv6,
}

impl Family {
    /// What is meant by an address among all that are given: `[::]` alone takes IPv4 too, as users
    /// of other servers expect, whatever `net.ipv6.bindv6only` says.
    fn of(address: SocketAddr, all: &[SocketAddr]) -> Self {
        let same = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
        if all.iter().any(same) {
            Self::OnlyIpv6
        } else {
            Self::Both
        }
    }
}

fn socket(address: SocketAddr, family: Family) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(matches!(family, Family::OnlyIpv6))?;
    }
    Ok(socket)
}

/// Finds out whether another process holds the port. Patient for a moment: the kernel takes a ring
/// and its listeners down some time after the process that had them is gone.
fn probe(address: SocketAddr, family: Family) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    for _ in 0..PROBES {
        match socket(address, family)?.bind(&address.into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
            bound => return bound,
        }
    }
    socket(address, family)?.bind(&address.into())
}

fn listen(address: SocketAddr, family: Family) -> io::Result<TcpListener> {
    let socket = socket(address, family)?;
    socket.set_reuse_port(true)?;
    // Accepted connections inherit it: no system call per accept.
    socket.set_tcp_nodelay(true)?;
    watch(&SockRef::from(&socket), limits::GONE_TIME)?;
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG.cast_signed())?;
    Ok(socket.into())
}

/// Has the kernel find out about peers that vanish; accepted connections inherit it.
///
/// tcp(7), `TCP_USER_TIMEOUT`: it ends a connection whose data is not acknowledged, whose window
/// stays shut, or, with keepalive, whose peer does not answer: the number of probes then means
/// nothing (net/ipv4/tcp_timer.c, `tcp_keepalive_timer`).
fn watch(socket: &SockRef<'_>, span: Duration) -> io::Result<()> {
    let second = Duration::from_secs(1);
    let keepalive = TcpKeepalive::new()
        .with_time(span.max(second))
        .with_interval((span / 6).max(second));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(span))
}

fn refused(address: SocketAddr, source: io::Error) -> EngineError {
    let remedy = match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another port, or `ss -ltnp sport = :{}` to see who has it",
                address.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => "an address of this host: see `ip addr`".to_owned(),
        io::ErrorKind::PermissionDenied => "a port above 1023, or CAP_NET_BIND_SERVICE".to_owned(),
        _ => "another --listen address".to_owned(),
    };
    EngineError::Os {
        operation: format!("cannot listen on {address}"),
        source,
        remedy,
    }
}
