//! Carries out a script over real sockets, against a server on a real engine in another thread.

use crate::certificates::{Certificates, Mutual};
use crate::script::{Act, Look, Script, get};
use crate::transport::Transport;
use crate::{Engine, Harness, Setup};
use ringstorm::engine::{self, EngineConfig, EngineError, Listeners, Stop};
use ringstorm::server::{Apps, Config, Outcome, Server};
use ringstorm::tls::{Role, Tls};
use rustls::ClientConfig;
use rustls::version::TLS13;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// How long any single act may take: longer than every deadline of the server.
const PATIENCE: Duration = Duration::from_secs(20);
/// No progress for so long means that the server has stopped reading.
const STUCK: Duration = Duration::from_millis(300);
/// Bytes that a server without backpressure would take.
const FLOOD: usize = 256 << 20;
/// More bytes than the kernel holds between one that talks and those that do not read.
const ENOUGH: usize = 48 << 20;

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

/// The harness of an engine with sockets.
pub(crate) struct OnSockets<E>(PhantomData<E>);

impl<E: Engine> Harness for OnSockets<E> {
    fn run_with<A: Apps>(setup: Setup, script: Script, apps: fn(&Config) -> A) -> Vec<Outcome> {
        play(setup, script, None, move |plan, config| {
            E::run(plan, move |core| {
                Server::with(core, config.clone(), apps(&config))
            })
        })
    }
}

/// The same with TLS: rustls speaks to the server.
pub(crate) struct OnTls<E>(PhantomData<E>);

impl<E: Engine> Harness for OnTls<E> {
    fn run_with<A: Apps>(setup: Setup, script: Script, apps: fn(&Config) -> A) -> Vec<Outcome> {
        let mutual = [Mutual::No, Mutual::Yes][usize::from(setup.cores > 1)];
        let role = CERTIFICATES.server(&TLS13, mutual);
        let anywhere = SocketAddr::from(([0; 4], 0));
        let client = CERTIFICATES.client(CERTIFICATES.roots(), "sim", anywhere);
        let Role::Client { config: client, .. } = client else {
            panic!("a client's")
        };
        let cap = setup.max_backlog;
        play(setup, script, Some(client), move |plan, config| {
            E::run(plan, move |core| {
                let server = Server::with(core, config.clone(), apps(&config));
                Tls::new(server, role.clone(), cap)
            })
        })
    }
}

/// Runs a server beside its clients.
fn play(
    setup: Setup,
    script: Script,
    secured: Option<Arc<ClientConfig>>,
    serve: impl FnOnce(EngineConfig, Config) -> Result<Vec<Outcome>, EngineError> + Send + 'static,
) -> Vec<Outcome> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut plan = EngineConfig::new(vec![0; setup.cores]);
    plan.listeners = Listeners::bind(&[loopback], setup.cores).expect("a free port");
    plan.max_backlog = setup.max_backlog;
    plan.slots = setup.slots;
    let address = plan.listeners.addresses()[0];
    let stop = plan.stop.clone();
    let mut config = setup.config;
    config.started = engine::now();
    let server = std::thread::spawn(move || serve(plan, config));
    let mut clients = Clients {
        address,
        secured,
        stop: stop.clone(),
        peers: BTreeMap::new(),
    };
    for (index, (peer, act)) in script.acts.into_iter().enumerate() {
        clients.act(index, peer, act);
    }
    drop(clients);
    stop.throw();
    server
        .join()
        .expect("no core panics")
        .expect("the engine runs")
}

struct Clients {
    address: SocketAddr,
    secured: Option<Arc<ClientConfig>>,
    stop: Stop,
    peers: BTreeMap<usize, Peer>,
}

struct Peer {
    stream: Transport,
    /// Bytes a second that it reads; `None` for all that come.
    pace: Option<u32>,
    /// Received and not used.
    unread: Vec<u8>,
}

