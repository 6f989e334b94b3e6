//! What the flags of `serve` come to: a server, its cores, its sockets.

use super::checks::{check, receiving};
use crate::app::console::ConsolePlan;
use crate::app::realtime::RealtimePlan;
use crate::cli::backend_flags::BackendSetup;
use crate::cli::console::ConsoleThread;
use crate::cli::flags::{ServeEngine, ServeFlags};
use crate::cli::journal::JournalFlags;
use crate::cli::listen::{HandedSockets, Listen};
use crate::cli::log_flags::LogFormat;
use crate::cli::pass_flags::PassSetup;
use crate::cli::server_capacity::{HostLimits, ServerCapacity};
use crate::cli::store::OpenStore;
use crate::cli::tls::{self, TlsFiles};
use crate::cli::tokens::{ChannelSite, secret_at};
use crate::cli::upgrade::Watched;
use crate::cli::values::Switch;
use crate::cli::{Failure, host, listen, public};
use crate::door::AddressBlock;
use crate::engine::{
    self, EngineConfig, EngineError, FirstWord, GivenSockets, ListenPlace, Listeners, Stop,
};
use crate::limits;
use crate::live::Live;
use crate::protocol::websocket::OriginPolicy;
use crate::server;
use crate::server::log::LogLevel;
use crate::server::{Guard, LocalListeners};
use crate::tls::Role;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server, resolved from its flags.
pub(in crate::cli) struct Config {
    pub(super) listen: Vec<ListenPlace>,
    /// Why the sockets that systemd has handed over, or has not, will not do.
    misses_handed: Option<&'static str>,
    /// The last listener is the one for health and figures.
    pub(super) admin: bool,
    pub(super) cpus: Vec<usize>,
    pub(super) engine: ServeEngine,
    pub(super) server: server::Config,
    pub(super) capacity: ServerCapacity,
    pub(super) max_backlog: usize,
    pub(super) receive_buffers: u16,
    pub(super) receive_bytes: u32,
    pub(super) tls: Option<Role>,
    /// Who speaks the PROXY protocol.
    pub(super) introducers: Vec<AddressBlock>,
    /// What TLS was read from.
    pub(super) tls_files: Option<TlsFiles>,
    /// What TLS is from then on.
    pub(super) tls_news: Live<rustls::ServerConfig>,
    pub(super) end_with_parent: bool,
    /// Who has to start the server that comes after this one.
    pub(super) watched: Watched,
    pub(super) descriptor_limit: u64,
    pub(super) log_format: LogFormat,
    pub(super) backend: Option<BackendSetup>,
    pub(super) passing: Option<PassSetup>,
    pub(super) journal: JournalFlags,
    /// What outlives the process is there.
    pub(super) store: Option<PathBuf>,
}

