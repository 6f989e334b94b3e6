//! Server against load client with TLS between them: what holds without it holds with it.

use crate::certificates::{Certificates, Mutual};
use crate::whole::{Draw, Sums, settle};
use ringstorm::engine::sim::{Conditions, Report, explore, run};
use ringstorm::load::failure::{Kind, Stage};
use ringstorm::load::outcome::Ending;
use ringstorm::load::{self, Load};
use ringstorm::server::{self, Server};
use ringstorm::shard::TlsFault;
use ringstorm::tls::{Role, Tls};
use rustls::RootCertStore;
use rustls::version::{TLS12, TLS13};
use std::sync::LazyLock;
use std::time::Duration;

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(Certificates::new);

fn secured(draw: &Draw, server: &Role, client: &Role) -> Report<server::Outcome, load::Outcome> {
    let cap = draw.plan.max_backlog;
    run(
        &draw.plan,
        |core| Tls::new(Server::new(core, draw.server.clone()), server.clone(), cap),
        |core| {
            Tls::new(
                Load::new(core, draw.load.clone(), None),
                client.clone(),
                cap,
            )
        },
    )
}

/// A run with TLS 1.3, or 1.2 for every third seed; with client certificates for every second.
fn ordinary(draw: &Draw, seed: u64) -> Report<server::Outcome, load::Outcome> {
    let version = if seed.is_multiple_of(3) {
        &TLS12
    } else {
        &TLS13
    };
    let mutual = [Mutual::No, Mutual::Yes][usize::from(seed.is_multiple_of(2))];
    let server = CERTIFICATES.server(version, mutual);
    let client = CERTIFICATES.client(CERTIFICATES.roots(), "sim", draw.plan.listeners[0]);
    secured(draw, &server, &client)
}

#[test]
fn in_calm_weather_nothing_is_lost() {
    explore(0..200, |seed| {
        let draw = Draw::new(seed, Conditions::calm());
        let Sums {
            load, tally, left, ..
        } = settle(&ordinary(&draw, seed));
        assert_eq!(load.failures.total(), 0, "{:?}", load.failures);
        assert_eq!(load.ending, Ending::Complete);
        let connections = u64::from(draw.load.connections);
        let connects = load.connects;
        assert_eq!((connects.up, connects.planned), (connections, connections));
        assert_eq!((connects.ended_early, connects.still_open), (0, 0));
        assert_eq!((tally.accepted, left), (connections, 0));
        assert_eq!(load.messages.lost, 0, "{:?}", load.messages);
        assert_eq!(load.latencies.tls.histogram().len(), connections);
    });
}

#[test]
fn with_faults_every_loss_has_one() {
    explore(0..200, |seed| {
        let conditions = Conditions {
            slow: 0.0,
            buffer_min: 16 * 1024,
            ..Conditions::rough()
        };
        let draw = Draw::new(seed, conditions);
        let Sums { load, faults, .. } = settle(&ordinary(&draw, seed));
        let connects = load.connects;
        assert!(
            connects.failed + connects.ended_early <= faults.total(),
            "{connects:?}, {:?}, but {faults:?}",
            load.failures
        );
        let most = (faults.resets + faults.silences) * u64::from(draw.load.in_flight);
        assert!(load.messages.lost <= most, "{:?}", load.messages);
    });
}

#[test]
fn in_rough_weather_with_small_caps_and_stops_everything_ends() {
    explore(0..200, |seed| {
        let mut draw = Draw::new(seed, Conditions::rough());
        let mut random = fastrand::Rng::with_seed(seed);
        draw.plan.slots = random.u32(1..12);
        draw.plan.max_backlog = random.usize(1_200_000..2_000_000);
        let mut within = || Duration::from_micros(random.u64(0..80_000));
        draw.plan.stop_loads = (seed.is_multiple_of(3)).then(&mut within);
        draw.plan.stop_servers_at = (seed.is_multiple_of(4)).then(&mut within);
        draw.server.drain = within() * 20;
        draw.load.grace = within();
        draw.load.close_time = within();
        draw.load.connect_phase = Duration::from_secs(5);
        settle(&ordinary(&draw, seed));
    });
}