impl Clients {
    fn act(&mut self, index: usize, peer: usize, act: Act) {
        let place = format!("act {index}, client {peer}");
        match act {
            Act::Send(bytes) => self.peer(peer).send(&bytes, &place),
            Act::Make(mut bytes) => self.peer(peer).send(&bytes(), &place),
            Act::Read { what, look } => self.peer(peer).read(&format!("{place}: {what}"), look),
            Act::Ended => self.peer(peer).ended(&place),
            Act::HalfClose => self.peer(peer).stream.end_half().expect(&place),
            Act::Cut(bytes) => self.peer(peer).stream.cut(&bytes).expect(&place),
            Act::RenewKeys => self.peer(peer).stream.renew_keys(),
            Act::Forge => self.peer(peer).stream.forge().expect(&place),
            Act::Pace(bytes_per_s) => self.peer(peer).pace(bytes_per_s),
            Act::Pump { bytes, reply } => self.peer(peer).pump(&bytes, &reply, &place),
            Act::Poll { path, wanted } => self.poll(path, wanted, &place),
            Act::Flood {
                peers,
                talkers,
                bytes,
                times,
            } => {
                std::thread::scope(|scope| {
                    for (index, peer) in self.peers.range_mut(..peers) {
                        let mut stream = peer.stream.socket().try_clone().expect(&place);
                        let (bytes, place) = (&bytes, &place);
                        if *index < talkers {
                            scope.spawn(move || {
                                (0..times).for_each(|_| stream.write_all(bytes).expect(place));
                            });
                        }
                        scope.spawn(move || peer.frames(talkers * times, place));
                    }
                });
            }
            Act::Leave => drop(self.peers.remove(&peer)),
            Act::Overwhelm { talkers, bytes } => self.overwhelm(&talkers, &bytes),
            Act::Wait(span) => std::thread::sleep(span),
            Act::Stop => self.stop.throw(),
        }
    }

    fn peer(&mut self, peer: usize) -> &mut Peer {
        let connect = || Peer::connect(self.address, self.secured.as_ref());
        self.peers.entry(peer).or_insert_with(connect)
    }

    /// Writes until nobody's bytes are taken any more.
    fn overwhelm(&mut self, talkers: &[usize], bytes: &[u8]) {
        let mut sent = vec![0; talkers.len()];
        let mut moved = Instant::now();
        while moved.elapsed() < STUCK {
            for (talker, sent) in talkers.iter().zip(&mut sent) {
                // One that the server has ended takes no more, or has it thrown away for a while.
                if *sent > ENOUGH {
                    continue;
                }
                let mut stream = self.peers[talker].stream.socket();
                stream.set_nonblocking(true).expect("an option");
                if let Ok(count) = stream.write(&bytes[*sent % bytes.len()..]) {
                    (*sent, moved) = (*sent + count, Instant::now());
                }
            }
        }
    }

    fn poll(&self, path: &str, mut wanted: Box<dyn FnMut(&str) -> bool + Send>, place: &str) {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < until {
            let mut peer = Peer::connect(self.address, self.secured.as_ref());
            let request = get(path).replace("Host", "Connection: close\r\nHost");
            peer.send(request.as_bytes(), place);
            let mut answer = String::new();
            peer.stream.read_to_string(&mut answer).expect(place);
            let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
            if wanted(body) {
                return;
            }
            last = body.to_owned();
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{place}: asked {path} in vain: {last}");
    }
}

impl Peer {
    fn connect(address: SocketAddr, secured: Option<&Arc<ClientConfig>>) -> Self {
        let stream = Transport::connect(address, secured);
        stream.set_patience(PATIENCE);
        Self {
            stream,
            pace: None,
            unread: Vec::new(),
        }
    }

    /// Reads at that pace from now on, and lets the kernel take little ahead of it.
    fn pace(&mut self, bytes_per_s: u32) {
        let socket = socket2::SockRef::from(self.stream.socket());
        socket.set_recv_buffer_size(64 * 1024).expect("an option");
        self.pace = Some(bytes_per_s);
    }

