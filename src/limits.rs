//! Every bound of the program, with its unit and its reason; relations are checked at compile time.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

mod backend;

pub use backend::*;
use std::time::Duration;

/// Bytes of an HTTP head, request line included. 8 KiB is what nginx and Apache accept.
pub const HEAD_BYTES: usize = 8 * 1024;
/// Header fields of one head. A browser sends about 20.
pub const HEAD_FIELDS: usize = 64;
/// Bytes of the head of a response that a client reads. Chrome takes 256 KiB, curl 300, Node 16:
/// proxies and single sign-on set many and long fields.
pub const RESPONSE_HEAD_BYTES: usize = 64 * 1024;
/// Header fields of one response that a client reads.
pub const RESPONSE_FIELDS: usize = 256;
/// Time from accept to a complete head: slowloris ends here.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request body that is read and thrown away; more gets 413.
pub const BODY_BYTES: u64 = 64 * 1024;
/// Bytes of all files for browsers, in all codings: they are in memory, once for all cores.
pub const PUBLIC_BYTES: u64 = 256 << 20;
/// How many of them there may be.
pub const PUBLIC_FILES: usize = 65_536;
/// How many folders deep they may lie. A link that leads round in circles is found so.
pub const PUBLIC_DEPTH: usize = 32;
/// Default time that an HTTP connection is kept open between requests. nginx keeps 75 s.
pub const KEEP_ALIVE_TIME: Duration = Duration::from_secs(60);
/// Requests on one kept-alive HTTP connection: bounds what one peer gets for one handshake.
pub const KEPT_ALIVE_REQUESTS: u32 = 1_000_000;

/// Default cap on one WebSocket message or SSE event, in bytes.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Default cap on the fragments of one message, empty ones included.
pub const MESSAGE_FRAGMENTS: u32 = 1024;
/// Default cap of the load client on one message or event, in bytes: no server meets it by chance.
pub const CLIENT_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// Default cap of the load client on the fragments of one message: 64 MiB in frames of 1 KiB.
pub const CLIENT_MESSAGE_FRAGMENTS: u32 = 64 * 1024;
/// Payload of a control frame. RFC 6455, 5.5.
pub const CONTROL_BYTES: usize = 125;
/// A message below this is sent as it is where no context is kept: deflating it saves too little.
pub const DEFLATE_BYTES_MIN: usize = 64;
/// Connections that a text is told to, each deflated with its own context, where they are no more.
pub const CONTEXT_LISTENERS: usize = 8;
/// Progress worth the name, in [`STALL_TIME`]: slower than any modem.
pub const PROGRESS_BYTES: usize = 4096;
/// Default budget of one core for the memory of what its peers make it hold: unfinished messages
/// and requests, records in pieces, and backlogs. Beside it, each within a bound of its own: TLS
/// handshakes, and the spare buffers that are kept for whoever needs one next.
pub const MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that were held, from which on memory is given back to the system once nothing is held.
pub const MUCH_BYTES: usize = 1024 * 1024;
/// Time without so much, after which it is given back: a flood that goes on needs it again.
pub const QUIET_TIME: Duration = Duration::from_secs(3);
/// How often a core that holds something looks who has stalled.
pub const SWEEP_TIME: Duration = Duration::from_secs(1);
/// Connections looked at in one turn of a sweep: a fraction of a millisecond.
pub const SWEEP_STEP: usize = 4096;
/// Time between two looks for who holds most, while the budget seems to be exceeded.
pub const BUDGET_TIME: Duration = Duration::from_millis(50);
/// Bytes that one connection may have inflated in one turn; the message that reaches it is the
/// last of that turn. Inflating and deflating them again takes less than a millisecond. There is
/// no bound on how many times as long a message may become: honest text of repeats reaches
/// deflate's own greatest, 1,032.
pub const SHARE_BYTES: usize = 64 * 1024;
/// What a deflated message, or an answer to a request, counts towards it beside its bytes: what
/// making it ready costs.
pub const SHARE_BYTES_OF_A_MESSAGE: usize = 256;
/// Frames of one connection that are handled in one turn at most, empty ones and control frames
/// included: a fraction of a millisecond.
pub const SHARE_FRAMES: usize = 4096;
/// What a frame counts towards [`SHARE_BYTES`].
pub const SHARE_BYTES_OF_A_FRAME: usize = SHARE_BYTES / SHARE_FRAMES;
/// Connections that are given a share of work in one turn.
pub const SHARES_PER_TURN: usize = 8;
/// Spare message buffers kept by one shard, so that assembling allocates nothing in steady state.
pub const SPARE_BUFFERS: usize = 64;
/// A spare buffer that grew beyond this is freed rather than kept.
pub const SPARE_BYTES: usize = 256 * 1024;
/// An assembled message of at least so many bytes has a buffer of its own, which a reply may take
/// along: to copy less costs less than a list of two pieces.
pub const LARGE_BYTES: usize = 8 * 1024;
/// Bytes of a frame that are still to come, from which on they are received where the message is
/// assembled: fewer are copied sooner than a receive of their own is made.
pub const RECEIVE_INTO_BYTES_MIN: usize = 16 * 1024;
/// Bytes that one receive brings there at most: they are unmasked while they are warm, and others
/// have their turn.
pub const RECEIVE_INTO_BYTES: usize = 256 * 1024;
/// Bytes that large receives of one turn may bring in all: what is received is looked at and sent
/// while it is in the cache of the core.
pub const RECEIVE_TURN_BYTES: usize = 512 * 1024;
/// Bytes that one core's spare buffers for large messages may have in all: the largest message of
/// each of 32 connections. They are freed after [`QUIET_TIME`].
pub const SHELF_BYTES: usize = 32 * MESSAGE_BYTES;
/// Bytes of spare buffers for large messages that a core keeps though none comes.
pub const SHELF_QUIET_BYTES: usize = 512 * 1024;
/// Spare buffers for large messages that one core may keep.
pub const SHELF_BUFFERS: usize = 4096;