#[test]
fn a_seed_is_a_run_although_every_key_is_another() {
    explore(0..20, |seed| {
        let runs = [(); 2].map(|()| ordinary(&Draw::new(seed, Conditions::rough()), seed));
        assert_eq!(runs[0].loads, runs[1].loads);
    });
}

/// What a run against that server with that client fails by, if all of it does.
fn failure(draw: &Draw, server: &Role, client: &Role) -> (u64, Vec<(Stage, Kind)>) {
    let Sums { load, tally, .. } = settle(&secured(draw, server, client));
    let kinds = load.failures.iter().map(|(stage, kind, _)| (stage, kind));
    (tally.closed.insecure, kinds.collect())
}

#[test]
fn whom_one_side_does_not_trust_is_counted_by_its_reason_on_both() {
    let certificates = &*CERTIFICATES;
    let mut draw = Draw::new(3, Conditions::calm());
    draw.load.connections = 4;
    draw.plan.stop_servers = Some(Duration::from_secs(1));
    let to = draw.plan.listeners[0];
    let server = certificates.server(&TLS13, Mutual::No);
    let stranger = Certificates::new();
    let cases = [
        (stranger.roots(), "sim", TlsFault::UnknownIssuer),
        (RootCertStore::empty(), "sim", TlsFault::UnknownIssuer),
        (certificates.roots(), "another", TlsFault::WrongName),
    ];
    for (roots, name, fault) in cases {
        let client = certificates.client(roots, name, to);
        let (insecure, kinds) = failure(&draw, &server, &client);
        assert_eq!(kinds, [(Stage::Connect, Kind::Tls(fault))]);
        assert_eq!(insecure, 4, "the server got an alert for each");
    }
    // TLS 1.3: the client is done before the server has looked at its certificate.
    let strict = certificates.server(&TLS13, Mutual::Yes);
    let unknown = stranger.client(certificates.roots(), "sim", to);
    let (insecure, kinds) = failure(&draw, &strict, &unknown);
    assert_eq!(insecure, 4);
    let alert = Kind::Tls(TlsFault::Alert(48));
    assert_eq!(kinds, [(Stage::Upgrade, alert)], "unknown_ca");
}

#[test]
fn a_plain_client_and_a_plain_server_are_found_out() {
    let mut draw = Draw::new(3, Conditions::calm());
    draw.load.connections = 4;
    draw.plan.stop_servers = Some(Duration::from_secs(1));
    let (to, cap) = (draw.plan.listeners[0], draw.plan.max_backlog);
    let server = CERTIFICATES.server(&TLS13, Mutual::No);
    let report = run(
        &draw.plan,
        |core| Tls::new(Server::new(core, draw.server.clone()), server.clone(), cap),
        |core| Load::new(core, draw.load.clone(), None),
    );
    let Sums { tally, load, .. } = settle(&report);
    assert_eq!((tally.closed.insecure, load.connects.up), (4, 0));
    // The server answers what never becomes a head with 408, which is no record.
    draw.load.connect_time = Duration::from_secs(30);
    let client = CERTIFICATES.client(CERTIFICATES.roots(), "sim", to);
    let report = run(
        &draw.plan,
        |core| Server::new(core, draw.server.clone()),
        |core| {
            Tls::new(
                Load::new(core, draw.load.clone(), None),
                client.clone(),
                cap,
            )
        },
    );
    let Sums { load, .. } = settle(&report);
    let not_tls = Kind::Tls(TlsFault::NotTls);
    assert_eq!(
        load.failures.of(Stage::Connect, not_tls),
        4,
        "{:?}",
        load.failures
    );
}
