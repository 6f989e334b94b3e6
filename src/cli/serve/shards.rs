//! The engine that was asked for, with one server per core, from the ready line to the closing one.

#[cfg(not(feature = "baseline"))]
use super::checks::without_baseline;
use super::{Config, Succession};
#[cfg(feature = "baseline")]
use crate::baseline::{self, Baseline};
use crate::cli::deflate::DeflateMode;
use crate::cli::flags::ServeEngine;
use crate::cli::upgrade::Readiness;
use crate::cli::{Failure, complaints, host, print, public, server_capacity, upgrade};
use crate::door::Introduced;
use crate::engine::{self, EngineConfig, EngineError, ListenPlace, SocketFile, Stop};
use crate::limits;
use crate::sampler;
use crate::server::{Outcome, Server};
use crate::shard::{Core, Either, Shard};
use crate::tls::{Role, Tls};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs the engine that was asked for; gives the closing line.
pub(super) fn run_engine(config: Config, succession: Succession) -> Result<String, Failure> {
    match config.engine {
        ServeEngine::Baseline => run_baseline(config, succession.stop),
        ServeEngine::Ring | ServeEngine::Tokio => {
            let giver = succession.giver.clone();
            let mut plan = succession.plan(&config)?;
            let files = plan.listeners.take_files();
            let ran = run_servers(&config, plan);
            // Otherwise they go, now that the server has ended.
            if giver.is_over() {
                files.into_iter().for_each(SocketFile::leave);
            }
            ran
        }
    }
}

impl Succession {
    /// What the engine needs to know: it goes on with the sockets of the server before, and its own
    /// are there for the next one.
    fn plan(self, config: &Config) -> Result<EngineConfig, Failure> {
        let Self {
            stop,
            giver,
            mut taker,
        } = self;
        let taken = taker.as_mut().map(|it| std::mem::take(&mut it.sockets));
        let mut given = taken.unwrap_or_default();
        let plan = config.plan(stop.clone(), &mut given)?;
        for left in given {
            let place = left.place;
            print::note(format_args!("upgrade: nothing listens at {place} any more"));
        }
        let has_handed = |place: &ListenPlace| matches!(place, ListenPlace::Handed(_));
        giver.listens(&plan.listeners, config.listen.iter().any(has_handed))?;
        if let Some(taker) = taker {
            // Whatever came with the start of the process, too.
            plan.listeners.handover().begin();
            taker.finish(Readiness {
                started: config.server.started_cores.clone(),
                cores: config.cpus.len(),
                stop,
                handover: plan.listeners.handover().clone(),
            })?;
        }
        Ok(plan)
    }
}

/// Runs servers, each in what its configuration puts around it.
fn run_servers(config: &Config, plan: EngineConfig) -> Result<String, Failure> {
    let cap = plan.max_backlog;
    let plain = config.server.admin_listener;
    let most = plan.slots.saturating_sub(limits::RESET_CONNECTIONS);
    let news = config.tls_news.clone();
    let secured = move |server: Server, role: Role| {
        Tls::new(server, role, cap)
            .renewed_by(news.clone())
            .except(plain)
            .at_most(most)
    };
    let (introducers, time) = (config.introducers.clone(), config.server.head_time);
    match config.tls.clone() {
        role if !introducers.is_empty() => run_shards(config, plan, move |server| {
            let inner = match role.clone() {
                None => Either::A(server),
                Some(role) => Either::B(secured(server, role)),
            };
            Introduced::new(inner, introducers.clone(), time).except(plain)
        }),
        None => run_shards(config, plan, |server| server),
        Some(role) => run_shards(config, plan, move |server| secured(server, role.clone())),
    }
}

/// What `--dev` allows.
const DEV_WARNING: &str = "\
WARNING: --dev: everyone who reaches this server may subscribe to, publish in and look into
every channel, without a name or a token, and the API key is \"dev\". It is for first tries.";