/// Default cap on outbound bytes queued for one connection.
pub const BACKLOG_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that one connection sends in one turn at most: a tenth of a millisecond, for which every
/// other connection of the core waits.
pub const SEND_BYTES: usize = 256 * 1024;
/// A backlog above this is high: an echo stops reading its peer.
pub const BACKLOG_HIGH: usize = 64 * 1024;
/// A backlog at or below this is low again: `drained` is said.
pub const BACKLOG_LOW: usize = 16 * 1024;

/// A shared payload of at most so many bytes is copied if it does not travel alone: one piece of
/// memory costs the kernel less than a list of them.
pub const SHARED_BYTES_MIN: usize = 512;
/// An outbound batch that grew beyond this is freed rather than kept.
pub const BATCH_BYTES_KEPT: usize = 256 * 1024;
/// Bytes that the spare outbound batches of one core may keep in all.
pub const BATCH_POOL_BYTES: usize = 4 * 1024 * 1024;

/// Time for the peer's close frame after ours. RFC 6455, 7.1.1 leaves it open; browsers use 2 to
/// 20 s.
pub const CLOSE_TIME: Duration = Duration::from_secs(5);
/// Time an engine waits for the peer's FIN, once the peer has everything, before it closes anyway;
/// and the time between two looks at what a closing connection's peer still has to get.
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// Default time in which a peer has to go on with a message that it has begun, and to take some
/// of what is queued or left for it. A window that opens by 64 KiB
/// at a time, as on the loopback interface, opens every 13 s for a reader of 5 kB/s.
pub const STALL_TIME: Duration = Duration::from_secs(30);
/// Time without a sign of life after which the kernel takes a peer for gone: nothing that was sent
/// is acknowledged, no keepalive is answered, or its window stays shut. Above [`STALL_TIME`]: a
/// reader of 5 kB/s on the loopback interface is not taken for gone.
pub const GONE_TIME: Duration = Duration::from_secs(60);
/// Silence after which a WebSocket is closed where the user sets none: its ping at half of it comes
/// before the 60 s after which nginx and most load balancers drop a quiet connection.
pub const SILENCE_TIME: Duration = Duration::from_secs(100);
/// Bytes of late push messages that a listener is sent at once, if that is more than one message.
pub const CATCH_UP_BYTES: usize = 64 * 1024;
/// Bytes a second that the peer of a closing connection has to take in the mean: a modem's pace, so
/// that one that takes a byte now and then does not hold megabytes for ever.
pub const CLOSING_RATE: u64 = 1024;
/// Default time for a connect with its handshake.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Time a draining server gives its peers.
pub const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Time between SSE heartbeat comments: below the 30 to 60 s of common proxies.
pub const HEARTBEAT_TIME: Duration = Duration::from_secs(15);
/// Events kept for `Last-Event-ID`, per core.
pub const HISTORY_EVENTS: usize = 256;

