//! What may be typed after `load`, with its help.

use super::churn_flags::ChurnFlags;
use super::pacing::PaceFlags;
use super::part_flags::PartFlags;
use super::realtime_flags::RealtimeFlags;
use super::scenario_flag::ScenarioFlag;
use crate::cli::connection::ConnectionFlags;
use crate::cli::engine_flag::LoadEngine;
use crate::cli::sources::{self, Source};
use crate::cli::url::Url;
use crate::cli::values::{self, Cpus};
use crate::limits;
use crate::report::{Threshold, ThresholdError};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `load`.
#[derive(Args, Debug)]
pub(in crate::cli) struct LoadFlags {
    /// ws://HOST:PORT/PATH for WebSocket, http://HOST:PORT/PATH for Server-Sent Events; wss:// and
    /// https:// for either over TLS. Of several, connections take one each in turn. In path and
    /// query {number} stands for the connection's number, {rand} for 16 random digits.
    #[arg(value_name = "URL", required = true, num_args = 1..)]
    pub(in crate::cli) urls: Vec<Url>,
    /// Table (CSV) whose columns stand for names in braces in URL, headers, cookies and
    /// subprotocols, as {number} and {rand} do: -H 'Authorization: Bearer {token}'. Each client has
    /// the next row.
    #[arg(long, value_name = "FILE.csv")]
    pub(in crate::cli) values: Option<PathBuf>,
    /// Connections.
    #[arg(short = 'c', long, value_name = "N", default_value = "10")]
    #[arg(value_parser = values::count_u32)]
    pub(in crate::cli) connections: u32,
    /// Measured time, after the connects [default: 10s, or as long as --stages].
    #[arg(short = 'd', long, value_name = "TIME", value_parser = values::duration)]
    pub(in crate::cli) duration: Option<Duration>,
    /// Time for one connect with its upgrade.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub(in crate::cli) connect_timeout: Duration,
    /// Bytes of one message, at least 8.
    #[arg(long, value_name = "BYTES", default_value = "32", value_parser = values::size)]
    pub(in crate::cli) payload: usize,
    /// What each message of an echo says, instead of a payload of --payload: {number}, {rand} and
    /// columns of --values are the client's own, {seq} the message's number on its connection,
    /// without which a lost message is known by the end only. Text, unless --binary is given.
    #[arg(long, value_name = "TEXT", conflicts_with = "payload")]
    pub(in crate::cli) message: Option<String>,
    /// Cap on one message or event that comes: a larger one fails as `too_large`, which is this
    /// client's own limit and not the server's mistake.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = values::size)]
    pub(in crate::cli) max_message: usize,
    /// Cap on the fragments of one message that comes, in the same way.
    #[arg(long, value_name = "N", default_value = "65536", value_parser = values::count_u32)]
    pub(in crate::cli) max_fragments: u32,
    /// Follows redirects of an event stream, each client for itself: those that keep the scheme
    /// and lead to a host and port of a URL or of --resolve, 20 in a row at most.
    #[arg(long)]
    pub(in crate::cli) follow: bool,
    /// Sends text messages.
    #[arg(long, conflicts_with = "binary")]
    pub(in crate::cli) text: bool,
    /// Sends binary messages: so it is without --text.
    #[arg(long)]
    pub(in crate::cli) binary: bool,
    /// What a client does [default: echo for ws://, listen for http://].
    #[arg(long, value_enum)]
    pub(in crate::cli) scenario: Option<ScenarioFlag>,
    /// Scenario file of the scenario custom: TOML, see scripts/scenarios/chat.toml.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) script: Option<PathBuf>,
    /// Iterations of each room (rooms) or client (chat, custom): the run ends with them, or at an
    /// hour without --duration [default: as many as there is time for]. Of connect: its rounds
    /// [default: 10].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(in crate::cli) iterations: Option<u32>,
    /// Members of a room that the server has to allow for, of the scenario rooms: clients of a
    /// server that has other rooms fail as other_room_size [default: as many as the server says].
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::ROOM_SIZE_MAX)))]
    pub(in crate::cli) room_size: Option<u32>,
    /// Time in which messages run before they are measured.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    pub(in crate::cli) warm_up: Duration,
    /// CPUs to run on, one thread each, such as 0-3,6 [default: all allowed].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(in crate::cli) cores: Option<Cpus>,
    /// What moves the bytes.
    #[arg(long, value_enum, default_value = "ring")]
    pub(in crate::cli) engine: LoadEngine,
    /// Source addresses, used in turn, each with ports of its own: addresses, blocks such as
    /// 127.0.0.0/28, or auto for what fits the target.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = sources::source)]
    pub(in crate::cli) source_ip: Vec<Source>,
    /// Process of the server on this host: its CPU time is measured.
    #[arg(long, value_name = "PID")]
    pub(in crate::cli) server_pid: Option<i32>,
    /// First finds the highest rate that this client could keep, in short runs against a server of
    /// its own, for 40 s at most: the headroom over the plan, which the summary shows. Of an echo
    /// over WebSocket without TLS.
    #[arg(long)]
    #[arg(help_heading = "Verdict")]
    pub(in crate::cli) calibrate: bool,
    /// What the run has to keep to, such as 'response.p99<50ms' 'errors<0.1%' 'reach>=99.99%'; any
    /// number of them, after the URL. A name that there is not lists those that there are.
    #[arg(long, value_name = "METRIC<VALUE", num_args = 1.., value_parser = threshold)]
    #[arg(help_heading = "Verdict")]
    pub(in crate::cli) threshold: Vec<Threshold>,
    /// Part of the connections, and of the messages, that may fail or be lost before the verdict is
    /// FAIL; a threshold on them says it instead.
    #[arg(long, value_name = "N%", default_value = "0%", value_parser = values::share)]
    pub(in crate::cli) allow_failures: f64,
    /// Exit code 0, not 97, when the verdict is INCONCLUSIVE.
    #[arg(long)]
    pub(in crate::cli) inconclusive_ok: bool,
    /// How long replies are waited for after the end of the plan; a message whose reply has not
    /// come then is lost. The run ends as soon as none is missing.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    pub(in crate::cli) grace: Duration,
    /// Of the scenario listen: a connection that hears nothing for longer is silent, which is
    /// counted and, at the end, a failure [default: what the rate of the events so far tells].
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(in crate::cli) silence: Option<Duration>,
    /// Prints the record as one line of JSON rather than the summary.
    #[arg(long)]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) json: bool,
    /// Writes the record to this file, and what there is of it while the run goes on: a run that is
    /// killed leaves that.
    #[arg(long, value_name = "FILE.json")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) record: Option<PathBuf>,
    /// Writes a page with tables and plots, which needs nothing else, to this file.
    #[arg(long, value_name = "FILE.html")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) html: Option<PathBuf>,
    /// The record of an earlier run of the same command: FAIL (exit code 99) if this one is worse
    /// beyond what both vary by, and beyond --tolerance.
    #[arg(long, value_name = "RECORD")]
    #[arg(help_heading = "Verdict")]
    pub(in crate::cli) baseline: Option<PathBuf>,
    /// Part by which a run may be worse than its --baseline.
    #[arg(long, value_name = "N%", default_value = "5%", value_parser = values::share)]
    #[arg(help_heading = "Verdict")]
    pub(in crate::cli) tolerance: f64,
    /// Writes the latency distribution to this file, for HdrHistogram plotters.
    #[arg(long, value_name = "FILE")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) hgrm: Option<PathBuf>,
    /// Ends the run as soon as a threshold has failed for good, after its first second.
    #[arg(long, requires = "threshold")]
    #[arg(help_heading = "Verdict")]
    pub(in crate::cli) abort_on_fail: bool,
    /// Writes a row for every second to this file.
    #[arg(long, value_name = "FILE")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) csv: Option<PathBuf>,
    /// Writes every latency of every second to this file, as an interval log of HdrHistogram.
    #[arg(long, value_name = "FILE")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) hlog: Option<PathBuf>,
    /// Writes the run so far to this file every second, for the textfile collector of Prometheus.
    #[arg(long, value_name = "FILE.prom")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) prometheus: Option<PathBuf>,
    /// Answers GET /metrics there while it runs.
    #[arg(long, value_name = "IP:PORT", value_parser = metrics_address)]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) metrics_listen: Option<SocketAddr>,
    /// Progress as a line a second, also on a terminal.
    #[arg(long, conflicts_with = "quiet")]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) plain: bool,
    /// Prints on stderr what the first clients send and receive: heads, frames, events; 10,000
    /// lines at most. It slows them down: no run to take figures from.
    #[arg(long)]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) debug: bool,
    /// How many clients --debug shows, from number 0.
    #[arg(long, value_name = "N", default_value = "1", requires = "debug")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) debug_clients: u32,
    /// No progress on stderr.
    #[arg(long)]
    #[arg(help_heading = "Output")]
    pub(in crate::cli) quiet: bool,
    /// Seed of everything random [default: random, and printed with --json].
    #[arg(long, value_name = "N")]
    pub(in crate::cli) seed: Option<u64>,
    /// The command line, with what environment and file add to it.
    #[arg(skip)]
    pub(in crate::cli) command: Vec<String>,
    // Flags of a group are last: a heading holds for all that follow it.
    #[command(flatten)]
    pub(in crate::cli) connection: ConnectionFlags,
    /// When messages are sent and connects start.
    #[command(flatten)]
    pub(in crate::cli) pace: PaceFlags,
    /// What the scenarios of message protocols need.
    #[command(flatten)]
    pub(in crate::cli) realtime: RealtimeFlags,
    /// Who connects again, who is dropped and who goes.
    #[command(flatten)]
    pub(in crate::cli) churn: ChurnFlags,
    /// Which part of a larger run it is.
    #[command(flatten)]
    pub(in crate::cli) part: PartFlags,
}

fn threshold(text: &str) -> Result<Threshold, ThresholdError> {
    text.parse()
}

fn metrics_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:9101".to_owned())
}