/// Runs one server per core, each in what `wrap` puts around it; gives the closing line.
fn run_shards<S: Shard<Outcome = Outcome> + 'static>(
    config: &Config,
    plan: EngineConfig,
    wrap: impl Fn(Server) -> S + Send + Sync + 'static,
) -> Result<String, Failure> {
    let cores = config.cpus.len();
    let ready = ready_line(plan.listeners.places(), config);
    let capacity = config.capacity.line(cores);
    let failures = plan.accept_failures.clone();
    server_capacity::tell_refusals(&config.server.refusals, failures, config.capacity)?;
    let realtime = config.server.realtime.as_ref();
    if let Some(plan) = realtime {
        complaints::tell(plan.complaints.clone())?;
    }
    let warning = realtime
        .filter(|plan| plan.rules.anonymous)
        .map(|_| DEV_WARNING);
    let (board, stop) = (config.server.board.clone(), plan.stop.clone());
    let sampling = sampler::start(board, plan.listeners.sockets()?, &config.cpus, &stop)
        .map_err(|source| EngineError::no_threads("the sampler", source))?;
    let up = Arc::new(AtomicUsize::new(0));
    let server = config.server.clone();
    let make = move |core: Core| {
        // A core asks for its server when all else of it is set up.
        if up.fetch_add(1, Ordering::Relaxed) + 1 == cores {
            if let Err(failure) = print::line(&ready) {
                print::complain(&failure);
            }
            upgrade::notify("READY=1");
            print::note(&capacity);
            if let Some(line) = DeflateMode::server_line(server.deflate, server.memory) {
                print::note(line);
            }
            public::tell(&server.public);
            if let Some(warning) = &warning {
                print::note(warning);
            }
        }
        wrap(Server::new(core, server.clone()))
    };
    let outcomes = match config.engine {
        ServeEngine::Tokio => engine::tokio::run(plan, make),
        ServeEngine::Ring | ServeEngine::Baseline => engine::ring::run(plan, make),
    };
    // However the cores ended.
    stop.throw();
    let _ = sampling.join();
    let outcomes = outcomes?;
    let (total, left) = Outcome::total(&outcomes);
    let cut_off = total.closed.cut_off + left;
    let cut = if cut_off > 0 {
        format!("{} cut off", print::whole(cut_off))
    } else {
        "all closed".into()
    };
    Ok(format!(
        "served {}, {} in, {} out in {:.1} s; {cut}",
        print::counted(total.accepted, "connection"),
        print::counted(total.messages_in, "message"),
        print::whole(total.messages_out),
        engine::now().since(config.server.started).as_secs_f64(),
    ))
}

#[cfg(feature = "baseline")]
fn run_baseline(config: Config, stop: Stop) -> Result<String, Failure> {
    let listen = config
        .listen
        .iter()
        .filter_map(ListenPlace::address)
        .collect();
    let baseline = Baseline::bind(baseline::Config {
        chunk: config.server.chunk,
        chunk_bytes: config.server.chunk_bytes,
        max_message: config.server.max_message,
        drain: config.server.drain,
        ..baseline::Config::new(listen, config.cpus.clone(), stop)
    })?;
    let bound = baseline.addresses().iter().copied();
    let bound: Vec<_> = bound.map(ListenPlace::Address).collect();
    print::line(ready_line(&bound, &config))?;
    baseline.run()?;
    let served = engine::now().since(config.server.started).as_secs_f64();
    Ok(format!("served for {served:.1} s"))
}

#[cfg(not(feature = "baseline"))]
fn run_baseline(_: Config, _: Stop) -> Result<String, Failure> {
    Err(without_baseline("--engine baseline"))
}

/// What scripts wait for: a URL per address, ports filled in; a path is `unix:PATH`.
fn ready_line(places: &[ListenPlace], config: &Config) -> String {
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let url = |place: &ListenPlace, scheme: &str| match place.address() {
        Some(address) => format!("{scheme}://{address}"),
        None => place.to_string(),
    };
    let (admin, places) = match places.split_last() {
        Some((admin, rest)) if config.admin => (format!(", admin {}", url(admin, "http")), rest),
        _ => (String::new(), places),
    };
    let urls: Vec<String> = places.iter().map(|place| url(place, scheme)).collect();
    let (name, cpus) = (config.engine.name(), host::listed(&config.cpus));
    format!(
        "listening on {} (engine {name}, CPUs {cpus}{admin})",
        urls.join(" ")
    )
}