/// Time from accept to a finished TLS handshake, so that a slow `ClientHello` ends there too.
pub const TLS_HANDSHAKE_TIME: Duration = HEAD_TIME;
/// TLS handshakes under way on one core, after which the oldest makes room: what one core can sign
/// within [`TLS_HANDSHAKE_TIME`], and a few times that.
pub const TLS_HANDSHAKES: u64 = 64 * 1024;
/// Bytes of memory of what those handshakes have received and not digested, on one core: beside
/// [`MEMORY_BYTES`], because who has not shown yet what it wants is let go by other rules.
pub const TLS_HANDSHAKES_BYTES: usize = 32 * 1024 * 1024;
/// Handshakes that one turn answers: each costs a signature, 0.1 ms and for RSA 1 ms, for which
/// every other connection of the core waits.
pub const TLS_ANSWERS_PER_TURN: usize = 4;
/// Bytes of a `ClientHello` or a `ServerHello` at most, records included. Post-quantum key shares
/// make one of 2 KiB; 16 KiB is the most that fits one record.
pub const TLS_HELLO_BYTES: usize = 18 * 1024;
/// Bytes of a TLS handshake that one side may send before an answer is due: a chain of
/// certificates is bounded at 64 KiB.
pub const TLS_FLIGHT_BYTES: usize = 80 * 1024;
/// TLS records without application data that may come between such with it: key updates, session
/// tickets, empty ones, warnings. BoringSSL and rustls take 32.
pub const TLS_QUIET_RECORDS: u8 = 32;
/// TLS alerts between application data that end nothing. BoringSSL and rustls take 4.
pub const TLS_WARNINGS: u8 = 4;
/// Names of a client's certificate that are kept, of its subject and its alternatives together.
pub const CERTIFICATE_NAMES: usize = 64;
/// Plaintext of one TLS record. RFC 8446, 5.1.
pub const TLS_RECORD_BYTES: usize = 16 * 1024;
/// What a record adds to its plaintext at most: header, explicit nonce, content type, tag.
pub const TLS_RECORD_EXTRA: usize = 5 + 8 + 1 + 16;
/// Records under one AES-GCM key, after which it is replaced. RFC 8446, 5.5.
pub const TLS_RECORDS_PER_KEY: u64 = 1 << 24;

/// Members of one room, where nobody says.
pub const ROOM_SIZE: u16 = 6;
/// Members of one room at most: what one message costs grows with it, and leaving looks through
/// the members.
pub const ROOM_SIZE_MAX: u16 = 1024;
/// Rooms of one server: a million of two members each is more than it has connections.
pub const ROOMS: u32 = 1024 * 1024;
/// Bytes of a text said in a room: it is written once for each member's kind of connection, and up
/// to six times as long where it is all control characters.
pub const SAID_BYTES: usize = 64 * 1024;

/// Bytes of what one says in a chat, as JSON: room for 2,000 characters however they are written.
pub const CHAT_MESSAGE_BYTES: usize = 16 * 1024;
/// The same of an offer, an answer or a candidate: browsers' offers have up to 20 KB.
pub const CHAT_SIGNAL_BYTES: usize = SAID_BYTES;
/// Characters of the name that a user of the chat enters with: one line of a telephone.
pub const CHAT_NAME_CHARACTERS: usize = 32;
/// Partners that have reported a user, at which it is sent away: two may be wrong.
pub const CHAT_REPORTS: u8 = 3;
/// Events of one core's chats that wait to be written to disk; more are lost, and counted.
pub const CHAT_RECORDS: usize = 64 * 1024;
/// Questions to the logs that one core has under way; more get 503.
pub const CONSOLE_QUESTIONS: usize = 16;
/// Time without a word after which both users of a chat are told so.
pub const CHAT_IDLE_TIME: Duration = Duration::from_secs(60);

