//! What a server is asked to be, and what it leaves behind.

use super::draining::{Farewell, HandedOver};
use super::guard::{Entrance, Guard};
use super::log::LogQueue;
use super::memory::MemoryBounds;
use super::public::PublicFiles;
use super::refusals::Refusals;
use super::started::StartedCores;
use super::tally::Tally;
use crate::app::backend::HookFigures;
use crate::app::chat::ChatJournal;
use crate::app::console::ConsolePlan;
use crate::app::hub::store::StoreFigures;
use crate::app::passing::PassPlan;
use crate::app::push::PushConfig;
use crate::app::realtime::{self, RealtimePlan};
use crate::app::rooms::RoomsConfig;
use crate::door::{AddressTable, Door, DoorLimits};
use crate::limits;
use crate::live::Live;
use crate::protocol::Fault;
use crate::protocol::http::Request;
use crate::protocol::websocket::deflate::{ContextTakeover, Kept, Terms};
use crate::protocol::websocket::handshake::{self, Accepted};
use crate::protocol::websocket::{OriginPolicy, Pool, closing};
use crate::shard::Core;
use crate::stats::{Board, Snapshot};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What every core's server is asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine's name, for `/stats`.
    pub engine: &'static str,
    /// When the run started: the same on every core, because push messages are numbered from it.
    pub started: Instant,
    /// What tells the ids of this run's push messages from those of another: random, the same on
    /// every core.
    pub run: u32,
    /// The time of day at `started`, since 1970: what `Date` follows from where the board does not
    /// have it. Without both there is no `Date`.
    pub epoch: Option<Duration>,
    /// Time between push messages; at least 1 ms is taken.
    pub chunk: Duration,
    /// Bytes of a push message's text, padded up to here.
    pub chunk_bytes: usize,
    /// Cap on one WebSocket message, in bytes; more closes with 1009.
    pub max_message: usize,
    /// Cap on the fragments of one message; more closes with 1009.
    pub max_fragments: u32,
    /// A WebSocket that is silent for so long is closed with 1001, after a ping at half of it; a
    /// kept-alive HTTP connection without a request as well. `None` leaves it at the defaults.
    pub idle_timeout: Option<Duration>,
    /// Connections of this core; newcomers beyond them get 503.
    pub max_connections: u32,
    /// The listener for health and figures alone, whose connections do not count.
    pub admin_listener: Option<u16>,
    /// Where it is counted how many newcomers were refused.
    pub refusals: Refusals,
    /// Time between the word to stop and the end of accepting: health says 503, all else goes on.
    pub drain_delay: Duration,
    /// Time over which a draining server ends its connections.
    pub drain_spread: Duration,
    /// The close code that WebSockets get then: 1001 or 1012.
    pub drain_code: u16,
    /// Whether it stops because another process has its listeners.
    pub handed_over: HandedOver,
    /// How many cores have begun to serve.
    pub started_cores: StartedCores,
    /// How often a server was upgraded to come to this one.
    pub upgrades: u64,
    /// Whether it is started again when one of its cores fails: then it ends soon, with 1012.
    pub is_restarted: bool,
    /// The same for WebSockets alone, where `idle_timeout` is `None`.
    pub silence: Option<Duration>,
    /// Time for an unfinished message that makes no progress worth the name
    /// ([`limits::PROGRESS_BYTES`]); `None` for any time.
    pub message_time: Option<Duration>,
    /// Time for a backlog of which the kernel takes nothing; `None` for any time.
    pub backlog_time: Option<Duration>,
    /// Bytes that the peers of one core may make it hold: unfinished messages and requests, and
    /// backlogs. Beyond it those who hold most are ended.
    pub memory: usize,
    /// Time a draining server gives its peers before it resets what is left.
    pub drain: Duration,
    /// Push messages kept per core for `Last-Event-ID`.
    pub history: usize,
    /// Time without an event after which an event stream gets a comment.
    pub heartbeat: Duration,
    /// How long an event stream's client shall wait before it comes back, in milliseconds.
    pub retry_ms: u64,
    /// Members of one room, 1 to [`limits::ROOM_SIZE_MAX`].
    pub room_size: u16,
    /// The key of the MACs that members of rooms are told: random, the same on every core, told to
    /// nobody.
    pub secret: [u8; 32],
    /// Channels, and what speaks to them; `None` for none.
    pub realtime: Option<RealtimePlan>,
    /// Where requests are passed on that no route takes; nowhere without.
    pub passing: Option<PassPlan>,
    /// If it agrees to permessage-deflate where a client offers it: whether with context.
    pub deflate: Option<ContextTakeover>,
    /// Subprotocols the server speaks, the preferred one first.
    pub subprotocols: Vec<String>,
    /// Which web pages may open a WebSocket.
    pub origins: OriginPolicy,
    /// Files for browsers.
    pub public: Arc<PublicFiles>,
    /// Who is let in, how fast it may speak, for how long it may stay.
    pub limits: DoorLimits,
    /// Time for a head of a request, and for what is posted.
    pub head_time: Duration,
    /// Connections by address, over all cores.
    pub addresses: AddressTable,
    /// Holders of tokens by their connections, over all cores.
    pub tokens: AddressTable,
    /// What is told of connections, and where that waits to be written.
    pub log: LogQueue,
    /// Where it is told what happens in chats.
    pub chat: ChatJournal,
    /// What of it is another while the server runs.
    pub news: Live<ServerNews>,
    /// Where the last reading of process and host is pinned up, if somebody reads.
    pub board: Board,
    /// What an operator may ask; `None` for nothing.
    pub console: Option<ConsolePlan>,
    /// Who is an operator.
    pub guard: Guard,
}

