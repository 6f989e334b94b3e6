//! What may be typed: the flags of every command, with their help and examples. Nothing is decided
//! here: each command's `Config::new` says what was meant.

use super::agent::flags::AgentFlags;
use super::backend_flags::BackendFlags;
use super::capacity::flags::CapacityFlags;
use super::compare::flags::CompareFlags;
use super::config_flags::ConfigFlags;
use super::connection::ConnectionFlags;
use super::deflate::{self, DeflateMode};
use super::doctor::DoctorFlags;
use super::init::InitFlags;
use super::journal::JournalFlags;
use super::limit_flags::LimitFlags;
use super::listen::{self, Listen};
use super::load::flags::LoadFlags;
use super::log_flags::LogFlags;
use super::merge::MergeFlags;
use super::pass_flags::PassFlags;
use super::report::ReportFlags;
use super::shell::{CompletionFlags, ManFlags};
use super::supervise::SuperviseFlags;
use super::tls::TlsFlags;
use super::tokens::ChannelFlags;
use super::upgrade::UpgradeFlags;
use super::url::Url;
use super::values::{self, Cpus, Switch};
use crate::limits;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Hold, drive and measure very many WebSocket and Server-Sent Events connections on Linux.
#[derive(Debug, Parser)]
#[command(name = "ringstorm", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Flags {
    /// Without one: demo.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 it could not, 2 wrong flags, 97 inconclusive, 98 the planned load was not
applied, 99 the server or a threshold failed, 105 interrupted.

Examples:
  ringstorm                                           the demo: server and load on this host
  ringstorm serve --cores 0
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k -d 10s
  ringstorm probe http://127.0.0.1:9000/events --count 3
  ringstorm agent http://127.0.0.1:9000";

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serves /echo and /push (WebSocket), /events (Server-Sent Events), /rooms (both), /healthz
    /// and /stats.
    #[command(after_help = "\
Examples:
  ringstorm serve
  ringstorm serve --listen 0.0.0.0:9000 --listen '[::]:9000' --cores 0-3 --chunk-ms 100
  ringstorm serve --tls-cert server.pem --tls-key server.key
  ringstorm serve --room-size 20                     members of a room on /rooms
  ringstorm serve --config hello/ringstorm.toml      what ringstorm init hello has written
  ringstorm serve --dev --store hello.redb --supervise  channels that outlive a crash
  ringstorm serve --engine baseline --cores 0        what one would otherwise write, to compare

Each flag is also a key of the file and a variable: --max-message is max-message and
RINGSTORM_MAX_MESSAGE. A flag wins over a variable, a variable over the file (ringstorm config).
It says `listening on URL...` when it is ready. SIGINT or SIGTERM drains it.")]
    Serve(Box<ServeFlags>),
    /// Drives many connections and measures what comes back.
    #[command(after_help = "\
Examples:
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k -d 10s      open loop: honest latency
  ringstorm load ws://127.0.0.1:9000/echo -c 64 --pipeline 16        closed loop: throughput
  ringstorm load ws://127.0.0.1:9000/echo --stages '10k,30s;100k,2m'  ramps; --poisson, --spike
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 --think 50ms-2s     users who think
  ringstorm load ws://127.0.0.1:9000/echo -c 9000 -b 100 -m 50        100 connects every 50 ms
  ringstorm load http://127.0.0.1:9000/events -c 5000 --storm 50%@5s  how fast they come back
  ringstorm load ws://127.0.0.1:9000/echo -c 9000 --connect-rate 200 --session-time exp:10s  churn
  ringstorm load ws://127.0.0.1:9000/push -c 5000 --scenario listen  fan-out
  ringstorm load http://127.0.0.1:9000/rooms --scenario rooms -c 4k --iterations 100
  ringstorm load http://127.0.0.1:9000/events --scenario connect -c 4k  how long connects take
  ringstorm load http://127.0.0.1:9000/events -c 5000 --json > run.json
  ringstorm load ws://127.0.0.1:9000/echo -r 20k --csv rows.csv --metrics-listen 127.0.0.1:9101
  ringstorm load ws://127.0.0.1:9000/echo -r 20k --threshold 'response.p99<50ms' 'errors<0.1%'
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k --calibrate  could this client do more?
  ringstorm load ws://127.0.0.1:9000/echo -c 100k --scenario idle --source-ip auto
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 --scenario idle --ping 20s
  ringstorm load wss://localhost:9443/echo -c 1000 --ca ca.pem -H X-Room:7
  ringstorm load ws://127.0.0.1:9000/echo?user={number} -c 100 --config load.toml
  ringstorm load ws://127.0.0.1:9000/echo --scenario custom --script scripts/scenarios/chat.toml
  ringstorm load ws://127.0.0.1:3000 --scenario cable --channel ChatChannel --event speak -r 100
  ringstorm load ws://127.0.0.1:3000 --scenario cable --channel News --trigger http://[::1]:3000/go
  ringstorm load ws://127.0.0.1:8000 --scenario socketcluster --channel news --senders 1 -r 50
  ringstorm load ws://127.0.0.1:3000 --scenario socketio --namespace /chat --event say -r 500
  ringstorm load ws://127.0.0.1:3000 --scenario socketio --transport upgrade -c 1000