/// Bytes of a call of an application over HTTP: a batch of several long publications.
pub const CALL_BYTES: usize = 1024 * 1024;
/// Bytes of a channel's name: what Centrifugo allows.
pub const CHANNEL_NAME_BYTES: usize = 255;
/// Patterns of channels that the clients of one core may have subscribed to: every core knows them.
pub const PATTERNS: usize = 4096;
/// Channels that one client may have subscribed to: what Centrifugo allows. Each command looks
/// through them.
pub const CHANNELS_PER_CLIENT: usize = 128;
/// Channels whose home is one core: one for each connection of a large host.
pub const CHANNELS: usize = 1024 * 1024;
/// Channels that are named in one answer.
pub const CHANNELS_LISTED: usize = 10_000;
/// Bytes of what is said in a channel at once: a text of a room, for the same reasons.
pub const PUBLICATION_BYTES: usize = SAID_BYTES;
/// Bytes of one channel's history: a hundred long publications, or thousands as people write.
pub const CHANNEL_HISTORY_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of what one client missed of a channel that it is given at once, and of one part of a
/// history: more is told to be lost, rather than that it fills a backlog.
pub const RECOVERY_BYTES: usize = 1024 * 1024;
/// Publications in one part of a history.
pub const HISTORY_LISTED: usize = 1000;
/// Bytes of all histories of one core; whoever publishes then keeps less of its own channel.
pub const HISTORY_BYTES: usize = 256 * 1024 * 1024;
/// Clients that are named in one answer about who is in a channel.
pub const PRESENCE_LISTED: usize = 1000;
/// Clients of a channel up to which each is told at once who comes and goes: a thousand tell a
/// million of each other if all come.
pub const PRESENCE_TOLD_AT_ONCE: usize = 100;
/// Clients of a channel up to which each is told once in [`PRESENCE_TIME`]; beyond, nobody is.
pub const PRESENCE_TOLD: usize = 1000;
/// How many may come and go in a large channel within [`PRESENCE_TIME`] so that each is told; if
/// more do, nobody is: a thousand that come back together would tell each other a million times.
pub const PRESENCE_CHANGES: usize = 100;
/// Time between two pings of one client of Centrifugo's protocol: its servers' own.
pub const CLIENT_PING_TIME: Duration = Duration::from_secs(25);
/// Time between two pings of one client of `SocketCluster`: its servers' own.
pub const CLUSTER_PING_TIME: Duration = Duration::from_secs(8);
/// Time in which it has to say something, a pong at least; and without a ping after which it takes
/// its connection for dead.
pub const CLUSTER_PONG_TIME: Duration = Duration::from_secs(30);
/// Time in which it has to make its handshake.
pub const CLUSTER_HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Time between two pings of one client of Socket.IO: its servers' own.
pub const IO_PING_TIME: Duration = Duration::from_secs(25);
/// Time in which it has to answer one.
pub const IO_PONG_TIME: Duration = Duration::from_secs(20);
/// Time in which it has to join a namespace.
pub const IO_CONNECT_TIME: Duration = Duration::from_secs(45);
/// Clients of Socket.IO that a core has lost and that may come back, of some hundred bytes each.
pub const IO_LOST_CLIENTS: usize = 64 * 1024;
/// Events of one room whose places a core remembers for them: a history has rarely more.
pub const IO_ROOM_EVENTS: usize = 1024;
/// Bytes of a packet of a client of Socket.IO, its binary messages among them: its servers' own.
pub const IO_PAYLOAD_BYTES: usize = 1_000_000;
/// Bytes of a payload that a client of Socket.IO posts.
pub const EXCHANGED_BYTES: usize = IO_PAYLOAD_BYTES;
/// Namespaces that one connection of Socket.IO joins beside `/`.
pub const IO_NAMESPACES: usize = 16;
/// Bytes of the name of one: a channel's name has it and a room's.
pub const IO_NAMESPACE_BYTES: usize = 64;
/// Time that a client of Socket.IO has to move to a WebSocket: its servers' own.
pub const IO_UPGRADE_TIME: Duration = Duration::from_secs(10);
/// Time that what a client is told last waits for its next poll: its servers' own.
pub const IO_FAREWELL_TIME: Duration = Duration::from_secs(30);
/// Clients of Socket.IO of a core that poll: no connection bounds them, of some hundred bytes each.
pub const IO_POLLERS: usize = 64 * 1024;
/// Bytes of one client that wait for a poll, or to be heard: two payloads as long as one may be.
pub const IO_QUEUE_BYTES: usize = 2 * IO_PAYLOAD_BYTES;
/// The same for all clients of one core.
pub const IO_QUEUES_BYTES: usize = 64 * 1024 * 1024;
/// Packets of one client that polls that are heard in a turn: the shortest are of one byte.
pub const IO_TURN_PACKETS: usize = 256;
/// Bytes of what is answered before an upgrade: a session of Engine.IO is described in 200.
pub const FIRST_ANSWER_BYTES: usize = 4096;
/// Time between two pings of a client of `ActionCable`, which takes two without one for its end.
pub const CABLE_PING_TIME: Duration = Duration::from_secs(3);
/// Bytes of what it calls a subscription: the name of a stream, signed, and what is around it.
pub const CABLE_IDENTIFIER_BYTES: usize = 1024;
/// Bytes of the name that it chooses in a channel.
pub const CABLE_NAME_BYTES: usize = 128;
/// Bytes of what it says of itself there: each who asks is told that of all.
pub const CABLE_INFO_BYTES: usize = 1024;
/// Bytes of what a session holds: JSON.
pub const SESSION_DATA_BYTES: usize = 16 * 1024;
/// Time between a session's last socket and its end: what a page takes to load anew, and a while.
pub const SESSION_GRACE_TIME: Duration = Duration::from_secs(30);
/// Bytes of the reason that a rule gives a client: a close frame has room for 123 (RFC 6455, 5.5).
pub const REASON_BYTES: usize = 120;
/// Clients of one core whose use of a rate is known: whoever is beyond them waits.
pub const RATE_METERS: usize = 128 * 1024;
/// Bytes of a token: what fits into a head of a request with the rest of it.
pub const TOKEN_BYTES: usize = 8 * 1024;
/// Least bytes of a secret that tokens are signed with, or of a fixed token: none to guess.
pub const TOKEN_SECRET_BYTES: usize = 16;
/// Keys that tokens are verified with: a token without a key's name may be tried with each.
pub const TOKEN_KEYS: usize = 32;
/// Verified tokens that a core keeps: as many as a large core has clients.
pub const TOKENS_KNOWN: usize = 128 * 1024;
/// Bytes of memory of them.
pub const TOKENS_KNOWN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that a client may say before the subscriptions that it connects with are answered.
pub const EARLY_COMMAND_BYTES: usize = 64 * 1024;
/// How long coming and going is gathered before it is told.
pub const PRESENCE_TIME: Duration = Duration::from_secs(1);

