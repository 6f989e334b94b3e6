//! A core that panics in the middle of a run: the others end, and the run says which core it was.

use crate::engine::Engine;
use crate::script::{masked, upgrade};
use crate::{Ring, Tokio};
use ringstorm::app::{App, Effects, Message, Reach, Seat, User};
use ringstorm::engine::{EngineConfig, Listeners};
use ringstorm::protocol::websocket::Opcode;
use ringstorm::server::{BuiltIn, Config, Mounted, Route, Server, built_in};
use ringstorm::shard::Core;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

const CORES: usize = 2;

/// Tells each user which core it is on, and fails when somebody says so.
#[derive(Default)]
struct Fragile(u16);

impl App for Fragile {
    type Batch = Vec<()>;
    const REACH: Reach = Reach::Replies;

    fn started(&mut self, here: Core, _: u16) {
        self.0 = here.0;
    }

    fn said(&mut self, _: User, _: Seat, said: Message<'_>, effects: &mut impl Effects<Vec<()>>) {
        assert_ne!(said.bytes, b"fail", "on purpose");
        let text = self.0.to_string();
        effects.reply(Message {
            bytes: text.as_bytes(),
            ..said
        });
    }
}

fn applications(config: &Config) -> Mounted<Fragile, BuiltIn> {
    const ROUTE: Route = Route::websocket("/fragile", "fails when somebody says so");
    Mounted::new(Fragile::default(), &[ROUTE], built_in(config))
}

/// A WebSocket, and the core that it is on.
fn user(address: SocketAddr) -> (TcpStream, u16) {
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    peer.write_all(upgrade("/fragile").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    peer.write_all(&masked(Opcode::Text, b"where?")).unwrap();
    let mut frame = [0; 3];
    peer.read_exact(&mut frame).unwrap();
    (peer, u16::from(frame[2] - b'0'))
}

fn a_core_that_panics_is_named_and_ends_the_others<E: Engine>() {
    for failing in [0, 1] {
        let mut plan = EngineConfig::new(vec![0; CORES]);
        plan.listeners = Listeners::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], CORES).unwrap();
        plan.slots = 64;
        let address = plan.listeners.addresses()[0];
        let drain = Duration::from_secs(2);
        let started = ringstorm::engine::now();
        // RFC 6455, 7.4.1 and IANA's registry: 1001, it goes away; 1012, it begins anew.
        let (is_restarted, code) = match failing {
            0 => (false, [0x03, 0xe9]),
            _ => (true, [0x03, 0xf4]),
        };
        let config = Config {
            drain,
            is_restarted,
            ..Config::new("test", started)
        };
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            let make = move |core| Server::with(core, config.clone(), applications(&config));
            sender.send(E::run(plan, make)).unwrap();
        });
        // Until there are two on each core: the kernel chooses.
        let mut users: [Vec<TcpStream>; CORES] = Default::default();
        while users.iter().any(|users| users.len() < 2) {
            let (peer, core) = user(address);
            users[usize::from(core)].push(peer);
        }
        users[failing][0]
            .write_all(&masked(Opcode::Text, b"fail"))
            .unwrap();
        // The others are told.
        for mut peer in users.into_iter().nth(1 - failing).unwrap() {
            let mut frame = [0; 4];
            peer.read_exact(&mut frame).unwrap();
            assert_eq!(frame, [0x88, 2, code[0], code[1]]);
            peer.write_all(&masked(Opcode::Close, &code)).unwrap();
            let end = peer.read(&mut frame);
            let is_over = |kind| kind == ErrorKind::ConnectionReset;
            assert!(matches!(&end, Ok(0)) || is_over(end.unwrap_err().kind()));
        }
        let end = ended.recv_timeout(drain + Duration::from_secs(20));
        let error = end.expect("nobody hangs").expect_err("a panic").to_string();
        let named = format!("core {failing} panicked: ");
        assert!(
            error.starts_with(&named) && error.contains("on purpose"),
            "{error}"
        );
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_core_that_panics_is_named_and_ends_the_others_on_ring() {
    a_core_that_panics_is_named_and_ends_the_others::<Ring>();
}

#[test]
fn a_core_that_panics_is_named_and_ends_the_others_on_tokio() {
    a_core_that_panics_is_named_and_ends_the_others::<Tokio>();
}