The summary goes to stdout, progress to stderr. Ctrl-C ends with the summary of what ran.")]
    Load(Box<LoadFlags>),
    /// One connection a person can read: prints every message or event.
    #[command(after_help = "\
Examples:
  ringstorm probe http://127.0.0.1:9000/events --count 3
  ringstorm probe ws://127.0.0.1:9000/push --json
  ringstorm probe ws://127.0.0.1:9000/echo --send hello --count 1 --debug
  ringstorm probe wss://localhost:9443/push --insecure --count 3
  ringstorm probe ws://127.0.0.1:9001/ --echo        until the server closes

An event stream that ends is opened again with Last-Event-ID, after the server's retry.
With --json binary messages are written in hexadecimal digits.")]
    Probe(Box<ProbeFlags>),
    /// Watches a server: connections, rates, queues, memory, CPU.
    #[command(after_help = "\
Examples:
  ringstorm agent http://127.0.0.1:9000
  ringstorm agent http://127.0.0.1:9000 --host --refresh 2s
  ringstorm agent http://127.0.0.1:9000 --once
  ringstorm agent http://127.0.0.1:9000 --json --count 60 > samples.json
  ringstorm agent http://127.0.0.1:9000 --plain > watch.txt

Keys of the live view: q or Ctrl-C ends it. A server that restarts or does not answer is said to
do so, and watched on; only one that is not there at the start ends the agent.")]
    Agent(AgentFlags),
    /// Says which of two servers is better, by how much and how surely: interleaved pairs of runs.
    #[command(after_help = "\
Examples:
  ringstorm compare ring baseline                    engines of this program
  ringstorm compare --a ./old --b ./new --until-sure  builds of it
  ringstorm compare --a 'node a.js' --a-url ws://127.0.0.1:8081/ \\
                    --b 'node b.js' --b-url ws://127.0.0.1:8082/
  ringstorm compare ws://127.0.0.1:9000/echo ws://127.0.0.1:9001/echo -- -c 100 -r 5k
  ringstorm compare ring tokio --suite --record suite.json

What is started here is pinned and stopped here. A B B A: both meet the same moods of the host.
Exit code 0: B is better, or no difference shows; 99: B is worse; 97: too noisy to say.")]
    Compare(CompareFlags),
    /// Finds the largest load that a server holds within its objectives, and what stops it.
    #[command(after_help = "\
Examples:
  ringstorm capacity ws://127.0.0.1:9000/echo --slo 'response.p99<50ms' --server-pid 1234
  ringstorm capacity ws://127.0.0.1:9000/echo --axis connections --slo 'response.p99<50ms'
  ringstorm capacity http://127.0.0.1:9000/events --slo 'one_way.p99<200ms' --max 10k
  ringstorm capacity ws://127.0.0.1:9000/echo --slo 'response.p99<50ms' -- --payload 1k

Exit code 0: found and confirmed; 97: not confirmed; 98: the load client was the limit; 99: not even
the smallest load held.")]
    Capacity(CapacityFlags),
    /// Has a new program take over from a server that runs, without a refused connection.
    #[command(after_help = "\
Examples:
  ringstorm upgrade                                  the program at the path of the one that runs
  ringstorm upgrade --binary ./ringstorm-new --timeout 10s
  ringstorm upgrade --pid 4711                       of several servers, that one