/// Messages that a client of a script keeps for a `wait` that looks at what came before it, and
/// the bytes of one that is kept.
pub const EARLIER_MESSAGES: usize = 64;
/// A longer message is not kept.
pub const EARLIER_BYTES: usize = 16 * 1024;
/// Bytes of texts that a room's home has told one core's members, and that core has not
/// acknowledged, from which on no talker of the room gets credit: a turn's worth.
pub const ROOM_WINDOW: u32 = 64 * 1024;
/// Bytes of texts that the talkers of one core may have said in a room without credit, at least.
pub const ROOM_WINDOW_MIN: u32 = 8 * 1024;
/// How long a room waits for a member that is behind, the first time; half as long each time.
pub const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits at least: a member that takes [`ROOM_WINDOW`] in that time is not behind.
pub const ROOM_PATIENCE_MIN: Duration = Duration::from_millis(62);
/// Bytes that wait in the mailboxes of all cores together, from which on no core hears what is to
/// be told to others: what waits for a core that does not come to read it has a bound. What has to
/// be said for members to come and go is above it.
pub const MAIL_BYTES: usize = 16 * 1024 * 1024;
/// What one letter counts at least towards it.
pub const MAIL_BYTES_OF_A_LETTER: usize = 128;
/// Time between two looks whether there is room in the mailboxes again.
pub const MAIL_TIME: Duration = Duration::from_millis(2);
/// What a text counts at least in those windows.
pub const SAID_BYTES_MIN: usize = 64;