/// What of a configuration may change while the server runs.
#[derive(Clone, Debug)]
pub struct ServerNews {
    /// Which web pages may open a WebSocket.
    pub origins: OriginPolicy,
    /// Files for browsers.
    pub public: Arc<PublicFiles>,
    /// Who is let in, how fast it may speak, for how long it may stay.
    pub limits: DoorLimits,
    /// Time for a head of a request, and for what is posted.
    pub head_time: Duration,
}

impl Config {
    /// Every bound at its default, a push message a second.
    #[must_use]
    pub fn new(engine: &'static str, started: Instant) -> Self {
        Self {
            engine,
            started,
            epoch: None,
            chunk: Duration::from_secs(1),
            chunk_bytes: 0,
            max_message: limits::MESSAGE_BYTES,
            max_fragments: limits::MESSAGE_FRAGMENTS,
            idle_timeout: None,
            max_connections: u32::MAX,
            admin_listener: None,
            refusals: Refusals::default(),
            drain_delay: Duration::ZERO,
            drain_spread: Duration::ZERO,
            drain_code: closing::GOING_AWAY,
            handed_over: HandedOver::default(),
            started_cores: StartedCores::default(),
            upgrades: 0,
            is_restarted: false,
            silence: Some(limits::SILENCE_TIME),
            message_time: Some(limits::STALL_TIME),
            backlog_time: Some(limits::STALL_TIME),
            memory: limits::MEMORY_BYTES,
            drain: limits::DRAIN_TIME,
            history: limits::HISTORY_EVENTS,
            heartbeat: limits::HEARTBEAT_TIME,
            retry_ms: 3000,
            room_size: limits::ROOM_SIZE,
            secret: [0; 32],
            run: 0,
            realtime: None,
            passing: None,
            deflate: None,
            subprotocols: Vec::new(),
            origins: OriginPolicy::Any,
            public: Arc::default(),
            limits: DoorLimits::default(),
            head_time: limits::HEAD_TIME,
            addresses: AddressTable::default(),
            tokens: AddressTable::default(),
            log: LogQueue::default(),
            chat: ChatJournal::default(),
            news: Live::default(),
            board: Board::default(),
            console: None,
            guard: Guard::default(),
        }
    }