Exit code 1: the new one did not get ready, the one that runs goes on. More: docs/upgrade.md.")]
    Upgrade(UpgradeFlags),
    /// Looks at a configuration file of serve: what is wrong with it, what it comes to.
    #[command(after_help = "\
Examples:
  ringstorm config check ringstorm.toml              exit code 0: serve takes it; 2: what is wrong
  ringstorm config print ringstorm.toml              what serve would take, and where it is from
  ringstorm config schema > serve.schema.json        for editors

docs/configuration.md has every key.")]
    Config(ConfigFlags),
    /// Writes a folder to begin with: rules, a page whose visitors count each other, how to go on.
    #[command(after_help = "\
Examples:
  ringstorm init hello

It prints the command that serves it. What is there already stays as it is.")]
    Init(InitFlags),
    /// Makes one record of the parts of a run.
    #[command(after_help = "\
Examples:
  ringstorm merge host1.json host2.json
  ringstorm merge part*.json --record whole.json

Counts are sums, percentiles those of the summed histograms. Exit codes are those of load.")]
    Merge(MergeFlags),
    /// Shows records: one page of tables and plots, Markdown, or summaries.
    #[command(after_help = "\
Examples:
  ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k --record run.json
  ringstorm report run.json --html run.html
  ringstorm report before.json after.json --html both.html
  ringstorm report run.json --markdown")]
    Report(ReportFlags),
    /// Server and load on this host, beside the tokio baseline: a table in under a minute.
    #[command(after_help = "\
Examples:
  ringstorm demo
  ringstorm demo --short                             about ten seconds
  ringstorm demo --out /tmp/ringstorm")]
    Demo(DemoFlags),
    /// Says whether this host can hold so many connections, what stands in the way, what to do.
    #[command(after_help = "\
Examples:
  ringstorm doctor --connections 100k --server
  ringstorm doctor --connections 1M --sources 16 --json
  ringstorm doctor --connections 100k --sources 2 --fix              the commands
  ringstorm doctor --connections 100k --sources 2 --fix --apply      and their effect

Exit code 0: ready; 1: not. What --apply changed, scripts/tune revert takes back.")]
    Doctor(DoctorFlags),
    /// Writes a man page of each command into a folder.
    Man(ManFlags),
    /// Prints a script that completes the flags in a shell.
    #[command(after_help = "\
Examples:
  ringstorm completions bash > /etc/bash_completion.d/ringstorm")]
    Completions(CompletionFlags),
}

impl Default for Command {
    fn default() -> Self {
        Self::Demo(DemoFlags {
            out: "out".into(),
            short: false,
        })
    }
}

/// What moves the server's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ServeEngine {
    /// `io_uring`, a thread per core.
    Ring,
    /// The same server over epoll, for hosts that forbid `io_uring`.
    Tokio,
    /// tokio-tungstenite and hyper: what one would otherwise write.
    Baseline,
}

impl ServeEngine {
    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Tokio => "tokio",
            Self::Baseline => "baseline",
        }
    }
}