/// Addresses that are counted: a million with one connection each take 40 MiB.
pub const ADDRESSES: usize = 1024 * 1024;
/// Bytes of a header of the PROXY protocol: addresses, and what proxies tell of TLS.
pub const PROXY_HEADER_BYTES: usize = 4 * 1024;
/// The queue of `listen(2)`; the kernel caps it at `net.core.somaxconn` (4096 by default).
pub const LISTEN_BACKLOG: u32 = 16_384;
/// Connections of one core beyond the most that are configured: each is told that the server is
/// full, or how it is.
pub const SPARE_CONNECTIONS: u32 = 128;
/// Time from accept to a complete head on one of those: others wait for its place.
pub const SPARE_TIME: Duration = Duration::from_secs(2);
/// Connections of one core on the listener for health and figures.
pub const ADMIN_CONNECTIONS: u32 = 32;
/// Connections of one core that are being reset, because not even a spare place was left.
pub const RESET_CONNECTIONS: u32 = 64;
/// What one core of a server can have open beside its connections.
pub const EXTRA_CONNECTIONS: u32 = SPARE_CONNECTIONS + ADMIN_CONNECTIONS + RESET_CONNECTIONS;

/// Connections that one core of `serve` has room for where nobody says, under that limit on
/// descriptors, if it needs none for them: as many as one table of the ring engine holds.
#[must_use]
pub const fn ring_connections(descriptors: u64) -> u64 {
    at_most(descriptors.saturating_sub(TABLE_BESIDE), CORE_SLOTS)
}

/// The same if each connection is a descriptor of the process, which all cores share.
#[must_use]
pub const fn descriptor_connections(descriptors: u64, cores: u64) -> u64 {
    let each = descriptors.saturating_sub(DESCRIPTORS_KEPT) / at_least(cores, 1);
    at_most(each.saturating_sub(EXTRA_CONNECTIONS as u64), CORE_SLOTS)
}

const fn at_most(number: u64, most: u64) -> u64 {
    if number < most { number } else { most }
}

const fn at_least(number: u64, least: u64) -> u64 {
    if number > least { number } else { least }
}

/// Connections of one core at most where nothing else is said: its table costs 8 bytes of kernel
/// memory for each.
pub const CORE_SLOTS: u64 = 131_072;
/// Descriptors kept for what is no connection: rings, listeners, files.
pub const DESCRIPTORS_KEPT: u64 = 64;
/// Slots of a file table that a core which listens keeps for connects of its own.
pub const TABLE_CONNECTS: u32 = 64;
/// Slots of a file table for what single accepts bring once all others are taken.
pub const TABLE_ACCEPTS: u32 = 64;
/// All slots of a server's only file table that hold none of its connections. It makes no connects.
pub const TABLE_BESIDE: u64 = (EXTRA_CONNECTIONS + TABLE_ACCEPTS) as u64;
/// Submission entries of a ring: what one turn can queue before it has to enter early.
pub const RING_SUBMISSIONS: u32 = 4096;
/// Completion entries of a ring: at least four times the expected burst, so that the kernel does
/// not spill.
pub const RING_COMPLETIONS: u32 = 32_768;
/// Memory that the rings of a core's executor lock, in bytes; measured, rounded up.
pub const EXECUTOR_LOCKED_BYTES: u64 = 84 * 1024;
/// Memory that one of our rings locks, in bytes: entries of 64 and of 16 bytes, an index for each
/// submission, and the page that begins it (`io_uring/io_uring.c`, `rings_size`).
pub const RING_LOCKED_BYTES: u64 =
    RING_SUBMISSIONS as u64 * (64 + 4) + RING_COMPLETIONS as u64 * 16 + 4096;