    /// As the server compares it: origins as browsers write them, because what is answered is
    /// compared byte for byte (Fetch, 4.9).
    pub(super) fn normalized(mut self) -> Self {
        self.origins = lowercase(self.origins);
        if self.realtime.is_some() {
            let known = realtime::SUBPROTOCOLS.map(str::to_owned);
            self.subprotocols.extend(known);
        }
        self
    }

    /// Goes by what is new since the round `seen`: the limits then, if anything is.
    #[inline]
    pub(super) fn renew(&mut self, seen: &mut u64) -> Option<DoorLimits> {
        let news = self.news.news(seen)?;
        self.origins = lowercase(news.origins.clone());
        self.public = Arc::clone(&news.public);
        self.head_time = news.head_time;
        Some(news.limits.clone())
    }

    /// Who is let in.
    pub(super) fn door(&self) -> Door {
        let door = Door::new(self.limits.clone(), self.addresses.clone(), self.started);
        door.with_tokens(self.tokens.clone())
    }

    /// Time for a head of a request, and for what is posted.
    pub(super) const fn head_time(&self) -> Duration {
        self.head_time
    }

    /// A newcomer is not let in.
    pub(super) fn barred(&self) {
        self.refusals.barred.fetch_add(1, Relaxed);
    }

    /// What push messages are.
    pub(super) const fn push(&self) -> PushConfig {
        PushConfig {
            started: self.started,
            run: self.run,
            every: self.chunk,
            bytes: self.chunk_bytes,
            history: self.history,
        }
    }

    /// What rooms are, until it is known which core of how many this is.
    pub(super) const fn rooms(&self) -> RoomsConfig {
        RoomsConfig {
            here: Core(0),
            cores: 1,
            size: self.room_size,
            secret: self.secret,
        }
    }

    /// Where it is told what happens in chats.
    pub(super) fn chat(&self) -> ChatJournal {
        self.chat.clone()
    }

    /// Channels, if there are any.
    pub(super) const fn realtime(&self) -> Option<&RealtimePlan> {
        self.realtime.as_ref()
    }