/// Flags of `serve`.
#[derive(Args, Debug)]
pub(super) struct ServeFlags {
    /// Configuration: a file of these flags without their dashes, and of rules (TOML).
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Address to listen on, or a port of all addresses; may be given several times. Port 0 picks
    /// a free one. [::] takes IPv4 too, unless an IPv4 address with that port is given as well.
    /// unix:PATH makes a socket at a path; systemd takes the sockets that it hands over.
    #[arg(long, value_name = "[HOST:]PORT", default_value = "127.0.0.1:9000")]
    #[arg(value_parser = listen::parse, value_delimiter = ',')]
    pub(super) listen: Vec<Listen>,
    /// Permissions of the files of --listen unix:PATH, as chmod has them: who may write may
    /// connect.
    #[arg(long, value_name = "MODE", default_value = "660", value_parser = listen::mode)]
    pub(super) listen_mode: u32,
    /// Another address, for /healthz, /stats, /metrics and the pages for operators alone: they
    /// answer there, without TLS, when the server is full, and no connection there counts as one.
    #[arg(long, value_name = "[HOST:]PORT", value_parser = listen::parse)]
    pub(super) admin_listen: Option<Listen>,
    /// What whoever opens /dash/, /report/ or /logs/ has to show, at any listener: env:NAME of the
    /// environment, or file:PATH. Without it they open at listeners on loopback alone.
    #[arg(long, value_name = "WHERE")]
    pub(super) admin_token: Option<String>,
    /// CPUs to run on, one thread each, such as 0-3,6 [default: all allowed].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(super) cores: Option<Cpus>,
    /// What moves the bytes.
    #[arg(long, value_enum, default_value = "ring")]
    pub(super) engine: ServeEngine,
    /// Milliseconds between messages on /push and /events.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(super) chunk_ms: u64,
    /// Bytes of such a message; it is padded up to that.
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = values::size)]
    pub(super) chunk_bytes: usize,
    /// Members of one room on /rooms; a newcomer gets a place in one.
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_SIZE)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::ROOM_SIZE_MAX)))]
    pub(super) room_size: u16,
    /// Largest WebSocket message; a larger one is closed with 1009.
    #[arg(long, value_name = "BYTES", default_value = "1M", value_parser = values::size)]
    pub(super) max_message: usize,
    /// Most fragments of one message; more is closed with 1009.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = values::count_u32)]
    pub(super) max_fragments: u32,
    /// Most outbound bytes queued for one connection; a slower reader is closed.
    #[arg(long, value_name = "BYTES", default_value = "4M", value_parser = values::size)]
    pub(super) max_backlog: usize,
    /// Closes a WebSocket that is silent for so long, after a ping at half of it, and a kept-alive
    /// HTTP connection without a request [default: 100s, HTTP 60s].
    #[arg(long, value_name = "TIME", value_parser = values::duration_or_off)]
    pub(super) idle_timeout: Option<Switch>,
    /// Closes a WebSocket whose unfinished message makes no progress for so long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration_or_off)]
    pub(super) message_timeout: Switch,
    /// Resets a connection that takes nothing of what is queued for it for so long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration_or_off)]
    pub(super) backlog_timeout: Switch,
    /// Most bytes that the peers of one core make it hold, unfinished messages and unread output
    /// together; beyond it those who hold most are ended.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = values::size)]
    pub(super) max_memory: usize,
    /// Time that peers get when the server stops, after --drain-delay and --drain-spread.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    pub(super) drain: Duration,
    /// Goes on serving for so long after the signal, while /healthz says 503: for load balancers.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    pub(super) drain_delay: Duration,
    /// Closes connections evenly over so long, so that not all come back at once.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    pub(super) drain_spread: Duration,
    /// Close code that WebSockets get then: 1001, going away, or 1012, service restart.
    #[arg(long, value_name = "CODE", default_value = "1001", value_parser = values::drain_code)]
    pub(super) drain_code: u16,
    /// Most connections of one core [default: what the descriptor limit allows]. More get 503.
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(super) max_connections: Option<u32>,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
    #[command(flatten)]
    pub(super) log: LogFlags,
    #[command(flatten)]
    pub(super) channels: ChannelFlags,
    #[command(flatten)]
    pub(super) backend: BackendFlags,
    #[command(flatten)]
    pub(super) passing: PassFlags,
    #[command(flatten)]
    pub(super) journal: JournalFlags,
    /// Receive buffers of one core, a power of two (engine ring) [default: 1024].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(super) receive_buffers: Option<u32>,
    /// Bytes of one receive buffer (engine ring) [default: 4k].
    #[arg(long, value_name = "BYTES", value_parser = values::size)]
    pub(super) receive_bytes: Option<usize>,
    /// Agrees to permessage-deflate where a client offers it: without context takeover, or with
    /// takeover or takeover:BITS, which keeps windows of 12 or 9 to 15 bits for each connection.
    #[arg(
        long, value_name = "CONTEXT", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "false", value_parser = deflate::mode
    )]
    pub(super) deflate: DeflateMode,
    /// Subprotocol the server speaks; may be given several times, the preferred one first.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) subprotocol: Vec<String>,
    /// Origin whose pages may open a WebSocket; may be given several times [default: any].
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) origin: Vec<String>,
    /// Folder whose files browsers are given, read into memory at the start and at SIGHUP: with
    /// types, ETags, ranges, `x.gz` and `x.br` for who takes them, index.html for a folder.
    #[arg(long, value_name = "DIR")]
    pub(super) public: Option<PathBuf>,
    /// For so long browsers may keep a file without asking again.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    pub(super) public_max_age: Duration,
    #[command(flatten)]
    pub(super) tls: TlsFlags,
    #[command(flatten)]
    pub(super) supervision: SuperviseFlags,
}

