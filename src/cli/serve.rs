//! `serve`: what was typed becomes servers on cores; one line when ready, one when it is over.

mod reload;

use super::backend_flags::BackendSetup;
use super::flags::{ServeEngine, ServeFlags};
use super::log_flags::LogFormat;
use super::server_capacity::{self, HostLimits, ServerCapacity};
use super::tls::{self, TlsFiles};
use super::tokens::ChannelSite;
use super::values::Switch;
use super::{Exit, Failure, complaints, host, listen, logs, print, public, signals};
use crate::app::realtime::RealtimePlan;
use crate::backend::Backend;
#[cfg(feature = "baseline")]
use crate::baseline::{self, Baseline};
use crate::door::{AddressBlock, Introduced};
use crate::engine::{self, EngineConfig, EngineError, FirstWord, Listeners, Stop};
use crate::limits;
use crate::live::Live;
use crate::protocol::websocket::OriginPolicy;
use crate::protocol::websocket::frame::HEADER_BYTES;
use crate::sampler;
use crate::server::log::LogLevel;
use crate::server::{self, Outcome, Server};
use crate::shard::{Core, Either, Shard};
use crate::tls::{Role, Tls, sealed_bytes};
pub(super) use reload::RELOADED;
use reload::Reloader;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server, resolved from its flags.
pub(super) struct Config {
    listen: Vec<SocketAddr>,
    /// The last listener is the one for health and figures.
    admin: bool,
    cpus: Vec<usize>,
    engine: ServeEngine,
    server: server::Config,
    capacity: ServerCapacity,
    max_backlog: usize,
    receive_buffers: u16,
    receive_bytes: u32,
    tls: Option<Role>,
    /// Who speaks the PROXY protocol.
    introducers: Vec<AddressBlock>,
    /// What TLS was read from.
    tls_files: Option<TlsFiles>,
    /// What TLS is from then on.
    tls_news: Live<rustls::ServerConfig>,
    end_with_parent: bool,
    descriptor_limit: u64,
    log_format: LogFormat,
    backend: Option<BackendSetup>,
}

impl Config {
    /// What the flags mean, under that limit on descriptors.
    pub(super) fn new(flags: ServeFlags, descriptor_limit: u64) -> Result<Self, Failure> {
        check_bounds(&flags)?;
        if flags.engine == ServeEngine::Baseline {
            check_baseline(&flags)?;
        }
        let cpus = host::cpus(flags.cores.clone())?;
        let (listen, admin_listener) = listen(&flags)?;
        let capacity = ServerCapacity::new(
            flags.max_connections,
            flags.engine,
            HostLimits {
                descriptors: descriptor_limit,
                cores: cpus.len() as u64,
            },
        )?;
        let (receive_buffers, receive_bytes) = receiving(&flags)?;
        let secret = random()?;
        let backend = flags.backend.setup(cpus.len())?;
        let realtime = realtime(&flags, (&listen, backend.as_ref()), secret)?;
        let tls_files = TlsFiles::new(&flags.tls_cert, &flags.tls_key, flags.tls_client_ca)?;
        Ok(Self {
            tls: tls_files.as_ref().map(tls::server).transpose()?,
            introducers: flags.limits.proxy_protocol.clone(),
            tls_files,
            tls_news: Live::default(),
            descriptor_limit,
            capacity,
            log_format: flags.log.log_format,
            backend,
            admin: admin_listener.is_some(),
            server: server::Config {
                chunk: Duration::from_millis(flags.chunk_ms),
                chunk_bytes: flags.chunk_bytes,
                max_message: flags.max_message,
                max_fragments: flags.max_fragments,
                idle_timeout: flags.idle_timeout.and_then(time),
                message_time: time(flags.message_timeout),
                backlog_time: time(flags.backlog_timeout),
                memory: flags.max_memory,
                max_connections: capacity.connections,
                admin_listener,
                drain_delay: flags.drain_delay,
                drain_spread: flags.drain_spread,
                drain_code: flags.drain_code,
                silence: flags.idle_timeout.is_none().then_some(limits::SILENCE_TIME),
                drain: flags.drain,
                room_size: flags.room_size,
                log: flags.log.queue(cpus.len()),
                deflate: flags.deflate,
                realtime,
                secret,
                run: u32::from_ne_bytes(random()?),
                subprotocols: flags.subprotocol,
                epoch: SystemTime::now().duration_since(UNIX_EPOCH).ok(),
                limits: flags.limits.limits()?,
                head_time: flags.limits.header_timeout,
                origins: origins(flags.origin),
                public: public::read(flags.public.as_deref(), flags.public_max_age)?,
                ..server::Config::new(name(flags.engine), engine::now())
            },
            listen,
            cpus,
            engine: flags.engine,
            max_backlog: flags.max_backlog,
            receive_buffers,
            receive_bytes,
            end_with_parent: flags.end_with_parent,
        })
    }