    /// What clients of channels asked for and did not get, by kind, over all cores.
    pub(super) fn complaints(&self) -> BTreeMap<&'static str, u64> {
        let realtime = self.realtime.iter();
        realtime.flat_map(|it| it.complaints.all()).collect()
    }

    /// How the application behind the server is asked, over all cores, if there is one.
    pub(super) fn backend(&self) -> Option<HookFigures> {
        let backend = self.realtime.as_ref()?.backend.as_ref();
        backend.map(|plan| plan.counts.figures())
    }

    /// What outlives the process, over all cores, if anything does.
    pub(super) fn store(&self) -> Option<StoreFigures> {
        let store = self.realtime.as_ref()?.store.as_ref();
        store.map(|plan| plan.counts.figures())
    }

    /// Buffers for what peers send, within its caps.
    pub(super) fn pool(&self) -> Pool {
        Pool::new(self.max_message, self.max_fragments)
    }

    /// When the run started.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// The engine's name.
    pub(super) const fn engine(&self) -> &'static str {
        self.engine
    }

    /// What an operator may ask, if anything.
    pub(super) const fn console(&self) -> Option<&ConsolePlan> {
        self.console.as_ref()
    }

    /// Whether whoever came in there may look into the server, if that is what the request is for.
    ///
    /// # Errors
    /// What it gets instead.
    pub(super) fn guard(&self, entrance: Entrance, request: &Request<'_>) -> Result<(), Fault> {
        self.guard.check(entrance, request)
    }

    /// The last reading of process and host.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.board.latest()
    }

    /// The time of day, since 1970, if it is known: from the board, which is read anew every
    /// second, or from when the server started.
    pub(super) fn unix_time(&self, now: Instant) -> Option<Duration> {
        let read = self.board.latest().and_then(|it| Some((it.at, it.unix?)));
        let (at, unix) = read.or_else(|| Some((self.started, self.epoch?)))?;
        Some(unix + now.since(at))
    }

    /// Which web pages may open a WebSocket, and read answers.
    pub(super) const fn origins(&self) -> &OriginPolicy {
        &self.origins
    }

    /// Files for browsers.
    pub(super) fn public(&self) -> &PublicFiles {
        &self.public
    }

    /// Agrees to the upgrade that a request asks for. The server keeps context for what it says as
    /// far as that says and so many bytes are left for it.
    ///
    /// # Errors
    /// What [`handshake::accept`] finds wrong with it.
    pub(super) fn accept<'r>(
        &self,
        request: &Request<'r>,
        (sent, room): (Kept, usize),
    ) -> Result<Accepted<'r>, Fault> {
        let accepted = handshake::accept(request, &self.subprotocols, &self.origins)?;
        Ok(match self.deflate {
            Some(takeover) => {
                let terms = Terms {
                    takeover,
                    sent,
                    room,
                };
                accepted.deflating(request, terms)
            }
            None => accepted,
        })
    }

    /// Whether that listener is for health and figures alone.
    pub(super) fn is_admin(&self, listener: u16) -> bool {
        self.admin_listener == Some(listener)
    }

    /// Whether one more connection fits beside so many.
    pub(super) const fn has_room(&self, beside: u32) -> bool {
        beside < self.max_connections
    }

    /// A newcomer is refused with 503.
    pub(super) fn refused_by_answer(&self) {
        self.refusals.answered.fetch_add(1, Relaxed);
    }

    /// A newcomer is reset.
    pub(super) fn refused_by_reset(&self) {
        self.refusals.reset.fetch_add(1, Relaxed);
    }

    /// How often an event stream gets something, at least.
    #[inline]
    pub(super) const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// How long an event stream's client shall wait before it comes back, in milliseconds.
    pub(super) const fn retry_ms(&self) -> u64 {
        self.retry_ms
    }

    /// What peers may make a core hold.
    pub(super) const fn memory_bounds(&self) -> MemoryBounds {
        MemoryBounds {
            budget: self.memory,
            message_time: self.message_time,
            backlog_time: self.backlog_time,
        }
    }

    /// How the server takes leave.
    pub(super) const fn farewell(&self) -> Farewell {
        Farewell {
            delay: self.drain_delay,
            spread: self.drain_spread,
            time: self.drain,
            code: self.drain_code,
            is_restarted: self.is_restarted,
            retry_ms: self.retry_ms,
            started: self.started,
        }
    }

    /// One more core serves.
    pub(super) fn core_started(&self) {
        self.started_cores.count();
    }

    /// Whether another process has the listeners.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handed_over.is_said()
    }

    /// How often a server was upgraded to come to this one.
    pub(super) const fn upgrades(&self) -> u64 {
        self.upgrades
    }

    /// How long a connection may be without a request.
    pub(super) fn http_idle(&self) -> Duration {
        self.idle_timeout.unwrap_or(limits::KEEP_ALIVE_TIME)
    }

    /// How long a WebSocket may be silent.
    pub(super) fn websocket_idle(&self) -> Option<Duration> {
        self.idle_timeout.or(self.silence)
    }
}

fn lowercase(mut origins: OriginPolicy) -> OriginPolicy {
    if let OriginPolicy::Only(origins) = &mut origins {
        origins.iter_mut().for_each(|it| it.make_ascii_lowercase());
    }
    origins
}

/// What one core's server did, once it has finished.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Which core.
    pub core: Core,
    /// What it counted.
    pub tally: Tally,
    /// Connections that were still open when the time to drain was over, closing ones included, and
    /// were reset.
    pub left: u64,
}

impl Outcome {
    /// The sum over cores: what they counted, and how many connections were left.
    #[must_use]
    pub fn total(outcomes: &[Self]) -> (Tally, u64) {
        let mut total = (Tally::default(), 0);
        for outcome in outcomes {
            total.0.add(&outcome.tally);
            total.1 += outcome.left;
        }
        total
    }
}