/// Flags of `probe`.
#[derive(Args, Debug)]
pub(super) struct ProbeFlags {
    /// ws://HOST:PORT/PATH for WebSocket, http://HOST:PORT/PATH for Server-Sent Events; wss:// and
    /// https:// for either over TLS.
    pub(super) url: Url,
    /// Prints each message or event as one line of JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Returns each message with the same type, until the server closes (WebSocket).
    #[arg(long)]
    pub(super) echo: bool,
    /// Ends after so many messages or events.
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) count: Option<u64>,
    /// Sends this text once the WebSocket is open; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(super) send: Vec<String>,
    /// Shows heads, frames and close codes on stderr.
    #[arg(long)]
    pub(super) debug: bool,
    /// Follows redirects of an event stream to where the URL's scheme leads, 20 at most.
    #[arg(long)]
    pub(super) follow: bool,
    /// Time for the connect with its upgrade.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub(super) connect_timeout: Duration,
    /// Ends after that time.
    #[arg(short = 'd', long, value_name = "TIME", value_parser = values::duration)]
    pub(super) duration: Option<Duration>,
    /// Largest message or event.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = values::size)]
    pub(super) max_message: usize,
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

/// Flags of `demo`.
#[derive(Args, Debug)]
pub(super) struct DemoFlags {
    /// Folder for the records of the run, in a folder of its own.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub(super) out: PathBuf,
    /// About ten seconds with fewer connections: one run of each server.
    #[arg(long)]
    pub(super) short: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::connection::TrustFlags;
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_heading_holds_for_its_own_flags_only() {
        use clap::{Args as _, Command};
        let groups = [
            ("TLS", TrustFlags::augment_args(Command::new("x"))),
            (
                "Connection",
                ConnectionFlags::augment_args(Command::new("x")),
            ),
        ];
        let all = Flags::command();
        for (heading, group) in groups {
            let under = |command: &Command| -> Vec<String> {
                let args = command.get_arguments();
                let args = args.filter(|arg| arg.get_help_heading() == Some(heading));
                args.map(|arg| arg.get_id().to_string()).collect()
            };
            let own = under(&group);
            for command in all.get_subcommands() {
                let found = under(command);
                assert!(
                    found.is_empty() || found == own,
                    "{}, {heading}: {found:?}",
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn a_wrong_value_names_the_flag_and_shows_a_right_one() {
        for (flag, value, example) in [
            ("--listen", "::1", "127.0.0.1:9000"),
            ("--cores", "x", "0-3,6"),
            ("--idle-timeout", "60", "10s"),
            ("--max-message", "big", "64k"),
        ] {
            let error = Flags::try_parse_from(["ringstorm", "serve", flag, value]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(flag) && text.contains(example), "{text}");
        }
    }

    #[test]
    fn every_example_in_the_help_can_be_parsed() {
        let mut all = Flags::command();
        let mut lines: Vec<String> = vec![all.render_long_help().to_string()];
        lines.extend(
            all.get_subcommands_mut()
                .map(|it| it.render_long_help().to_string()),
        );
        let mut parsed = 0;
        for line in lines.iter().flat_map(|help| help.lines()) {
            let Some(example) = line.trim().strip_prefix("ringstorm ") else {
                continue;
            };
            let words = example.split("  ").next().unwrap_or(example);
            let words = words.split(" > ").next().unwrap_or(words);
            let words = words.split_whitespace().map(|word| word.trim_matches('\''));
            if !["serve", "load", "probe", "agent", "demo", "doctor"]
                .contains(&words.clone().next().unwrap_or(""))
            {
                continue;
            }
            let argv = std::iter::once("ringstorm").chain(words);
            Flags::try_parse_from(argv).unwrap_or_else(|error| panic!("{example}: {error}"));
            parsed += 1;
        }
        assert!(parsed >= 12, "{parsed}");
    }
}