    /// Whether it is known where connections come from.
    fn knows_peers(&self) -> bool {
        let is_counted = self.server.limits.per_address.is_some();
        let is_told = self.server.log.level() != LogLevel::Off;
        is_counted || is_told || !self.introducers.is_empty()
    }

    fn plan(&self, stop: Stop) -> Result<EngineConfig, EngineError> {
        Ok(EngineConfig {
            listeners: Listeners::bind(&self.listen, self.cpus.len())?,
            // HTTP: a client that does not ask is not answered.
            first_word: FirstWord::Peers,
            peers: self.knows_peers(),
            slots: self
                .capacity
                .connections
                .saturating_add(limits::EXTRA_CONNECTIONS),
            // A server makes none.
            connects: 0,
            max_backlog: self.max_backlog,
            receive_buffers: self.receive_buffers,
            receive_bytes: self.receive_bytes,
            // What a connection has while it is open it has while it closes.
            stall: self.server.backlog_time.unwrap_or(Duration::MAX),
            stop,
            ..EngineConfig::new(self.cpus.clone())
        })
    }
}

const fn name(engine: ServeEngine) -> &'static str {
    match engine {
        ServeEngine::Ring => "ring",
        ServeEngine::Tokio => "tokio",
        ServeEngine::Baseline => "baseline",
    }
}

/// All addresses, that for health and figures last, and which listener that is.
fn listen(flags: &ServeFlags) -> Result<(Vec<SocketAddr>, Option<u16>), Failure> {
    let mut all = listen::addresses("--listen", &flags.listen)?;
    let Some(admin) = &flags.admin_listen else {
        return Ok((all, None));
    };
    let addresses = listen::addresses("--admin-listen", std::slice::from_ref(admin))?;
    let Some(&first) = addresses.first() else {
        return Err(Failure::Usage("--admin-listen: no address".to_owned()));
    };
    listen::check("--admin-listen", &all, first)?;
    let number = u16::try_from(all.len()).unwrap_or(u16::MAX);
    all.push(first);
    Ok((all, Some(number)))
}

/// Which web pages may open a WebSocket.
fn origins(named: Vec<String>) -> OriginPolicy {
    match named.is_empty() {
        true => OriginPolicy::Any,
        false => OriginPolicy::Only(named),
    }
}

/// Channels, if they are asked for.
fn realtime(
    flags: &ServeFlags,
    (listen, backend): (&[SocketAddr], Option<&BackendSetup>),
    secret: [u8; 32],
) -> Result<Option<RealtimePlan>, Failure> {
    let site = ChannelSite {
        listen,
        origins: &flags.origin,
        is_secure: !flags.tls_cert.is_empty(),
        backend: backend.map(|backend| &backend.plan),
    };
    flags.channels.plan(&site, secret)
}