    fn send(&mut self, bytes: &[u8], place: &str) {
        self.stream.write_all(bytes).expect(place);
        self.stream.flush().expect(place);
    }

    fn read(&mut self, place: &str, mut look: Look) {
        loop {
            if let Some(used) = look(&self.unread) {
                self.unread.drain(..used);
                return;
            }
            match self.more() {
                Ok(0) => panic!("{place}: ended after {:?}", self.text()),
                Ok(_) => {}
                Err(error) => panic!("{place}: {error} after {:?}", self.text()),
            }
        }
    }

    /// Sees the server's end, and then ends its own stream as a client does.
    fn ended(&mut self, place: &str) {
        match self.more() {
            Ok(0) => {}
            // A server that ends while bytes are under way to it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(_) => {}
            Err(error) => panic!("{place}: {error}"),
        }
        assert!(
            self.unread.is_empty(),
            "{place}: {:?} came before the end",
            self.text()
        );
        let _ = self.stream.socket().shutdown(Shutdown::Both);
    }

    /// Receives once.
    fn more(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        if let Some(pace) = self.pace {
            let count = u32::try_from(count).expect("a buffer's worth");
            std::thread::sleep(Duration::from_secs(1) * count / pace);
        }
        Ok(count)
    }

    /// Reads so many frames, of any length: some megabytes a second.
    fn frames(&mut self, mut count: usize, place: &str) {
        while count > 0 {
            let length = match self.unread.as_slice() {
                [_, 127, length @ ..] => length
                    .first_chunk()
                    .map(|it| usize::try_from(u64::from_be_bytes(*it)).expect("a length") + 10),
                [_, 126, length @ ..] => {
                    let length = length.first_chunk();
                    length.map(|it| usize::from(u16::from_be_bytes(*it)) + 4)
                }
                [_, length, ..] => Some(usize::from(*length) + 2),
                _ => None,
            };
            match length.filter(|length| *length <= self.unread.len()) {
                Some(length) => {
                    assert_eq!(self.unread[0], 0x81, "{place}: {}", self.text());
                    self.unread.drain(..length);
                    count -= 1;
                }
                None => {
                    std::thread::sleep(Duration::from_millis(1));
                    assert_ne!(self.more().expect(place), 0, "{place}: {count} are missing");
                }
            }
        }
    }

    fn pump(&mut self, bytes: &[u8], reply: &[u8], place: &str) {
        self.stream
            .socket()
            .set_nonblocking(true)
            .expect("a socket option");
        let (mut sent, mut moved) = (0, Instant::now());
        while moved.elapsed() < STUCK {
            match self.stream.write(&bytes[sent % bytes.len()..]) {
                Ok(count) => (sent, moved) = (sent + count, Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{place}: {error}"),
            }
            assert!(sent < FLOOD, "{place}: the server reads without end");
        }
        let count = sent.div_ceil(bytes.len());
        let mut got = self.unread.len();
        while got < count * reply.len() {
            let rest = count * bytes.len() - sent;
            if rest > 0
                && let Ok(count) = self.stream.write(&bytes[bytes.len() - rest..])
            {
                sent += count;
            }
            match self.more() {
                Ok(0) => panic!("{place}: ended after {got} bytes"),
                Ok(_) => moved = Instant::now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("{place}: {error}"),
            }
            for byte in self.unread.drain(..) {
                assert_eq!(byte, reply[got % reply.len()], "{place}: byte {got}");
                got += 1;
            }
            assert!(
                moved.elapsed() < PATIENCE,
                "{place}: stalled after {got} bytes"
            );
        }
        assert_eq!(got, count * reply.len(), "{place}");
        self.stream
            .socket()
            .set_nonblocking(false)
            .expect("a socket option");
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.unread[..self.unread.len().min(400)]).into_owned()
    }
}
