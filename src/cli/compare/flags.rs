//! What may be typed after `compare`.

use crate::cli::engine_flag::LoadEngine;
use crate::cli::study::StudyFlags;
use crate::cli::values::{self, Cpus};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// A standard case: what is asked of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CaseFlag {
    /// As many echoes as go, 16 in flight on each of 64 connections.
    Echo,
    /// 20,000 echoes a second on 256 connections: what they cost and how late they are.
    Paced,
    /// 64 KiB messages.
    Bulk,
    /// Four rounds of 500 connects.
    Connect,
    /// A message every 20 ms to 500 listeners.
    Fanout,
    /// Memory of 2,000 idle connections.
    Memory,
}

/// Flags of `compare`.
#[derive(Args, Debug)]
pub(in crate::cli) struct CompareFlags {
    /// A and B: an engine of this program (ring, tokio, baseline), another build of it (a path), or
    /// the URL of a server that runs.
    #[arg(value_name = "SIDE", num_args = 0..=2)]
    pub(in crate::cli) sides: Vec<String>,
    /// A; with --a-url a command line that serves there.
    #[arg(long, value_name = "SIDE")]
    pub(in crate::cli) a: Option<String>,
    /// B; with --b-url a command line that serves there.
    #[arg(long, value_name = "SIDE")]
    pub(in crate::cli) b: Option<String>,
    /// Where the command of --a serves.
    #[arg(long, value_name = "URL", requires = "a")]
    pub(in crate::cli) a_url: Option<String>,
    /// Where the command of --b serves.
    #[arg(long, value_name = "URL", requires = "b")]
    pub(in crate::cli) b_url: Option<String>,
    /// What is asked of both; may be given several times [default: echo].
    #[arg(long, value_enum, value_name = "CASE")]
    pub(in crate::cli) case: Vec<CaseFlag>,
    /// All standard cases, one after the other.
    #[arg(long, conflicts_with = "case")]
    pub(in crate::cli) suite: bool,
    /// Pairs of runs.
    #[arg(long, value_name = "N", default_value = "11", value_parser = values::count_u32)]
    pub(in crate::cli) pairs: u32,
    /// Ends as soon as it is decided, after --pairs-max pairs at the latest.
    #[arg(long, conflicts_with = "pairs")]
    pub(in crate::cli) until_sure: bool,
    /// Most pairs of --until-sure.
    #[arg(long, value_name = "N", default_value = "60", value_parser = values::count_u32)]
    pub(in crate::cli) pairs_max: u32,
    /// A difference of no more than that is none.
    #[arg(long, value_name = "N%", default_value = "5%", value_parser = values::share)]
    pub(in crate::cli) margin: f64,
    /// Measured time of each run.
    #[arg(short = 'd', long, value_name = "TIME", default_value = "2s")]
    #[arg(value_parser = values::duration)]
    pub(in crate::cli) duration: Duration,
    /// CPUs of the servers [default: the first half of the allowed].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(in crate::cli) server_cores: Option<Cpus>,
    /// CPUs of the load client [default: the other half].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(in crate::cli) load_cores: Option<Cpus>,
    /// What moves the load client's bytes.
    #[arg(long, value_enum, default_value = "ring")]
    pub(in crate::cli) load_engine: LoadEngine,
    /// Process of the server behind URLs, on this host: CPU time and memory are read from it.
    #[arg(long, value_name = "PID")]
    pub(in crate::cli) server_pid: Option<i32>,
    /// Flags of `ringstorm load` instead of the case's own, such as -- -c 1000 -r 50k.
    #[arg(last = true, value_name = "LOAD FLAGS")]
    pub(in crate::cli) load: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) study: StudyFlags,
}