/// How many receive buffers a ring has, and how long each is.
fn receiving(flags: &ServeFlags) -> Result<(u16, u32), Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    let asked = [
        ("--receive-buffers", flags.receive_buffers.is_some()),
        ("--receive-bytes", flags.receive_bytes.is_some()),
    ];
    if flags.engine != ServeEngine::Ring
        && let Some((flag, _)) = asked.into_iter().find(|(_, asked)| *asked)
    {
        let name = name(flags.engine);
        return Err(Failure::Usage(format!(
            "{flag}: only the ring has receive buffers, --engine {name} reads when it is told \
             that something came; try: --engine ring, or leave it out"
        )));
    }
    let buffers = flags.receive_buffers;
    let buffers = buffers.map_or(limits::RECEIVE_BUFFERS, |it| u16::try_from(it).unwrap_or(0));
    if !buffers.is_power_of_two() {
        return usage("--receive-buffers: write a power of two up to 32768, such as 1024");
    }
    let bytes = flags.receive_bytes;
    let bytes = bytes.map_or(limits::RECEIVE_BYTES, |it| u32::try_from(it).unwrap_or(0));
    if !(64..=1 << 24).contains(&bytes) {
        return usage("--receive-bytes: write a size from 64 to 16M, such as 4k");
    }
    Ok((buffers, bytes))
}

/// Refuses what is asked of the baseline beyond what it has, rather than to ignore it.
fn check_baseline(flags: &ServeFlags) -> Result<(), Failure> {
    if !cfg!(feature = "baseline") {
        return Err(without_baseline("--engine baseline"));
    }
    let time = Switch::After;
    let asked = [
        ("--admin-listen", flags.admin_listen.is_some()),
        ("--room-size", flags.room_size != limits::ROOM_SIZE),
        ("--max-fragments", flags.max_fragments != 1024),
        ("--max-backlog", flags.max_backlog != 4 << 20),
        ("--idle-timeout", flags.idle_timeout.is_some()),
        (
            "--message-timeout",
            flags.message_timeout != time(limits::STALL_TIME),
        ),
        (
            "--backlog-timeout",
            flags.backlog_timeout != time(limits::STALL_TIME),
        ),
        ("--max-memory", flags.max_memory != limits::MEMORY_BYTES),
        ("--drain-delay", !flags.drain_delay.is_zero()),
        ("--drain-spread", !flags.drain_spread.is_zero()),
        ("--drain-code", flags.drain_code != 1001),
        ("--max-connections", flags.max_connections.is_some()),
        ("--deflate", flags.deflate),
        ("--subprotocol", !flags.subprotocol.is_empty()),
        ("--origin", !flags.origin.is_empty()),
        ("--tls-cert", !flags.tls_cert.is_empty()),
        ("--public", flags.public.is_some()),
    ];
    let asked = asked.into_iter().find(|(_, asked)| *asked);
    let asked = asked.map(|(flag, _)| flag).or(flags.limits.asked());
    let asked = asked.or(flags.log.asked()).or(flags.backend.asked());
    match asked.or(flags.channels.asked()) {
        Some(flag) => {
            let text = format!("{flag}: the baseline has no such thing; try: --engine tokio");
            Err(Failure::Usage(text))
        }
        None => Ok(()),
    }
}

/// Whether the bounds on bytes go together.
fn check_bounds(flags: &ServeFlags) -> Result<(), Failure> {
    if sealed_bytes(flags.max_message.saturating_add(HEADER_BYTES)) > flags.max_backlog {
        return Err(Failure::Usage(format!(
            "--max-backlog: {} bytes have no room for the echo of a message of \
             --max-message {} bytes; try: --max-backlog {}",
            flags.max_backlog,
            flags.max_message,
            sealed_bytes(flags.max_message.saturating_add(HEADER_BYTES)).next_power_of_two()
        )));
    }
    if flags.max_memory < flags.max_message {
        return Err(Failure::Usage(format!(
            "--max-memory: {} bytes do not hold a message of --max-message {} bytes",
            flags.max_memory, flags.max_message
        )));
    }
    Ok(())
}

const fn time(switch: Switch) -> Option<Duration> {
    match switch {
        Switch::Off => None,
        Switch::After(span) => Some(span),
    }
}

/// Bytes from the system's randomness.
fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Failure::Run("the system gives no random bytes".to_owned()))?;
    Ok(bytes)
}