impl Config {
    /// What the flags mean, under that limit on descriptors.
    pub(in crate::cli) fn new(flags: ServeFlags, descriptor_limit: u64) -> Result<Self, Failure> {
        check(&flags)?;
        let cpus = host::cpus(flags.cores.clone())?;
        let handed = HandedSockets::new(flags.supervision.is_watched());
        let (listen, admin_listener) = listen(&flags, handed)?;
        let capacity = capacity(&flags, descriptor_limit, &cpus)?;
        let (receive_buffers, receive_bytes) = receiving(&flags)?;
        let secret = random()?;
        let backend = flags.backend.setup(cpus.len())?;
        let passing = passing(&flags, cpus.len())?;
        let realtime = realtime(&flags, (&listen, backend.as_ref()), secret)?;
        let tls_files = TlsFiles::new(&flags.tls)?;
        Ok(Self {
            misses_handed: misses(&flags.listen, handed),
            tls: tls_files.as_ref().map(tls::server).transpose()?,
            introducers: flags.limits.proxy_protocol.clone(),
            tls_files,
            tls_news: Live::default(),
            descriptor_limit,
            capacity,
            log_format: flags.log.log_format,
            backend,
            journal: flags.journal,
            store: flags.channels.store,
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
                is_restarted: flags.supervision.is_watched(),
                silence: flags.idle_timeout.is_none().then_some(limits::SILENCE_TIME),
                drain: flags.drain,
                room_size: flags.room_size,
                log: flags.log.queue(cpus.len()),
                deflate: flags.deflate.0,
                realtime,
                passing: passing.as_ref().map(|it| it.plan.clone()),
                secret,
                run: u32::from_ne_bytes(random()?),
                subprotocols: flags.subprotocol,
                epoch: SystemTime::now().duration_since(UNIX_EPOCH).ok(),
                limits: flags.limits.limits()?,
                head_time: flags.limits.header_timeout,
                origins: origins(flags.origin),
                public: public::read(flags.public.as_deref(), flags.public_max_age)?,
                guard: guard(flags.admin_token, &listen, admin_listener)?,
                ..beginning(flags.engine)
            },
            passing,
            listen,
            cpus,
            engine: flags.engine,
            max_backlog: flags.max_backlog,
            receive_buffers,
            receive_bytes,
            end_with_parent: flags.supervision.end_with_parent,
            watched: flags.supervision.watched(),
        })
    }

    /// Opens the store, if there is to be one: channels are then as they were.
    pub(super) fn open_store(&mut self) -> Result<Option<OpenStore>, Failure> {
        let opened = self.store.as_ref().zip(self.server.realtime.as_mut());
        let opened = opened
            .map(|(path, realtime)| OpenStore::open(path, realtime, self.cpus.len(), random()?));
        opened.transpose()
    }

    /// Begins to answer what operators ask of the logs, if there are any.
    pub(super) fn start_console(&mut self) -> Result<Option<ConsoleThread>, EngineError> {
        let parts = self.journal.folder().zip(self.server.console.as_mut());
        let started = parts.map(|(folder, console)| {
            let (thread, lines) = ConsoleThread::start(folder, self.cpus.len())?;
            console.lines = lines;
            Ok(thread)
        });
        started.transpose()
    }

    /// Whether it is known where connections come from.
    pub(super) fn knows_peers(&self) -> bool {
        let is_counted = self.server.limits.per_address.is_some();
        let is_told = self.server.log.level() != LogLevel::Off;
        let is_passed_on = self.server.passing.is_some();
        is_counted || is_told || is_passed_on || !self.introducers.is_empty()
    }

    /// With the sockets that another server has given, as far as they are for this one.
    pub(super) fn plan(
        &self,
        stop: Stop,
        given: &mut Vec<GivenSockets>,
    ) -> Result<EngineConfig, Failure> {
        if let Some(why) = self.misses_handed {
            return Err(Failure::Usage(why.to_owned()));
        }
        Ok(EngineConfig {
            listeners: Listeners::take_over(&self.listen, self.cpus.len(), given)?,
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

/// How many connections there is room for, on so many CPUs under that limit.
fn capacity(
    flags: &ServeFlags,
    descriptors: u64,
    cpus: &[usize],
) -> Result<ServerCapacity, Failure> {
    let cores = cpus.len() as u64;
    let host = HostLimits { descriptors, cores };
    ServerCapacity::new(flags.max_connections, flags.engine, host)
}

/// What is wrong with how `--listen` and the sockets that systemd has handed over go together.
fn misses(typed: &[Listen], handed: HandedSockets) -> Option<&'static str> {
    match (typed.contains(&Listen::Systemd), handed.is_empty()) {
        (true, true) => Some(
            "--listen systemd: no socket was handed over (LISTEN_FDS, LISTEN_PID); try: a socket \
             unit, or systemd-socket-activate -l 9000 ringstorm serve --listen systemd",
        ),
        (false, false) => Some(
            "--listen: systemd has handed sockets over (LISTEN_FDS), and nothing listens there; \
             try: --listen systemd",
        ),
        (true, false) | (false, true) => None,
    }
}

/// All places, that for health and figures last, and which listener that is.
fn listen(
    flags: &ServeFlags,
    handed: HandedSockets,
) -> Result<(Vec<ListenPlace>, Option<u16>), Failure> {
    let with = (flags.listen_mode, &handed);
    let mut all = listen::places("--listen", &flags.listen, with)?;
    let Some(admin) = &flags.admin_listen else {
        return Ok((all, None));
    };
    let flag = "--admin-listen";
    let with = (flags.listen_mode, &HandedSockets::default());
    let places = listen::places(flag, std::slice::from_ref(admin), with)?;
    let Some(first) = places.into_iter().next() else {
        let text = format!("{flag}: that is for --listen alone; try: {flag} 127.0.0.1:9001");
        return Err(Failure::Usage(text));
    };
    listen::check(flag, &all, &first)?;
    let number = u16::try_from(all.len()).unwrap_or(u16::MAX);
    all.push(first);
    Ok((all, Some(number)))
}

/// A server that operators may ask, and that is like any other.
fn beginning(engine: ServeEngine) -> server::Config {
    server::Config {
        console: Some(ConsolePlan::default()),
        ..server::Config::new(engine.name(), engine::now())
    }
}

/// Who may look into the server.
fn guard(
    token: Option<String>,
    listen: &[ListenPlace],
    admin: Option<u16>,
) -> Result<Guard, Failure> {
    let token = token.map(|typed| secret_at("--admin-token", &typed));
    let token = token.transpose()?;
    if token.as_deref() == Some("") {
        let text = "--admin-token: what is there is empty".to_owned();
        return Err(Failure::Usage(text));
    }
    let (regular, admin) = listen.split_at(admin.map_or(listen.len(), usize::from));
    let is_loopback = |place: &ListenPlace| place.address().is_some_and(|it| it.ip().is_loopback());
    // A path is where proxies come with what others ask for, unless it is for operators alone.
    let is_private = |place: &ListenPlace| is_loopback(place) || place.address().is_none();
    Ok(Guard {
        token: token.map(Into::into),
        local: LocalListeners {
            regular: regular.iter().all(is_loopback),
            admin: !admin.is_empty() && admin.iter().all(is_private),
        },
    })
}

/// Where requests are passed on that no route takes.
fn passing(flags: &ServeFlags, cores: usize) -> Result<Option<PassSetup>, Failure> {
    let secret = flags.backend.backend_secret.as_deref();
    if secret.is_some() && flags.backend.asked().or(flags.passing.asked()).is_none() {
        let text = "--backend-secret: nothing is asked or passed on; try: --backend URL or \
                    --http-backend URL";
        return Err(Failure::Usage(text.to_owned()));
    }
    flags.passing.setup(cores, secret, flags.tls.is_on())
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
    (listen, backend): (&[ListenPlace], Option<&BackendSetup>),
    secret: [u8; 32],
) -> Result<Option<RealtimePlan>, Failure> {
    // Who is at a path is on this host.
    let listen: Vec<SocketAddr> = listen.iter().filter_map(ListenPlace::address).collect();
    let site = ChannelSite {
        listen: &listen,
        origins: &flags.origin,
        is_secure: flags.tls.is_on(),
        backend: backend.map(|backend| &backend.plan),
    };
    flags.channels.plan(&site, secret)
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