/// Memory that the list of one receive buffer locks, in bytes (`struct io_uring_buf`).
pub const RECEIVE_BUFFER_LOCKED_BYTES: u64 = 16;
/// Default receive buffers of one core.
pub const RECEIVE_BUFFERS: u16 = 1024;
/// Default size of one receive buffer, in bytes.
pub const RECEIVE_BYTES: u32 = 4096;
/// Receive buffers of a ring for connections that fill those: what one turn hands out. Who finds
/// none is served in the next turn; their memory is there only while somebody needs it.
pub const LARGE_RECEIVE_BUFFERS: u16 = 32;
/// Size of one of them, in bytes.
pub const LARGE_RECEIVE_BYTES: u32 = 64 * 1024;
/// Failures one after the other that open the breaker.
pub const BREAKER_FAILURES: u32 = 5;
/// Time between two attempts while it is open.
pub const BREAKER_TIME: Duration = Duration::from_millis(500);
/// One request in so many may be made once more.
pub const RETRY_SHARE: u32 = 10;
/// Changes of channels of one core that the store has not taken yet: of a few seconds, while its
/// disk does not answer. More are lost, and counted.
pub const STORE_ENTRIES: usize = 256 * 1024;
/// Bytes of those.
pub const STORE_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that the store has taken and cannot write: what is newest of each channel, as its history
/// holds it. With more all of them are lost, and counted.
pub const STORE_PENDING_BYTES: usize = 512 * 1024 * 1024;
/// Time between a change and its write, which takes others with it: what a crash loses at most is
/// what comes in it and while the disk writes, 50 ms together.
pub const STORE_GATHER_TIME: Duration = Duration::from_millis(25);
/// Time between two attempts to write what could not be.
pub const STORE_RETRY_TIME: Duration = Duration::from_secs(1);
/// Bytes of the store's file in its own cache: a large store is read once, then hardly.
pub const STORE_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Time that peers get when a core has failed and the server is started again: its listeners are
/// gone until then.
pub const RESTART_TIME: Duration = Duration::from_millis(500);
/// Time that connections get which were accepted just before another process took the listeners:
/// what accepts wait for (`TCP_DEFER_ACCEPT`) may take a second, and a request some more.
pub const HANDOVER_TIME: Duration = Duration::from_millis(1500);
/// Events of one core that wait to be written to the log; more are lost, and counted.
pub const LOG_EVENTS: usize = 16_384;
/// Lines of one kind and second in the log; what comes beyond them is one line with its number.
pub const LOG_LINES: u64 = 100;
/// Bytes of a path in the log: it is a peer's.
pub const LOG_ROUTE_BYTES: usize = 256;
/// Connections of a core of the load client whose ring is asked for its sockets while it measures:
/// the core waits for about as many microseconds.
pub const SOCKETS_LISTED_MAX: u64 = 2_000;
/// Seconds of a run that its record keeps, five and a half hours of them; --csv has all.
pub const SERIES_ROWS_MAX: usize = 20_000;

const _: () = assert!(BACKLOG_LOW < BACKLOG_HIGH && BACKLOG_HIGH < BACKLOG_BYTES);
const _: () = assert!(
    SEND_BYTES > BACKLOG_HIGH,
    "what a send leaves is seen: it is one that completes"
);
const _: () = assert!(
    MESSAGE_BYTES < BACKLOG_BYTES,
    "an echo of the largest message must fit"
);
const _: () = assert!(
    SAID_BYTES * 6 < BACKLOG_BYTES / 4,
    "nobody is a slow consumer because of one message"
);
const _: () = assert!(ROOM_SIZE <= ROOM_SIZE_MAX);
const _: () = assert!(
    BACKLOG_HIGH + 6 * (ROOM_WINDOW as usize + 8 * SAID_BYTES) < BACKLOG_BYTES,
    "a member that reads is not ended, though eight cores said the longest text at once"
);
const _: () = assert!(
    PUBLICATION_BYTES < CHANNEL_HISTORY_BYTES && CHANNEL_HISTORY_BYTES < HISTORY_BYTES,
    "the longest publication can be kept"
);
const _: () =
    assert!(STORE_QUEUE_BYTES < STORE_PENDING_BYTES && HISTORY_BYTES < STORE_PENDING_BYTES);
const _: () = assert!(
    PUBLICATION_BYTES < RECOVERY_BYTES && RECOVERY_BYTES * 2 < BACKLOG_BYTES,
    "nobody is a slow consumer because it came back"
);
const _: () = assert!(PRESENCE_TOLD_AT_ONCE < PRESENCE_TOLD);
const _: () = assert!(CONTROL_BYTES < HEAD_BYTES);
const _: () = assert!(HEAD_BYTES < RESPONSE_HEAD_BYTES && HEAD_FIELDS < RESPONSE_FIELDS);
const _: () = assert!(MESSAGE_BYTES < CLIENT_MESSAGE_BYTES);
const _: () = assert!(TLS_HANDSHAKES_BYTES > 256 * TLS_FLIGHT_BYTES);
const _: () = assert!(TLS_HELLO_BYTES < TLS_FLIGHT_BYTES && TLS_RECORD_BYTES < TLS_HELLO_BYTES);
const _: () = assert!(
    RECEIVE_BUFFERS.is_power_of_two(),
    "a provided-buffer ring needs it"
);
