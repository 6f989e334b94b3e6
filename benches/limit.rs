//! The limit: a bare TCP echo on io_uring that parses nothing, keeps nothing and checks nothing.
//!
//! `limit --port 9100` answers every receive with one send straight from the receive buffer;
//! `--coalesce` with one send per connection and turn; `--bulk` receives again only once the send
//! is done, as what is larger than a socket's buffer needs. `scripts/bench` drives it.
#![expect(unsafe_code, reason = "a bare ring, to compare the engine with")]

mod ring;

use clap::Parser;
use io_uring::types::{Fd, Fixed};
use io_uring::{cqueue, opcode, squeue};
use ring::{Kind, Ring};
use socket2::{Domain, Protocol, Socket, Type};
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// One send per connection and turn, from a buffer of the connection.
    #[arg(long)]
    coalesce: bool,
    /// One receive, then one send of what it brought, then the next receive.
    #[arg(long, conflicts_with = "coalesce")]
    bulk: bool,
    /// Connections at once.
    #[arg(long, default_value_t = 19_000)]
    slots: u32,
    /// Receive buffers, a power of two.
    #[arg(long, default_value_t = 1024)]
    buffers: u16,
    /// Bytes of one receive buffer.
    #[arg(long, default_value_t = 256)]
    buffer_bytes: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` and `cargo test --benches` start every bench program; this one is not timed.
    if std::env::args().any(|arg| arg == "--bench") || std::env::args().len() == 1 {
        return Ok(());
    }
    let options = Options::parse();
    let listener = listen(options.port)?;
    let ring = Ring::new(options.buffers, options.buffer_bytes)?;
    ring.submitter().register_files_sparse(options.slots)?;
    Echo {
        ring,
        listener,
        free: usize::from(options.buffers),
        sent: Vec::new(),
        starved: Vec::new(),
        outbound: options.coalesce.then(|| Outbound::new(options.slots)),
        lent: options.bulk.then(|| vec![0; options.slots as usize]),
    }
    .run()?;
    Ok(())
}

struct Echo {
    ring: Ring,
    listener: Socket,
    /// Receive buffers that the kernel has.
    free: usize,
    /// Receive buffers that the sends of this turn read from.
    sent: Vec<u16>,
    /// Connections whose receive ended for want of a buffer.
    starved: Vec<u32>,
    outbound: Option<Outbound>,
    /// The buffer that each connection's send reads from, where one receive follows one send.
    lent: Option<Vec<u16>>,
}

/// What is queued for each connection in this turn.
struct Outbound {
    queued: Vec<Vec<u8>>,
    dirty: Vec<u32>,
}

impl Outbound {
    fn new(slots: u32) -> Self {
        Self {
            queued: (0..slots).map(|_| Vec::new()).collect(),
            dirty: Vec::new(),
        }
    }

    fn queue(&mut self, connection: u32, bytes: &[u8]) {
        let queued = &mut self.queued[connection as usize];
        if queued.is_empty() {
            self.dirty.push(connection);
        }
        queued.extend_from_slice(bytes);
    }

    fn flush(&mut self, ring: &mut Ring) -> io::Result<()> {
        for connection in self.dirty.drain(..) {
            let queued = &mut self.queued[connection as usize];
            ring.send(connection, queued)?;
            // The bytes stay where they are until the next turn queues others, after the send.
            queued.clear();
        }
        Ok(())
    }
}

impl Echo {
    fn run(mut self) -> io::Result<()> {
        let mut done = Vec::new();
        self.accept()?;
        loop {
            self.ring.turn(None, &mut done)?;
            for buffer in self.sent.drain(..) {
                self.ring.buffers.give_back(buffer);
                self.free += 1;
            }
            for completion in &done {
                self.completed(completion)?;
            }
            if let Some(outbound) = &mut self.outbound {
                outbound.flush(&mut self.ring)?;
            }
            self.ring.buffers.publish();
            // As many as there are buffers: to arm all of the starved at once is a livelock.
            let armed = self.starved.len().min(self.free);
            for connection in self.starved.drain(..armed) {
                receive(&mut self.ring, self.lent.is_some(), connection)?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd()))
            .allocate_file_index(true)
            .build();
        self.ring.push(&accept.user_data(Kind::Accept.on(0)))
    }

    fn completed(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let (kind, connection) = Kind::of(completion);
        match (kind, u32::try_from(completion.result())) {
            (Kind::Accept, accepted) => {
                if let Ok(slot) = accepted {
                    receive(&mut self.ring, self.lent.is_some(), slot)?;
                }
                if !cqueue::more(completion.flags()) {
                    self.accept()?;
                }
                Ok(())
            }
            (Kind::Receive, Ok(length)) if length > 0 => {
                self.received(connection, length as usize, completion.flags())
            }
            (Kind::Receive, Err(_)) if completion.result() == -libc::ENOBUFS => {
                self.starved.push(connection);
                Ok(())
            }
            (Kind::Receive, _) => {
                let close = opcode::Close::new(Fixed(connection)).build();
                self.ring.push(&close.user_data(Kind::Close.on(connection)))
            }
            (Kind::Send, sent) => self.sent(connection, sent.is_ok()),
            (Kind::Close, _) => Ok(()),
        }
    }

    fn received(&mut self, connection: u32, length: usize, flags: u32) -> io::Result<()> {
        let buffer = cqueue::buffer_select(flags).expect("a receive of bytes has a buffer");
        let bytes = self.ring.buffers.received(buffer, length);
        if let Some(lent) = &mut self.lent {
            lent[connection as usize] = buffer;
            self.free -= 1;
            return send_all(&mut self.ring, connection, bytes);
        }
        if let Some(outbound) = &mut self.outbound {
            outbound.queue(connection, bytes);
            self.ring.buffers.give_back(buffer);
        } else {
            self.ring.send(connection, bytes)?;
            self.sent.push(buffer);
            self.free -= 1;
        }
        if !cqueue::more(flags) {
            self.ring.receive(connection)?;
        }
        Ok(())
    }

    /// A send is over: of those that end silently only one that failed, whose connection's receive
    /// ends as well.
    fn sent(&mut self, connection: u32, well: bool) -> io::Result<()> {
        if let Some(lent) = &self.lent {
            self.ring.buffers.give_back(lent[connection as usize]);
            self.free += 1;
            if well {
                return receive(&mut self.ring, true, connection);
            }
        }
        Ok(())
    }
}

/// Queues a receive: one, or one for all that comes.
fn receive(ring: &mut Ring, once: bool, connection: u32) -> io::Result<()> {
    if !once {
        return ring.receive(connection);
    }
    let receive = opcode::Recv::new(Fixed(connection), std::ptr::null_mut(), 0)
        .buf_group(ring::GROUP)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT);
    ring.push(&receive.user_data(Kind::Receive.on(connection)))
}

/// Queues a send that completes when all of it is taken.
fn send_all(ring: &mut Ring, connection: u32, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let send = opcode::Send::new(Fixed(connection), bytes.as_ptr(), length)
        .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build();
    ring.push(&send.user_data(Kind::Send.on(connection)))
}

fn listen(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket)
}