/// Serves until a signal comes and the peers are gone or the drain time is over.
pub(super) fn run(mut config: Config) -> Result<Exit, Failure> {
    let reloader = Arc::new(Mutex::new(Reloader::new(&config)));
    look_at_files(&config, Arc::clone(&reloader))?;
    let stop = signals::server_stop(move || reload::locked(&reloader).reload())?;
    if config.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)?;
    }
    let logs = logs::start(config.log_format, config.server.log.clone())?;
    let backend = config.backend.take().map(BackendSetup::start).transpose()?;
    let ran = run_engine(config, stop);
    backend.into_iter().for_each(Backend::finish);
    logs.finish();
    print::line(ran?)?;
    Ok(Exit::Pass)
}

/// Runs the engine that was asked for; gives the closing line.
fn run_engine(config: Config, stop: Stop) -> Result<String, Failure> {
    match config.engine {
        ServeEngine::Baseline => run_baseline(config, stop),
        ServeEngine::Ring | ServeEngine::Tokio => {
            let plan = config.plan(stop)?;
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
                role if !introducers.is_empty() => run_shards(&config, plan, move |server| {
                    let inner = match role.clone() {
                        None => Either::A(server),
                        Some(role) => Either::B(secured(server, role)),
                    };
                    Introduced::new(inner, introducers.clone(), time).except(plain)
                }),
                None => run_shards(&config, plan, |server| server),
                Some(role) => {
                    run_shards(&config, plan, move |server| secured(server, role.clone()))
                }
            }
        }
    }
}

/// Time between two looks at the files of certificates.
const LOOK: Duration = Duration::from_secs(5);

/// Certificates that are renewed are taken without anybody saying so.
fn look_at_files(config: &Config, reloader: Arc<Mutex<Reloader>>) -> Result<(), EngineError> {
    if config.tls_files.is_none() {
        return Ok(());
    }
    let look = move || {
        loop {
            std::thread::sleep(LOOK);
            let news = reload::locked(&reloader).look_at_files();
            if let Some(news) = news {
                print::note(news);
            }
        }
    };
    let thread = std::thread::Builder::new().name("certificates".to_owned());
    let looks = thread.spawn(look).map(drop);
    looks.map_err(|source| EngineError::no_threads("the thread that looks at certificates", source))
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
    let ready = ready_line(plan.listeners.addresses(), config);
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
            print::note(&capacity);
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
        "served {} connections, {} messages in, {} out in {:.1} s; {cut}",
        print::whole(total.accepted),
        print::whole(total.messages_in),
        print::whole(total.messages_out),
        engine::now().since(config.server.started).as_secs_f64(),
    ))
}

#[cfg(feature = "baseline")]
fn run_baseline(config: Config, stop: Stop) -> Result<String, Failure> {
    let baseline = Baseline::bind(baseline::Config {
        chunk: config.server.chunk,
        chunk_bytes: config.server.chunk_bytes,
        max_message: config.server.max_message,
        drain: config.server.drain,
        ..baseline::Config::new(config.listen.clone(), config.cpus.clone(), stop)
    })?;
    print::line(ready_line(baseline.addresses(), &config))?;
    baseline.run()?;
    let served = engine::now().since(config.server.started).as_secs_f64();
    Ok(format!("served for {served:.1} s"))
}

#[cfg(not(feature = "baseline"))]
fn run_baseline(_: Config, _: Stop) -> Result<String, Failure> {
    Err(without_baseline("--engine baseline"))
}

/// What wants the baseline in a build without it.
pub(super) fn without_baseline(what: &str) -> Failure {
    let remedy = "a build with the feature `baseline`, as it is by default";
    Failure::Usage(format!("{what}: not in this build; try: {remedy}"))
}

/// What scripts wait for: a URL per address, ports filled in.
fn ready_line(addresses: &[SocketAddr], config: &Config) -> String {
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let (admin, addresses) = match addresses.split_last() {
        Some((admin, rest)) if config.admin => (format!(", admin http://{admin}"), rest),
        _ => (String::new(), addresses),
    };
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("{scheme}://{address}"))
        .collect();
    let (name, cpus) = (name(config.engine), host::listed(&config.cpus));
    format!(
        "listening on {} (engine {name}, CPUs {cpus}{admin})",
        urls.join(" ")
    )
}
